/**
 * The address lists of To, Cc and the like (RFC 5322 section 3.4 and 4.4, RFC 6854), as senders
 * write them and clients read them, not only as the standard has them.
 *
 * Invariant: never throws, takes time linear in the value, and every address that a client may show
 * is among the sightings, whatever the mailboxes are.
 */
import { canonicalAddress } from './address.ts';
import { AddressLexer, type AddressToken } from './address-lexer.ts';
import { scanAddresses } from './address-scan.ts';
import { decodeEncodedWords } from './encoded-word.ts';
import type { HeaderField } from './header.ts';
import { copyOf } from './kept.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import type { DefectId } from './message.ts';

export interface Mailbox {
  readonly displayName: string;
  /** The addr-spec as given, without comments, routes and white space. */
  readonly address: string;
  /** The name of the group it is in; '' for none. */
  readonly group: string;
}

export interface AddressListReading {
  readonly mailboxes: readonly Mailbox[];
  /** Every address any client might show: mailboxes, comments, display names; distinct. */
  readonly sightings: readonly string[];
  readonly defects: readonly DefectId[];
}

type ListField = Pick<HeaderField, 'value' | 'decoded'>;

const PLAIN = /^[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[a-z0-9.-]{1,190}$/i;
/** The same in angle brackets and nothing else: every view and reading of it gives that one address. */
const PLAIN_ANGLE = /^<([\w.!#$%&'*+/=?^`{|}~-]{1,64}@[a-z0-9](?:[a-z0-9.-]{0,188}[a-z0-9])?)>$/i;
/** A field is asked several times: by the parser for its defects, then by each detector. */
const longReadings = new WeakMap<ListField, AddressListReading>();

/**
 * Reads one field as an address list: groups, comments, quoted local parts, source routes,
 * Outlook's semicolons. Where clients differ every reading is in the sightings.
 */
export function readAddressList(field: ListField): AddressListReading {
  const { value, decoded } = field;
  if (value.length <= VALUE_LENGTH_MAX) return readKept(value, decoded);
  const known = longReadings.get(field);
  if (known !== undefined) return known;
  const reading = readList(field);
  longReadings.set(field, reading);
  return reading;
}

/** The From and Reply-To of one broadcast are the same in every message. */
const VALUES_KEPT_MAX = 64;
const VALUE_LENGTH_MAX = 400;
const keptReadings = new Map<string, { decoded: string; reading: AddressListReading }>();

function readKept(value: string, decoded: string): AddressListReading {
  const before = keptReadings.get(value);
  if (before !== undefined && before.decoded === decoded) return before.reading;
  const own = { value: copyOf(value), decoded: copyOf(decoded) };
  const reading = readShort(own);
  if (keptReadings.size >= VALUES_KEPT_MAX) keptReadings.clear();
  keptReadings.set(own.value, { decoded: own.decoded, reading });
  return reading;
}

function readShort(field: ListField): AddressListReading {
  const { value, decoded } = field;
  if (PLAIN.test(value)) return readPlain(value);
  const inside = decoded === value ? PLAIN_ANGLE.exec(value)?.[1] : undefined;
  return inside === undefined ? readList(field) : readPlain(inside);
}

function readPlain(address: string): AddressListReading {
  return {
    mailboxes: [{ displayName: '', address, group: '' }],
    sightings: [address],
    defects: canonicalAddress(address) === null ? ['malformed-address'] : [],
  };
}

function readList(field: ListField): AddressListReading {
  const list = new ListReader(field.value);
  const sightings = new Set<string>();
  for (const { address } of list.mailboxes) if (address.includes('@', 1)) sightings.add(address);
  const known = new Set(sightings);
  const seen = new Set<string>();
  for (const text of [field.value, field.decoded]) {
    for (const view of viewsOf(text)) {
      if (seen.has(view)) continue;
      seen.add(view);
      scanAddresses(view, sightings, known);
      if (/@\s|\s@/.test(view)) scanSpaced(view, sightings, known);
    }
  }
  return {
    mailboxes: list.mailboxes,
    sightings: [...sightings],
    defects: list.isMalformed ? ['malformed-address'] : [],
  };
}

/** The text as different readers have it: with and without comments, quotes and control characters. */
function viewsOf(text: string): readonly string[] {
  if (!text.includes('@') && !/[\uff20\ufe6b]/.test(text)) return [];
  const views = [text];
  if (text.includes('(')) views.push(withoutComments(text));
  for (const view of [...views]) if (/["\\]/.test(view)) views.push(view.replace(/["\\]+/g, ''));
  // biome-ignore lint/suspicious/noControlCharactersInRegex: some readers drop exactly these
  if (/[\u0000-\u001f]/.test(text)) views.push(text.replace(/[\u0000-\u001f]+/g, ''));
  return views;
}

/**
 * Adds addresses with white space around the @ (RFC 5322 section 4.4), wherever they stand; a
 * domain without a dot is rather the end of a name such as "Anna @ Example".
 */
function scanSpaced(view: string, sightings: Set<string>, known: ReadonlySet<string>): void {
  const found = new Set<string>();
  const pieces = view.split('@').map((piece) => piece.trim());
  scanAddresses(pieces.join('@'), found, known);
  for (const address of found) if (/@.*\./s.test(address)) sightings.add(address);
}

function withoutComments(text: string): string {
  let depth = 0;
  let kept = '';
  let from = 0;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code === 0x5c) index++;
    else if (code === 0x28 && depth++ === 0) kept += text.slice(from, index);
    else if (code === 0x29 && depth > 0 && --depth === 0) from = index + 1;
  }
  return depth === 0 ? kept + text.slice(from) : kept;
}

