/** What a server hands to its owner, and what the owner says to it. */

import type { Envelope } from '../mail/envelope.ts';
import type { RecipientDsn } from './command.ts';
import type { Reply } from './reply.ts';

/** What was asked about delivery reports (RFC 3461). */
export interface Dsn {
  readonly ret: '' | 'FULL' | 'HDRS';
  readonly envid: string;
  /** In the order of the recipients. */
  readonly recipients: readonly RecipientDsn[];
}

export interface SmtpSubmission<Identity> {
  readonly envelope: Envelope;
  /** The content as submitted, dots un-stuffed; every line ends in CRLF, and there is no NUL. */
  readonly bytes: Buffer;
  /** Who authenticated; null where nobody did. */
  readonly identity: Identity | null;
  /** Null where nothing was asked. */
  readonly dsn: Dsn | null;
  readonly secure: boolean;
}

/** The reply's code must be of the kind: 2xx accepted, 4xx deferred, 5xx refused. */
export interface SubmissionOutcome {
  readonly kind: 'accepted' | 'deferred' | 'refused';
  readonly reply: Reply;
}
