/** Declared audiences: whom a caller may write to, by blind index. */

import type { Queryable, Transaction } from './database.ts';

export async function createDeclarationStaging(tx: Transaction): Promise<void> {
  await tx.query("SET LOCAL work_mem = '96MB'");
  await tx.query('CREATE TEMP TABLE declared_row (address_index bytea) ON COMMIT DROP');
}

export const DECLARATION_STAGING_COPY =
  'COPY declared_row (address_index) FROM STDIN (FORMAT BINARY)';

/** Puts the staged rows in the place of whatever this name stood for; the number of distinct ones. */
export async function replaceAudience(
  tx: Transaction,
  name: string,
  operator: string,
): Promise<number> {
  await tx.query('DELETE FROM declared_audience WHERE name = $1', [name]);
  const [made] = await tx.query<{ id: number }>(
    `INSERT INTO declared_audience (name, readers, declared_by) VALUES ($1, 0, $2) RETURNING id`,
    [name, operator],
  );
  const [counted] = await tx.query<{ readers: number }>(
    `WITH taken AS (
       INSERT INTO declared_reader (audience, address_index)
       SELECT DISTINCT $1::bigint, address_index FROM declared_row ORDER BY address_index
       RETURNING 1 AS one)
     UPDATE declared_audience SET readers = (SELECT count(*) FROM taken) WHERE id = $1
     RETURNING readers`,
    [made?.id ?? 0],
  );
  return counted?.readers ?? 0;
}

/** How many readers it had; null where there is none of this name. */
export async function deleteAudience(tx: Transaction, name: string): Promise<number | null> {
  const [row] = await tx.query<{ readers: number }>(
    'DELETE FROM declared_audience WHERE name = $1 RETURNING readers',
    [name],
  );
  return row?.readers ?? null;
}

export interface DeclaredAudience {
  readonly name: string;
  readonly readers: number;
  readonly declared_by: string;
  readonly declared_at: Date;
}

export function listAudiences(db: Queryable): Promise<DeclaredAudience[]> {
  return db.query(
    'SELECT name, readers, declared_by, declared_at FROM declared_audience ORDER BY name',
  );
}

/** Who of these is in the audience of this name; null where there is none. */
export async function membersAmong(
  db: Queryable,
  name: string,
  indexes: readonly Buffer[],
): Promise<readonly Buffer[] | null> {
  const rows = await db.query<{ address_index: Buffer | null }>(
    `SELECT r.address_index FROM declared_audience a
       LEFT JOIN declared_reader r ON r.audience = a.id AND r.address_index = ANY ($2::bytea[])
      WHERE a.name = $1`,
    [name, indexes],
  );
  if (rows.length === 0) return null;
  return rows.flatMap(({ address_index }) => (address_index === null ? [] : [address_index]));
}

/** Who of these is in the register, of whatever kind. */
export async function recordedAmong(
  db: Queryable,
  indexes: readonly Buffer[],
): Promise<readonly Buffer[]> {
  const rows = await db.query<{ address_index: Buffer }>(
    `SELECT asked.address_index FROM unnest($1::bytea[]) AS asked (address_index)
      WHERE EXISTS (SELECT 1 FROM customer c WHERE c.address_index = asked.address_index)`,
    [indexes],
  );
  return rows.map((row) => row.address_index);
}
