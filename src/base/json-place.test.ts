import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { jsonFaultLine } from './json-place.ts';

const CASES: readonly (readonly [text: string, line: number])[] = [
  ['{\n "a": 1\n "b": 2\n}', 3],
  ['{\n "a": 1,\n}', 3],
  ['{\n "a": x\n}', 2],
  ['{\n "a": "x\n}', 2],
  ['{\n "a": [1, 2\n "b"\n]}', 3],
  ['{\n "a": 1\n', 2],
  ['', 1],
  ['{}\n\n{}', 3],
  ['{\n "a": 01\n}', 2],
  ["{\n 'a': 1\n}", 2],
  ['{\n "a": 1 // one\n}', 2],
];

test('the line is that of the first mistake, or the last one where something is missing', () => {
  for (const [text, line] of CASES) {
    assert.throws(() => JSON.parse(text), text);
    assert.equal(jsonFaultLine(text), line, text);
  }
});

test('a mistake put into JSON is never looked for after its line', () => {
  fc.assert(
    fc.property(fc.json(), fc.nat(), fc.constantFrom('}', ']', ',', ':', '?'), (json, n, mark) => {
      const pretty = JSON.stringify(JSON.parse(json), null, 1);
      const at = n % (pretty.length + 1);
      const text = pretty.slice(0, at) + mark + pretty.slice(at);
      try {
        JSON.parse(text);
      } catch {
        const line = jsonFaultLine(text);
        assert.ok(line >= pretty.slice(0, at).split('\n').length);
        assert.ok(line <= text.split('\n').length);
      }
    }),
    { numRuns: 300 },
  );
});
