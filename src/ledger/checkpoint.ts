/**
 * Signed checkpoints: C2SP tlog-checkpoint in a C2SP signed-note, Ed25519.
 * A note is its text (origin, size, root, each on a line), an empty line, and signature lines.
 */

import { createHash, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';

export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  readonly root: Buffer;
}

export type CheckpointReading =
  | { readonly kind: 'checkpoint'; readonly checkpoint: Checkpoint }
  | { readonly kind: 'invalid'; readonly reason: string };

/** signed-note: the algorithm byte of Ed25519. */
const ED25519 = 0x01;
const KEY_BYTES = 32;
const ID_BYTES = 4;
const SIGNATURE_BYTES = 64;
/** The ASN.1 that stands before the 32 bytes of an Ed25519 key (RFC 8410). */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
const SIZE = /^(?:0|[1-9][0-9]{0,15})$/;

/** The 32 bytes of an Ed25519 public key. */
function rawKey(publicKey: KeyObject): Buffer {
  const { x = '' } = publicKey.export({ format: 'jwk' });
  return Buffer.from(x, 'base64url');
}

function keyId(name: string, raw: Uint8Array): Buffer {
  return createHash('sha256')
    .update(`${name}\n`)
    .update(Uint8Array.of(ED25519))
    .update(raw)
    .digest()
    .subarray(0, ID_BYTES);
}

/** The verifier key (signed-note): name+id+base64(0x01 || key). */
export function verifierKey(name: string, publicKey: KeyObject): string {
  const raw = rawKey(publicKey);
  const typed = Buffer.concat([Uint8Array.of(ED25519), raw]);
  return `${name}+${keyId(name, raw).toString('hex')}+${typed.toString('base64')}`;
}

/** SHA-256 of the key's 32 bytes in hexadecimal: what `ledger verify --key` takes, or its first 16 characters or more. */
export function ledgerKeyFingerprint(publicKey: KeyObject): string {
  return createHash('sha256').update(rawKey(publicKey)).digest('hex');
}

/** A verifier key's parts, or null when it is none or its id does not fit. */
export function parseVerifierKey(
  vkey: string,
): { readonly name: string; readonly publicKey: KeyObject } | null {
  const match = /^([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(vkey);
  const [, name = '', id = '', encoded = ''] = match ?? [];
  const typed = Buffer.from(encoded, 'base64');
  if (match === null || typed.length !== 1 + KEY_BYTES || typed[0] !== ED25519) return null;
  const raw = typed.subarray(1);
  if (keyId(name, raw).toString('hex') !== id) return null;
  const der = Buffer.concat([SPKI_PREFIX, raw]);
  return { name, publicKey: createPublicKey({ key: der, format: 'der', type: 'spki' }) };
}

/** Whether a text may name a log and its key: neither spaces nor plus signs (signed-note). */
export function isOrigin(text: string): boolean {
  return /^[^\s+]+$/u.test(text);
}

function noteText({ origin, size, root }: Checkpoint): string {
  return `${origin}\n${size}\n${root.toString('base64')}\n`;
}

/** The whole signed note, ready to be stored and handed out. The key's name is the origin. */
export function signCheckpoint(
  checkpoint: Checkpoint,
  key: { readonly privateKey: KeyObject; readonly publicKey: KeyObject },
): string {
  const text = noteText(checkpoint);
  const { origin } = checkpoint;
  const signature = sign(null, Buffer.from(text), key.privateKey);
  const blob = Buffer.concat([keyId(origin, rawKey(key.publicKey)), signature]);
  return `${text}\n— ${origin} ${blob.toString('base64')}\n`;
}

/** Reads a note and checks that the key of `vkey` signed it; other signatures on it are ignored (signed-note). */
export function openCheckpoint(note: string, vkey: string): CheckpointReading {
  const key = parseVerifierKey(vkey);
  if (key === null) return { kind: 'invalid', reason: 'the verifier key is malformed' };
  const end = note.indexOf('\n\n');
  if (end < 0 || !note.endsWith('\n')) return { kind: 'invalid', reason: 'it is no signed note' };
  const text = note.slice(0, end + 1);
  const [origin = '', size = '', root64 = ''] = text.split('\n');
  const root = Buffer.from(root64, 'base64');
  if (!SIZE.test(size) || root.length !== 32 || root.toString('base64') !== root64)
    return { kind: 'invalid', reason: 'it is no checkpoint' };
  const lines = note.slice(end + 2, -1).split('\n');
  if (!lines.some((line) => isSignatureBy(line, key, text)))
    return { kind: 'invalid', reason: `no valid signature by ${key.name}` };
  return { kind: 'checkpoint', checkpoint: { origin, size: Number(size), root } };
}

function isSignatureBy(
  line: string,
  key: { readonly name: string; readonly publicKey: KeyObject },
  text: string,
): boolean {
  const prefix = `— ${key.name} `;
  if (!line.startsWith(prefix)) return false;
  const blob = Buffer.from(line.slice(prefix.length), 'base64');
  if (blob.length !== ID_BYTES + SIGNATURE_BYTES) return false;
  if (!blob.subarray(0, ID_BYTES).equals(keyId(key.name, rawKey(key.publicKey)))) return false;
  return verify(null, Buffer.from(text), key.publicKey, blob.subarray(ID_BYTES));
}
