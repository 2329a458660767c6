/** The shape of a detector: a pure function from a parsed message and its circumstances to findings. */

import type { Envelope } from '../mail/envelope.ts';
import type { ParsedMessage } from '../mail/message.ts';
import type { Finding } from './finding.ts';

export interface DetectContext {
  readonly envelope: Envelope;
  /** The canonical address of the one reader; null where the message has several readers, or none is known. */
  readonly reader: string | null;
  /** Canonical: a reader of this message, or of another copy in the same call. */
  readonly isRecipient: (canonical: string) => boolean;
  /** What the policy allows by name: role addresses and own domains. The addresses of From, Sender, Reply-To and List-* are found by detect itself. */
  readonly allowed: (canonical: string) => 'sender' | 'role' | 'own-domain' | null;
  /** Whether a canonical address is a customer's; null when there is no customer index. */
  readonly isCustomer: ((canonical: string) => boolean) | null;
  /** What is known of the person with this canonical address: names as they may be written to. Null where nobody knows. */
  readonly recordOf?: RecordOf | null;
}

export interface PersonRecord {
  /** The whole name, or its pieces. */
  readonly names: readonly string[];
}

export type RecordOf = (canonical: string) => PersonRecord | null;

export type Detector = (message: ParsedMessage, context: DetectContext) => readonly Finding[];
