import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDataKey, dataKeySecret, rewrapDataKey, unwrapDataKey } from './data-key.ts';
import { keyringOf, newKeyringDocument, rotated } from './keyring.ts';
import { open, seal } from './seal.ts';

const document = newKeyringDocument([]);
const keyring = keyringOf(document);
const PLAIN = Buffer.from('row');

test('a data key leaves the process wrapped only, and opens with the keyring', () => {
  const { key, stored } = createDataKey(keyring, 'customers');
  const sealed = seal(key, 'customer', 'r', PLAIN);
  assert.equal(stored.wrapped.includes(dataKeySecret(keyring, stored)), false);
  assert.deepEqual(open(unwrapDataKey(keyring, stored), 'customer', 'r', sealed), PLAIN);
});

test('a wrapped key under another name does not open', () => {
  const { stored } = createDataKey(keyring, 'audience:b_1');
  assert.throws(() => unwrapDataKey(keyring, { ...stored, name: 'audience:b_2' }), {
    code: 'keys.seal-broken',
  });
});

test('after rotation the old wrapping opens, the new one opens, and the data is the same', () => {
  const { key, stored } = createDataKey(keyring, 'customers');
  const sealed = seal(key, 'customer', 'r', PLAIN);
  const next = keyringOf(rotated(document, 'kek', null));
  assert.deepEqual(open(unwrapDataKey(next, stored), 'customer', 'r', sealed), PLAIN);
  const fresh = rewrapDataKey(next, stored);
  assert.equal(fresh.kekVersion, 2);
  assert.notDeepEqual(fresh.wrapped, stored.wrapped);
  assert.deepEqual(open(unwrapDataKey(next, fresh), 'customer', 'r', sealed), PLAIN);
});

test('a keyring without that version says so and names the remedy', () => {
  const next = keyringOf(rotated(document, 'kek', null));
  const { stored } = createDataKey(next, 'customers');
  assert.throws(() => unwrapDataKey(keyring, stored), {
    code: 'keys.no-kek',
    where: 'data key customers',
  });
});
