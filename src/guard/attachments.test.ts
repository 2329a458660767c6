import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import {
  encryptedOffice,
  encryptedZip,
  envelopedData,
  messageWith,
  pdf,
  signedData,
  textDocument,
  tnef,
  workbook,
  zipOf,
} from '../../test/support/attached-files.ts';
import { type PolicyName, policyFrom } from '../policy/policy.ts';
import { withAttachments } from './attachments.ts';
import { type Judgement, judgeCopies } from './judge.ts';

interface Call {
  readonly policy?: PolicyName;
  readonly to?: readonly string[];
  readonly type?: string;
  readonly name?: string;
  readonly customers?: readonly string[];
}

async function judged(content: Uint8Array, call: Call = {}): Promise<Judgement> {
  const { policy = 'bulk', to = ['ann@x.test'], customers = [] } = call;
  const bytes = messageWith(content, call.type, call.name);
  const envelope = { from: 'bounce@shop.example', recipients: to, smtpUtf8: false };
  const copies = await withAttachments([{ envelope, bytes }]);
  const settings = {
    policy: policyFrom(policy, { canSplit: true }),
    isCustomer: (canonical: string) => customers.includes(canonical),
    onFault: (error: unknown): never => {
      throw error;
    },
  };
  return judgeCopies(copies, settings);
}

async function verdict(content: Uint8Array, call: Call = {}): Promise<string> {
  const { verdict } = await judged(content, call);
  return [verdict.kind, ...(verdict.kind === 'pass' ? [] : verdict.reasons)].join(' ');
}

const BOB = 'bob@y.test';
const SHOWN = 'refuse foreign-address-attachment';

describe('an address in an attachment is found', () => {
  const hidden = [
    'hiddenSheet',
    'hiddenRow',
    'hiddenColumn',
    'definedName',
    'comment',
    'author',
    'link',
  ] as const;
  for (const place of hidden) {
    it(`in a workbook: ${place}`, async () => {
      assert.equal(await verdict(workbook({ [place]: BOB })), SHOWN);
      assert.equal(await verdict(workbook({ [place]: 'news@shop.example' })), 'pass');
    });
  }

  it('in cells whose text is cut into runs', async () => {
    assert.equal(await verdict(workbook({ cells: [BOB, 'ann@x.test'] })), SHOWN);
    assert.equal(await verdict(workbook({ cells: ['ann@x.test', 'news@shop.example'] })), 'pass');
  });

  it('in a text document cut into runs, in deleted passages and in an embedded workbook', async () => {
    assert.equal(await verdict(textDocument(`Dear ${BOB}`)), SHOWN);
    assert.equal(await verdict(textDocument('Hello', { deleted: BOB })), SHOWN);
    const embedded = workbook({ hiddenSheet: BOB });
    assert.equal(await verdict(textDocument('Hello', { embedded })), SHOWN);
    assert.equal(await verdict(textDocument('Hello ann@x.test', { deleted: 'x' })), 'pass');
  });

  it('in archives inside each other, up to five', async () => {
    let archive = zipOf({ 'list.csv': `name;mail\nBob;${BOB}` });
    assert.equal(await verdict(archive), SHOWN);
    for (let depth = 2; depth <= 5; depth++) archive = zipOf({ 'inner.zip': archive });
    assert.equal(await verdict(archive), SHOWN);
    assert.equal(await verdict(zipOf({ 'six.zip': archive })), 'hold unreadable-attachment');
  });

  it('in the name of a file, in a packed text, in a message and a calendar inside an archive', async () => {
    assert.equal(await verdict(zipOf({ [`${BOB}.txt`]: 'hello' })), SHOWN);
    assert.equal(await verdict(gzipSync(`Bob;${BOB}`)), SHOWN);
    const mail = `From: x@y.test\r\nTo: ${BOB}\r\n\r\nHello`;
    assert.equal(await verdict(zipOf({ 'a.eml': mail })), 'refuse foreign-address-nested');
    const calendar = `BEGIN:VCALENDAR\r\nATTENDEE:mailto:${BOB}\r\nEND:VCALENDAR`;
    assert.equal(await verdict(zipOf({ 'a.ics': calendar })), 'refuse invited-people');
  });

  it('in the text, the links and the properties of a PDF, also inside an archive', async () => {
    assert.equal(await verdict(pdf(`For ${BOB}`)), SHOWN);
    assert.equal(await verdict(pdf('Hello', { link: `mailto:${BOB}` })), SHOWN);
    assert.equal(await verdict(pdf('Hello', { author: BOB })), SHOWN);
    assert.equal(await verdict(zipOf({ 'a.pdf': pdf(`For ${BOB}`) })), SHOWN);
    assert.equal(await verdict(pdf('For ann@x.test')), 'pass');
  });

  it('in winmail.dat: the recipient table, Bcc as displayed, the text, the files', async () => {
    assert.equal(await verdict(tnef({ recipients: ['ann@x.test', BOB] })), 'refuse invited-people');
    assert.equal(await verdict(tnef({ displayBcc: BOB })), 'refuse invited-people');
    assert.equal(await verdict(tnef({ body: BOB })), SHOWN);
    assert.equal(await verdict(tnef({ file: zipOf({ 'a.csv': BOB }) })), SHOWN);
    assert.equal(await verdict(tnef({ recipients: ['ann@x.test'] })), 'pass');
  });

  it('in the content of a signed message', async () => {
    const type = 'application/pkcs7-mime; smime-type=signed-data';
    const signed = (text: string): Buffer => signedData(`Content-Type: text/plain\r\n\r\n${text}`);
    assert.equal(await verdict(signed(BOB), { type }), 'refuse foreign-address-nested');
    assert.equal(await verdict(signed('Hello'), { type }), 'pass');
  });

  it('in rich text with its at sign written as a code', async () => {
    assert.equal(await verdict(Buffer.from("{\\rtf1 bob\\'40y.test}"), { name: 'a.rtf' }), SHOWN);
  });
});

