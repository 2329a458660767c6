/**
 * Who an address mentioned in a message belongs to: its reader, its sender, a role of the company, or somebody else.
 * The one place where detect decides what may stand beside the reader in principle; how many of them may is policy.
 */

import { canonicalAddress } from '../mail/address.ts';
import { readAddressList } from '../mail/address-list.ts';
import type { HeaderField } from '../mail/header.ts';
import type { ParsedMessage } from '../mail/message.ts';
import { undoPercentCoding } from '../mail/undo-coding.ts';
import type { DetectContext } from './detector.ts';
import { type Mention, mentionsIn } from './mentions.ts';

/** unknown: looks like an address, is nobody's as far as anyone knows. */
export type Standing = 'reader' | 'sender' | 'role' | 'own-domain' | 'unknown' | 'other';

interface Person {
  readonly standing: Standing;
  /** The reading that decided. */
  readonly address: string;
}

interface Senders {
  /** Exact addresses of From, Sender, Reply-To, List-* and the return path. */
  readonly addresses: ReadonlySet<string>;
  /** Domains of From. */
  readonly domains: ReadonlySet<string>;
}

/** A mention and whose address it is. */
interface Seen {
  readonly mention: Mention;
  readonly person: Person;
}

interface Circumstance {
  readonly context: DetectContext;
  readonly senders: Senders;
  seen: readonly Seen[] | null;
}

const cached = new WeakMap<ParsedMessage, Circumstance>();

/** Everybody mentioned in these circumstances, in order: read once, for each detector asks for it. */
export function peopleIn(message: ParsedMessage, context: DetectContext): readonly Seen[] {
  const circumstance = circumstanceOf(message, context);
  circumstance.seen ??= mentionsIn(message).map((mention) => ({
    mention,
    person: personAmong(circumstance.senders, context, mention),
  }));
  return circumstance.seen;
}

/** Who the mentioned address belongs to in these circumstances. */
export function personOf(message: ParsedMessage, context: DetectContext, mention: Mention): Person {
  return personAmong(circumstanceOf(message, context).senders, context, mention);
}

function personAmong(senders: Senders, context: DetectContext, mention: Mention): Person {
  for (const address of mention.embedded) {
    if (isKnownOther(address, senders, context)) return { standing: 'other', address };
  }
  const { address, readings } = mention;
  const [first = ''] = readings;
  // A shorter reading is no excuse for somebody known by the longer one: `d'alice@x.test` may be a customer of its own.
  const longest = first.length > address.length ? first : address;
  const exact = allowance(address, senders, context) ?? allowance(longest, senders, context);
  if (exact !== null) return exact;
  if (isKnown(address, context)) return { standing: 'other', address };
  for (const reading of readings) {
    const allowed = allowance(reading, senders, context);
    if (allowed !== null) return allowed;
    if (isKnown(reading, context)) return { standing: 'other', address: reading };
  }
  if (mention.weak) return { standing: 'unknown', address };
  return { standing: isOwnDomain(address, senders, context) ? 'own-domain' : 'other', address };
}

function allowance(address: string, senders: Senders, context: DetectContext): Person | null {
  if (address === context.reader) return { standing: 'reader', address };
  if (senders.addresses.has(address)) return { standing: 'sender', address };
  const allowed = context.allowed(address);
  if (allowed === 'sender' || allowed === 'role') return { standing: allowed, address };
  return null;
}

function isKnownOther(address: string, senders: Senders, context: DetectContext): boolean {
  return isKnown(address, context) && allowance(address, senders, context) === null;
}

/** A recipient or a customer: somebody who may not be shown, whatever the address looks like. */
function isKnown(address: string, context: DetectContext): boolean {
  return context.isRecipient(address) || (context.isCustomer?.(address) ?? false);
}

function isOwnDomain(address: string, senders: Senders, context: DetectContext): boolean {
  const domain = address.slice(address.lastIndexOf('@') + 1);
  return senders.domains.has(domain) || context.allowed(address) === 'own-domain';
}

function circumstanceOf(message: ParsedMessage, context: DetectContext): Circumstance {
  const before = cached.get(message);
  if (before !== undefined && before.context === context) return before;
  const circumstance = { context, senders: sendersOf(message, context), seen: null };
  cached.set(message, circumstance);
  return circumstance;
}

/** The sender's own addresses, by exact value. */
function sendersOf(message: ParsedMessage, context: DetectContext): Senders {
  const addresses = new Set<string>();
  const domains = new Set<string>();
  for (const address of soleMailboxes(message, 'from', context)) {
    addresses.add(address);
    domains.add(address.slice(address.lastIndexOf('@') + 1));
  }
  for (const name of ['sender', 'reply-to', 'resent-from', 'resent-sender']) {
    for (const address of soleMailboxes(message, name, context)) addresses.add(address);
  }
  for (const field of message.headers) {
    if (LIST_FIELDS.has(field.lower))
      for (const address of listAddresses(field)) addresses.add(address);
  }
  const returnPath = canonicalAddress(context.envelope.from);
  if (returnPath !== null) addresses.add(returnPath);
  return { addresses, domains };
}

/** RFC 5322 allows several authors; a list of them is no cover for recipients. */
const AUTHORS_MAX = 3;

function soleMailboxes(
  message: ParsedMessage,
  name: string,
  context: DetectContext,
): readonly string[] {
  const mailboxes: string[] = [];
  for (const field of message.headers) {
    if (field.lower !== name) continue;
    for (const mailbox of readAddressList(field).mailboxes) {
      const address = canonicalAddress(mailbox.address);
      if (address === null || mailboxes.includes(address)) continue;
      if (mailboxes.length === AUTHORS_MAX) return [];
      mailboxes.push(address);
    }
  }
  if (mailboxes.length <= 1) return mailboxes;
  if (name === 'reply-to') return [];
  return mailboxes.filter((address) => !isKnown(address, context));
}

/** RFC 2369 and RFC 8058. */
const LIST_FIELDS = new Set([
  'list-help',
  'list-unsubscribe',
  'list-subscribe',
  'list-post',
  'list-owner',
  'list-archive',
]);
const LIST_ADDRESSES_MAX = 2;

/** The addresses of `<mailto:…>` in a List-* field: the path alone, not what its query adds. */
function listAddresses(field: HeaderField): readonly string[] {
  const addresses: string[] = [];
  for (const match of field.value.matchAll(/<mailto:([^<>?\s]{1,320})[^<>]*>/gi)) {
    const path = match[1] ?? '';
    const address = canonicalAddress(path) ?? canonicalAddress(undoPercentCoding(path));
    if (address !== null) addresses.push(address);
  }
  return addresses.length > LIST_ADDRESSES_MAX ? [] : addresses;
}
