import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { Fault } from '../../src/base/errors.ts';
import { BinaryCopy, readBinaryCopy } from '../../src/store/copy-binary.ts';
import { type Database, openDatabase } from '../../src/store/database.ts';
import { sqlStateOf } from '../../src/store/database-fault.ts';
import { migrate } from '../../src/store/migrate.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'database-pool-'));
let current: TestDatabase;
let db: Database;

before(async () => {
  current = await testDatabase({ migrated: false });
  ({ db } = current);
  await db.query('CREATE TABLE thing (id int PRIMARY KEY, label text, body bytea, big bigint)');
});
after(async () => {
  await current.drop();
  rmSync(folder, { recursive: true, force: true });
});

const code = (expected: string) => (error: unknown) =>
  error instanceof Fault && error.code === expected;

test('int8 is a number while that is exact, then a bigint; bytea is a buffer', async () => {
  const [row] = await db.query(
    "SELECT 9007199254740991::int8 AS safe, 9007199254740992::int8 AS big, '\\x00ff'::bytea AS bytes, 0.1::numeric AS exact",
  );
  assert.deepEqual(row, {
    safe: 9_007_199_254_740_991,
    big: 9_007_199_254_740_992n,
    bytes: Buffer.from([0, 255]),
    exact: '0.1',
  });
});

test('a transaction commits whole or not at all', async () => {
  const failure = new Error('mine');
  const work = db.transaction(async (tx) => {
    await tx.query("INSERT INTO thing VALUES (1, 'a')");
    throw failure;
  });
  await assert.rejects(work, failure);
  assert.equal((await db.query('SELECT FROM thing')).length, 0);
  await db.transaction((tx) => tx.query("INSERT INTO thing VALUES (1, 'a')"));
  assert.equal((await db.query('SELECT FROM thing')).length, 1);
});

test('a transaction whose failure was swallowed does not count as stored', async () => {
  const work = db.transaction(async (tx) => {
    await tx.query("INSERT INTO thing VALUES (2, 'b')");
    await tx.query('SELECT 1/0').catch(() => {});
  });
  await assert.rejects(work, code('database.rolled-back'));
  assert.equal((await db.query('SELECT FROM thing WHERE id = 2')).length, 0);
});

test('faults name the constraint and its SQLSTATE, never the value', async () => {
  const secret = 'ada@mail.example';
  await db.query('CREATE TABLE person (address text UNIQUE, age int)');
  await db.query('INSERT INTO person VALUES ($1, 1)', [secret]);
  for (const params of [
    [secret, '2'],
    ['other', secret],
  ]) {
    const error = await db.query('INSERT INTO person VALUES ($1, $2)', params).then(
      () => assert.fail('it must fail'),
      (reason: unknown) => reason as Fault,
    );
    assert.equal(error.code, 'database.failed');
    assert.ok(['23505', '22P02'].includes(sqlStateOf(error) ?? ''));
    assert.doesNotMatch(
      `${error.stack} ${JSON.stringify(error)} ${JSON.stringify(error.cause)}`,
      /ada/,
    );
  }
});

test('rows go in and out by binary COPY', async () => {
  const copy = new BinaryCopy(['int4', 'text', 'bytea', 'int8']);
  copy.row(10, 'Grüße', Buffer.from([1, 2]), 2n ** 62n);
  copy.row(11, null, null, -1);
  const taken = await db.copyIn('COPY thing FROM STDIN (FORMAT BINARY)', [copy.take()]);
  assert.equal(taken, 2);
  const found: (string | undefined)[] = [];
  const stream = db.copyOut(
    'COPY (SELECT label, big FROM thing WHERE id >= $1 AND label IS DISTINCT FROM $2 ORDER BY id) TO STDOUT (FORMAT BINARY)',
    [10, "it's"],
  );
  for await (const rows of readBinaryCopy(stream))
    for (const [label, big] of rows) found.push(`${label} ${big?.readBigInt64BE()}`);
  assert.deepEqual(found, [`Grüße ${2n ** 62n}`, 'null -1']);
});

test("an error of a COPY's source stops it, is thrown as it is, and stores nothing", async () => {
  const failure = new Fault('customers.blank-cell', 'mine');
  async function* rows(): AsyncGenerator<Buffer> {
    const copy = new BinaryCopy(['int4', 'text', 'bytea', 'int8']);
    copy.row(20, 'x', null, null);
    yield copy.take();
    throw failure;
  }
  const sql = 'COPY thing FROM STDIN (FORMAT BINARY)';
  await assert.rejects(db.copyIn(sql, rows()), failure);
  await assert.rejects(
    db.transaction((tx) => tx.copyIn(sql, rows())),
    failure,
  );
  assert.equal((await db.query('SELECT FROM thing WHERE id = 20')).length, 0);
  assert.equal((await db.query('SELECT 1 AS one')).length, 1);
});

test('an error of the server during a COPY ends the source and is a fault', async () => {
  let pulled = 0;
  async function* rows(): AsyncGenerator<Buffer> {
    for (; pulled < 1000; pulled++) {
      yield Buffer.from(pulled === 0 ? 'not a number\n' : `${'x'.repeat(100_000)}\n`);
      await sleep(1);
    }
  }
  await assert.rejects(db.copyIn('COPY thing (id) FROM STDIN', rows()), code('database.failed'));
  assert.ok(pulled < 1000);
});

test('a COPY that nobody reads to its end does not spoil the pool', async () => {
  for (let i = 0; i < 15; i++) {
    const stream = db.copyOut('COPY (SELECT g FROM generate_series(1, 500000) g) TO STDOUT');
    for await (const chunk of stream) if (chunk.length > 0) break;
  }
  assert.equal((await db.query('SELECT 1 AS one')).length, 1);
});

