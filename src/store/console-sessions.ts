/** Sign-in links and sessions of the operators' page: hashes only. */

import type { Queryable, Transaction } from './database.ts';

export async function insertConsoleLink(
  tx: Transaction,
  row: { readonly hash: Buffer; readonly operator: string; readonly minutes: number },
): Promise<Date> {
  await tx.query("DELETE FROM console_link WHERE expires_at < now() - interval '1 day'");
  const rows = await tx.query<{ expires_at: Date }>(
    `INSERT INTO console_link (hash, operator, expires_at)
     VALUES ($1, $2, now() + $3::int * interval '1 minute') RETURNING expires_at`,
    [row.hash, row.operator, row.minutes],
  );
  return rows[0]?.expires_at ?? new Date();
}

const GOOD_LINK = `l.hash = $1 AND l.used_at IS NULL AND l.expires_at > now()
   AND EXISTS (SELECT FROM operator o WHERE o.id = l.operator AND o.removed_at IS NULL)`;

/** Whom a link would sign in; null where it is used, too old, or nobody's. */
export async function findConsoleLink(db: Queryable, hash: Buffer): Promise<string | null> {
  const rows = await db.query<{ operator: string }>(
    `SELECT operator FROM console_link l WHERE ${GOOD_LINK}`,
    [hash],
  );
  return rows[0]?.operator ?? null;
}

/** Uses a link up. Of two at once one gets null. */
export async function spendConsoleLink(tx: Transaction, hash: Buffer): Promise<string | null> {
  const rows = await tx.query<{ operator: string }>(
    `UPDATE console_link l SET used_at = now() WHERE ${GOOD_LINK} RETURNING operator`,
    [hash],
  );
  return rows[0]?.operator ?? null;
}

export async function insertConsoleSession(
  tx: Transaction,
  hash: Buffer,
  operator: string,
): Promise<void> {
  await tx.query("DELETE FROM console_session WHERE opened_at < now() - interval '1 day'");
  await tx.query('INSERT INTO console_session (hash, operator) VALUES ($1, $2)', [hash, operator]);
}

export interface SessionLimits {
  readonly hoursMax: number;
  readonly idleMinutesMax: number;
}

/**
 * Whose session this is, if it is good still: not too old, not idle, its operator not removed.
 * @param touch whether this counts as use; noted once a minute.
 */
export async function findConsoleSession(
  db: Queryable,
  hash: Buffer,
  { hoursMax, idleMinutesMax }: SessionLimits,
  touch: boolean,
): Promise<string | null> {
  const rows = await db.query<{ operator: string; stale: boolean }>(
    `SELECT s.operator, s.used_at < now() - interval '1 minute' AS stale
       FROM console_session s JOIN operator o ON o.id = s.operator AND o.removed_at IS NULL
      WHERE s.hash = $1 AND s.opened_at > now() - $2::int * interval '1 hour'
        AND s.used_at > now() - $3::int * interval '1 minute'`,
    [hash, hoursMax, idleMinutesMax],
  );
  const [found] = rows;
  if (found === undefined) return null;
  if (touch && found.stale)
    await db.query('UPDATE console_session SET used_at = now() WHERE hash = $1', [hash]);
  return found.operator;
}

export async function deleteConsoleSession(db: Queryable, hash: Buffer): Promise<void> {
  await db.query('DELETE FROM console_session WHERE hash = $1', [hash]);
}
