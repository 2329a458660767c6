/** A message on its way to a socket, and what became of handing it over. */

import type { Fault } from '../../base/errors.ts';
import type { Reply } from '../../smtp/reply.ts';
import type { SealedLeaf } from '../last-look.ts';

export interface Outgoing {
  readonly position: number;
  readonly attempt: number;
  /** The signed message, without the final dot. */
  readonly bytes: Buffer;
  readonly returnPath: string;
  readonly reader: string;
  readonly smtpUtf8: boolean;
  readonly leaf: SealedLeaf;
  /** The chunk it belongs to. */
  readonly chunk: number;
}

export type SendResult =
  /** The far side answered, to the envelope or to the content. */
  | { readonly kind: 'replied'; readonly reply: Reply }
  /** The next hop lacks SMTPUTF8. */
  | { readonly kind: 'undeliverable'; readonly enhanced: '5.6.7' }
  /** Content was handed over whole and no reply came. */
  | { readonly kind: 'unknown' }
  /** Content was begun, its final dot never left us; `lost` says how the far side ended it, null where we did. */
  | { readonly kind: 'abandoned'; readonly lost: string | null }
  /** No content was handed over; `lost` says how the far side ended it while it had this envelope to answer. */
  | { readonly kind: 'returned'; readonly lost: string | null };

/** Of a message whose content was handed over when its connection ended; `cut` when the final dot never left us. */
export function unanswered(cut: boolean, fault: Fault | null): SendResult {
  return cut ? { kind: 'abandoned', lost: fault?.message ?? null } : { kind: 'unknown' };
}

/** Of a message without content when its connection ended; `told` when its envelope was what the far side had to answer. */
export function notBegun(told: boolean, fault: Fault | null): SendResult {
  return { kind: 'returned', lost: told ? (fault?.message ?? null) : null };
}
