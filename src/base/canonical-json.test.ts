import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { canonicalJson, type Json } from './canonical-json.ts';

test('RFC 8785 section 3.2.3: the example of the standard', () => {
  const value = {
    '\u20ac': 'Euro Sign',
    '\r': 'Carriage Return',
    '\ufb33': 'Hebrew Letter Dalet With Dagesh',
    '1': 'One',
    '\ud83d\ude00': 'Emoji: Grinning Face',
    '\u0080': 'Control',
    '\u00f6': 'Latin Small Letter O With Diaeresis',
  };
  const order = [...canonicalJson(value).matchAll(/:"([^"]+)"/g)].map(([, text]) => text);
  assert.deepEqual(order, [
    'Carriage Return',
    'One',
    'Control',
    'Latin Small Letter O With Diaeresis',
    'Euro Sign',
    'Emoji: Grinning Face',
    'Hebrew Letter Dalet With Dagesh',
  ]);
});

test('numbers and strings are written as ECMAScript does', () => {
  assert.equal(
    canonicalJson([1e21, 1e-7, -0, 4.5, 333333333.3333333]),
    '[1e+21,1e-7,0,4.5,333333333.3333333]',
  );
  assert.equal(canonicalJson('\u20ac$\u000f\nA\'B"\\"/'), '"\u20ac$\\u000f\\nA\'B\\"\\\\\\"/"');
});

test('what has no canonical form is refused', () => {
  for (const value of [
    Number.NaN,
    Number.POSITIVE_INFINITY,
    undefined,
    '\ud800',
    { '\ud800': 1 },
    () => 1,
  ])
    assert.throws(() => canonicalJson([value as Json]), { code: 'json.not-canonical' });
});

test('equal values have one text, whatever the order of their members', () => {
  const shuffled = (value: Json): Json => {
    if (Array.isArray(value)) return value.map(shuffled);
    if (value === null || typeof value !== 'object') return value;
    return Object.fromEntries(
      Object.entries(value)
        .reverse()
        .map(([key, item]) => [key, shuffled(item as Json)]),
    );
  };
  fc.assert(
    fc.property(fc.jsonValue(), (given) => {
      const value = given as Json;
      const text = canonicalJson(value);
      assert.equal(canonicalJson(shuffled(value)), text);
      assert.equal(canonicalJson(JSON.parse(text) as Json), text);
    }),
  );
});
