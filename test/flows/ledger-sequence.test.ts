import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openCheckpoint, verifierKey } from '../../src/ledger/checkpoint.ts';
import { appendBatch, appendEntry } from '../../src/ledger/ledger.ts';
import { type Sequencer, startSequencer } from '../../src/ledger/sequencer.ts';
import { leafHash, merkleRoot } from '../../src/ledger/tree.ts';
import type { Transaction } from '../../src/store/database.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { entry, newKeyPair, ORIGIN } from '../support/ledger-sample.ts';

const key = newKeyPair();
const open: Sequencer[] = [];
let keeper: TestDatabase;
let current: TestDatabase;

before(async () => {
  keeper = await testDatabase();
});
beforeEach(async () => {
  current = await testDatabase({ poolMax: 30 });
});
afterEach(async () => {
  for (const sequencer of open.splice(0)) await sequencer.close();
  await current.drop();
});
after(() => keeper.drop());

async function sequencer(intervalMs = 60_000, pair = key, origin = ORIGIN): Promise<Sequencer> {
  const { db } = current;
  const started = await startSequencer({
    db,
    key: pair,
    origin,
    anchors: [],
    intervalMs,
    log: () => {},
  });
  open.push(started);
  return started;
}

/** Subjects in the order of the tree, after checking that tree against the last checkpoint. */
async function placed(): Promise<string[]> {
  const { db } = current;
  const rows = await db.query<{ leaf_index: number; bytes: string; leaf_hash: Buffer }>(
    `SELECT leaf_index, bytes, leaf_hash FROM ledger_leaf JOIN ledger_entry ON id = entry_id
     ORDER BY leaf_index`,
  );
  const hashes = rows.map(({ bytes }) => leafHash(Buffer.from(bytes)));
  for (const [i, row] of rows.entries()) {
    assert.equal(row.leaf_index, i);
    assert.deepEqual(row.leaf_hash, hashes[i]);
  }
  const [last] = await db.query<{ note: string; size: number }>(
    'SELECT note, size FROM ledger_checkpoint ORDER BY size DESC LIMIT 1',
  );
  const reading = openCheckpoint(last?.note ?? '', verifierKey(ORIGIN, key.publicKey));
  assert.ok(reading.kind === 'checkpoint');
  assert.equal(reading.checkpoint.size, rows.length);
  assert.deepEqual(reading.checkpoint.root, merkleRoot(hashes));
  return rows.map(({ bytes }) => JSON.parse(bytes).subject);
}

const append = (tx: Transaction, subject: string): Promise<void> =>
  appendEntry(tx, entry('deed.done', subject, {}));
const deed = (subject: string): Promise<void> =>
  current.db.transaction((tx) => append(tx, subject));

test('an entry exists exactly when its deed is committed', async () => {
  const running = await sequencer();
  await deed('kept');
  await assert.rejects(
    current.db.transaction(async (tx) => {
      await append(tx, 'rolled back');
      throw new Error('no');
    }),
    /no/,
  );
  await running.flush();
  assert.deepEqual(await placed(), ['kept']);
});

test('a transaction that commits late loses nothing and breaks no order', async () => {
  const running = await sequencer();
  let finish = (): void => {};
  const held = new Promise<void>((resolve) => {
    finish = resolve;
  });
  let began = (): void => {};
  const hasBegun = new Promise<void>((resolve) => {
    began = resolve;
  });
  const late = current.db.transaction(async (tx) => {
    await append(tx, 'late');
    began();
    await held;
  });
  await hasBegun;
  await deed('first');
  await running.flush();
  assert.deepEqual(await placed(), ['first']);
  await deed('second');
  await running.flush();
  finish();
  await late;
  await deed('after late');
  await running.flush();
  assert.deepEqual(await placed(), ['first', 'second', 'late', 'after late']);
});

test('many transactions at once: every entry has one place, and what depends on another stands after it', async () => {
  const one = await sequencer(1);
  const two = await sequencer(1);
  const chains = Array.from({ length: 20 }, async (_, chain) => {
    for (let step = 0; step < 25; step++)
      await current.db.transaction(async (tx) => {
        await append(tx, `${chain}/${step}`);
        if ((chain + step) % 5 === 0) await sleep(7);
      });
  });
  await Promise.all(chains);
  await Promise.all([one.flush(), two.flush()]);
  const order = await placed();
  assert.equal(order.length, 500);
  assert.equal(new Set(order).size, 500);
  const last = new Map<string, number>();
  for (const subject of order) {
    const [chain = '', step = ''] = subject.split('/');
    assert.equal(Number(step), (last.get(chain) ?? -1) + 1);
    last.set(chain, Number(step));
  }
});

