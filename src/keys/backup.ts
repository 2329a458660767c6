/** A keyring backup: the keyring sealed under a passphrase, so that it can lie where backups lie. */

import { randomBytes, scryptSync } from 'node:crypto';
import { Fault } from '../base/errors.ts';
import { type KeyringDocument, keyringOf } from './keyring.ts';
import { open, seal, sealingKey } from './seal.ts';

/** scrypt, RFC 7914: 128 MiB (128 N r) for each guess. */
const COST = { N: 1 << 17, r: 8, p: 1, maxmem: 256 << 20 };

interface Backup {
  readonly keyringBackup: 1;
  readonly salt: string;
  readonly sealed: string;
}

export function backUpKeyring(document: KeyringDocument, passphrase: string): string {
  if (passphrase.length < 12)
    throw new Fault('keys.weak-passphrase', 'the passphrase has fewer than 12 characters');
  const salt = randomBytes(16);
  const key = sealingKey(scryptSync(passphrase.normalize('NFC'), salt, 32, COST), 1);
  const sealed = seal(key, 'keyring', 'backup', Buffer.from(JSON.stringify(document), 'utf8'));
  const backup: Backup = {
    keyringBackup: 1,
    salt: salt.toString('base64'),
    sealed: sealed.toString('base64'),
  };
  return `${JSON.stringify(backup, null, 2)}\n`;
}

/** @throws Fault `keys.backup-unreadable` for a wrong passphrase or a damaged file. */
export function restoreKeyring(text: string, passphrase: string): KeyringDocument {
  try {
    const backup = JSON.parse(text) as Backup;
    if (backup.keyringBackup !== 1) throw new Fault('keys.malformed', 'this is no keyring backup');
    const salt = Buffer.from(backup.salt, 'base64');
    const key = sealingKey(scryptSync(passphrase.normalize('NFC'), salt, 32, COST), 1);
    const plain = open(key, 'keyring', 'backup', Buffer.from(backup.sealed, 'base64'));
    const document = JSON.parse(plain.toString('utf8')) as KeyringDocument;
    keyringOf(document);
    return document;
  } catch (cause) {
    throw new Fault('keys.backup-unreadable', 'the keyring backup does not open', {
      remedy: 'check the passphrase and the file',
      cause,
    });
  }
}
