/**
 * The messages a `mail/send` body makes: for each personalization the bytes its readers would get,
 * as far as the body decides them. Date and Message-ID are the provider's and left out.
 *
 * Invariant: every string of the body that can reach a reader stands in at least one copy, both
 * as the provider would place it and by itself, whatever the provider's order of replacing is.
 */

import { Fault } from '../../base/errors.ts';
import type { Submission } from '../../guard/judge.ts';
import { parseAddress } from '../../mail/address.ts';
import type { CallReading } from './adapter.ts';
import {
  attachmentPart,
  boundaryOf,
  delivered,
  holdsControl,
  mailbox,
  mailboxes,
  textPart,
  unstructured,
} from './message-parts.ts';
import type { MailAddress, MailSend, Personalization } from './sendgrid-schema.ts';
import { createRendering, RENDERING_TOO_LARGE, type Rendering } from './sendgrid-tags.ts';

/** All copies of one call together; a call is read as a whole or not at all. */
const TOTAL_BYTES_MAX = 128 * 1024 * 1024;
/** Above this the attachments are not repeated in every copy, see {@link chooseCarriers}. */
const ATTACHED_BYTES_MAX = 32 * 1024 * 1024;

/** What all copies of a call have in common. */
interface Call {
  readonly mail: MailSend;
  readonly boundary: string;
  readonly rendering: Rendering;
  /** Content parts as given, finished; null where a copy's substitutions could change them. */
  readonly content: readonly {
    readonly type: string;
    readonly value: string;
    readonly part: Buffer;
  }[];
  readonly callValues: Buffer | null;
  readonly attachments: readonly Buffer[];
  readonly end: Buffer;
  readonly carries: (index: number) => boolean;
}

/** Composes the copies of a body that `findErrors` found nothing wrong with. */
export function composeCopies(mail: MailSend): CallReading {
  try {
    return composeAll(prepareCall(mail));
  } catch (error) {
    if (error instanceof Fault && error.code === RENDERING_TOO_LARGE) return tooLarge();
    throw error;
  }
}

function composeAll(call: Call): CallReading {
  const copies: Submission[] = [];
  let total = 0;
  for (const [index, personalization] of call.mail.personalizations.entries()) {
    const copy = composeCopy(call, personalization, call.carries(index));
    if (copy.kind === 'broken') return broken(copy.field, `personalizations.${index}`);
    total += copy.submission.bytes.length;
    if (total > TOTAL_BYTES_MAX) return tooLarge();
    copies.push(copy.submission);
  }
  return { kind: 'copies', copies };
}

function tooLarge(): CallReading {
  return {
    kind: 'invalid',
    errors: [
      {
        message: 'The messages of this call are together too large to inspect.',
        field: 'personalizations',
        help: 'Send fewer personalizations in one call.',
      },
    ],
  };
}

function broken(field: 'subject' | 'reply_to', place: string): CallReading {
  const message =
    field === 'subject'
      ? 'With its substitutions the subject has a line break or another control character.'
      : 'With its substitutions reply_to does not contain a valid address.';
  return {
    kind: 'invalid',
    errors: [{ message, field: `${place}.substitutions`, help: null }],
  };
}

function prepareCall(mail: MailSend): Call {
  const boundary = boundaryOf(JSON.stringify(mail));
  const rendering = createRendering(mail);
  const content = (mail.content ?? []).map(({ type, value }) => {
    const text = rendering.withoutProviderTags(value);
    return { type, value: text, part: textPart(boundary, type, text) };
  });
  const attachments = (mail.attachments ?? []).map(({ content_id: contentId, ...item }) =>
    attachmentPart(boundary, { ...item, ...(contentId === undefined ? {} : { contentId }) }),
  );
  const values = rendering.callValues.join('\n');
  return {
    mail,
    boundary,
    rendering,
    content,
    callValues: values === '' ? null : textPart(boundary, 'text/plain', values),
    attachments,
    end: Buffer.from(`--${boundary}--\r\n`),
    carries: chooseCarriers(mail, attachments),
  };
}

type Copy =
  | { readonly kind: 'copy'; readonly submission: Submission }
  | { readonly kind: 'broken'; readonly field: 'subject' | 'reply_to' };

