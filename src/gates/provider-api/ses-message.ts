/**
 * The messages that a SendEmail or SendBulkEmail call makes: the bytes its readers would get, as far
 * as the body decides them. A raw message is its own copy: what it shows stands in its MIME header,
 * and Destination is only the envelope.
 *
 * Invariant: every string of the body that can reach a reader stands in at least one copy.
 */

import type { Submission } from '../../guard/judge.ts';
import type { CallError, CallReading } from './adapter.ts';
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
import { distinctReaders, keyOf, readMailboxes } from './ses-mailbox.ts';
import { errorAt } from './ses-schema.ts';
import { lookUp, renderTags, stringsOf, type TemplateData } from './ses-template.ts';

export interface Destination {
  readonly ToAddresses?: readonly string[];
  readonly CcAddresses?: readonly string[];
  readonly BccAddresses?: readonly string[];
}

export interface HeaderPair {
  readonly Name: string;
  readonly Value: string;
}

interface Attachment {
  readonly RawContent: string;
  readonly FileName: string;
  readonly ContentDisposition?: string;
  readonly ContentDescription?: string;
  readonly ContentId?: string;
  readonly ContentType?: string;
}

export interface Template {
  readonly TemplateName?: string;
  readonly TemplateArn?: string;
  readonly TemplateContent?: {
    readonly Subject?: string;
    readonly Text?: string;
    readonly Html?: string;
  };
  readonly TemplateData?: string;
  readonly Headers?: readonly HeaderPair[];
  readonly Attachments?: readonly Attachment[];
}

interface Sender {
  readonly FromEmailAddress?: string;
  readonly ReplyToAddresses?: readonly string[];
  readonly FeedbackForwardingEmailAddress?: string;
}

export interface SendEmail extends Sender {
  readonly Destination?: Destination;
  readonly Content: {
    readonly Simple?: {
      readonly Subject: { readonly Data: string };
      readonly Body: {
        readonly Text?: { readonly Data: string };
        readonly Html?: { readonly Data: string };
      };
      readonly Headers?: readonly HeaderPair[];
      readonly Attachments?: readonly Attachment[];
    };
    readonly Raw?: { readonly Data: string };
    readonly Template?: Template;
  };
  readonly ListManagementOptions?: object;
}

export interface BulkEntry {
  readonly Destination: Destination;
  readonly ReplacementEmailContent?: {
    readonly ReplacementTemplate?: { readonly ReplacementTemplateData?: string };
  };
  readonly ReplacementHeaders?: readonly HeaderPair[];
}

export interface SendBulkEmail extends Sender {
  readonly DefaultContent: { readonly Template: Template };
  readonly BulkEmailEntries: readonly BulkEntry[];
}

/** The provider's limit for one call, over To, Cc and Bcc. */
export const RECIPIENTS_MAX = 50;
/** Above this the attachments of a bulk call do not stand in every copy. */
const ATTACHED_BYTES_MAX = 32 * 1024 * 1024;
/** What SES puts in the place of its own tag, in a domain that is nobody's (RFC 6761 section 6.4). */
const LINK = 'https://link.invalid/';

/** The people of a destination by field. */
export interface People {
  readonly to: readonly NamedAddress[];
  readonly cc: readonly NamedAddress[];
  readonly bcc: readonly NamedAddress[];
}

export function peopleOf(destination: Destination | undefined): People {
  const read = (list: readonly string[] = []): readonly NamedAddress[] =>
    list.flatMap((text) => readMailboxes(text) ?? []);
  return {
    to: read(destination?.ToAddresses),
    cc: read(destination?.CcAddresses),
    bcc: read(destination?.BccAddresses),
  };
}

/** One copy of what is composed from parts. */
interface Draft {
  readonly people: People;
  readonly subject: string;
  readonly texts: readonly (readonly [type: string, text: string])[];
  readonly headers: readonly HeaderPair[];
}

/** The copy of a SendEmail call that fits its schema and has no raw message. */
export function readSendEmail(call: SendEmail): CallReading {
  const { Simple: simple, Raw: raw, Template: template } = call.Content;
  if (raw !== undefined) return invalid(errorAt('Content.Raw', 'A raw message is its own copy.'));
  const people = peopleOf(call.Destination);
  if (template !== undefined) {
    const draft = fromTemplate(template, people, [], template.Headers ?? []);
    return compose(call, [draft], template.Attachments ?? [], 'Content.Template');
  }
  if (simple === undefined) return invalid(errorAt('Content', 'There is no content.'));
  const { Text: text, Html: html } = simple.Body;
  if (text === undefined && html === undefined) {
    return invalid(errorAt('Content.Simple.Body', 'A text or an HTML body is expected here.'));
  }
  const filled = (value: string): string => withLink(value, call);
  const texts: [string, string][] = [];
  if (text !== undefined) texts.push(['text/plain', filled(text.Data)]);
  if (html !== undefined) texts.push(['text/html', filled(html.Data)]);
  const headers = (simple.Headers ?? []).map(({ Name, Value }) => ({ Name, Value: filled(Value) }));
  const draft = { people, subject: simple.Subject.Data, texts, headers };
  return compose(call, [draft], simple.Attachments ?? [], 'Content.Simple');
}

