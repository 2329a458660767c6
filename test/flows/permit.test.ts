/** The permit against a real database: one sender at a time, half a second at most, and a halt ends it for good. */

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { PERMIT_MS_MAX, Permit, type PermitState } from '../../src/broadcast/permit.ts';
import type { Database, Transaction } from '../../src/store/database.ts';
import { findPermit, insertHalt, liftHalt, takePermit } from '../../src/store/permits-and-halts.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';

interface Taken {
  readonly permit: Permit;
  readonly states: readonly PermitState[];
  /** How often coverage was asked for, and which of these was the last to be granted. */
  readonly counts: { asked: number; granted: number };
  /** Whether the permit was good when it was told that it is granted. */
  readonly goodWhenGranted: readonly boolean[];
}

const RENEWALS_MS = 350;

describe('a permit', () => {
  let database: TestDatabase;
  let db: Database;
  let folder = '';
  let made = 0;
  const open: Permit[] = [];

  before(async () => {
    database = await testDatabase();
    db = database.db;
    folder = await mkdtemp(join(tmpdir(), 'undisclosed-permit-'));
  });
  afterEach(async () => {
    for (const permit of open.splice(0)) await permit.close();
  });
  after(async () => {
    await database.drop();
    await rm(folder, { recursive: true, force: true });
  });

  const newBroadcast = (): string => `b-${++made}`;
  const haltFile = (broadcast: string): string => join(folder, `${broadcast}.halt`);

  async function take(broadcast: string, sender: string): Promise<Taken | null> {
    const states: PermitState[] = [];
    const counts = { asked: 0, granted: 0 };
    const goodWhenGranted: boolean[] = [];
    const permit: Permit | null = await Permit.take({
      db,
      broadcast,
      sender,
      haltFile: haltFile(broadcast),
      cover: () => {
        counts.asked++;
        return [0, counts.asked];
      },
      granted: () => {
        counts.granted = counts.asked;
        goodWhenGranted.push(permit?.valid ?? false);
      },
      changed: (state) => states.push(state),
    });
    if (permit === null) return null;
    open.push(permit);
    return { permit, states, counts, goodWhenGranted };
  }

  async function mustTake(broadcast: string, sender: string): Promise<Taken> {
    const taken = await take(broadcast, sender);
    assert.ok(taken !== null, `${sender} gets it`);
    return taken;
  }

  /** As if it had been granted that long ago. */
  async function age(on: Database | Transaction, broadcast: string, ms: number): Promise<void> {
    await on.query(
      `UPDATE permit SET granted_at = clock_timestamp() - $2::float8 * interval '1 millisecond'
        WHERE broadcast_id = $1`,
      [broadcast, ms],
    );
  }

  async function until(what: string, holds: () => boolean): Promise<void> {
    const end = performance.now() + 3000;
    while (!holds()) {
      assert.ok(performance.now() < end, `not in time: ${what}`);
      await sleep(5);
    }
  }

  test('is one sender’s, and another’s at once when it is given back', async () => {
    const broadcast = newBroadcast();
    const { permit } = await mustTake(broadcast, 'one');
    assert.equal(permit.valid, true);
    assert.equal(await take(broadcast, 'two'), null);
    await sleep(PERMIT_MS_MAX + 100);
    assert.equal(permit.valid, true, 'it is renewed by itself');
    await permit.close();
    const { epoch } = permit;
    assert.deepEqual(await findPermit(db, broadcast), { sender: 'one', epoch, covered: [] });
    assert.equal((await mustTake(broadcast, 'two')).permit.epoch, epoch + 1);
    await sleep(RENEWALS_MS);
    assert.equal((await findPermit(db, broadcast))?.sender, 'two', 'the first renews no more');
  });

  test('of a sender that is gone is another’s after two seconds, not before', async () => {
    const broadcast = newBroadcast();
    const epoch = await takePermit(db, broadcast, 'gone', 0);
    await age(db, broadcast, 1900);
    assert.equal(await take(broadcast, 'two'), null);
    await age(db, broadcast, 2001);
    assert.equal((await mustTake(broadcast, 'two')).permit.epoch, (epoch ?? 0) + 1);
  });

  test('that another has taken meanwhile is lost, and does not come back', async () => {
    const broadcast = newBroadcast();
    const { permit, states } = await mustTake(broadcast, 'one');
    await db.transaction(async (tx) => {
      await age(tx, broadcast, 10_000);
      assert.equal(await takePermit(tx, broadcast, 'two', 2000), permit.epoch + 1);
    });
    await until('lost', () => permit.state.kind === 'lost');
    assert.equal(permit.valid, false);
    await db.query('DELETE FROM permit WHERE broadcast_id = $1', [broadcast]);
    assert.equal(await takePermit(db, broadcast, 'one', 0), permit.epoch);
    await sleep(RENEWALS_MS);
    assert.equal(permit.valid, false, 'even where its own name stands there again');
    assert.deepEqual(states, [{ kind: 'lost' }]);
  });

  test('is good for half a second where the database does not answer, and again when it does', async () => {
    const broadcast = newBroadcast();
    const { permit, states, counts, goodWhenGranted } = await mustTake(broadcast, 'one');
    let granted = 0;
    let told = 0;
    await db.transaction(async (tx) => {
      await tx.query('LOCK TABLE permit IN ACCESS EXCLUSIVE MODE');
      ({ granted } = counts);
      told = goodWhenGranted.length;
      const at = performance.now();
      await until('no longer good', () => !permit.valid);
      assert.ok(performance.now() - at < PERMIT_MS_MAX + 300, 'half a second from its renewal');
      await sleep(PERMIT_MS_MAX);
      assert.ok(counts.granted <= granted + 1, 'what is asked for is not granted');
    });
    await until('good again', () => permit.valid);
    assert.ok(counts.granted > granted);
    assert.ok(goodWhenGranted.slice(told).includes(false), 'its age counts from the question');
    assert.deepEqual(states, [], 'an answer that is late is no failure');
  });

  test('pauses with a reason where the database fails, and goes on by itself', async () => {
    const broadcast = newBroadcast();
    const { permit, states, counts } = await mustTake(broadcast, 'one');
    await db.query('ALTER TABLE permit RENAME TO permit_away');
    try {
      await until('paused', () => permit.state.kind === 'paused');
      assert.equal(permit.valid, false, 'at once, not when its time is up');
      const { asked, granted } = counts;
      await until('asked again', () => counts.asked > asked);
      assert.equal(counts.granted, granted);
    } finally {
      await db.query('ALTER TABLE permit_away RENAME TO permit');
    }
    await until('good again', () => permit.valid);
    assert.deepEqual(
      states.map(({ kind }) => kind),
      ['paused', 'good'],
      'each change is told once',
    );
    assert.match(states[0]?.kind === 'paused' ? states[0].because : '', /\S/);
  });

  for (const scope of ['broadcast', 'bulk', 'everything'] as const)
    test(`ends with a halt of ${scope}, and no lifting of it brings it back`, async () => {
      const broadcast = newBroadcast();
      const { permit, states } = await mustTake(broadcast, 'one');
      const id = `h-${scope}`;
      const of = scope === 'broadcast' ? broadcast : null;
      const halt = { id, scope, broadcast_id: of, by: 'alice', reason: 'a test' };
      await db.transaction((tx) => insertHalt(tx, halt));
      try {
        await until('halted', () => permit.state.kind === 'halted');
        assert.equal(permit.valid, false);
      } finally {
        await db.transaction((tx) => liftHalt(tx, id));
      }
      await sleep(RENEWALS_MS);
      assert.equal(permit.valid, false);
      assert.deepEqual(states, [{ kind: 'halted' }]);
    });

  test('does not mind the halt of another broadcast', async () => {
    const { permit } = await mustTake(newBroadcast(), 'one');
    const halt = { id: 'h-other', scope: 'broadcast', broadcast_id: 'b-other' } as const;
    await db.transaction((tx) => insertHalt(tx, { ...halt, by: 'alice', reason: 'a test' }));
    await sleep(PERMIT_MS_MAX + 100);
    assert.equal(permit.valid, true);
    await db.transaction((tx) => liftHalt(tx, halt.id));
  });

  test('ends with the halt file, and nothing is asked of the database any more', async () => {
    const broadcast = newBroadcast();
    const { permit, counts } = await mustTake(broadcast, 'one');
    await writeFile(haltFile(broadcast), '');
    await until('halted', () => permit.state.kind === 'halted');
    assert.equal(permit.valid, false);
    const { asked } = counts;
    await sleep(RENEWALS_MS);
    assert.equal(counts.asked, asked);
  });

  test('names in the database what was granted, never less', async () => {
    const broadcast = newBroadcast();
    const { permit, counts } = await mustTake(broadcast, 'one');
    for (let i = 0; i < 20; i++) {
      const { granted } = counts;
      const [first, last = 0] = (await findPermit(db, broadcast))?.covered ?? [];
      if (granted > 0) assert.equal(first, 0);
      assert.ok(last >= granted, `${granted} is granted, the database says ${last}`);
      permit.hurry();
      await sleep(5);
    }
    assert.ok(counts.granted > 3);
  });

  test('in a hurry it is renewed at once, and once more however often it is asked for', async () => {
    const { permit, counts } = await mustTake(newBroadcast(), 'one');
    await until('renewed', () => counts.granted > 0);
    const began = counts.asked;
    const at = performance.now();
    for (let i = 0; i < 10; i++) {
      const { asked } = counts;
      for (let n = 0; n < 50; n++) permit.hurry();
      await until('renewed again', () => counts.granted > asked);
    }
    assert.ok(performance.now() - at < 800, 'ten in less than their time of a second');
    assert.ok(counts.asked <= began + 20, `${counts.asked - began} renewals`);
  });
});
