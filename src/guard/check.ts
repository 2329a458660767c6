/**
 * The one road with the ledger: judge, record, then answer.
 * Invariant: a gate answers after the commit that holds its verdict; what cannot be recorded is deferred, never passed.
 */

import { newId } from '../base/id.ts';
import { appendBatch } from '../ledger/ledger.ts';
import type { PolicyName } from '../policy/policy.ts';
import type { Database } from '../store/database.ts';
import { insertVerdicts, nextVerdictBatch, type VerdictRow } from '../store/verdicts.ts';
import {
  type Judgement,
  type JudgeSettings,
  judge,
  judgeCopies,
  type Submission,
} from './judge.ts';

/** Who hands mail to a gate. */
export interface Identity {
  readonly name: string;
  readonly policy: PolicyName;
}

export interface Decision extends Judgement {
  /** Id of the recorded verdict, for the caller's own log. */
  readonly entry: string;
}

export type Check = (submission: Submission, identity: Identity) => Promise<Decision>;
/** Judges all copies of one call together and records the verdict before it resolves. */
export type CheckCopies = (copies: readonly Submission[], identity: Identity) => Promise<Decision>;

export interface GuardOptions {
  readonly db: Database;
  readonly settings: (identity: Identity) => JudgeSettings;
  /** Whether the gates stand still: a halt of everything is in force. */
  readonly halted: (identity: Identity) => boolean;
}

export interface Guard {
  /** The road for one gate. */
  road(gate: string): { readonly check: Check; readonly checkCopies: CheckCopies };
  close(): Promise<void>;
}

/** Decision: one entry stands for at most 1,000 rows or 50 ms. Answers wait for it, so a quarter of that. */
const BATCH_MS = 10;
const BATCH_ROWS_MAX = 1000;

interface Waiting {
  readonly row: VerdictRow;
  resolve(recorded: boolean): void;
}

/** The text a proof carries for one verdict: `id,at,gate,identity,verdict,reasons,readers,disclosures`. */
export function verdictText(row: VerdictRow): string {
  const at = row.at.toISOString();
  const reasons = row.reasons.join(' ');
  return `${row.id},${at},${row.gate},${row.identity},${row.verdict},${reasons},${row.readers},${row.disclosures}`;
}

class VerdictBook {
  readonly #db: Database;
  #waiting: Waiting[] = [];
  #timer: NodeJS.Timeout | null = null;
  #writing: Promise<void> = Promise.resolve();

  constructor(db: Database) {
    this.#db = db;
  }

  /** Resolves to whether the verdict is committed. */
  enter(row: VerdictRow): Promise<boolean> {
    return new Promise((resolve) => {
      this.#waiting.push({ row, resolve });
      this.#timer ??= setTimeout(() => this.#flush(), BATCH_MS);
    });
  }

  #flush(): void {
    this.#timer = null;
    const batch = this.#waiting.splice(0, BATCH_ROWS_MAX);
    if (this.#waiting.length > 0) this.#timer = setTimeout(() => this.#flush(), 0);
    this.#writing = this.#writing.then(() => this.#write(batch));
  }

  async #write(batch: readonly Waiting[]): Promise<void> {
    const rows = batch.map((waiting) => waiting.row);
    let recorded = true;
    try {
      await this.#db.transaction(async (tx) => {
        const number = await nextVerdictBatch(tx);
        await insertVerdicts(tx, number, rows);
        await appendBatch(
          tx,
          {
            kind: 'verdicts.recorded',
            at: new Date().toISOString(),
            by: 'system',
            subject: 'guard',
            data: { batch: number },
          },
          rows.map((row) => Buffer.from(verdictText(row), 'utf8')),
        );
      });
    } catch {
      recorded = false;
    }
    for (const { resolve } of batch) resolve(recorded);
  }

  async close(): Promise<void> {
    if (this.#timer !== null) {
      clearTimeout(this.#timer);
      this.#flush();
    }
    await this.#writing;
  }
}

function deferred(judgement: Judgement, reason: 'halted' | 'ledger-unavailable'): Judgement {
  return { ...judgement, verdict: { kind: 'defer', reasons: [reason] } };
}

export function createGuard(options: GuardOptions): Guard {
  const book = new VerdictBook(options.db);
  const decide = async (
    gate: string,
    identity: Identity,
    judged: () => Judgement,
  ): Promise<Decision> => {
    const judgement = options.halted(identity) ? deferred(judged(), 'halted') : judged();
    const { verdict, readers, disclosures } = judgement;
    const row: VerdictRow = {
      id: newId('v'),
      at: new Date(),
      gate,
      identity: identity.name,
      verdict: verdict.kind,
      reasons: verdict.kind === 'pass' ? [] : verdict.reasons,
      readers,
      disclosures,
    };
    const recorded = await book.enter(row);
    return { ...(recorded ? judgement : deferred(judgement, 'ledger-unavailable')), entry: row.id };
  };
  return {
    road: (gate) => ({
      check: (submission, identity) =>
        decide(gate, identity, () => judge(submission, options.settings(identity))),
      checkCopies: (copies, identity) =>
        decide(gate, identity, () => judgeCopies(copies, options.settings(identity))),
    }),
    close: () => book.close(),
  };
}
