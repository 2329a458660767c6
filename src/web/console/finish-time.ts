/** When a release will have finished, from what has been settled; 'unknown' where a guess would be all. */

export type Finish =
  | { readonly kind: 'at'; readonly at: Date; readonly perSecond: number }
  | { readonly kind: 'finished' }
  | { readonly kind: 'unknown'; readonly because: string };

export interface SettledSoFar {
  readonly audience: number;
  /** People in a final state. */
  readonly settled: number;
  /** When the first and the last of them were settled; null before. */
  readonly firstAt: Date | null;
  readonly lastAt: Date | null;
  /** Of them, in the `WINDOW_MS` before the last. */
  readonly lately: number;
  /** Whoever was not taken and is tried again later. */
  readonly deferred: number;
}

/** The rate is that of the last 15 seconds: long enough to cover the signing of a ring, short enough to follow a provider. */
export const WINDOW_MS = 15_000;
const SPAN_MS_MIN = 500;
const STALLED_MS = 5000;

/** @param stands why nothing is sent at the moment; null where nothing stands in the way. */
export function finishTime(so: SettledSoFar, stands: string | null, now: Date): Finish {
  const left = so.audience - so.settled;
  if (left <= 0) return { kind: 'finished' };
  if (stands !== null) return { kind: 'unknown', because: stands };
  const { firstAt, lastAt } = so;
  if (firstAt === null || lastAt === null)
    return { kind: 'unknown', because: 'nothing has been settled yet' };
  if (so.deferred >= left)
    return { kind: 'unknown', because: 'whoever is left was deferred and is tried again' };
  if (now.getTime() - lastAt.getTime() > STALLED_MS)
    return { kind: 'unknown', because: 'nothing was settled in the last seconds' };
  const span = Math.min(WINDOW_MS, lastAt.getTime() - firstAt.getTime());
  if (span < SPAN_MS_MIN) return { kind: 'unknown', because: 'it has only begun' };
  const perSecond = (so.lately * 1000) / span;
  return { kind: 'at', perSecond, at: new Date(now.getTime() + (left / perSecond) * 1000) };
}
