/** Who may use the gates: by a key of ours, whose hash alone is known here, or by a name that a mail server vouches for. */

import { createHash, timingSafeEqual } from 'node:crypto';
import type { Identity } from './identity.ts';

export interface Caller extends Identity {
  /** SHA-256 of the caller's key, in hexadecimal. */
  readonly keySha256: string;
}

export interface Callers {
  /** Compared as hashes, in constant time; null where it is nobody's key. */
  byKey(key: string): Identity | null;
  named(name: string): Identity | null;
}

export function callersOf(callers: readonly Caller[]): Callers {
  const known = callers.map(({ keySha256, ...identity }) => ({
    ...{ identity, digest: Buffer.from(keySha256, 'hex') },
  }));
  return {
    byKey: (key) => {
      const digest = createHash('sha256').update(key).digest();
      return known.find((each) => timingSafeEqual(digest, each.digest))?.identity ?? null;
    },
    named: (name) => known.find(({ identity }) => identity.name === name)?.identity ?? null,
  };
}