/** The copies of a SendBulkEmail call that fits its schema: one for each entry. */
export function readSendBulkEmail(call: SendBulkEmail): CallReading {
  const { Template: template } = call.DefaultContent;
  const drafts = call.BulkEmailEntries.map((entry) => {
    const data = entry.ReplacementEmailContent?.ReplacementTemplate?.ReplacementTemplateData;
    const headers = replaced(template.Headers ?? [], entry.ReplacementHeaders ?? []);
    const replacement = data === undefined ? [] : [data];
    return fromTemplate(template, peopleOf(entry.Destination), replacement, headers);
  });
  if (drafts.length === 0) return invalid(errorAt('BulkEmailEntries', 'There are no entries.'));
  return compose(call, drafts, template.Attachments ?? [], 'DefaultContent.Template');
}

function invalid(...errors: readonly CallError[]): CallReading {
  return { kind: 'invalid', errors };
}

export function withLink(text: string, { ListManagementOptions: list }: SendEmail): string {
  return list === undefined ? text : text.replaceAll('{{amazonSESUnsubscribeUrl}}', LINK);
}

/** An entry's header takes the place of the template's of the same name. */
function replaced(
  common: readonly HeaderPair[],
  own: readonly HeaderPair[],
): readonly HeaderPair[] {
  const names = new Set(own.map(({ Name }) => Name.toLowerCase()));
  return [...common.filter(({ Name }) => !names.has(Name.toLowerCase())), ...own];
}

/** What replaces the template's data stands before it; both are looked at whole. */
function fromTemplate(
  template: Template,
  people: People,
  replacement: readonly string[],
  headers: readonly HeaderPair[],
): Draft | null {
  const given = [...replacement, template.TemplateData ?? ''];
  const data: TemplateData[] = given.filter((text) => text !== '').map((text) => JSON.parse(text));
  const { Subject = '', Text = '', Html = '' } = template.TemplateContent ?? {};
  const render = (text: string): string | null => renderTags(text, (name) => lookUp(data, name));
  const [subject, text, html] = [render(Subject), render(Text), render(Html)];
  if (subject === null || text === null || html === null) return null;
  const texts: [string, string][] = [];
  if (text !== '') texts.push(['text/plain', text]);
  if (html !== '') texts.push(['text/html', html]);
  const values = data.flatMap(stringsOf).join('\n');
  if (values !== '') texts.push(['text/plain', values]);
  return { people, subject, texts, headers };
}

/** Names that SES writes itself, and those by which a program talks to SES. */
const RESERVED =
  /^(?:to|cc|bcc|from|sender|reply-to|subject|date|message-id|return-path|errors-to|received|mime-version|content-.*|dkim-signature|resent-.*|apparently-.*|x-ses-.*|x-original-to|delivered-to|envelope-to)$/i;

function compose(
  call: SendEmail | SendBulkEmail,
  drafts: readonly (Draft | null)[],
  attachments: readonly Attachment[],
  place: string,
): CallReading {
  const errors = drafts.flatMap((draft, index) => draftErrors(draft, index, drafts.length, place));
  const from = readMailboxes(call.FromEmailAddress ?? '')?.[0];
  if (from === undefined) errors.push(errorAt('FromEmailAddress', 'An address is expected here.'));
  const count = drafts.reduce((sum, draft) => sum + readersOf(draft?.people).length, 0);
  if (count > RECIPIENTS_MAX) {
    errors.push(errorAt('Destination', `Recipient count exceeds ${RECIPIENTS_MAX}.`));
  }
  if (from === undefined || errors.length > 0) return invalid(...errors);
  const boundary = boundaryOf(JSON.stringify(call));
  const parts = attachments.map((attachment) => attached(boundary, attachment));
  const carries = chooseCarriers(drafts, parts);
  const copies = drafts.flatMap((draft, index): Submission[] => {
    if (draft === null) return [];
    const header = headerOf(call, draft, from, boundary);
    const texts = draft.texts.map(([type, text]) => textPart(boundary, type, text));
    const files = carries(index) ? parts : [];
    const bytes = Buffer.concat([
      Buffer.from(header),
      ...texts,
      ...files,
      Buffer.from(`--${boundary}--\r\n`),
    ]);
    return [{ envelope: envelopeOf(from, readersOf(draft.people)), bytes }];
  });
  return { kind: 'copies', copies };
}

