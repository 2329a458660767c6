/** The plain text of files that are no text to MIME, and addresses in the raw bytes of those that are no text at all. */

import { findAddresses, type Sighting } from '../mail/sightings.ts';

const NONE: readonly Sighting[] = [];
/** In binary content a shorter address may be chance: one per 2 TB at this length. */
const LENGTH_IN_BINARY_MIN = 9;
const AT = 0x40;

/** UTF-16 with its mark, else UTF-8; null where the bytes are no text. */
export function fileText(bytes: Buffer): string | null {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return bytes.toString('utf16le', 2);
  if (bytes[0] === 0xfe && bytes[1] === 0xff) {
    const even = Buffer.from(bytes.subarray(2, bytes.length - (bytes.length % 2)));
    return even.swap16().toString('utf16le');
  }
  return isText(bytes) ? bytes.toString('utf8') : null;
}

/** UTF-8 or another superset of ASCII, without NUL and with few control characters. */
function isText(bytes: Buffer): boolean {
  const sample = bytes.subarray(0, 4096);
  let controls = 0;
  for (const byte of sample) {
    if (byte === 0) return false;
    if (byte < 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d && byte !== 0x0c) controls++;
  }
  return controls * 50 <= sample.length;
}

/** Addresses in bytes that are no text, in one byte or two for each character. */
export function binaryAddresses(bytes: Buffer): readonly Sighting[] {
  if (!bytes.includes(AT)) return NONE;
  const found = [...addressesIn(bytes.toString('latin1'))];
  const wide = bytes.indexOf('@\0', 0, 'latin1');
  if (wide !== -1) {
    const aligned = bytes.subarray(wide % 2);
    const even = aligned.subarray(0, aligned.length - (aligned.length % 2));
    found.push(...addressesIn(even.toString('utf16le')));
  }
  return found;
}

const CUT = '\x01';

/** What begins behind a byte beyond ASCII may be the end of a longer address: it counts only where it is known. */
function addressesIn(binary: string): readonly Sighting[] {
  const text = binary.replace(/[^\x20-\x7e]+/g, (run) => (/[\x80-\uffff]$/.test(run) ? CUT : ' '));
  return findAddresses(text)
    .filter(({ weak, start, end }) => !weak && end - start >= LENGTH_IN_BINARY_MIN)
    .map((sighting) => (text[sighting.start - 1] === CUT ? { ...sighting, weak: true } : sighting));
}
