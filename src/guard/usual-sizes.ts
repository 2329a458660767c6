/**
 * How many readers the calls of an identity usually have, learnt from all processes together: a call far beyond it is held.
 * Invariant: what was unusual is not learnt, so that no mistake makes the next one usual.
 */

import type { Database } from '../store/database.ts';
import { addUsualSizes, type UsualSizeRow } from '../store/exposure.ts';
import type { Identity } from './identity.ts';

const CALLS_MIN = 20;
const READERS_MIN = 100;
const UNUSUAL_TIMES = 10;

/** What is usual for an identity: what all processes stored, and what this one learnt since. */
interface Sizes {
  stored: UsualSizeRow;
  calls: number;
  max: number;
  p95: number;
}

export class UsualSizes {
  readonly #sizes = new Map<string, Sizes>();

  constructor(stored: readonly UsualSizeRow[]) {
    for (const row of stored) this.#sizes.set(row.identity, newSizes(row));
  }

  isUnusual(identity: Identity, readers: number): boolean {
    if (identity.readersMax !== null) return readers > identity.readersMax;
    if (readers < READERS_MIN) return false;
    const sizes = this.#sizes.get(identity.name);
    if (sizes === undefined || sizes.stored.calls + sizes.calls < CALLS_MIN) return false;
    return readers > UNUSUAL_TIMES * Math.max(sizes.stored.readers_max, sizes.max);
  }

  learn(identity: string, readers: number): void {
    let sizes = this.#sizes.get(identity);
    if (sizes === undefined) {
      sizes = newSizes({ identity, calls: 0, readers_max: 0, readers_p95: 0 });
      this.#sizes.set(identity, sizes);
    }
    sizes.calls++;
    if (readers > sizes.max) sizes.max = readers;
    // A running estimate: up by 19 steps of a size that 5 % of calls exceed, down by one.
    const step = Math.max(0.05, sizes.p95 * 0.01);
    sizes.p95 = Math.max(1, sizes.p95 + (readers > sizes.p95 ? 19 * step : -step));
  }

  /** Adds what was learnt since the last time to what all have stored, and takes that over. */
  async store(db: Database): Promise<void> {
    const learnt: UsualSizeRow[] = [];
    for (const [identity, sizes] of this.#sizes) {
      if (sizes.calls === 0) continue;
      const { calls, max, p95 } = sizes;
      learnt.push({ identity, calls, readers_max: max, readers_p95: Math.round(p95) });
    }
    if (learnt.length === 0) return;
    const stored = await addUsualSizes(db, learnt);
    const taken = new Map(learnt.map((row) => [row.identity, row.calls]));
    for (const row of stored) {
      const sizes = this.#sizes.get(row.identity);
      if (sizes === undefined) continue;
      sizes.stored = row;
      sizes.calls -= taken.get(row.identity) ?? 0;
    }
  }
}

function newSizes(stored: UsualSizeRow): Sizes {
  return { stored, calls: 0, max: 0, p95: stored.readers_p95 };
}
