/**
 * To how many readers a part is encrypted, as everybody can see who gets it: CMS RecipientInfos (RFC 5652 section 6.1) and the
 * session key packets of OpenPGP (RFC 9580 section 5.1).
 *
 * Invariant: never throws; an encrypted part whose list of keys cannot be read to its end is `unknown`, never `none`.
 */

import type { Part } from './message.ts';

/** one: a single key, or several of which none can be told from its number alone. */
export type EncryptedReaders = 'none' | 'one' | 'several' | 'unknown';

const ARMOR = /-----BEGIN PGP MESSAGE-----\r?\n([\s\S]*?)-----END PGP MESSAGE-----/g;
const CMS_TYPE = /^application\/(?:x-)?pkcs7-mime$/;
/** OIDs 1.2.840.113549.1.7.3 (enveloped) and 1.2.840.113549.1.9.16.1.23 (authEnveloped), in hexadecimal. */
const ENVELOPED = new Set(['2a864886f70d010703', '2a864886f70d0109100117']);

/** What one part shows of whom it is encrypted to. */
export function encryptedReaders(part: Part): EncryptedReaders {
  if (CMS_TYPE.test(part.contentType)) return ofCms(part);
  const isFile = /\.(?:asc|gpg|pgp)$/i.test(part.fileName);
  const armored = armoredIn(part, isFile);
  if (armored.length > 0) return worst(armored.map(ofPgp));
  const isBinary = isFile && part.content.length > 0 && (part.content[0] ?? 0) >= 0x80;
  return isBinary ? ofPgp(part.content) : 'none';
}

function worst(found: readonly EncryptedReaders[]): EncryptedReaders {
  for (const kind of ['unknown', 'several', 'one'] as const) if (found.includes(kind)) return kind;
  return 'none';
}

function armoredIn(part: Part, isFile: boolean): readonly Uint8Array[] {
  if (part.children.length > 0) return [];
  const looks = isFile || /^text\/|^application\/octet-stream$/.test(part.contentType);
  if (!looks) return [];
  const text = Buffer.from(
    part.content.buffer,
    part.content.byteOffset,
    part.content.byteLength,
  ).toString('latin1');
  if (!text.includes('-----BEGIN PGP MESSAGE-----')) return [];
  const blocks = [...text.matchAll(ARMOR)].map(([, inside = '']) => dearmored(inside));
  // Begun and not ended: what a program makes of it is its own affair.
  return blocks.length === 0 ? [new Uint8Array(0)] : blocks;
}

/** Armor headers end at an empty line; the checksum line begins with '='. */
function dearmored(inside: string): Uint8Array {
  const body = inside.replace(/^(?:[^\r\n]+: [^\r\n]*\r?\n)*[ \t]*\r?\n/, '');
  return Buffer.from(body.replace(/^=[A-Za-z0-9+/]{4}\s*$/m, ''), 'base64');
}

const PKESK = 1;
const SKESK = 3;
const MARKER = 10;
const PADDING = 21;

/** Session key packets come first; the first packet of another kind ends their list. */
function ofPgp(bytes: Uint8Array): EncryptedReaders {
  let position = 0;
  let named = 0;
  let packets = 0;
  while (position < bytes.length) {
    const packet = packetAt(bytes, position);
    if (packet === null) return 'unknown';
    if (packet.tag === PKESK) {
      packets++;
      if (namesKey(bytes.subarray(packet.start, packet.end))) named++;
    } else if (packet.tag !== MARKER && packet.tag !== PADDING && packet.tag !== SKESK) {
      // Signed or compressed only, when no key came before: nobody is named.
      if (packets === 0) return 'none';
      return named > 1 ? 'several' : 'one';
    }
    position = packet.end;
  }
  return 'unknown';
}

/** Version 3: eight bytes of key id, all zero where the reader is hidden. Version 6: the length of a fingerprint. */
function namesKey(body: Uint8Array): boolean {
  if (body[0] === 6) return body[1] !== 0;
  return body.subarray(1, 9).some((byte) => byte !== 0);
}

interface Extent {
  readonly tag: number;
  readonly start: number;
  readonly end: number;
}

/** RFC 9580 section 4.2. The content of the last packet may be of partial or no length: its end is then not looked for. */
function packetAt(bytes: Uint8Array, at: number): Extent | null {
  const head = bytes[at] ?? 0;
  if ((head & 0x80) === 0) return null;
  if ((head & 0x40) === 0) return oldPacket(bytes, at, head);
  const tag = head & 0x3f;
  const first = bytes[at + 1];
  if (first === undefined) return null;
  if (first < 192) return extent(bytes, tag, at + 2, first);
  if (first < 224)
    return extent(bytes, tag, at + 3, (first - 192) * 256 + (bytes[at + 2] ?? 0) + 192);
  if (first === 255) return extent(bytes, tag, at + 6, numberAt(bytes, at + 2, 4));
  return { tag, start: at + 2, end: bytes.length };
}