describe('what nobody can read is held in a bulk call', () => {
  const files: Readonly<Record<string, Buffer>> = {
    'an encrypted archive': encryptedZip(zipOf({ 'a.csv': BOB })),
    'an archive that is cut off': zipOf({ 'a.csv': 'x'.repeat(9000) }).subarray(0, 60),
    'an office document with a password': encryptedOffice(),
    'a PDF with a password': pdf('Hello', { encrypted: true }),
    'a PDF that is none': Buffer.from('%PDF-1.4\nnothing'),
    'an OpenDocument file with a password': zipOf({
      mimetype: 'application/vnd.oasis.opendocument.text',
      'META-INF/manifest.xml':
        '<manifest:file-entry><manifest:encryption-data/></manifest:file-entry>',
      'content.xml': Buffer.from('00ff00ff', 'hex'),
    }),
    'winmail.dat that is cut off': tnef({ recipients: ['ann@x.test'] }).subarray(0, 80),
    'an archive with a file its directory does not list': Buffer.concat([
      zipOf({ 'hidden.csv': BOB }).subarray(0, 50),
      zipOf({ 'a.txt': 'hello' }),
    ]),
  };
  for (const [name, bytes] of Object.entries(files)) {
    it(`${name}, and may go to one reader of a transaction or between people`, async () => {
      assert.equal(await verdict(bytes), 'hold unreadable-attachment');
      assert.equal(await verdict(bytes, { policy: 'transactional' }), 'pass');
      assert.equal(await verdict(bytes, { policy: 'person' }), 'pass');
    });
  }

  it('a PDF that nobody was asked to read', async () => {
    const bytes = messageWith(pdf('Hello'));
    const envelope = { from: 'bounce@shop.example', recipients: ['ann@x.test'], smtpUtf8: false };
    const { verdict: unread } = judgeCopies([{ envelope, bytes }], { policy: policyFrom('bulk') });
    assert.equal(unread.kind, 'hold');
    assert.equal(await verdict(pdf('Hello')), 'pass');
  });

  it('a bomb, within a second and 256 MB', async () => {
    const zeros = zipOf({ 'a.txt': Buffer.alloc(8 * 1024 * 1024) });
    const bombs = zipOf(Object.fromEntries([...'abcdefgh'].map((name) => [`${name}.zip`, zeros])));
    const before = performance.now();
    assert.equal(await verdict(bombs), 'hold unreadable-attachment');
    assert.ok(performance.now() - before < 2_000);
    assert.ok(process.memoryUsage().rss < 512 * 1024 * 1024);
  });
});

