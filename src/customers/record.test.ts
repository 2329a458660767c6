import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { createDataKey, unwrapDataKey } from '../keys/data-key.ts';
import { keyringOf, newKeyringDocument } from '../keys/keyring.ts';
import { canonicalAddress } from '../mail/address.ts';
import { addressIndex, type CustomerRecord, indexesOf, openRecord, sealRecord } from './record.ts';

const keyring = keyringOf(newKeyringDocument([]));
const { blindIndex } = keyring;
const record: CustomerRecord = {
  key: 'C-1',
  address: 'Ann.Lee@B\u00dcCHER.example',
  kind: 'customer',
  language: 'de',
  fields: { id: 'C-1', name: 'Ann' },
};

function indexes(change: Partial<CustomerRecord>): ReturnType<typeof indexesOf> {
  const changed = { ...record, ...change };
  return indexesOf(blindIndex, changed, canonicalAddress(changed.address) ?? '');
}

test('the same address has one index however it is written', () => {
  const same = [
    'ann.lee@b\u00fccher.example',
    'ANN.LEE@xn--bcher-kva.example',
    '"Ann.Lee"@B\u00fccher.EXAMPLE',
    'ann.lee@bu\u0308cher.example',
  ];
  const wanted = addressIndex(blindIndex, record.address);
  for (const address of same) assert.deepEqual(addressIndex(blindIndex, address), wanted, address);
  for (const address of ['annlee@b\u00fccher.example', 'ann.lee+x@b\u00fccher.example'])
    assert.notDeepEqual(addressIndex(blindIndex, address), wanted, address);
  assert.equal(addressIndex(blindIndex, 'nobody'), null);
});

test('data is equal when address, kind, language and fields are', () => {
  const { data } = indexes({});
  assert.deepEqual(indexes({ address: 'ann.lee@b\u00fccher.example' }).data, data);
  for (const change of [
    { address: 'bob@x.example' },
    { kind: 'staff' },
    { language: 'en' },
    { fields: { id: 'C-1', name: 'Anna' } },
    { fields: { id: 'C-1' } },
  ] as const)
    assert.notDeepEqual(indexes(change).data, data, JSON.stringify(change));
});

test('indexes of different columns and of different keyrings cannot be compared', () => {
  const {
    address,
    record: own,
    data,
  } = indexes({ key: 'ann@x.example', address: 'ann@x.example' });
  assert.notDeepEqual(address, own);
  assert.notDeepEqual(address, data);
  const other = keyringOf(newKeyringDocument([])).blindIndex;
  assert.notDeepEqual(addressIndex(other, 'ann@x.example'), address);
});

test('a sealed record opens in its own place only, and names nobody in clear', () => {
  const name = 'customers';
  const { stored } = createDataKey(keyring, name);
  const key = unwrapDataKey(keyring, stored);
  const { record: index } = indexes({});
  const sealed = sealRecord(key, index, record);
  assert.deepEqual(openRecord(key, index, sealed), {
    key: record.key,
    address: record.address,
    fields: record.fields,
  });
  assert.equal(sealed.includes('Ann'), false);
  assert.throws(() => openRecord(key, randomBytes(16), sealed));
});
