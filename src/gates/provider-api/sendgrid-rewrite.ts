/**
 * The safe shape of a `mail/send` call: one personalization for each reader, so that SendGrid makes
 * one message for each.
 *
 * Invariant: whoever is on the call gets the message; a reader in cc or bcc gets exactly one, and
 * no copy names anybody but its reader in `to`, `cc` or `bcc`.
 */

import { canonicalAddress } from '../../mail/address.ts';
import type { ApiCall, UpstreamCall } from './adapter.ts';
import { aloneInTo, cannotCut, mustShowNobody } from './message-parts.ts';
import type { MailAddress, MailSend, Personalization } from './sendgrid-schema.ts';
import { readRewritableJson } from './strict-json.ts';

/** SendGrid takes no more in one call. */
const PERSONALIZATIONS_MAX = 1000;

/**
 * The requests of a call that `read` found nothing wrong with.
 * @throws Fault `guard.cannot-cut` where headers or Reply-To would still show people
 */
export function rewriteMailSend(call: ApiCall, how: 'private' | 'whole'): readonly UpstreamCall[] {
  const { method, path, headers, body } = call;
  const mail = readRewritableJson(body) as MailSend;
  if (how === 'whole') return [{ method, path, headers, body, readers: countReaders(mail) }];
  const copies = privateCopies(mail);
  const calls: UpstreamCall[] = [];
  for (let start = 0; start < copies.length; start += PERSONALIZATIONS_MAX) {
    const personalizations = copies.slice(start, start + PERSONALIZATIONS_MAX);
    calls.push({
      method,
      path,
      headers,
      body: Buffer.from(JSON.stringify({ ...mail, personalizations })),
      readers: countReaders({ ...mail, personalizations }),
    });
  }
  return calls;
}

/** All addresses of a call, in its order. */
export function readersOf({ personalizations }: MailSend): readonly MailAddress[] {
  return personalizations.flatMap(({ to, cc = [], bcc = [] }) => [...to, ...cc, ...bcc]);
}

function countReaders(mail: MailSend): number {
  return new Set(readersOf(mail).map(({ email }) => readerKey(email))).size;
}

function readerKey(email: string): string {
  return canonicalAddress(email) ?? email;
}

/**
 * Readers in `to` first: each gets every message that was written to them, but no message twice.
 * Then those in cc and bcc who have got nothing, with the first message that names them.
 */
function privateCopies(mail: MailSend): readonly Personalization[] {
  for (const personalization of mail.personalizations) mustStandAlone(mail, personalization);
  const written = new Set<string>();
  const served = new Set<string>();
  const copiesOf: Personalization[][] = mail.personalizations.map(() => []);
  for (const [index, personalization] of mail.personalizations.entries()) {
    const { to, cc: _cc, bcc: _bcc, ...rest } = personalization;
    const text = JSON.stringify(rest);
    for (const reader of to) {
      const key = readerKey(reader.email);
      const message = `${key}\n${text}`;
      if (written.has(message)) continue;
      written.add(message);
      served.add(key);
      copiesOf[index]?.push({ ...rest, to: [aloneInTo(reader)] });
    }
  }
  for (const [index, personalization] of mail.personalizations.entries()) {
    const { to: _to, cc = [], bcc = [], ...rest } = personalization;
    for (const reader of [...cc, ...bcc]) {
      const key = readerKey(reader.email);
      if (served.has(key)) continue;
      served.add(key);
      copiesOf[index]?.push({ ...rest, to: [aloneInTo(reader)] });
    }
  }
  return copiesOf.flat();
}

function mustStandAlone(
  mail: MailSend,
  { from, headers, substitutions = {} }: Personalization,
): void {
  const replyTo = mail.reply_to_list ?? (mail.reply_to === undefined ? [] : [mail.reply_to]);
  // A substitution can put somebody else in Reply-To.
  const text = replyTo.map(({ email, name = '' }) => `${name} ${email}`).join('\n');
  const tags = [...Object.keys(substitutions), ...Object.keys(mail.sections ?? {})];
  if (replyTo.length > 1 && tags.some((tag) => text.includes(tag))) throw cannotCut('reply-to');
  mustShowNobody({
    from: (from ?? mail.from).email,
    replyTo: replyTo.map(({ email }) => email),
    headerNames: [...Object.keys(mail.headers ?? {}), ...Object.keys(headers ?? {})],
  });
}
