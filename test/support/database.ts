/**
 * A database of its own for a test file, cloned from a migrated template.
 * The server is the one of DATABASE_URL, or an embedded one that all test processes share: the first starts it, the
 * last one stops it. Its data stays in the temporary folder and makes the next run start faster.
 */

import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { takeProcessLock } from '../../src/base/process-lock.ts';
import { type Connection, type Database, openDatabase } from '../../src/store/database.ts';
import { type EmbeddedServer, startEmbedded } from '../../src/store/embedded.ts';
import { migrate, schemaDigest } from '../../src/store/migrate.ts';

export interface TestDatabase {
  readonly db: Database;
  readonly connection: Connection;
  /** For programs that take DATABASE_URL. */
  readonly url: string;
  /** Closes `db`, removes the database, and stops the server when nobody else uses it. Call it in `after`. */
  drop(): Promise<void>;
}

export interface TestDatabaseOptions {
  /** False gives an empty database. */
  readonly migrated?: boolean;
  readonly poolMax?: number;
}

const TEMPLATE_LOCK = 7_311_999;
const OLD_TEMPLATE_MS = 600_000;
const checkout = createHash('sha256')
  .update(import.meta.url)
  .digest('hex')
  .slice(0, 12);
const folder = path.join('/tmp', `undisclosed-test-${os.userInfo().uid}-${checkout}`);
const users = path.join(folder, 'users');
const ownMark = path.join(users, String(process.pid));

let server: EmbeddedServer | undefined;
let admin: Promise<Database> | undefined;
let open = 0;
let made = 0;

/** A fresh database with the current schema. */
export async function testDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  open++;
  try {
    const { url } = process.env.DATABASE_URL
      ? { url: process.env.DATABASE_URL }
      : { url: await inTurn(join) };
    admin ??= openDatabase({ url }, { poolMax: 4 });
    const server = await admin;
    const template = options.migrated === false ? 'template0' : await migratedTemplate(server, url);
    const name = `test_${process.pid}_${++made}_${randomBytes(4).toString('hex')}`;
    await server.query(`CREATE DATABASE ${name} TEMPLATE ${template} ENCODING 'UTF8'`);
    const connection = { url: withDatabase(url, name) };
    const db = await openDatabase(connection, { poolMax: options.poolMax ?? 10 });
    return { db, connection, url: connection.url, drop: once(() => drop(db, name)) };
  } catch (error) {
    await leave();
    throw error;
  }
}

function once(work: () => Promise<void>): () => Promise<void> {
  let result: Promise<void> | undefined;
  return () => {
    result ??= work();
    return result;
  };
}

async function drop(db: Database, name: string): Promise<void> {
  try {
    await db.close();
    await (await admin)?.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
  } finally {
    await leave();
  }
}

function withDatabase(url: string, name: string): string {
  const changed = new URL(url);
  changed.pathname = `/${name}`;
  return changed.href;
}

async function migratedTemplate(on: Database, url: string): Promise<string> {
  const digest = (await schemaDigest()).slice(0, 16);
  return on.transaction(async (tx) => {
    await tx.query('SELECT pg_advisory_xact_lock($1)', [TEMPLATE_LOCK]);
    const found = await tx.query<{ datname: string }>(
      "SELECT datname FROM pg_database WHERE datname LIKE 'template_test_%'",
    );
    const same = found.find(({ datname }) => datname.endsWith(digest));
    if (same !== undefined) return same.datname;
    // Built under another name: what carries the digest is whole.
    const building = `building_test_${randomBytes(4).toString('hex')}`;
    const template = `template_test_${Date.now()}_${digest}`;
    await on.query(`CREATE DATABASE ${building} TEMPLATE template0 ENCODING 'UTF8'`);
    try {
      const db = await openDatabase({ url: withDatabase(url, building) }, { poolMax: 1 });
      try {
        await migrate(db);
      } finally {
        await db.close();
      }
      await renameDatabase(on, building, template);
    } catch (error) {
      await on.query(`DROP DATABASE IF EXISTS ${building} WITH (FORCE)`);
      throw error;
    }
    await sweepTemplates(on, found);
    return template;
  });
}

/** A session that has said goodbye may be there for a moment longer. */
async function renameDatabase(on: Database, from: string, to: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await on.query(`ALTER DATABASE ${from} RENAME TO ${to}`);
      return;
    } catch (error) {
      if (attempt === 100) throw error;
      await sleep(20);
    }
  }
}

async function sweepTemplates(on: Database, found: readonly { datname: string }[]): Promise<void> {
  for (const { datname } of found) {
    const madeAt = Number(datname.split('_')[2]);
    if (Date.now() - madeAt < OLD_TEMPLATE_MS) continue;
    await on.query(`DROP DATABASE IF EXISTS ${datname}`).catch(() => {});
  }
}

/** Databases of test processes that were killed. */
async function sweepDatabases(url: string): Promise<void> {
  const db = await openDatabase({ url }, { poolMax: 1 });
  const found = await db.query<{ datname: string }>(
    "SELECT datname FROM pg_database WHERE datname LIKE 'test_%'",
  );
  for (const { datname } of found) {
    if (isRunning(Number(datname.split('_')[1]))) continue;
    await db.query(`DROP DATABASE IF EXISTS ${datname} WITH (FORCE)`).catch(() => {});
  }
  await db.close();
}

/** One process at a time, for as long as `work` runs. */
async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const lock = await takeProcessLock('undisclosed-test', folder, Number.POSITIVE_INFINITY);
  try {
    return await work();
  } finally {
    await lock?.release();
  }
}

/** Says that this process uses the server, and starts it where it is not running. */
async function join(): Promise<string> {
  const isFirst = server === undefined;
  if (isFirst) {
    mkdirSync(folder, { recursive: true, mode: 0o711 });
    mkdirSync(users, { recursive: true });
    writeFileSync(ownMark, '');
  }
  server ??= await startEmbedded({ dataDir: folder });
  const { connection } = server;
  if ('url' in connection) return connection.url;
  const { socketDir, port, user, database } = connection;
  const url = `postgresql://${user}@localhost:${port}/${database}?host=${encodeURIComponent(socketDir)}`;
  if (isFirst) {
    process.once('exit', leaveAtExit);
    await sweepDatabases(url);
  }
  return url;
}

function isRunning(pid: number): boolean {
  try {
    const status = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return !/^[ZX]/.test(status.slice(status.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
}

/** Takes our mark away; true when no other running process has one. */
function wasLast(): boolean {
  rmSync(ownMark, { force: true });
  let others = 0;
  for (const name of readdirSync(users)) {
    if (isRunning(Number(name))) others++;
    else rmSync(path.join(users, name), { force: true });
  }
  return others === 0;
}

async function leave(): Promise<void> {
  open--;
  if (open > 0) return;
  const administration = admin;
  admin = undefined;
  await (await administration)?.close();
  if (server === undefined) return;
  await inTurn(async () => {
    const last = wasLast();
    if (last) await server?.stop();
    server = undefined;
    process.off('exit', leaveAtExit);
  });
}

/** For a process that ends without `drop`: there is no time left to wait for anything but the server's end. */
function leaveAtExit(): void {
  if (server === undefined || !wasLast()) return;
  try {
    process.kill(server.pid, 'SIGINT');
  } catch {
    return;
  }
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (let i = 0; i < 500 && isRunning(server.pid); i++) Atomics.wait(pause, 0, 0, 10);
}
