/** Data keys: one for the customers register and one per audience, wrapped by the key-encryption key. */

import { Fault } from '../base/errors.ts';
import type { Keyring } from './keyring.ts';
import { newSealingKey, open, type SealingKey, seal, sealingKey } from './seal.ts';

/** A data key as it stands in the database. */
export interface WrappedKey {
  readonly name: string;
  readonly kekVersion: number;
  readonly wrapped: Buffer;
}

const TABLE = 'data_key';

/** A new data key under a name, and its wrapped form for the database. */
export function createDataKey(
  keyring: Keyring,
  name: string,
): { readonly key: SealingKey; readonly stored: WrappedKey } {
  const fresh = newSealingKey(1);
  return { key: fresh, stored: wrap(keyring, name, fresh.secret) };
}

function wrap(keyring: Keyring, name: string, secret: Uint8Array): WrappedKey {
  const kek = keyring.kek.at(-1);
  if (kek === undefined) throw new Fault('keys.malformed', 'the keyring holds no kek');
  return { name, kekVersion: kek.version, wrapped: seal(kek, TABLE, name, secret) };
}

/** Opens a wrapped data key. Throws Fault `keys.no-kek` when the keyring lacks its version. */
export function unwrapDataKey(keyring: Keyring, stored: WrappedKey): SealingKey {
  return sealingKey(unwrapSecret(keyring, stored), 1);
}

function unwrapSecret(keyring: Keyring, stored: WrappedKey): Buffer {
  const kek = keyring.kek.find((candidate) => candidate.version === stored.kekVersion);
  if (kek === undefined)
    throw new Fault('keys.no-kek', `the keyring lacks version ${stored.kekVersion} of the kek`, {
      where: `data key ${stored.name}`,
      remedy: 'restore the keyring that this database was written with',
    });
  return open(kek, TABLE, stored.name, stored.wrapped);
}

/** The same data key wrapped by the newest key-encryption key. */
export function rewrapDataKey(keyring: Keyring, stored: WrappedKey): WrappedKey {
  return wrap(keyring, stored.name, unwrapSecret(keyring, stored));
}

/** Worker threads get the secret itself: a KeyObject made of it there costs nothing. */
export function dataKeySecret(keyring: Keyring, stored: WrappedKey): Buffer {
  return unwrapSecret(keyring, stored);
}
