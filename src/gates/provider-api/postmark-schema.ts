/**
 * The bodies of Postmark's four sending endpoints, and what is wrong with one.
 *
 * Invariant: a property that is not in these tables is refused by its name, in any case of its
 * letters, so no member that could carry a recipient passes unread; a body without errors has the
 * type {@link PostmarkMessage}; no error holds an address or another value of the body.
 */

import type { CallError } from './adapter.ts';
import { holdsControl } from './message-parts.ts';
import { readMailboxes } from './postmark-addresses.ts';

export interface PostmarkAttachment {
  readonly Name: string;
  readonly Content: string;
  readonly ContentType: string;
  readonly ContentID?: string | null;
  readonly Disposition?: string | null;
}

/** A message as its sender wrote it; null stands for a property that is not there. */
export interface PostmarkMessage {
  readonly From: string;
  readonly To?: string | null;
  readonly Cc?: string | null;
  readonly Bcc?: string | null;
  readonly Subject?: string | null;
  readonly Tag?: string | null;
  readonly TextBody?: string | null;
  readonly HtmlBody?: string | null;
  readonly ReplyTo?: string | null;
  readonly Metadata?: Readonly<Record<string, string>> | null;
  readonly Headers?: readonly { readonly Name: string; readonly Value: string }[] | null;
  readonly Attachments?: readonly PostmarkAttachment[] | null;
  readonly TemplateId?: number | null;
  readonly TemplateAlias?: string | null;
  readonly TemplateModel?: Readonly<Record<string, unknown>> | null;
}

/** An error with Postmark's own code: 300 invalid, 402 no JSON, 403 JSON of another shape, 410 too many. */
export interface PostmarkError extends CallError {
  readonly code: number;
}

type Shape =
  | 'boolean'
  | 'integer'
  | 'mailbox'
  | 'mailboxes'
  | 'header text'
  | 'text'
  | 'word'
  | 'links'
  | 'metadata'
  | 'headers'
  | 'attachments'
  | 'model';

const ANY_MESSAGE: Readonly<Record<string, Shape>> = {
  From: 'mailbox',
  To: 'mailboxes',
  Cc: 'mailboxes',
  Bcc: 'mailboxes',
  ReplyTo: 'mailboxes',
  Tag: 'header text',
  Metadata: 'metadata',
  Headers: 'headers',
  Attachments: 'attachments',
  TrackOpens: 'boolean',
  TrackLinks: 'links',
  MessageStream: 'word',
};

/** Of a message with its own text. `docs/gates/postmark.md` has a row for each property. */
export const MESSAGE: Readonly<Record<string, Shape>> = {
  ...ANY_MESSAGE,
  Subject: 'header text',
  TextBody: 'text',
  HtmlBody: 'text',
};

/** Of a message whose text is stored at the provider. */
export const TEMPLATED_MESSAGE: Readonly<Record<string, Shape>> = {
  ...ANY_MESSAGE,
  TemplateId: 'integer',
  TemplateAlias: 'word',
  TemplateModel: 'model',
  InlineCss: 'boolean',
};

/** Of a file. */
export const ATTACHMENT: Readonly<Record<string, (value: unknown) => boolean>> = {
  Name: isHeaderText,
  Content: (value) => isText(value) && /^[A-Za-z0-9+/]+={0,2}$/.test(value.replace(/[\r\n]/g, '')),
  ContentType: (value) =>
    isText(value) &&
    /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:; *charset="?(?:utf-8|us-ascii)"?)?$/i.test(value),
  ContentID: (value) => value === null || (isHeaderText(value) && /^[^;,<>]+$/.test(value)),
  ContentLength: (value) => value === null || Number.isSafeInteger(value),
  Disposition: (value) => value === null || value === 'inline' || value === 'attachment',
};

