/**
 * How many readers calls usually have, of an identity and of each type of its calls, learnt from all processes together: a call
 * far beyond it is held.
 *
 * Invariants: what was unusual is not learnt, so that no mistake makes the next one usual; types are bounded in memory, and
 * stored once they are used.
 */

import { setNewest } from '../base/newest-last.ts';
import type { Database } from '../store/database.ts';
import { addUsualSizes, type UsualSizeRow } from '../store/exposure.ts';
import type { Identity } from './identity.ts';

const CALLS_MIN = 20;
const READERS_MIN = 100;
const UNUSUAL_TIMES = 10;
const TYPES_MAX = 5000;
/** A type that was seen less often here is not worth a row yet. */
const TYPE_CALLS_MIN = 5;

/** What is usual: what all processes stored, and what this one learnt since. */
interface Sizes {
  stored: UsualSizeRow;
  calls: number;
  max: number;
  p95: number;
}

export class UsualSizes {
  readonly #sizes = new Map<string, Sizes>();
  readonly #types = new Map<string, Sizes>();

  constructor(stored: readonly UsualSizeRow[]) {
    for (const row of stored)
      (row.type === '' ? this.#sizes : this.#types).set(
        keyOf(row.identity, row.type),
        sizesOf(row),
      );
  }

  /** By the type's own size where that is known, else by the identity's. */
  isUnusual(identity: Identity, readers: number, typeOf: () => string | null): boolean {
    if (identity.readersMax !== null) return readers > identity.readersMax;
    if (readers < READERS_MIN) return false;
    const type = typeOf();
    const ofType = type === null ? null : maxOf(this.#types.get(keyOf(identity.name, type)));
    const usual = ofType ?? maxOf(this.#sizes.get(keyOf(identity.name, '')));
    return usual !== null && readers > UNUSUAL_TIMES * usual;
  }

  learn(identity: string, readers: number, type: string | null): void {
    learnIn(this.#sizes, identity, '', readers);
    if (type === null) return;
    const sizes = learnIn(this.#types, identity, type, readers);
    // A subject that names its reader is a type of its own, seen once and forgotten first.
    setNewest(this.#types, keyOf(identity, type), sizes, TYPES_MAX);
  }

  /** Adds what was learnt since the last time to what all have stored, and takes that over. */
  async store(db: Database): Promise<void> {
    const learnt = [...this.#sizes.values(), ...this.#types.values()].flatMap((sizes) => {
      const { stored, calls, max, p95 } = sizes;
      const isRare = stored.type !== '' && stored.calls + calls < TYPE_CALLS_MIN;
      if (calls === 0 || isRare) return [];
      const { identity, type } = stored;
      return [{ identity, type, calls, readers_max: max, readers_p95: Math.round(p95) }];
    });
    if (learnt.length === 0) return;
    const rows = await addUsualSizes(db, learnt);
    const taken = new Map(learnt.map((row) => [keyOf(row.identity, row.type), row.calls]));
    for (const row of rows) {
      const key = keyOf(row.identity, row.type);
      const sizes = (row.type === '' ? this.#sizes : this.#types).get(key);
      if (sizes === undefined) continue;
      sizes.stored = row;
      sizes.calls -= taken.get(key) ?? 0;
    }
  }
}

function keyOf(identity: string, type: string): string {
  return `${type} ${identity}`;
}

function maxOf(sizes: Sizes | undefined): number | null {
  if (sizes === undefined || sizes.stored.calls + sizes.calls < CALLS_MIN) return null;
  return Math.max(sizes.stored.readers_max, sizes.max);
}

function learnIn(all: Map<string, Sizes>, identity: string, type: string, readers: number): Sizes {
  const key = keyOf(identity, type);
  let sizes = all.get(key);
  if (sizes === undefined) {
    sizes = sizesOf({ identity, type, calls: 0, readers_max: 0, readers_p95: 0 });
    all.set(key, sizes);
  }
  sizes.calls++;
  if (readers > sizes.max) sizes.max = readers;
  // A running estimate: up by 19 steps of a size that 5 % of calls exceed, down by one.
  const step = Math.max(0.05, sizes.p95 * 0.01);
  sizes.p95 = Math.max(1, sizes.p95 + (readers > sizes.p95 ? 19 * step : -step));
  return sizes;
}

function sizesOf(stored: UsualSizeRow): Sizes {
  return { stored, calls: 0, max: 0, p95: stored.readers_p95 };
}
