import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HashTable } from './customer-index.ts';

/** xorshift32: the same numbers in every run. */
function numbers(seed: number): () => number {
  let x = seed;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return x >>> 0;
  };
}

test('the table answers as a set does, whatever is added and taken away', () => {
  const next = numbers(7);
  const table = new HashTable(1024);
  const set = new Set<string>();
  // Few distinct hashes near the end of the table: collisions, wrap-around, and removals in the middle of runs.
  const high = (): number => (next() % 4 === 0 ? next() : 0xffff_ffff - (next() % 3) * 0x40_0000);
  const low = (): number => next() % 64;
  let found = 0;
  for (let i = 0; i < 60_000; i++) {
    const [h, l] = [high(), low()];
    const key = `${h}:${l === 0 ? 1 : l}`;
    if (next() % 2 === 0 && !table.isFull) {
      table.add(h, l);
      set.add(key);
    } else {
      table.delete(h, l);
      set.delete(key);
    }
    const [h2, l2] = [high(), low()];
    const expected = set.has(`${h2}:${l2 === 0 ? 1 : l2}`);
    if (expected) found++;
    assert.equal(table.has(h2, l2), expected);
  }
  assert.ok(found > 1000);
  assert.equal(table.size, set.size);
});

test('a table that grows loses nothing and stays within 20 bytes for each address', async () => {
  const next = numbers(11);
  let table = new HashTable(0);
  const all: [number, number][] = [];
  for (let i = 0; i < 200_000; i++) {
    const hash: [number, number] = [next(), next()];
    all.push(hash);
    if (table.isFull) table = await table.grown();
    table.add(...hash);
    assert.ok(i < 1000 || table.bytes / table.size <= 20);
  }
  for (const [high, low] of all) assert.ok(table.has(high, low));
  let others = 0;
  for (let i = 0; i < 200_000; i++) if (table.has(next(), next())) others++;
  assert.equal(others, 0);
});
