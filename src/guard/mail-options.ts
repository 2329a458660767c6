/**
 * The message that options as nodemailer takes them would become, as far as its readers see it.
 *
 * Invariant: an option that could name or show somebody and is not read here is refused, not left out.
 */

import { Fault } from '../base/errors.ts';
import { canonicalAddress } from '../mail/address.ts';
import { readAddressList } from '../mail/address-list.ts';
import { encodeHeaderText } from '../mail/encode-header.ts';
import type { Submission } from './judge.ts';

export interface NamedAddress {
  readonly name?: string;
  readonly address: string;
}

/** As nodemailer takes them: one text may hold several addresses. */
export type AddressOption = string | NamedAddress | readonly (string | NamedAddress)[];

export interface AttachmentOption {
  readonly filename?: string | false;
  readonly content: string | Uint8Array;
  readonly contentType?: string;
  readonly contentDisposition?: 'attachment' | 'inline';
  readonly cid?: string;
  /** Of a content given as text: utf-8 unless told. */
  readonly encoding?: string;
}

export type HeaderOptions =
  | Readonly<Record<string, string | readonly string[]>>
  | readonly { readonly key: string; readonly value: string }[];

/** The options of nodemailer's `sendMail` that `check` reads. Contents are given themselves, not as paths, links or streams. */
export interface MailOptions {
  readonly from?: AddressOption;
  readonly sender?: AddressOption;
  readonly replyTo?: AddressOption;
  readonly to?: AddressOption;
  readonly cc?: AddressOption;
  readonly bcc?: AddressOption;
  readonly subject?: string;
  readonly text?: string | Uint8Array;
  readonly html?: string | Uint8Array;
  readonly headers?: HeaderOptions;
  readonly attachments?: readonly AttachmentOption[];
  /** Where the envelope differs from From, To, Cc and Bcc. */
  readonly envelope?: {
    readonly from?: string;
    readonly to?: AddressOption;
    readonly cc?: AddressOption;
    readonly bcc?: AddressOption;
  };
  readonly messageId?: string;
  readonly inReplyTo?: string;
  readonly references?: string | readonly string[];
  readonly date?: string | Date;
}

const READ = new Set(
  'from sender replyTo to cc bcc subject text html headers attachments envelope messageId inReplyTo references date'.split(
    ' ',
  ),
);
/** They tell nodemailer how to write or sign the message, and hold nothing that a reader sees. */
const HARMLESS = new Set(
  'encoding textEncoding priority xMailer disableUrlAccess disableFileAccess normalizeHeaderKey newline dkim boundaryPrefix baseBoundary maxRedirects'.split(
    ' ',
  ),
);
const ATTACHMENT_READ = new Set(
  'filename content contentType contentDisposition contentTransferEncoding cid encoding'.split(' '),
);

/** @throws Fault `library.option-unknown` or `library.option-malformed`, naming the option. */
export function submissionFrom(options: MailOptions): Submission {
  refuseUnknown(options, (name) => READ.has(name) || HARMLESS.has(name), '');
  const { envelope } = options;
  const from = addresses(envelope?.from ?? options.from, 'from')[0] ?? '';
  const recipients = (['to', 'cc', 'bcc'] as const).flatMap((name) =>
    addresses((envelope ?? options)[name], name),
  );
  const bytes = Buffer.concat([Buffer.from(headerOf(options)), bodyOf(options)]);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the range is ASCII
  const smtpUtf8 = [from, ...recipients].some((address) => /[^\x00-\x7f]/.test(address));
  return { envelope: { from, recipients, smtpUtf8 }, bytes };
}

function refuseUnknown(value: object, isKnown: (name: string) => boolean, place: string): void {
  for (const [name, given] of Object.entries(value)) {
    if (isKnown(name) || given === undefined || given === null) continue;
    throw new Fault('library.option-unknown', 'an option that is not read could show somebody', {
      where: `${place}${name}`,
      remedy: 'give the finished message as bytes instead',
    });
  }
}

function malformed(where: string, remedy: string): Fault {
  return new Fault('library.option-malformed', 'an option is not what it should be', {
    where,
    remedy,
  });
}

type Address = Exclude<AddressOption, readonly unknown[]>;

function listOf(option: AddressOption | undefined | null): readonly Address[] {
  if (option === undefined || option === null) return [];
  return Array.isArray(option)
    ? (option as readonly Address[]).flatMap((each) => listOf(each))
    : [option as Address];
}

/** The addr-specs of an address option, distinct. */
function addresses(option: AddressOption | undefined, where: string): readonly string[] {
  const found = new Map<string, string>();
  for (const each of listOf(option)) {
    const value = typeof each === 'string' ? oneLine(each) : each.address;
    if (typeof value !== 'string') throw malformed(where, 'give a text or { name, address }');
    const { mailboxes } = readAddressList({ value, decoded: value });
    for (const { address } of mailboxes) found.set(canonicalAddress(address) ?? address, address);
  }
  return [...found.values()];
}

/** As nodemailer does: a line break in a header value is a space. */
function oneLine(text: string): string {
  return text.replace(/\r?\n|[\r\0]/g, ' ');
}

