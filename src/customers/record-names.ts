/**
 * The names by which a customer may be written to: of the sealed records with this address, opened one at a time.
 *
 * Invariant: who asks is answered from the register as it is committed now, or not at all; nothing opened is kept.
 */

import { blindIndex } from '../keys/blind-index.ts';
import type { Keyring } from '../keys/keyring.ts';
import type { SealingKey } from '../keys/seal.ts';
import { BatchedLookup } from '../store/batched-lookup.ts';
import { customersByAddress, type SealedCustomer } from '../store/customers.ts';
import type { Database } from '../store/database.ts';
import { customersKey, openRecord } from './record.ts';

export interface RecordNamesOptions {
  readonly db: Database;
  readonly keyring: Keyring;
  /** Columns of the register that hold people's names; empty: the usual ones. */
  readonly nameFields: readonly string[];
}

/** Canonical address to the names of its records; who is not in it has no record that holds a name. */
export type NamesByAddress = ReadonlyMap<string, readonly string[]>;

/** As columns are called, without case and marks. */
const PEOPLES_NAMES = new Set(
  'name names fullname firstname first forename givenname given middlename lastname last surname familyname family customername customer clientname personname contactname recipientname displayname legalname preferredname vorname nachname familienname kundenname prenom nom nomdefamille nombre nombres apellido apellidos nome cognome sobrenome voornaam achternaam naam fornavn etternavn efternavn fornamn efternamn imie nazwisko imya familiya имя фамилия фио 姓名 名字 姓 名 氏名 이름 성명'.split(
    ' ',
  ),
);
/** A record without anybody's name says nothing of how its reader is greeted, but beside one these are no mistake either. */
const NAMES_TOO = new Set(
  'nick nickname alias username user login handle screenname company companyname organisation organization organisationname organizationname business businessname firma firmenname entreprise empresa azienda bedrijf contact contactperson kontakt ansprechpartner salutation greeting anrede title'.split(
    ' ',
  ),
);

function plain(field: string): string {
  return field
    .normalize('NFD')
    .replace(/[^\p{L}]+/gu, '')
    .toLowerCase()
    .normalize('NFC');
}

/** The names in a record; empty where no column of it holds a person's name. */
export function namesIn(
  fields: Readonly<Record<string, string>>,
  nameFields: readonly string[],
): readonly string[] {
  const own = new Set(nameFields);
  const isName = (field: string): boolean =>
    own.size === 0 ? PEOPLES_NAMES.has(plain(field)) : own.has(field);
  const entries = Object.entries(fields);
  if (!entries.some(([field, value]) => isName(field) && value.trim() !== '')) return [];
  return entries
    .filter(
      ([field, value]) => value.trim() !== '' && (isName(field) || NAMES_TOO.has(plain(field))),
    )
    .map(([, value]) => value);
}

/** Looks customers' names up. What it gives rejects with Fault `database.*` or `keys.*` where they cannot be known. */
export function openRecordNames(
  options: RecordNamesOptions,
): (canonicals: readonly string[]) => Promise<NamesByAddress> {
  const { db, keyring, nameFields } = options;
  const lookup = new BatchedLookup<SealedCustomer>(
    (indexes) => customersByAddress(db, indexes),
    (row) => row.address_index,
  );
  let key: SealingKey | null = null;
  return async (canonicals) => {
    const byIndex = new Map<string, string>();
    const indexes = canonicals.map((canonical) => {
      const index = blindIndex(keyring.blindIndex.key, 'address', canonical);
      byIndex.set(index.toString('latin1'), canonical);
      return index;
    });
    const rows = await lookup.find(indexes);
    const names = new Map<string, string[]>();
    if (rows.length === 0) return names;
    key ??= await customersKey(db, keyring);
    for (const { address_index, record_index, sealed } of rows) {
      const found = namesIn(openRecord(key, record_index, sealed).fields, nameFields);
      const canonical = byIndex.get(address_index.toString('latin1'));
      if (canonical === undefined || found.length === 0) continue;
      names.set(canonical, [...(names.get(canonical) ?? []), ...found]);
    }
    return names;
  };
}
