/** Makes outcomes durable: rows in batches, each with its ledger entry, every 100 ms at most. */

import type { Fault } from '../base/errors.ts';
import type { SealingKey } from '../keys/seal.ts';
import { seal } from '../keys/seal.ts';
import { appendBatch } from '../ledger/ledger.ts';
import { addListChunk, finishChunks, isDone } from '../store/chunks.ts';
import { BinaryCopy } from '../store/copy-binary.ts';
import type { Database, Transaction } from '../store/database.ts';
import { nextOutcomeBatch, OUTCOME_COPY } from '../store/outcomes.ts';
import { type Outcome, outcomeText, STATES } from './outcome.ts';

const FLUSH_MS = 100;
const RETRY_MS = 500;
/** Decision: one entry stands for at most 1,000 rows. */
const BATCH_ROWS_MAX = 1000;

export interface RecordedOutcome extends Outcome {
  /** The far side's own words, sealed; null when there is nothing to keep. */
  readonly rawReply: string | null;
}

/** A chunk whose last outcome has been added, and the recipients of it that are to be tried again. */
export interface FinishedChunk {
  readonly chunk: number;
  readonly ring: number;
  readonly again: readonly Again[];
}

export interface Again {
  readonly position: number;
  readonly attempt: number;
  readonly delayMs: number;
}

export interface OutcomeWriterOptions {
  readonly db: Database;
  readonly broadcast: string;
  readonly key: SealingKey;
  readonly firstBatch: number;
  now(): number;
  /** Called after a commit. */
  stored(outcomes: readonly RecordedOutcome[]): void;
  failed(fault: Fault): void;
}

/** Inserts outcomes and their ledger entries inside a transaction; returns the next batch number. */
export async function insertOutcomes(
  tx: Transaction,
  broadcast: string,
  key: SealingKey,
  firstBatch: number,
  outcomes: readonly RecordedOutcome[],
  nowMs: number,
): Promise<number> {
  const copy = new BinaryCopy([
    'text',
    'int4',
    'int2',
    'int2',
    'int2',
    'text',
    'text',
    'bytea',
    'timestamptz',
    'int4',
    'int4',
  ]);
  let batch = firstBatch;
  for (let start = 0; start < outcomes.length; start += BATCH_ROWS_MAX, batch++) {
    const rows = outcomes.slice(start, start + BATCH_ROWS_MAX);
    rows.forEach((outcome, line) => {
      const { position, attempt, rawReply } = outcome;
      copy.row(
        broadcast,
        position,
        attempt,
        STATES.indexOf(outcome.state),
        outcome.code,
        outcome.enhanced,
        outcome.reply,
        rawReply === null
          ? null
          : seal(key, 'outcome', `${broadcast}/${position}/${attempt}`, Buffer.from(rawReply)),
        outcome.atMs,
        batch,
        line,
      );
    });
    await appendBatch(
      tx,
      {
        kind: 'outcomes.recorded',
        at: new Date(nowMs).toISOString(),
        by: 'system',
        subject: broadcast,
        data: { broadcast, batch },
      },
      rows.map((outcome) => Buffer.from(outcomeText(outcome), 'utf8')),
    );
  }
  await tx.copyIn(OUTCOME_COPY, [copy.take()]);
  return batch;
}

/** Deferred and resent recipients become chunks of their own: lists of positions, by attempt and delay. */
export async function addRetryChunks(
  tx: Transaction,
  broadcast: string,
  ring: number,
  again: readonly Again[],
): Promise<void> {
  const groups = new Map<string, Again[]>();
  for (const item of again) {
    const name = `${item.attempt} ${item.delayMs}`;
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [item]);
    else group.push(item);
  }
  for (const group of groups.values())
    await addListChunk(tx, broadcast, {
      ring,
      provider: 'retry',
      positions: group.map((item) => item.position).sort((a, b) => a - b),
      attempt: group[0]?.attempt ?? 2,
      delayMs: group[0]?.delayMs ?? 0,
    });
}

/** What one transaction is to store. */
interface Group {
  readonly outcomes: readonly RecordedOutcome[];
  readonly finished: readonly FinishedChunk[];
}

