/**
 * Pieces of the messages that a provider would make of a call, written as it would write them, so that the
 * judge reads what a reader's program would show. Bytes of the caller stand as they were given.
 */

import { createHash } from 'node:crypto';
import { Fault } from '../../base/errors.ts';
import { canonicalAddress, deliveryForm, parseAddress } from '../../mail/address.ts';
import { encodeHeaderText } from '../../mail/encode-header.ts';

/** RFC 5322 section 2.1.1, in bytes; UTF-8 text with a longer line is written as Base64. */
const LINE_BYTES_MAX = 998;

export interface NamedAddress {
  readonly email: string;
  readonly name?: string;
}

export interface AttachedFile {
  /** Base64, with or without line breaks. */
  readonly content: string;
  readonly filename: string;
  readonly type?: string;
  readonly disposition?: string;
  readonly contentId?: string;
}

/** Nobody can write a text that holds the digest of itself, so no content can end its part. */
export function boundaryOf(call: string | Uint8Array): string {
  return `=_${createHash('sha256').update(call).digest('hex').slice(0, 32)}`;
}

/** C0 controls but tab, DEL, C1 controls (NEL among them) and Unicode's line ends. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
const CONTROL = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u2028\u2029]/;

/** Whether a text must not become part of a header. */
export function holdsControl(text: string): boolean {
  return CONTROL.test(text);
}

/** A field of addresses, with its line break; '' where there is none. */
export function mailboxes(name: string, list: readonly NamedAddress[]): string {
  return list.length === 0 ? '' : `${name}: ${list.map(mailbox).join(',\r\n ')}\r\n`;
}

/**
 * One mailbox. A name in ASCII stands as it was given, so that an encoded word in it is read as a
 * mail client reads it; another is encoded.
 */
export function mailbox({ email, name = '' }: NamedAddress): string {
  const address = delivered(email).text;
  if (name === '') return address;
  const plain = /^[\x20-\x7e\t]{1,200}$/.test(name);
  const phrase = plain ? `"${name.replace(/["\\]/g, '\\$&')}"` : encodedWords(name);
  return `${phrase} <${address}>`;
}

/** RFC 2047 section 2: at most 75 characters a word, whole characters only. */
function encodedWords(text: string): string {
  const words: string[] = [];
  let chunk = '';
  for (const character of text) {
    if (Buffer.byteLength(chunk + character) > 42) {
      words.push(chunk);
      chunk = '';
    }
    chunk += character;
  }
  words.push(chunk);
  return words.map((word) => `=?UTF-8?B?${Buffer.from(word).toString('base64')}?=`).join('\r\n ');
}

/**
 * A field of text. ASCII stands as it was given, folded at spaces; a word too long for a line is
 * left to be found as a defect.
 */
export function unstructured(name: string, value: string): string {
  const text = value.trim();
  if (!/^[\x20-\x7e\t]*$/.test(text) && !text.includes('=?')) {
    return `${name}: ${encodeHeaderText(text, name.length + 2)}\r\n`;
  }
  if (name.length + text.length < 900) return `${name}: ${text}\r\n`;
  let folded = '';
  let column = name.length + 2;
  for (const word of text.match(/[ \t]*[^ \t]+/g) ?? []) {
    if (column > 70 && /^[ \t]/.test(word)) {
      folded += '\r\n';
      column = 0;
    }
    folded += word;
    column += word.length;
  }
  return `${name}: ${folded}\r\n`;
}

/** An address in the form in which it is delivered. */
export function delivered(email: string): {
  readonly text: string;
  readonly needsSmtpUtf8: boolean;
} {
  const reading = parseAddress(email);
  return reading.kind === 'address'
    ? deliveryForm(reading.address)
    : { text: email, needsSmtpUtf8: false };
}

/** A part of text, from its opening boundary line. */
export function textPart(boundary: string, type: string, text: string): Buffer {
  const bytes = Buffer.from(/[\r\n]/.test(text) ? text.replace(/\r\n?|\n/g, '\r\n') : text);
  const long = hasLongLine(bytes);
  const head = `--${boundary}\r\nContent-Type: ${type}; charset=utf-8\r\nContent-Transfer-Encoding: ${long ? 'base64' : '8bit'}\r\n\r\n`;
  if (long) return Buffer.concat([Buffer.from(head), wrapBase64(bytes.toString('base64'))]);
  return Buffer.concat([Buffer.from(head), bytes, CRLF]);
}

