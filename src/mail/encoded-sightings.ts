/**
 * Finds e-mail addresses inside base64, base64url and hexadecimal tokens, as links and attributes carry them.
 *
 * An @ (0x40) leaves a mark in base64 that depends only on where in a group of three bytes it stands, so a token is
 * decoded only where such a mark has letters on both sides: clean tokens cost one look at each character.
 */

import { findAddresses, type Sighting } from './sightings.ts';

const NONE: readonly never[] = [];
const TOKEN_LENGTH_MIN = 12;
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const NO_SEXTET = 64;
/** Value of each base64 or base64url character. */
const SEXTET: Uint8Array = sextets();

function sextets(): Uint8Array {
  const values = new Uint8Array(128).fill(NO_SEXTET);
  for (let value = 0; value < ALPHABET.length; value++) values[ALPHABET.charCodeAt(value)] = value;
  values['-'.charCodeAt(0)] = 62;
  values['_'.charCodeAt(0)] = 63;
  return values;
}

/** Addresses inside tokens of at least 12 characters, wherever in the token they begin; the place is the token's. */
export function findEncodedAddresses(text: string): readonly Sighting[] {
  let found: Sighting[] | null = null;
  let start = 0;
  // Where the next 40, an @ in hexadecimal, stands: looked for once, not once per token.
  let hexAt = text.indexOf('40');
  while (start + TOKEN_LENGTH_MIN <= text.length) {
    // Looks first at what would be the last character of the shortest token, so short words are leapt over.
    let last = start + TOKEN_LENGTH_MIN - 1;
    while (last >= start && isTokenCode(text.charCodeAt(last))) last--;
    if (last >= start) {
      start = last + 1;
      continue;
    }
    let end = start + TOKEN_LENGTH_MIN;
    while (end < text.length && isTokenCode(text.charCodeAt(end))) end++;
    if (hexAt !== -1 && hexAt < start) hexAt = text.indexOf('40', start);
    const hasHex = hexAt !== -1 && hexAt < end;
    const base64 = readBase64Token(text, start, end);
    const sightings = (hasHex ? readHexToken(text, start, end, base64) : base64) ?? NONE;
    if (sightings.length > 0) found = found === null ? [...sightings] : found.concat(sightings);
    start = end + 1;
  }
  return found ?? NONE;
}

function isTokenCode(code: number): boolean {
  return code < 128 && SEXTET[code] !== NO_SEXTET;
}

function sextetAt(text: string, index: number): number {
  const code = text.charCodeAt(index);
  return code < 128 ? (SEXTET[code] ?? NO_SEXTET) : NO_SEXTET;
}

function readBase64Token(text: string, start: number, end: number): Sighting[] | null {
  let found: Sighting[] | null = null;
  // Bit n: the alignment that begins n characters into the token has been decoded.
  let decoded = 0;
  for (let index = start + 1; index + 3 < end; index++) {
    const mark = MARK_OF_AT[(text.charCodeAt(index) << 7) | text.charCodeAt(index + 1)] ?? 0;
    if (mark === 0) continue;
    const bit = mark === BIT_0 ? 0 : mark;
    const first = alignment(index, bit, start);
    if ((decoded & (1 << (first - start))) !== 0) continue;
    if (!hasNeighbours(text, index * 6 + bit, start, end)) continue;
    decoded |= 1 << (first - start);
    found = collect(Buffer.from(text.slice(first, end), 'base64'), start, end, found);
  }
  return found;
}

function readHexToken(
  text: string,
  start: number,
  end: number,
  before: Sighting[] | null,
): Sighting[] | null {
  let found = before;
  // Bit 0: pairs that begin at even places have been decoded; bit 1: at odd ones.
  let decoded = 0;
  let at = text.indexOf('40', start + 2);
  for (; at !== -1 && at + 4 < end; at = text.indexOf('40', at + 1)) {
    const bytes = (decoded & (1 << (at & 1))) === 0 ? hexAround(text, at, start, end) : null;
    if (bytes === null) continue;
    decoded |= 1 << (at & 1);
    found = collect(bytes, start, end, found);
  }
  return found;
}

const BIT_0 = 1;
/**
 * For two neighbouring characters (7 bits each): where in the first an @ (01000000) may begin, at bit 2 or 4, BIT_0 at bit 0, and
 * 0 where it cannot.
 */
const MARK_OF_AT: Uint8Array = marksOfAt();

