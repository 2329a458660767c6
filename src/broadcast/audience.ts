/** An audience: a selection from the register, copied and put in release order when it is frozen. */

import { createHmac, type KeyObject } from 'node:crypto';
import { Fault } from '../base/errors.ts';
import { customersKey, openRecord, recordIndex } from '../customers/record.ts';
import { createDataKey, unwrapDataKey } from '../keys/data-key.ts';
import type { Keyring } from '../keys/keyring.ts';
import { open, type SealingKey, seal } from '../keys/seal.ts';
import { CompactRange, leafHash } from '../ledger/tree.ts';
import { canonicalAddress } from '../mail/address.ts';
import {
  AUDIENCE_COPY,
  countFrozen,
  createFreezeStaging,
  duplicateAddresses,
  FREEZE_STAGING_COPY,
  frozenCustomersCopy,
  indexAudience,
  keepOnlyRecord,
  namedProviders,
  orderFreeze,
} from '../store/audiences.ts';
import { BinaryCopy, readBinaryCopy } from '../store/copy-binary.ts';
import { CUSTOMERS_COPY } from '../store/customers.ts';
import { findDataKey, insertDataKey } from '../store/data-keys.ts';
import type { Database, Queryable, Transaction } from '../store/database.ts';
import { chooseLanguage } from './language.ts';
import { OTHER_PROVIDER, PROVIDER_RECIPIENTS_MIN, providerOf } from './providers.ts';

/** Which customers; every condition must hold. Conditions are evaluated here, SQL never sees an attribute. */
export interface Selection {
  readonly where: readonly { readonly field: string; readonly equals: string }[];
}

/** What to do with records that share an address but not their data. */
export interface SameAddress {
  readonly each: boolean;
  /** Record keys that stand for their address. */
  readonly chosen: readonly string[];
}

export interface FreezeRequest {
  readonly broadcast: string;
  readonly selection: Selection;
  readonly sameAddress: SameAddress;
  readonly languages: readonly string[];
  readonly defaultLanguage: string;
  readonly ringsPerThousand: readonly number[];
  progress(done: number): void;
}

export interface FrozenRow {
  readonly key: string;
  readonly address: string;
  readonly version: number;
  readonly fields: Readonly<Record<string, string>>;
}

export interface FreezeResult {
  readonly count: number;
  readonly digest: Buffer;
}

const TABLE = 'audience_row';
const RANGE = 16_384;
const DUPLICATES_READ_MAX = 200;

export function rowName(broadcast: string, position: number): string {
  return `${broadcast}/${position}`;
}

/** The audience's data key, wrapped in the database; made at freeze. */
export async function audienceKey(
  db: Queryable,
  keyring: Keyring,
  broadcast: string,
): Promise<SealingKey> {
  const name = `audience:${broadcast}`;
  const row = await findDataKey(db, name);
  if (row === null)
    throw new Fault('keys.no-data-key', 'the audience has no data key', { where: broadcast });
  return unwrapDataKey(keyring, { name, kekVersion: row.kek_version, wrapped: row.wrapped });
}

async function newAudienceKey(
  tx: Transaction,
  keyring: Keyring,
  broadcast: string,
): Promise<SealingKey> {
  const name = `audience:${broadcast}`;
  const { key, stored } = createDataKey(keyring, name);
  await insertDataKey(tx, { name, kek_version: stored.kekVersion, wrapped: stored.wrapped });
  return key;
}

export function openFrozenRow(
  key: SealingKey,
  broadcast: string,
  position: number,
  sealed: Buffer,
): FrozenRow {
  const plain = open(key, TABLE, rowName(broadcast, position), sealed).toString('utf8');
  const [recordKey, address, version, fields] = JSON.parse(plain) as [
    string,
    string,
    number,
    Record<string, string>,
  ];
  return { key: recordKey, address, version, fields };
}

/** The leaf of one frozen row: everything in clear and the sealed bytes as they stand. */
export function audienceLeaf(row: readonly (Buffer | null)[]): Buffer {
  const parts: Buffer[] = [];
  for (const value of row) {
    const bytes = value ?? Buffer.alloc(0);
    const length = Buffer.allocUnsafe(4);
    length.writeUInt32BE(bytes.length, 0);
    parts.push(length, bytes);
  }
  return leafHash(Buffer.concat(parts));
}