/** Fields of which a message has its own, or that say to whom a message goes or went. */
const RESERVED_HEADERS: ReadonlySet<string> = new Set([
  'apparently-to',
  'bcc',
  'cc',
  'content-disposition',
  'content-transfer-encoding',
  'content-type',
  'delivered-to',
  'dkim-signature',
  'envelope-to',
  'from',
  'mime-version',
  'received',
  'reply-to',
  'return-path',
  'subject',
  'to',
  'x-envelope-to',
  'x-original-to',
  'x-rcptto',
]);
const FIELD_NAME = /^[\x21-\x39\x3b-\x7e]{1,200}$/;
const RECIPIENTS_MAX = 50;
const ERRORS_MAX = 20;

/** What is wrong with one message, at most 20 errors; empty where it is a {@link PostmarkMessage}. */
export function findMessageErrors(
  value: unknown,
  properties: Readonly<Record<string, Shape>>,
  place: string,
): readonly PostmarkError[] {
  if (!isRecord(value)) return [invalid(place, 'An object is expected here.', 403)];
  const errors: PostmarkError[] = [];
  for (const [name, member] of Object.entries(value)) {
    const shape = Object.hasOwn(properties, name) ? properties[name] : undefined;
    const at = join(place, name);
    if (shape === undefined) errors.push(invalid(at, UNKNOWN));
    else if (member !== null) errors.push(...findShapeErrors(member, shape, at));
    if (errors.length >= ERRORS_MAX) return errors.slice(0, ERRORS_MAX);
  }
  if (errors.length > 0) return errors;
  const message = value as unknown as PostmarkMessage;
  errors.push(...findMissing(message, place));
  const text = Object.hasOwn(properties, 'TemplateModel') ? templateProblem : bodyProblem;
  const problem = text(message);
  if (problem !== null) errors.push(invalid(place, problem));
  return errors;
}

const UNKNOWN =
  'This property is not known here. Only properties that the guard can inspect are passed on; their names are written as in the documentation.';

/** Shapes that one test decides. */
const SCALARS: Readonly<Record<string, readonly [(value: unknown) => boolean, message: string]>> = {
  boolean: [(value) => typeof value === 'boolean', 'true or false is expected here.'],
  integer: [Number.isSafeInteger, 'A whole number is expected here.'],
  'header text': [isHeaderText, 'A string without line breaks and control characters is expected.'],
  text: [isText, 'A string is expected here, without NUL and broken characters.'],
  word: [(value) => isText(value) && /^[\w.-]{1,255}$/.test(value), 'This name is not allowed.'],
  links: [
    (value) => ['None', 'HtmlAndText', 'HtmlOnly', 'TextOnly'].includes(String(value)),
    'None, HtmlAndText, HtmlOnly or TextOnly is expected here.',
  ],
  model: [isRecord, 'An object is expected here.'],
};

function findShapeErrors(value: unknown, shape: Shape, at: string): readonly PostmarkError[] {
  const scalar = SCALARS[shape];
  if (scalar !== undefined) return scalar[0](value) ? [] : [invalid(at, scalar[1])];
  if (shape === 'metadata') return findMetadataErrors(value, at);
  if (shape === 'headers') return findHeaderErrors(value, at);
  if (shape === 'attachments') return findAttachmentErrors(value, at);
  if (typeof value !== 'string') return [invalid(at, 'A string is expected here.', 403)];
  if (value.trim() === '' && shape === 'mailboxes') return [];
  const mailboxes = readMailboxes(value);
  if (mailboxes === null) return [invalid(at, ILLEGAL)];
  return shape === 'mailbox' && mailboxes.length > 1 ? [invalid(at, 'One address only.')] : [];
}

const ILLEGAL =
  'Illegal email address. Addresses are written as name@host or "Name" <name@host>, with commas between.';

function findMetadataErrors(value: unknown, at: string): readonly PostmarkError[] {
  if (!isRecord(value)) return [invalid(at, 'An object is expected here.', 403)];
  const fine = Object.entries(value).every(
    ([name, text]) => isHeaderText(name) && isHeaderText(text),
  );
  return fine ? [] : [invalid(at, 'Names and values are strings without control characters.')];
}

