/** Verdict rows and the batches they are entered by. */

import type { Queryable, Transaction } from './database.ts';

export interface VerdictRow {
  readonly id: string;
  readonly at: Date;
  readonly gate: string;
  readonly identity: string;
  readonly verdict: string;
  readonly reasons: readonly string[];
  readonly readers: number;
  readonly disclosures: number;
}

export async function nextVerdictBatch(tx: Queryable): Promise<number> {
  const rows = await tx.query<{ n: number }>("SELECT nextval('verdict_batch') AS n");
  return Number(rows[0]?.n ?? 0);
}

export async function insertVerdicts(
  tx: Transaction,
  batch: number,
  rows: readonly VerdictRow[],
): Promise<void> {
  await tx.query(
    `INSERT INTO verdict (id, at, gate, identity, verdict, reasons, readers, disclosures, batch, line)
     SELECT r.id, r.at, r.gate, r.identity, r.verdict, string_to_array(r.reasons, ','), r.readers,
            r.disclosures, $2, r.line
       FROM jsonb_to_recordset($1::jsonb) AS r(id text, at timestamptz, gate text, identity text,
            verdict text, reasons text, readers int, disclosures bigint, line int)`,
    [
      JSON.stringify(rows.map((row, line) => ({ ...row, reasons: row.reasons.join(','), line }))),
      batch,
    ],
  );
}

export function verdictBatch(db: Queryable, batch: number): Promise<VerdictRow[]> {
  return db.query(
    `SELECT id, at, gate, identity, verdict, reasons, readers, disclosures FROM verdict
      WHERE batch = $1 ORDER BY line`,
    [batch],
  );
}