function selected(
  selection: Selection,
  language: string,
  fields: Readonly<Record<string, string>>,
): boolean {
  return selection.where.every(({ field, equals }) =>
    field === 'language' ? language === equals : fields[field] === equals,
  );
}

function domainOf(address: string): string {
  const canonical = canonicalAddress(address) ?? address;
  return canonical.slice(canonical.lastIndexOf('@') + 1);
}

/** 63 keyed bits: providers are counted and ordered by them without their names standing in SQL. */
function keyedNumber(key: KeyObject, purpose: string, value: string | Buffer): bigint {
  const mac = createHmac('sha256', key).update(`${purpose}\0`).update(value).digest();
  return mac.readBigUInt64BE(0) >> 1n;
}

class ProviderNames {
  readonly #key: KeyObject;
  readonly #salt: string;
  readonly #known = new Map<string, bigint>();

  constructor(key: KeyObject, salt: string) {
    this.#key = key;
    this.#salt = salt;
  }

  /** Keyed number of the provider behind an address; the last 10,000 names are kept. */
  number(address: string): { readonly name: string; readonly number: bigint } {
    const name = providerOf(domainOf(address));
    let found = this.#known.get(name);
    if (found === undefined) {
      found = keyedNumber(this.#key, `provider ${this.#salt}`, name);
      if (this.#known.size >= 10_000) this.#known.clear();
      this.#known.set(name, found);
    }
    return { name, number: found };
  }
}

async function* selectedRows(
  db: Queryable,
  keyring: Keyring,
  register: SealingKey,
  request: FreezeRequest,
  providers: ProviderNames,
): AsyncGenerator<Buffer> {
  const copy = new BinaryCopy(['int8', 'int2', 'text', 'int8', 'int8']);
  const { key } = keyring.blindIndex;
  for await (const rows of readBinaryCopy(db.copyOut(CUSTOMERS_COPY))) {
    for (const row of rows) {
      const [id, index, kind, language, sealed] = row as [Buffer, Buffer, Buffer, Buffer, Buffer];
      const record = openRecord(register, index, sealed);
      const wanted = language.toString('utf8');
      if (!selected(request.selection, wanted, record.fields)) continue;
      const choice = chooseCached(request, wanted);
      const chance = keyedNumber(key, `chance ${request.broadcast}`, index);
      copy.row(
        id.readBigInt64BE(0),
        kind.readInt16BE(0),
        choice,
        providers.number(record.address).number,
        chance,
      );
    }
    yield copy.take();
  }
}

const choices = new WeakMap<FreezeRequest, Map<string, string>>();

function chooseCached(request: FreezeRequest, wanted: string): string {
  let known = choices.get(request);
  if (known === undefined) {
    known = new Map();
    choices.set(request, known);
  }
  let language = known.get(wanted);
  if (language === undefined) {
    language = chooseLanguage(wanted, request.languages, request.defaultLanguage).language;
    if (known.size > 1000) known.clear();
    known.set(wanted, language);
  }
  return language;
}

/** Rows equal in address but not in data wait for a person's choice. */
async function settleDuplicates(
  tx: Transaction,
  keyring: Keyring,
  register: SealingKey,
  same: SameAddress,
): Promise<void> {
  for (const chosen of same.chosen)
    if (!(await keepOnlyRecord(tx, recordIndex(keyring.blindIndex, chosen))))
      throw new Fault('audience.no-such-record', `no selected customer has the id ${chosen}`, {
        where: '--same-address',
        remedy: 'name the record as its import did; nobody was left out',
      });
  if (same.each) return;
  const rows = await duplicateAddresses(tx, DUPLICATES_READ_MAX);
  if (rows.length === 0) return;
  const groups = new Map<string, string[]>();
  for (const row of rows) {
    const record = openRecord(register, row.record_index, row.sealed);
    const name = row.address_index.toString('hex');
    groups.set(name, [...(groups.get(name) ?? []), record.key]);
  }
  const named = [...groups.values()].slice(0, 10).map((keys) => keys.sort().join(' and '));
  const more = rows.length === DUPLICATES_READ_MAX ? 'at least ' : '';
  throw new Fault(
    'audience.same-address',
    `${more}${groups.size} address${groups.size === 1 ? ' stands' : 'es stand'} in several records with different data: ${named.join('; ')}`,
    {
      where: 'customers register, records by id',
      remedy:
        'choose: --same-address each (each record its own message) or --same-address ID (that record stands for its address)',
    },
  );
}

interface CopyContext {
  readonly tx: Transaction;
  readonly request: FreezeRequest;
  readonly register: SealingKey;
  readonly audience: SealingKey;
  readonly providers: ProviderNames;
  readonly named: ReadonlySet<bigint>;
  readonly tree: CompactRange;
}

async function* frozenRows(context: CopyContext, from: number, to: number): AsyncGenerator<Buffer> {
  const { tx, request, register, audience, providers, named, tree } = context;
  const encoder = new BinaryCopy([
    'text',
    'int4',
    'int2',
    'text',
    'text',
    'int2',
    'bytea',
    'bytea',
  ]);
  const rows: (readonly (Buffer | null)[])[] = [];
  for await (const batch of readBinaryCopy(tx.copyOut(frozenCustomersCopy(from, to))))
    rows.push(...batch);
  for (const row of rows) {
    const [place, index, kind, language, , ring, address, version, sealed] = row as Buffer[];
    const position = (place as Buffer).readInt32BE(0);
    const record = openRecord(register, index as Buffer, sealed as Buffer);
    const { name, number } = providers.number(record.address);
    const provider = named.has(number) ? name : OTHER_PROVIDER;
    const fields = [record.key, record.address, (version as Buffer).readInt32BE(0), record.fields];
    const resealed = seal(
      audience,
      TABLE,
      rowName(request.broadcast, position),
      Buffer.from(JSON.stringify(fields), 'utf8'),
    );
    tree.append(
      audienceLeaf([
        place as Buffer,
        kind as Buffer,
        language as Buffer,
        Buffer.from(provider),
        ring as Buffer,
        address as Buffer,
        resealed,
      ]),
    );
    encoder.row(
      request.broadcast,
      position,
      (kind as Buffer).readInt16BE(0),
      language as Buffer,
      provider,
      (ring as Buffer).readInt16BE(0),
      address as Buffer,
      resealed,
    );
  }
  yield encoder.take();
}

/**
 * Freezes an audience inside the caller's transaction.
 * @throws Fault `audience.empty`, `audience.same-address`.
 */
export async function freezeAudience(
  db: Database,
  tx: Transaction,
  keyring: Keyring,
  request: FreezeRequest,
): Promise<FreezeResult> {
  const register = await customersKey(db, keyring);
  const providers = new ProviderNames(keyring.blindIndex.key, request.broadcast);
  await createFreezeStaging(tx);
  // The register is read on another connection: one connection cannot copy both ways at once.
  await tx.copyIn(FREEZE_STAGING_COPY, selectedRows(db, keyring, register, request, providers));
  await settleDuplicates(tx, keyring, register, request.sameAddress);
  await orderFreeze(tx, PROVIDER_RECIPIENTS_MIN, request.ringsPerThousand);
  const count = await countFrozen(tx);
  if (count === 0)
    throw new Fault('audience.empty', 'the selection holds nobody', {
      remedy: 'import customers first, or loosen --where',
    });
  const context: CopyContext = {
    tx,
    request,
    register,
    audience: await newAudienceKey(tx, keyring, request.broadcast),
    providers,
    named: new Set(await namedProviders(tx)),
    tree: new CompactRange(),
  };
  for (let from = 0; from < count; from += RANGE) {
    const buffers: Buffer[] = [];
    for await (const buffer of frozenRows(context, from, from + RANGE)) buffers.push(buffer);
    await tx.copyIn(AUDIENCE_COPY, buffers);
    request.progress(Math.min(count, from + RANGE));
  }
  await indexAudience(tx, request.broadcast);
  return { count, digest: Buffer.from(context.tree.root()) };
}
