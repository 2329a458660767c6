/** A ring opens only if the key in DNS is the one that signed. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { letOn } from '../../src/broadcast/let-on.ts';
import { keyringOf, newKeyringDocument } from '../../src/keys/keyring.ts';
import { approvedBroadcast } from '../support/approved-broadcast.ts';

const PEOPLE = 60;

test('a release is held while DNS shows another key, and goes on once ours is published', async () => {
  const { house, sink, broadcast, close } = await approvedBroadcast({
    people: PEOPLE,
    keyring: keyringOf(newKeyringDocument(['northwind-exchange.com'])),
    edit: (text) => text.replaceAll('@northwind.example', '@northwind-exchange.com'),
  });
  const published = house.keyring.dkim('northwind-exchange.com')?.publicKey ?? '';
  let record = 'v=DKIM1; k=rsa; p=bm90IG91cnM=';
  const asked: string[] = [];
  const resolveTxt = async (name: string): Promise<string[][]> => {
    asked.push(name);
    return [[record]];
  };
  try {
    const held = await house.release(broadcast, { resolveTxt });
    assert.equal(held.kind, 'held');
    assert.equal(sink.taken(), 0);
    assert.match(asked[0] ?? '', /\._domainkey\.northwind-exchange\.com$/);
    record = `v=DKIM1; k=rsa; p=${published}`;
    await letOn(house.db, broadcast, 'bob', 'the record is published', false);
    assert.deepEqual(await house.release(broadcast, { resolveTxt }), { kind: 'complete' });
    assert.equal(await sink.reaches(PEOPLE, 5000), true);
  } finally {
    await close();
  }
});
