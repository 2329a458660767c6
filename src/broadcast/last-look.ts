/**
 * The last look: re-reads what is about to leave, with code that shares nothing with what wrote it.
 * Invariant: imports `node:` modules only. Any address in the bytes that is neither the reader's nor allowed stops the broadcast.
 */

import { hash } from 'node:crypto';

/** What may stand in the bytes beside the reader's address. All ASCII values in lower case. */
export interface Allowed {
  /** From, Reply-To and the company's role addresses, as they are written. */
  readonly addresses: readonly string[];
}

export type LookResult =
  | { readonly kind: 'clear' }
  | { readonly kind: 'stop'; readonly why: LookReason; readonly where: string };

export type LookReason =
  | 'envelope'
  | 'not-one-to'
  | 'to-is-not-the-reader'
  | 'forbidden-header'
  | 'transfer-encoding'
  | 'foreign-address'
  | 'signature'
  | 'digest'
  | 'line-breaks';

const CLEAR: LookResult = { kind: 'clear' };
const stop = (why: LookReason, where: string): LookResult => ({ kind: 'stop', why, where });

const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const TAB = 0x09;
const APOSTROPHE = 0x27;
const DOT = 0x2e;
const EQUALS = 0x3d;
const SEMICOLON = 0x3b;
const PERCENT = 0x25;
const AMPERSAND = 0x26;
const AT = 0x40;

const MARK_AT = 1;
const MARK_CODED = 2;
const MARK_QUOTED = 3;

const BASE64_DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const NO_DIGIT = 255;
/** Values of base64 and base64url digits, and of hexadecimal ones. */
const SEXTET = new Uint8Array(256).fill(NO_DIGIT);
const HEX = new Uint8Array(256).fill(NO_DIGIT);
/** ASCII letters in lower case; other bytes as they are, so that UTF-8 compares as bytes. */
const LOWER = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x41 && byte <= 0x5a ? byte + 32 : byte,
);
/** 1 for what may be part of an address next to it: letters, digits, the usual specials, any byte above ASCII. */
const JOINS = new Uint8Array(256).fill(1, 0x80);
for (let value = 0; value < 64; value++) SEXTET[BASE64_DIGITS.charCodeAt(value)] = value;
SEXTET[0x2d] = 62;
SEXTET[0x5f] = 63;
for (let byte = 0; byte < 128; byte++) {
  const character = String.fromCharCode(byte);
  if (/[0-9a-fA-F]/.test(character)) HEX[byte] = Number.parseInt(character, 16);
  if (/[0-9A-Za-z._+-]/.test(character)) JOINS[byte] = 1;
}

function isJoin(byte: number | undefined): boolean {
  return byte !== undefined && JOINS[byte] === 1;
}

/** An address that may stand in the bytes: in lower case, with the place of its `@`. */
interface Known {
  readonly bytes: Buffer;
  readonly at: number;
}

function knownValue(text: string): Known {
  const bytes = Buffer.from(text, 'utf8');
  for (let i = 0; i < bytes.length; i++) bytes[i] = LOWER[bytes[i] as number] as number;
  return { bytes, at: bytes.indexOf(AT) };
}

const allowedValues = new WeakMap<Allowed, readonly Known[]>();

/** The reader's value first; those that are the same for all readers are made once. */
function knownValues(reader: string, allowed: Allowed, own: readonly string[]): readonly Known[] {
  let values = allowedValues.get(allowed);
  if (values === undefined) {
    values = allowed.addresses.map(knownValue);
    allowedValues.set(allowed, values);
  }
  return [knownValue(reader), ...own.map(knownValue), ...values];
}

const NOT_KNOWN = 0;
const KNOWN = 1;
/** Known if the code next to it is no more of the address: a soft line break, a reference, percent coding. */
const KNOWN_BESIDE_CODE = 2;

/** Whether the `@` at `at` lies inside one of the known values, whole and by itself. */
function insideKnown(bytes: Uint8Array, end: number, at: number, known: readonly Known[]): number {
  let best = NOT_KNOWN;
  for (const value of known) {
    if (!standsAround(bytes, end, at, value)) continue;
    const start = at - value.at;
    const next = start + value.bytes.length;
    const found = Math.min(freeBefore(bytes, start), 2) * freeAfter(bytes, end, next);
    if (found === 1) return KNOWN;
    if (found > 1) best = KNOWN_BESIDE_CODE;
  }
  return best;
}