export class OutcomeWriter {
  readonly #options: OutcomeWriterOptions;
  #pending: RecordedOutcome[] = [];
  #finished: FinishedChunk[] = [];
  /** A group whose transaction failed: it may have been stored all the same, and is looked for before it is tried again. */
  #unsure: Group | null = null;
  #nextBatch: number;
  #timer: NodeJS.Timeout | null = null;
  #writing: Promise<void> | null = null;
  #healthy = true;
  #closed = false;

  constructor(options: OutcomeWriterOptions) {
    this.#options = options;
    this.#nextBatch = options.firstBatch;
  }

  /** Outcomes that are not stored yet. */
  get pending(): number {
    return this.#pending.length + (this.#unsure?.outcomes.length ?? 0);
  }

  /** Whether the last write was stored. */
  get healthy(): boolean {
    return this.#healthy;
  }

  get #empty(): boolean {
    return this.#pending.length === 0 && this.#finished.length === 0 && this.#unsure === null;
  }

  add(outcome: RecordedOutcome): void {
    this.#pending.push(outcome);
    this.#schedule(FLUSH_MS);
  }

  /** The chunk's last outcome has been added: it is marked done in the same transaction. */
  finish(chunk: FinishedChunk): void {
    this.#finished.push(chunk);
    this.#schedule(FLUSH_MS);
  }

  #schedule(ms: number): void {
    if (this.#timer !== null || this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      void this.flush();
    }, ms);
  }

  /** Stores what is pending; resolves when it is committed, or when it has failed and waits for the next try. */
  flush(): Promise<void> {
    this.#writing ??= this.#write().finally(() => {
      this.#writing = null;
      if (!this.#empty) this.#schedule(FLUSH_MS);
    });
    return this.#writing;
  }

  /** Stores everything that was added before this call; false when the database did not take it. */
  async flushed(): Promise<boolean> {
    await this.flush();
    if (!this.#empty && this.#healthy) await this.flush();
    return this.#empty;
  }

  async #write(): Promise<void> {
    if (this.#empty) return;
    const group = this.#unsure ?? { outcomes: this.#pending, finished: this.#finished };
    if (this.#unsure === null) {
      this.#pending = [];
      this.#finished = [];
    }
    try {
      if (this.#unsure === null || !(await this.#wasStored(group))) await this.#store(group);
      this.#unsure = null;
      this.#healthy = true;
      this.#options.stored(group.outcomes);
    } catch (error) {
      // Nothing is lost: the replies stand in the intent log too, and these rows are tried again.
      this.#unsure = group;
      this.#healthy = false;
      this.#options.failed(error as Fault);
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  /** Whether a transaction whose answer was lost has been committed; leaves the next free batch number. */
  async #wasStored({ outcomes, finished }: Group): Promise<boolean> {
    const { db, broadcast } = this.#options;
    const next = await nextOutcomeBatch(db, broadcast);
    const chunk = finished[0]?.chunk;
    const stored =
      outcomes.length > 0
        ? next > this.#nextBatch
        : chunk !== undefined && (await isDone(db, broadcast, chunk));
    this.#nextBatch = next;
    return stored;
  }

  async #store({ outcomes, finished }: Group): Promise<void> {
    const { db, broadcast, key } = this.#options;
    const first = this.#nextBatch;
    this.#nextBatch = await db.transaction(async (tx) => {
      const next =
        outcomes.length === 0
          ? first
          : await insertOutcomes(tx, broadcast, key, first, outcomes, this.#options.now());
      for (const { ring, again } of finished) await addRetryChunks(tx, broadcast, ring, again);
      await finishChunks(
        tx,
        broadcast,
        finished.map(({ chunk }) => chunk),
      );
      return next;
    });
  }

  /** Stores everything; false when the database could not take it within the time. */
  async close(timeoutMs: number): Promise<boolean> {
    const end = performance.now() + timeoutMs;
    while (!this.#empty && performance.now() < end) await this.flush();
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    return this.#empty;
  }
}
