/**
 * The keyring: every secret that `serve` holds, in one JSON document outside the data directory and the database.
 * Invariant: it is never read from a place that others can read or that a copy of the data would carry along.
 */

import { execFile } from 'node:child_process';
import {
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { readFile, realpath, rename, stat, writeFile } from 'node:fs/promises';
import { dirname, resolve, sep } from 'node:path';
import { promisify } from 'node:util';
import { Fault } from '../base/errors.ts';

interface StoredSecret {
  readonly version: number;
  readonly secret: string;
  readonly created: string;
}

interface StoredDkimKey {
  readonly domain: string;
  readonly selector: string;
  readonly privateKey: string;
  readonly created: string;
}

/** The document as it stands in the file; the newest version of each kind is the last. */
export interface KeyringDocument {
  readonly keyring: 1;
  readonly kek: readonly StoredSecret[];
  readonly blindIndex: readonly StoredSecret[];
  readonly token: readonly StoredSecret[];
  readonly ledger: readonly StoredSecret[];
  readonly dkim: readonly StoredDkimKey[];
}

export interface VersionedKey {
  readonly version: number;
  readonly key: KeyObject;
}

export interface DkimKey {
  readonly domain: string;
  readonly selector: string;
  readonly privateKey: KeyObject;
  /** Base64 of the SubjectPublicKeyInfo: what stands behind `p=` in DNS. */
  readonly publicKey: string;
}

export interface Keyring {
  readonly document: KeyringDocument;
  /** Wraps data keys. All versions, so that older wrappings open; the last is the one in use. */
  readonly kek: readonly VersionedKey[];
  readonly blindIndex: VersionedKey;
  readonly token: readonly VersionedKey[];
  readonly ledger: { readonly privateKey: KeyObject; readonly publicKey: KeyObject };
  /** The DKIM key of a From domain, the newest where there are several. */
  dkim(domain: string): DkimKey | null;
}

export type KeyringSource =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'command'; readonly command: string };

export type RotatableKey = 'kek' | 'token' | 'dkim';

function newSecret(version: number, now: Date): StoredSecret {
  return { version, secret: randomBytes(32).toString('base64'), created: now.toISOString() };
}

function newDkim(domain: string, now: Date): StoredDkimKey {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const day = now.toISOString().slice(0, 10).replaceAll('-', '');
  return {
    domain,
    selector: `u${day}${randomBytes(2).toString('hex')}`,
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    created: now.toISOString(),
  };
}

/** A fresh keyring with DKIM keys (RSA-2048, RFC 8301) for the given From domains. */
export function newKeyringDocument(
  dkimDomains: readonly string[],
  now: Date = new Date(),
): KeyringDocument {
  const { privateKey } = generateKeyPairSync('ed25519');
  const ledger = privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64');
  return {
    keyring: 1,
    kek: [newSecret(1, now)],
    blindIndex: [newSecret(1, now)],
    token: [newSecret(1, now)],
    ledger: [{ version: 1, secret: ledger, created: now.toISOString() }],
    dkim: dkimDomains.map((domain) => newDkim(domain, now)),
  };
}

/** The document with one more version of a key; older versions stay so that what they made still opens. */
export function rotated(
  document: KeyringDocument,
  which: RotatableKey,
  domain: string | null,
  now: Date = new Date(),
): KeyringDocument {
  if (which === 'dkim') {
    if (domain === null)
      throw new Fault('keys.no-domain', 'a DKIM key belongs to a domain', {
        remedy: 'name it: keys rotate dkim --domain example.com',
      });
    return { ...document, dkim: [...document.dkim, newDkim(domain, now)] };
  }
  const next = (document[which].at(-1)?.version ?? 0) + 1;
  return { ...document, [which]: [...document[which], newSecret(next, now)] };
}

function versioned(secrets: readonly StoredSecret[], kind: string): readonly VersionedKey[] {
  if (secrets.length === 0) throw new Fault('keys.malformed', `the keyring holds no ${kind} key`);
  return secrets.map((stored) => {
    const bytes = Buffer.from(stored.secret, 'base64');
    if (bytes.length !== 32) throw new Fault('keys.malformed', `a ${kind} key has not 32 bytes`);
    return { version: stored.version, key: createSecretKey(bytes) };
  });
}

