import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { quickestMs } from '../../test/support/quickest-ms.ts';
import { readAddressList } from './address-list.ts';
import { allParts, type ParsedMessage, parseMessage } from './message.ts';

/** Asks for everything a message can be asked. */
function force(message: ParsedMessage): number {
  let count = message.defects.length;
  for (const part of allParts(message)) {
    count += part.content.length + part.texts.length + part.parameters.size;
    for (const field of part.headers) {
      count += field.decoded.length + readAddressList(field).sightings.length;
    }
  }
  return count;
}

const line = fc.constantFrom(
  'To: a@x.test',
  'Content-Type: multipart/mixed; boundary=b',
  'Content-Type: multipart/mixed; boundary="b c"; boundary=d',
  'Content-Type: multipart/mixed',
  'Content-Type: message/rfc822',
  'Content-Type: text/html; charset=utf-16',
  'Content-Transfer-Encoding: base64',
  'Content-Transfer-Encoding: quoted-printable',
  "Content-Disposition: attachment; filename*0*=utf-8''%41; filename*1=.eml",
  'Subject: =?utf-8?Q?=00=0D?= =?utf-8?B?!?=',
  '',
  '--b',
  '--b--',
  '--b c',
  '--d',
  ' folded',
  'no colon',
  'YUB4LnRlc3Q=',
  'a=40x=',
  '\0',
  '\xff\xfe',
);
const lineBreak = fc.constantFrom('\r\n', '\r\n', '\r\n', '\n', '\r');
const almostMail = fc
  .array(fc.tuple(line, lineBreak), { maxLength: 40 })
  .map((lines) => Buffer.from(lines.flat().join(''), 'latin1'));

test('no bytes make parsing throw, or give another answer when they are asked in another order', () => {
  fc.assert(
    fc.property(fc.oneof(almostMail, fc.uint8Array({ maxLength: 400 })), (bytes) => {
      const first = parseMessage(bytes);
      force(first);
      const second = parseMessage(bytes);
      for (const part of allParts(second).toReversed()) assert.ok(part.texts.length >= 0);
      assert.deepEqual(second.defects, first.defects);
      assert.ok(first.bodyStart <= bytes.length);
      for (const field of first.headers) {
        assert.ok(0 <= field.start && field.start <= field.end && field.end <= bytes.length);
      }
    }),
    { numRuns: 2_000 },
  );
});

test('the paths of all parts differ', () => {
  fc.assert(
    fc.property(almostMail, (bytes) => {
      const paths = allParts(parseMessage(bytes)).map((part) => part.path);
      assert.equal(new Set(paths).size, paths.length);
    }),
    { numRuns: 500 },
  );
});

test('a megabyte of hostile header takes under a second', () => {
  const pieces = [
    'a',
    ':',
    'A:',
    'A:b\r\n',
    '\r',
    '\n',
    '\0',
    ' ',
    '\r\n ',
    'A\r',
    'A:\0',
    '(',
    '"',
    '=?',
    '=?a?q?',
    'To:a@b\r',
    'a@b,',
    ';a=',
    "*=''",
  ];
  for (const piece of pieces) {
    for (const start of ['To: ', 'Content-Type: ']) {
      const bytes = Buffer.from(start + piece.repeat(1_000_000 / piece.length));
      const elapsed = quickestMs(1_000, () => force(parseMessage(bytes)));
      assert.ok(elapsed < 1_000, `${JSON.stringify(start + piece)}: ${elapsed} ms`);
    }
  }
});

test('five megabytes of hostile body take under three seconds', () => {
  const nest = 'Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n';
  const rows: readonly (readonly [start: string, piece: string])[] = [
    [nest, '--b\r\n'],
    [nest, '--b\r'],
    [nest, '--bc\r\n'],
    ['', nest],
    ['', 'Content-Type: message/rfc822\r\n\r\n'],
    ['', 'Content-Type: message/rfc822\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n'],
    [
      'Content-Type: multipart/mixed\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n',
      '--b=\r\n',
    ],
    ['Content-Transfer-Encoding: quoted-printable\r\n\r\n', '= \t'],
    ['Content-Transfer-Encoding: quoted-printable\r\n\r\n', ' \r'],
    ['Content-Transfer-Encoding: base64\r\n\r\n', '=a'],
    ['Content-Type: text/plain; charset=utf-7\r\n\r\n', '+'],
    ['Content-Type: multipart/mixed; boundary="-----"\r\n\r\n', '-'],
  ];
  for (const [start, piece] of rows) {
    const bytes = Buffer.from(start + piece.repeat(Math.floor(5_000_000 / piece.length)));
    const elapsed = quickestMs(3_000, () => force(parseMessage(bytes)));
    assert.ok(elapsed < 3_000, `${JSON.stringify(start + piece)}: ${elapsed} ms`);
  }
});
