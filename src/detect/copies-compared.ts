/**
 * Compares the copies of one call: another copy's reader named in this one, one token or link in two readers' copies. What all copies
 * have alike is the text, not a mistake.
 */

import { canonicalAddress } from '../mail/address.ts';
import { readAddressList } from '../mail/address-list.ts';
import { kept } from '../mail/kept.ts';
import type { ParsedMessage } from '../mail/message.ts';
import type { DetectContext } from './detector.ts';
import type { Finding } from './finding.ts';
import { type LinkTokens, linkTokens } from './link-tokens.ts';
import { wrongName } from './merge-mistake.ts';
import { fits, greetedIn, type Name, nameOf, shownText } from './salutation.ts';

/** What of a copy is compared with the others. */
export interface CopyTraits {
  readonly reader: string | null;
  /** The reader's names: of the record, and as To shows them. */
  readonly names: readonly Name[];
  readonly greeted: Name;
  /** Pairs of neighbouring words with capital letters, as `first last`. */
  readonly pairs: ReadonlySet<string>;
  readonly tokens: LinkTokens;
}

export function copyTraits(message: ParsedMessage, context: DetectContext): CopyTraits {
  const { reader } = context;
  const text = shownText(message);
  return {
    reader,
    names: reader === null ? [] : namesOf(message, reader, context),
    greeted: greetedIn(text),
    pairs: namePairs(text),
    tokens: linkTokens(message),
  };
}

function namesOf(message: ParsedMessage, reader: string, context: DetectContext): readonly Name[] {
  const texts = [...(context.recordOf?.(reader)?.names ?? [])];
  for (const field of message.headers) {
    if (field.lower !== 'to') continue;
    for (const { address, displayName } of readAddressList(field).mailboxes) {
      if (canonicalAddress(address) === reader && !displayName.includes('@'))
        texts.push(displayName);
    }
  }
  return texts.map(nameOf).filter((name) => name.length > 0);
}

const PAIRS_MAX = 400;
/**
 * Two words beginning with capitals, the second only looked at, so that it is tried as a first too. Latin, Greek and Cyrillic by their
 * ranges: property classes take three times as long.
 */
const PAIR =
  /([A-Z\u00c0-\u024f\u0370-\u04ff][\w'\u2019\u00c0-\u024f\u0370-\u04ff-]{1,30})(?=[ \u00a0]{1,3}([A-Z\u00c0-\u024f\u0370-\u04ff][\w'\u2019\u00c0-\u024f\u0370-\u04ff-]{1,30}))/g;
const PAIR_TEXT_MAX = 40_000;

/** Most pairs are the same in every copy. */
const pairNamed = kept((text) => pairOf(nameOf(text)));

function namePairs(text: string): ReadonlySet<string> {
  const pairs = new Set<string>();
  for (const [, first = '', last = ''] of text.slice(0, PAIR_TEXT_MAX).matchAll(PAIR)) {
    pairs.add(pairNamed(`${first} ${last}`));
    if (pairs.size === PAIRS_MAX) break;
  }
  return pairs;
}

function pairOf(name: Name): string {
  return name.length < 2 ? '' : `${name[0]} ${name.at(-1)}`;
}

/** Findings by the index of their copy. */
export function compareCopies(
  copies: readonly CopyTraits[],
): ReadonlyMap<number, readonly Finding[]> {
  const findings = new Map<number, Finding[]>();
  const add = (copy: number, finding: Finding): void => {
    const before = findings.get(copy);
    if (before === undefined) findings.set(copy, [finding]);
    else before.push(finding);
  };
  for (const copy of namedWrongly(copies)) add(copy, wrongName());
  for (const copy of sharingTokens(copies)) add(copy, sharedToken());
  return findings;
}

export function sharedToken(): Finding {
  const where = { part: '', field: 'link', start: 0, end: 0 };
  return { id: 'shared-token', severity: 'risk', where, addresses: [], count: 1 };
}

/** Who is called so: whole names, first and last words. */
function readersByName(copies: readonly CopyTraits[]): ReadonlyMap<string, ReadonlySet<string>> {
  const readersOf = new Map<string, Set<string>>();
  for (const { reader, names } of copies) {
    if (reader === null) continue;
    for (const name of names) {
      for (const key of [pairOf(name), name.join(' '), name[0] ?? '', name.at(-1) ?? '']) {
        const readers = readersOf.get(key) ?? new Set();
        readersOf.set(key, readers.add(reader));
      }
    }
  }
  readersOf.delete('');
  return readersOf;
}

/** Copies that name another copy's reader, and not their own where their own should be. */
function namedWrongly(copies: readonly CopyTraits[]): readonly number[] {
  const readersOf = readersByName(copies);
  const shownIn = new Map<string, number>();
  for (const { pairs } of copies) {
    for (const pair of pairs) shownIn.set(pair, (shownIn.get(pair) ?? 0) + 1);
  }
  const isOthers = (key: string, reader: string): boolean => {
    const readers = readersOf.get(key);
    return readers !== undefined && !readers.has(reader);
  };
  const wrong: number[] = [];
  for (const [index, { reader, names, greeted, pairs }] of copies.entries()) {
    if (reader === null || names.length === 0) continue;
    const greetsOther =
      greeted.length > 0 && !fits(greeted, names) && isOthers(greeted.join(' '), reader);
    // A name in half of the copies is the text's own: who signs it, whom it is about.
    const namesOther = [...pairs].some(
      (pair) => isOthers(pair, reader) && (shownIn.get(pair) ?? 0) * 2 <= copies.length,
    );
    if (greetsOther || namesOther) wrong.push(index);
  }
  return wrong;
}

/** Copies with a token that another reader's copy has too, in a slot where tokens differ from copy to copy. */
function sharingTokens(copies: readonly CopyTraits[]): ReadonlySet<number> {
  const slots = new Map<string, Map<string, number[]>>();
  for (const [index, { tokens }] of copies.entries()) {
    for (const [slot, token] of tokens) {
      const values = slots.get(slot) ?? new Map<string, number[]>();
      slots.set(slot, values);
      const having = values.get(token);
      if (having === undefined) values.set(token, [index]);
      else having.push(index);
    }
  }
  const sharing = new Set<number>();
  for (const values of slots.values()) {
    let having = 0;
    for (const indexes of values.values()) having += indexes.length;
    // Fewer values than half of the copies: a language, a variant, a page.
    if (values.size < 2 || values.size * 2 < having) continue;
    for (const indexes of values.values()) {
      const readers = new Set(indexes.map((index) => copies[index]?.reader ?? `copy ${index}`));
      if (readers.size > 1) for (const index of indexes) sharing.add(index);
    }
  }
  return sharing;
}
