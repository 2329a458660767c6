import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setNewest } from './newest-last.ts';

test('the entry unused for the longest goes first, and a used one stands last again', () => {
  const map = new Map<string, number>();
  for (const [i, key] of ['a', 'b', 'a', 'c', 'd'].entries()) setNewest(map, key, i, 3);
  assert.deepEqual(
    [...map],
    [
      ['a', 2],
      ['c', 3],
      ['d', 4],
    ],
  );
});
