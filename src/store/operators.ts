/** Operators, requests that wait for a second operator, and nonces of signed requests. */

import type { Queryable } from './database.ts';

export interface OperatorRow {
  readonly id: string;
  readonly public_key: Buffer;
  readonly added_at: Date;
  readonly removed_at: Date | null;
}

export interface OperatorRequestRow {
  readonly id: string;
  readonly deed: 'add' | 'remove';
  readonly public_key: Buffer;
  readonly requested_by: string;
}

export function listOperators(db: Queryable): Promise<OperatorRow[]> {
  return db.query(
    'SELECT id, public_key, added_at, removed_at FROM operator ORDER BY added_at, id',
  );
}

export async function findOperator(db: Queryable, id: string): Promise<OperatorRow | null> {
  const rows = await db.query<OperatorRow>(
    'SELECT id, public_key, added_at, removed_at FROM operator WHERE id = $1',
    [id],
  );
  return rows[0] ?? null;
}

/** How many may act now; locks the table so that two first enrolments cannot both be the second. */
export async function countActiveOperators(tx: Queryable): Promise<number> {
  await tx.query('LOCK TABLE operator IN SHARE ROW EXCLUSIVE MODE');
  const rows = await tx.query<{ n: number }>(
    'SELECT count(*)::int AS n FROM operator WHERE removed_at IS NULL',
  );
  return rows[0]?.n ?? 0;
}

export async function insertOperator(tx: Queryable, id: string, publicKey: Buffer): Promise<void> {
  await tx.query('INSERT INTO operator (id, public_key) VALUES ($1, $2)', [id, publicKey]);
}

export async function removeOperator(tx: Queryable, id: string): Promise<void> {
  await tx.query('UPDATE operator SET removed_at = now() WHERE id = $1', [id]);
}

export async function findOperatorRequest(
  tx: Queryable,
  id: string,
  deed: 'add' | 'remove',
): Promise<OperatorRequestRow | null> {
  const rows = await tx.query<OperatorRequestRow>(
    'SELECT id, deed, public_key, requested_by FROM operator_request WHERE id = $1 AND deed = $2 FOR UPDATE',
    [id, deed],
  );
  return rows[0] ?? null;
}

export async function putOperatorRequest(tx: Queryable, row: OperatorRequestRow): Promise<void> {
  await tx.query(
    `INSERT INTO operator_request (id, deed, public_key, requested_by) VALUES ($1, $2, $3, $4)
     ON CONFLICT (id, deed) DO UPDATE SET public_key = excluded.public_key,
       requested_by = excluded.requested_by, requested_at = now()`,
    [row.id, row.deed, row.public_key, row.requested_by],
  );
}

export async function deleteOperatorRequest(
  tx: Queryable,
  id: string,
  deed: 'add' | 'remove',
): Promise<void> {
  await tx.query('DELETE FROM operator_request WHERE id = $1 AND deed = $2', [id, deed]);
}

/** False when this nonce has been seen in the last hour: the request is a replay. */
export async function useNonce(db: Queryable, nonce: string): Promise<boolean> {
  const rows = await db.query(
    'INSERT INTO request_nonce (nonce) VALUES ($1) ON CONFLICT DO NOTHING RETURNING nonce',
    [nonce],
  );
  await db.query("DELETE FROM request_nonce WHERE seen_at < now() - interval '1 hour'");
  return rows.length === 1;
}
