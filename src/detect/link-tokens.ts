/** Opaque tokens in the links of a message, each with its slot: the link's shape without its tokens. */

import type { ParsedMessage, Part } from '../mail/message.ts';

/** Slot to the one token this message has in it; a slot with several is left out. */
export type LinkTokens = ReadonlyMap<string, string>;

const LINK = /https?:\/\/[^\s"'<>()\\]{8,2000}/g;
const LINKS_MAX = 500;
/** RFC 2369: where leaving is asked for by mail, the token stands in the address or in the subject. */
const MAIL_LINK = /<mailto:([^\s<>"@]{1,256})@([^\s<>"@]{1,500})/gi;
const LINK_FIELDS = new Set(['list-unsubscribe', 'list-archive', 'list-help']);
/** Of pages for everybody: files, and what web analysis adds. */
const FILE = /\.(?:png|jpe?g|gif|svg|webp|css|js|woff2?|ico)$/i;
const WORDS = /^[a-z]+(?:[-_.][a-z0-9]+)+$/i;
const DIGIT = 1;
const UPPER = 2;
const LOWER = 3;
const OTHER = 4;
/** By code unit; 0 for what no token holds. */
const KINDS = Uint8Array.from({ length: 128 }, (_, unit) => {
  const character = String.fromCharCode(unit);
  if (/\d/.test(character)) return DIGIT;
  if (/[A-Z]/.test(character)) return UPPER;
  if (/[a-z]/.test(character)) return LOWER;
  return /[_.~%=+-]/.test(character) ? OTHER : 0;
});
const TOKEN_MIN = 16;
const QUERY = /[?#]/;
const NUMBERS = /\/\d+(?=\/|$)/g;
const FOR_EVERYBODY = /^(?:utm_|mc_cid$|campaign|cid$|lang$|v$)/i;

export function linkTokens(message: ParsedMessage): LinkTokens {
  const slots = new Map<string, string | null>();
  const waiting: Part[] = [message.root];
  for (let part = waiting.pop(); part !== undefined; part = waiting.pop()) {
    const text = part.texts[0];
    if (text !== undefined && part.disposition !== 'attachment') readLinks(text, slots);
    waiting.push(...part.children);
  }
  for (const { lower, value } of message.headers) {
    if (!LINK_FIELDS.has(lower)) continue;
    readLinks(value, slots);
    for (const [, local = '', rest = ''] of value.matchAll(MAIL_LINK))
      readLink(`mailto:/${local}/${rest}`, slots);
  }
  const tokens = new Map<string, string>();
  for (const [slot, token] of slots) if (token !== null) tokens.set(slot, token);
  return tokens;
}

function readLinks(text: string, slots: Map<string, string | null>): void {
  if (!text.includes('http')) return;
  let count = 0;
  for (const [link] of text.matchAll(LINK)) {
    if (count++ === LINKS_MAX) return;
    readLink(link.includes('&amp;') ? link.replaceAll('&amp;', '&') : link, slots);
  }
}

function readLink(link: string, slots: Map<string, string | null>): void {
  const [address = '', ...queries] = link.includes('#') ? link.split(QUERY) : link.split('?');
  const segments = address.split('/');
  let shapes: readonly string[] | null = null;
  const noteAt = (place: string, token: string): void => {
    shapes ??= shapesOf(segments);
    for (const shape of shapes) note(slots, `${shape}${place}`, token);
  };
  for (const [index, segment] of segments.entries()) {
    if (isOpaque(segment)) noteAt(` ${index}`, segment);
  }
  for (const query of queries) {
    for (const pair of query.split('&')) {
      if (pair.length < TOKEN_MIN) continue;
      const [name = '', value = ''] = pair.split('=', 2);
      if (isOpaque(value) && !FOR_EVERYBODY.test(name)) noteAt(`?${name}`, value);
    }
  }
}

/** As it is, and without the numbers in it: that of an order or a customer is another in each reader's link, as the token is. */
function shapesOf(segments: readonly string[]): readonly string[] {
  const shape = segments.map((segment) => (isOpaque(segment) ? '*' : segment)).join('/');
  const numberless = shape.replace(NUMBERS, '/#');
  return numberless === shape ? [shape] : [shape, numberless];
}

function note(slots: Map<string, string | null>, slot: string, token: string): void {
  const before = slots.get(slot);
  slots.set(slot, before === undefined || before === token ? token : null);
}

/**
 * 16 characters or more that no person would read: not words joined by hyphens, not a file. By code units: most links are words,
 * and regular expressions take five times as long to say so.
 */
function isOpaque(text: string): boolean {
  if (text.length < TOKEN_MIN) return false;
  let digits = 0;
  let humps = 0;
  let before = 0;
  for (let i = 0; i < text.length; i++) {
    const kind = KINDS[text.charCodeAt(i)] ?? 0;
    if (kind === 0) return false;
    if (kind === DIGIT) digits++;
    if (kind === UPPER && before === LOWER) humps++;
    before = kind;
  }
  if (digits < 2 && humps < 3) return false;
  return !FILE.test(text) && (digits >= 4 || !WORDS.test(text));
}
