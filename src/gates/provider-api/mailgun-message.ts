/**
 * The messages that a Mailgun call makes: the bytes its readers would get, as far as the call
 * decides them. With an entry in `recipient-variables` for everybody in `to` there is one message
 * for each of them, with cc and bcc on every one; otherwise one that shows all of `to` to all.
 *
 * Invariant: every text of the call that can reach a reader stands in at least one copy, what Mailgun
 * writes into headers of its own (variables, tags) as well.
 */

import type { Submission } from '../../guard/judge.ts';
import { parseMessage } from '../../mail/message.ts';
import type { CallReading } from './adapter.ts';
import { errorAt, type MailgunCall, type Variables } from './mailgun-form.ts';
import {
  attachmentPart,
  boundaryOf,
  delivered,
  holdsControl,
  mailboxes,
  type NamedAddress,
  textPart,
  unstructured,
} from './message-parts.ts';
import type { FormField } from './multipart-form.ts';
import { keyOf, readMailboxes } from './ses-mailbox.ts';
import { withMailLineEnds } from './ses-raw.ts';
import { lookUp, replaceTags, stringsOf } from './ses-template.ts';

/** All copies of one call together; a call is read as a whole or not at all. */
const TOTAL_BYTES_MAX = 128 * 1024 * 1024;
/** Above this the files do not stand in every copy. */
const ATTACHED_BYTES_MAX = 32 * 1024 * 1024;
/** What Mailgun puts in the place of its own tags, in a domain that is nobody's (RFC 6761 section 6.4). */
const LINK = 'https://link.invalid/';
const TAG =
  /%(?:recipient(?:\.([\w.-]{1,128})|_(email|name|fname|lname))?|(?:tag_|mailing_list_)?unsubscribe_(?:url|email))%/g;
const STEERED =
  /^x-mailgun-(?!(?:tag|dkim|track(?:-clicks|-opens)?|variables|drop-message|deliver-(?:by|within)|require-tls|skip-verification|sending-ip(?:-pool)?|template-.*)$)/;

/** Who gets one copy, and what Mailgun fills into it. */
interface Audience {
  readonly to: readonly NamedAddress[];
  readonly variables: readonly Variables[];
  /** Whether tags of the recipient are filled in: there is one. */
  readonly batch: boolean;
}

/** Whether Mailgun makes one message for each in `to`. An entry missing, nobody has written what it does. */
export function isBatch({ to, variables }: MailgunCall): boolean {
  return variables !== null && to.every(({ email }) => variables.has(keyOf(email)));
}

/** The copies of a call that `readMailgunForm` found nothing wrong with. */
export function readCopies(call: MailgunCall): CallReading {
  const { variables } = call;
  const batch = isBatch(call);
  const audiences: readonly Audience[] = batch
    ? call.to.map((one) => ({
        to: [one],
        variables: [variables?.get(keyOf(one.email)) ?? {}],
        batch,
      }))
    : [{ to: call.to, variables: [...(variables?.values() ?? [])], batch }];
  return call.message === null
    ? composeAll(call, audiences)
    : readMime(call, withMailLineEnds(call.message), audiences);
}

function tooLarge(): CallReading {
  const text = 'The messages of this call are together too large to inspect.';
  return { kind: 'invalid', errors: [errorAt('to', text)] };
}

function broken(field: string): CallReading {
  const text = 'With its variables this header has a line break or a control character.';
  return { kind: 'invalid', errors: [errorAt(field, text)] };
}

/** Makes of a text what one reader gets of it; null where it grows too large. */
function filler(audience: Audience): (text: string) => string | null {
  const [own] = audience.to;
  return (text) =>
    replaceTags(text, TAG, ([tag, path, part]) => {
      if (tag.includes('unsubscribe')) return LINK;
      if (!audience.batch || own === undefined) return null;
      if (path !== undefined) return lookUp(audience.variables, path);
      return part === undefined || part === 'email' ? own.email : nameOf(own, part);
    });
}

function nameOf({ email, name = '' }: NamedAddress, part: string): string {
  const words = name.split(' ');
  if (part === 'fname') return words[0] ?? '';
  if (part === 'lname') return words.at(-1) ?? '';
  return name === '' ? email : name;
}

function composeAll(call: MailgunCall, audiences: readonly Audience[]): CallReading {
  const boundary = boundaryOf(Buffer.concat(call.fields.map(({ content }) => content)));
  const files = call.files.map((file) => filePart(boundary, file));
  const size = files.reduce((sum, part) => sum + part.length, 0);
  const everywhere = size * audiences.length <= ATTACHED_BYTES_MAX;
  const shared = call.cc.length + call.bcc.length > 0;
  const copies: Submission[] = [];
  let total = 0;
  for (const [index, audience] of audiences.entries()) {
    const copy = composeCopy(call, audience, boundary);
    if (copy.kind !== 'copy') return copy.kind === 'too-large' ? tooLarge() : broken(copy.field);
    // An address in a file is not the own one of both of two readers.
    const carried = everywhere || shared || index < 2 ? files : [];
    const bytes = Buffer.concat([...copy.parts, ...carried, Buffer.from(`--${boundary}--\r\n`)]);
    total += bytes.length;
    if (total > TOTAL_BYTES_MAX) return tooLarge();
    copies.push({ envelope: envelopeOf(call, audience, call.from), bytes });
  }
  return { kind: 'copies', copies };
}

function envelopeOf(
  { cc, bcc }: MailgunCall,
  { to }: Audience,
  from: NamedAddress | null,
): Submission['envelope'] {
  const readers = [...to, ...cc, ...bcc].map(({ email }) => delivered(email));
  return {
    from: from === null ? '' : delivered(from.email).text,
    recipients: readers.map(({ text }) => text),
    smtpUtf8: readers.some(({ needsSmtpUtf8 }) => needsSmtpUtf8),
  };
}

