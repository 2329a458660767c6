/**
 * Every address that stands anywhere in a text, however it is wrapped.
 *
 * Invariant: time linear in the text, and more rather than fewer: where it is open how far an
 * address goes, each answer is in the result.
 */

const AT = 0x40;
const WIDE_AT = 0xff20;
const SMALL_AT = 0xfe6b;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** How far back the opening quote of a quoted local part is looked for. */
const QUOTED_LENGTH_MAX = 320;
const LITERAL_LENGTH_MAX = 64;
const LOCAL_PART = 1;
const DOMAIN = 2;
/** What an ASCII character may be part of: atext and the dot; letters, digits, hyphen and dot. */
const KIND = new Uint8Array(128);
for (const character of "!#$%&'*+-/=?^_`{|}~.") KIND[character.charCodeAt(0)] = LOCAL_PART;
for (let code = 0; code < 128; code++) {
  if (/[A-Za-z0-9._-]/.test(String.fromCharCode(code))) KIND[code] = LOCAL_PART | DOMAIN;
}
/** Beyond ASCII what separates words is known by its Unicode category. */
const SEPARATOR = /[\p{P}\p{Z}\p{C}\p{Sm}]/u;
/** The dots of RFC 3490 section 3.1. */
const WIDE_DOTS = new Set([0x3002, 0xff0e, 0xff61]);
const INVISIBLE = /\p{Cf}|\p{Variation_Selector}/gu;
const NOT_ASCII = /[\u0080-\uffff]/;
const BEGINS_ODDLY = /^[^A-Za-z0-9\u0080-\uffff]+/;
/** A letter that belongs to the ASCII letter beside it; those of other scripts may be other words. */
const LATIN = /[\p{Script=Latin}\p{M}]/u;
/** Marks that are atext and that writers put on both sides of an address. */
const PAIRED = new Set(["'", '*', '_', '`', '|', '~']);
const LIKE_A_HOST = /\.[a-z]{2,63}$/i;

/**
 * Adds every address in `text` to `found`: as it stands, and without invisible characters.
 * An address that is among the `known` ones is whole, and no part of it is another.
 */
export function scanAddresses(text: string, found: Set<string>, known: ReadonlySet<string>): void {
  if (!NOT_ASCII.test(text)) {
    scanOnce(text, found, known);
    return;
  }
  const composed = text.normalize('NFC');
  scanOnce(composed, found, known);
  const visible = composed.replace(INVISIBLE, '');
  if (visible.length !== composed.length) scanOnce(visible, found, known);
}

function scanOnce(text: string, found: Set<string>, known: ReadonlySet<string>): void {
  const wide = NOT_ASCII.test(text);
  for (let at = nextAt(text, 0, wide); at !== -1; at = nextAt(text, at + 1, wide)) {
    const domains = readDomains(text, at + 1);
    if (domains.length === 0) continue;
    const localParts = withoutPair(
      readLocalParts(text, at),
      text[at + 1 + (domains[0] ?? '').length],
    );
    const whole = `${localParts[0]}@${domains[0]}`;
    if (localParts.length > 0 && known.has(whole)) {
      found.add(whole);
      continue;
    }
    for (const localPart of localParts) {
      for (const domain of domains) found.add(`${localPart}@${domain}`);
    }
  }
}

function nextAt(text: string, from: number, wide: boolean): number {
  if (!wide) return text.indexOf('@', from);
  for (let index = from; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code === AT || code === WIDE_AT || code === SMALL_AT) return index;
  }
  return -1;
}

/** The domain after an @: all that may belong to it, and its ASCII beginning where that differs. */
function readDomains(text: string, start: number): readonly string[] {
  if (text[start] === '[') {
    const close = text.slice(start, start + LITERAL_LENGTH_MAX).indexOf(']');
    return close > 1 ? [text.slice(start, start + close + 1)] : [];
  }
  let end = start;
  let asciiEnd = -1;
  while (end < text.length && isDomainPart(text, end)) {
    if (asciiEnd === -1 && text.charCodeAt(end) > 0x7f) asciiEnd = end;
    end++;
  }
  const whole = withoutEndDots(text.slice(start, end));
  if (asciiEnd === -1 || asciiEnd === start) return whole === '' ? [] : [whole];
  const ascii = withoutEndDots(text.slice(start, asciiEnd));
  const isHost = LIKE_A_HOST.test(ascii.slice(-70)) && !LATIN.test(text.charAt(asciiEnd));
  return ascii !== whole && isHost ? [whole, ascii] : [whole];
}

/** The local part before an @: quoted, or all that may belong to it and its plainer ends. */
function readLocalParts(text: string, at: number): readonly string[] {
  if (text.charCodeAt(at - 1) === QUOTE) {
    const open = openingQuote(text, at - 1);
    return open === -1 ? [] : [text.slice(open, at)];
  }
  let start = at;
  let asciiStart = -1;
  while (start > 0 && isLocalPart(text.charCodeAt(start - 1))) {
    start--;
    if (asciiStart === -1 && text.charCodeAt(start) > 0x7f) asciiStart = start + 1;
  }
  if (start === at) return [];
  const whole = text.slice(start, at);
  // Quotation marks, bullets and dots around an address are atext too: 'a@x.test', *a@x.test*.
  const plain = whole.replace(BEGINS_ODDLY, '');
  const parts = plain === '' ? [whole] : plain === whole ? [whole] : [whole, plain];
  const isWord = asciiStart > start && !LATIN.test(text.charAt(asciiStart - 1));
  if (isWord && asciiStart < at) parts.push(text.slice(asciiStart, at));
  return parts;
}

/** Drops the reading that keeps an opening mark whose closing one follows the domain. */
function withoutPair(parts: readonly string[], after: string | undefined): readonly string[] {
  const [whole, plain] = parts;
  if (plain === undefined || after === undefined || !PAIRED.has(after)) return parts;
  return whole?.startsWith(after) ? parts.slice(1) : parts;
}

function openingQuote(text: string, closing: number): number {
  const last = Math.max(0, closing - QUOTED_LENGTH_MAX);
  for (let index = closing - 1; index >= last; index--) {
    if (text.charCodeAt(index) !== QUOTE) continue;
    let escapes = 0;
    while (text.charCodeAt(index - 1 - escapes) === BACKSLASH && escapes < QUOTED_LENGTH_MAX)
      escapes++;
    if (escapes % 2 === 0) return index;
  }
  return -1;
}

function isLocalPart(code: number): boolean {
  if (code < 0x80) return ((KIND[code] ?? 0) & LOCAL_PART) !== 0;
  return isWordBeyondAscii(code);
}

function isDomainPart(text: string, index: number): boolean {
  const code = text.charCodeAt(index);
  if (code < 0x80) return ((KIND[code] ?? 0) & DOMAIN) !== 0;
  return isWordBeyondAscii(code) || WIDE_DOTS.has(code);
}

function isWordBeyondAscii(code: number): boolean {
  if (code >= 0xd800 && code <= 0xdfff) return true;
  return code !== WIDE_AT && code !== SMALL_AT && !SEPARATOR.test(String.fromCharCode(code));
}

function withoutEndDots(domain: string): string {
  let end = domain.length;
  let start = 0;
  while (end > 0 && isDotOrHyphen(domain.charCodeAt(end - 1))) end--;
  while (start < end && isDotOrHyphen(domain.charCodeAt(start))) start++;
  return start === 0 && end === domain.length ? domain : domain.slice(start, end);
}

function isDotOrHyphen(code: number): boolean {
  return code === 0x2e || code === 0x2d || WIDE_DOTS.has(code);
}