function standsAround(bytes: Uint8Array, end: number, at: number, value: Known): boolean {
  const start = at - value.at;
  const own = value.bytes;
  if (start < 0 || start + own.length > end) return false;
  for (let i = 0; i < own.length; i++)
    if (LOWER[bytes[start + i] as number] !== own[i]) return false;
  return true;
}

/** 0 where the local part goes on to the left, 2 where a code might be more of it, else 1. */
function freeBefore(bytes: Uint8Array, start: number): number {
  if (start === 0) return 1;
  const before = bytes[start - 1] as number;
  if (JOINS[before] === 1) return 0;
  // O'Brien is another person than Brien.
  if (before === APOSTROPHE && start > 1 && isJoin(bytes[start - 2])) return 0;
  const soft = before === LF && bytes[start - 3] === EQUALS;
  return soft || before === SEMICOLON ? 2 : 1;
}

/** 0 where the domain goes on to the right, 2 where a code might be more of it, else 1. */
function freeAfter(bytes: Uint8Array, end: number, address: number): number {
  let next = behindSoftBreaks(bytes, address);
  if (bytes[next] === DOT && next < end) {
    // A full stop that ends a sentence is no longer domain.
    next = behindSoftBreaks(bytes, next + 1);
    if (bytes[next] === DOT) return 1;
  }
  if (next >= end) return 1;
  const after = bytes[next] as number;
  if (JOINS[after] === 1) return 0;
  return after === EQUALS || after === AMPERSAND || after === PERCENT ? 2 : 1;
}

function behindSoftBreaks(bytes: Uint8Array, from: number): number {
  let next = from;
  while (bytes[next] === EQUALS && bytes[next + 1] === CR && bytes[next + 2] === LF) next += 3;
  return next;
}

