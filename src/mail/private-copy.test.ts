import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { Fault } from '../base/errors.ts';
import { parseMessage } from './message.ts';
import { privateCopies, privateCopy, withoutReaders } from './private-copy.ts';

const crlf = (text: string): Buffer => Buffer.from(text.replaceAll('\n', '\r\n'));

/** The fault that refuses a message. */
function faultOf(message: string | Buffer, reader = 'ann@x.test'): Fault {
  try {
    privateCopy(typeof message === 'string' ? crlf(message) : message, reader);
  } catch (error) {
    assert.ok(error instanceof Fault, String(error));
    assert.equal(error.code, 'guard.cannot-cut');
    assert.doesNotMatch(`${error.message} ${error.where} ${error.remedy}`, /@/);
    return error;
  }
  throw new Error('a copy was made');
}

const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Every byte but those of the fields named. */
function rest(bytes: Buffer, without: RegExp): Buffer {
  const pieces: Buffer[] = [];
  let from = 0;
  for (const { lower, start, end } of parseMessage(bytes).headers) {
    if (!without.test(lower)) continue;
    pieces.push(bytes.subarray(from, start));
    from = end;
  }
  return Buffer.concat([...pieces, bytes.subarray(from)]);
}

const REMOVED =
  /^(?:(?:resent-|apparently-)?(?:to|b?cc)|x-envelope-to|x-rcptto|delivered-to|x-original-to|envelope-to)$/;

const ALL = `Received: from x by y; Thu, 1 Jan 2026 00:00:00 +0000
X-Envelope-To: ann@x.test
Delivered-To: bob@y.test
From: Shop <news@shop.example>
To: "Lee, Ann" <Ann@X.test>, Bob <bob@y.test>,
 =?utf-8?Q?J=C3=BCrgen?= <juergen@z.test>
Subject: =?utf-8?Q?gr=C3=BC=C3=9Fe?=
CC: "bob@y.test" <carl@z.test>
bcc: dan@z.test
Resent-To: eve@z.test
Resent-Cc: fay@z.test
Resent-Bcc: gil@z.test
Apparently-To: hal@z.test
X-Original-To: ann@x.test
Envelope-To: ann@x.test
X-RcptTo: ann@x.test
X-Odd:   kept   as
\tit is
MIME-Version: 1.0

Body with trailing spaces   
..dots, To: nobody
`;
const NAMED = 'ann bob juergen carl dan eve fay gil hal'.split(' ');

test('a copy names its reader alone, once, and every other byte is as it was', () => {
  const bytes = crlf(ALL);
  for (const name of NAMED) assert.match(bytes.toString().toLowerCase(), new RegExp(`${name}@`));
  const copies = privateCopies(bytes);
  for (const reader of NAMED.map((name) => `${name}@z.test`)) {
    const copy = copies.copyFor(reader);
    assert.deepEqual(copy.toString().match(/[a-z]+@[xyz]\.test/gi), [reader]);
    assert.equal(parseMessage(copy).headers.filter(({ lower }) => lower === 'to').length, 1);
    assert.equal(digest(rest(copy, REMOVED)), digest(rest(bytes, REMOVED)));
  }
});

test('the To stands where the To stood, and keeps the name the message gave this reader', () => {
  const lines = (reader: string): string =>
    privateCopy(crlf(ALL), reader).toString().split('\r\n').slice(1, 4).join('|');
  assert.match(lines('ann@x.test'), /^From: [^|]+\|To: "Lee, Ann" <ann@x\.test>\|Subject/);
  assert.match(lines('juergen@z.test'), /\|To: =\?UTF-8\?[BQ]\?.*\?= <juergen@z\.test>\|Subject/);
  // A name that is an address would show it.
  assert.match(lines('carl@z.test'), /\|To: carl@z\.test\|Subject/);
  assert.match(lines('hidden@z.test'), /\|To: hidden@z\.test\|Subject/);
});

test('a name that hides an address, or could be somebody else’s, is left out', () => {
  const names = [
    '"x (bob@y.test)"',
    '=?utf-8?Q?bob=40y=2Etest?=',
    'bob＠y.test',
    '=?utf-8?B?Ym9iQHkudGVzdA==?=',
    '=?utf-8?Q?=3D=3Futf-8=3FQ=3Fbob=3D40y.test=3F=3D?=',
    'Bob bob@y.test',
  ];
  for (const name of names) {
    const copy = privateCopy(
      crlf(`From: a@s.test\nTo: ${name} <ann@x.test>\n\nhi\n`),
      'ann@x.test',
    );
    assert.equal(copy.toString(), 'From: a@s.test\r\nTo: ann@x.test\r\n\r\nhi\r\n', name);
  }
});

test('without any To one is put at the end of the header', () => {
  const copy = privateCopy(crlf('From: a@s.test\nSubject: x\n\nhi\n'), 'ann@x.test');
  assert.equal(copy.toString(), 'From: a@s.test\r\nSubject: x\r\nTo: ann@x.test\r\n\r\nhi\r\n');
  const bare = privateCopy(crlf('From: a@s.test\n'), 'ann@x.test');
  assert.equal(bare.toString(), 'From: a@s.test\r\nTo: ann@x.test\r\n');
  const group = privateCopy(
    crlf('To: undisclosed-recipients:;\nFrom: a@s.test\n\nhi\n'),
    'ann@x.test',
  );
  assert.equal(group.toString(), 'To: ann@x.test\r\nFrom: a@s.test\r\n\r\nhi\r\n');
});

