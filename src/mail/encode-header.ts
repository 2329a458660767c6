/**
 * Header fields we write (RFC 5322 section 2.2, RFC 2047, RFC 6532).
 *
 * Invariant: no value given here can end its field early or start another one; CR, LF and NUL are
 * refused. Lines are folded at 76 bytes; only an address, which cannot be folded, may exceed that.
 */
import { Fault } from '../base/errors.ts';

/** How a header may be written. */
export interface HeaderEncoding {
  /** Raw UTF-8 instead of encoded words (RFC 6532), for a message to an SMTPUTF8 recipient. */
  readonly utf8?: boolean;
}

const LINE_COLUMNS = 76;
/** RFC 2047 section 2: an encoded word has at most 75 characters. */
const WORD_COLUMNS = 75;
/** RFC 5322 section 2.1.1. */
const LINE_BYTES_MAX = 998;
const WORD_START_B = '=?UTF-8?B?';
const WORD_START_Q = '=?UTF-8?Q?';
const WORD_END = '?=';

const FORBIDDEN = /[\0\r\n]/;
const NON_ASCII = /\P{ASCII}/u;
/** Controls but tab, and Unicode's line ends: some readers break a line there. */
const CONTROL = /(?!\t)[\p{Cc}\u2028\u2029]/u;
const OUTER_SPACE = /^[ \t]|[ \t]$/;
/** Would be taken for an encoded word by a reader. */
const WORD_LIKE = /=\?/;
/** Allowed as they are in an encoded word anywhere, phrases included (RFC 2047 section 5, rule 3). */
const Q_PLAIN = /^[A-Za-z0-9!*+\-/]$/;
/** Words of RFC 5322 atoms with single spaces between; non-ASCII counts as RFC 6532 says. */
const ATOMS =
  /^[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~\u0080-\u{10ffff}]+(?: [A-Za-z0-9!#$%&'*+\-/=?^_`{|}~\u0080-\u{10ffff}]+)*$/u;
/** An addr-spec's outer form: a quoted or bare local part, one `@`, a domain or a literal. */
const ADDR_SPEC =
  /^(?:"(?:[^"\\]|\\.)*"|[^\s()<>[\]:;@\\,"]+)@(?:[^\s()<>[\]:;@\\,"]+|\[[\x21-\x5a\x5e-\x7e]+\])$/u;
const FIELD_NAME = /^[\x21-\x39\x3b-\x7e]+$/;

/**
 * Encodes unstructured text, such as a subject.
 *
 * ASCII text stays as it is, folded before white space. Text that is not ASCII, has control
 * characters or outer white space, looks like an encoded word, or cannot be folded becomes encoded
 * words, Base64 or Q whichever is shorter, which never divide a character.
 *
 * @param firstColumn where the value starts on its line: the length of `Name: `
 * @throws Fault `header-text-forbidden` for CR, LF or NUL; `text-malformed` for a lone surrogate
 */
export function encodeHeaderText(
  value: string,
  firstColumn: number,
  encoding: HeaderEncoding = {},
): string {
  refuseForbidden(value);
  if (needsWords(value, encoding)) return encodeWords(value, firstColumn);
  return foldAtSpaces(value, firstColumn) ?? encodeWords(value, firstColumn);
}

/**
 * Encodes one mailbox for From, To or Reply-To: `phrase <address>`, or the address alone where the
 * display name is empty. The phrase is written as atoms, as a quoted string or as encoded words.
 *
 * @param address one addr-spec in the form in which it is delivered; ASCII unless `utf8` is set
 * @throws Fault `header-address-malformed`, or as {@link encodeHeaderText}
 */
export function encodeMailbox(
  displayName: string,
  address: string,
  firstColumn: number,
  encoding: HeaderEncoding = {},
): string {
  checkAddress(address, encoding);
  if (displayName === '') return address;
  refuseForbidden(displayName);
  const phrase = encodePhrase(displayName, firstColumn, encoding);
  const column = lastColumn(phrase, firstColumn);
  const bracketed = `<${address}>`;
  const fits = column + 1 + Buffer.byteLength(bracketed) <= LINE_COLUMNS;
  return `${phrase}${fits ? ' ' : '\r\n '}${bracketed}`;
}

/**
 * One finished header field: `Name: value\r\n`.
 *
 * @param encodedValue already encoded and folded: each CRLF in it is followed by white space and
 *   by something that is not
 * @throws Fault `header-name-malformed` or `header-value-malformed`
 */
export function headerField(
  name: string,
  encodedValue: string,
  encoding: HeaderEncoding = {},
): string {
  if (!FIELD_NAME.test(name)) {
    throw new Fault(
      'header-name-malformed',
      'A header field name is empty or has a character it may not have',
      {
        remedy: 'Use letters, digits and hyphens only',
      },
    );
  }
  const field = `${name}: ${encodedValue}\r\n`;
  const problem = fieldProblem(field, encodedValue, encoding);
  if (problem !== null) {
    throw new Fault('header-value-malformed', problem, {
      where: `header ${name}`,
      remedy: 'Encode the value with encodeHeaderText or encodeMailbox first',
    });
  }
  return field;
}

function fieldProblem(field: string, value: string, encoding: HeaderEncoding): string | null {
  if (/\0|\r(?!\n)|(?<!\r)\n/.test(value)) return 'The value has a bare CR or LF, or a NUL';
  if (/\r\n(?![ \t]+[^ \t\r])/.test(value))
    return 'The value has a line break that does not fold it';
  if (encoding.utf8 !== true && NON_ASCII.test(value)) return 'The value is not ASCII';
  if (!value.isWellFormed()) return 'The value holds half of a surrogate pair';
  const tooLong = field.split('\r\n').some((line) => Buffer.byteLength(line) > LINE_BYTES_MAX);
  return tooLong ? `The value has a line of more than ${LINE_BYTES_MAX} bytes` : null;
}

function refuseForbidden(value: string): void {
  if (FORBIDDEN.test(value)) {
    throw new Fault('header-text-forbidden', 'A header value holds a line break or a NUL', {
      remedy: 'Remove it from the value or from the template',
    });
  }
  if (!value.isWellFormed()) {
    throw new Fault('text-malformed', 'A header value holds half of a surrogate pair', {
      remedy: 'Give text that is valid Unicode',
    });
  }
}

function checkAddress(address: string, encoding: HeaderEncoding): void {
  const control = address.includes('\t') || CONTROL.test(address);
  const form = ADDR_SPEC.test(address) && address.isWellFormed() && !control;
  if (!form) {
    throw new Fault('header-address-malformed', 'The address is not a single addr-spec', {
      remedy: 'Give one address, without display name, brackets or comment',
    });
  }
  if (encoding.utf8 !== true && NON_ASCII.test(address)) {
    throw new Fault('header-address-malformed', 'The address is not ASCII', {
      remedy: 'Write the domain as an A-label, or the message with utf8 for an SMTPUTF8 recipient',
    });
  }
}

function needsWords(value: string, encoding: HeaderEncoding): boolean {
  if (CONTROL.test(value) || OUTER_SPACE.test(value) || WORD_LIKE.test(value)) return true;
  return encoding.utf8 !== true && NON_ASCII.test(value);
}

function encodePhrase(name: string, firstColumn: number, encoding: HeaderEncoding): string {
  if (!needsWords(name, encoding)) {
    if (ATOMS.test(name)) return foldAtSpaces(name, firstColumn) ?? encodeWords(name, firstColumn);
    const quoted = `"${name.replace(/["\\]/g, '\\$&')}"`;
    if (firstColumn + Buffer.byteLength(quoted) <= LINE_COLUMNS) return quoted;
  }
  return encodeWords(name, firstColumn);
}

/** The column after the last byte of a folded value. */
function lastColumn(value: string, firstColumn: number): number {
  const fold = value.lastIndexOf('\r\n');
  return fold < 0
    ? firstColumn + Buffer.byteLength(value)
    : Buffer.byteLength(value.slice(fold + 2));
}

/** Folds before white space so that no line exceeds 76 bytes; null where a word is too long. */
function foldAtSpaces(value: string, firstColumn: number): string | null {
  let folded = '';
  let column = firstColumn;
  // Each piece is one word with the white space before it, which the fold keeps.
  for (const piece of value.match(/[ \t]*[^ \t]+/g) ?? []) {
    const width = Buffer.byteLength(piece);
    if (column + width > LINE_COLUMNS) {
      if (folded === '' || width > LINE_COLUMNS) return null;
      folded += '\r\n';
      column = 0;
    }
    folded += piece;
    column += width;
  }
  return folded;
}

/** Encoded words of whole characters, a line each (RFC 2047 sections 2 and 5). */
function encodeWords(value: string, firstColumn: number): string {
  const characters = [...value];
  const qWidth = characters.reduce((sum, character) => sum + qCharacter(character).length, 0);
  const bWidth = Math.ceil(Buffer.byteLength(value) / 3) * 4;
  const useQ = qWidth <= bWidth;
  // A line of its own for the first word where not even one character would fit beside the name.
  const startFolded = firstColumn + WORD_START_Q.length + 12 + WORD_END.length > LINE_COLUMNS;
  const words: string[] = [];
  let pending = '';
  let room = Math.min(WORD_COLUMNS, LINE_COLUMNS - (startFolded ? 1 : firstColumn));
  let width = 0;
  for (const character of characters) {
    const size = useQ ? qCharacter(character).length : Buffer.byteLength(character);
    const next = useQ ? width + size : Math.ceil((width + size) / 3) * 4;
    if (next > room - WORD_START_Q.length - WORD_END.length) {
      words.push(encodedWord(pending, useQ));
      pending = '';
      width = 0;
      room = WORD_COLUMNS;
    }
    pending += character;
    width += size;
  }
  if (pending !== '') words.push(encodedWord(pending, useQ));
  return (startFolded ? '\r\n ' : '') + words.join('\r\n ');
}

function encodedWord(text: string, useQ: boolean): string {
  return useQ
    ? `${WORD_START_Q}${[...text].map(qCharacter).join('')}${WORD_END}`
    : `${WORD_START_B}${Buffer.from(text, 'utf8').toString('base64')}${WORD_END}`;
}

function qCharacter(character: string): string {
  if (character === ' ') return '_';
  if (Q_PLAIN.test(character)) return character;
  return Buffer.from(character, 'utf8').toString('hex').toUpperCase().replace(/../g, '=$&');
}
