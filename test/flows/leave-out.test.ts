/** People can only be left out after the freeze, each with a reason, and the sum stays the audience. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accountOf } from '../../src/broadcast/account.ts';
import { cancelBroadcast } from '../../src/broadcast/cancel.ts';
import { changeSuppressions, withdraw } from '../../src/broadcast/leave-out.ts';
import { approvedBroadcast } from '../support/approved-broadcast.ts';
import { keptCounts } from '../support/sink-process.ts';

const PEOPLE = 120;

test('suppressed and withdrawn people get nothing, and are shown in the sum', async () => {
  const { house, sink, broadcast, addresses, close } = await approvedBroadcast({
    people: PEOPLE,
    edit: (text) => text.replace('"legal"', '"service"'),
  });
  const { db, keyring } = house;
  try {
    const [asked, unsubscribed, named] = addresses as [string, string, string];
    for (const [address, reason] of [
      [asked, 'asked'],
      [unsubscribed, 'unsubscribed'],
    ] as const)
      await changeSuppressions(db, keyring, {
        deed: 'add',
        addresses: [address.toUpperCase()],
        reason,
        operator: 'bob',
      });
    const request = {
      addresses: [named, 'nobody@elsewhere.example'],
      reason: 'left',
      operator: 'bob',
    };
    assert.deepEqual(await withdraw(db, keyring, broadcast, request), { withdrawn: 1, given: 2 });
    assert.deepEqual(await house.release(broadcast), { kind: 'complete' });
    const account = await accountOf(db, broadcast);
    // A service notice still goes to those who unsubscribed from newsletters.
    assert.deepEqual(account.states, { accepted: PEOPLE - 2, suppressed: 1, withdrawn: 1 });
    assert.equal(account.addsUp, true);
    const readers = new Set(keptCounts(await sink.events()).keys());
    assert.equal(readers.size, PEOPLE - 2);
    assert.equal(readers.has(asked) || readers.has(named), false);
    assert.equal(readers.has(unsubscribed), true);
  } finally {
    await close();
  }
});

test('a cancelled broadcast ends with everybody in a final state and no signatures', async () => {
  const { house, broadcast, close } = await approvedBroadcast({ people: PEOPLE });
  const { db, keyring } = house;
  try {
    const request = { operator: 'bob', reason: 'the change was called off', releasing: false };
    await assert.rejects(cancelBroadcast(db, keyring, broadcast, { ...request, reason: ' ' }), {
      code: 'broadcast.no-reason',
    });
    const report = await cancelBroadcast(db, keyring, broadcast, request);
    assert.equal(report.cancelled, PEOPLE);
    const account = await accountOf(db, broadcast);
    assert.deepEqual(account.states, { cancelled: PEOPLE });
    assert.equal(account.addsUp, true);
    const [signed] = await db.query<{ n: number }>('SELECT count(*)::int AS n FROM signed');
    assert.equal(signed?.n, 0);
    await assert.rejects(house.start(broadcast), { code: 'broadcast.wrong-state' });
  } finally {
    await close();
  }
});
