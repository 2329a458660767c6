import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { encryptedZip, messageWith, pdf, zipOf } from '../../test/support/attached-files.ts';
import { ran } from '../../test/support/run-cli.ts';
import { run } from './extent.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'extent-'));
after(() => rmSync(folder, { recursive: true }));

function file(name: string, text: string | Uint8Array): string {
  const place = path.join(folder, name);
  writeFileSync(place, text);
  return place;
}

const HEAD = 'From: n@s.test\r\nDate: Fri, 1 Nov 2019 06:04:00 +0000\r\n';
const good = file('good.eml', `${HEAD}To: g@x.test\r\n\r\nHello\r\n`);
const leak = file('leak.eml', `${HEAD}To: a@x.test, b@x.test\r\nBcc: c@x.test\r\n\r\nHello\r\n`);
const broken = file('broken.eml', 'Once upon a time');
const payload = file(
  'call.json',
  JSON.stringify({
    personalizations: [{ to: [{ email: 'a@x.test' }, { email: 'd@x.test' }] }],
    from: { email: 'n@s.test' },
    subject: 'x',
    content: [{ type: 'text/plain', value: 'Hello' }],
  }),
);

const extent = (...args: string[]): ReturnType<typeof ran> => ran(run, args);

describe('extent', () => {
  it('ends with 0 when nobody was exposed, and says so', async () => {
    const { status, out, err } = await extent(good);
    assert.deepEqual([status, out, err], [0, 'Nobody was exposed by 1 message.\n', '']);
  });

  it('ends with 1 when somebody was, and gives the numbers without an address', async () => {
    const { status, out } = await extent(leak, good);
    assert.equal(status, 1);
    assert.match(
      out,
      /^2 people were exposed to 3 people by 2 messages\.\n4 pairs: 2 certain, 2 possible\.\n$/,
    );
  });

  it('writes one JSON document with exactly the agreed names', async () => {
    const { status, out } = await extent('--json', leak, payload);
    assert.equal(status, 1);
    assert.deepEqual(JSON.parse(out), {
      messages: 2,
      exposed: 3,
      saw: 4,
      pairs: 6,
      certain: 4,
      possible: 2,
    });
  });

  it('ends with 2 where a file cannot be read, and counts the rest all the same', async () => {
    const { status, out, err } = await extent('--json', broken, folder, `${folder}/none`, leak);
    assert.equal(status, 2);
    assert.equal(JSON.parse(out).exposed, 2);
    assert.equal(err.trimEnd().split('\n').length, 3);
    assert.match(err, /none: there is no such file/);
    assert.doesNotMatch(err, /@/);
  });

  it('tells for one person whom they saw and who saw them', async () => {
    const { out } = await extent('--person', 'B@x.test', '--person', 'z@x.test', leak);
    assert.match(
      out,
      /B@x\.test saw 1 person:\n {2}a@x\.test\nand was seen by 2 people:\n {2}a@x\.test\n {2}c@x\.test\n/,
    );
    assert.match(out, /z@x\.test is in none of these messages\./);
    const json = JSON.parse((await extent('--json', '--person', 'c@x.test', leak)).out);
    assert.deepEqual(json.persons, [
      { address: 'c@x.test', saw: ['a@x.test', 'b@x.test'], seenBy: [] },
    ]);
  });

  it('writes one row for each exposed person, ready for a notice', async () => {
    const audience = path.join(folder, 'audience.csv');
    await extent('--audience', audience, leak, payload);
    const [head, ...rows] = readFileSync(audience, 'utf8').split('\r\n');
    assert.equal(head, 'id,email,extent,first_exposed,seen_by,messages');
    const id = /^(x-\w{17})-1,/.exec(rows[0] ?? '')?.[1] ?? '';
    assert.deepEqual(rows, [
      `${id}-1,a@x.test,${id},2019-11-01T06:04:00.000Z,3,2`,
      `${id}-2,b@x.test,${id},2019-11-01T06:04:00.000Z,2,1`,
      `${id}-3,d@x.test,${id},,1,1`,
      '',
    ]);
    assert.equal(statSync(audience).mode & 0o777, 0o600);
  });

  it('never writes over a file, and reads nothing before it knows that', async () => {
    const audience = file('there.csv', 'somebody’s work');
    const { status, out, err } = await extent('--audience', audience, leak);
    assert.deepEqual([status, out], [2, '']);
    assert.match(
      err,
      /there\.csv: there is a file already, which is not written over; nothing was read\n$/,
    );
    assert.equal(readFileSync(audience, 'utf8'), 'somebody’s work');
    assert.ok(!existsSync(`${audience}.part`));
    const nowhere = await extent('--audience', path.join(folder, 'no', 'place.csv'), leak);
    assert.equal(nowhere.status, 2);
    assert.match(nowhere.err, /could not be written/);
  });

  it('counts whom a PDF file shows, and says where an attachment could not be read', async () => {
    const shown = file('pdf.eml', messageWith(pdf('Dear bob@y.test')));
    const { status, out, err } = await extent('--json', shown);
    assert.deepEqual([status, JSON.parse(out).certain, err], [1, 1, '']);
    const locked = file('zip.eml', messageWith(encryptedZip(zipOf({ 'a.txt': 'bob@y.test' }))));
    const closed = await extent('--json', locked);
    assert.deepEqual([closed.status, JSON.parse(closed.out).pairs], [0, 0]);
    assert.match(
      closed.err,
      /^undisclosed extent: in one message an attachment could not be read in full; /,
    );
  });

  it('leaves out the company, and takes readers the files do not tell', async () => {
    assert.equal((await extent('--company-domain', 'x.test', leak)).status, 0);
    assert.equal(
      (await extent('--role-address', 'b@x.test', '--json', leak)).out.includes('"certain":0'),
      true,
    );
    assert.equal((await extent('--to', 'z@y.test', good)).status, 1);
    await assert.rejects(extent(), { code: 'cli.usage' });
    await assert.rejects(extent('--person', 'nobody', leak), { code: 'cli.usage' });
    await assert.rejects(extent('--company-domain', 'a b', leak), { code: 'cli.usage' });
  });

  it('reads a mailbox in pieces and loses no message between them', async () => {
    const messages = 3000;
    const padding = `${'x'.repeat(70)}\n`.repeat(60);
    let text = '';
    for (let each = 0; each < messages; each++) {
      text += `From n@s.test Fri Nov  1 06:04:00 2019\nFrom: n@s.test\nTo: a${each}@x.test, b${each}@x.test\n\n${padding}\n>From here on\n\n`;
    }
    assert.ok(text.length > 8 * 1024 * 1024, 'several pieces');
    const { out, err } = await extent('--json', file('large.mbox', text));
    assert.equal(err, '');
    assert.deepEqual(JSON.parse(out), {
      messages,
      exposed: 2 * messages,
      saw: 2 * messages,
      pairs: 2 * messages,
      certain: 2 * messages,
      possible: 0,
    });
  });
});