/** Reads the tokens of one list once, from left to right. */
class ListReader {
  readonly mailboxes: Mailbox[] = [];
  isMalformed = false;
  #group = '';
  #inGroup = false;
  #item: AddressToken[] = [];

  constructor(value: string) {
    const lexer = new AddressLexer(value);
    for (let token = lexer.next(); token !== null; token = lexer.next()) this.#take(token);
    this.#endItem();
    // A group that is not closed, or a scheme like mailto: that is none.
    if (lexer.isMalformed || this.#inGroup) this.isMalformed = true;
  }

  #take(token: AddressToken): void {
    if (token.kind === 'comma') {
      this.#endItem();
    } else if (token.kind === 'semicolon') {
      this.#endItem();
      this.#inGroup = false;
      this.#group = '';
    } else if (token.kind === 'colon') {
      this.#beginGroup();
    } else {
      this.#item.push(token);
    }
  }

  #beginGroup(): void {
    const isName = this.#item.every(({ kind, text }) => kind !== 'angle' && !text.includes('@'));
    if (this.#inGroup || !isName) {
      this.isMalformed = true;
      this.#endItem();
      return;
    }
    this.#group = phrase(this.#item);
    this.#inGroup = true;
    this.#item = [];
  }

  #endItem(): void {
    const item = this.#item;
    if (item.length === 0) return;
    this.#item = [];
    if (item.some(({ kind }) => kind === 'angle')) this.#readAngles(item);
    else this.#readBare(item);
  }

  #readAngles(item: readonly AddressToken[]): void {
    const displayName = phrase(item.filter(({ kind }) => kind !== 'angle'));
    let count = 0;
    for (const token of item) {
      if (token.kind !== 'angle') continue;
      // The null address of bounces shows nobody.
      if (token.text.trim() === '') continue;
      const addresses = addressesInAngle(token.text);
      if (addresses.length !== 1 || ++count > 1) this.isMalformed = true;
      for (const address of addresses) this.#add(displayName, address);
    }
    const last = item.findLast(({ kind }) => kind !== 'comment');
    if (last?.kind !== 'angle') this.isMalformed = true;
  }

  /** An item without angle brackets: an addr-spec, perhaps with obsolete white space in it. */
  #readBare(item: readonly AddressToken[]): void {
    const words = wordsOf(item);
    const addresses = words.filter((word) => word.includes('@'));
    const comment = item.findLast(({ kind }) => kind === 'comment');
    if (addresses.length === 0) {
      if (words.length > 0) this.isMalformed = true;
      return;
    }
    if (words.length > 1 || isCommentInside(item)) this.isMalformed = true;
    const others = words.filter((word) => !word.includes('@')).join(' ');
    const name = decode(others !== '' ? others : (comment?.text ?? ''));
    for (const address of addresses) this.#add(name, address);
  }

  #add(displayName: string, address: string): void {
    const composed = address.normalize('NFC');
    this.mailboxes.push({ displayName, address: composed, group: this.#group });
    if (canonicalAddress(composed) === null) this.isMalformed = true;
  }
}

/** A comment between characters of one address: `user@good.test(x)evil.test` has three readings. */
function isCommentInside(item: readonly AddressToken[]): boolean {
  return item.some((token, index) => {
    const next = item[index + 1];
    return token.kind === 'comment' && next !== undefined && next.kind !== 'comment' && index > 0;
  });
}

function phrase(tokens: readonly AddressToken[]): string {
  let text = '';
  for (const { kind, text: piece, spaced } of tokens) {
    if (kind === 'comment') continue;
    text += `${spaced && text !== '' ? ' ' : ''}${kind === 'quoted' ? unquote(piece) : piece}`;
  }
  return decode(text);
}

function decode(text: string): string {
  return decodeEncodedWords(text, DEFAULT_LIMITS.encodedWords).text;
}

function unquote(quoted: string): string {
  const inside = quoted.slice(1, -1);
  return inside.includes('\\') ? inside.replace(/\\(.?)/gs, '$1') : inside;
}

/** An angle-addr's addresses: one, after its route; more where somebody wrote a list into it. */
function addressesInAngle(text: string): readonly string[] {
  const afterRoute = /^\s*@/.test(text) ? text.slice(text.indexOf(':') + 1) : text;
  const lexer = new AddressLexer(afterRoute);
  const items: AddressToken[][] = [[]];
  for (let token = lexer.next(); token !== null; token = lexer.next()) {
    const isSeparator =
      token.kind === 'comma' || token.kind === 'semicolon' || token.kind === 'colon';
    if (isSeparator) items.push([]);
    else items.at(-1)?.push(token);
  }
  return items.flatMap((item) => wordsOf(item)).filter((word) => word.includes('@'));
}

/**
 * The words of an item without its comments. White space around an @ or a dot, and a comment, do
 * not end a word (RFC 5322 section 4.4).
 */
function wordsOf(item: readonly AddressToken[]): readonly string[] {
  const words: string[] = [];
  let joined = false;
  let spaced = false;
  for (const token of item) {
    spaced ||= token.spaced;
    if (token.kind === 'comment') continue;
    const last = words.at(-1);
    const continues = joined || !spaced || /^[.@]/.test(token.text);
    if (last === undefined || !continues) words.push(token.text);
    else words[words.length - 1] = last + token.text;
    joined = /[.@]$/.test(token.text);
    spaced = false;
  }
  return words;
}
