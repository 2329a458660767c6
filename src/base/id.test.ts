import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newId } from './id.ts';

test('ids are sorted by their second, differ, and fit into URLs and file names', () => {
  const ids = [0, 1_000, 1_700_000_000_000, 1_700_000_001_000, 4_000_000_000_000].map((at) =>
    newId('b', at),
  );
  assert.deepEqual(ids.toSorted(), ids);
  for (const id of ids) assert.match(id, /^b-[0-9a-hjkmnp-tv-z]{17}$/);
  const many = new Set(Array.from({ length: 10_000 }, () => newId('b', 0)));
  assert.equal(many.size, 10_000);
});
