/**
 * Finds e-mail addresses in any text, in every spelling that a reader or a machine would undo.
 *
 * Invariants: linear in the text; next to nothing where no marker of an @ is present; an address that stands in the text is
 * sighted even where several readings are possible, and then all of them are in the sighting.
 */

import { canonicalAddress } from './address.ts';
import {
  undoCharacterReferences,
  undoLookalikes,
  undoPercentCoding,
  undoQuotedPrintable,
  undoScriptEscapes,
} from './undo-coding.ts';
import { isWeakDomain, withoutFileEnding } from './unlikely-domain.ts';

export interface Sighting {
  /** The likeliest reading, as `canonicalAddress()` gives it; lower case where that knows no form. */
  readonly address: string;
  readonly start: number;
  readonly end: number;
  /**
   * Looks like an address but is more often something else (`logo@2x.png`, `pkg@1.2.3`, `root@host`): to count
   * only where somebody is known to have it.
   */
  readonly weak: boolean;
  /** Other readings of the same characters, longest first: `to=bob@x.test` may be all local part. */
  readonly readings: readonly string[];
  /** Addresses folded into the local part (VERP, SRS: `bounce+bob=x.test@…`): to count only where known. */
  readonly embedded: readonly string[];
}

const NONE: readonly never[] = [];

