import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newSealingKey, open, type SealingKey, seal, sealingKey } from './seal.ts';

const PLAIN = Buffer.from('["k-1","mira.lind@mail.example",{}]');
const broken = { name: 'Fault', code: 'keys.seal-broken' };

test('a sealed row opens in its own place with its own key', () => {
  const key = newSealingKey();
  assert.deepEqual(open(key, 'customer', 'row-1', seal(key, 'customer', 'row-1', PLAIN)), PLAIN);
  assert.deepEqual(
    open(key, 'customer', 0, seal(key, 'customer', 0, Buffer.alloc(0))),
    Buffer.alloc(0),
  );
});

test('it opens in no other table or row, and under no other version or key', () => {
  const key = newSealingKey();
  const sealed = seal(key, 'customer', 'row-1', PLAIN);
  const places: readonly (readonly [SealingKey, string, string])[] = [
    [key, 'prepared', 'row-1'],
    [key, 'customer', 'row-2'],
    [key, 'customer', 'row-1\0'],
    [{ version: 2, key: key.key }, 'customer', 'row-1'],
    [newSealingKey(), 'customer', 'row-1'],
  ];
  for (const [other, table, row] of places)
    assert.throws(() => open(other, table, row, sealed), broken, `${table} ${row}`);
});

test('one changed bit anywhere, a missing byte or a further one, and it does not open', () => {
  const key = newSealingKey();
  const sealed = seal(key, 'customer', 'row-1', PLAIN);
  for (let at = 0; at < sealed.length; at++) {
    const changed = Buffer.from(sealed);
    changed[at] = (changed[at] ?? 0) ^ 1;
    assert.throws(() => open(key, 'customer', 'row-1', changed), broken, `byte ${at}`);
  }
  for (const wrong of [
    sealed.subarray(0, -1),
    sealed.subarray(1),
    Buffer.concat([sealed, Buffer.alloc(1)]),
    sealed.subarray(0, 20),
    Buffer.alloc(0),
  ])
    assert.throws(() => open(key, 'customer', 'row-1', wrong), broken);
});

test('the fault names the place and holds nothing of the content', () => {
  const key = newSealingKey();
  const sealed = seal(key, 'customer', 'row-1', PLAIN);
  assert.throws(
    () => open(key, 'customer', 'row-2', sealed),
    (error: Error & { where?: string }) =>
      error.where === 'customer row row-2' && !error.message.includes('mira'),
  );
});

test('no nonce comes twice in 5,000 seals, and equal rows look different', () => {
  const key = newSealingKey();
  const nonces = new Set<string>();
  for (let i = 0; i < 5000; i++)
    nonces.add(seal(key, 'customer', 'row-1', PLAIN).toString('hex', 0, 12));
  assert.equal(nonces.size, 5000);
});

test('a key of another length than 32 bytes is refused', () => {
  assert.throws(() => sealingKey(Buffer.alloc(31), 1), { code: 'keys.malformed' });
  assert.equal(sealingKey(Buffer.alloc(32), 1).version, 1);
});