describe('encrypted mail', () => {
  const type = 'application/pkcs7-mime; smime-type=enveloped-data';

  it('that shows several readers keys is refused where there are several readers', async () => {
    const to = ['ann@x.test', BOB];
    const call: Call = { type, to, policy: 'transactional' };
    assert.match(await verdict(envelopedData([1, 2]), call), /^refuse .*encrypted-readers$/);
    assert.doesNotMatch(await verdict(envelopedData([1]), call), /encrypted-readers/);
  });

  it('to one reader shows that reader and the sender', async () => {
    assert.equal(await verdict(envelopedData([1, 2]), { type, policy: 'transactional' }), 'pass');
    const three = await verdict(envelopedData([1, 2, 3]), { type, policy: 'transactional' });
    assert.equal(three, 'refuse encrypted-readers');
  });
});

describe('a list of people', () => {
  const people = (count: number): readonly string[] =>
    Array.from({ length: count }, (_, i) => `person${i}@y.test`);

  it('is held between people from twenty on, whatever file it is in', async () => {
    const call: Call = { policy: 'person' };
    assert.equal(await verdict(workbook({ cells: people(20) }), call), 'hold customer-list');
    assert.equal(
      await verdict(zipOf({ 'a.csv': people(20).join('\n') }), call),
      'hold customer-list',
    );
    assert.equal(await verdict(pdf(people(20).join(' ')), call), 'hold customer-list');
    assert.equal(await verdict(workbook({ cells: people(19) }), call), 'pass');
  });

  it('is held between people where one of them is a customer', async () => {
    const call: Call = { policy: 'person', customers: ['person1@y.test'] };
    assert.equal(
      await verdict(workbook({ cells: people(2) }), call),
      'hold foreign-address-attachment',
    );
  });

  it('is named as one in a bulk call from three on', async () => {
    assert.equal(await verdict(workbook({ cells: people(3) })), `${SHOWN} customer-list`);
  });
});

describe('a broken file', () => {
  it('is never more than a broken file, whatever is wrong with it', async () => {
    const files = [
      zipOf({ 'a.csv': 'Bob', 'b.zip': zipOf({ 'c.txt': 'x' }) }),
      workbook({ cells: ['a', 'b'] }),
      tnef({ recipients: ['ann@x.test'], body: 'Hello', file: zipOf({ a: 'b' }) }),
      envelopedData([1, 2]),
      signedData('Content-Type: text/plain\r\n\r\nHello'),
      gzipSync('Hello'),
      pdf('Hello'),
    ];
    let seed = 7;
    const random = (below: number): number => {
      seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff;
      return seed % below;
    };
    const before = performance.now();
    for (let round = 0; round < 700; round++) {
      const bytes = Buffer.from(files[round % files.length] ?? Buffer.alloc(0));
      for (let changes = 1 + random(4); changes > 0; changes--) {
        bytes[random(bytes.length)] = random(256);
      }
      const cut = random(3) === 0 ? bytes.subarray(0, random(bytes.length) + 1) : bytes;
      const type = round % 7 === 3 || round % 7 === 4 ? 'application/pkcs7-mime' : undefined;
      const { verdict: found } = await judged(cut, type === undefined ? {} : { type });
      assert.notEqual(found.kind, 'defer', cut.toString('base64'));
    }
    assert.ok(performance.now() - before < 20_000);
  });
});

describe('withAttachments', () => {
  it('answers at once where there is nothing to read', () => {
    const bytes = Buffer.from('From: a@x.test\r\nTo: b@x.test\r\n\r\nHello');
    const copies = [
      { envelope: { from: 'a@x.test', recipients: ['b@x.test'], smtpUtf8: false }, bytes },
    ];
    assert.equal(withAttachments(copies), copies);
  });
});
