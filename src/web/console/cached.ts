/** What many pages ask for is asked of the database once, and less often the longer it takes. */

export interface Cached<T> {
  (): Promise<T>;
  /** The next caller gets a fresh answer. */
  forget(): void;
}

/** Of the time between two questions at most a twentieth is spent on the first: a slow one cannot keep the database busy. */
const SHARE = 20;

/** @param everyMs how old an answer may be. */
export function cached<T>(load: () => Promise<T>, everyMs: number): Cached<T> {
  let value: Promise<T> | null = null;
  let goodUntil = Number.NEGATIVE_INFINITY;
  const ask = (): Promise<T> => {
    if (value !== null && performance.now() < goodUntil) return value;
    const started = performance.now();
    goodUntil = Number.POSITIVE_INFINITY;
    const asked = load().then(
      (answer) => {
        const now = performance.now();
        if (value === asked) goodUntil = now + Math.max(everyMs, SHARE * (now - started));
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
  return Object.assign(ask, {
    forget: () => {
      value = null;
    },
  });
}

/** One cached answer for each key; the least lately asked is dropped. */
export function cachedBy<T>(
  load: (key: string) => Promise<T>,
  everyMs: number,
  keysMax = 64,
): { (key: string): Promise<T>; forget(): void } {
  const answers = new Map<string, Cached<T>>();
  const ask = (key: string): Promise<T> => {
    const answer = answers.get(key) ?? cached(() => load(key), everyMs);
    answers.delete(key);
    answers.set(key, answer);
    if (answers.size > keysMax) {
      const [oldest = ''] = answers.keys();
      answers.delete(oldest);
    }
    return answer();
  };
  return Object.assign(ask, { forget: () => answers.clear() });
}
