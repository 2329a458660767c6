/** Verdict rows and the batches they are entered by. */

import type { Queryable } from './database.ts';
import type { NewLedgerEntry } from './ledger-entries.ts';

export interface VerdictRow {
  readonly id: string;
  readonly at: Date;
  readonly gate: string;
  readonly identity: string;
  readonly verdict: string;
  readonly reasons: readonly string[];
  readonly readers: number;
  readonly disclosures: number;
  readonly mode: string;
  readonly action: string;
  readonly campaign: number | null;
}

export async function nextVerdictBatch(tx: Queryable): Promise<number> {
  const rows = await tx.query<{ n: number }>("SELECT nextval('verdict_batch') AS n");
  return Number(rows[0]?.n ?? 0);
}

/**
 * Rows and the ledger's entry of them by one statement, so in one transaction, whatever `db` is: parsed once for each connection,
 * it takes a third of the CPU time that five statements take. The number for the batch after it comes back.
 */
export async function insertVerdicts(
  db: Queryable,
  batch: number,
  rows: readonly VerdictRow[],
  entry: NewLedgerEntry,
): Promise<number> {
  const [next] = await db.query<{ n: number }>(
    `WITH rows AS (
       INSERT INTO verdict (id, at, gate, identity, verdict, reasons, readers, disclosures, mode, action,
                            campaign, batch, line)
       SELECT r.id, r.at, r.gate, r.identity, r.verdict, string_to_array(r.reasons, ','), r.readers,
              r.disclosures, r.mode, r.action, r.campaign, $2::bigint, r.line
         FROM json_to_recordset($1::json) AS r(id text, at timestamptz, gate text, identity text,
              verdict text, reasons text, readers int, disclosures bigint, mode text, action text,
              campaign bigint, line int)),
     entry AS (INSERT INTO ledger_entry (kind, subject, bytes) VALUES ($3, $4, $5))
     SELECT nextval('verdict_batch') AS n`,
    [
      JSON.stringify(rows.map((row, line) => ({ ...row, reasons: row.reasons.join(','), line }))),
      batch,
      entry.kind,
      entry.subject,
      entry.bytes,
    ],
    'insert-verdicts',
  );
  return Number(next?.n ?? 0);
}

export function verdictBatch(db: Queryable, batch: number): Promise<VerdictRow[]> {
  return db.query(
    `SELECT id, at, gate, identity, verdict, reasons, readers, disclosures, mode, action, campaign
       FROM verdict
      WHERE batch = $1 ORDER BY line`,
    [batch],
  );
}

export interface VerdictGroup {
  readonly gate: string;
  readonly identity: string;
  readonly mode: string;
  readonly verdict: string;
  readonly action: string;
  /** Null in the totals, where a call with several reasons counts once. */
  readonly reason: string | null;
  readonly calls: number;
  readonly readers: number;
  readonly disclosures: number;
  /** Of these, the calls that would show people to each other, and their readers. */
  readonly exposing: number;
  readonly exposingReaders: number;
}

/** Sums of calls, readers and disclosures since then, by reason (a call counts under each of its own) or without reasons. */
export function countVerdicts(
  db: Queryable,
  since: Date,
  by: 'reason' | 'call',
): Promise<VerdictGroup[]> {
  const reasons =
    by === 'reason'
      ? "LEFT JOIN LATERAL unnest(v.reasons) AS r(reason) ON true WHERE v.verdict <> 'pass' AND"
      : 'CROSS JOIN (SELECT NULL::text AS reason) AS r WHERE';
  return db.query(
    `SELECT v.gate, v.identity, v.mode, v.verdict, v.action, r.reason, count(*)::int AS calls,
            sum(v.readers)::float8 AS readers, sum(v.disclosures)::float8 AS disclosures,
            count(*) FILTER (WHERE v.disclosures > 0)::int AS exposing,
            coalesce(sum(v.readers) FILTER (WHERE v.disclosures > 0), 0)::float8 AS "exposingReaders"
       FROM verdict v ${reasons} v.at >= $1
      GROUP BY v.gate, v.identity, v.mode, v.verdict, v.action, r.reason
      ORDER BY disclosures DESC, calls DESC, v.gate, v.identity, r.reason, v.mode, v.verdict, v.action`,
    [since],
  );
}
