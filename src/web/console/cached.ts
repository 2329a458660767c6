/** What many pages ask for is asked of the database once, and less often the longer it takes. */

import { setNewest } from '../../base/newest-last.ts';

export interface Cached<T> {
  (): Promise<T>;
  /** The answer if it comes that soon, else the last one there was, else null. A fault is thrown if it comes that soon. */
  soon(milliseconds: number): Promise<T | null>;
  /** The next caller gets a fresh answer. */
  forget(): void;
}

/** Of the time between two questions at most a twentieth is spent on the first: a slow one cannot keep the database busy. */
const SHARE = 20;
/** But one slow answer, for instance while a broadcast is being prepared, does not make the page old for a minute. */
const RESTED_MS = 5000;
/** A question whose answer does not come in that time is lost with its connection, and asked again. */
const LOST_MS = 30_000;

/**
 * How long an answer is good that has taken so long.
 * @param everyMs how old it may be where it has taken no time.
 * @returns milliseconds; never less than it has taken.
 */
export function restOf(tookMs: number, everyMs: number): number {
  return Math.max(everyMs, Math.min(SHARE * tookMs, RESTED_MS), tookMs);
}

/** @param everyMs how old an answer may be. */
export function cached<T>(load: () => Promise<T>, everyMs: number): Cached<T> {
  let value: Promise<T> | null = null;
  let goodUntil = Number.NEGATIVE_INFINITY;
  let last: T | null = null;
  const ask = (): Promise<T> => {
    if (value !== null && performance.now() < goodUntil) return value;
    const started = performance.now();
    goodUntil = started + LOST_MS;
    const asked = load().then(
      (answer) => {
        const now = performance.now();
        last = answer;
        if (value === asked) goodUntil = now + restOf(now - started, everyMs);
        return answer;
      },
      (error: unknown) => {
        if (value === asked) value = null;
        throw error;
      },
    );
    value = asked;
    return asked;
  };
  const soon = async (milliseconds: number): Promise<T | null> => {
    const answer = ask();
    // Nobody may be left to hear of it.
    answer.catch(() => {});
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<T | null>((resolve) => {
      timer = setTimeout(() => resolve(last), milliseconds);
    });
    return Promise.race([answer, late]).finally(() => clearTimeout(timer));
  };
  return Object.assign(ask, {
    soon,
    forget: () => {
      value = null;
    },
  });
}

export interface CachedBy<T> {
  (key: string): Promise<T>;
  soon(key: string, milliseconds: number): Promise<T | null>;
  forget(): void;
}

/** One cached answer for each key; the least lately asked is dropped. */
export function cachedBy<T>(
  load: (key: string) => Promise<T>,
  everyMs: number,
  keysMax = 64,
): CachedBy<T> {
  const answers = new Map<string, Cached<T>>();
  const of = (key: string): Cached<T> => {
    const answer = answers.get(key) ?? cached(() => load(key), everyMs);
    setNewest(answers, key, answer, keysMax);
    return answer;
  };
  return Object.assign((key: string) => of(key)(), {
    soon: (key: string, milliseconds: number) => of(key).soon(milliseconds),
    forget: () => {
      for (const answer of answers.values()) answer.forget();
    },
  });
}
