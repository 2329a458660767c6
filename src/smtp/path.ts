/**
 * The mailbox of MAIL and RCPT (RFC 5321 section 4.1.2, RFC 6531 section 3.3), read strictly.
 * Invariant: what is accepted is exactly one mailbox for every reader, quotes kept as sent. Refused, though some grammar allows it:
 * source routes, a local part without domain, and a quoted local part with characters that separate addresses once its
 * quotes are lost.
 */

import { isIPv4, isIPv6 } from 'node:net';

export type PathReading =
  | { readonly kind: 'path'; readonly address: string; readonly end: number }
  | { readonly kind: 'invalid'; readonly reason: string };

const ATOM = "[\\w!#$%&'*+/=?^`{|}~\\-\\u{80}-\\u{10ffff}]+";
const DOT_ATOM = new RegExp(`${ATOM}(?:\\.${ATOM})*`, 'uy');
const QUOTED = /"(?:[^"\\]|\\.)+"/uy;
const SEPARATOR_IN_QUOTES = /[@<>,;()]/;
const LABEL =
  '[A-Za-z0-9\\u{80}-\\u{10ffff}](?:[A-Za-z0-9\\-\\u{80}-\\u{10ffff}]*[A-Za-z0-9\\u{80}-\\u{10ffff}])?';
const DOMAIN = new RegExp(`${LABEL}(?:\\.${LABEL})*`, 'uy');
const LITERAL = /\[(?:IPv6:)?[0-9A-Fa-f:.]+\]/y;
const INVISIBLE = /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/u;
const SPECIAL = /[\s"(),.:;<>@[\\\]]/g;

const LOCAL_OCTETS_MAX = 64;
const ADDRESS_OCTETS_MAX = 254;

/**
 * Reads `<mailbox>` (or `<>` where `emptyAllowed`) beginning at `start`; `end` is the index after '>'.
 * The reason is a sentence without the address in it.
 */
export function readPath(text: string, start: number, emptyAllowed: boolean): PathReading {
  if (text[start] !== '<') return invalid('The address must stand in angle brackets.');
  if (text[start + 1] === '>')
    return emptyAllowed
      ? { kind: 'path', address: '', end: start + 2 }
      : invalid('The address is empty.');
  if (text[start + 1] === '@') return invalid('A source route is not accepted.');
  const localEnd = localPartEnd(text, start + 1);
  if (typeof localEnd === 'string') return invalid(localEnd);
  if (text[localEnd] !== '@')
    return invalid('The address must be one local part, @, and one domain.');
  const domainEnd = domainEndAt(text, localEnd + 1);
  if (domainEnd === 0 || text[domainEnd] !== '>') return invalid('The domain is not well-formed.');
  const address = text.slice(start + 1, domainEnd);
  const reason = reasonAgainst(address, text.slice(start + 1, localEnd));
  return reason === '' ? { kind: 'path', address, end: domainEnd + 1 } : invalid(reason);
}

/** Whether a text has a character outside ASCII. */
export function hasNonAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return true;
  return false;
}

/** Index after the local part, or the sentence that refuses it. */
function localPartEnd(text: string, from: number): number | string {
  if (text[from] !== '"') {
    const end = matchEnd(DOT_ATOM, text, from);
    return end === 0 ? 'The local part is not well-formed.' : end;
  }
  const end = matchEnd(QUOTED, text, from);
  if (end === 0) return 'The quoted local part is not well-formed.';
  return SEPARATOR_IN_QUOTES.test(text.slice(from, end))
    ? 'The quoted local part holds a character that others would read as the end of an address.'
    : end;
}

function domainEndAt(text: string, from: number): number {
  if (text[from] !== '[') return matchEnd(DOMAIN, text, from);
  const end = matchEnd(LITERAL, text, from);
  if (end === 0) return 0;
  const inside = text.slice(from + 1, end - 1);
  const good = inside.startsWith('IPv6:') ? isIPv6(inside.slice(5)) : isIPv4(inside);
  return good ? end : 0;
}

function reasonAgainst(address: string, localPart: string): string {
  const foreign = hasNonAscii(address);
  if (octets(localPart, foreign) > LOCAL_OCTETS_MAX) return 'The local part is too long.';
  if (octets(address, foreign) > ADDRESS_OCTETS_MAX) return 'The address is too long.';
  if (INVISIBLE.test(address))
    return 'The address holds a control, invisible or unassigned character.';
  // A full-width '＠' or '，' becomes a separator where a reader applies NFKC, as IDNA mapping does.
  if (foreign && specials(address.normalize('NFKC')) !== specials(address))
    return 'The address holds a character that others would read as a separator.';
  return '';
}

function octets(text: string, foreign: boolean): number {
  return foreign ? Buffer.byteLength(text) : text.length;
}

function specials(text: string): string {
  return (text.match(SPECIAL) ?? []).join('');
}

/** Index after the match of a sticky pattern at `from`; 0 where there is none. */
function matchEnd(pattern: RegExp, text: string, from: number): number {
  pattern.lastIndex = from;
  return pattern.test(text) ? pattern.lastIndex : 0;
}

function invalid(reason: string): PathReading {
  return { kind: 'invalid', reason };
}
