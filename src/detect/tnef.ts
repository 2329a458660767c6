/**
 * TNEF (winmail.dat, [MS-OXTNEF]): the recipient table, the text and the files inside.
 * Linear; what does not parse to its end is not whole.
 */

import { rtfText, uncompressedRtf } from './rtf.ts';

export interface TnefReading {
  /** The recipient table and the display lists of To, Cc and Bcc. */
  readonly recipients: string;
  /** Message identifiers, which look like addresses. */
  readonly identifiers: string;
  /** Every other text. */
  readonly texts: string;
  readonly files: readonly Buffer[];
  /** Values that are neither text nor file; entry ids among them, which hold addresses. */
  readonly binaries: readonly Buffer[];
  readonly whole: boolean;
}

const SIGNATURE = 0x223e9f78;
const RECIPIENT_TABLE = 0x9004;
const MESSAGE_PROPERTIES = 0x9003;
const ATTACHMENT_PROPERTIES = 0x9005;
const ATTACHMENT_DATA = 0x800f;
const RTF_COMPRESSED = 0x1009;
const ATTACH_DATA = 0x3701;
/** PR_HTML, in the message's own charset. */
const HTML = 0x1013;
/** PR_DISPLAY_BCC, PR_DISPLAY_CC, PR_DISPLAY_TO. */
const DISPLAY_LISTS = new Set([0x0e02, 0x0e03, 0x0e04]);

export function isTnef(bytes: Buffer): boolean {
  return bytes.length > 6 && bytes.readUInt32LE(0) === SIGNATURE;
}

/** PR_INTERNET_MESSAGE_ID, PR_INTERNET_REFERENCES, PR_IN_REPLY_TO_ID, PR_TNEF_CORRELATION_KEY. */
const IDENTIFIERS = new Set([0x1035, 0x1039, 0x1042, 0x007f]);

interface Gathered {
  readonly recipients: string[];
  readonly identifiers: string[];
  readonly texts: string[];
  readonly files: Buffer[];
  readonly binaries: Buffer[];
}

export function readTnef(bytes: Buffer): TnefReading {
  const gathered: Gathered = {
    recipients: [],
    identifiers: [],
    texts: [],
    files: [],
    binaries: [],
  };
  let whole = true;
  try {
    let at = 6;
    while (at < bytes.length) {
      const attribute = bytes.readUInt16LE(at + 1);
      const start = at + 9;
      const end = start + bytes.readUInt32LE(at + 5);
      if (end + 2 > bytes.length) throw new RangeError('cut off');
      readAttribute(attribute, bytes.subarray(start, end), gathered);
      at = end + 2;
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    whole = false;
  }
  return {
    recipients: gathered.recipients.join('\n'),
    identifiers: gathered.identifiers.join('\n'),
    texts: gathered.texts.join('\n'),
    files: gathered.files,
    binaries: gathered.binaries,
    whole,
  };
}

function readAttribute(attribute: number, data: Buffer, gathered: Gathered): void {
  if (attribute === ATTACHMENT_DATA) gathered.files.push(data);
  else if (attribute === RECIPIENT_TABLE) {
    const rows = data.readUInt32LE(0);
    let at = 4;
    for (let row = 0; row < rows; row++) {
      at = readProperties(data, at, ({ text, bytes }) => {
        gathered.recipients.push(text ?? bothReadings(bytes));
      });
    }
  } else if (attribute === MESSAGE_PROPERTIES || attribute === ATTACHMENT_PROPERTIES) {
    readProperties(data, 0, (value) => take(value, gathered));
  } else gathered.texts.push(data.toString('latin1').replaceAll('\0', '\n'));
}

function take({ id, text, bytes }: Value, gathered: Gathered): void {
  if (text !== null) placeOf(id, gathered).push(text);
  else if (id === RTF_COMPRESSED) gathered.texts.push(rtfText(uncompressedRtf(bytes)));
  // An embedded message or OLE object stands behind the identifier of its interface.
  else if (id === ATTACH_DATA)
    gathered.files.push(bytes.subarray(isTnef(bytes.subarray(16)) ? 16 : 0));
  else if (id === HTML) gathered.texts.push(bytes.toString('latin1'));
  else if (IDENTIFIERS.has(id)) gathered.identifiers.push(bytes.toString('latin1'));
  else gathered.binaries.push(bytes);
}

/** A row's entry id, in one byte or two for each character ([MS-OXCDATA] section 2.2.5.1). */
function bothReadings(bytes: Buffer): string {
  const [narrow, wide] = [bytes.toString('latin1'), bytes.toString('utf16le')];
  return `${narrow}\n${wide}`.replaceAll('\0', '\n');
}

function placeOf(id: number, gathered: Gathered): string[] {
  if (DISPLAY_LISTS.has(id)) return gathered.recipients;
  return IDENTIFIERS.has(id) ? gathered.identifiers : gathered.texts;
}

interface Value {
  readonly id: number;
  readonly text: string | null;
  readonly bytes: Buffer;
}

/** Bytes of a value of fixed size; what is left out is counted and has its length before it. */
const SIZE_OF: Readonly<Record<number, number>> = {
  2: 4,
  3: 4,
  4: 4,
  5: 8,
  6: 8,
  7: 8,
  10: 4,
  11: 4,
  20: 8,
  64: 8,
  72: 16,
};
const STRING_8 = 0x1e;
const UNICODE = 0x1f;
const VARIABLE = new Set([STRING_8, UNICODE, 0x0d, 0x102]);

/** A MAPI property list; gives where it ends. @throws RangeError where it goes beyond the data or is none. */
function readProperties(data: Buffer, from: number, found: (value: Value) => void): number {
  const count = data.readUInt32LE(from);
  let at = from + 4;
  for (let index = 0; index < count; index++) {
    const type = data.readUInt16LE(at);
    const id = data.readUInt16LE(at + 2);
    at = id >= 0x8000 ? afterName(data, at + 4) : at + 4;
    at = readValues(data, at, type, (bytes, kind) =>
      found({ id, text: textOf(bytes, kind), bytes }),
    );
  }
  return at;
}

function afterName(data: Buffer, at: number): number {
  if (data.readUInt32LE(at + 16) === 0) return at + 24;
  return at + 24 + padded(data.readUInt32LE(at + 20));
}

function readValues(
  data: Buffer,
  from: number,
  type: number,
  found: (bytes: Buffer, kind: number) => void,
): number {
  const kind = type & 0xfff;
  const variable = VARIABLE.has(kind);
  const size = SIZE_OF[kind];
  if (!variable && size === undefined) throw new RangeError('unknown type of a property');
  let at = from;
  let values = 1;
  if (variable || (type & 0x1000) !== 0) {
    values = data.readUInt32LE(at);
    at += 4;
  }
  if (!variable) at += values * (size ?? 0);
  for (let index = 0; variable && index < values; index++) {
    const length = data.readUInt32LE(at);
    if (at + 4 + length > data.length) throw new RangeError('cut off');
    found(data.subarray(at + 4, at + 4 + length), kind);
    at += 4 + padded(length);
  }
  if (at > data.length + 3) throw new RangeError('cut off');
  return at;
}

function textOf(bytes: Buffer, kind: number): string | null {
  if (kind === UNICODE) return bytes.toString('utf16le').replaceAll('\0', '');
  return kind === STRING_8 ? bytes.toString('latin1').replaceAll('\0', '') : null;
}

function padded(length: number): number {
  return (length + 3) & ~3;
}
