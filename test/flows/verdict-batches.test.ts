/** What the guard's book of verdicts promises about its batches: each is whole, entered once, or nobody's mail goes on. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createGuard, type Guard } from '../../src/guard/check.ts';
import { identityOf } from '../../src/guard/identity.ts';
import { verdictText } from '../../src/guard/verdict-book.ts';
import { leafHash, merkleRoot } from '../../src/ledger/tree.ts';
import { verdictBatch } from '../../src/store/verdicts.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { callOf, settingsOf } from '../support/kept-road.ts';

const SENDER = identityOf('shop', 'transactional');
let database: TestDatabase;
let guard: Guard;
let halted = false;

before(async () => {
  database = await testDatabase();
  guard = createGuard({
    db: database.db,
    settings: settingsOf,
    halted: () => halted,
    circumstances: { assess: async () => ({ reasons: [], campaign: null }) },
    keeper: {
      seal: () => {
        throw new Error('nothing is kept here');
      },
      wake: () => {},
    },
  });
});
after(async () => {
  await guard.close();
  await database.drop();
});

function decide(mark: number): ReturnType<ReturnType<Guard['road']>['decide']> {
  const reader = `ann.${mark}@home.example`;
  const text = `From: office@northwind.example\nTo: ${reader}\nSubject: ${mark}\n\nHello\n`;
  return guard.road('smtp').decide(callOf(text, [reader]), SENDER);
}

interface Batch {
  readonly batch: number;
  readonly count: number;
  readonly root: string;
}

async function batches(): Promise<readonly Batch[]> {
  const rows = await database.db.query<{ bytes: string }>(
    "SELECT bytes FROM ledger_entry WHERE kind = 'verdicts.recorded' ORDER BY id",
  );
  return rows.map(({ bytes }) => (JSON.parse(bytes) as { data: Batch }).data);
}

/** Ids of all verdicts that a ledger entry stands for, after a look at its count and its root. */
async function entered(): Promise<readonly string[]> {
  const ids: string[] = [];
  for (const { batch, count, root } of await batches()) {
    const rows = await verdictBatch(database.db, batch);
    assert.equal(rows.length, count);
    const hashes = rows.map((row) => leafHash(Buffer.from(verdictText(row), 'utf8')));
    assert.equal(merkleRoot(hashes).toString('base64'), root);
    ids.push(...rows.map(({ id }) => id));
  }
  return ids;
}

test('one call is answered after its own commit, without waiting for others', async () => {
  const { action, entry } = await decide(0);
  assert.equal(action, 'forward');
  assert.deepEqual(await entered(), [entry]);
});

test('a call that was judged before a halt and is recorded after it is deferred', async () => {
  const deciding = decide(1);
  halted = true;
  const { action, verdict } = await deciding;
  halted = false;
  assert.deepEqual([action, verdict], ['defer', { kind: 'defer', reasons: ['halted'] }]);
});

test('many calls at once share few batches, and every verdict is entered exactly once', async () => {
  const before = (await batches()).length;
  const decisions = await Promise.all(Array.from({ length: 300 }, (_, i) => decide(i)));
  assert.ok(decisions.every(({ action }) => action === 'forward'));
  const ids = await entered();
  assert.equal(new Set(ids).size, ids.length);
  assert.deepEqual(
    decisions.filter(({ entry }) => !ids.includes(entry)),
    [],
  );
  const made = (await batches()).length - before;
  assert.ok(made <= 300 / 4, `${made} batches for 300 calls`);
});

test('calls that come one after another while others are written are all answered', async () => {
  for (let round = 0; round < 20; round++) {
    const some = Array.from({ length: 1 + (round % 6) }, (_, i) => decide(round * 10 + i));
    await some[0];
    const more = [decide(round * 10 + 7), decide(round * 10 + 8)];
    for (const { action } of await Promise.all([...some, ...more])) assert.equal(action, 'forward');
  }
});

test('a batch that cannot be stored defers every call in it, and the next batch has a number of its own', async () => {
  const { db } = database;
  const before = await batches();
  await db.query('ALTER TABLE verdict ADD CONSTRAINT full_disk CHECK (false) NOT VALID');
  const lost = await Promise.all([decide(1), decide(2), decide(3)]);
  for (const { action, verdict } of lost) {
    assert.equal(action, 'defer');
    assert.deepEqual(verdict, { kind: 'defer', reasons: ['ledger-unavailable'] });
  }
  assert.equal((await batches()).length, before.length, 'no entry without its rows');
  await db.query('ALTER TABLE verdict DROP CONSTRAINT full_disk');
  assert.equal((await decide(4)).action, 'forward');
  const numbers = (await batches()).map(({ batch }) => batch);
  assert.equal(new Set(numbers).size, numbers.length);
  await entered();
});
