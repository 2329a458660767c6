/**
 * Mail from files: messages, mailboxes and provider payloads, told apart by what is in them, never by their names.
 * One item that cannot be read does not stop the rest.
 */

import type { Submission } from '../guard/judge.ts';
import { canonicalAddress } from '../mail/address.ts';
import { readAddressList } from '../mail/address-list.ts';
import { type ParsedMessage, parseMessage } from '../mail/message.ts';
import { readPayloads } from './payloads.ts';

export type FileItem =
  | {
      readonly index: number;
      /** An .eml, or one message of a mailbox. */
      readonly kind: 'message';
      readonly copies: readonly Submission[];
    }
  | {
      readonly index: number;
      readonly kind: 'payload';
      /** Which provider's call it is: `Mailgun v3 messages`. */
      readonly call: string;
      readonly copies: readonly Submission[];
    }
  | { readonly index: number; readonly kind: 'unreadable'; readonly reason: string };

export interface FileOptions {
  /** The readers of a message whose envelope is not in the file; To, Cc and Bcc tell them where left out. */
  readonly readers?: readonly string[];
}

/** The items of one file, in order, numbered from 0. `fileName` is for the reader's sake only and never opened. */
export function* readSubmissions(
  bytes: Uint8Array,
  fileName: string,
  options: FileOptions = {},
): Generator<FileItem> {
  const content = withoutByteOrderMark(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
  if (content.length === 0) {
    yield unreadable('the file is empty');
  } else if (startsWith(content, 'From ')) {
    yield* readMailbox(content, options);
  } else {
    const payloads = readPayloads(content);
    if (payloads === null) yield readMessage(content, fileName, options);
    else {
      let index = 0;
      for (const payload of payloads) yield { index: index++, ...payload };
    }
  }
}

function readMessage(content: Buffer, fileName: string, options: FileOptions): FileItem {
  if (looksLikeMessage(content)) return messageItem(0, asNetworkText(content), '', options);
  const kind = /\.(?:eml|mbox|json)$/i.test(fileName) ? ' whatever its name says' : '';
  return unreadable(`neither a message, a mailbox nor a provider payload${kind}`);
}

function unreadable(reason: string): FileItem {
  return { index: 0, kind: 'unreadable', reason };
}

function withoutByteOrderMark(bytes: Buffer): Buffer {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes;
}

function startsWith(bytes: Buffer, text: string): boolean {
  return bytes.subarray(0, text.length).toString('latin1') === text;
}

/** Some line near the beginning is a header field, so that a damaged message is judged, not turned away. */
function looksLikeMessage(bytes: Buffer): boolean {
  const start = bytes.subarray(0, 16_384).toString('latin1');
  if (isBinary(start.slice(0, 512))) return false;
  return /(?:^|[\r\n])[\x21-\x39\x3b-\x7e]{1,76}[ \t]*:/.test(start);
}

/** More than one character in twenty is a control character that no text has; a damaged message has a few. */
function isBinary(start: string): boolean {
  const controls = start.match(/(?![\t\n\f\r\u0080-\u009f])\p{Cc}/gu)?.length ?? 0;
  return controls * 20 > start.length;
}

/** RFC 4155: a line `From sender date`, at the beginning or after an empty line. */
const SEPARATOR = /(?:^|\n\r?\n)From (?=\S* .*\d{1,2}:\d\d)/g;

function* readMailbox(bytes: Buffer, options: FileOptions): Generator<FileItem> {
  const text = bytes.toString('latin1');
  const starts: number[] = [];
  for (const match of text.matchAll(SEPARATOR)) {
    starts.push(match.index + match[0].length - 'From '.length);
  }
  if (starts[0] !== 0) starts.unshift(0);
  for (const [index, start] of starts.entries()) {
    const end = starts[index + 1] ?? text.length;
    const lineEnd = text.indexOf('\n', start);
    if (lineEnd === -1 || lineEnd >= end) {
      yield { index, kind: 'unreadable', reason: 'a mailbox entry without a message' };
      continue;
    }
    const sender = /^From (\S+)/.exec(text.slice(start, lineEnd))?.[1] ?? '';
    // mboxrd and mboxo: lines that begin with From were given a >, those with >From another.
    // The empty line before the next separator belongs to it.
    const content = text.slice(lineEnd + 1, end).replace(/(\n)\r?\n$/, '$1');
    const message = content.replace(/^>(?=>*From )/gm, '');
    yield messageItem(index, asNetworkText(Buffer.from(message, 'latin1')), sender, options);
  }
}

/** Files kept in the manner of Unix end every line with LF alone; a mix of both is left as it is, for the judge to see. */
function asNetworkText(bytes: Buffer): Buffer {
  if (bytes.includes('\r\n') || !bytes.includes('\n')) return bytes;
  return Buffer.from(bytes.toString('latin1').replaceAll('\n', '\r\n'), 'latin1');
}

function messageItem(
  index: number,
  bytes: Buffer,
  separatorSender: string,
  options: FileOptions,
): FileItem {
  const message = parseMessage(bytes);
  const recipients = options.readers ?? readersNamed(message);
  const from =
    returnPath(message) ?? (canonicalAddress(separatorSender) === null ? '' : separatorSender);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the range is ASCII
  const smtpUtf8 = [from, ...recipients].some((address) => /[^\x00-\x7f]/.test(address));
  return { index, kind: 'message', copies: [{ envelope: { from, recipients, smtpUtf8 }, bytes }] };
}

/** Without an envelope everybody the header names is taken for a reader. */
function readersNamed(message: ParsedMessage): readonly string[] {
  const readers = new Map<string, string>();
  for (const field of message.headers) {
    if (field.lower !== 'to' && field.lower !== 'cc' && field.lower !== 'bcc') continue;
    for (const { address } of readAddressList(field).mailboxes) {
      const canonical = canonicalAddress(address);
      if (canonical !== null && !readers.has(canonical)) readers.set(canonical, address);
    }
  }
  return [...readers.values()];
}

function returnPath(message: ParsedMessage): string | null {
  const field = message.headers.find(({ lower }) => lower === 'return-path');
  const address = field === undefined ? undefined : /^<([^<>]+)>$/.exec(field.value)?.[1];
  return address !== undefined && canonicalAddress(address) !== null ? address : null;
}
