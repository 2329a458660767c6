/** What is split is sealed before its caller is answered, and sent to each reader alone, once, by whichever process is there. */

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { identityOf } from '../../src/guard/identity.ts';
import type { OutboxOptions } from '../../src/guard/outbox.ts';
import { type Keyring, keyringOf, newKeyringDocument } from '../../src/keys/keyring.ts';
import type { Database } from '../../src/store/database.ts';
import { deliveriesOf } from '../../src/store/kept.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import {
  callOf,
  holdCall,
  type KeptRoad,
  openKeptRoad,
  SENDER,
  splitCall,
  until,
} from '../support/kept-road.ts';
import { type FakeNextHop, startNextHop } from './smtp-relay-next-hop.ts';

const HOUR_MS = 3_600_000;
const NAMES = ['ann', 'bob', 'cyd'];

describe('kept calls', () => {
  let database: TestDatabase;
  let keyring: Keyring;
  let clock = Date.now();
  /** Reader -> reply to RCPT. */
  const replies = new Map<string, string>();
  let next: FakeNextHop;
  const roads: KeptRoad[] = [];

  before(async () => {
    database = await testDatabase();
    keyring = keyringOf(newKeyringDocument([]));
  });
  after(() => database.drop());
  beforeEach(async () => {
    clock = Date.now();
    replies.clear();
    next = await startNextHop({
      reply: (line) => [...replies].find(([name]) => line.startsWith(`RCPT TO:<${name}.`))?.[1],
    });
  });
  afterEach(async () => {
    for (const road of roads.splice(0)) await road.close();
    await database.db.query('DELETE FROM kept');
  });

  async function open(options: Partial<OutboxOptions> = {}): Promise<KeptRoad> {
    const settings = { now: () => clock, ...options };
    const road = await openKeptRoad(database.db, keyring, next.port, settings);
    roads.push(road);
    return road;
  }
  async function keep(road: KeptRoad, mark: string): Promise<string> {
    const decision = await road.guard.road('smtp').decide(splitCall(mark), SENDER);
    assert.equal(decision.action, 'keep');
    return decision.kept ?? '';
  }
  const stateOf = async (id: string): Promise<string> => {
    const rows = await database.db.query<{ state: string }>(
      'SELECT state FROM kept WHERE id = $1',
      [id],
    );
    return rows[0]?.state ?? 'gone';
  };
  const done = (id: string): Promise<void> =>
    until(`${id} is done`, async () => (await stateOf(id)) === 'done');
  const states = async (id: string): Promise<string[]> =>
    (await deliveriesOf(database.db, id)).map(({ state }) => state);
  const entries = async (kind: string, id: string): Promise<Record<string, unknown>[]> => {
    const rows = await database.db.query<{ bytes: string }>(
      'SELECT bytes FROM ledger_entry WHERE kind = $1 AND subject = $2 ORDER BY id',
      [kind, id],
    );
    return rows.map(({ bytes }) => JSON.parse(bytes).data as Record<string, unknown>);
  };
  /** Readers in the order of the copies that the far side has, reports left out. */
  const readers = (): string[] =>
    next.contents
      .filter((content) => !content.includes('multipart/report'))
      .map((content) => /^To: (\w+)\./m.exec(content)?.[1] ?? '');

  test('each reader gets one copy alone, and the ledger tells of the call and of its deliveries', async () => {
    const road = await open();
    const id = await keep(road, 'one');
    await done(id);
    assert.deepEqual(readers().sort(), NAMES);
    for (const content of next.contents)
      assert.equal(content.match(/\w+\.one@home\.example/g)?.length, 1);
    const [kept] = await entries('kept.kept', id);
    assert.equal(kept?.deliveries, 3);
    const delivered = await entries('kept.delivered', id);
    assert.equal(
      delivered.reduce((sum, { count }) => sum + Number(count), 0),
      3,
    );
    const rows = await deliveriesOf(database.db, id);
    assert.deepEqual(
      rows.map(({ upstream_id, attempts }) => [upstream_id, attempts]),
      [
        ['N1', 1],
        ['N1', 1],
        ['N1', 1],
      ],
    );
  });

  test('the bytes stand sealed, and are erased 24 hours after the last delivery', async () => {
    const road = await open();
    const id = await keep(road, 'sealed');
    const stored = async (): Promise<Buffer | null> => {
      const sql = 'SELECT sealed FROM kept WHERE id = $1';
      return (await database.db.query<{ sealed: Buffer | null }>(sql, [id]))[0]?.sealed ?? null;
    };
    await done(id);
    const plain = await road.outbox.openKept(id);
    assert.ok(plain.includes('ann.sealed@home.example'), 'it would be found in clear');
    assert.equal((await stored())?.includes('home.example'), false);
    clock += 25 * HOUR_MS;
    await road.close();
    const later = await open();
    await until('it is erased', async () => (await stored()) === null);
    await assert.rejects(later.outbox.openKept(id), { code: 'guard.erased' });
  });

  test('a retry within 24 hours has the same id and makes nothing new, later it is a call of its own', async () => {
    const road = await open();
    const id = await keep(road, 'again');
    await done(id);
    clock += 23 * HOUR_MS;
    assert.equal(await keep(road, 'again'), id);
    assert.notEqual(await keep(road, 'other'), id);
    const asAnother = identityOf('other-news', 'bulk', { split: true });
    const { kept } = await road.guard.road('smtp').decide(splitCall('again'), asAnother);
    assert.notEqual(kept, id, 'another caller’s call is another call');
    clock += 2 * HOUR_MS;
    const anew = await keep(road, 'again');
    assert.notEqual(anew, id);
    await done(anew);
    assert.equal(readers().length, 12);
  });

  test('the same call to two processes at once is one call', async () => {
    const two = [await open(), await open()];
    for (let i = 0; i < 5; i++) {
      const ids = await Promise.all(two.map((road) => keep(road, `twice${i}`)));
      assert.equal(new Set(ids).size, 1);
      await done(ids[0] ?? '');
    }
    assert.equal(readers().length, 15);
  });

  test('several processes share the work, and nobody gets two copies', async () => {
    const road = await open();
    const others = [await open(), await open()];
    const ids = await Promise.all(
      Array.from({ length: 30 }, (_, i) => keep([road, ...others][i % 3] ?? road, `share${i}`)),
    );
    for (const id of ids) await done(id);
    const shown = next.contents.map((content) => /^To: (\S+)/m.exec(content)?.[1]);
    assert.equal(shown.length, 90);
    assert.equal(new Set(shown).size, 90);
  });

  test('a freeze is asked before each delivery: it stands still, and goes on when it is lifted', async () => {
    const asked: unknown[] = [];
    let frozen = true;
    const road = await open({
      now: Date.now,
      frozen: (identity, campaign) => {
        asked.push([identity, campaign]);
        return frozen;
      },
    });
    const id = await keep(road, 'frozen');
    await until('it was asked', () => asked.length > 0);
    assert.deepEqual(asked[0], ['news', 7]);
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.deepEqual(await states(id), ['waiting', 'waiting', 'waiting']);
    assert.equal(next.commands.length, 0);
    frozen = false;
    await done(id);
    assert.equal(readers().length, 3);
  });

  test('where nobody can say whether it is frozen, it stands still', async () => {
    const road = await open({
      frozen: () => {
        throw new Error('the freezes cannot be read');
      },
    });
    const id = await keep(road, 'unknown');
    await until('it was asked', () => road.log.some((line) => /freeze-unknown/.test(line)));
    assert.deepEqual(await states(id), ['waiting', 'waiting', 'waiting']);
    assert.equal(next.commands.length, 0);
  });

  test('what is deferred is tried again after 1, 5 and 15 minutes and each hour; nobody else waits for it', async () => {
    replies.set('bob', '451 4.2.0 later');
    const road = await open();
    const id = await keep(road, 'later');
    const tried = async (): Promise<number> =>
      (await deliveriesOf(database.db, id))[1]?.attempts ?? 0;
    const dueIn = async (): Promise<number> => {
      const sql = 'SELECT next_at, claimed_by FROM kept WHERE id = $1';
      const [row] = await database.db.query<{ next_at: Date; claimed_by: string | null }>(sql, [
        id,
      ]);
      return row?.claimed_by === null ? (row.next_at.getTime() - clock) / 60_000 : -1;
    };
    for (const [attempt, minutes] of [1, 5, 15, 60, 60].entries()) {
      await until(`attempt ${attempt + 1}`, async () => (await tried()) === attempt + 1);
      await until(`again in ${minutes} minutes`, async () => (await dueIn()) === minutes);
      clock += minutes * 60_000;
    }
    assert.deepEqual(readers().sort(), ['ann', 'cyd']);
    replies.clear();
    clock += HOUR_MS;
    await done(id);
    assert.deepEqual(readers().sort(), NAMES);
  });

  test('after 24 hours of trying it is given up, and the sender is told of exactly that reader', async () => {
    replies.set('bob', '451 4.2.0 later');
    const road = await open();
    const id = await keep(road, 'expired');
    await until('one try', async () => (await deliveriesOf(database.db, id))[1]?.attempts === 1);
    clock += 25 * HOUR_MS;
    await done(id);
    assert.deepEqual(await states(id), ['accepted', 'expired', 'accepted']);
    const reports = next.contents.filter((content) => content.includes('multipart/report'));
    assert.equal(reports.length, 1);
    assert.match(reports[0] ?? '', /Final-Recipient: rfc822; bob\.expired@/);
    assert.doesNotMatch(reports[0] ?? '', /ann\.expired|cyd\.expired/);
    assert.deepEqual(
      (await entries('kept.failed', id)).map(({ states: failed }) => failed),
      [{ expired: 1 }],
    );
  });

  test('a next hop that is not there has taken nothing: it is tried again, not called uncertain', async () => {
    await next.close();
    const road = await open();
    const id = await keep(road, 'absent');
    await until('one try', async () =>
      (await deliveriesOf(database.db, id)).every(({ attempts }) => attempts === 1),
    );
    assert.deepEqual(await states(id), ['waiting', 'waiting', 'waiting']);
  });

  test('what is refused for good is told once, also where the report itself has to be tried again', async () => {
    replies.set('bob', '550 5.1.1 unknown');
    let isDown = true;
    const road = await open();
    const { tellFailed } = road.carrier;
    Object.assign(road.carrier, {
      tellFailed: (...told: Parameters<typeof tellFailed>) =>
        isDown ? Promise.reject(new Error('not now')) : tellFailed(...told),
    });
    const id = await keep(road, 'refused');
    await until('it was tried', () => road.log.some((line) => line.startsWith('guard.untold')));
    assert.equal(await stateOf(id), 'sending');
    isDown = false;
    clock += 6 * 60_000;
    await done(id);
    assert.deepEqual(await states(id), ['accepted', 'refused', 'accepted']);
    const reports = next.contents.filter((content) => content.includes('multipart/report'));
    assert.equal(reports.length, 1);
  });

  test('what a dead process had in the middle is uncertain and is not sent; the rest goes on', async () => {
    const road = await open({ frozen: () => true, now: Date.now });
    const id = await keep(road, 'dead');
    await road.close();
    await database.db.query(
      `UPDATE kept_delivery SET state = 'sending' WHERE kept = $1 AND number = 1`,
      [id],
    );
    await database.db.query(
      `UPDATE kept SET claimed_by = 'dead', next_at = now(),
              claimed_until = clock_timestamp() + interval '400 milliseconds' WHERE id = $1`,
      [id],
    );
    await open({ now: Date.now });
    await new Promise((resolve) => setTimeout(resolve, 150));
    assert.equal(next.commands.length, 0, 'the claim still stands');
    await done(id);
    assert.deepEqual(await states(id), ['accepted', 'uncertain', 'accepted']);
    assert.deepEqual(readers().sort(), ['ann', 'cyd']);
    assert.deepEqual(
      (await entries('kept.failed', id)).map(({ states: failed }) => failed),
      [{ uncertain: 1 }],
    );
    assert.match(next.contents.join('\n'), /Final-Recipient: rfc822; bob\.dead@/, 'they are named');
  });

  test('a worker whose claim was taken over hands nothing over and changes nothing', async () => {
    const { db } = database;
    let isTaken = false;
    const slow: Database = {
      query: async (sql, params) => {
        // After its claim and before its first intent.
        if (!isTaken && sql.startsWith('SELECT number, readers')) {
          await db.query(
            "UPDATE kept SET claimed_by = 'other', claimed_until = now() + interval '1 hour'",
          );
          isTaken = true;
        }
        return db.query(sql, params);
      },
      transaction: (work) => db.transaction(work),
      listen: (channel, onMessage) => db.listen(channel, onMessage),
      copyIn: (sql, chunks) => db.copyIn(sql, chunks),
      copyOut: (sql, params) => db.copyOut(sql, params),
      close: async () => {},
    };
    const road = await open({ db: slow });
    const id = await keep(road, 'fenced');
    await until('it was taken over', () => isTaken);
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal(next.commands.length, 0);
    assert.deepEqual(await states(id), ['waiting', 'waiting', 'waiting']);
    const claimed = await db.query<{ claimed_by: string }>('SELECT claimed_by FROM kept');
    assert.deepEqual(claimed, [{ claimed_by: 'other' }]);
  });

  test('closing settles what is in flight; the next process goes on at once', async () => {
    const road = await open({ now: Date.now });
    const ids = await Promise.all(Array.from({ length: 20 }, (_, i) => keep(road, `close${i}`)));
    await road.close();
    const open20 = "SELECT 1 FROM kept_delivery WHERE state = 'sending'";
    assert.equal((await database.db.query(open20)).length, 0);
    await open({ now: Date.now });
    for (const id of ids) await done(id);
    const uncertain = "SELECT 1 FROM kept_delivery WHERE state <> 'accepted'";
    assert.equal((await database.db.query(uncertain)).length, 0);
    assert.equal(next.contents.length, 60);
  });

  test('what cannot be cut is refused, and what cannot be sealed is deferred; neither is stored', async () => {
    const road = await open();
    const readersOf = ['ann.x@home.example', 'bob.x@home.example'];
    const signed = `DKIM-Signature: v=1; a=rsa-sha256; h=from:to:cc; b=x\nFrom: office@northwind.example\nTo: ${readersOf.join(', ')}\n\nhello\n`;
    const decision = await road.guard.road('smtp').decide(callOf(signed, readersOf), SENDER);
    assert.equal(decision.action, 'refuse');
    const elsewhere = await road.guard.road('nowhere').decide(splitCall('nowhere'), SENDER);
    assert.deepEqual([elsewhere.action, elsewhere.kept], ['defer', null]);
    assert.equal((await database.db.query('SELECT 1 FROM kept')).length, 0);
  });

  test('a hold is kept and not sent', async () => {
    const road = await open();
    const decision = await road.guard.road('smtp').decide(holdCall('held'), SENDER);
    assert.equal(decision.verdict.kind, 'hold');
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.equal(await stateOf(decision.kept ?? ''), 'held');
    assert.equal(next.commands.length, 0);
  });
});