type Copy =
  | { readonly kind: 'copy'; readonly parts: readonly Buffer[] }
  | { readonly kind: 'too-large' }
  | { readonly kind: 'broken'; readonly field: string };

function composeCopy(call: MailgunCall, audience: Audience, boundary: string): Copy {
  const fill = filler(audience);
  const subject = fill(call.texts.get('subject') ?? '');
  if (subject === null) return { kind: 'too-large' };
  if (holdsControl(subject)) return { kind: 'broken', field: 'subject' };
  const extra = extraFields(call, audience);
  if (typeof extra === 'string') return { kind: 'broken', field: extra };
  const { from, cc } = call;
  const header = [
    from === null ? '' : mailboxes('From', [from]),
    mailboxes('To', audience.to),
    mailboxes('Cc', cc),
    unstructured('Subject', subject),
    ...extra.fields,
    'MIME-Version: 1.0\r\n',
    `Content-Type: multipart/mixed; boundary="${boundary}"\r\n\r\n`,
  ];
  const parts: Buffer[] = [Buffer.from(header.join(''))];
  for (const [name, type] of BODIES) {
    const text = call.texts.get(name);
    if (text === undefined) continue;
    const filled = fill(text);
    if (filled === null) return { kind: 'too-large' };
    parts.push(textPart(boundary, type, filled));
  }
  const values = [...extra.values, ...valuesOf(call, audience)].join('\n');
  if (values !== '') parts.push(textPart(boundary, 'text/plain', values));
  return { kind: 'copy', parts };
}

const BODIES = [
  ['text', 'text/plain'],
  ['html', 'text/html'],
  ['amp-html', 'text/html'],
] as const;

/** What a template at Mailgun, or a tag nobody foresaw, could show of a reader's own data. */
function valuesOf(call: MailgunCall, { variables }: Audience): readonly string[] {
  return [call.templateData, ...variables].flatMap(stringsOf);
}

const HEADER_LENGTH_MAX = 900;

/** The caller's headers and those Mailgun adds; the name of a field whose value cannot be a header. */
function extraFields(
  call: MailgunCall,
  audience: Audience,
): string | { readonly fields: readonly string[]; readonly values: readonly string[] } {
  const fill = filler(audience);
  const fields: string[] = [];
  for (const [name, value] of call.headers) {
    const filled = fill(value);
    if (filled === null || holdsControl(filled)) return `h:${name}`;
    fields.push(unstructured(name, filled));
  }
  fields.push(...call.tags.map((tag) => unstructured('X-Mailgun-Tag', tag)));
  const filled = call.data.map(([name, value]) => [name, fill(value) ?? value] as const);
  if (filled.length === 0) return { fields, values: [] };
  const text = JSON.stringify(Object.fromEntries(filled));
  if (text.length > HEADER_LENGTH_MAX || holdsControl(text)) {
    return { fields, values: filled.flat() };
  }
  fields.push(unstructured('X-Mailgun-Variables', text));
  // Escapes of JSON hide nothing from a reader who decodes them.
  return { fields, values: text.includes('\\') ? filled.flat() : [] };
}

function filePart(boundary: string, { name, fileName, contentType, content }: FormField): Buffer {
  const file = {
    content: content.toString('base64'),
    filename: fileName ?? '',
    disposition: name,
    ...(contentType === null || holdsControl(contentType)
      ? {}
      : { type: contentType.replace(/;.*$/s, '').trim() }),
  };
  return attachmentPart(boundary, file);
}

/** Copies of a MIME message: its header is what is shown, `to` only the envelope. */
function readMime(call: MailgunCall, message: Buffer, audiences: readonly Audience[]): CallReading {
  const { headers } = parseMessage(message);
  if (headers.some(({ lower }) => STEERED.test(lower))) {
    const text = 'The message has an X-Mailgun field that is not passed on.';
    return { kind: 'invalid', errors: [errorAt('message', text)] };
  }
  const author = headers.find(({ lower }) => lower === 'from');
  const from = readMailboxes(author?.value ?? '')?.[0] ?? null;
  const source = message.toString('latin1');
  const copies: Submission[] = [];
  let total = 0;
  for (const audience of audiences) {
    const extra = extraFields(call, audience);
    if (typeof extra === 'string') return broken(extra);
    const fill = filler(latin1(audience));
    const filled = fill(source);
    if (filled === null) return tooLarge();
    const values = [...extra.values, ...valuesOf(call, audience)];
    const added = Buffer.from([...extra.fields, ...values.flatMap(valueFields)].join(''));
    const bytes = Buffer.concat([added, Buffer.from(filled, 'latin1')]);
    total += bytes.length;
    if (total > TOTAL_BYTES_MAX) return tooLarge();
    copies.push({ envelope: envelopeOf(call, audience, from), bytes });
  }
  return { kind: 'copies', copies };
}

/** The values as the bytes that come into the message. */
function latin1(audience: Audience): Audience {
  const bytes = (value: unknown): unknown => {
    if (typeof value === 'string') return Buffer.from(value).toString('latin1');
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, bytes(one)]));
  };
  const variables = audience.variables.map((one) => bytes(one) as Variables);
  return { ...audience, variables, to: audience.to.map((one) => bytes(one) as NamedAddress) };
}

/** A value beside a MIME message, in fields that overlap so that no address is cut. */
function valueFields(value: string): readonly string[] {
  const fields: string[] = [];
  const text = value.replace(/[\p{Cc}\u2028\u2029]/gu, ' ');
  for (let start = 0; start === 0 || start < text.length - 400; start += 400) {
    fields.push(unstructured('X-Mailgun-Variables', text.slice(start, start + 800)));
  }
  return fields;
}
