/** Outcomes: append-only rows, the last one of a position counts. */

import type { Queryable } from './database.ts';
import { partition } from './partition.ts';

export const OUTCOME_COPY = `COPY outcome (broadcast_id, position, attempt, state, code, enhanced, reply,
  sealed_reply, at, batch, line) FROM STDIN (FORMAT BINARY)`;

export async function nextOutcomeBatch(db: Queryable, id: string): Promise<number> {
  const rows = await db.query<{ n: number }>(
    `SELECT coalesce(max(batch), -1) + 1 AS n FROM ${partition('outcome', id)}`,
  );
  return rows[0]?.n ?? 0;
}

export async function indexOutcomes(tx: Queryable, id: string): Promise<void> {
  await tx.query(`CREATE INDEX IF NOT EXISTS ${partition('outcome_at', id)}
    ON ${partition('outcome', id)} (position)`);
}

export interface StateCount {
  readonly state: number;
  readonly kind: number;
  readonly language: string;
  readonly provider: string;
  readonly ring: number;
  readonly count: number;
}

/** The last outcome of each position, counted; positions without one have state -1. */
export function countStates(db: Queryable, id: string): Promise<StateCount[]> {
  return db.query(
    `SELECT coalesce(o.state, -1)::int AS state, a.kind, a.language, a.provider, a.ring, count(*)::int AS count
       FROM audience_row a
       LEFT JOIN (SELECT DISTINCT ON (position) position, state FROM ${partition('outcome', id)}
                   ORDER BY position, attempt DESC, batch DESC, line DESC) o USING (position)
      WHERE a.broadcast_id = $1 GROUP BY 1, 2, 3, 4, 5`,
    [id],
  );
}

/** Sent and refused of a ring so far. */
export async function ringResult(
  db: Queryable,
  id: string,
  ring: number,
  refusedStates: readonly number[],
): Promise<{ sent: number; refused: number }> {
  const rows = await db.query<{ sent: number; refused: number }>(
    `SELECT count(*)::int AS sent, count(*) FILTER (WHERE o.state = ANY ($3::int[]))::int AS refused
       FROM (SELECT DISTINCT ON (position) position, state FROM ${partition('outcome', id)}
              ORDER BY position, attempt DESC, batch DESC, line DESC) o
       JOIN audience_row a ON a.broadcast_id = $1 AND a.position = o.position
      WHERE a.ring = $2`,
    [id, ring, refusedStates],
  );
  return rows[0] ?? { sent: 0, refused: 0 };
}

export interface OutcomeRow {
  readonly position: number;
  readonly attempt: number;
  readonly state: number;
  readonly code: number;
  readonly enhanced: string;
  readonly reply: string;
  readonly at: Date;
  readonly batch: number;
}

/** Positions whose last word is this state, at most `limit`. */
export function positionsIn(
  db: Queryable,
  id: string,
  state: number,
  limit: number,
): Promise<OutcomeRow[]> {
  return db.query(
    `SELECT position, attempt, state, code, enhanced, reply, at, batch FROM (
       SELECT DISTINCT ON (position) * FROM ${partition('outcome', id)}
        ORDER BY position, attempt DESC, batch DESC, line DESC) o
      WHERE state = $1 ORDER BY position LIMIT $2`,
    [state, limit],
  );
}

/** Positions whose last word is one of these states and came without any reply, at most `limit`. */
export function positionsWithoutReply(
  db: Queryable,
  id: string,
  states: readonly number[],
  limit: number,
): Promise<OutcomeRow[]> {
  const outcome = partition('outcome', id);
  return db.query(
    `SELECT position, attempt, state, code, enhanced, reply, at, batch FROM (
       SELECT DISTINCT ON (position) * FROM ${outcome}
        WHERE position IN (SELECT position FROM ${outcome} WHERE state = ANY ($1::int[]) AND code = 0)
        ORDER BY position, attempt DESC, batch DESC, line DESC) o
      WHERE state = ANY ($1::int[]) AND code = 0 ORDER BY position LIMIT $2`,
    [states, limit],
  );
}

/** Everything recorded of one position, in order. */
export function outcomesOf(db: Queryable, id: string, position: number): Promise<OutcomeRow[]> {
  return db.query(
    `SELECT position, attempt, state, code, enhanced, reply, at, batch FROM ${partition('outcome', id)}
      WHERE position = $1 ORDER BY attempt, batch, line`,
    [position],
  );
}

/** Last state of each position of a range that has an outcome of this attempt or a later one. */
export async function lastStates(
  db: Queryable,
  id: string,
  attempt: number,
  first: number,
  last: number,
): Promise<Map<number, number>> {
  const rows = await db.query<{ position: number; state: number }>(
    `SELECT DISTINCT ON (position) position, state FROM ${partition('outcome', id)}
      WHERE position BETWEEN $1 AND $2 AND attempt >= $3
      ORDER BY position, attempt DESC, batch DESC, line DESC`,
    [first, last, attempt],
  );
  return new Map(rows.map((row) => [row.position, row.state]));
}

/** The rows of one batch, in the order in which they were entered. */
export function outcomeBatch(db: Queryable, id: string, batch: number): Promise<OutcomeRow[]> {
  return db.query(
    `SELECT position, attempt, state, code, enhanced, reply, at, batch FROM ${partition('outcome', id)}
      WHERE batch = $1 ORDER BY line`,
    [batch],
  );
}
