/**
 * The bundle: the whole ledger as JSON Lines, for `verify/verify.mjs` and anybody else.
 * Invariant: the last checkpoint in it covers exactly the entries in it.
 */

import type { Json } from '../base/canonical-json.ts';
import { Fault } from '../base/errors.ts';
import type { Database } from '../store/database.ts';
import {
  type CheckpointRow,
  checkpointsAfter,
  lastCheckpoint,
  placedEntries,
  sizeBeforeLastCheckpoints,
} from '../store/ledger-entries.ts';
import { parseVerifierKey } from './checkpoint.ts';
import type { LedgerEntry } from './entry.ts';

export interface PlacedLedgerEntry extends LedgerEntry {
  readonly index: number;
}

export interface Leaves {
  /** Position of the first. */
  readonly first: number;
  /** 32 bytes each. */
  readonly leaves: readonly Uint8Array[];
}

export interface BundleOptions {
  /** The ledger's verifier key (`verifierKey` of checkpoint.ts); its name is the origin. */
  readonly vkey: string;
  readonly exportedAt: Date;
  /** How many of the last checkpoints; all unless told. At least one is given. */
  readonly checkpoints?: number;
  readonly extra?: {
    /** The rows that an entry made by `appendBatch` stands for, as they were hashed; null leaves them out. */
    readonly rows?: (entry: PlacedLedgerEntry) => Promise<readonly string[] | null>;
    /** The leaves of an approved broadcast, in order; null leaves them out. */
    readonly leaves?: (broadcast: string) => AsyncIterable<Leaves> | Iterable<Leaves> | null;
  };
}

const PAGE = 5_000;
/** As many leaves in one line; a line is then about 350 KB. */
const LEAVES_PER_LINE = 8_192;

const line = (value: { readonly [key: string]: Json }): string => `${JSON.stringify(value)}\n`;

/**
 * Lines of the bundle, each with its line feed. Call `flush()` of the sequencer first to have everything in it.
 * @throws Fault `ledger.empty` when nothing was ever signed.
 */
export async function* exportBundle(db: Database, options: BundleOptions): AsyncIterable<string> {
  const { vkey, exportedAt, extra = {} } = options;
  const last = await lastCheckpoint(db);
  if (last === null)
    throw new Fault('ledger.empty', 'the ledger has no checkpoint yet', {
      remedy: 'start the server once: it signs the first',
    });
  yield line({
    type: 'bundle',
    version: 1,
    origin: parseVerifierKey(vkey)?.name ?? '',
    vkey,
    exportedAt: exportedAt.toISOString(),
  });
  const approved = new Set<string>();
  for await (const { leaf_index: index, bytes } of entriesUpTo(db, last.size)) {
    yield line({ type: 'entry', index, bytes });
    const entry: PlacedLedgerEntry = { ...(JSON.parse(bytes) as LedgerEntry), index };
    if (entry.kind === 'broadcast.approved') approved.add(entry.subject);
    const rows = isBatch(entry) ? ((await extra.rows?.(entry)) ?? null) : null;
    if (rows !== null) yield line({ type: 'rows', entry: index, rows });
  }
  for (const broadcast of approved) {
    const leaves = extra.leaves?.(broadcast) ?? null;
    if (leaves !== null) yield* leafLines(broadcast, leaves);
  }
  for await (const { note } of checkpointsUpTo(db, last, options.checkpoints))
    yield line({ type: 'checkpoint', note });
}

function isBatch({ data }: LedgerEntry): boolean {
  return data !== null && typeof data === 'object' && 'count' in data && 'root' in data;
}

async function* entriesUpTo(
  db: Database,
  size: number,
): AsyncIterable<{ leaf_index: number; bytes: string }> {
  for (let from = 0; from < size; from += PAGE)
    yield* await placedEntries(db, from, Math.min(PAGE, size - from));
}

async function* checkpointsUpTo(
  db: Database,
  last: CheckpointRow,
  count: number | undefined,
): AsyncIterable<CheckpointRow> {
  let after =
    count === undefined ? -1 : await sizeBeforeLastCheckpoints(db, last.size, Math.max(1, count));
  while (after < last.size) {
    const page = await checkpointsAfter(db, after, PAGE);
    for (const checkpoint of page) if (checkpoint.size <= last.size) yield checkpoint;
    after = page.at(-1)?.size ?? last.size;
  }
}

async function* leafLines(
  broadcast: string,
  source: AsyncIterable<Leaves> | Iterable<Leaves>,
): AsyncIterable<string> {
  for await (const { first, leaves } of source) {
    for (let from = 0; from < leaves.length; from += LEAVES_PER_LINE) {
      const part = Buffer.concat(leaves.slice(from, from + LEAVES_PER_LINE));
      yield line({
        type: 'leaves',
        broadcast,
        first: first + from,
        leaves: part.toString('base64'),
      });
    }
  }
}
