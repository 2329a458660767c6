/**
 * Opens ZIP files (PKWARE APPNOTE 6.3) as far as they can be read in one way only: by their central directory, with
 * nothing between its files that a program looking for file headers would find beside it.
 */

import { type Budget, inflated } from './inflate.ts';

export interface ZipFile {
  readonly name: string;
  /** null: encrypted, broken, beyond the budget, or packed in a way that is not read here. */
  readonly content: Buffer | null;
}

export interface ZipReading {
  readonly files: readonly ZipFile[];
  /** Whether every file was read, and nothing else is in the archive. */
  readonly whole: boolean;
}

const FILE_HEADER = Buffer.from('PK\x03\x04', 'latin1');
const DIRECTORY_HEADER = 0x02014b50;
const DIRECTORY_END = Buffer.from('PK\x05\x06', 'latin1');
const BROKEN: ZipReading = { files: [], whole: false };

export function readZip(bytes: Buffer, budget: Budget): ZipReading {
  const end = bytes.lastIndexOf(DIRECTORY_END);
  if (end === -1 || end + 22 > bytes.length) return BROKEN;
  const count = bytes.readUInt16LE(end + 10);
  const files: ZipFile[] = [];
  let whole = true;
  let covered = 0;
  let at = bytes.readUInt32LE(end + 16);
  const places: Place[] = [];
  for (let index = 0; index < count; index++) {
    const place = directoryEntry(bytes, at);
    if (place === null || budget.files-- <= 0) return { files, whole: false };
    at = place.next;
    places.push(place);
    if (place.name.endsWith('/') && place.size === 0) continue;
    const content = contentAt(bytes, place, budget);
    if (content === null) whole = false;
    files.push({ name: place.name, content });
  }
  places.sort((one, other) => one.offset - other.offset);
  for (const { offset, size } of places) {
    const next = bytes.subarray(covered, offset).indexOf(FILE_HEADER);
    if (next !== -1) whole = false;
    covered = Math.max(covered, offset + 30 + size);
  }
  return { files, whole };
}

interface Place {
  readonly name: string;
  readonly encrypted: boolean;
  readonly method: number;
  /** Of the packed content. */
  readonly size: number;
  /** What the directory says of the content's size; nothing holds it to it. */
  readonly expected: number;
  readonly offset: number;
  readonly next: number;
}

function directoryEntry(bytes: Buffer, at: number): Place | null {
  if (at + 46 > bytes.length || bytes.readUInt32LE(at) !== DIRECTORY_HEADER) return null;
  const flags = bytes.readUInt16LE(at + 8);
  const nameEnd = at + 46 + bytes.readUInt16LE(at + 28);
  return {
    name: bytes.toString((flags & 0x800) === 0 ? 'latin1' : 'utf8', at + 46, nameEnd),
    encrypted: (flags & 0x2041) !== 0,
    method: bytes.readUInt16LE(at + 10),
    size: bytes.readUInt32LE(at + 20),
    expected: bytes.readUInt32LE(at + 24),
    offset: bytes.readUInt32LE(at + 42),
    next: nameEnd + bytes.readUInt16LE(at + 30) + bytes.readUInt16LE(at + 32),
  };
}

function contentAt(bytes: Buffer, place: Place, budget: Budget): Buffer | null {
  const { offset, size, method } = place;
  if (place.encrypted || offset + 30 > bytes.length) return null;
  if (bytes.indexOf(FILE_HEADER, offset) !== offset) return null;
  const start = offset + 30 + bytes.readUInt16LE(offset + 26) + bytes.readUInt16LE(offset + 28);
  if (start + size > bytes.length) return null;
  const packed = bytes.subarray(start, start + size);
  if (method === 8) return inflated(packed, place.expected, budget);
  if (method !== 0 || size > budget.bytes) return null;
  budget.bytes -= size;
  return packed;
}
