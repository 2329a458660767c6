import assert from 'node:assert/strict';
import { test } from 'node:test';
import { quickestMs } from '../../test/support/quickest-ms.ts';
import { readParameters } from './parameters.ts';

function read(text: string): {
  value: string;
  parameters: Record<string, string>;
  defects: readonly string[];
} {
  const { value, parameters, defects } = readParameters(text, 100);
  return { value, parameters: Object.fromEntries(parameters), defects };
}

const CASES: readonly (readonly [
  given: string,
  value: string,
  parameters: Record<string, string>,
])[] = [
  ['text/plain', 'text/plain', {}],
  ['Text/HTML; Charset=UTF-8', 'text/html', { charset: 'UTF-8' }],
  [
    'text/plain;charset="utf-8";;format=flowed;',
    'text/plain',
    { charset: 'utf-8', format: 'flowed' },
  ],
  ['text/plain (a; b) ; charset=us-ascii (Plain)', 'text/plain', { charset: 'us-ascii' }],
  ['multipart/mixed; boundary="a\\"b;c"', 'multipart/mixed', { boundary: 'a"b;c' }],
  ['multipart/mixed; boundary="=_a:b=c"', 'multipart/mixed', { boundary: '=_a:b=c' }],
  ['multipart/mixed; boundary=--=_a', 'multipart/mixed', { boundary: '--=_a' }],
  ['attachment; filename=my file.pdf', 'attachment', { filename: 'my file.pdf' }],
  ['attachment; filename="=?utf-8?Q?=C3=BC=2Epdf?="', 'attachment', { filename: 'ü.pdf' }],
  ["attachment; filename*=UTF-8''%e2%82%ac%20rates.pdf", 'attachment', { filename: '€ rates.pdf' }],
  ["attachment; filename*=iso-8859-1'en'%A3", 'attachment', { filename: '£' }],
  [
    "attachment; filename*0*=utf-8''a%40; filename*1=x; filename*2*=%2Etest",
    'attachment',
    { filename: 'a@x.test' },
  ],
  ['attachment; filename*1=b; filename*0=a', 'attachment', { filename: 'ab' }],
  ["attachment; filename=a.txt; filename*=utf-8''b.txt", 'attachment', { filename: 'b.txt' }],
  ['; charset=x', '', { charset: 'x' }],
];

test('a value and its parameters are read, quoted, continued and encoded ones too', () => {
  for (const [given, value, parameters] of CASES) {
    assert.deepEqual(read(given), { value, parameters, defects: [] }, given);
  }
});

test('a parameter given twice keeps both values and is a defect', () => {
  const twice = readParameters('multipart/mixed; boundary=a; boundary=b', 100);
  assert.equal(twice.parameters.get('boundary'), 'a');
  assert.deepEqual(twice.others, [['boundary', 'b']]);
  assert.deepEqual(twice.defects, ['duplicate-parameter']);
});

test('the extended form does not hide the plain one', () => {
  const both = readParameters("a/b; filename=a.txt; filename*=utf-8''b.txt", 100);
  assert.deepEqual(both.others, [['filename', 'a.txt']]);
});

test('what some clients take for part of a value is kept beside the other reading', () => {
  const comment = readParameters('multipart/mixed; boundary=a(b)c', 100);
  assert.equal(comment.parameters.get('boundary'), 'ac');
  assert.deepEqual(comment.others, [['boundary', 'a(b)c']]);
});

test('a cut through a percent code is no cut', () => {
  const { parameters } = readParameters(
    "a/b; name*0*=utf-8''ann%4; name*1*=0x.test; name*2=%40",
    100,
  );
  assert.equal(parameters.get('name'), 'ann@x.test%40');
});

test('parameters that no standard allows are read as far as they go and reported', () => {
  for (const given of ['a/b; =x', 'a/b; x="open', 'a/b; x="a"b', 'a/b; x=a"b']) {
    assert.deepEqual(read(given).defects, ['malformed-content-type'], given);
  }
  assert.deepEqual(readParameters('a/b; a=1; b=2; c=3', 2).defects, ['malformed-content-type']);
});

test('a megabyte of hostile parameters takes well under a second', () => {
  for (const piece of [';', '(', ')', '"', '\\', ';a=', ';a*0=b', ';a="', ";a*='%4", ';(']) {
    const text = `a/b${piece.repeat(1_000_000 / piece.length)}`;
    const elapsed = quickestMs(1_000, () => readParameters(text, 200));
    assert.ok(elapsed < 1_000, `${piece}: ${elapsed} ms`);
  }
});
