/** Wrapped data keys. */

import type { Queryable } from './database.ts';

export interface DataKeyRow {
  readonly name: string;
  readonly kek_version: number;
  readonly wrapped: Buffer;
}

export async function findDataKey(db: Queryable, name: string): Promise<DataKeyRow | null> {
  const rows = await db.query<DataKeyRow>(
    'SELECT name, kek_version, wrapped FROM data_key WHERE name = $1',
    [name],
  );
  return rows[0] ?? null;
}

export function listDataKeys(db: Queryable): Promise<DataKeyRow[]> {
  return db.query('SELECT name, kek_version, wrapped FROM data_key ORDER BY name');
}

/** Keeps the row that is there: two processes that make the same key end with one. */
export async function insertDataKey(db: Queryable, row: DataKeyRow): Promise<void> {
  await db.query(
    'INSERT INTO data_key (name, kek_version, wrapped) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING',
    [row.name, row.kek_version, row.wrapped],
  );
}

export async function replaceDataKey(db: Queryable, row: DataKeyRow): Promise<void> {
  await db.query('UPDATE data_key SET kek_version = $2, wrapped = $3 WHERE name = $1', [
    row.name,
    row.kek_version,
    row.wrapped,
  ]);
}