test('in a transaction, statements asked for at once run one after another', async () => {
  const results = await db.transaction((tx) =>
    Promise.all([1, 2, 3].map((n) => tx.query('SELECT $1::int AS n', [n]))),
  );
  assert.deepEqual(
    results.map(([row]) => row?.n),
    [1, 2, 3],
  );
});

test('a statement in the middle of a COPY of the same transaction is refused, not stuck', async () => {
  await db.transaction(async (tx) => {
    for await (const _ of tx.copyOut('COPY (SELECT 1) TO STDOUT'))
      await assert.rejects(tx.query('SELECT 1'), code('database.busy'));
    assert.equal((await tx.query('SELECT 1 AS one')).length, 1);
  });
});

test('a connection that is ended is replaced; work under way is a fault', async () => {
  const other = await openDatabase(current.connection, { poolMax: 1 });
  const end = (): Promise<unknown> =>
    db.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND pid <> pg_backend_pid()`,
    );
  const work = other.query('SELECT pg_sleep(10)');
  const gone = assert.rejects(work, code('database.gone'));
  await sleep(50);
  await end();
  await gone;
  assert.equal((await other.query('SELECT 1 AS one')).length, 1);
  const inTransaction = other.transaction(async (tx) => {
    await tx.query('SELECT 1');
    await end();
    await sleep(20);
    await tx.query('SELECT 1');
  });
  await assert.rejects(inTransaction, code('database.gone'));
  assert.equal((await other.query('SELECT 1 AS one')).length, 1);
  await other.close();
});

test('messages of a channel arrive, and after a lost connection the listener is told to look again', async () => {
  const heard: string[] = [];
  const until = async (count: number): Promise<void> => {
    for (let i = 0; i < 300 && heard.length < count; i++) await sleep(10);
  };
  const stop = await db.listen('some_channel', (payload) => heard.push(payload));
  await db.query("SELECT pg_notify('some_channel', 'one')");
  await until(1);
  await db.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND query LIKE 'LISTEN%'`,
  );
  await until(2);
  await db.query("SELECT pg_notify('some_channel', 'two')");
  await until(3);
  await stop();
  await db.query("SELECT pg_notify('some_channel', 'three')");
  await sleep(50);
  assert.deepEqual(heard, ['one', '', 'two']);
});

test('a server that cannot be reached is one clear fault', async () => {
  const nowhere = { socketDir: folder, port: 1, user: 'a', database: 'b' };
  await assert.rejects(openDatabase(nowhere), code('database.unreachable'));
  await assert.rejects(
    openDatabase({ url: 'postgresql://someone:secret@127.0.0.1:1/x' }),
    (error: Error) => code('database.unreachable')(error) && !/secret/.test(String(error.stack)),
  );
});

test('migrations run once, in order, also when two processes start together', async () => {
  const scratch = await testDatabase({ migrated: false });
  const files = mkdtempSync(path.join(folder, 'migrations-'));
  const url = pathToFileURL(`${files}/`);
  const put = (name: string, sql: string): void => writeFileSync(path.join(files, name), sql);
  put('0001-a.sql', 'CREATE TABLE a (n int); INSERT INTO a VALUES (1);');
  put('0002-b.sql', 'ALTER TABLE a ADD m int;');
  const results = await Promise.all([migrate(scratch.db, url), migrate(scratch.db, url)]);
  assert.deepEqual(results.flatMap(({ applied }) => applied).sort(), ['0001-a.sql', '0002-b.sql']);
  assert.equal((await scratch.db.query('SELECT FROM a')).length, 1);
  put('0003-broken.sql', 'CREATE TABLE c (n int); SELECT 1/0;');
  await assert.rejects(migrate(scratch.db, url), code('database.failed'));
  assert.deepEqual(await scratch.db.query("SELECT to_regclass('c') AS c"), [{ c: null }]);
  put('0003-broken.sql', 'CREATE TABLE c (n int);');
  assert.deepEqual((await migrate(scratch.db, url)).applied, ['0003-broken.sql']);
  put('0002-a-late-one.sql', 'SELECT 1;');
  await assert.rejects(migrate(scratch.db, url), code('migrate.order'));
  rmSync(path.join(files, '0002-a-late-one.sql'));
  put('0001-a.sql', 'CREATE TABLE a (n bigint);');
  await assert.rejects(migrate(scratch.db, url), code('migrate.changed'));
  rmSync(path.join(files, '0001-a.sql'));
  await assert.rejects(migrate(scratch.db, url), code('migrate.unknown'));
  await scratch.drop();
});

test('a million rows of 300 bytes go in and out in seconds', async (t) => {
  const count = Number(process.env.UNDISCLOSED_ROWS ?? 100_000);
  await db.query('CREATE UNLOGGED TABLE wide (id int, label text, body bytea)');
  const body = Buffer.alloc(280, 7);
  function* rows(): Generator<Buffer> {
    const copy = new BinaryCopy(['int4', 'text', 'bytea']);
    for (let i = 0; i < count; i++) {
      copy.row(i, 'en', body);
      if (copy.length > 200_000) yield copy.take();
    }
    yield copy.take();
  }
  const start = performance.now();
  assert.equal(await db.copyIn('COPY wide FROM STDIN (FORMAT BINARY)', rows()), count);
  const middle = performance.now();
  let read = 0;
  for await (const batch of readBinaryCopy(db.copyOut('COPY wide TO STDOUT (FORMAT BINARY)')))
    read += batch.length;
  const end = performance.now();
  assert.equal(read, count);
  t.diagnostic(
    `${count} rows: in ${Math.round(middle - start)} ms, out ${Math.round(end - middle)} ms`,
  );
  assert.ok(end - start < count / 50, 'fewer than 50,000 rows a second');
});