const ENTITY =
  /&(?:#(\d{1,8})|#[xX]([0-9a-fA-F]{1,8})|(commat|period|lowbar|plus|hyphen|dash|apos|amp|lt|gt|quot|sol));?/g;
const NAMED: Readonly<Record<string, string>> = {
  commat: '@',
  period: '.',
  lowbar: '_',
  plus: '+',
  hyphen: '-',
  dash: '-',
  apos: "'",
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  sol: '/',
};

/** Texts here hold one character per byte. */
function undoEntities(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(ENTITY, (whole, decimal?: string, hex?: string, name?: string) => {
    if (name !== undefined) return NAMED[name] ?? whole;
    const code = decimal === undefined ? Number.parseInt(hex ?? '0', 16) : Number(decimal);
    return code > 0x10ffff
      ? whole
      : Buffer.from(String.fromCodePoint(code), 'utf8').toString('latin1');
  });
}

function undoHex(text: string, pattern: RegExp): string {
  return text.replace(pattern, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** References, percent coding and script escapes undone; links are coded twice in practice, four times leaves nothing to hide behind. */
function undoCodes(text: string): string {
  let undone = text;
  for (let round = 0; round < 4 && /[%&\\]/.test(undone); round++)
    undone = undoHex(undoHex(undoEntities(undone), /%([0-9A-Fa-f]{2})/g), SCRIPT_ESCAPE);
  return undone;
}

const SCRIPT_ESCAPE = /\\(?:u00|x)([0-9a-fA-F]{2})/g;
const SOFT_BREAK = /=[ \t]*\r?\n/g;

function undoQuotedPrintable(text: string): string {
  return undoHex(text.replace(SOFT_BREAK, ''), /=([0-9A-Fa-f]{2})/g);
}

const WIDE_AT = /^(?:\xef\xbc\xa0|\xef\xb9\xab)/;
const WINDOW_BYTES = 2400;

/** The text before an at sign that stands in an encoded word of kind Q (RFC 2047), where `_` is a space. */
const IN_Q_WORD = /=\?[^?\s]{1,40}\?q\?([^?\s]*)$/i;

/** An at sign and what stands around it, with every code undone; `quoted` where the bytes may be quoted-printable. */
function knownOnceUndone(
  bytes: Buffer,
  end: number,
  at: number,
  known: readonly Known[],
  quoted: boolean,
): boolean {
  const before = bytes.toString('latin1', Math.max(0, at - WINDOW_BYTES), at);
  const rest = bytes.toString('latin1', at, Math.min(end, at + WINDOW_BYTES));
  // What a window cuts off might be more of the address.
  const cut = { before: at > WINDOW_BYTES, after: at + WINDOW_BYTES < end };
  if (!quoted) return isKnownBetween(before, rest, known, cut);
  const after = undoQuotedPrintable(rest);
  const word = IN_Q_WORD.exec(before)?.[1]?.replaceAll('_', ' ');
  if (word !== undefined)
    return isKnownBetween(undoQuotedPrintable(word), after.replaceAll('_', ' '), known, cut);
  return (
    isKnownBetween(before.replace(SOFT_BREAK, ''), after, known, cut) ||
    isKnownBetween(undoQuotedPrintable(before), after, known, cut)
  );
}

function isKnownBetween(
  before: string,
  rest: string,
  known: readonly Known[],
  cut: { readonly before: boolean; readonly after: boolean },
): boolean {
  const after = undoCodes(rest).replace(WIDE_AT, '@');
  // What looks like a code and is none: &#640; or a lone percent sign.
  if (after.charCodeAt(0) !== AT) return true;
  const left = undoCodes(before);
  if (cut.before && left.length < LOCAL_PART_MAX + 4) return false;
  if (cut.after && after.length < ADDRESS_MAX + 4) return false;
  const whole = Buffer.from(left + after, 'latin1');
  return insideKnown(whole, whole.length, left.length, known) !== NOT_KNOWN;
}

const CODED_AT =
  /^(?:%(?:25)*(?:40|ef%(?:25)*(?:bc%(?:25)*a0|b9%(?:25)*ab))|&#0*(?:64|65312|65131)(?!\d)|&#x0*(?:40|ff20|fe6b)(?![0-9a-f])|&commat|\\u0040|\\x40|\xef\xbc\xa0|\xef\xb9\xab)/i;

/** `%40`, `%2540`, `&#64;`, `&#x40;`, `&commat;`, a full-width at sign and their like. */
function hidesAt(bytes: Buffer, at: number): boolean {
  const next = bytes[at + 1] as number;
  switch (bytes[at]) {
    case PERCENT:
      if (next !== 0x32 && next !== 0x34 && LOWER[next] !== 0x65) return false;
      break;
    case AMPERSAND:
      if (next !== 0x23 && LOWER[next] !== 0x63) return false;
      break;
    case 0xef:
      return (next === 0xbc && bytes[at + 2] === 0xa0) || (next === 0xb9 && bytes[at + 2] === 0xab);
    default:
      if (next !== 0x75 && next !== 0x78) return false;
  }
  return CODED_AT.test(bytes.toString('latin1', at, at + 40));
}

/** A message with one character per byte beside it, for what is searched and cut out. */
interface Message {
  readonly bytes: Buffer;
  readonly text: string;
}

/** What a byte may be the start or the end of, given the byte before it; one look-up a byte finds all that must be looked at. */
type Marks = Uint8Array;
const NOTHING = 0;
/** The bytes at which a coded at sign may begin: percent coding, references, script escapes, full-width and small ones. */
const CODED_MARKS = [PERCENT, AMPERSAND, 0x5c, 0xef];

function marksOf(kindOf: (before: number, byte: number) => number): Marks {
  return Uint8Array.from({ length: 256 * 256 }, (_, pair) => kindOf(pair >> 8, pair & 255));
}

/**
 * The first place from `from` on that is marked, `end` for none. A function of its own because the compiler then keeps the loop
 * small: 5.6 us for 7 KB, where the same loop within its caller took 13.
 */
function nextMark(marks: Marks, bytes: Buffer, from: number, end: number, first: number): number {
  let before = first;
  let i = from;
  while (i < end) {
    const byte = bytes[i] as number;
    if (marks[(before << 8) | byte] !== NOTHING) break;
    before = byte;
    i++;
  }
  return i;
}

const MARK_BREAK = 4;
const MARK_LINE = 5;
const MARK_WIDE = 6;
/** A bare CR or LF, a NUL, a line that starts with a dot, which the wire would have to double, or with a C; `40` and `EF`. */
const RAW_MARKS = marksOf((before, byte) => {
  if (byte === 0 || (before === CR) !== (byte === LF)) return MARK_BREAK;
  if (before === LF && byte === DOT) return MARK_BREAK;
  if (byte === AT) return MARK_AT;
  if (CODED_MARKS.includes(byte)) return MARK_CODED;
  if (before === LF && LOWER[byte] === 0x63) return MARK_LINE;
  if (before === 0x34 && byte === 0x30) return MARK_QUOTED;
  return LOWER[before] === 0x65 && LOWER[byte] === 0x66 ? MARK_WIDE : NOTHING;
});

/** Over the bytes as they travel: line breaks, transfer encodings, and every at sign, coded or not. */
function lookAtRaw(bytes: Buffer, known: readonly Known[]): LookResult {
  const end = bytes.length;
  for (let i = nextMark(RAW_MARKS, bytes, 0, end, LF); i < end; ) {
    const byte = bytes[i] as number;
    const before = i === 0 ? LF : (bytes[i - 1] as number);
    const why = wrongMark(bytes, i, RAW_MARKS[(before << 8) | byte] as number, known);
    if (why !== null) return stop(why, `byte ${i}`);
    i = nextMark(RAW_MARKS, bytes, i + 1, end, byte);
  }
  return bytes[end - 1] === CR ? stop('line-breaks', 'the last byte') : CLEAR;
}

/** `=EF=BC=A0` and `=EF=B9=AB`. */
const WIDE_QUOTED = /^=EF=B(?:C=A0|9=AB)/i;

function wrongMark(
  bytes: Buffer,
  i: number,
  kind: number,
  known: readonly Known[],
): LookReason | null {
  switch (kind) {
    case MARK_BREAK:
      return 'line-breaks';
    case MARK_LINE:
      return namesOtherEncoding(bytes, i) ? 'transfer-encoding' : null;
    case MARK_AT:
      if (insideKnown(bytes, bytes.length, i, known) === KNOWN) return null;
      if (knownOnceUnquoted(bytes, i, known)) return null;
      return wrongAt(bytes, i, known);
    case MARK_CODED:
      return hidesAt(bytes, i) ? wrongAt(bytes, i, known) : null;
    case MARK_QUOTED:
      return bytes[i - 2] === EQUALS ? wrongAt(bytes, i - 2, known) : null;
    default: {
      const wide = WIDE_QUOTED.test(bytes.toString('latin1', Math.max(0, i - 2), i + 7));
      return wide ? wrongAt(bytes, i - 2, known) : null;
    }
  }
}

function wrongAt(bytes: Buffer, i: number, known: readonly Known[]): LookReason | null {
  return knownOnceUndone(bytes, bytes.length, i, known, true) ? null : 'foreign-address';
}

/** A local part has at most 64 bytes and an address 254 (RFC 5321 section 4.5.3.1); quoted-printable makes three of one. */
const BEFORE_BYTES = 300;
const AFTER_BYTES = 800;
const LOCAL_PART_MAX = 64;
const ADDRESS_MAX = 254;

/** The common case of an address that a soft line break or a quoted byte touches, at a twentieth of the cost of undoing all codes. */
function knownOnceUnquoted(bytes: Buffer, at: number, known: readonly Known[]): boolean {
  const from = Math.max(0, at - BEFORE_BYTES);
  const to = Math.min(bytes.length, at + AFTER_BYTES);
  const before = undoIntoScratch(bytes, from, at, 0);
  const end = undoIntoScratch(bytes, at, to, before);
  if (from > 0 && before < LOCAL_PART_MAX + 4) return false;
  if (to < bytes.length && end - before < ADDRESS_MAX + 4) return false;
  return insideKnown(scratch, end, before, known) === KNOWN;
}

const ENCODING_FIELD = Buffer.from('content-transfer-encoding');

function namesOtherEncoding(bytes: Buffer, start: number): boolean {
  for (let i = 0; i < ENCODING_FIELD.length; i++)
    if (LOWER[bytes[start + i] as number] !== ENCODING_FIELD[i]) return false;
  const rest = bytes.toString('latin1', start + ENCODING_FIELD.length, start + 200);
  const value = /^[ \t]*:((?:[^\r\n]|\r\n[ \t])*)/.exec(rest)?.[1];
  return value !== undefined && !/^\s*(?:7bit|quoted-printable)\s*$/i.test(value);
}

/** Names that say who gets a message; in lower case. */
const FORBIDDEN =
  /^(?:cc|bcc|apparently-to|resent-.*|x-.*(?:to|rcpt|recipient)s?|delivered-to|envelope-to)$/;
const FIELD_NAME_MAX = 100;
const TO = 'to';

/** A header field: its name in lower case without white space before the colon, and where its value lies. */
interface Field {
  readonly name: string;
  readonly start: number;
  readonly value: number;
  readonly end: number;
}

/** The field at `start`, which goes on to the first line break that no white space follows; null where the line is no field. */
function readField({ bytes, text }: Message, start: number, headerEnd: number): Field | null {
  let end = text.indexOf('\n', start) + 1;
  while (end > 0 && end < headerEnd && (bytes[end] === SPACE || bytes[end] === TAB))
    end = text.indexOf('\n', end) + 1;
  if (end <= 0 || end > headerEnd) end = headerEnd;
  const line = text.slice(start, Math.min(end, start + FIELD_NAME_MAX + 1));
  const colon = line.indexOf(':');
  if (colon < 0) return null;
  let length = colon;
  while (length > 0 && (line[length - 1] === ' ' || line[length - 1] === '\t')) length--;
  if (length === 0) return null;
  return { name: line.slice(0, length).toLowerCase(), start, value: start + colon + 1, end };
}

/** Where the header that begins at `start` ends: behind the line break of its last field. */
function headerEnd({ bytes, text }: Message, start: number, end: number): number {
  if (bytes[start] === CR && bytes[start + 1] === LF) return start;
  const found = text.indexOf('\r\n\r\n', start);
  return found < 0 || found + 2 > end ? end : found + 2;
}

/** One To, the reader alone, and no other field that names recipients. */
function lookAtHeader(message: Message, known: readonly Known[]): LookResult {
  const end = headerEnd(message, 0, message.bytes.length);
  let to = 0;
  for (let start = 0; start < end; ) {
    const field = readField(message, start, end);
    if (field === null) return stop('forbidden-header', 'a header line without a name');
    if (field.name === TO) {
      to++;
      if (!namesReader(message.text.slice(field.value, field.end), known[0]))
        return stop('to-is-not-the-reader', 'header To');
    } else if (FORBIDDEN.test(field.name)) return stop('forbidden-header', 'a recipient header');
    start = field.end;
  }
  return to === 1 ? CLEAR : stop('not-one-to', `${to} To headers`);
}

function namesReader(value: string, reader: Known | undefined): boolean {
  const bare = value.replace(/\r\n[ \t]*/g, '').trim();
  const address = bare.startsWith('<') && bare.endsWith('>') ? bare.slice(1, -1) : bare;
  return reader !== undefined && knownLatin1(address).equals(reader.bytes);
}

function knownLatin1(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  for (let i = 0; i < bytes.length; i++) bytes[i] = LOWER[bytes[i] as number] as number;
  return bytes;
}

/** The reader of the envelope commands exactly as they stand on the wire: one MAIL, one RCPT. */
function envelopeReader(commands: Buffer): Buffer | null {
  const lines = commands.toString('latin1').split('\r\n');
  const rcpt = lines.filter((line) => /^rcpt /i.test(line));
  const mail = lines.filter((line) => /^mail /i.test(line));
  const match = /^RCPT TO:<([^<>\s]+)>$/i.exec(rcpt[0] ?? '');
  if (rcpt.length !== 1 || mail.length !== 1 || lines.length > 4) return null;
  return match?.[1] === undefined ? null : knownLatin1(match[1]);
}

/** What the socket entry compares with. */
export interface SealedLeaf {
  /** The reader's address as prepared. */
  readonly reader: string;
  /** SHA-256 of the signed message, as its signing run entered it. */
  readonly digest: Buffer;
  /** Our own values with an at sign: Message-ID and return path, exact. */
  readonly own: readonly string[];
}

/** What both entries look at: the header's names and the bytes as they travel. */
function lookAtBytes(message: Message, known: readonly Known[]): LookResult {
  const header = lookAtHeader(message, known);
  return header.kind === 'stop' ? header : lookAtRaw(message.bytes, known);
}

/** DKIM-Signature and Date as a signing run makes them, and From behind them: no tag, field or text more. */
const SIGNING_FIELDS =
  /^DKIM-Signature: v=1; a=rsa-sha256; c=relaxed\/relaxed;(?:\r\n)? d=[\w.-]+;(?:\r\n)? s=[\w.-]+;(?:\r\n)? h=(?:[a-z:-]|\r\n )+;\r\n t=\d+; bh= [A-Za-z0-9+/]{43}=;\r\n b= (?:[A-Za-z0-9+/]|\r\n )+={0,2}\r\nDate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000\r\nFrom: /;
const SIGNING_BYTES_MAX = 2048;

/**
 * The signing run comes after the inspection of every part, so what it adds is held to its exact form here; its names are
 * read as text is. What `b=` says is noise to anybody without the key.
 */
function signingFieldsAreSound({ bytes, text }: Message, known: readonly Known[]): boolean {
  if (!SIGNING_FIELDS.test(text.slice(0, SIGNING_BYTES_MAX))) return false;
  return textIsClean(bytes, 0, text.indexOf(' bh='), known);
}

/**
 * The look at the socket, over exactly the bytes handed to it. Aim: at most 20 us for 10 KB.
 * @param content the message without the final dot.
 * @param commands the envelope commands of this transaction as they were written to this connection.
 */
export function lookBeforeWrite(
  content: Buffer,
  commands: Buffer,
  leaf: SealedLeaf,
  allowed: Allowed,
): LookResult {
  const rcpt = envelopeReader(commands);
  const known = knownValues(leaf.reader, allowed, leaf.own);
  if (rcpt === null || known[0]?.bytes.equals(rcpt) !== true) return stop('envelope', 'RCPT TO');
  const message = { bytes: content, text: content.toString('latin1') };
  const looked = lookAtBytes(message, known);
  if (looked.kind === 'stop') return looked;
  if (!signingFieldsAreSound(message, known)) return stop('signature', 'the fields before From');
  const digest = hash('sha256', content, 'buffer');
  return digest.equals(leaf.digest) ? CLEAR : stop('digest', 'the signed message');
}

/** The shortest addresses worth hiding, `a@b.co` and `a@bc.co`, take 8 digits in base64; in hexadecimal 12. */
const TOKEN_DIGITS_MIN = 8;
const HEX_DIGITS_MIN = 12;

/**
 * In base64 an `@` (01000000) leaves a mark that depends only on where in a group of three bytes it stands. For a digit and the
 * next one: 1, 2 or 3 where it may begin at bit 0, 2 or 4 of the first; 0 where it cannot.
 */
function markOfAt(digit: number, next: number): number {
  if (digit === NO_DIGIT || next === NO_DIGIT) return 0;
  if (digit === 16) return next < 16 ? 1 : 0;
  if ((digit & 15) === 4 && next < 4) return 2;
  return (digit & 3) === 1 && next === 0 ? 3 : 0;
}

/** 1 to 3 for an at sign in base64, see `markOfAt`; then what ends in the second byte. */
const BASE64_MAX = 3;
const HEXADECIMAL = 4;
const PLAIN_AT = 5;
const CODED_AT_START = 6;
const TEXT_MARKS = marksOf((before, byte) => {
  if (byte === AT) return PLAIN_AT;
  if (CODED_MARKS.includes(byte)) return CODED_AT_START;
  if (before === 0x34 && byte === 0x30) return HEXADECIMAL;
  return markOfAt(SEXTET[before] as number, SEXTET[byte] as number);
});

/** Whether every address of a decoded text is known: plain, coded by reference or percent, full-width, in base64 or hexadecimal. */
function textIsClean(bytes: Buffer, start: number, end: number, known: readonly Known[]): boolean {
  for (let i = nextMark(TEXT_MARKS, bytes, start, end, 0); i < end; ) {
    const byte = bytes[i] as number;
    const before = i === start ? 0 : (bytes[i - 1] as number);
    const kind = TEXT_MARKS[(before << 8) | byte] as number;
    if (!markIsClean(bytes, start, end, i, kind, known)) return false;
    i = nextMark(TEXT_MARKS, bytes, i + 1, end, byte);
  }
  return true;
}

function markIsClean(
  bytes: Buffer,
  start: number,
  end: number,
  i: number,
  kind: number,
  known: readonly Known[],
): boolean {
  if (kind <= HEXADECIMAL) return tokenIsClean(bytes, start, end, i, kind, known);
  if (kind === PLAIN_AT) {
    if (insideKnown(bytes, end, i, known) === KNOWN) return true;
  } else if (!hidesAt(bytes, i)) return true;
  return knownOnceUndone(bytes, end, i, known, false);
}

/** Whether the mark whose second digit is at `at` shows no address of somebody else in the run of digits around it. */
function tokenIsClean(
  bytes: Buffer,
  start: number,
  end: number,
  at: number,
  kind: number,
  known: readonly Known[],
): boolean {
  let first = at - 1;
  while (first > start && isDigit(bytes, first - 1)) first--;
  let next = at + 1;
  while (next < end && isDigit(bytes, next)) next++;
  if (kind <= BASE64_MAX)
    return next - first < TOKEN_DIGITS_MIN || base64IsClean(bytes, first, next, at - kind, known);
  return next - first < HEX_DIGITS_MIN || hexIsClean(bytes, first, next, at - 1, known);
}

function isDigit(bytes: Buffer, at: number): boolean {
  return SEXTET[bytes[at] as number] !== NO_DIGIT;
}

const UTF8 = '[\\xc2-\\xf4][\\x80-\\xbf]{1,3}';
/** An address in bytes that may be noise: plain letters or UTF-8 around its `@`, and a top-level domain. */
const HIDDEN_ADDRESS = new RegExp(
  `(?:[a-z0-9_.+-]|${UTF8})@((?:[a-z0-9]|${UTF8})(?:[a-z0-9-]|${UTF8})*\\.)+(?:[a-z]{2}|${UTF8})`,
  'gi',
);

/** What the digits from `first` on say, whose groups of four begin there; `group` may lie before the run. */
function base64IsClean(
  bytes: Buffer,
  start: number,
  end: number,
  group: number,
  known: readonly Known[],
): boolean {
  const first = start + ((((group - start) % 4) + 4) % 4);
  const decoded = Buffer.from(bytes.toString('latin1', first, end), 'base64');
  // The digits of a path or a name may be glued to the token by the separators that are digits too.
  return hiddenIsClean(decoded, known, (at) => {
    const digit = first + Math.floor((at * 8) / 6);
    let from = digit;
    while (from > start && !isSeparator(bytes[from - 1])) from--;
    let to = digit;
    while (to < end && !isSeparator(bytes[to])) to++;
    return (from - first) % 4 === 0
      ? Buffer.from(bytes.toString('latin1', from, to), 'base64')
      : null;
  });
}

function isSeparator(byte: number | undefined): boolean {
  return byte === 0x2f || byte === 0x2d || byte === 0x5f || byte === 0x2b;
}

function hexIsClean(
  bytes: Buffer,
  start: number,
  end: number,
  at: number,
  known: readonly Known[],
): boolean {
  let first = at;
  while (first - 2 >= start && isHexPair(bytes, first - 2)) first -= 2;
  const decoded = Buffer.from(bytes.toString('latin1', first, end), 'hex');
  return decoded.length * 2 < HEX_DIGITS_MIN || hiddenIsClean(decoded, known, () => null);
}

function isHexPair(bytes: Buffer, at: number): boolean {
  return HEX[bytes[at] as number] !== NO_DIGIT && HEX[bytes[at + 1] as number] !== NO_DIGIT;
}

/** Every address in decoded digits is known, as it stands or in the narrower token around it. */
function hiddenIsClean(
  decoded: Buffer,
  known: readonly Known[],
  narrower: (at: number) => Buffer | null,
): boolean {
  for (const match of decoded.toString('latin1').matchAll(HIDDEN_ADDRESS)) {
    const at = match.index + match[0].indexOf('@');
    if (insideKnown(decoded, decoded.length, at, known) !== NOT_KNOWN) continue;
    const token = narrower(at);
    if (token === null || !everyHiddenIsKnown(token, known)) return false;
  }
  return true;
}

function everyHiddenIsKnown(token: Buffer, known: readonly Known[]): boolean {
  let count = 0;
  for (const match of token.toString('latin1').matchAll(HIDDEN_ADDRESS)) {
    const at = match.index + match[0].indexOf('@');
    if (insideKnown(token, token.length, at, known) === NOT_KNOWN) return false;
    count++;
  }
  return count > 0;
}

function encodedWords(value: string): string {
  return value
    .replace(/\?=\s+=\?/g, '?==?')
    .replace(/=\?[^?\s]+\?([BbQq])\?([^?]*)\?=/g, (_, kind: string, text: string) =>
      kind.toLowerCase() === 'b'
        ? Buffer.from(text, 'base64').toString('latin1')
        : undoQuotedPrintable(text.replaceAll('_', ' ')),
    );
}

let scratch = Buffer.allocUnsafe(64 * 1024);

/** Quoted-printable undone into `scratch` from `offset` on, which the next call reuses; gives where it ends. */
function undoIntoScratch(bytes: Buffer, start: number, end: number, offset: number): number {
  if (scratch.length < offset + end - start) scratch = Buffer.allocUnsafe(2 * (end - start));
  const out = scratch;
  let to = offset;
  for (let i = start; i < end; i++) {
    while (i < end && bytes[i] !== EQUALS) out[to++] = bytes[i++] as number;
    if (i >= end) break;
    const high = i + 2 < end ? (HEX[bytes[i + 1] as number] as number) : NO_DIGIT;
    const low = HEX[bytes[i + 2] as number] as number;
    if ((high | low) < 16) {
      out[to++] = (high << 4) | low;
      i += 2;
    } else {
      const broken = softBreakEnd(bytes, i + 1);
      if (broken < 0) out[to++] = EQUALS;
      else i = broken - 1;
    }
  }
  return to;
}

/** Behind the line break of a soft one whose `=` stands before `from`, padding included; -1 for none. */
function softBreakEnd(bytes: Buffer, from: number): number {
  let next = from;
  while (bytes[next] === SPACE || bytes[next] === TAB) next++;
  if (bytes[next] === CR && bytes[next + 1] === LF) return next + 2;
  return bytes[next] === LF ? next + 1 : -1;
}

interface Entity {
  readonly type: string;
  readonly encoding: string;
  readonly bodyStart: number;
}

/** The header block of an entity with its encoded words undone; null where somebody else is in it. */
function readEntity(
  message: Message,
  start: number,
  end: number,
  known: readonly Known[],
): Entity | null {
  const { bytes, text } = message;
  const header = headerEnd(message, start, end);
  const hasWords = text.slice(start, header).includes('=?');
  if (!hasWords && !textIsClean(bytes, start, header, known)) return null;
  let type = '';
  let encoding = '';
  for (let at = start; at < header; ) {
    const field = readField(message, at, header);
    if (field === null || (hasWords && !fieldIsClean(message, field, known))) return null;
    if (field.name === 'content-type') type = unfold(text.slice(field.value, field.end));
    else if (field.name === 'content-transfer-encoding')
      encoding = text.slice(field.value, field.end).trim().toLowerCase();
    at = field.end;
  }
  return { type, encoding, bodyStart: Math.min(end, header + 2) };
}

function fieldIsClean(message: Message, field: Field, known: readonly Known[]): boolean {
  const text = message.text.slice(field.start, field.end);
  if (!text.includes('=?')) return textIsClean(message.bytes, field.start, field.end, known);
  const undone = Buffer.from(encodedWords(unfold(text)), 'latin1');
  return textIsClean(undone, 0, undone.length, known);
}

function unfold(value: string): string {
  return value.includes('\r\n') ? value.replace(/\r\n[ \t]+/g, ' ') : value;
}

const DEPTH_MAX = 8;

/** One entity between two offsets: its header fields, then its parts or its decoded body. */
function partIsClean(
  message: Message,
  start: number,
  end: number,
  known: readonly Known[],
  depth: number,
): boolean {
  const entity = depth > DEPTH_MAX ? null : readEntity(message, start, end, known);
  if (entity === null) return false;
  const { bytes, text } = message;
  const { type, encoding, bodyStart } = entity;
  const boundary = /boundary\s*=\s*(?:"([^"]+)"|([^\s;]+))/i.exec(type);
  if (boundary !== null)
    return multipartIsClean(
      message,
      bodyStart,
      end,
      boundary[1] ?? boundary[2] ?? '',
      known,
      depth,
    );
  if (encoding === 'quoted-printable') {
    const length = undoIntoScratch(bytes, bodyStart, end, 0);
    return textIsClean(scratch, 0, length, known);
  }
  if (encoding === 'base64') {
    const body = Buffer.from(text.slice(bodyStart, end), 'base64');
    return textIsClean(body, 0, body.length, known);
  }
  if (/^message\//i.test(type.trim()))
    return partIsClean(message, bodyStart, end, known, depth + 1);
  return textIsClean(bytes, bodyStart, end, known);
}

function multipartIsClean(
  message: Message,
  start: number,
  end: number,
  boundary: string,
  known: readonly Known[],
  depth: number,
): boolean {
  const { bytes, text } = message;
  const mark = `--${boundary}`;
  let partAt = -1;
  for (let from = start; ; ) {
    let at = text.indexOf(mark, from);
    if (at < 0 || at >= end) at = end;
    else if (at > start && bytes[at - 1] !== LF) {
      from = at + 1;
      continue;
    }
    // Before the first mark and after the last stands text that some readers show.
    if (
      partAt < 0
        ? !textIsClean(bytes, start, at, known)
        : !partIsClean(message, partAt, at, known, depth + 1)
    )
      return false;
    if (at === end) return true;
    const lineEnd = text.indexOf('\n', at);
    partAt = lineEnd < 0 ? end : Math.min(end, lineEnd + 1);
    if (text.startsWith('--', at + mark.length)) return textIsClean(bytes, partAt, end, known);
    from = partAt;
  }
}

/**
 * The look at the end of prepare: decodes every part of the exact bytes. Its pass is bound into the leaf.
 * @param own our own values with an at sign: Message-ID and return path, exact.
 */
export function inspectPrepared(
  bytes: Buffer,
  reader: string,
  allowed: Allowed,
  own: readonly string[],
): LookResult {
  const known = knownValues(reader, allowed, own);
  const message = { bytes, text: bytes.toString('latin1') };
  const looked = lookAtBytes(message, known);
  if (looked.kind === 'stop') return looked;
  return partIsClean(message, 0, bytes.length, known, 0)
    ? CLEAR
    : stop('foreign-address', 'a decoded part');
}
