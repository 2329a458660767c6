/** How a gate delivers later what was kept: the guard's outbox knows calls, a gate knows its far side. */

/** One delivery of a kept call: to one reader where it is cut privately, to all where it goes on as it came. */
export interface Delivery {
  /** What `deliver` needs, in the gate's own form. */
  readonly bytes: Buffer;
  readonly readers: number;
}

export type DeliveryResult =
  | { readonly kind: 'accepted'; readonly upstreamId: string | null; readonly answer: string }
  /** Nothing was taken; worth another attempt. */
  | { readonly kind: 'deferred'; readonly answer: string }
  /** Nothing was taken, and never will be. */
  | { readonly kind: 'refused'; readonly answer: string }
  /** Content was handed over and no answer came: it may have been delivered, so it is not sent again by itself. */
  | { readonly kind: 'uncertain'; readonly answer: string };

export interface FailedDelivery {
  readonly delivery: Delivery;
  /** A reply code or an HTTP status with a stable word; never an address. */
  readonly answer: string;
  readonly kind: 'refused' | 'expired' | 'uncertain';
}

export interface Carrier {
  readonly gate: string;
  /**
   * The deliveries of a kept call: the same ones in the same order each time. `id`: the call's own.
   * @throws Fault where it cannot be cut.
   */
  cut(kept: Buffer, how: 'private' | 'whole', id: string): readonly Delivery[];
  /** @param stopped asked right before content is handed over, where that is not at once: then nothing is. */
  deliver(delivery: Delivery, stopped?: () => boolean): Promise<DeliveryResult>;
  /** Tells the sender what could not be delivered: a DSN (RFC 3464) or a provider-shaped event. `id`: what answered the caller. */
  tellFailed(kept: Buffer, failed: readonly FailedDelivery[], id: string): Promise<void>;
}
