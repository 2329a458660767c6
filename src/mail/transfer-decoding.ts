/**
 * Undoes Content-Transfer-Encoding (RFC 2045 section 6), as leniently as mail clients do.
 *
 * Invariant: never throws, takes time linear in the input, and says where it had to be lenient.
 */
import { asBuffer } from './charset.ts';
import type { DefectId } from './message.ts';

export interface DecodedContent {
  readonly content: Uint8Array;
  /** What a decoder that is lenient in another way makes of the same bytes. */
  readonly others: readonly Uint8Array[];
  readonly defects: readonly DefectId[];
}

const NONE: readonly DefectId[] = [];
const NO_BYTES: readonly Uint8Array[] = [];
const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const EQUALS = 0x3d;
/** Value of a hexadecimal digit by its byte; 256 for every other byte. */
const HEX = new Uint16Array(256).fill(256);
/** Value of a base64 digit by its byte, both alphabets of RFC 4648; 255 for every other byte. */
const BASE64 = new Uint8Array(256).fill(255);
/** 1 for every byte of quoted-printable that stands for itself wherever it is. */
const PLAIN = new Uint8Array(256).fill(1);
PLAIN[EQUALS] = 0;
PLAIN[CR] = 0;
PLAIN[LF] = 0;
for (let digit = 0; digit < 16; digit++) {
  HEX[digit.toString(16).charCodeAt(0)] = digit;
  HEX[digit.toString(16).toUpperCase().charCodeAt(0)] = digit;
}
for (let digit = 0; digit < 64; digit++) {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  BASE64[letters.charCodeAt(digit)] = digit;
}
BASE64[0x2d] = 62;
BASE64[0x5f] = 63;

/** The mechanism a Content-Transfer-Encoding field names: lower case, comments and quotes gone. */
export function transferEncodingName(value: string): string {
  const comment = value.indexOf('(');
  const bare = comment === -1 ? value : value.slice(0, comment);
  return bare
    .slice(0, 64)
    .replace(/[\s"';]+/g, '')
    .toLowerCase();
}

/** Undoes the named encoding; an unknown one leaves the bytes as they are and is a defect. */
export function decodeTransfer(bytes: Uint8Array, encoding: string): DecodedContent {
  switch (encoding) {
    case '':
    case '7bit':
    case '8bit':
    case 'binary':
      return { content: bytes, others: NO_BYTES, defects: NONE };
    case 'quoted-printable':
      return decodeQuotedPrintable(bytes);
    case 'base64':
      return decodeBase64(bytes);
    default:
      return { content: bytes, others: NO_BYTES, defects: ['unknown-transfer-encoding'] };
  }
}

/**
 * RFC 2045 section 6.7. An `=` that begins neither an octet nor a soft line break is kept as it
 * is; white space before a line break is transport padding and goes.
 */
// biome-ignore lint/complexity/noExcessiveCognitiveComplexity: one loop over every byte of the body
export function decodeQuotedPrintable(bytes: Uint8Array): DecodedContent {
  const length = bytes.length;
  const output = Buffer.allocUnsafe(length);
  let to = 0;
  let from = 0;
  let malformed = false;
  while (from < length) {
    let byte = bytes[from] as number;
    // Most bytes stand for themselves: this inner loop takes 60 % of the time of one loop for all.
    while (PLAIN[byte] === 1) {
      output[to++] = byte;
      if (++from === length) break;
      byte = bytes[from] as number;
    }
    if (from === length) break;
    if (byte === EQUALS) {
      const octet = ((HEX[bytes[from + 1] ?? 0] ?? 256) << 4) | (HEX[bytes[from + 2] ?? 0] ?? 256);
      if (octet < 256) {
        output[to++] = octet;
        from += 3;
        continue;
      }
      const next = afterSoftBreak(bytes, from + 1);
      if (next !== -1) {
        from = next;
        continue;
      }
      malformed = true;
    } else {
      for (let blank = from - 1; blank >= 0 && isBlank(bytes[blank]); blank--) to--;
    }
    output[to++] = byte;
    from++;
  }
  const content = output.subarray(0, to);
  return {
    content,
    others: NO_BYTES,
    defects: malformed ? ['malformed-quoted-printable'] : NONE,
  };
}

/**
 * RFC 2045 section 6.8. Bytes outside the alphabet are skipped and a new quantum may follow
 * padding; the reading that stops at the first padding is among the others.
 */
export function decodeBase64(bytes: Uint8Array): DecodedContent {
  const text = asBuffer(bytes).toString('latin1');
  const digits = text.includes('\n') ? text.replace(/[\r\n]+/g, '') : text;
  if (digits.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(digits)) {
    return { content: Buffer.from(digits, 'base64'), others: NO_BYTES, defects: NONE };
  }
  return decodeLooseBase64(bytes);
}

function decodeLooseBase64(bytes: Uint8Array): DecodedContent {
  const output = Buffer.allocUnsafe(Math.ceil((bytes.length * 3) / 4) + 3);
  let to = 0;
  let bits = 0;
  let held = 0;
  let firstEnd = -1;
  for (const byte of bytes) {
    const digit = BASE64[byte] ?? 255;
    if (digit < 64) {
      bits = ((bits << 6) | digit) & 0xffffff;
      held += 6;
      if (held >= 8) {
        held -= 8;
        output[to++] = (bits >> held) & 0xff;
      }
    } else if (byte === EQUALS) {
      if (firstEnd === -1) firstEnd = to;
      held = 0;
    }
  }
  const content = output.subarray(0, to);
  const others = firstEnd === -1 || firstEnd === to ? NO_BYTES : [output.subarray(0, firstEnd)];
  return { content, others, defects: ['malformed-base64'] };
}

/** Where the text goes on after a soft line break whose `=` stands before `from`; -1 for none. */
function afterSoftBreak(bytes: Uint8Array, from: number): number {
  let index = from;
  while (isBlank(bytes[index])) index++;
  if (index >= bytes.length) return index;
  if (bytes[index] === LF) return index + 1;
  if (bytes[index] !== CR) return -1;
  return bytes[index + 1] === LF ? index + 2 : index + 1;
}

function isBlank(byte: number | undefined): boolean {
  return byte === SPACE || byte === TAB;
}
