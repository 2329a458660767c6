/** Import: a file becomes sealed rows of the register, whole or not at all. */

import { Fault } from '../base/errors.ts';
import { newId } from '../base/id.ts';
import type { Keyring } from '../keys/keyring.ts';
import type { SealingKey } from '../keys/seal.ts';
import { appendEntry } from '../ledger/ledger.ts';
import { CANONICAL_VERSION, canonicalAddress, parseAddress } from '../mail/address.ts';
import { BinaryCopy } from '../store/copy-binary.ts';
import { announceImport } from '../store/customer-hashes.ts';
import {
  conflictingImportLines,
  createImportStaging,
  IMPORT_STAGING_COPY,
  insertImport,
  mergeImport,
} from '../store/customers.ts';
import type { Database } from '../store/database.ts';
import { type ColumnNames, readRecords } from './read-records.ts';
import {
  type CustomerRecord,
  customersKey,
  indexesOf,
  KINDS,
  type RecipientKind,
  sealRecord,
} from './record.ts';

export interface ImportSource {
  readonly bytes: AsyncIterable<Uint8Array>;
  readonly file: string;
  readonly format: 'csv' | 'jsonl';
  readonly columns: ColumnNames;
  /** The language of records that name none. */
  readonly defaultLanguage: string;
}

export interface Rejection {
  readonly line: number;
  readonly reason: string;
}

export interface ImportReport {
  readonly import: string;
  readonly read: number;
  readonly added: number;
  readonly changed: number;
  readonly unchanged: number;
  readonly rejected: number;
}

export interface ImportEvents {
  rejected(rejection: Rejection): void;
  progress(rows: number): void;
  /** Called when the file has been read and nothing is stored yet; throws to give the import up. */
  beforeCommit(): void;
}

const BATCH_ROWS = 2000;

type Judged =
  | { readonly kind: 'record'; readonly record: CustomerRecord; readonly canonical: string }
  | { readonly kind: 'rejected'; readonly reason: string };

function blankCell(file: string, line: number, column: string): Fault {
  return new Fault('customers.blank-cell', `the cell "${column}" is blank`, {
    where: `${file} line ${line}`,
    remedy:
      'a blank cell is how a column comes to stand shifted against the others: check the rows around it, then fill the cell or remove the row',
  });
}

/** Turns cells into a record. A blank key or address stops the whole import; a malformed one rejects the row. */
function judgeRecord(
  source: ImportSource,
  line: number,
  values: Readonly<Record<string, string>>,
  fieldNames: readonly string[],
): Judged {
  const { columns, file } = source;
  const key = (values[columns.key] ?? '').trim();
  const text = (values[columns.address] ?? '').trim();
  if (key === '') throw blankCell(file, line, columns.key);
  if (text === '') throw blankCell(file, line, columns.address);
  const reading = parseAddress(text);
  if (reading.kind === 'invalid') return { kind: 'rejected', reason: reading.reason };
  const canonical = canonicalAddress(reading.address.text);
  if (canonical === null) return { kind: 'rejected', reason: 'the address has no canonical form' };
  const kind = (values[columns.kind] ?? '').trim() || 'customer';
  if (!KINDS.includes(kind as RecipientKind))
    return { kind: 'rejected', reason: `the kind is not one of ${KINDS.join(', ')}` };
  const language = (values[columns.language] ?? '').trim() || source.defaultLanguage;
  if (!/^[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*$/.test(language))
    return { kind: 'rejected', reason: 'the language is no BCP 47 tag' };
  const fields: Record<string, string> = {};
  for (const name of fieldNames) {
    const value = values[name];
    if (value !== undefined && value !== '') fields[name] = value;
  }
  const record = {
    key,
    address: reading.address.text,
    kind: kind as RecipientKind,
    language,
    fields,
  };
  return { kind: 'record', record, canonical };
}

interface Counts {
  read: number;
  rejected: number;
}

async function* stagedRows(
  source: ImportSource,
  keyring: Keyring,
  key: SealingKey,
  events: ImportEvents,
  counts: Counts,
): AsyncGenerator<Buffer> {
  const copy = new BinaryCopy(['int4', 'bytea', 'bytea', 'bytea', 'int2', 'text', 'bytea']);
  const own = new Set([source.columns.address, source.columns.language, source.columns.kind]);
  let names: readonly string[] = [];
  let inBatch = 0;
  for await (const { line, values } of readRecords(
    source.bytes,
    source.file,
    source.format,
    source.columns,
  )) {
    counts.read++;
    // Names sorted, the record key among them: templates may show it, and equal data is equal text.
    if (source.format === 'jsonl' || names.length === 0)
      names = Object.keys(values)
        .filter((name) => !own.has(name))
        .sort();
    const judged = judgeRecord(source, line, values, names);
    if (judged.kind === 'rejected') {
      counts.rejected++;
      events.rejected({ line, reason: judged.reason });
      continue;
    }
    const { record, canonical } = judged;
    const indexes = indexesOf(keyring.blindIndex, record, canonical);
    const sealed = sealRecord(key, indexes.record, record);
    copy.row(
      line,
      indexes.record,
      indexes.address,
      indexes.data,
      KINDS.indexOf(record.kind),
      record.language,
      sealed,
    );
    if (++inBatch < BATCH_ROWS) continue;
    inBatch = 0;
    events.progress(counts.read);
    yield copy.take();
  }
  events.progress(counts.read);
  yield copy.take();
}

/**
 * Imports one file in one transaction: either every row that is not rejected is stored, or none.
 * @throws Fault `customers.*` for what makes the file as a whole untrustworthy, naming line and remedy.
 */
export async function importCustomers(
  db: Database,
  keyring: Keyring,
  operator: string,
  source: ImportSource,
  events: ImportEvents,
): Promise<ImportReport> {
  const key = await customersKey(db, keyring);
  return db.transaction(async (tx) => {
    await createImportStaging(tx);
    const counts: Counts = { read: 0, rejected: 0 };
    await tx.copyIn(IMPORT_STAGING_COPY, stagedRows(source, keyring, key, events, counts));
    if (counts.read === 0)
      throw new Fault('customers.empty', 'the file holds no records', {
        where: source.file,
        remedy: 'the first line names the columns, each further line is one customer',
      });
    for (const { line, first_line } of await conflictingImportLines(tx)) {
      counts.rejected++;
      events.rejected({
        line,
        reason: `the record key stands on line ${first_line} with other data`,
      });
    }
    await announceImport(tx);
    const merged = await mergeImport(tx);
    events.beforeCommit();
    const report: ImportReport = {
      import: newId('i'),
      read: counts.read,
      added: merged.added,
      changed: merged.changed,
      unchanged: merged.distinct - merged.added - merged.changed,
      rejected: counts.rejected,
    };
    await insertImport(tx, { ...report, id: report.import, operator });
    await appendEntry(tx, {
      kind: 'customers.imported',
      at: new Date().toISOString(),
      by: operator,
      subject: report.import,
      data: { ...report, canonicalVersion: CANONICAL_VERSION },
    });
    return report;
  });
}
