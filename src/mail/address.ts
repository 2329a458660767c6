/**
 * One mail address: read strictly, compared, delivered to (RFC 5321 section 4.1.2, RFC 6531).
 *
 * Invariant: an address that was accepted here holds no line break, NUL, control character, space
 * outside quotes or second `@` outside quotes, so it can stand in an SMTP command as it is.
 */
import { domainToASCII } from 'node:url';
import { copyOf } from './kept.ts';

export interface Address {
  /** Unquoted and unescaped, otherwise as given. */
  readonly localPart: string;
  /** As given. */
  readonly domain: string;
  /** The addr-spec as given, in NFC, without outer space. */
  readonly text: string;
}

export type AddressReading =
  | { readonly kind: 'address'; readonly address: Address }
  /** The reason is a sentence without the address in it. */
  | { readonly kind: 'invalid'; readonly reason: string };

/** The version of `canonicalAddress`; stored beside every index made from its results. */
export const CANONICAL_VERSION = 1;

export interface DeliveryForm {
  readonly text: string;
  /** Whether a next hop needs SMTPUTF8 to take it. */
  readonly needsSmtpUtf8: boolean;
}

// RFC 5321 sections 4.5.3.1.1 to 4.5.3.1.3: octets; a path of 256 with its angle brackets.
const LOCAL_PART_OCTETS_MAX = 64;
const DOMAIN_OCTETS_MAX = 255;
const ADDRESS_OCTETS_MAX = 254;
const LABEL_OCTETS_MAX = 63;

