/**
 * Addresses as the texts of an API call carry them: `ann@x.test`, `Ann <ann@x.test>`, and lists of these.
 *
 * Invariant: a text that is read shows nobody but in its mailboxes and their display names; one that
 * shows an address anywhere else, or that programs read differently, is not read at all.
 */

import { canonicalAddress, parseAddress } from '../../mail/address.ts';
import { readAddressList } from '../../mail/address-list.ts';
import { decodeEncodedWords } from '../../mail/encoded-word.ts';
import { holdsControl, mailboxes, type NamedAddress } from './message-parts.ts';

const PLAIN = /^[\w.+-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+$/;
const WORDS_MAX = 10_000;

/** The mailboxes of a comma-separated list; null where it is none, or empty. */
export function readMailboxes(text: string): readonly NamedAddress[] | null {
  const value = text.trim();
  if (PLAIN.test(value)) return canonicalAddress(value) === null ? null : [{ email: value }];
  if (value === '' || holdsControl(value) || !value.isWellFormed()) return null;
  const { mailboxes: found, sightings, defects } = readList(value);
  if (defects.length > 0 || found.length === 0) return null;
  const read: NamedAddress[] = [];
  for (const { address, displayName, group } of found) {
    const sound = group === '' && parseAddress(address).kind === 'address';
    if (!sound || canonicalAddress(address) === null) return null;
    read.push(displayName === '' ? { email: address } : { email: address, name: displayName });
  }
  const written = mailboxes('', read).slice(2).replaceAll('\r\n', '').trim();
  const shown = new Set(readList(written).sightings.map(keyOf));
  return sightings.every((sighting) => shown.has(keyOf(sighting))) ? read : null;
}

function readList(value: string): ReturnType<typeof readAddressList> {
  return readAddressList({ value, decoded: decodeEncodedWords(value, WORDS_MAX).text });
}

/** The form in which two readers are one. */
export function keyOf(address: string): string {
  return canonicalAddress(address) ?? address.toLowerCase();
}

/** Distinct readers in the order given; the first mention of each. */
export function distinctReaders(list: readonly NamedAddress[]): readonly NamedAddress[] {
  const readers = new Map<string, NamedAddress>();
  for (const one of list) {
    const key = keyOf(one.email);
    if (!readers.has(key)) readers.set(key, one);
  }
  return [...readers.values()];
}

/** A mailbox for a copy of the reader's own: its display name goes where it could be an address. */
export function ownMailbox({ email, name = '' }: NamedAddress): NamedAddress {
  const decoded = decodeEncodedWords(name, WORDS_MAX).text;
  return name === '' || /[@\uff20\ufe6b%&\\]/.test(name + decoded) ? { email } : { email, name };
}
