/** A message on its way to a socket, and what became of handing it over. */

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
  /** Content was begun, its final dot never left us. */
  | { readonly kind: 'abandoned' }
  /** No content was handed over. */
  | { readonly kind: 'returned' };
