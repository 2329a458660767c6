import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeTransfer, transferEncodingName } from './transfer-decoding.ts';

function decode(encoding: string, text: string): { text: string; defects: readonly string[] } {
  const { content, defects } = decodeTransfer(Buffer.from(text, 'latin1'), encoding);
  return { text: Buffer.from(content).toString('latin1'), defects };
}

const QUOTED: readonly (readonly [given: string, text: string, defect?: string])[] = [
  ['', ''],
  ['plain', 'plain'],
  ['a=3Db', 'a=b'],
  ['a=3db', 'a=b'],
  ['=E4=BD=A0', '\xe4\xbd\xa0'],
  ['soft=\r\nbreak', 'softbreak'],
  ['soft=\nbreak', 'softbreak'],
  ['soft= \t\r\nbreak', 'softbreak'],
  ['at the end=', 'at the end'],
  ['padding \t \r\nnext', 'padding\r\nnext'],
  ['kept=20\r\nnext', 'kept \r\nnext'],
  ['a=\r\n \r\nb', 'a\r\nb'],
  ['space at the end ', 'space at the end '],
  ['a=ZZb', 'a=ZZb', 'malformed-quoted-printable'],
  ['a=4', 'a=4', 'malformed-quoted-printable'],
  ['a==40', 'a=@', 'malformed-quoted-printable'],
  ['=00', '\0'],
];

test('quoted-printable is undone, and what is none is kept and reported', () => {
  for (const [given, text, defect] of QUOTED) {
    const read = decode('quoted-printable', given);
    assert.equal(read.text, text, JSON.stringify(given));
    assert.deepEqual(read.defects, defect === undefined ? [] : [defect], JSON.stringify(given));
  }
});

const BASE64: readonly (readonly [given: string, text: string, defect?: string])[] = [
  ['', ''],
  ['YUB4', 'a@x'],
  ['YUB4\r\nLnRl\r\nc3Q=\r\n', 'a@x.test'],
  ['YUB4LnRlc3Q', 'a@x.test', 'malformed-base64'],
  ['YUB4 LnRl c3Q=', 'a@x.test', 'malformed-base64'],
  ['Y!U*B4', 'a@x', 'malformed-base64'],
  ['YQ==YUB4', 'aa@x', 'malformed-base64'],
  ['-_-_', '\xfb\xff\xbf', 'malformed-base64'],
  ['=', '', 'malformed-base64'],
  ['Y', '', 'malformed-base64'],
];

test('base64 is undone, junk in it is skipped and reported', () => {
  for (const [given, text, defect] of BASE64) {
    const read = decode('base64', given);
    assert.equal(read.text, text, JSON.stringify(given));
    assert.deepEqual(read.defects, defect === undefined ? [] : [defect], JSON.stringify(given));
  }
});

test('base64 that goes on after its padding has also the reading that stops there', () => {
  const { others } = decodeTransfer(Buffer.from('YQ==YUB4'), 'base64');
  assert.deepEqual(others.map(String), [Buffer.from('a').toString()]);
});

test('an unknown encoding leaves the bytes as they are and is a defect', () => {
  assert.deepEqual(decode('x-uuencode', 'a=40'), {
    text: 'a=40',
    defects: ['unknown-transfer-encoding'],
  });
  for (const name of ['', '7bit', '8bit', 'binary']) {
    assert.deepEqual(decode(name, 'a=40'), { text: 'a=40', defects: [] });
  }
});

test("an encoding's name is read whatever surrounds it", () => {
  assert.equal(transferEncodingName(' Quoted-Printable (comment) '), 'quoted-printable');
  assert.equal(transferEncodingName('"BASE64";'), 'base64');
});

test('what base64 and quoted-printable encode comes back', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const base64 = Buffer.from(bytes).toString('base64').replace(/.{76}/g, '$&\r\n');
      const quoted = [...bytes].map((byte) => `=${byte.toString(16).padStart(2, '0')}`).join('');
      for (const [encoding, text] of [
        ['base64', base64],
        ['quoted-printable', quoted],
      ] as const) {
        const read = decodeTransfer(Buffer.from(text), encoding);
        assert.deepEqual(Buffer.from(read.content), Buffer.from(bytes));
        assert.deepEqual(read.defects, []);
      }
    }),
  );
});