const CRLF: Buffer = Buffer.from('\r\n');

function hasLongLine(bytes: Buffer): boolean {
  let start = 0;
  while (bytes.length - start > LINE_BYTES_MAX) {
    const end = bytes.indexOf(10, start);
    if (end < 0 || end - start > LINE_BYTES_MAX) return true;
    start = end + 1;
  }
  return false;
}

/** Lines of 76 characters (RFC 2045 section 6.8), each with its CRLF. */
function wrapBase64(text: string): Buffer {
  const wrapped = Buffer.allocUnsafe(text.length + Math.ceil(text.length / 76) * 2);
  let length = 0;
  for (let start = 0; start < text.length; start += 76) {
    length += wrapped.write(text.slice(start, start + 76), length, 'latin1');
    wrapped[length++] = 13;
    wrapped[length++] = 10;
  }
  return wrapped;
}

/** A part with a file, from its opening boundary line. */
export function attachmentPart(boundary: string, attachment: AttachedFile): Buffer {
  // Without a readable type a client shows what it finds, so the content is read as text.
  const given = attachment.type ?? 'application/octet-stream';
  const type = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+$/.test(given) ? given : 'text/plain';
  const fields = [
    `Content-Type: ${type}; ${parameter('name', attachment.filename)}\r\n`,
    `Content-Disposition: ${attachment.disposition ?? 'attachment'}; ${parameter('filename', attachment.filename)}\r\n`,
  ];
  if (attachment.contentId !== undefined) {
    fields.push(unstructured('Content-ID', `<${attachment.contentId}>`));
  }
  const head = `--${boundary}\r\n${fields.join('')}Content-Transfer-Encoding: base64\r\n\r\n`;
  const content = attachment.content.replace(/[\r\n]/g, '');
  return Buffer.concat([Buffer.from(head), wrapBase64(content)]);
}

/** A MIME parameter: quoted where it is short ASCII, else by RFC 2231 section 4. */
function parameter(name: string, value: string): string {
  if (/^[\x20-\x7e]{0,200}$/.test(value))
    return `\r\n ${name}="${value.replace(/["\\]/g, '\\$&')}"`;
  const encoded = encodeURIComponent(value).replace(
    /['()*]/g,
    (mark) => `%${mark.charCodeAt(0).toString(16)}`,
  );
  return (encoded.match(/(?:%..|[^%]){1,60}/g) ?? [''])
    .map((piece, index) => `\r\n ${name}*${index}*=${index === 0 ? "UTF-8''" : ''}${piece}`)
    .join(';');
}

/** Fields that say to whom a message goes or went, beside its own To and Cc. */
const NAMES_READERS =
  /^(?:to|cc|bcc|resent-.*|apparently-to|delivered-to|envelope-to|x-envelope-to|x-original-to|x-rcptto|x-rcpt-to|x-receiver|x-forwarded-to)$/i;
/** An at sign in any coding that a mail client undoes, and encoded words, in which one may stand. */
const AT_SIGN = /[@\uff20\ufe6b]|=\?|%40|&(?:#|commat)/i;

/** A reader as the only one in To: with the name they were given, unless an address could stand in it. */
export function aloneInTo<T extends NamedAddress>(reader: T): NamedAddress {
  const { email, name } = reader;
  return name === undefined || name === '' || AT_SIGN.test(name) ? { email } : { email, name };
}

/** What of a message would stay the same in each private copy. */
export interface KeptFields {
  readonly from: string;
  readonly replyTo: readonly string[];
  readonly headerNames: Iterable<string>;
}

/**
 * Refuses what one copy for each reader does not cure, since it stands in each: fields that name
 * readers, and a Reply-To with several people of whom one is not in the sender's own domain.
 * @throws Fault `guard.cannot-cut`
 */
export function mustShowNobody({ from, replyTo, headerNames }: KeptFields): void {
  for (const name of headerNames) if (NAMES_READERS.test(name)) throw cannotCut('headers');
  const own = domainOf(from);
  if (replyTo.length > 1 && replyTo.some((email) => domainOf(email) !== own)) {
    throw cannotCut('reply-to');
  }
}

function domainOf(email: string): string | null {
  return canonicalAddress(email)?.replace(/^.*@/s, '') ?? null;
}

/** What makes one copy for each reader impossible. */
export function cannotCut(where: string): Fault {
  return new Fault('guard.cannot-cut', 'a private copy would still name other people', {
    where,
    remedy: 'leave the other people out of this field',
  });
}