function findHeaderErrors(value: unknown, at: string): readonly PostmarkError[] {
  if (!Array.isArray(value)) return [invalid(at, 'An array is expected here.', 403)];
  return value.flatMap((item: unknown, index) => {
    const place = `${at}.${index}`;
    if (!isRecord(item) || Object.keys(item).sort().join() !== 'Name,Value') {
      return [invalid(place, 'An object with Name and Value is expected here.', 403)];
    }
    const { Name, Value } = item;
    if (!isText(Name) || !FIELD_NAME.test(Name)) return [invalid(place, 'No name of a header.')];
    const lower = Name.toLowerCase();
    if (RESERVED_HEADERS.has(lower) || lower.startsWith('resent-') || lower === 'x-smtpapi') {
      return [invalid(place, 'This header cannot be given here; use the property for it.')];
    }
    return isHeaderText(Value) ? [] : [invalid(place, 'A header holds no control characters.')];
  });
}

function findAttachmentErrors(value: unknown, at: string): readonly PostmarkError[] {
  if (!Array.isArray(value)) return [invalid(at, 'An array is expected here.', 403)];
  return value.flatMap((item: unknown, index) => {
    const place = `${at}.${index}`;
    if (!isRecord(item)) return [invalid(place, 'An object is expected here.', 403)];
    const missing = ['Name', 'Content', 'ContentType'].filter((name) => !Object.hasOwn(item, name));
    const errors = missing.map((name) => invalid(join(place, name), 'This property is required.'));
    for (const [name, member] of Object.entries(item)) {
      const fits = Object.hasOwn(ATTACHMENT, name) ? ATTACHMENT[name] : undefined;
      if (fits === undefined) errors.push(invalid(join(place, name), UNKNOWN));
      else if (!fits(member)) errors.push(invalid(join(place, name), 'This value is not allowed.'));
    }
    return errors;
  });
}

function findMissing(message: PostmarkMessage, place: string): readonly PostmarkError[] {
  const errors: PostmarkError[] = [];
  if (message.From === undefined || message.From === null) {
    errors.push(invalid(join(place, 'From'), 'From is required.'));
  }
  const count = [message.To, message.Cc, message.Bcc].reduce(
    (sum, text) => sum + mailboxesOf(text).length,
    0,
  );
  if (count === 0) errors.push(invalid(join(place, 'To'), 'Zero recipients specified.'));
  if (count > RECIPIENTS_MAX) {
    const text = 'Maximum of 50 recipients allowed per email message, in To, Cc and Bcc together.';
    errors.push(invalid(join(place, 'To'), text));
  }
  return errors;
}

function bodyProblem({ TextBody, HtmlBody }: PostmarkMessage): string | null {
  return TextBody || HtmlBody ? null : 'Provide either email TextBody or HtmlBody or both.';
}

function templateProblem(message: PostmarkMessage): string | null {
  const { TemplateId, TemplateAlias, TemplateModel } = message;
  if ((TemplateId ?? null) === null && (TemplateAlias ?? null) === null) {
    return 'Provide either TemplateId or TemplateAlias.';
  }
  if ((TemplateId ?? null) !== null && (TemplateAlias ?? null) !== null) {
    return 'Provide TemplateId or TemplateAlias, not both.';
  }
  return TemplateModel ? null : 'TemplateModel is required.';
}

/** The mailboxes of a property that has been checked; none where it is absent or empty. */
export function mailboxesOf(text: string | null | undefined): ReturnType<typeof readAll> {
  return readAll(text ?? '');
}

function readAll(text: string): NonNullable<ReturnType<typeof readMailboxes>> {
  return readMailboxes(text) ?? [];
}

export function invalid(place: string, message: string, code: number = 300): PostmarkError {
  return { message, field: place === '' ? null : place, help: null, code };
}

function join(place: string, name: string): string {
  // A free name could be somebody's data: errors show it only where it looks like a name.
  const shown = /^[A-Za-z0-9_-]{1,64}$/.test(name) ? name : '*';
  return place === '' ? shown : `${place}.${shown}`;
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.isWellFormed() && !value.includes('\0');
}

function isHeaderText(value: unknown): value is string {
  return isText(value) && !holdsControl(value);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
