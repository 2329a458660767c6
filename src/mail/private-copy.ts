/**
 * One message to many, as the copy that a single reader may get: To, Cc, Bcc and what else names readers out, the reader's own To
 * in, every other byte as it was.
 *
 * Invariants: a copy holds no recipient field but the reader's own, and no header of the message or its parts names another
 * of the message's readers; what cannot be made so without breaking a signature, or cannot be read in one way only, is a Fault.
 * What people wrote in the body stays: whether it may be sent is the verdict's to say.
 */

import { Fault } from '../base/errors.ts';
import { canonicalAddress } from './address.ts';
import { readAddressList } from './address-list.ts';
import { encodeMailbox, headerField } from './encode-header.ts';
import { encryptedReaders } from './encrypted-readers.ts';
import type { HeaderField } from './header.ts';
import { allParts, type DefectId, type ParsedMessage, parseMessage } from './message.ts';
import { findAddresses } from './sightings.ts';

export interface PrivateCopyOptions {
  /** Everybody on the envelope; the header may name none of them to another. */
  readonly readers?: readonly string[];
  /** Whether the next hop is asked for SMTPUTF8: an address outside ASCII is then written as it is (RFC 6532). */
  readonly smtpUtf8?: boolean;
}

export interface PrivateCopies {
  /**
   * The copy for one reader, an address in the form of the envelope.
   * @throws Fault `guard.cannot-cut` where the address cannot stand in a header.
   */
  copyFor(reader: string): Buffer;
}

/** Fields that name readers in a message as it was submitted (RFC 5322 sections 3.6.3 and 3.6.6). */
const RECIPIENT_FIELDS: ReadonlySet<string> = new Set([
  'to',
  'cc',
  'bcc',
  'resent-to',
  'resent-cc',
  'resent-bcc',
  'apparently-to',
  'apparently-cc',
  'apparently-bcc',
]);

/** Fields in which programs repeat the envelope. */
const ENVELOPE_FIELDS: ReadonlySet<string> = new Set([
  'x-envelope-to',
  'x-rcptto',
  'x-rcpt-to',
  'delivered-to',
  'x-original-to',
  'x-apparently-to',
  'envelope-to',
  'x-envelope-recipient',
  'x-original-recipient',
  'x-forwarded-to',
]);

/** Fields whose addresses are the sender's own to show, other readers' or not: they answer for the message. */
const SENDER_FIELDS: ReadonlySet<string> = new Set([
  'from',
  'sender',
  'resent-from',
  'resent-sender',
  'return-path',
]);

/** With any of these a client may see another header than ours, or see it end elsewhere. In a part they touch no header of ours. */
const UNCERTAIN: ReadonlySet<DefectId> = new Set([
  'bare-cr',
  'bare-lf',
  'nul-byte',
  'header-without-colon',
  'malformed-header-name',
  'blank-header-line',
]);

/** Beyond these nobody has looked. */
const UNREAD: ReadonlySet<DefectId> = new Set([
  'too-many-headers',
  'too-many-parts',
  'too-deep',
  'too-large',
]);

/**
 * One copy; see `privateCopies` for many readers of one message.
 * @throws Fault `guard.cannot-cut`.
 */
export function privateCopy(
  bytes: Uint8Array,
  reader: string,
  options: PrivateCopyOptions = {},
): Buffer {
  return privateCopies(bytes, options).copyFor(reader);
}

/**
 * Reads the message once, and whether private copies of it can be made at all.
 * @throws Fault `guard.cannot-cut` where a signature covers what would change, the content is encrypted to several readers or can
 * be read in several ways, or another header field names a reader.
 */
export function privateCopies(bytes: Uint8Array, options: PrivateCopyOptions = {}): PrivateCopies {
  const message = parseMessage(bytes);
  checkReadable(message);
  const removed = message.headers.filter(isRemoved);
  checkSignatures(message, removed);
  checkEncryption(message);
  const { readers = [], smtpUtf8 = false } = options;
  checkOtherFields(message, namedReaders(removed, readers));
  const { before, after } = aroundTo(message, removed);
  const names = displayNames(removed);
  return {
    copyFor(reader) {
      const to = ownTo(reader, names.get(canonicalOf(reader)) ?? '', smtpUtf8);
      return Buffer.concat([before, to, after]);
    },
  };
}

/**
 * The message without any field that names a reader: what a report on it may quote.
 * @throws Fault `guard.cannot-cut` where the header can be read in several ways.
 */
export function withoutReaders(bytes: Uint8Array): Buffer {
  const message = parseMessage(bytes);
  checkReadable(message);
  const { before, after } = aroundTo(message, message.headers.filter(isRemoved));
  return Buffer.concat([before, after]);
}

function isRemoved(field: HeaderField): boolean {
  return RECIPIENT_FIELDS.has(field.lower) || ENVELOPE_FIELDS.has(field.lower);
}

function cannotCut(message: string, where: string, remedy: string): Fault {
  return new Fault('guard.cannot-cut', message, { where, remedy });
}

function checkReadable(message: ParsedMessage): void {
  for (const { id, where } of message.defects)
    if (UNREAD.has(id) || (UNCERTAIN.has(id) && !where.startsWith('part ')))
      throw cannotCut(
        `mail programs could read different headers in it: ${id}`,
        where,
        'write the message anew with a MIME library',
      );
  const end = message.headers.at(-1)?.end ?? 0;
  if (end === 0 || message.bytes[end - 1] !== 0x0a)
    throw cannotCut('it has no header that ends', 'header', 'write a header and an empty line');
}

