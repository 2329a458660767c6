/** Migrations: `migrations/NNNN-name.sql` in order, forward only, each in a transaction, each once. */

import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { Fault } from '../base/errors.ts';
import { ADVISORY_LOCKS, type Database, type Transaction } from './database.ts';

const FOLDER = new URL('./migrations/', import.meta.url);
const FILE_NAME = /^\d{4}-[a-z0-9-]+\.sql$/;

interface Migration {
  readonly name: string;
  readonly sql: string;
  /** SHA-256 of the file. */
  readonly digest: string;
}

async function readMigrations(folder: URL): Promise<Migration[]> {
  const names = (await readdir(folder)).filter((name) => FILE_NAME.test(name)).sort();
  return Promise.all(
    names.map(async (name) => {
      const sql = await readFile(new URL(name, folder), 'utf8');
      return { name, sql, digest: createHash('sha256').update(sql).digest('hex') };
    }),
  );
}

/** One digest over all migrations: databases with equal digests have equal schemas. */
export async function schemaDigest(folder: URL = FOLDER): Promise<string> {
  const all = createHash('sha256');
  for (const { name, digest } of await readMigrations(folder)) all.update(`${name} ${digest}\n`);
  return all.digest('hex');
}

/**
 * Brings the schema up to date; processes that start together wait for each other.
 * @throws Fault `migrate.changed` when an applied file is not what it was, `migrate.unknown` when the database knows a
 * migration that this version does not, `migrate.order` when a new file sorts before an applied one.
 */
export async function migrate(
  db: Database,
  folder: URL = FOLDER,
): Promise<{ readonly applied: string[] }> {
  const migrations = await readMigrations(folder);
  const applied: string[] = [];
  for (const migration of migrations) {
    const isNew = await db.transaction((tx) => applyOne(tx, migration, migrations));
    if (isNew) applied.push(migration.name);
  }
  return { applied };
}

async function applyOne(
  tx: Transaction,
  migration: Migration,
  all: readonly Migration[],
): Promise<boolean> {
  await tx.query('SELECT pg_advisory_xact_lock($1)', [ADVISORY_LOCKS.migrate]);
  await tx.query(
    `CREATE TABLE IF NOT EXISTS schema_migration (
       name text PRIMARY KEY, digest text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`,
  );
  const known = await tx.query<{ name: string; digest: string }>(
    'SELECT name, digest FROM schema_migration ORDER BY name',
  );
  checkApplied(known, all);
  if (known.some(({ name }) => name === migration.name)) return false;
  const last = known.at(-1)?.name ?? '';
  if (migration.name < last)
    throw new Fault('migrate.order', `it sorts before ${last}, which is applied already`, {
      where: migration.name,
      remedy: 'give it the next free number',
    });
  await tx.query(migration.sql);
  await tx.query('INSERT INTO schema_migration (name, digest) VALUES ($1, $2)', [
    migration.name,
    migration.digest,
  ]);
  return true;
}

function checkApplied(
  known: readonly { name: string; digest: string }[],
  all: readonly Migration[],
): void {
  const digests = new Map(all.map(({ name, digest }) => [name, digest]));
  for (const { name, digest } of known) {
    const now = digests.get(name);
    if (now === undefined)
      throw new Fault('migrate.unknown', 'the database was migrated by a later version', {
        where: name,
        remedy: 'run the version that made it, or a later one',
      });
    if (now !== digest)
      throw new Fault('migrate.changed', 'the file is not the one that was applied', {
        where: name,
        remedy: 'restore the file, and make the change in a new migration',
      });
  }
}
