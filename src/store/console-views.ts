/** What the operators' page asks: the newest verdicts, counts over time, summaries. Reads only. */

import type { Queryable } from './database.ts';
import type { KeptState } from './kept.ts';
import { partition } from './partition.ts';
import type { VerdictRow } from './verdicts.ts';

export interface VerdictFilter {
  readonly gate: string | null;
  readonly identity: string | null;
  readonly verdict: string | null;
  readonly reason: string | null;
  /** Older than this one. */
  readonly before: { readonly at: Date; readonly id: string } | null;
}

/** Newest first. */
export function newestVerdicts(
  db: Queryable,
  { gate, identity, verdict, reason, before }: VerdictFilter,
  limit: number,
): Promise<VerdictRow[]> {
  const params: unknown[] = [limit];
  const conditions: string[] = [];
  const where = (sql: (place: string) => string, value: unknown): void => {
    if (value === null) return;
    params.push(value);
    conditions.push(sql(`$${params.length}`));
  };
  where((place) => `gate = ${place}`, gate);
  where((place) => `identity = ${place}`, identity);
  where((place) => `verdict = ${place}`, verdict);
  where((place) => `${place} = ANY (reasons)`, reason);
  if (before !== null) {
    where((place) => `at <= ${place}`, before.at);
    where((place) => `(at, id) < ($${params.length - 1}, ${place})`, before.id);
  }
  const chosen = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`;
  return db.query(
    `SELECT id, at, gate, identity, verdict, reasons, readers, disclosures, mode, action, campaign
       FROM verdict ${chosen} ORDER BY at DESC, id DESC LIMIT $1`,
    params,
  );
}

export interface MinuteCount {
  /** Minutes since 1970. */
  readonly minute: number;
  readonly verdict: string;
  readonly calls: number;
}

export function verdictsPerMinute(db: Queryable, since: Date): Promise<MinuteCount[]> {
  return db.query(
    `SELECT floor(extract(epoch FROM at) / 60)::int AS minute, verdict, count(*)::int AS calls
       FROM verdict WHERE at >= $1 GROUP BY 1, 2 ORDER BY 1, 2`,
    [since],
  );
}

export interface HeldSummary {
  readonly count: number;
  readonly oldest: Date | null;
  readonly next_expiry: Date | null;
  /** Of them, those that one operator has asked to release. */
  readonly asked: number;
}

export async function heldSummary(db: Queryable): Promise<HeldSummary> {
  const rows = await db.query<HeldSummary>(
    `SELECT count(*)::int AS count, min(at) AS oldest, min(expires_at) AS next_expiry,
            count(asked_by)::int AS asked
       FROM kept WHERE state = 'held'`,
  );
  return rows[0] ?? { count: 0, oldest: null, next_expiry: null, asked: 0 };
}

export interface DecidedRow {
  readonly id: string;
  readonly gate: string;
  readonly identity: string;
  readonly state: KeptState;
  readonly reasons: readonly string[];
  readonly readers: number;
  readonly asked_by: string | null;
  readonly decided_by: string | null;
  readonly decided_at: Date | null;
}

/** Holds that people have decided, the last first. */
export function latelyDecided(db: Queryable, limit: number): Promise<DecidedRow[]> {
  return db.query(
    `SELECT id, gate, identity, state, reasons, readers, asked_by, decided_by, decided_at FROM kept
      WHERE kind = 'hold' AND decided_at > now() - interval '7 days'
      ORDER BY decided_at DESC LIMIT $1`,
    [limit],
  );
}

export interface DeliveryGroup {
  readonly state: string;
  readonly answer: string | null;
  readonly deliveries: number;
  readonly readers: number;
  /** One of the far side's own ids. */
  readonly upstream_id: string | null;
}

export function deliveryGroups(db: Queryable, kept: string): Promise<DeliveryGroup[]> {
  return db.query(
    `SELECT state, answer, count(*)::int AS deliveries, sum(readers)::int AS readers,
            min(upstream_id) AS upstream_id
       FROM kept_delivery WHERE kept = $1 GROUP BY state, answer ORDER BY deliveries DESC, state`,
    [kept],
  );
}

export interface SettledRow {
  readonly settled: number;
  readonly first_at: Date | null;
  readonly last_at: Date | null;
  readonly lately: number;
}

/** How many of a broadcast have come to a final state, since when, and how many in the time before the last. */
export async function settledSoFar(
  db: Queryable,
  id: string,
  finalStates: readonly number[],
  windowMs: number,
): Promise<SettledRow> {
  const rows = await db.query<SettledRow>(
    `WITH final AS (SELECT at FROM ${partition('outcome', id)} WHERE state = ANY ($1::int[])),
          span AS (SELECT min(at) AS first_at, max(at) AS last_at, count(*)::int AS settled FROM final)
     SELECT settled, first_at, last_at,
            (SELECT count(*)::int FROM final
              WHERE final.at > span.last_at - $2::float8 * interval '1 millisecond') AS lately
       FROM span`,
    [finalStates, windowMs],
  );
  return rows[0] ?? { settled: 0, first_at: null, last_at: null, lately: 0 };
}

export interface Bucket {
  /** Its place after the first outcome, counted in widths. */
  readonly bucket: number;
  readonly settled: number;
}

export function settledOverTime(
  db: Queryable,
  id: string,
  finalStates: readonly number[],
  { firstAt, widthMs }: { readonly firstAt: Date; readonly widthMs: number },
): Promise<Bucket[]> {
  return db.query(
    `SELECT floor(extract(epoch FROM at - $2::timestamptz) * 1000 / $3::float8)::int AS bucket,
            count(*)::int AS settled
       FROM ${partition('outcome', id)} WHERE state = ANY ($1::int[]) GROUP BY 1 ORDER BY 1`,
    [finalStates, firstAt, widthMs],
  );
}

export interface ReplyGroup {
  readonly state: number;
  readonly code: number;
  readonly enhanced: string;
  readonly reply: string;
  readonly count: number;
}

/** What the far side said of whoever it did not accept, the most frequent first. */
export function replyGroups(
  db: Queryable,
  id: string,
  accepted: number,
  limit: number,
): Promise<ReplyGroup[]> {
  return db.query(
    `SELECT state, code, enhanced, reply, count(*)::int AS count FROM ${partition('outcome', id)}
      WHERE state <> $1 GROUP BY 1, 2, 3, 4 ORDER BY count DESC, state, code LIMIT $2`,
    [accepted, limit],
  );
}