function composeCopy(call: Call, personalization: Personalization, carries: boolean): Copy {
  const { boundary, mail } = call;
  const tags = call.rendering.tagsOf(personalization);
  const subject = call.rendering.render(personalization.subject ?? mail.subject ?? '', tags);
  if (holdsControl(subject)) return { kind: 'broken', field: 'subject' };
  const replyTo = readReplyTo(call, tags);
  if (replyTo === null) return { kind: 'broken', field: 'reply_to' };

  const header = composeHeader(call, personalization, subject, replyTo);
  const parts: Buffer[] = [Buffer.from(header)];
  for (const { type, value, part } of call.content) {
    const text = call.rendering.render(value, tags);
    parts.push(text === value ? part : textPart(boundary, type, text));
  }
  const values = call.rendering.copyValues(personalization, tags).join('\n');
  if (values !== '') parts.push(textPart(boundary, 'text/plain', values));
  if (call.callValues !== null) parts.push(call.callValues);
  if (carries) parts.push(...call.attachments);
  parts.push(call.end);
  return {
    kind: 'copy',
    submission: { envelope: envelopeOf(mail, personalization), bytes: Buffer.concat(parts) },
  };
}

/** The envelope as far as it is known: the provider's own return path replaces `from`. */
function envelopeOf(mail: MailSend, personalization: Personalization): Submission['envelope'] {
  const { to, cc = [], bcc = [] } = personalization;
  const recipients = [...to, ...cc, ...bcc].map(({ email }) => delivered(email));
  return {
    from: delivered((personalization.from ?? mail.from).email).text,
    recipients: recipients.map(({ text }) => text),
    smtpUtf8: recipients.some(({ needsSmtpUtf8 }) => needsSmtpUtf8),
  };
}

function composeHeader(
  call: Call,
  personalization: Personalization,
  subject: string,
  replyTo: readonly MailAddress[],
): string {
  const { mail } = call;
  const headers = { ...mail.headers, ...personalization.headers };
  const custom = Object.entries(headers);
  const fields = [
    `From: ${mailbox(personalization.from ?? mail.from)}\r\n`,
    mailboxes('To', personalization.to),
    mailboxes('Cc', personalization.cc ?? []),
    mailboxes('Reply-To', replyTo),
    unstructured('Subject', subject),
    ...custom.map(([name, value]) => unstructured(name, value)),
  ];
  if (!custom.some(([name]) => name.toLowerCase() === 'mime-version')) {
    fields.push('MIME-Version: 1.0\r\n');
  }
  fields.push(`Content-Type: multipart/mixed; boundary="${call.boundary}"\r\n\r\n`);
  return fields.join('');
}

/** Reply-To with its substitutions; null where they make it something that is no address. */
function readReplyTo(
  call: Call,
  tags: ReturnType<Rendering['tagsOf']>,
): readonly MailAddress[] | null {
  const { reply_to: one, reply_to_list: list } = call.mail;
  const addresses = (list ?? (one === undefined ? [] : [one])).map(({ email, name = '' }) => ({
    email: call.rendering.render(email, tags),
    name: call.rendering.render(name, tags),
  }));
  const readable = addresses.every(
    ({ email, name }) => parseAddress(email).kind === 'address' && !holdsControl(name),
  );
  return readable ? addresses : null;
}

/**
 * Which copies carry the attachments. All, unless that is more than 32 MB; then every copy with
 * several readers, and of those to one reader two with different readers for each sender and set
 * of headers. What is an exposure in an attachment is one there too: an address in it is not the
 * own address of both, and everything else that decides is the same in the copies left out.
 */
function chooseCarriers(
  mail: MailSend,
  attachments: readonly Buffer[],
): (index: number) => boolean {
  const size = attachments.reduce((sum, part) => sum + part.length, 0);
  if (size * mail.personalizations.length <= ATTACHED_BYTES_MAX) return () => true;
  const readers = new Map<string, Set<string>>();
  const carriers = new Set<number>();
  for (const [index, copy] of mail.personalizations.entries()) {
    const [first, second] = [...copy.to, ...(copy.cc ?? []), ...(copy.bcc ?? [])];
    const key = JSON.stringify([copy.from, copy.headers]);
    const known = readers.get(key) ?? new Set();
    readers.set(key, known);
    const single = first !== undefined && second === undefined;
    const reader = first?.email.toLowerCase() ?? '';
    if (single && (known.has(reader) || known.size >= 2)) continue;
    if (single) known.add(reader);
    carriers.add(index);
  }
  return (index) => carriers.has(index);
}