/** Every coding of @ has one of these in it. */
const MARKS = ['@', '40', '&', '\uFF20', '\uFE6B'];
/** The codings of @ that end in 40, without the 40. */
const BEFORE_40 = ['%', '=', '%25', '\\u00', '\\x'];
const QUOTE = 0x22;
const MARKER_START = /[@%&=\\\uFF20\uFE6B]/;
const SHORT_TEXT = 512;
const REFERENCE_TO_AT =
  /&(?:commat|#(?:0*(?:64|65312|65131)(?!\d)|[xX]0*(?:40|[fF]{2}20|[fF][eE]6[bB])(?![0-9a-fA-F])))/y;

/** Addresses in `text`, in order. */
export function findAddresses(text: string): readonly Sighting[] {
  // Short texts, header fields above all, mostly have none of the characters a marker begins with.
  if (text.length < SHORT_TEXT && !MARKER_START.test(text)) return NONE;
  const next = MARKS.map((mark) => text.indexOf(mark));
  let found: Sighting[] | null = null;
  let from = 0;
  for (;;) {
    const hit = nearest(text, next, from);
    if (hit === -1) return found ?? NONE;
    found ??= [];
    const start = runStart(text, hit, from);
    const end = runEnd(text, hit);
    readRun(text, start, end, found);
    from = end;
  }
}

/** The next coded @ at or after `from`; each mark's own next place is kept, so that all searches together stay linear. */
function nearest(text: string, next: number[], from: number): number {
  let best = -1;
  for (let index = 0; index < MARKS.length; index++) {
    const mark = MARKS[index] ?? '';
    let at = next[index] ?? -1;
    while (at !== -1 && (at < from || !isCodedAt(text, at, mark))) {
      at = text.indexOf(mark, Math.max(at + 1, from));
    }
    next[index] = at;
    if (at !== -1 && (best === -1 || at < best)) best = at;
  }
  return best;
}

function isCodedAt(text: string, at: number, mark: string): boolean {
  if (mark === '40') return BEFORE_40.some((before) => text.endsWith(before, at));
  if (mark !== '&') return true;
  REFERENCE_TO_AT.lastIndex = at;
  return REFERENCE_TO_AT.test(text);
}

/** What ends a run: white space of any kind, angle brackets and double quotes. */
function isRunBreak(code: number): boolean {
  if (code <= 0x20 || code === 0x3c || code === 0x3e || code === 0x22) return true;
  if (code < 0xa0) return code === 0x7f;
  return code === 0xa0 || code === 0x3000 || (code >= 0x2000 && code <= 0x200a) || code === 0x2028;
}

function runStart(text: string, hit: number, limit: number): number {
  let start = hit;
  while (start > limit && !isRunBreak(text.charCodeAt(start - 1))) start--;
  return start;
}

function runEnd(text: string, hit: number): number {
  let end = hit + 1;
  while (end < text.length && !isRunBreak(text.charCodeAt(end))) end++;
  return end;
}

/** One run, as it stands and with each coding undone. */
function readRun(text: string, start: number, end: number, found: Sighting[]): void {
  const run = text.slice(start, end);
  if (/^[^%&=\\\x80-\uffff]*$/.test(run)) {
    scanPlain(text, start, end, found, null);
    return;
  }
  const place = { start, end };
  const plain = undoLookalikes(undoScriptEscapes(undoCharacterReferences(run)));
  const before =
    text.charCodeAt(start - 1) === QUOTE || plain.includes('"@') ? beforeQuote(text, start) : '';
  const scanDecoded = (decoded: string): void => {
    const whole = before + decoded;
    scanPlain(whole, before.length, whole.length, found, place);
  };
  if (plain === run) scanPlain(text, start, end, found, null);
  else scanDecoded(plain);
  let decoded = plain;
  for (let times = 0; times < 2 && /%[0-9a-fA-F]{2}/.test(decoded); times++) {
    decoded = undoLookalikes(undoCharacterReferences(undoPercentCoding(decoded)));
    scanDecoded(decoded);
  }
  if (/=40[a-zA-Z\x80-\uffff[]/.test(plain))
    scanDecoded(undoLookalikes(undoQuotedPrintable(plain)));
}

/** Where a quoted local part with a space may have begun, before a coded @ (`"ann b"&#64;x.test`) or with its quotes coded as well. */
function beforeQuote(text: string, start: number): string {
  return undoCharacterReferences(text.slice(Math.max(0, start - 2 * QUOTED_LOCAL_MAX), start));
}

type Place = { readonly start: number; readonly end: number };

/** Every literal @ in text[start, end). A quoted local part may begin before `start`. */
function scanPlain(
  text: string,
  start: number,
  end: number,
  found: Sighting[],
  place: Place | null,
): void {
  let limit = start;
  for (let at = text.indexOf('@', start); at !== -1 && at < end; at = text.indexOf('@', at + 1)) {
    const domain = readDomain(text, at + 1);
    const local = readLocal(text, at, limit);
    if (domain === null || local.text === '') continue;
    const sighting = sightingOf(local, domain, place ?? { start: local.start, end: domain.end });
    if (sighting === null) continue;
    const spaced = spacedLocals(text, local, domain);
    if (spaced === NONE) found.push(sighting);
    else {
      const whole = spaced.map((each) => canonical(each, domain.text));
      found.push({ ...sighting, embedded: [...sighting.embedded, ...whole] });
    }
    // a@b.test@c.test: what stood as a domain is no local part again.
    if (!sighting.weak) limit = domain.end;
  }
}

interface Piece {
  readonly text: string;
  readonly start: number;
  readonly end: number;
  readonly quoted: boolean;
}

/** RFC 5322 atext, the dot, and (RFC 6532) everything beyond ASCII. */
const LOCAL = table("abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-/=?^_`{|}~.");
const WORD = table('abcdefghijklmnopqrstuvwxyz0123456789_+.-');
const LETTER_OR_DIGIT = /[\p{L}\p{N}]/u;
const DOMAIN = table('abcdefghijklmnopqrstuvwxyz0123456789-_.');

function table(characters: string): Uint8Array {
  const allowed = new Uint8Array(128);
  for (const character of characters + characters.toUpperCase())
    allowed[character.charCodeAt(0)] = 1;
  return allowed;
}

function inTable(allowed: Uint8Array, code: number): boolean {
  return code < 128 ? allowed[code] === 1 : !isRunBreak(code);
}

function readLocal(text: string, at: number, limit: number): Piece {
  if (text.charCodeAt(at - 1) === QUOTE) return readQuotedLocal(text, at);
  return unquotedLocal(text, at, limit);
}

/**
 * `ann b@x.test` and `<ann b c@x.test>`: programs that leave out the quotes of a local part with spaces mean all of it, and readers'
 * programs show it so. To count only where somebody is known to have that address.
 */
function spacedLocals(
  text: string,
  { text: local, start, quoted }: Piece,
  { end }: Piece,
): readonly string[] {
  if (quoted || text.charCodeAt(start - 1) !== 0x20) return NONE;
  const earliest = Math.max(0, start - QUOTED_LOCAL_MAX);
  const word = wordBefore(text, start - 1, earliest);
  if (word === '') return NONE;
  const spaced = [`${word} ${local}`];
  if (text.charCodeAt(end) === 0x3e) {
    const before = text.slice(earliest, start - 1);
    const whole = /<([^\s<>"@][^<>"@\r\n]*)$/.exec(before)?.[1];
    if (whole !== undefined && whole !== word) spaced.push(`${whole} ${local}`);
  }
  return spaced;
}

/** The word that ends here: what may be the first of a name. */
function wordBefore(text: string, end: number, earliest: number): string {
  let start = end;
  while (start > earliest && isWordCharacter(text, start - 1)) start--;
  return text.slice(start, end);
}

function isWordCharacter(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  if (code < 128) return WORD[code] === 1;
  return (code >= 0xd800 && code <= 0xdfff) || LETTER_OR_DIGIT.test(text.charAt(at));
}

function unquotedLocal(text: string, end: number, limit: number): Piece {
  let start = end;
  while (start > limit && inTable(LOCAL, text.charCodeAt(start - 1))) start--;
  return { text: text.slice(start, end), start, end, quoted: false };
}

/** RFC 5321 section 4.5.3.1.1 allows 64 octets; escapes double that. */
const QUOTED_LOCAL_MAX = 160;

function readQuotedLocal(text: string, at: number): Piece {
  const earliest = Math.max(0, at - QUOTED_LOCAL_MAX);
  let open = at - 2;
  while (open >= earliest && !(text[open] === '"' && text[open - 1] !== '\\')) open--;
  // A quote that nothing opens is a slip: what stands before it is all there is.
  if (open < earliest) return unquotedLocal(text, at - 1, earliest);
  const inner = text.slice(open + 1, at - 1).replace(/\\(.)/g, '$1');
  return {
    text: /[\r\n<>]/.test(inner) ? '' : inner,
    start: Math.max(open, 0),
    end: at,
    quoted: true,
  };
}

/** A domain that needs no trimming. */
const PLAIN_DOMAIN = /^[A-Za-z0-9]+(?:[.-][A-Za-z0-9]+)*$/;

function readDomain(text: string, from: number): Piece | null {
  if (text.charCodeAt(from) === 0x5b) return readDomainLiteral(text, from);
  let end = from;
  while (end < text.length && inTable(DOMAIN, text.charCodeAt(end))) end++;
  const run = text.slice(from, end);
  if (PLAIN_DOMAIN.test(run)) return { text: run, start: from, end, quoted: false };
  const domain = /[\x80-\uffff]/.test(run) ? trimForeignDomain(run) : run;
  const trimmed = domain.replace(/^[-_]+/, '').replace(/[-_.]{1,512}$/, '');
  if (trimmed === '' || trimmed.startsWith('.') || trimmed.includes('..'))
    return cutAtDots(trimmed, from);
  return { text: trimmed, start: from, end: from + trimmed.length, quoted: false };
}

function cutAtDots(domain: string, from: number): Piece | null {
  const text = domain.slice(0, Math.max(0, domain.indexOf('..')));
  return text === '' ? null : { text, start: from, end: from + text.length, quoted: false };
}

function readDomainLiteral(text: string, from: number): Piece | null {
  const literal = /^\[(?:IPv6:)?[0-9a-fA-F.:]{2,45}\]/.exec(text.slice(from, from + 60))?.[0];
  return literal === undefined
    ? null
    : { text: literal, start: from, end: from + literal.length, quoted: false };
}

/** Ends a domain where a sentence in a script without spaces goes on: `x@a.test。谢谢`, `x@a.test谢谢`, `x@a.test”`. */
function trimForeignDomain(run: string): string {
  const letters =
    /^(?:[\w.-]|[\p{L}\p{M}\p{N}\u3002\uFF0E\uFF61\u00B7\u30FB\u200C\u200D])*/u.exec(run)?.[0] ??
    '';
  const dotted = letters.replace(/[\uFF0E\uFF61]/g, '\u3002');
  const sentence = /^([\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,})[^\w.-]/.exec(dotted);
  if (sentence?.[1] !== undefined) return sentence[1];
  return dotted.replaceAll('\u3002', '.');
}

/** Characters that may stand in a local part but in running text, links and queries rather end what came before. */
const SEPARATOR = /[=/?&#!$*^`{|}~%;:]/;
const READINGS_MAX = 8;

function sightingOf(local: Piece, domain: Piece, place: Place): Sighting | null {
  const simple = local.quoted || /^[A-Za-z0-9_+][A-Za-z0-9._+-]*$/.test(local.text);
  const best = simple ? local.text : likeliestLocal(local.text);
  if (best === '') return null;
  const address = canonical(best, domain.text);
  const ofText = simple
    ? plusReading(local.text, domain.text)
    : otherReadings(local.text, best, domain.text);
  const inName = withoutFileEnding(domain.text);
  const readings = inName === null ? ofText : [...ofText, canonical(best, inName)];
  return {
    address,
    start: place.start,
    end: place.end,
    weak: isWeakDomain(domain.text) || (best !== local.text && /%[0-9a-fA-F]{2}/.test(local.text)),
    readings,
    embedded: /[=%]/.test(local.text) ? embeddedAddresses(local.text) : NONE,
  };
}

function plusReading(local: string, domain: string): readonly string[] {
  const plus = local.lastIndexOf('+');
  return plus > 0 && plus < local.length - 1 ? [canonical(local.slice(plus + 1), domain)] : NONE;
}

function canonical(local: string, domain: string): string {
  const text = `${local}@${domain}`;
  return (
    canonicalAddress(text) ??
    canonicalAddress(`"${local.replace(/["\\]/g, '\\$&')}"@${domain}`) ??
    text.normalize('NFC').toLowerCase()
  );
}

/** `email=alice` → alice; `请联系alice` → alice; `'alice` → alice; `o'brien` and `d'alice` stay. */
function likeliestLocal(long: string): string {
  let local = long;
  for (let index = local.length - 1; index >= 0; index--) {
    if (!SEPARATOR.test(local[index] ?? '')) continue;
    local = local.slice(index + 1);
    break;
  }
  if (/[\x80-\uffff]/.test(local)) local = sameScriptTail(local);
  return local.replace(/^['.-]+/, '');
}

/** The tail in one script family: Latin (with ASCII) or not; punctuation beyond ASCII ends it. */
function sameScriptTail(local: string): string {
  const word = /[\p{L}\p{M}\p{N}\x21-\x7e]*$/u.exec(local.slice(-256))?.[0] ?? '';
  const latin = /[\x21-\x7e\p{Script=Latin}\p{M}]+$/u.exec(word)?.[0] ?? '';
  return latin === '' ? word : latin;
}

/** Words that French, Italian and Catalan shorten before a vowel; not the O of O'Brien. */
const ELISION = /^(?:[cdjlmnstv]|gl|un|(?:jus|lors|puis)?qu|(?:[dns]|qu)?[aeu]ll)'(?=.)/i;

function otherReadings(long: string, best: string, domain: string): readonly string[] {
  const texts = new Set<string>([long]);
  if (ELISION.test(best)) texts.add(best.slice(best.indexOf("'") + 1));
  for (let index = 0; index < long.length && texts.size < READINGS_MAX; index++) {
    const character = long[index] ?? '';
    const boundary = SEPARATOR.test(character) || character === '+' || character > '\x7f';
    if (boundary && index + 1 < long.length) texts.add(long.slice(index + 1));
  }
  texts.delete(best);
  return [...texts].map((text) => canonical(text, domain));
}

/** VERP `list-bob=x.test@`, percent hack `bob%x.test@`, SRS `SRS0=hash=tt=x.test=bob@`. */
function embeddedAddresses(local: string): readonly string[] {
  const found = new Set<string>();
  const pieces = local.split(/%40|[=%]/i).slice(-6);
  for (let index = 0; index + 1 < pieces.length; index++) {
    const left = pieces[index] ?? '';
    const right = pieces[index + 1] ?? '';
    if (right.includes('.')) addEmbedded(found, left, right);
    if (left.includes('.')) addEmbedded(found, right, left);
  }
  return [...found];
}

function addEmbedded(found: Set<string>, name: string, domainText: string): void {
  const domains = [domainText, domainText.replace(/[-+_].*$/, '')];
  const names = [name, ...cutsAfter(name)];
  for (const domain of new Set(domains)) {
    for (const local of names) {
      const address = canonicalAddress(`${local}@${domain}`);
      if (address !== null) found.add(address);
    }
  }
}

function cutsAfter(name: string): readonly string[] {
  const cuts: string[] = [];
  for (let index = name.length - 2; index >= 0 && cuts.length < READINGS_MAX; index--) {
    if (/[-+_./]/.test(name[index] ?? '')) cuts.push(name.slice(index + 1));
  }
  return cuts;
}
