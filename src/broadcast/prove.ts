/** The proof: the ledger with the rows and leaves behind its entries, for the one-file verifier. */

import { verdictText } from '../guard/verdict-book.ts';
import type { Keyring } from '../keys/keyring.ts';
import { verifierKey } from '../ledger/checkpoint.ts';
import { exportBundle, type Leaves, type PlacedLedgerEntry } from '../ledger/export.ts';
import { blockLeaves } from '../store/blocks.ts';
import type { Database } from '../store/database.ts';
import { outcomeBatch } from '../store/outcomes.ts';
import { verdictBatch } from '../store/verdicts.ts';
import { loadBroadcast } from './broadcast.ts';
import { BLOCK_LEAVES } from './chunk-loader.ts';
import { outcomeText, STATES } from './outcome.ts';

async function rowsBehind(db: Database, entry: PlacedLedgerEntry): Promise<string[] | null> {
  const data = entry.data as { readonly broadcast?: string; readonly batch?: number };
  if (data.batch === undefined) return null;
  if (entry.kind === 'verdicts.recorded')
    return (await verdictBatch(db, data.batch)).map(verdictText);
  if (entry.kind !== 'outcomes.recorded' || data.broadcast === undefined) return null;
  const rows = await outcomeBatch(db, data.broadcast, data.batch);
  return rows.map((row) =>
    outcomeText({
      position: row.position,
      attempt: row.attempt,
      state: STATES[row.state] ?? 'uncertain',
      code: row.code,
      enhanced: row.enhanced,
      reply: '',
      atMs: row.at.getTime(),
    }),
  );
}

async function* leavesOf(db: Database, id: string): AsyncGenerator<Leaves> {
  const { count } = await loadBroadcast(db, id);
  for (let first = 0; first < count; first += BLOCK_LEAVES) {
    const packed = await blockLeaves(db, id, null, first / BLOCK_LEAVES, BLOCK_LEAVES);
    const leaves: Buffer[] = [];
    for (let at = 4; at < packed.length; at += 36) leaves.push(packed.subarray(at, at + 32));
    yield { first, leaves };
  }
}

/** The bundle as lines. Call the sequencer's `flush()` first, so that everything is in it. */
export function proofBundle(
  db: Database,
  keyring: Keyring,
  origin: string,
  now: Date,
): AsyncIterable<string> {
  return exportBundle(db, {
    vkey: verifierKey(origin, keyring.ledger.publicKey),
    exportedAt: now,
    extra: {
      rows: (entry) => rowsBehind(db, entry),
      leaves: (broadcast) => leavesOf(db, broadcast),
    },
  });
}