test('an address outside ASCII is written as it is under SMTPUTF8, and not at all without', () => {
  const bytes = crlf('From: a@s.test\nTo: 用户 <用户@bücher.test>\n\nhi\n');
  const copy = privateCopy(bytes, '用户@bücher.test', { smtpUtf8: true });
  assert.match(copy.toString(), /\r\nTo: 用户 <用户@bücher\.test>\r\n/);
  assert.throws(() => privateCopy(bytes, '用户@bücher.test'), { code: 'guard.cannot-cut' });
});

test('a DKIM or ARC signature over To or Cc refuses the message; one that leaves them out does not', () => {
  const signed = (names: string, field = 'DKIM-Signature'): string =>
    `${field}: v=1; a=rsa-sha256; d=s.test; s=a;\n h=${names}; b=abc\nFrom: a@s.test\nTo: ann@x.test, bob@y.test\nCc: c@y.test\n\nhi\n`;
  for (const names of ['from:to', 'From : TO : Subject', 'from:\n cc', 'from:t\n o'])
    assert.match(faultOf(signed(names)).message, /a signature covers the recipients/);
  assert.match(faultOf(signed('from:to', 'ARC-Message-Signature')).message, /signature/);
  assert.match(faultOf(signed('from:to').replace('h=', 'i=')).message, /signature/);
  assert.ok(privateCopy(crlf(signed('from:subject:bcc')), 'ann@x.test').length > 0);
});

test('what clients can read in two ways is refused', () => {
  const heads = [
    'To : ann@x.test, bob@y.test\n',
    'From: a@s.test\nno colon\nTo: ann@x.test\n',
    ' folded: first\nTo: ann@x.test\n',
    'From: a@s.test\n \nTo: ann@x.test, bob@y.test\n',
    'T\0o: bob@y.test\n',
    'Fröm: a@s.test\nTo: ann@x.test\n',
  ];
  for (const head of heads) faultOf(`${head}\nhi\n`);
  faultOf(Buffer.from('From: a@s.test\r\nTo: ann@x.test\rCc: bob@y.test\r\n\r\nhi\r\n'));
  faultOf(Buffer.from('From: a@s.test\r\nX: y\nCc: bob@y.test\r\n\r\nhi\r\n'));
  faultOf(Buffer.from('From: a@s.test\r\nTo: ann@x.test\r\n\r\nhi\n.\r\n'));
  faultOf(Buffer.alloc(0));
});

test('what is encrypted to two named keys is refused, to one key it is cut', () => {
  const key = (id: string): string => `c10c03${id}01aabb`;
  const message = (hex: string): string =>
    `From: a@s.test\nTo: ann@x.test\n\n-----BEGIN PGP MESSAGE-----\n\n${Buffer.from(hex, 'hex').toString('base64')}\n-----END PGP MESSAGE-----\n`;
  const one = `${key('1122334455667788')}d20501aabbccdd`;
  assert.match(faultOf(message(key('99aabbccddeeff00') + one)).message, /encrypted to several/);
  assert.ok(privateCopy(crlf(message(one)), 'ann@x.test').length > 0);
});

test('another field that names a reader refuses the message, coded or in a part', () => {
  const to = 'From: a@s.test\nTo: ann@x.test, bob@y.test\n';
  const others = [
    'X-Odoo-Bcc: bob@y.test\n',
    'Received: from a by b for <bob@y.test>; Thu, 1 Jan 2026 00:00:00 +0000\n',
    'List-Unsubscribe: <https://s.test/u?e=bob%40y.test>\n',
    'X-Note: =?utf-8?Q?bob=40y.test?=\n',
    'Errors-To: bounce+bob=y.test@s.test\n',
    'Reply-To: help@s.test, bob@s.test\n',
    'Content-Type: multipart/mixed; boundary=b\n\n--b\nX-To: bob@y.test\n\nhi\n--b--\n',
    'Content-Type: message/rfc822\n\nTo: bob@y.test\nSubject: inner\n',
  ];
  for (const other of others) faultOf(`${to}${other}\nhi\n`);
  const hidden = crlf('From: a@s.test\nTo: list@s.test\nX-Who: bob@y.test\n\nhi\n');
  assert.throws(() => privateCopies(hidden, { readers: ['ann@x.test', 'bob@y.test'] }), {
    code: 'guard.cannot-cut',
  });
});

test('the sender in its own To, one Reply-To and what people wrote refuse nothing', () => {
  const text =
    'From: a@s.test\nReply-To: help@s.test\nTo: a@s.test, ann@x.test\n\nask bob@y.test\n';
  const copy = privateCopy(crlf(text), 'ann@x.test').toString();
  assert.match(copy, /\r\nTo: ann@x\.test\r\n/);
  assert.match(copy, /ask bob@y\.test/);
});

test('a report quotes the message without anybody it was for', () => {
  const quoted = withoutReaders(crlf(ALL)).toString();
  assert.doesNotMatch(quoted, /@[xyz]\.test/i);
  assert.equal(digest(rest(crlf(ALL), REMOVED)), digest(Buffer.from(quoted)));
});

test('10,000 copies of one message are made in 3 s, of one reading', () => {
  const readers = Array.from({ length: 10_000 }, (_, n) => `reader.${n}@home.example`);
  const bytes = crlf(`From: a@s.test\nTo: ${readers.join(',\n ')}\n\n${'line\n'.repeat(600)}`);
  const before = performance.now();
  const copies = privateCopies(bytes, { readers });
  let size = 0;
  for (const reader of readers) size += copies.copyFor(reader).length;
  assert.ok(size > 30_000_000);
  assert.ok(performance.now() - before < 3000, `${performance.now() - before} ms`);
});
