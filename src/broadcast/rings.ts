/** Rings: in which order an audience is released, and what lets the next ring open. */

export interface RingPlan {
  readonly ring: number;
  readonly first: number;
  readonly count: number;
  /** The next ring waits when the lower bound of the refused share is above this. */
  readonly refusedShareMax: number;
}

export interface RingRules {
  /** Shares of the audience, in thousandths, after ring 0; the rest is the last ring. */
  readonly perThousand: readonly number[];
  readonly refusedShareMax: number;
}

export const DEFAULT_RING_RULES: RingRules = { perThousand: [10, 100], refusedShareMax: 0.05 };

/**
 * Lower end of the 95 % Wilson score interval of a share: what a small ring can really say.
 * Two refusals of three are not "67 %" but "at least 21 %".
 */
export function shareLowerBound(hits: number, of: number): number {
  if (of === 0) return 0;
  const z = 1.96;
  const share = hits / of;
  const middle = share + (z * z) / (2 * of);
  const spread = z * Math.sqrt((share * (1 - share) + (z * z) / (4 * of)) / of);
  return Math.max(0, (middle - spread) / (1 + (z * z) / of));
}

export type RingDecision =
  | { readonly kind: 'open-next' }
  | { readonly kind: 'hold'; readonly because: string };

/** Whether the ring after this one may open. */
export function afterRing(
  plan: RingPlan,
  result: { readonly refused: number; readonly sent: number },
): RingDecision {
  const bound = shareLowerBound(result.refused, result.sent);
  if (bound <= plan.refusedShareMax) return { kind: 'open-next' };
  const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
  return {
    kind: 'hold',
    because: `ring ${plan.ring}: ${result.refused} of ${result.sent} refused, at least ${percent(bound)} where ${percent(plan.refusedShareMax)} is allowed`,
  };
}
