/** SES's event publishing, for calls that were kept and came to nothing: one event for each request. */

import { createHash } from 'node:crypto';
import type { EventPost, FailedCall } from './adapter.ts';
import type { SendBulkEmail, SendEmail } from './ses-message.ts';
import { allOf } from './ses-private.ts';

/** `Bounce` with the type `Permanent`; where it is not known whether it was sent, `Undetermined`. */
export function sesEvents(
  failed: readonly FailedCall[],
  id: string | null,
  now: Date,
): readonly EventPost[] {
  return failed.map((item) => ({
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(eventOf(item, id, now)),
  }));
}

function eventOf({ call, answer, kind }: FailedCall, id: string | null, now: Date): object {
  const body: Partial<SendEmail & SendBulkEmail> = JSON.parse(call.body.toString('utf8'));
  const destinations = [body, ...(body.BulkEmailEntries ?? [])].map((item) => item.Destination);
  const destination = destinations.flatMap((item) => allOf(item).map(({ email }) => email));
  const timestamp = now.toISOString();
  const sure = kind !== 'uncertain';
  const feedback = JSON.stringify([id, answer, timestamp, destination]);
  return {
    eventType: 'Bounce',
    bounce: {
      feedbackId: createHash('sha256').update(feedback).digest('hex').slice(0, 32),
      bounceType: sure ? 'Permanent' : 'Undetermined',
      bounceSubType: sure ? 'General' : 'Undetermined',
      bouncedRecipients: destination.map((emailAddress) => ({
        emailAddress,
        action: sure ? 'failed' : 'delayed',
        diagnosticCode: sure ? answer : `It may have been sent: ${answer}`,
      })),
      timestamp,
    },
    mail: {
      timestamp,
      messageId: id,
      source: body.FromEmailAddress ?? null,
      destination,
      headersTruncated: true,
    },
  };
}
