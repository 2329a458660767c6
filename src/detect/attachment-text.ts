/**
 * Addresses in attachments that are not text to MIME: files sent as application/octet-stream, documents with links, TNEF.
 * Compressed and encrypted content is not opened here; `opaque-attachment` says so.
 */

import { findAddresses, type Sighting } from '../mail/sightings.ts';

const NONE: readonly Sighting[] = [];
/** Compressed or media: an address in the raw bytes would be chance. */
const SKIPPED =
  /^(?:image\/(?!svg)|audio\/|video\/|font\/|application\/(?:zip|gzip|x-gzip|x-7z-compressed|x-rar|vnd\.openxmlformats|pgp-encrypted))/;
const SIGNED = /^application\/(?:x-)?pkcs7-/;
/** In binary content a shorter address may be chance: one per 2 TB at this length. */
const LENGTH_IN_BINARY_MIN = 9;
const AT = 0x40;

/** Sightings in a leaf that has no `texts`; offsets count decoded characters. */
export function attachmentAddresses(contentType: string, content: Uint8Array): readonly Sighting[] {
  if (SKIPPED.test(contentType) || !content.includes(AT)) return NONE;
  const bytes = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  if (isSignature(contentType, bytes)) return NONE;
  if (isText(bytes)) return findAddresses(bytes.toString('utf8'));
  return binaryAddresses(bytes);
}

/** Whether the bytes read as text: UTF-8 or another superset of ASCII, without NUL and with few control characters. */
function isText(bytes: Buffer): boolean {
  const sample = bytes.subarray(0, 4096);
  let controls = 0;
  for (const byte of sample) {
    if (byte === 0) return false;
    if (byte < 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d && byte !== 0x0c) controls++;
  }
  return controls * 50 <= sample.length;
}

/** A detached S/MIME signature holds certificates, which name their owners: judged by its DER shape, not by its type alone. */
function isSignature(contentType: string, bytes: Buffer): boolean {
  return SIGNED.test(contentType) && bytes[0] === 0x30 && (bytes[1] ?? 0) >= 0x80;
}

function binaryAddresses(bytes: Buffer): readonly Sighting[] {
  const found = [...findAddresses(printable(bytes.toString('latin1')))];
  const wide = bytes.indexOf('@\0', 0, 'latin1');
  if (wide !== -1) {
    const aligned = bytes.subarray(wide % 2);
    const even = aligned.subarray(0, aligned.length - (aligned.length % 2));
    found.push(...findAddresses(printable(even.toString('utf16le'))));
  }
  return found.filter(
    (sighting) => !sighting.weak && sighting.end - sighting.start >= LENGTH_IN_BINARY_MIN,
  );
}

/** Bytes beyond ASCII and control characters end an address in binary content. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]+/g, ' ');
}