function last<T>(items: readonly T[], kind: string): T {
  const item = items.at(-1);
  if (item === undefined) throw new Fault('keys.malformed', `the keyring holds no ${kind} key`);
  return item;
}

/** The keys of a document, ready for use. Throws Fault `keys.malformed`. */
export function keyringOf(document: KeyringDocument): Keyring {
  if (document?.keyring !== 1)
    throw new Fault('keys.malformed', 'this is no keyring (version 1)', {
      remedy: 'make one with `undisclosed init`, or restore one with `undisclosed keys restore`',
    });
  const ledgerKey = createPrivateKey({
    key: Buffer.from(last(document.ledger, 'ledger').secret, 'base64'),
    type: 'pkcs8',
    format: 'der',
  });
  const dkimKeys = new Map<string, DkimKey>();
  for (const stored of document.dkim) {
    const privateKey = createPrivateKey(stored.privateKey);
    const publicKey = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
    dkimKeys.set(stored.domain.toLowerCase(), {
      domain: stored.domain,
      selector: stored.selector,
      privateKey,
      publicKey: publicKey.toString('base64'),
    });
  }
  return {
    document,
    kek: versioned(document.kek, 'kek'),
    blindIndex: last(versioned(document.blindIndex, 'blind index'), 'blind index'),
    token: versioned(document.token, 'token'),
    ledger: { privateKey: ledgerKey, publicKey: createPublicKey(ledgerKey) },
    dkim: (domain) => dkimKeys.get(domain.toLowerCase()) ?? null,
  };
}

/** Writes the keyring so that a crash leaves the old or the new one, readable by its owner only. */
export async function writeKeyring(path: string, document: KeyringDocument): Promise<void> {
  const next = `${path}.next`;
  await writeFile(next, `${JSON.stringify(document, null, 2)}\n`, { mode: 0o600, flush: true });
  await rename(next, path);
}

async function refuseUnsafePlace(path: string, dataDir: string): Promise<void> {
  const [real, data] = await Promise.all([
    realpath(path),
    realpath(dataDir).catch(() => resolve(dataDir)),
  ]);
  if (real === data || real.startsWith(data + sep))
    throw new Fault('keys.in-data-directory', 'the keyring lies in the data directory', {
      where: path,
      remedy: 'move it elsewhere: a stolen copy of the data must not carry its keys',
    });
  const { mode } = await stat(real);
  if ((mode & 0o077) !== 0)
    throw new Fault('keys.readable-by-others', 'the keyring can be read by others', {
      where: path,
      remedy: `chmod 600 ${path}`,
    });
}

/**
 * Reads the keyring from its source.
 * @throws Fault `keys.in-data-directory`, `keys.readable-by-others`, `keys.unreadable`, `keys.malformed`.
 */
export async function readKeyring(source: KeyringSource, dataDir: string): Promise<Keyring> {
  let text: string;
  try {
    if (source.kind === 'file') {
      await refuseUnsafePlace(source.path, dataDir);
      text = await readFile(source.path, 'utf8');
    } else {
      const run = promisify(execFile);
      text = (await run('/bin/sh', ['-c', source.command], { maxBuffer: 1 << 20 })).stdout;
    }
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    throw new Fault('keys.unreadable', 'the keyring cannot be read', {
      where: source.kind === 'file' ? source.path : 'keyring command',
      remedy: 'make one with `undisclosed init`, or name it with UNDISCLOSED_KEYRING',
      cause,
    });
  }
  try {
    return keyringOf(JSON.parse(text) as KeyringDocument);
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    throw new Fault('keys.malformed', 'the keyring is damaged', {
      where: source.kind === 'file' ? source.path : 'keyring command',
      remedy: 'restore it from its backup: undisclosed keys restore',
      cause,
    });
  }
}

/** The version in use. @throws Fault `keys.malformed`. */
export function newestTokenKey({ token }: Pick<Keyring, 'token'>): KeyObject {
  const newest = token.at(-1);
  if (newest === undefined) throw new Fault('keys.malformed', 'the keyring holds no token key');
  return newest.key;
}

/** Where a keyring for this data directory stands unless told: beside it, never in it. */
export function defaultKeyringPath(dataDir: string): string {
  const full = resolve(dataDir);
  return `${dirname(full)}${sep}${full.slice(dirname(full).length + 1)}.keyring.json`;
}
