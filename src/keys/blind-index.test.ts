import assert from 'node:assert/strict';
import { createSecretKey } from 'node:crypto';
import { test } from 'node:test';
import { BLIND_INDEX_BYTES, blindIndex } from './blind-index.ts';

const KEY = createSecretKey(Buffer.alloc(32, 7));

test('equal values have equal indexes, and nothing else is to be seen of them', () => {
  const index = blindIndex(KEY, 'address', 'mira@mail.example');
  assert.equal(index.length, BLIND_INDEX_BYTES);
  assert.deepEqual(index, blindIndex(KEY, 'address', 'mira@mail.example'));
  assert.equal(index.includes('mira'), false);
});

test('another value, purpose or key has another index', () => {
  const indexes = [
    blindIndex(KEY, 'address', 'mira@mail.example'),
    blindIndex(KEY, 'address', 'mira@mail.exampl'),
    blindIndex(KEY, 'record', 'mira@mail.example'),
    blindIndex(createSecretKey(Buffer.alloc(32, 8)), 'address', 'mira@mail.example'),
  ].map((index) => index.toString('hex'));
  assert.equal(new Set(indexes).size, indexes.length);
});