function headerOf(options: MailOptions): string {
  const { messageId, inReplyTo, references, date } = options;
  const lines = [
    addressField('From', options.from),
    addressField('Sender', options.sender),
    addressField('Reply-To', options.replyTo),
    addressField('To', options.to),
    addressField('Cc', options.cc),
    textField('Subject', options.subject),
    textField('Message-ID', messageId),
    textField('In-Reply-To', inReplyTo),
    textField('References', typeof references === 'object' ? references.join(' ') : references),
    textField('Date', date instanceof Date ? date.toUTCString() : date),
    ...customFields(options.headers),
  ];
  return `${lines.join('')}MIME-Version: 1.0\r\n`;
}

/** Texts stand as they were given, so that whatever a mail program would show in them is seen. */
function addressField(name: string, option: AddressOption | undefined): string {
  const parts = listOf(option).map((each) => {
    if (typeof each === 'string') return oneLine(each);
    const address = oneLine(each.address);
    if (each.name === undefined || each.name === '') return address;
    const plain = oneLine(each.name);
    const isAscii = /^[\x20-\x7e]*$/.test(plain);
    const phrase = isAscii
      ? `"${plain.replace(/["\\]/g, '\\$&')}"`
      : encodeHeaderText(plain, name.length + 2);
    return `${phrase} <${address}>`;
  });
  return parts.length === 0 ? '' : `${name}: ${parts.join(',\r\n ')}\r\n`;
}

function textField(name: string, value: string | undefined | null): string {
  if (value === undefined || value === null) return '';
  if (!/^[!-9;-~]+$/.test(name))
    throw malformed('headers', 'a field name has letters, digits and hyphens only');
  const text = oneLine(String(value)).trim();
  return `${name}: ${encodeHeaderText(text, name.length + 2)}\r\n`;
}

function customFields(headers: HeaderOptions | undefined): readonly string[] {
  if (headers === undefined || headers === null) return [];
  const pairs: readonly (readonly [string, unknown])[] = Array.isArray(headers)
    ? (headers as readonly { key: string; value: string }[]).map(({ key, value }) => [key, value])
    : Object.entries(headers);
  return pairs.flatMap(([key, value]) => {
    const values: readonly unknown[] = Array.isArray(value) ? value : [value];
    return values.map((each) => {
      if (typeof each === 'string') return textField(key, each);
      throw malformed(`headers.${key}`, 'give a text or several');
    });
  });
}

function bodyOf({ text, html, attachments = [] }: MailOptions): Buffer {
  const parts: Buffer[] = [];
  if (text !== undefined && text !== null)
    parts.push(part('text/plain; charset=utf-8', bytesOf(text, 'text'), ''));
  if (html !== undefined && html !== null)
    parts.push(part('text/html; charset=utf-8', bytesOf(html, 'html'), ''));
  for (const [index, attachment] of attachments.entries()) {
    parts.push(attached(attachment, `attachments[${index}].`));
  }
  const boundary = boundaryFor(parts);
  const opening = Buffer.from(`--${boundary}\r\n`);
  return Buffer.concat([
    Buffer.from(`Content-Type: multipart/mixed; boundary="${boundary}"\r\n\r\n`),
    ...(parts.length === 0 ? [part('text/plain', Buffer.alloc(0), '')] : parts).flatMap((each) => [
      opening,
      each,
    ]),
    Buffer.from(`--${boundary}--\r\n`),
  ]);
}

function attached(attachment: AttachmentOption, place: string): Buffer {
  refuseUnknown(attachment, (name) => ATTACHMENT_READ.has(name), place);
  const {
    filename,
    contentType = 'application/octet-stream',
    contentDisposition = 'attachment',
    cid,
  } = attachment;
  const name =
    typeof filename === 'string'
      ? `; filename*=utf-8''${encodeURIComponent(filename.toWellFormed())}`
      : '';
  const id = cid === undefined ? '' : `Content-ID: <${oneLine(cid)}>\r\n`;
  const bytes = bytesOf(attachment.content, `${place}content`, attachment.encoding);
  return part(
    oneLine(contentType),
    bytes,
    `Content-Disposition: ${oneLine(contentDisposition)}${name}\r\n${id}`,
  );
}

function bytesOf(content: unknown, where: string, encoding = 'utf-8'): Buffer {
  if (content instanceof Uint8Array)
    return Buffer.from(content.buffer, content.byteOffset, content.length);
  if (typeof content === 'string' && Buffer.isEncoding(encoding))
    return Buffer.from(content, encoding);
  throw malformed(where, 'give the content itself, as text or bytes');
}

/** In Base64, so that no content can end its part. */
function part(contentType: string, content: Buffer, fields: string): Buffer {
  const lines = content.toString('base64').replace(/.{76}/g, '$&\r\n');
  return Buffer.from(
    `Content-Type: ${contentType}\r\nContent-Transfer-Encoding: base64\r\n${fields}\r\n${lines}\r\n`,
  );
}

/** `=_` stands in no Base64; a field of a part may hold it. */
function boundaryFor(parts: readonly Buffer[]): string {
  let boundary = '=_part';
  while (parts.some((each) => each.includes(boundary))) boundary += '_';
  return boundary;
}
