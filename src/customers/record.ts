/** A customer's record: what is sealed of it, and its keyed indexes. */

import { Fault } from '../base/errors.ts';
import { blindIndex } from '../keys/blind-index.ts';
import { createDataKey, unwrapDataKey } from '../keys/data-key.ts';
import type { Keyring, VersionedKey } from '../keys/keyring.ts';
import { open, type SealingKey, seal } from '../keys/seal.ts';
import { canonicalAddress } from '../mail/address.ts';
import { findDataKey, insertDataKey } from '../store/data-keys.ts';
import type { Queryable } from '../store/database.ts';

/** Kinds in release order (seed first). */
export const KINDS = ['seed', 'staff', 'customer', 'canary'] as const;
export type RecipientKind = (typeof KINDS)[number];

export interface CustomerRecord {
  /** The company's own id of the record. */
  readonly key: string;
  readonly address: string;
  readonly kind: RecipientKind;
  /** BCP 47. */
  readonly language: string;
  readonly fields: Readonly<Record<string, string>>;
}

export interface RecordIndexes {
  readonly record: Buffer;
  readonly address: Buffer;
  readonly data: Buffer;
}

const TABLE = 'customer';
const DATA_KEY = 'customers';

/** The register's data key; made at its first use. */
export async function customersKey(db: Queryable, keyring: Keyring): Promise<SealingKey> {
  if ((await findDataKey(db, DATA_KEY)) === null) {
    const { stored } = createDataKey(keyring, DATA_KEY);
    await insertDataKey(db, {
      name: DATA_KEY,
      kek_version: stored.kekVersion,
      wrapped: stored.wrapped,
    });
  }
  const row = await findDataKey(db, DATA_KEY);
  if (row === null) throw new Fault('keys.no-data-key', 'the register has no data key');
  return unwrapDataKey(keyring, {
    name: row.name,
    kekVersion: row.kek_version,
    wrapped: row.wrapped,
  });
}

/** The blind index of an address as the canonicaliser sees it; null where the text is no address. */
export function addressIndex(key: VersionedKey, address: string): Buffer | null {
  const canonical = canonicalAddress(address);
  return canonical === null ? null : blindIndex(key.key, 'address', canonical);
}

export function recordIndex(key: VersionedKey, recordKey: string): Buffer {
  return blindIndex(key.key, 'record', recordKey);
}

/** @param fields the record's attributes with their names in a fixed order, so that equal data has an equal index. */
export function indexesOf(
  key: VersionedKey,
  record: CustomerRecord,
  canonical: string,
): RecordIndexes {
  const data = JSON.stringify([canonical, record.kind, record.language, record.fields]);
  return {
    record: recordIndex(key, record.key),
    address: blindIndex(key.key, 'address', canonical),
    data: blindIndex(key.key, 'data', data),
  };
}

/** One AEAD call for the whole row; the place is its record index. */
export function sealRecord(key: SealingKey, index: Buffer, record: CustomerRecord): Buffer {
  const plain = JSON.stringify([record.key, record.address, record.fields]);
  return seal(key, TABLE, index.toString('hex'), Buffer.from(plain, 'utf8'));
}

export function openRecord(
  key: SealingKey,
  index: Buffer,
  sealed: Buffer,
): Pick<CustomerRecord, 'key' | 'address' | 'fields'> {
  const plain = open(key, TABLE, index.toString('hex'), sealed).toString('utf8');
  const [recordKey, address, fields] = JSON.parse(plain) as [
    string,
    string,
    Record<string, string>,
  ];
  return { key: recordKey, address, fields };
}
