/** Chance that repeats: the same seed and number give the same submission in every run. */

export interface Random {
  /** 0 <= x < 1. */
  next(): number;
  /** A whole number from `from` to `to`, both included. */
  int(from: number, to: number): number;
  chance(probability: number): boolean;
  pick<T>(items: readonly T[]): T;
  /** Some of them, in their order, at least one. */
  some<T>(items: readonly T[]): readonly T[];
}

/** Mulberry32 over a mixed seed. */
export function randomOf(seed: number, number: number): Random {
  let state = Math.imul(seed ^ 0x9e37_79b9, 0x85eb_ca6b) ^ Math.imul(number + 1, 0xc2b2_ae35);
  const next = (): number => {
    state = (state + 0x6d2b_79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  for (let i = 0; i < 4; i++) next();
  const int = (from: number, to: number): number => from + Math.floor(next() * (to - from + 1));
  const pick = <T>(items: readonly T[]): T => {
    const item = items[int(0, items.length - 1)];
    if (item === undefined) throw new RangeError('nothing to pick from');
    return item;
  };
  const chance = (probability: number): boolean => next() < probability;
  return {
    ...{ next, int, pick, chance },
    some: (items) => {
      const kept = items.filter(() => chance(0.5));
      return kept.length > 0 ? kept : [pick(items)];
    },
  };
}
