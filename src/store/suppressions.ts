/** Who must not be written to, by blind index, and who is left out of one broadcast. */

import type { Queryable } from './database.ts';

/** How many of these were not on the list yet. */
export async function insertSuppressions(
  db: Queryable,
  indexes: readonly Buffer[],
  reason: string,
  by: string,
): Promise<number> {
  const rows = await db.query(
    `INSERT INTO suppression (address_index, reason, added_by)
     SELECT unnest($1::bytea[]), $2, $3 ON CONFLICT DO NOTHING RETURNING 1 AS one`,
    [indexes, reason, by],
  );
  return rows.length;
}

export async function deleteSuppressions(
  db: Queryable,
  indexes: readonly Buffer[],
): Promise<number> {
  const rows = await db.query(
    'DELETE FROM suppression WHERE address_index = ANY ($1::bytea[]) RETURNING 1 AS one',
    [indexes],
  );
  return rows.length;
}

export function countSuppressions(db: Queryable): Promise<{ reason: string; count: number }[]> {
  return db.query(
    'SELECT reason, count(*)::int AS count FROM suppression GROUP BY reason ORDER BY reason',
  );
}

/** Leaves people out of a broadcast; only those who are in its audience count. */
export async function insertLeftOut(
  db: Queryable,
  broadcast: string,
  indexes: readonly Buffer[],
  reason: string,
  by: string,
): Promise<number> {
  const rows = await db.query(
    `INSERT INTO left_out (broadcast_id, address_index, reason, by)
     SELECT DISTINCT $1, a.address_index, $3, $4 FROM audience_row a
      WHERE a.broadcast_id = $1 AND a.address_index = ANY ($2::bytea[])
     ON CONFLICT DO NOTHING RETURNING 1 AS one`,
    [broadcast, indexes, reason, by],
  );
  return rows.length;
}
