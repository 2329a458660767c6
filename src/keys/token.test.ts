import assert from 'node:assert/strict';
import { createSecretKey } from 'node:crypto';
import { test } from 'node:test';
import { token, tokenMatches } from './token.ts';

const KEY = createSecretKey(Buffer.alloc(32, 7));

test('a token is the same every time for one place: it is derived, never stored', () => {
  assert.equal(token(KEY, 'unsubscribe', 'b_1', 5), token(KEY, 'unsubscribe', 'b_1', 5));
  assert.match(token(KEY, 'unsubscribe', 'b_1', 5), /^[0-9a-z]{20}$/);
});

test('another purpose, broadcast, position or key gives another token', () => {
  const others = [
    token(KEY, 'unsubscribe', 'b_1', 5),
    token(KEY, 'return-path', 'b_1', 5),
    token(KEY, 'unsubscribe', 'b_2', 5),
    token(KEY, 'unsubscribe', 'b_1', 6),
    token(KEY, 'unsubscribe', 'b_1', 51),
    token(createSecretKey(Buffer.alloc(32, 8)), 'unsubscribe', 'b_1', 5),
  ];
  assert.equal(new Set(others).size, others.length);
});

test('10,000 positions have 10,000 tokens, each of 20 characters', () => {
  const seen = new Set<string>();
  for (let position = 0; position < 10_000; position++) {
    const value = token(KEY, 'message-id', 'b_1', position);
    assert.equal(value.length, 20);
    seen.add(value);
  }
  assert.equal(seen.size, 10_000);
});

test('a token that comes back is good for its own place only', () => {
  const value = token(KEY, 'unsubscribe', 'b_1', 5);
  assert.equal(tokenMatches(value, KEY, 'unsubscribe', 'b_1', 5), true);
  assert.equal(tokenMatches(value, KEY, 'unsubscribe', 'b_1', 6), false);
  assert.equal(tokenMatches(value, KEY, 'return-path', 'b_1', 5), false);
  for (const wrong of ['', value.slice(1), `${value}0`, `${value.slice(0, 19)}é`])
    assert.equal(tokenMatches(wrong, KEY, 'unsubscribe', 'b_1', 5), false);
});
