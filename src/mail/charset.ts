/**
 * Bytes to text, by the charset they claim (RFC 2046 section 4.1.2), with the built-in decoder.
 *
 * Invariant: nothing is dropped. Where the claim is missing, unknown or does not fit the bytes, or
 * a client that ignores it would show something else, the other readings stand beside the first.
 */
import { isAscii, isUtf8 } from 'node:buffer';
import { TextDecoder } from 'node:util';
import type { DefectId } from './message.ts';

export interface TextReadings {
  /** The claimed charset's reading first; at least one. */
  readonly texts: readonly string[];
  readonly defects: readonly DefectId[];
}

const NONE: readonly DefectId[] = [];
/** Names seen in mail that the WHATWG list of labels does not have. */
const ALIASES: Readonly<Record<string, string>> = {
  utf_8: 'utf-8',
  utf8mb4: 'utf-8',
  'utf-8mb4': 'utf-8',
  ascii7: 'us-ascii',
  '7bit': 'us-ascii',
  cp932: 'shift_jis',
  'windows-932': 'shift_jis',
  cp936: 'gbk',
  'windows-936': 'gbk',
  'gb18030-2000': 'gb18030',
  'x-gb2312': 'gbk',
  cp949: 'euc-kr',
  'windows-949': 'euc-kr',
  cp950: 'big5',
  'windows-950': 'big5',
  ms950: 'big5',
  'iso-2022-jp-1': 'iso-2022-jp',
  'iso-2022-jp-2': 'iso-2022-jp',
  'iso-2022-jp-ms': 'iso-2022-jp',
  cp50220: 'iso-2022-jp',
  eucjp: 'euc-jp',
  'x-euc-jp-ms': 'euc-jp',
  euckr: 'euc-kr',
  'unicode-1-1-utf-7': 'utf-7',
  utf7: 'utf-7',
  'x-utf-7': 'utf-7',
  unicode: 'utf-16le',
};
/** Charsets in which an ASCII byte need not be that ASCII character. */
const NOT_ASCII_BASED = new Set(['utf-16le', 'utf-16be', 'iso-2022-jp', 'utf-7']);
const decoders = new Map<string, TextDecoder | null>();

/** Reads bytes as text in the given charset ('' where none is claimed), and in others that fit. */
export function readText(bytes: Uint8Array, charset: string): TextReadings {
  const buffer = asBuffer(bytes);
  const ascii = isAscii(bytes);
  if (ascii && (charset === '' || charset === 'utf-8' || charset === 'us-ascii')) {
    return { texts: [buffer.toString('latin1')], defects: NONE };
  }
  const name = cleanName(charset);
  if (name === 'utf-8' && isUtf8(bytes)) return { texts: [utf8Text(buffer)], defects: NONE };
  if (name === '' || name === 'us-ascii') {
    const defects: readonly DefectId[] = ascii ? NONE : ['malformed-charset'];
    return { texts: unclaimedReadings(buffer), defects };
  }
  if (name === 'utf-7') {
    return {
      texts: distinct([utf7Text(buffer.toString('latin1')), ...unclaimedReadings(buffer)]),
      defects: ['unknown-charset'],
    };
  }
  return readClaimed(buffer, name, ascii);
}

/** One best text for the bytes of an encoded word or parameter, and whether the charset fits. */
export function decodeCharset(bytes: Uint8Array, charset: string): TextReadings {
  return readText(bytes, charset === '' ? 'utf-8' : charset);
}

/** The bytes of the same memory as a Buffer, for its native methods. */
export function asBuffer(bytes: Uint8Array): Buffer {
  if (Buffer.isBuffer(bytes)) return bytes;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function readClaimed(buffer: Buffer, name: string, ascii: boolean): TextReadings {
  const decoder = decoderFor(name);
  if (decoder === null) {
    return { texts: unclaimedReadings(buffer), defects: ['unknown-charset'] };
  }
  if (ascii && !NOT_ASCII_BASED.has(decoder.encoding)) {
    return { texts: [buffer.toString('latin1')], defects: NONE };
  }
  const others = isUtf8(buffer) ? [utf8Text(buffer)] : [];
  if (NOT_ASCII_BASED.has(decoder.encoding)) others.push(buffer.toString('latin1'));
  // RFC 2781 section 4.3: UTF-16 without a byte order mark is big-endian; WHATWG says little.
  if (name === 'utf-16') others.push(decoderFor('utf-16be')?.decode(buffer) ?? '');
  const text = decoder.decode(buffer);
  if (!text.includes('\ufffd')) return { texts: distinct([text, ...others]), defects: NONE };
  return {
    texts: distinct([text, ...others, windows1252(buffer)]),
    defects: ['malformed-charset'],
  };
}

/** What clients make of bytes of no known charset: UTF-8 if it is that, and Western European. */
function unclaimedReadings(buffer: Buffer): readonly string[] {
  if (isAscii(buffer)) return [buffer.toString('latin1')];
  return isUtf8(buffer) ? [utf8Text(buffer), windows1252(buffer)] : [windows1252(buffer)];
}

function utf8Text(buffer: Buffer): string {
  const marked = buffer[0] === 0xef && buffer[1] === 0xbb && buffer[2] === 0xbf;
  return marked ? buffer.toString('utf8', 3) : buffer.toString('utf8');
}

function windows1252(buffer: Buffer): string {
  return decoderFor('windows-1252')?.decode(buffer) ?? buffer.toString('latin1');
}

function decoderFor(name: string): TextDecoder | null {
  const known = decoders.get(name);
  if (known !== undefined) return known;
  let decoder: TextDecoder | null = null;
  try {
    decoder = new TextDecoder(name);
  } catch {
    // The constructor's RangeError is its way to say that it does not know the name.
  }
  // Hostile mail must not fill the memory with names.
  if (decoders.size < 300) decoders.set(name, decoder);
  return decoder;
}

function cleanName(charset: string): string {
  const star = charset.indexOf('*');
  const name = (star === -1 ? charset : charset.slice(0, star))
    .slice(0, 64)
    .replace(/[\s"'<>]+/g, '')
    .toLowerCase();
  return ALIASES[name] ?? (name === 'utf8' ? 'utf-8' : name);
}

/** RFC 2152, leniently: a shift that is not closed ends with the first other character. */
function utf7Text(text: string): string {
  return text.replace(/\+([A-Za-z0-9+/]*)-?/g, (_whole, shifted: string) => {
    if (shifted === '') return '+';
    const bytes = Buffer.from(shifted, 'base64');
    const units = bytes.subarray(0, bytes.length - (bytes.length % 2));
    return units.swap16().toString('utf16le');
  });
}

function distinct(texts: readonly string[]): readonly string[] {
  return [...new Set(texts)];
}