export function readersOf(people: People | undefined): readonly NamedAddress[] {
  return people === undefined ? [] : [...people.to, ...people.cc, ...people.bcc];
}

function draftErrors(
  draft: Draft | null,
  index: number,
  count: number,
  place: string,
): readonly CallError[] {
  const at = count === 1 ? 'Destination' : `BulkEmailEntries.${index}.Destination`;
  if (draft === null) return [errorAt(place, 'The rendered message is too large to inspect.')];
  const errors: CallError[] = [];
  if (readersOf(draft.people).length === 0) {
    errors.push(errorAt(at, 'At least one address is expected here.'));
  }
  if (holdsControl(draft.subject)) {
    errors.push(errorAt(place, 'With its data the subject has a line break or control character.'));
  }
  const seen = new Set<string>();
  for (const { Name: name } of draft.headers) {
    const lower = name.toLowerCase();
    if (RESERVED.test(name)) errors.push(errorAt(`${place}.Headers`, RESERVED_MESSAGE));
    if (seen.has(lower)) errors.push(errorAt(`${place}.Headers`, 'A header is given twice.'));
    seen.add(lower);
  }
  return errors;
}

const RESERVED_MESSAGE = 'A header of this name is written by the provider or steers it.';

function headerOf(
  call: SendEmail | SendBulkEmail,
  draft: Draft,
  from: NamedAddress,
  boundary: string,
): string {
  const replyTo = (call.ReplyToAddresses ?? []).flatMap((text) => readMailboxes(text) ?? []);
  return [
    mailboxes('From', [from]),
    mailboxes('To', draft.people.to),
    mailboxes('Cc', draft.people.cc),
    mailboxes('Reply-To', replyTo),
    feedbackField(call, from),
    unstructured('Subject', draft.subject),
    ...draft.headers.map(({ Name, Value }) => unstructured(Name, Value)),
    'MIME-Version: 1.0\r\n',
    `Content-Type: multipart/mixed; boundary="${boundary}"\r\n\r\n`,
  ].join('');
}

/** Bounces hold the message: whoever gets them must be somebody who may be shown to its readers. */
export function feedbackField(call: Sender, from: NamedAddress | undefined): string {
  const feedback = readMailboxes(call.FeedbackForwardingEmailAddress ?? '')?.[0];
  if (feedback === undefined) return '';
  const own = from !== undefined && keyOf(from.email) === keyOf(feedback.email);
  return own ? '' : mailboxes('Errors-To', [feedback]);
}

export function envelopeOf(
  from: NamedAddress,
  readers: readonly NamedAddress[],
): Submission['envelope'] {
  const recipients = readers.map(({ email }) => delivered(email).text);
  return { from: delivered(from.email).text, recipients, smtpUtf8: false };
}

function attached(boundary: string, given: Attachment): Buffer {
  const { RawContent, FileName, ContentDisposition, ContentDescription, ContentId } = given;
  const part = attachmentPart(boundary, {
    content: RawContent,
    filename: FileName,
    ...(given.ContentType === undefined ? {} : { type: given.ContentType }),
    disposition: ContentDisposition === 'INLINE' ? 'inline' : 'attachment',
    ...(ContentId === undefined ? {} : { contentId: ContentId.replace(/^<|>$/g, '') }),
  });
  if (ContentDescription === undefined) return part;
  const head = `--${boundary}\r\n`;
  const field = unstructured('Content-Description', ContentDescription);
  return Buffer.concat([Buffer.from(head + field), part.subarray(head.length)]);
}

/**
 * Which copies carry the attachments: all, unless that is more than 32 MB; then every copy with
 * several readers, and of those to one reader two for each set of header fields.
 */
function chooseCarriers(
  drafts: readonly (Draft | null)[],
  attachments: readonly Buffer[],
): (index: number) => boolean {
  const size = attachments.reduce((sum, part) => sum + part.length, 0);
  if (size * drafts.length <= ATTACHED_BYTES_MAX) return () => true;
  const known = new Map<string, Set<string>>();
  const carriers = new Set<number>();
  for (const [index, draft] of drafts.entries()) {
    const [first, second] = distinctReaders(readersOf(draft?.people));
    const key = JSON.stringify(draft?.headers);
    const readers = known.get(key) ?? new Set<string>();
    known.set(key, readers);
    if (first !== undefined && second === undefined) {
      if (readers.size >= 2 || readers.has(keyOf(first.email))) continue;
      readers.add(keyOf(first.email));
    }
    carriers.add(index);
  }
  return (index) => carriers.has(index);
}
