/**
 * The ledger's door: an entry is written in the transaction of the deed it tells of, so that neither exists without the other.
 * Entries have no place in the tree yet; the sequencer gives them one after the commit.
 */

import { canonicalJson } from '../base/canonical-json.ts';
import { Fault } from '../base/errors.ts';
import type { Transaction } from '../store/database.ts';
import { insertLedgerEntry, type NewLedgerEntry } from '../store/ledger-entries.ts';
import type { BatchEntry, LedgerEntry } from './entry.ts';
import { leafHash, merkleRoot } from './tree.ts';

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/**
 * Writes one entry as canonical JSON (RFC 8785).
 * @throws Fault `ledger.entry` when a field is missing or the time is not ISO UTC with milliseconds.
 */
export async function appendEntry(tx: Transaction, entry: LedgerEntry): Promise<void> {
  await insertLedgerEntry(tx, written(entry));
}

/**
 * Writes the one entry of a committed batch: its data with `count` and `root` (base64 RFC 6962 root over the rows' leaf
 * hashes, in order). The rows are stored by the caller, in the same transaction.
 */
export async function appendBatch(
  tx: Transaction,
  entry: BatchEntry,
  rows: readonly Uint8Array[],
): Promise<void> {
  await insertLedgerEntry(tx, batchEntry(entry, rows));
}

/** The same entry, not yet written: for a statement that stores the rows and their entry at once. */
export function batchEntry(entry: BatchEntry, rows: readonly Uint8Array[]): NewLedgerEntry {
  const root = merkleRoot(rows.map(leafHash)).toString('base64');
  return written({ ...entry, data: { ...entry.data, count: rows.length, root } });
}

function written({ kind, at, by, subject, data }: LedgerEntry): NewLedgerEntry {
  if (kind === '' || by === '' || subject === '')
    throw new Fault('ledger.entry', 'an entry needs a kind, a subject and who did it');
  if (!TIME.test(at)) throw new Fault('ledger.entry', `the time of "${kind}" is not ISO UTC`);
  return { kind, subject, bytes: canonicalJson({ kind, at, by, subject, data }) };
}
