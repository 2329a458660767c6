/**
 * Quoted-printable for bodies we write (RFC 2045 section 6.7).
 *
 * Invariant: the result may stand at the start of any line and be followed by a soft line break.
 * It is 7-bit, no line of it is longer than 75 bytes (76 with the soft break's `=`), and none
 * starts with `.` or `From `, so SMTP never stuffs a dot and an mbox never quotes a line: the bytes
 * that were hashed are the bytes that travel.
 */
import { Fault } from '../base/errors.ts';

const CONTENT_COLUMNS = 75;
const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const DOT = 0x2e;
const EQUALS = 0x3d;
const UPPER_F = 0x46;
const TILDE = 0x7e;
const HEX = Buffer.from('0123456789ABCDEF', 'latin1');
/** One line that needs no change: most slots are a name, a number or a date. */
const PLAIN_LINE = /^(?!\.|From )[\x20-\x3c\x3e-\x7e]{0,74}[\x21-\x3c\x3e-\x7e]$/;

/**
 * Encodes text as quoted-printable UTF-8.
 *
 * CRLF and LF are line breaks and become CRLF; a CR that stands alone is a control character and
 * is encoded like the others. A character is never divided between two lines. White space at the
 * end of a line is encoded. The text is taken to start at column 0, whatever stands before it.
 *
 * @throws Fault `text-malformed` for a lone surrogate, which UTF-8 cannot hold.
 */
export function encodeQuotedPrintable(text: string): string {
  if (text === '' || PLAIN_LINE.test(text)) return text;
  if (!text.isWellFormed()) {
    throw new Fault('text-malformed', 'The text holds half of a surrogate pair', {
      remedy: 'Give text that is valid Unicode',
    });
  }
  const input = Buffer.from(text, 'utf8');
  // Three bytes for each, and three for a soft break after 64 columns at the least.
  const output = Buffer.allocUnsafe(input.length * 3 + Math.ceil(input.length / 16) * 3 + 3);
  return output.toString('latin1', 0, encodeInto(output, input));
}

function encodeInto(output: Buffer, input: Buffer): number {
  let length = 0;
  let column = 0;
  let index = 0;
  while (index < input.length) {
    const broken = lineBreakLength(input, index);
    if (broken > 0) {
      length = putBreak(output, length);
      column = 0;
      index += broken;
      continue;
    }
    const bytes = characterLength(input[index] ?? 0);
    const literal = standsAsItIs(input, index, column);
    const width = literal ? 1 : bytes * 3;
    if (column + width > CONTENT_COLUMNS) {
      output[length] = EQUALS;
      length = putBreak(output, length + 1);
      column = 0;
      continue;
    }
    if (literal) output[length++] = input[index] ?? 0;
    else length = putEncoded(output, length, input, index, bytes);
    column += width;
    index += bytes;
  }
  return length;
}

/** 1 for LF, 2 for CRLF, 0 where no line ends. */
function lineBreakLength(input: Buffer, index: number): number {
  const byte = input[index];
  if (byte === LF) return 1;
  return byte === CR && input[index + 1] === LF ? 2 : 0;
}

/** The length in bytes of the UTF-8 sequence this byte starts. */
function characterLength(first: number): number {
  if (first < 0xc0) return 1;
  if (first < 0xe0) return 2;
  return first < 0xf0 ? 3 : 4;
}

function standsAsItIs(input: Buffer, index: number, column: number): boolean {
  const byte = input[index] ?? 0;
  if (byte === SPACE || byte === TAB) {
    return index + 1 < input.length && lineBreakLength(input, index + 1) === 0;
  }
  if (byte < SPACE || byte > TILDE || byte === EQUALS) return false;
  if (column > 0) return true;
  return byte !== DOT && !(byte === UPPER_F && startsWithFrom(input, index));
}

function startsWithFrom(input: Buffer, index: number): boolean {
  return input.toString('latin1', index, index + 5) === 'From ';
}

function putBreak(output: Buffer, length: number): number {
  output[length] = CR;
  output[length + 1] = LF;
  return length + 2;
}

function putEncoded(
  output: Buffer,
  start: number,
  input: Buffer,
  index: number,
  bytes: number,
): number {
  let length = start;
  for (let offset = 0; offset < bytes; offset++) {
    const byte = input[index + offset] ?? 0;
    output[length] = EQUALS;
    output[length + 1] = HEX[byte >> 4] ?? 0;
    output[length + 2] = HEX[byte & 15] ?? 0;
    length += 3;
  }
  return length;
}