function marksOfAt(): Uint8Array {
  const marks = new Uint8Array(128 * 128);
  for (let pair = 0; pair < marks.length; pair++) {
    marks[pair] = markOfAt(SEXTET[pair >> 7] ?? NO_SEXTET, SEXTET[pair & 127] ?? NO_SEXTET);
  }
  return marks;
}

function markOfAt(sextet: number, next: number): number {
  if (sextet === NO_SEXTET || next === NO_SEXTET) return 0;
  if (sextet === 16 && next < 16) return BIT_0;
  if ((sextet & 15) === 4 && next < 4) return 2;
  return (sextet & 3) === 1 && next === 0 ? 4 : 0;
}

/** The first character, 0 to 3 after `start`, from which groups of four put a byte boundary at this bit. */
function alignment(index: number, bit: number, start: number): number {
  const group = index - bit / 2;
  return start + ((((group - start) % 4) + 4) % 4);
}

/** A name's last byte before the @; behind it a domain's first and second. */
function hasNeighbours(text: string, bit: number, start: number, end: number): boolean {
  const before = byteAt(text, bit - 8, start, end);
  if (!isNameByte(before) && !isContinuation(before)) return false;
  const after = byteAt(text, bit + 8, start, end);
  const second = byteAt(text, bit + 16, start, end);
  if (isNameByte(after)) return isNameByte(second) || second === DOT;
  return isLead(after) && isContinuation(second);
}

/** The byte whose first bit is `bit`, counted in sextets of the text; -1 outside of the token. */
function byteAt(text: string, bit: number, start: number, end: number): number {
  const index = Math.floor(bit / 6);
  if (index < start || index + 1 >= end) return -1;
  const both = (sextetAt(text, index) << 6) | sextetAt(text, index + 1);
  return (both >> (4 - (bit % 6))) & 255;
}

const DOT = 0x2e;
const MINUS = 0x2d;
const UNDERSCORE = 0x5f;
const PLUS = 0x2b;

/** Letters, digits and what else may be next to an @. */
function isNameByte(byte: number): boolean {
  const lower = byte | 0x20;
  if ((lower >= 0x61 && lower <= 0x7a) || (byte >= 0x30 && byte <= 0x39)) return true;
  return byte === MINUS || byte === UNDERSCORE || byte === PLUS;
}

/** UTF-8 (RFC 3629): the second and later bytes of a character. */
function isContinuation(byte: number): boolean {
  return byte >= 0x80 && byte <= 0xbf;
}

/** UTF-8: the first byte of a character beyond ASCII. */
function isLead(byte: number): boolean {
  return byte >= 0xc2 && byte <= 0xf4;
}

/** The bytes of the hexadecimal run around a `40` that has name bytes on both sides. */
function hexAround(text: string, at: number, start: number, end: number): Buffer | null {
  const before = Number.parseInt(text.slice(at - 2, at), 16);
  const after = Number.parseInt(text.slice(at + 2, at + 4), 16);
  if (!isNameByte(before) && !isContinuation(before)) return null;
  if (!isNameByte(after) && !isLead(after)) return null;
  let first = at;
  while (first - 2 >= start && /^[0-9a-fA-F]{2}$/.test(text.slice(first - 2, first))) first -= 2;
  const bytes = Buffer.from(text.slice(first, end), 'hex');
  return bytes.length * 2 >= TOKEN_LENGTH_MIN ? bytes : null;
}

/**
 * Random bytes read as a short address now and then (as one of 6 characters once in 10 million), so in bytes that are not text
 * all over an address must be longer: less so where text follows up to the token's end, as behind a prefix of another alignment.
 */
const LENGTH_IN_NOISE_MIN = 12;
const LENGTH_BEHIND_NOISE_MIN = 8;
const NOISE = '\0';

function collect(
  bytes: Buffer,
  start: number,
  end: number,
  found: Sighting[] | null,
): Sighting[] | null {
  const text = bytes.toString('utf8').replace(/(?![\t\r\n])[\p{Cc}\uFFFD]/gu, NOISE);
  const noiseEnd = text.lastIndexOf(NOISE);
  const sightings = findAddresses(text).filter((sighting) => {
    if (sighting.weak) return false;
    if (noiseEnd === -1) return true;
    const lengthMin = sighting.start > noiseEnd ? LENGTH_BEHIND_NOISE_MIN : LENGTH_IN_NOISE_MIN;
    return sighting.end - sighting.start >= lengthMin;
  });
  if (sightings.length === 0) return found;
  const placed = sightings.map((sighting) => ({ ...sighting, start, end }));
  return found === null ? placed : found.concat(placed);
}
