/**
 * The book of verdicts: rows and the ledger entry that stands for them, in batches; a kept call in the transaction of its verdict.
 * Invariant: who is told that a verdict is recorded is told so after the commit that holds it.
 */

import { setImmediate as turn } from 'node:timers/promises';
import { batchEntry } from '../ledger/ledger.ts';
import type { Database } from '../store/database.ts';
import type { NewLedgerEntry } from '../store/ledger-entries.ts';
import { insertVerdicts, nextVerdictBatch, type VerdictRow } from '../store/verdicts.ts';
import type { Sealed } from './check.ts';

/** Decision: one entry stands for at most 1,000 rows or 50 ms. */
const BATCH_ROWS_MAX = 1000;
/**
 * Where some wait already when a batch is committed, the next begins with this many of them, or this long after the one before
 * began: a batch costs this process and PostgreSQL as much as a message costs to judge, and an answer waits for it. Waiting on a
 * busy thread alone, for twice as many and as long, gave the same speed and latency (3,253 and 3,258 messages/s, p50 3.1 and 2.8 ms).
 */
const BATCH_ROWS_FEW = 4;
const BATCH_APART_MS = 1;

interface Waiting {
  readonly row: VerdictRow;
  readonly sealed: Sealed | null;
  resolve(outcome: { readonly recorded: boolean; readonly kept: string | null }): void;
}

/**
 * The text a proof carries for one verdict: `id,at,gate,identity,verdict,reasons,readers,disclosures,mode,action`; without the last
 * two where it was recorded before there were any.
 */
export function verdictText(row: VerdictRow): string {
  const at = row.at.toISOString();
  const reasons = row.reasons.join(' ');
  const late = row.action === '' ? '' : `,${row.mode},${row.action}`;
  return `${row.id},${at},${row.gate},${row.identity},${row.verdict},${reasons},${row.readers},${row.disclosures}${late}`;
}

/**
 * Verdicts go to the database in batches; a kept call is stored in the transaction of its verdict. One batch is written at a
 * time, at once when none is: so a lone verdict waits for nothing, and many wait for one another's commit and share the next.
 */
export class VerdictBook {
  readonly #db: Database;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | null = null;
  /** Ends the pause before a batch. */
  #enough: () => void = () => {};
  /** A number that no batch has; null where one must be asked for. */
  #number: number | null = null;

  constructor(db: Database) {
    this.#db = db;
  }

  /** Resolves to whether the verdict is committed, and to the id of the kept call. */
  enter(
    row: VerdictRow,
    sealed: Sealed | null,
  ): Promise<{ readonly recorded: boolean; readonly kept: string | null }> {
    return new Promise((resolve) => {
      this.#waiting.push({ row, sealed, resolve });
      this.#writing ??= this.#writeAll();
      if (this.#waiting.length === BATCH_ROWS_FEW) this.#enough();
    });
  }

  async #writeAll(): Promise<void> {
    let began = Number.NEGATIVE_INFINITY;
    while (this.#waiting.length > 0) {
      await this.#gather(began);
      began = performance.now();
      const batch = this.#waiting.splice(0, BATCH_ROWS_MAX);
      const kept = await this.#write(batch).catch(() => null);
      for (const [i, { resolve }] of batch.entries())
        resolve({ recorded: kept !== null, kept: kept?.[i] ?? null });
    }
    this.#writing = null;
  }

  /** Lets others join: soon after the batch before a few, and always those whose bytes come in the same turn. */
  async #gather(began: number): Promise<void> {
    const isSoon = performance.now() - began < BATCH_APART_MS;
    if (isSoon && this.#waiting.length < BATCH_ROWS_FEW) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, BATCH_APART_MS);
        this.#enough = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    await turn();
  }

  /** The ids of the kept calls, in order. */
  async #write(batch: readonly Waiting[]): Promise<readonly (string | null)[]> {
    const number = this.#number ?? (await nextVerdictBatch(this.#db));
    // Of a batch that fails nobody knows whether it was stored: its number is never used again.
    this.#number = null;
    const rows = batch.map(({ row }) => row);
    const entry = batchEntry(
      {
        kind: 'verdicts.recorded',
        at: new Date().toISOString(),
        by: 'system',
        subject: 'guard',
        data: { batch: number },
      },
      rows.map((row) => Buffer.from(verdictText(row), 'utf8')),
    );
    return batch.every(({ sealed }) => sealed === null)
      ? this.#writeRows(number, rows, entry)
      : this.#writeKept(number, batch, rows, entry);
  }

  /** Nothing is kept: one statement. */
  async #writeRows(
    number: number,
    rows: readonly VerdictRow[],
    entry: NewLedgerEntry,
  ): Promise<readonly null[]> {
    this.#number = await insertVerdicts(this.#db, number, rows, entry);
    return rows.map(() => null);
  }

  #writeKept(
    number: number,
    batch: readonly Waiting[],
    rows: readonly VerdictRow[],
    entry: NewLedgerEntry,
  ): Promise<readonly (string | null)[]> {
    return this.#db.transaction(async (tx) => {
      await insertVerdicts(tx, number, rows, entry);
      const kept: (string | null)[] = [];
      for (const { sealed } of batch) kept.push(sealed === null ? null : await sealed.store(tx));
      return kept;
    });
  }

  async close(): Promise<void> {
    await this.#writing;
  }
}