/** What nearly every address looks like; its length is checked before, so it may backtrack. */
const PLAIN =
  /^[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*@[a-z0-9]+(?:-+[a-z0-9]+)*(?:\.[a-z0-9]+(?:-+[a-z0-9]+)*)*\.[a-z]{2,63}$/i;
const ATOM = /^[\w!#$%&'*+/=?^`{|}~\-\u0080-\u{10ffff}]+$/u;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;
/** Invisible characters, except the joiners that Persian and Indic names need (RFC 5892). */
const INVISIBLE = /(?! )[\p{Cf}\p{Zs}\p{Co}\ufff0-\uffff]/u;
const JOINERS = /[\u200c\u200d]/g;
const NOT_ASCII = /[\u0080-\uffff]/;
const HOST_LABEL = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/;
const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/;

const MORE_THAN_AN_ADDRESS: readonly (readonly [mark: RegExp, reason: string])[] = [
  [/[<>]/, 'It has angle brackets; give the bare address.'],
  [/[,;]/, 'It looks like a list; give one address.'],
  [/[()]/, 'It has a comment in parentheses; give the bare address.'],
  [/ /, 'There is a space in it.'],
];

/**
 * Reads exactly one addr-spec: a Mailbox of RFC 5321 with the characters of RFC 6531.
 *
 * A list, group, display name, source route or comment is not one, and neither is anything with a
 * control character, or longer than RFC 5321 section 4.5.3.1 allows.
 */
export function parseAddress(text: string): AddressReading {
  const given = trimBlanks(NOT_ASCII.test(text) ? text.normalize('NFC') : text);
  if (given.length <= ADDRESS_OCTETS_MAX && PLAIN.test(given)) return readPlain(given);
  const reason = reasonAgainstText(given);
  if (reason !== '') return { kind: 'invalid', reason };
  return given.startsWith('"') ? readQuoted(given) : readDotAtom(given);
}

/**
 * The form in which two addresses are compared; null where the text is no address.
 *
 * NFC, the domain as lower-case A-labels, the local part unquoted and case-folded; no plus or dot
 * folding. It is wider than `parseAddress` by what mail systems carry all the same: stray dots in
 * the local part, an underscore in the domain, a dot at its end. For comparison only.
 */
export function canonicalAddress(text: string): string | null {
  const before = canonicalForms.get(text);
  if (before !== undefined) return before;
  if (text.length > ADDRESS_OCTETS_MAX) return readCanonical(text);
  const own = copyOf(text);
  const canonical = readCanonical(own);
  if (canonicalForms.size >= FORMS_KEPT_MAX) canonicalForms.clear();
  canonicalForms.set(own, canonical);
  return canonical;
}

/** One message asks for the form of its few addresses some twenty times: a quarter of the time of its inspection. */
const FORMS_KEPT_MAX = 256;
const canonicalForms = new Map<string, string | null>();

function readCanonical(text: string): string | null {
  const reading = parseAddress(text);
  if (reading.kind === 'address') {
    const { localPart, domain } = reading.address;
    const canonical = canonicalDomain(domain);
    return canonical === '' ? null : `${foldCase(localPart)}@${canonical}`;
  }
  return canonicalOfStray(text);
}

/**
 * The address as it goes into RCPT TO. With an ASCII local part the domain becomes A-labels and no
 * extension is needed; otherwise it stays as given and needs SMTPUTF8 (RFC 6531).
 */
export function deliveryForm(address: Address): DeliveryForm {
  const local = address.text.slice(0, address.text.length - address.domain.length - 1);
  if (NOT_ASCII.test(local)) return { text: address.text, needsSmtpUtf8: true };
  if (!NOT_ASCII.test(address.domain)) return { text: address.text, needsSmtpUtf8: false };
  return { text: `${local}@${domainToASCII(address.domain)}`, needsSmtpUtf8: false };
}

function readPlain(text: string): AddressReading {
  const at = text.indexOf('@');
  const address = { localPart: text.slice(0, at), domain: text.slice(at + 1), text };
  // PLAIN has seen to everything but lengths and A-labels, and nothing short has a long label.
  const isShort = at <= LOCAL_PART_OCTETS_MAX && address.domain.length <= LABEL_OCTETS_MAX;
  if (isShort && !/xn--/i.test(address.domain)) return { kind: 'address', address };
  return checked(address);
}

function readDotAtom(text: string): AddressReading {
  const at = text.indexOf('@');
  const localPart = text.slice(0, at);
  if (at === 0) return invalid('Nothing stands before the @.');
  if (text.indexOf('@', at + 1) !== -1) return invalid('There is more than one @.');
  for (const atom of localPart.split('.')) {
    if (atom === '') {
      return invalid(
        'The part before the @ has a dot at an end or two in a row; put it in quotes.',
      );
    }
    if (!ATOM.test(atom)) {
      return invalid('The part before the @ has a character that must stand in quotes.');
    }
  }
  return checked({ localPart, domain: text.slice(at + 1), text });
}

function readQuoted(text: string): AddressReading {
  let localPart = '';
  let index = 1;
  for (; index < text.length && text[index] !== '"'; index++) {
    if (text[index] === '\\') index++;
    localPart += text[index] ?? '';
  }
  if (text[index] !== '"') return invalid('The quoted part before the @ is not closed.');
  if (text[index + 1] !== '@') return invalid('The quoted part is not followed by an @.');
  return checked({ localPart, domain: text.slice(index + 2), text });
}

function checked(address: Address): AddressReading {
  const { localPart, domain, text } = address;
  if (octets(localPart) > LOCAL_PART_OCTETS_MAX) {
    return invalid(`The part before the @ is longer than ${LOCAL_PART_OCTETS_MAX} octets.`);
  }
  const reason = reasonAgainstDomain(domain);
  if (reason !== '') return invalid(reason);
  if (octets(text) > ADDRESS_OCTETS_MAX) {
    return invalid(`The address is longer than ${ADDRESS_OCTETS_MAX} octets.`);
  }
  return { kind: 'address', address };
}

function reasonAgainstText(text: string): string {
  if (text === '') return 'The address is empty.';
  if (text.length > 4 * ADDRESS_OCTETS_MAX) {
    return `The address is longer than ${ADDRESS_OCTETS_MAX} octets.`;
  }
  if (CONTROL.test(text)) return 'There is a line break or another control character in it.';
  if (!text.isWellFormed()) return 'It is not well-formed Unicode.';
  if (NOT_ASCII.test(text) && INVISIBLE.test(text.replace(JOINERS, ''))) {
    return 'There is an invisible character in it.';
  }
  if (!text.includes('@')) {
    if (/[\uff20\ufe6b]/.test(text)) return 'The @ is a full-width one; write a plain @.';
    return 'There is no @ in it.';
  }
  const bare = text.startsWith('"') ? text.slice(text.lastIndexOf('"') + 1) : text;
  return MORE_THAN_AN_ADDRESS.find(([mark]) => mark.test(bare))?.[1] ?? '';
}

function reasonAgainstDomain(domain: string): string {
  if (domain === '') return 'Nothing stands after the @.';
  if (domain.startsWith('[')) {
    return isAddressLiteral(domain) ? '' : 'The address in square brackets is no IP address.';
  }
  if (/[^A-Za-z0-9.\-\u0080-\uffff]/.test(domain)) {
    return 'The domain has a character that no domain name has.';
  }
  const ascii = NOT_ASCII.test(domain) || /xn--/i.test(domain) ? domainToASCII(domain) : domain;
  if (ascii === '') return 'The domain is no valid internationalised domain name.';
  if (ascii.length > DOMAIN_OCTETS_MAX) return 'The domain is too long.';
  return reasonAgainstLabels(ascii.toLowerCase().split('.'));
}

function reasonAgainstLabels(labels: readonly string[]): string {
  for (const label of labels) {
    if (label === '') return 'The domain has a dot at an end or two in a row.';
    if (label.length > LABEL_OCTETS_MAX) return 'A part of the domain is longer than 63 octets.';
    if (!HOST_LABEL.test(label)) return 'A part of the domain begins or ends with a hyphen.';
  }
  if (/^\d+$/.test(labels.at(-1) ?? '')) return 'The domain ends in a number.';
  return '';
}

/** RFC 5321 section 4.1.3, the two kinds in use. */
function isAddressLiteral(domain: string): boolean {
  if (!domain.endsWith(']')) return false;
  const inside = domain.slice(1, -1);
  if (!/^ipv6:/i.test(inside)) return IPV4.test(inside);
  return /^[0-9a-f:.]+$/i.test(inside.slice(5)) && URL.canParse(`http://[${inside.slice(5)}]/`);
}

/** The domain for comparison: lower-case A-labels without a dot at the end; '' where it is none. */
function canonicalDomain(domain: string): string {
  if (domain.startsWith('[')) return domain.toLowerCase();
  const ascii = NOT_ASCII.test(domain) || /xn--/i.test(domain) ? domainToASCII(domain) : domain;
  const lower = ascii.toLowerCase();
  return lower.endsWith('.') ? lower.slice(0, -1) : lower;
}

/** Reads what `parseAddress` refuses but some mail system carries; null for all else. */
function canonicalOfStray(text: string): string | null {
  if (text.length > 4 * ADDRESS_OCTETS_MAX) return null;
  const given = trimBlanks(text.normalize('NFC'));
  const at = given.lastIndexOf('@');
  if (at < 1) return null;
  const domain = given.slice(at + 1);
  if (!/^[\w\-\u0080-\uffff]+(?:[.\u3002\uff0e\uff61][\w\-\u0080-\uffff]+)*\.?$/.test(domain)) {
    return null;
  }
  if (CONTROL.test(given) || INVISIBLE.test(given) || !given.isWellFormed()) return null;
  const local = given.slice(0, at);
  if (!local.split('.').every((atom) => atom === '' || ATOM.test(atom))) return null;
  const canonical = canonicalDomain(domain);
  return canonical === '' ? null : `${foldCase(local)}@${canonical}`;
}

/**
 * Unicode's full case folding, which JavaScript does not offer: character by character, so that
 * the final sigma has no special place, and through upper case, so that ß equals ss. The dotless ı
 * folds to itself there and must not become an i.
 */
function foldCase(text: string): string {
  if (!NOT_ASCII.test(text)) return text.toLowerCase();
  let folded = '';
  for (const character of text) {
    if (character === '\u0131') folded += character;
    // ẞ, alone of all letters, is its own upper case and has ß as its lower one.
    else if (character === '\u1e9e') folded += 'ss';
    else for (const upper of character.toUpperCase()) folded += upper.toLowerCase();
  }
  return folded.normalize('NFC');
}

function octets(text: string): number {
  return NOT_ASCII.test(text) ? Buffer.byteLength(text) : text.length;
}

/** Spaces and tabs only: a line break at an end is a reason to refuse, not to tidy. */
function trimBlanks(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return start === 0 && end === text.length ? text : text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

function invalid(reason: string): AddressReading {
  return { kind: 'invalid', reason };
}
