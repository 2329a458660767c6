/**
 * The feed: claims chunks of the open rings, loads and checks their rows, and keeps the queue filled ahead of the
 * connections. Whatever the database cannot answer now is asked again until it can.
 */

import { Fault } from '../base/errors.ts';
import {
  type ChunkRow,
  claimChunk,
  leftOutOf,
  type OpenChunks,
  openChunks,
  returnChunks,
} from '../store/chunks.ts';
import type { Database } from '../store/database.ts';
import type { ChunkLoader, WaitingRow } from './chunk-loader.ts';
import type { OutcomeWriter } from './outcome-writer.ts';
import type { ChunksUnderWay } from './release-chunks.ts';
import type { ReleaseMeter } from './release-progress.ts';
import type { SendQueue } from './release-queue.ts';
import type { Signatures } from './release-signatures.ts';

/** Rows that wait in the queue: this many, or what is sent in this share of a second. */
const QUEUE_ROWS = 3072;
const QUEUE_SECONDS = 0.3;
const IDLE_MS = 20;
const RETRY_MS = 200;
const LOOK_AGAIN_MS_MAX = 500;

export interface FeedOptions {
  readonly db: Database;
  readonly broadcast: string;
  readonly sender: string;
  readonly loader: ChunkLoader;
  readonly queue: SendQueue;
  readonly chunks: ChunksUnderWay;
  readonly writer: OutcomeWriter;
  readonly meter: ReleaseMeter;
  readonly signatures: Signatures;
  /** Reasons of suppression that count for this class of notice. */
  readonly suppressions: readonly string[];
  ended(): boolean;
  permitted(): boolean;
  /** Rows have been added. */
  filled(): void;
  leaveOut(row: WaitingRow, reason: string): void;
}

export class Feed {
  readonly #options: FeedOptions;
  #claimed: ChunkRow | null = null;
  #idle: (() => void) | null = null;

  constructor(options: FeedOptions) {
    this.#options = options;
  }

  /** Feeds what is open up to this ring; returns when none of it is due now, or, with `toTheEnd`, when none is left. */
  async ring(ring: number, toTheEnd: boolean): Promise<void> {
    const { ended, meter } = this.#options;
    while (!ended()) {
      try {
        if (!(await this.#step(ring, toTheEnd))) return;
        meter.resume('database');
      } catch (error) {
        if (!(error instanceof Fault) || !error.code.startsWith('database.')) throw error;
        meter.pause('database', error.message);
        await this.#pause(RETRY_MS);
      }
    }
  }

  /** Something has changed: an idle feed looks again at once. */
  wake(): void {
    this.#idle?.();
  }

  async #step(ring: number, toTheEnd: boolean): Promise<boolean> {
    const { queue, meter, chunks, permitted } = this.#options;
    const wanted = Math.max(QUEUE_ROWS, Math.ceil(meter.perSecond() * QUEUE_SECONDS));
    if (!permitted() || queue.waiting >= wanted) {
      await this.#pause(IDLE_MS);
      return true;
    }
    if (await this.#load(ring)) return true;
    if (chunks.size > 0) {
      await this.#pause(IDLE_MS);
      return true;
    }
    return this.#look(ring, toTheEnd);
  }

  /** Nothing is under way here: false when the ring is done. */
  async #look(ring: number, toTheEnd: boolean): Promise<boolean> {
    const { db, broadcast, sender, writer, ended } = this.#options;
    if (!(await writer.flushed())) {
      await this.#pause(RETRY_MS);
      return true;
    }
    const open: OpenChunks = await openChunks(db, broadcast, ring);
    if (open.claimed > 0) {
      await returnChunks(db, broadcast, sender, []);
      await this.#pause(IDLE_MS);
      return true;
    }
    if (open.waiting === 0 || (open.due === 0 && !toTheEnd)) return false;
    if (open.due === 0 && !ended())
      await this.#pause(Math.min(LOOK_AGAIN_MS_MAX, Math.max(IDLE_MS, open.next_ms ?? IDLE_MS)));
    return true;
  }

  /** Claims and loads the next chunk; false when there is none. What a fault interrupts goes on from there. */
  async #load(ring: number): Promise<boolean> {
    const { db, broadcast, sender, loader, signatures, queue, chunks, writer } = this.#options;
    this.#claimed ??= await claimChunk(db, broadcast, ring, sender);
    const chunk = this.#claimed;
    if (chunk === null) return false;
    const run = await signatures.runOf(chunk.ring);
    if (run === null) return true;
    const rows = await loader.load(chunk, run);
    const left = await this.#leftOut(rows);
    this.#claimed = null;
    chunks.begin(chunk.chunk, chunk.ring, rows.length);
    for (const row of rows) {
      const reason = left.get(row.position);
      if (reason === undefined) queue.push(row);
      else this.#options.leaveOut(row, reason);
    }
    if (rows.length === 0) writer.finish({ chunk: chunk.chunk, ring: chunk.ring, again: [] });
    this.#options.filled();
    return true;
  }

  async #leftOut(rows: readonly WaitingRow[]): Promise<ReadonlyMap<number, string>> {
    const first = rows[0];
    const last = rows.at(-1);
    if (first === undefined || last === undefined) return new Map();
    const { db, broadcast, suppressions } = this.#options;
    const left = await leftOutOf(db, broadcast, first.position, last.position, suppressions);
    return new Map(left.map((row) => [row.position, row.reason]));
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        this.#idle = null;
        resolve();
      };
      const timer = setTimeout(end, ms);
      this.#idle = end;
    });
  }
}
