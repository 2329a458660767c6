/** SendGrid's event webhook, for calls that were kept and came to nothing: one POST with all events. */

import { createHash } from 'node:crypto';
import type { EventPost, FailedCall } from './adapter.ts';
import { readersOf } from './sendgrid-rewrite.ts';
import type { MailSend, Personalization } from './sendgrid-schema.ts';

/**
 * `dropped` says that nothing was sent; where that is not known the event is `deferred`, on which
 * nobody sends again. Categories and custom arguments stand in an event as SendGrid puts them there.
 */
export function mailSendEvents(
  failed: readonly FailedCall[],
  id: string | null,
  now: Date,
): readonly EventPost[] {
  const events = failed.flatMap((item) => eventsOf(item, id, now));
  if (events.length === 0) return [];
  return [{ headers: { 'content-type': 'application/json' }, body: JSON.stringify(events) }];
}

function eventsOf(failed: FailedCall, id: string | null, now: Date): readonly object[] {
  const mail = JSON.parse(failed.call.body.toString('utf8')) as MailSend;
  return mail.personalizations
    .filter((_, index) => failed.items === null || failed.items.includes(index))
    .flatMap((copy) =>
      readersOf({ ...mail, personalizations: [copy] })
        .map(({ email }) => email)
        .map((email) => eventOf(email, { mail, copy, failed, id, now })),
    );
}

interface Message {
  readonly mail: MailSend;
  readonly copy: Personalization;
  readonly failed: FailedCall;
  readonly id: string | null;
  readonly now: Date;
}

function eventOf(email: string, { mail, copy, failed, id, now }: Message): object {
  const custom = typeof mail.custom_args === 'object' ? mail.custom_args : {};
  const timestamp = Math.floor(now.getTime() / 1000);
  const { answer, kind } = failed;
  const text = JSON.stringify([email, id, answer, timestamp]);
  const outcome =
    kind === 'uncertain'
      ? { event: 'deferred', response: `It may have been sent: ${answer}` }
      : { event: 'dropped', reason: kind === 'expired' ? `Expired: ${answer}` : answer };
  return {
    ...custom,
    ...copy.custom_args,
    email,
    timestamp,
    ...outcome,
    sg_event_id: createHash('sha256').update(text).digest('base64url').slice(0, 22),
    ...(id === null ? {} : { sg_message_id: id }),
    ...(mail.categories === undefined ? {} : { category: mail.categories }),
  };
}
