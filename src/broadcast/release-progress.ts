/** What a release shows of itself while it runs. */

import { type OutcomeState, STATES } from './outcome.ts';

export interface ReleaseProgress {
  readonly phase: 'starting' | 'signing' | 'sending' | 'paused' | 'ended';
  readonly because: string | null;
  readonly ring: number;
  readonly done: number;
  readonly of: number;
  readonly accepted: number;
  readonly refused: number;
  readonly deferred: number;
  readonly uncertain: number;
  readonly inFlight: number;
  /** Messages settled in the last second. */
  readonly perSecond: number;
  readonly sendingSeconds: number;
  readonly signingSeconds: number;
}

/** Whose absence makes a release stand still by itself, and go on by itself. */
export type PauseCause = 'database' | 'outcomes' | 'permit' | 'route';

/** Counts, rate, and the reasons why nothing is sent at the moment. */
export class ReleaseMeter {
  readonly #counts: Record<OutcomeState, number> = Object.fromEntries(
    STATES.map((state) => [state, 0]),
  ) as Record<OutcomeState, number>;
  readonly #pauses = new Map<PauseCause, string>();
  #rates: { readonly at: number; readonly total: number }[] = [];
  #total = 0;

  /** Outcomes counted since the start of this release. */
  get total(): number {
    return this.#total;
  }

  get counts(): Readonly<Record<OutcomeState, number>> {
    return this.#counts;
  }

  count(state: OutcomeState): void {
    this.#counts[state]++;
    this.#total++;
  }

  pause(cause: PauseCause, because: string): void {
    this.#pauses.set(cause, because);
  }

  resume(cause: PauseCause): void {
    this.#pauses.delete(cause);
  }

  /** Why nothing is sent; null when nothing stands in the way. */
  get because(): string | null {
    for (const because of this.#pauses.values()) return because;
    return null;
  }

  /** A new ring: its rate begins anew. */
  restartRate(): void {
    this.#rates = [];
  }

  perSecond(): number {
    const now = performance.now();
    const last = this.#rates.at(-1);
    if (last === undefined || now - last.at > 50) this.#rates.push({ at: now, total: this.#total });
    while (this.#rates.length > 2 && now - (this.#rates[0]?.at ?? now) > 1000) this.#rates.shift();
    const first = this.#rates[0];
    if (first === undefined || now - first.at < 20) return 0;
    return ((this.#total - first.total) * 1000) / (now - first.at);
  }
}
