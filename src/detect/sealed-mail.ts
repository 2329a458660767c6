/**
 * What encrypted mail shows from outside: one key for each person it is encrypted to (CMS RecipientInfos, RFC 5652 section 6.2;
 * OpenPGP public-key encrypted session keys, RFC 9580 section 5.1), and the content of mail that is only signed.
 */

import { type DerValue, derAt, derValues } from './der.ts';

export interface SealedReading {
  /** One text for each key of a reader that can be told apart; anonymous ones are left out. */
  readonly keys: readonly string[];
  readonly encrypted: boolean;
  /** The MIME entity inside an opaque signature; null where there is none. */
  readonly signed: Buffer | null;
}

const CMS_PREFIX = '2a864886f70d0107';
const SIGNED_DATA = `${CMS_PREFIX}02`;
const ENVELOPED_DATA = `${CMS_PREFIX}03`;
const CMS_OTHERS = '2a864886f70d010910';
const AUTH_ENVELOPED_DATA = `${CMS_OTHERS}0117`;
/** Where the list of keys cannot be read there may be several. */
export const KEYS_UNKNOWN: readonly string[] = ['unreadable', 'unreadable as well'];
const SEQUENCE = 0x30;
const SET = 0x31;

/** Reads a CMS ContentInfo; null where the bytes are none. */
export function readCms(bytes: Buffer): SealedReading | null {
  if (bytes[0] !== SEQUENCE) return null;
  const [type, explicit] = derValues(derAt(bytes, 0)?.content ?? bytes.subarray(bytes.length));
  if (type?.tag !== 0x06 || explicit?.tag !== 0xa0) return null;
  const oid = type.content.toString('hex');
  if (!oid.startsWith(CMS_PREFIX) && !oid.startsWith(CMS_OTHERS)) return null;
  const fields = derValues(derAt(explicit.content, 0)?.content ?? Buffer.alloc(0));
  if (oid === ENVELOPED_DATA || oid === AUTH_ENVELOPED_DATA) {
    const infos = fields.find(({ tag }) => tag === SET);
    const keys = infos === undefined ? KEYS_UNKNOWN : readerKeys(infos);
    return { keys, encrypted: true, signed: null };
  }
  if (oid === SIGNED_DATA) return { keys: [], encrypted: false, signed: signedContent(fields) };
  // Compressed, digested or otherwise packed: not read.
  return { keys: [], encrypted: true, signed: null };
}

/** Distinct readers: an agreement of keys (RFC 5652 section 6.2.2) has several in one. */
function readerKeys(infos: DerValue): readonly string[] {
  const keys = new Set<string>();
  for (const info of derValues(infos.content)) {
    if (info.tag === 0xa1) {
      const encrypted = derValues(info.content).findLast(({ tag }) => tag === SEQUENCE);
      for (const { content } of derValues(encrypted?.content ?? info.content)) {
        keys.add(derAt(content, 0)?.content.toString('latin1') ?? '');
      }
    } else if (info.tag === SEQUENCE) {
      keys.add(derValues(info.content)[1]?.content.toString('latin1') ?? '');
    }
  }
  return [...keys];
}

/** EncapsulatedContentInfo: the octet string, in pieces or whole. */
function signedContent(fields: readonly DerValue[]): Buffer | null {
  const encapsulated = fields.find(({ tag }) => tag === SEQUENCE);
  const explicit = derValues(encapsulated?.content ?? Buffer.alloc(0))[1];
  const octets = explicit === undefined ? null : derAt(explicit.content, 0);
  if (octets === null) return null;
  if ((octets.tag & 0x20) === 0) return octets.content;
  return Buffer.concat(derValues(octets.content).map(({ content }) => content));
}

const ARMOR = '-----BEGIN PGP MESSAGE-----';

/**
 * Reads OpenPGP packets, armored (RFC 9580 section 6.2) or not; null where the bytes are no encrypted message. What is armored as
 * one and cannot be read is one all the same.
 */
export function readPgp(bytes: Buffer): SealedReading | null {
  const armored = bytes.toString('latin1').split(ARMOR).slice(1);
  if (armored.length === 0) return packetsOf(bytes);
  const keys = armored.flatMap((text) => packetsOf(unarmored(text))?.keys ?? KEYS_UNKNOWN);
  return { keys: [...new Set(keys)], encrypted: true, signed: null };
}

/** Some programs read armor without the empty line behind its header, too. */
function unarmored(text: string): Buffer {
  const end = text.indexOf('-----END');
  const lines = text.slice(0, end === -1 ? text.length : end).split(/\r?\n/);
  const body = lines.filter((line) => !line.startsWith('=') && !line.includes(': '));
  return Buffer.from(body.join(''), 'base64');
}

const SESSION_KEY_PACKET = 1;
const PACKETS_MAX = 20_000;

function packetsOf(bytes: Buffer): SealedReading | null {
  const keys = new Set<string>();
  let at = 0;
  for (let count = 0; count < PACKETS_MAX; count++) {
    const packet = packetAt(bytes, at);
    if (packet === null) return null;
    if (packet.tag !== SESSION_KEY_PACKET) {
      // 3: for a password. 18, 20 and 9: the content itself.
      if (packet.tag === 18 || packet.tag === 20 || packet.tag === 9) break;
      if (packet.tag !== 3) return null;
    } else {
      const key = keyIdIn(bytes.subarray(packet.start, packet.end));
      if (/[1-9a-f]/.test(key)) keys.add(key);
    }
    at = packet.end;
  }
  return { keys: [...keys], encrypted: true, signed: null };
}

/** Version 3: eight octets of key id. Version 6: a length, the key's version, its fingerprint. */
function keyIdIn(packet: Buffer): string {
  if (packet[0] === 6) return packet.toString('hex', 3, 2 + (packet[1] ?? 0));
  return packet.toString('hex', 1, 9);
}

interface Packet {
  readonly tag: number;
  readonly start: number;
  readonly end: number;
}

function packetAt(bytes: Buffer, at: number): Packet | null {
  const first = bytes[at];
  const second = bytes[at + 1];
  if (first === undefined || second === undefined || (first & 0x80) === 0) return null;
  if ((first & 0x40) === 0) return oldPacket(bytes, at, first);
  const tag = first & 0x3f;
  if (second < 192) return { tag, start: at + 2, end: at + 2 + second };
  if (second < 224) {
    const length = ((second - 192) << 8) + (bytes[at + 2] ?? 0) + 192;
    return { tag, start: at + 3, end: at + 3 + length };
  }
  // A partial length is for content alone, which is last.
  if (second < 255) return { tag, start: at + 2, end: bytes.length };
  if (at + 6 > bytes.length) return null;
  return { tag, start: at + 6, end: at + 6 + bytes.readUInt32BE(at + 2) };
}

function oldPacket(bytes: Buffer, at: number, first: number): Packet | null {
  const tag = (first >> 2) & 0xf;
  const octets = [1, 2, 4, 0][first & 3] ?? 0;
  if (octets === 0) return { tag, start: at + 1, end: bytes.length };
  if (at + 1 + octets > bytes.length) return null;
  const start = at + 1 + octets;
  return { tag, start, end: start + bytes.readUIntBE(at + 1, octets) };
}
