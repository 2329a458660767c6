import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, it } from 'node:test';
import { check } from '../src/library.ts';
import { messageWith, pdf } from './support/attached-files.ts';

const LEAK = 'From: n@s.test\r\nTo: a@x.test, b@x.test\r\nSubject: x\r\n\r\nHello\r\n';
const GOOD = 'From: n@s.test\r\nTo: a@x.test\r\nSubject: x\r\n\r\nHello\r\n';
const MAIL = { from: 'News <n@s.test>', to: 'a@x.test', subject: 'x', text: 'Hello' };

describe('check', () => {
  it('reads a message as bytes and as text', () => {
    for (const message of [LEAK, Buffer.from(LEAK), new Uint8Array(Buffer.from(LEAK))]) {
      const { verdict, reasons, visible, disclosures, findings } = check(message);
      assert.deepEqual([verdict, reasons, disclosures], ['refuse', ['visible-recipients'], 2]);
      assert.deepEqual([...visible].sort(), ['a@x.test', 'b@x.test', 'n@s.test']);
      assert.equal(findings[0]?.id, 'visible-recipients');
    }
    assert.deepEqual([check(GOOD).verdict, check(GOOD).reasons], ['pass', []]);
  });

  it('reads a provider’s payload, parsed or not', () => {
    const payload = {
      personalizations: [{ to: [{ email: 'a@x.test' }, { email: 'b@x.test' }] }],
      from: { email: 'n@s.test' },
      subject: 'x',
      content: [{ type: 'text/plain', value: 'Hello' }],
    };
    assert.equal(check(payload).disclosures, 2);
    assert.equal(check(JSON.stringify(payload)).verdict, 'refuse');
    assert.throws(() => check({ Unknown: 1 }), { code: 'library.unreadable' });
  });

  it('reads what mailgun.js is given, where it is not what nodemailer would be', () => {
    const mail = { from: 'n@s.test', to: ['a@x.test', 'b@x.test'], subject: 'x', text: 'Hello' };
    const each = JSON.stringify({ 'a@x.test': {}, 'b@x.test': {} });
    assert.equal(check({ ...mail, 'o:tag': ['x', 'y'] }).disclosures, 2);
    assert.equal(check({ ...mail, 'recipient-variables': each }).verdict, 'pass');
    const attachment = { filename: 'a.pdf', data: pdf('Dear c@y.test') };
    const options = { ...mail, 'recipient-variables': each, attachment };
    assert.deepEqual(check(options).reasons, ['foreign-address-attachment']);
    const stream = { ...mail, 'o:testmode': true, attachment: { filename: 'a', data: {} } };
    assert.throws(() => check(stream), { code: 'library.option-malformed', where: 'attachment' });
    assert.throws(() => check({ ...mail, 'o:unknown': 'x' }), { code: 'library.unreadable' });
  });

  it('reads nodemailer’s options in all their forms', () => {
    assert.deepEqual([check(MAIL).verdict, check(MAIL).reasons], ['pass', []]);
    for (const to of [
      'a@x.test, B <b@x.test>',
      ['a@x.test', { name: 'Bée', address: 'b@x.test' }],
      [{ name: 'A, "A"', address: 'a@x.test' }, 'b@x.test'],
    ]) {
      assert.equal(check({ ...MAIL, to }).disclosures, 2);
    }
    assert.equal(check({ ...MAIL, cc: { address: 'b@x.test' } }).disclosures, 2);
    assert.equal(check({ ...MAIL, bcc: 'b@x.test' }).disclosures, 1);
    assert.equal(check({ ...MAIL, html: '<b>b@y.test</b>' }).verdict, 'refuse');
    assert.equal(check({ ...MAIL, headers: { 'X-All': 'b@y.test' } }).verdict, 'refuse');
    const attachment = {
      filename: 'all.csv',
      content: 'b@y.test\nc@y.test',
      contentType: 'text/csv',
    };
    assert.notEqual(check({ ...MAIL, attachments: [attachment] }).verdict, 'pass');
    const envelope = { from: 'n@s.test', to: ['a@x.test', 'b@x.test'] };
    assert.equal(check({ ...MAIL, envelope }).disclosures, 1);
  });

  it('passes a line break in a subject as nodemailer does, as a space, without a second field', () => {
    const { verdict } = check({ ...MAIL, subject: 'x\r\nCc: me@x.test\r\n\r\n' });
    assert.equal(verdict, 'refuse');
    assert.equal(check({ ...MAIL, subject: 'Grüße\nan alle' }).verdict, 'pass');
  });

  it('refuses what it cannot see instead of leaving it out', () => {
    assert.throws(() => check({ ...MAIL, icalEvent: { content: 'x' } }), {
      code: 'library.option-unknown',
      where: 'icalEvent',
    });
    const attachments = [{ path: '/etc/hostname' }];
    assert.throws(() => check({ ...MAIL, attachments } as never), { where: 'attachments[0].path' });
    assert.throws(() => check({ ...MAIL, text: { path: 'x' } } as never), { where: 'text' });
    assert.throws(() => check('Once upon a time'), { code: 'library.unreadable' });
    const two = `From n@s.test Fri Nov  1 06:04:00 2019\n${GOOD}\nFrom n@s.test Fri Nov  1 06:04:00 2019\n${GOOD}`;
    assert.throws(() => check(two), { code: 'library.several-messages' });
  });

  it('reads PDF files too, the second one as well as the first', () => {
    const withPdf = (text: string) => ({
      ...MAIL,
      attachments: [{ filename: 'a.pdf', content: pdf(text) }],
    });
    assert.deepEqual(check(withPdf('Dear customer')).reasons, []);
    assert.deepEqual(check(withPdf('Dear bob@y.test')).reasons, ['foreign-address-attachment']);
    assert.deepEqual(check(messageWith(pdf('to bob@y.test'))).verdict, 'refuse');
    const broken = pdf('Dear customer').subarray(0, 300);
    const attachments = [{ filename: 'a.pdf', content: broken }];
    assert.deepEqual(check({ ...MAIL, attachments }).reasons, ['unreadable-attachment']);
  });

  it('takes policy, readers, roles, domains and customers', () => {
    assert.equal(check(LEAK, { policy: 'person' }).verdict, 'pass');
    assert.equal(check(LEAK, { policy: 'person', visibleOutsidersMax: 1 }).verdict, 'refuse');
    assert.equal(check(GOOD, { readers: ['a@x.test', 'b@x.test'] }).disclosures, 1);
    assert.equal(
      check(LEAK, { readers: ['a@x.test'], roleAddresses: ['b@x.test'] }).verdict,
      'pass',
    );
    const body = GOOD.replace('Hello', 'Hello c@y.test');
    assert.equal(
      check(body, { isCustomer: (address) => address === 'c@y.test' }).verdict,
      'refuse',
    );
  });

  it('loads no database driver', () => {
    const loaded = (file: string): string => {
      const program = `
        import { registerHooks } from 'node:module';
        registerHooks({ load: (url, context, next) => { console.log(url); return next(url, context); } });
        await import(${JSON.stringify(path.join(import.meta.dirname, '../src', file))});`;
      return spawnSync(process.execPath, ['--input-type=module', '-e', program], {
        encoding: 'utf8',
      }).stdout;
    };
    assert.match(loaded('store/database.ts'), /\/node_modules\/pg\//);
    const own = loaded('library.ts');
    assert.match(own, /\/judge\.ts/);
    assert.doesNotMatch(
      own,
      /\/node_modules\/(?:unpdf|pg|pg-copy-streams|fastify)\/|\/src\/store\//,
    );
  });
});
