/** People can only be left out after the freeze, each with a reason, and the sum stays the audience. */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { accountOf } from '../../src/broadcast/account.ts';
import { cancelBroadcast } from '../../src/broadcast/cancel.ts';
import { changeSuppressions, withdraw } from '../../src/broadcast/leave-out.ts';
import { Release } from '../../src/broadcast/release.ts';
import { testDatabase } from '../support/database.ts';
import { walkToApproval } from '../support/road.ts';
import { keptCounts, startSink } from '../support/sink-process.ts';

const PEOPLE = 120;

test('suppressed and withdrawn people get nothing, and are shown in the sum', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'undisclosed-leave-out-'));
  const sink = await startSink(join(folder, 'log'));
  const { db, drop } = await testDatabase();
  const road = await walkToApproval({
    db,
    people: PEOPLE,
    route: `smtp://127.0.0.1:${sink.port}?tls=none`,
    notice: (files) => {
      files['notice.json'] = (files['notice.json'] ?? '').replace('"legal"', '"service"');
    },
  });
  try {
    const [asked, unsubscribed, named] = road.addresses as [string, string, string];
    for (const [address, reason] of [
      [asked, 'asked'],
      [unsubscribed, 'unsubscribed'],
    ] as const)
      await changeSuppressions(db, road.keyring, {
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
    assert.deepEqual(await withdraw(db, road.keyring, road.broadcast, request), {
      withdrawn: 1,
      given: 2,
    });
    const release = await Release.start(road.environment, road.broadcast, 'alice');
    assert.deepEqual(await release.done, { kind: 'complete' });
    const account = await accountOf(db, road.broadcast);
    // A service notice still goes to those who unsubscribed from newsletters.
    assert.deepEqual(account.states, { accepted: PEOPLE - 2, suppressed: 1, withdrawn: 1 });
    assert.equal(account.addsUp, true);
    const readers = new Set(keptCounts(await sink.events()).keys());
    assert.equal(readers.size, PEOPLE - 2);
    assert.equal(readers.has(asked) || readers.has(named), false);
    assert.equal(readers.has(unsubscribed), true);
  } finally {
    await road.clean();
    await drop();
    await sink.stop();
    await rm(folder, { recursive: true, force: true });
  }
});

test('a cancelled broadcast ends with everybody in a final state and no signatures', async () => {
  const { db, drop } = await testDatabase();
  const road = await walkToApproval({ db, people: PEOPLE, route: 'smtp://127.0.0.1:9?tls=none' });
  try {
    const request = { operator: 'bob', reason: 'the change was called off', releasing: false };
    await assert.rejects(
      cancelBroadcast(db, road.keyring, road.broadcast, { ...request, reason: ' ' }),
      { code: 'broadcast.no-reason' },
    );
    const report = await cancelBroadcast(db, road.keyring, road.broadcast, request);
    assert.equal(report.cancelled, PEOPLE);
    const account = await accountOf(db, road.broadcast);
    assert.deepEqual(account.states, { cancelled: PEOPLE });
    assert.equal(account.addsUp, true);
    const [signed] = await db.query<{ n: number }>('SELECT count(*)::int AS n FROM signed');
    assert.equal(signed?.n, 0);
    await assert.rejects(Release.start(road.environment, road.broadcast, 'alice'), {
      code: 'broadcast.wrong-state',
    });
  } finally {
    await road.clean();
    await drop();
  }
});