test('a flush covers what was committed before it was asked for, also while another runs', async () => {
  const running = await sequencer();
  for (let i = 0; i < 10; i++) {
    const earlier = running.flush();
    await deed(`deed ${i}`);
    const note = await running.flush();
    await earlier;
    assert.equal(Number(note.split('\n')[1]), i + 1);
  }
});

test('without being asked, a checkpoint follows within the interval', async () => {
  await sequencer(20);
  await deed('one');
  const deadline = performance.now() + 2_000;
  for (;;) {
    const [row] = await current.db.query<{ size: number }>('SELECT size FROM ledger_tree');
    if (row?.size === 1) break;
    assert.ok(performance.now() < deadline);
    await sleep(5);
  }
  assert.deepEqual(await placed(), ['one']);
});

test('the ledger refuses to be changed, emptied or shortened', async () => {
  const running = await sequencer();
  await deed('one');
  await running.flush();
  for (const table of ['ledger_entry', 'ledger_leaf', 'ledger_checkpoint']) {
    const [before] = await current.db.query<{ count: number }>(`SELECT count(*) FROM ${table}`);
    assert.ok((before?.count ?? 0) > 0);
    const column = { ledger_entry: 'bytes', ledger_leaf: 'leaf_hash', ledger_checkpoint: 'note' }[
      table
    ];
    for (const sql of [
      `UPDATE ${table} SET ${column} = ${column}`,
      `DELETE FROM ${table}`,
      `TRUNCATE ${table} CASCADE`,
    ])
      await assert.rejects(current.db.query(sql), /append-only: (UPDATE|DELETE|TRUNCATE) refused/);
    assert.deepEqual(await current.db.query(`SELECT count(*) FROM ${table}`), [before]);
  }
});

test('another key or another name does not go on with the ledger', async () => {
  await (await sequencer()).flush();
  await assert.rejects(sequencer(100, newKeyPair()), { code: 'ledger.key' });
  await assert.rejects(sequencer(100, key, 'ledger.example/other'), { code: 'ledger.key' });
  await assert.rejects(sequencer(100, key, 'two words'), { code: 'ledger.origin' });
});

test('a tree that is not the signed one is not extended', async () => {
  const running = await sequencer();
  await deed('one');
  await running.flush();
  await deed('two');
  for (const change of ['frontier = sha256(frontier)', 'size = 2', 'size = 3']) {
    const [before] = await current.db.query<{ size: number; frontier: Buffer }>(
      'SELECT size, frontier FROM ledger_tree',
    );
    await current.db.query(`UPDATE ledger_tree SET ${change}`);
    await assert.rejects(running.flush(), { code: 'ledger.inconsistent' });
    await current.db.query('UPDATE ledger_tree SET size = $1, frontier = $2', [
      before?.size,
      before?.frontier,
    ]);
  }
  await running.flush();
  assert.deepEqual(await placed(), ['one', 'two']);
});

test('a sequencer that starts again goes on where the last one was', async () => {
  await deed('before any');
  const first = await sequencer();
  await deed('one');
  await first.close();
  await deed('two');
  const second = await sequencer();
  await deed('three');
  await second.flush();
  assert.deepEqual(await placed(), ['before any', 'one', 'two', 'three']);
});

test('a batch carries the count and the root of its rows', async () => {
  const rows = ['a', 'b', 'c'].map((text) => Buffer.from(text));
  await current.db.transaction((tx) =>
    appendBatch(tx, { ...entry('x.recorded', 's', {}), data: { more: 1 } }, rows),
  );
  const [row] = await current.db.query<{ bytes: string }>('SELECT bytes FROM ledger_entry');
  const root = merkleRoot(rows.map(leafHash)).toString('base64');
  assert.deepEqual(JSON.parse(row?.bytes ?? '').data, { more: 1, count: 3, root });
});

test('an entry without a subject or with another form of time is refused', async () => {
  const wrong = [
    entry('x.y', '', {}),
    entry('', 's', {}),
    { ...entry('x.y', 's', {}), at: '2026-11-21 08:00:00' },
  ];
  for (const each of wrong)
    await assert.rejects(
      current.db.transaction((tx) => appendEntry(tx, each)),
      { code: 'ledger.entry' },
    );
});

test('10,000 entries are placed in well under a second', async (t) => {
  const running = await sequencer();
  await current.db.transaction(async (tx) => {
    await tx.query(
      `INSERT INTO ledger_entry (kind, subject, bytes)
       SELECT 'x.y', 's', '{"data":' || g || '}' FROM generate_series(1, 10000) g`,
    );
  });
  const start = performance.now();
  const note = await running.flush();
  const ms = performance.now() - start;
  t.diagnostic(`10,000 entries placed in ${Math.round(ms)} ms`);
  assert.equal(note.split('\n')[1], '10000');
  assert.ok(ms < 3_000, `${ms} ms`);
});