/** RFC 6376 section 3.5 and RFC 8617 section 4.1.2: `h=` names the fields that a signature covers. */
function checkSignatures(message: ParsedMessage, removed: readonly HeaderField[]): void {
  const changed = new Set(['to', ...removed.map(({ lower }) => lower)]);
  for (const field of message.headers) {
    if (field.lower !== 'dkim-signature' && field.lower !== 'arc-message-signature') continue;
    const tag = /(?:^|;)\s*h\s*=([^;]*)/i.exec(field.value)?.[1] ?? '';
    const names = tag.split(':').map((name) => name.replace(/\s+/g, '').toLowerCase());
    if (tag === '' || names.some((name) => changed.has(name)))
      throw cannotCut(
        'a signature covers the recipients, and a private copy would break it',
        `header ${field.lower}`,
        'sign after the guard, or leave To and Cc out of h=',
      );
  }
}

function checkEncryption(message: ParsedMessage): void {
  for (const part of allParts(message)) {
    const found = encryptedReaders(part);
    if (found === 'none' || found === 'one') continue;
    throw cannotCut(
      found === 'several'
        ? 'it is encrypted to several readers, and shows whose keys they are'
        : 'it is encrypted, and to whom cannot be read',
      part.path === '' ? 'body' : `part ${part.path}`,
      'encrypt to each reader alone',
    );
  }
}

/** Canonical addresses of everybody whom the removed fields or the envelope name. */
function namedReaders(
  removed: readonly HeaderField[],
  readers: readonly string[],
): ReadonlySet<string> {
  const named = new Set(readers.map(canonicalOf));
  for (const field of removed)
    for (const address of readAddressList(field).sightings) named.add(canonicalOf(address));
  return named;
}

function checkOtherFields(message: ParsedMessage, named: ReadonlySet<string>): void {
  const own = new Set<string>();
  for (const field of message.headers)
    if (SENDER_FIELDS.has(field.lower))
      for (const address of readAddressList(field).sightings) own.add(canonicalOf(address));
  for (const part of allParts(message)) {
    for (const field of part.headers) {
      if (part === message.root && (isRemoved(field) || SENDER_FIELDS.has(field.lower))) continue;
      checkField(field, part.path, named, own);
    }
  }
}

function checkField(
  field: HeaderField,
  path: string,
  named: ReadonlySet<string>,
  own: ReadonlySet<string>,
): void {
  const where = path === '' ? 'another header field' : `a header field of part ${path}`;
  const remedy = 'leave the recipients out of every other field';
  // Decision of the policies: several names in Reply-To are recipients shown.
  if (path === '' && field.lower === 'reply-to' && readAddressList(field).mailboxes.length > 1)
    throw cannotCut('Reply-To names several people', 'header Reply-To', remedy);
  for (const { address, readings, embedded } of findAddresses(field.decoded))
    for (const reading of [address, ...readings, ...embedded])
      if (named.has(reading) && !own.has(reading))
        throw cannotCut('another field would name a reader to others', where, remedy);
}

/** Everything before and after the place of the one To, the removed fields cut out. */
function aroundTo(
  message: ParsedMessage,
  removed: readonly HeaderField[],
): { readonly before: Buffer; readonly after: Buffer } {
  const bytes = Buffer.from(
    message.bytes.buffer,
    message.bytes.byteOffset,
    message.bytes.byteLength,
  );
  const first = removed.find(({ lower }) => lower === 'to') ?? removed[0];
  const place = first?.start ?? message.headers.at(-1)?.end ?? 0;
  const before: Buffer[] = [];
  const after: Buffer[] = [];
  let from = 0;
  for (const { start, end } of [...removed, { start: bytes.length, end: bytes.length }]) {
    if (start <= place) before.push(bytes.subarray(from, start));
    else if (from >= place) after.push(bytes.subarray(from, start));
    else {
      before.push(bytes.subarray(from, place));
      after.push(bytes.subarray(place, start));
    }
    from = end;
  }
  return { before: Buffer.concat(before), after: Buffer.concat(after) };
}

/** Canonical address to the name the message gives it, the first where it gives several. */
function displayNames(removed: readonly HeaderField[]): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const field of removed) {
    if (!RECIPIENT_FIELDS.has(field.lower)) continue;
    const { mailboxes, defects } = readAddressList(field);
    // Where the list can be read in two ways, a name may be somebody else's.
    if (defects.length > 0) continue;
    for (const { displayName, address } of mailboxes) {
      const canonical = canonicalOf(address);
      if (isHarmlessName(displayName) && !names.has(canonical)) names.set(canonical, displayName);
    }
  }
  return names;
}

function isHarmlessName(name: string): boolean {
  if (name === '' || /[@\uff20\ufe6b]/.test(name) || /=\?/.test(name)) return false;
  return findAddresses(name).length === 0;
}

function ownTo(reader: string, name: string, smtpUtf8: boolean): Buffer {
  const encoding = { utf8: smtpUtf8 };
  for (const displayName of name === '' ? [''] : [name, '']) {
    try {
      const mailbox = encodeMailbox(displayName, reader, 'To: '.length, encoding);
      return Buffer.from(headerField('To', mailbox, encoding));
    } catch {
      // A name that cannot be written is left out; an address cannot be.
    }
  }
  throw cannotCut(
    'the address of a reader cannot be written into a header',
    'envelope',
    'send to an address without control characters, or with SMTPUTF8',
  );
}

function canonicalOf(address: string): string {
  return canonicalAddress(address) ?? address.toLowerCase();
}