function oldPacket(bytes: Uint8Array, at: number, head: number): Extent | null {
  const tag = (head >> 2) & 0x0f;
  const octets = [1, 2, 4, 0][head & 3] ?? 0;
  if (octets === 0) return { tag, start: at + 1, end: bytes.length };
  return extent(bytes, tag, at + 1 + octets, numberAt(bytes, at + 1, octets));
}

/** A session key packet is there whole, or the list is not readable; content may have been cut. */
function extent(bytes: Uint8Array, tag: number, start: number, length: number): Extent | null {
  const end = start + length;
  if (end <= bytes.length) return { tag, start, end };
  return tag === PKESK ? null : { tag, start, end: bytes.length };
}

function numberAt(bytes: Uint8Array, at: number, octets: number): number {
  let value = 0;
  for (let i = 0; i < octets; i++) value = value * 256 + (bytes[at + i] ?? 0);
  return value;
}

const SEQUENCE = 0x30;
const SET = 0x31;
const OBJECT_ID = 0x06;
const CONTEXT_0 = 0xa0;
const KEY_AGREEMENT = 0xa1;
const DEPTH_MAX = 12;

function ofCms(part: Part): EncryptedReaders {
  const [outer] = elementsOf(part.content, 0, part.content.length) ?? [];
  if (outer?.tag !== SEQUENCE) return 'unknown';
  const [type, content] = elementsOf(part.content, outer.start, outer.end) ?? [];
  if (type?.tag !== OBJECT_ID) return 'unknown';
  const oid = Buffer.from(part.content.subarray(type.start, type.end)).toString('hex');
  if (!ENVELOPED.has(oid)) return 'none';
  if (content?.tag !== CONTEXT_0) return 'unknown';
  const [data] = elementsOf(part.content, content.start, content.end) ?? [];
  if (data?.tag !== SEQUENCE) return 'unknown';
  const infos = elementsOf(part.content, data.start, data.end)?.find(({ tag }) => tag === SET);
  const entries = infos === undefined ? null : elementsOf(part.content, infos.start, infos.end);
  if (entries === null || entries.length === 0) return 'unknown';
  let keys = 0;
  for (const entry of entries)
    keys += entry.tag === KEY_AGREEMENT ? agreedKeys(part.content, entry) : 1;
  return keys > 1 ? 'several' : 'one';
}

/** RFC 5652 section 6.2.2: the last element lists one encrypted key for each reader. */
function agreedKeys(bytes: Uint8Array, entry: Extent): number {
  const list = elementsOf(bytes, entry.start, entry.end)?.at(-1);
  if (list?.tag !== SEQUENCE) return 2;
  return elementsOf(bytes, list.start, list.end)?.length ?? 2;
}

/** The elements of a BER value, those of indefinite length too; null where they are not well-formed. */
function elementsOf(bytes: Uint8Array, start: number, end: number): readonly Extent[] | null {
  const elements: Extent[] = [];
  for (let at = start; at < end; ) {
    const element = elementAt(bytes, at, end, 0);
    if (element === null) return null;
    elements.push(element);
    at = element.next;
  }
  return elements;
}

function elementAt(
  bytes: Uint8Array,
  at: number,
  end: number,
  depth: number,
): (Extent & { readonly next: number }) | null {
  const tag = bytes[at] ?? 0;
  const first = bytes[at + 1];
  if (first === undefined || (tag & 0x1f) === 0x1f || depth > DEPTH_MAX) return null;
  if (first === 0x80) return indefinite(bytes, at, end, depth);
  const octets = first < 0x80 ? 0 : first & 0x7f;
  if (octets > 4) return null;
  const start = at + 2 + octets;
  const next = start + (octets === 0 ? first : numberAt(bytes, at + 2, octets));
  return next > end ? null : { tag, start, end: next, next };
}

function indefinite(
  bytes: Uint8Array,
  at: number,
  end: number,
  depth: number,
): (Extent & { readonly next: number }) | null {
  for (let inner = at + 2; inner + 1 < end; ) {
    if (bytes[inner] === 0 && bytes[inner + 1] === 0)
      return { tag: bytes[at] ?? 0, start: at + 2, end: inner, next: inner + 2 };
    const element = elementAt(bytes, inner, end, depth + 1);
    if (element === null) return null;
    inner = element.next;
  }
  return null;
}
