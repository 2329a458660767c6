/** Ring after ring: each is fed, judged, and lets the next one open; at the end everybody has a final state or is named. */

import { Fault } from '../base/errors.ts';
import { openChunks } from '../store/chunks.ts';
import type { Database } from '../store/database.ts';
import { positionsIn, ringResult } from '../store/outcomes.ts';
import type { Broadcast } from './broadcast.ts';
import { STATES } from './outcome.ts';
import type { OutcomeWriter } from './outcome-writer.ts';
import type { Feed } from './release-feed.ts';
import type { ReleaseMeter } from './release-progress.ts';
import { afterRing, type RingPlan } from './rings.ts';

/** How the rings end by themselves; null when something else has ended the release. */
export type RingsEnd =
  | { readonly kind: 'complete' }
  | { readonly kind: 'held'; readonly because: string };

export interface RingsOptions {
  readonly db: Database;
  readonly broadcast: Broadcast;
  readonly writer: OutcomeWriter;
  readonly meter: ReleaseMeter;
  readonly feed: Feed;
  ended(): boolean;
}

const REFUSED_STATES = [STATES.indexOf('refused'), STATES.indexOf('undeliverable')];
const RETRY_MS = 200;
const NAMED_ROWS = 10;
const OPEN_ROWS_MAX = 1_000_000;

export class Rings {
  readonly #options: RingsOptions;
  #ring = 0;
  #sendingMs = 0;
  #since: number | null = null;

  constructor(options: RingsOptions) {
    this.#options = options;
  }

  /** The ring that is open. */
  get current(): number {
    return this.#ring;
  }

  /** Whether a ring has been opened. */
  get started(): boolean {
    return this.#sendingMs > 0 || this.#since !== null;
  }

  /** Time since rings were open, waiting and signing included. */
  get milliseconds(): number {
    return this.#sendingMs + (this.#since === null ? 0 : performance.now() - this.#since);
  }

  async walk(): Promise<RingsEnd | null> {
    const { db, broadcast, ended } = this.#options;
    const { rings } = broadcast.plan;
    for (const plan of rings) {
      const last = plan === rings.at(-1);
      const open = await this.#asked(() => openChunks(db, broadcast.id, plan.ring));
      if (open === null) return null;
      if (open.waiting + open.claimed === 0) continue;
      await this.#send(plan, last);
      if (ended()) return null;
      const held = last ? null : await this.#judge(plan);
      if (held !== null || ended()) return held;
    }
    return this.#conclude();
  }

  async #send(plan: RingPlan, last: boolean): Promise<void> {
    this.#ring = plan.ring;
    this.#options.meter.restartRate();
    const since = performance.now();
    this.#since = since;
    try {
      await this.#options.feed.ring(plan.ring, last);
    } finally {
      this.#sendingMs += performance.now() - since;
      this.#since = null;
    }
  }

  async #judge(plan: RingPlan): Promise<RingsEnd | null> {
    const { db, broadcast } = this.#options;
    const result = await this.#asked(() => ringResult(db, broadcast.id, plan.ring, REFUSED_STATES));
    if (result === null) return null;
    const decision = afterRing(plan, result);
    return decision.kind === 'hold' ? { kind: 'held', because: decision.because } : null;
  }

  async #conclude(): Promise<RingsEnd | null> {
    const { db, broadcast } = this.#options;
    const uncertain = STATES.indexOf('uncertain');
    const open = await this.#asked(() => positionsIn(db, broadcast.id, uncertain, OPEN_ROWS_MAX));
    if (open === null) return null;
    if (open.length === 0 || broadcast.uncertainAcceptedBy !== null) return { kind: 'complete' };
    const named = open.slice(0, NAMED_ROWS).map((row) => row.position);
    const more = open.length > named.length ? ' …' : '';
    return { kind: 'held', because: `${open.length} uncertain: rows ${named.join(', ')}${more}` };
  }

  /** Asks the database, once every outcome is stored, until it answers; null once the release has ended. */
  async #asked<T>(question: () => Promise<T>): Promise<T | null> {
    const { writer, meter, ended } = this.#options;
    while (!ended()) {
      try {
        if (await writer.flushed()) {
          const answer = await question();
          meter.resume('database');
          return answer;
        }
      } catch (error) {
        if (!(error instanceof Fault) || !error.code.startsWith('database.')) throw error;
        meter.pause('database', error.message);
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
    return null;
  }
}
