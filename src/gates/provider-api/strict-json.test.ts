import assert from 'node:assert/strict';
import { test } from 'node:test';
import { quickestMs } from '../../../test/support/quickest-ms.ts';
import { readStrictJson } from './strict-json.ts';

const read = (text: string) => readStrictJson(Buffer.from(text));

test('ordinary JSON is read as JSON.parse reads it', () => {
  for (const value of [
    {},
    [],
    null,
    'a"\\{}[],:',
    { a: { b: [1, { c: 'x' }, { c: 'y' }], c: '' }, 'a"b': '\\"', '\\': '"{' },
    { list: [{ email: 'a' }, { email: 'b' }] },
  ]) {
    for (const text of [JSON.stringify(value), JSON.stringify(value, null, 2)]) {
      assert.deepEqual(read(text), { kind: 'value', value });
    }
  }
});

test('a property given twice is refused with its place, however its name is spelled', () => {
  const cases: readonly (readonly [text: string, place: string])[] = [
    ['{"a":1,"a":2}', 'a'],
    ['{"a":1,"\\u0061":2}', 'a'],
    ['{"p":[{"to":[]},{"to":[],"x":{"to":1},"to":[]}]}', 'p.1.to'],
    ['{"a":{"b":1,"b":1}}', 'a.b'],
    ['{"a":["{\\"a\\":",{"k\\\\":1,"k\\\\":2}]}', 'a.1.*'],
    ['{"jo@x.test":1,"jo@x.test":2}', '*'],
  ];
  for (const [text, place] of cases) {
    const reading = read(text);
    assert.equal(reading.kind, 'invalid', text);
    assert.equal(reading.kind === 'invalid' && reading.place, place, text);
  }
});

test('bytes that are no UTF-8, a byte order mark and broken JSON are refused without being quoted', () => {
  const inputs = [
    Buffer.from([0x22, 0xff, 0x22]),
    Buffer.from('\ufeff{}'),
    Buffer.from('{"to":"jo@x.test"'),
    Buffer.from(''),
  ];
  for (const bytes of inputs) {
    const reading = readStrictJson(bytes);
    assert.equal(reading.kind, 'invalid');
    assert.doesNotMatch(JSON.stringify(reading), /jo@/);
  }
});

test('nesting deeper than 32 is refused, and so is a million brackets, in under a second', () => {
  assert.equal(read(`${'['.repeat(32)}${']'.repeat(32)}`).kind, 'value');
  assert.equal(read(`${'['.repeat(33)}${']'.repeat(33)}`).kind, 'invalid');
  const text = '['.repeat(1_000_000) + ']'.repeat(1_000_000);
  const elapsed = quickestMs(1000, () => assert.equal(read(text).kind, 'invalid'));
  assert.ok(elapsed < 1000, `${elapsed} ms`);
});
