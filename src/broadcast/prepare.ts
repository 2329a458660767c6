/** Prepare: every message of a broadcast is rendered, inspected and bound into a leaf before anybody can approve it. */

import { Fault } from '../base/errors.ts';
import type { Keyring } from '../keys/keyring.ts';
import { appendEntry } from '../ledger/ledger.ts';
import { leafHash, merkleRoot } from '../ledger/tree.ts';
import { audienceCopy } from '../store/audiences.ts';
import { indexPrepared, insertBlock, listBlocks, PREPARED_COPY } from '../store/blocks.ts';
import { addPreparer, setBroadcastState, setManifest } from '../store/broadcasts.ts';
import { cutChunks } from '../store/chunks.ts';
import { decodeBinaryCopy } from '../store/copy-binary.ts';
import type { Database } from '../store/database.ts';
import { audienceLeaf } from './audience.ts';
import { collect, inParallel, openBlockPool } from './block-pool.ts';
import type { BlockedRow } from './block-worker.ts';
import { type Broadcast, loadBroadcast, transition } from './broadcast.ts';
import { BLOCK_LEAVES } from './chunk-loader.ts';

export interface PrepareRequest {
  readonly broadcast: string;
  readonly operator: string;
  readonly stagesModule: string;
  progress(done: number, of: number): void;
  /** True once the work should stop; what is prepared stays and the next prepare goes on from there. */
  cancelled(): boolean;
}

export type PrepareReport =
  | { readonly kind: 'prepared'; readonly count: number; readonly manifestRoot: string }
  | {
      readonly kind: 'blocked';
      readonly count: number;
      readonly blocked: number;
      readonly rows: readonly BlockedRow[];
    };

const BLOCKED_LISTED_MAX = 20;

interface Progress {
  readonly roots: Map<number, Buffer>;
  readonly audienceRoots: Map<number, Buffer>;
  blocked: number;
  readonly rows: BlockedRow[];
  done: number;
}

async function prepareBlock(
  db: Database,
  pool: Awaited<ReturnType<typeof openBlockPool>>['pool'],
  request: PrepareRequest,
  broadcast: Broadcast,
  block: number,
  progress: Progress,
): Promise<void> {
  if (request.cancelled()) throw new Fault('prepare.cancelled', 'the preparation was stopped');
  const from = block * BLOCK_LEAVES;
  const rows = await collect(db.copyOut(audienceCopy(broadcast.id, from, from + BLOCK_LEAVES)));
  const result = await pool.run({ kind: 'prepare', rows }, [rows.buffer]);
  const root = Buffer.from(result.root);
  progress.audienceRoots.set(block, Buffer.from(result.audienceRoot));
  if (result.blockedCount > 0) {
    progress.blocked += result.blockedCount;
    progress.rows.push(...result.blocked);
  } else {
    await db.transaction(async (tx) => {
      await tx.copyIn(PREPARED_COPY, [result.rows]);
      await insertBlock(tx, broadcast.id, { block, count: result.count, root });
    });
    progress.roots.set(block, root);
  }
  progress.done += result.count;
  request.progress(progress.done, broadcast.count);
}

/** Blocks prepared before a restart are not rendered again, but their audience rows are part of the digest. */
async function audienceRootOf(db: Database, id: string, block: number): Promise<Buffer> {
  const from = block * BLOCK_LEAVES;
  const rows = decodeBinaryCopy(
    await collect(db.copyOut(audienceCopy(id, from, from + BLOCK_LEAVES))),
  );
  return merkleRoot(rows.map((row) => audienceLeaf(row)));
}

async function finish(
  db: Database,
  request: PrepareRequest,
  manifestRoot: Buffer,
  now: Date,
): Promise<void> {
  await db.transaction(async (tx) => {
    const broadcast = await loadBroadcast(tx, request.broadcast, true);
    await setManifest(tx, broadcast.id, manifestRoot);
    await setBroadcastState(tx, broadcast.id, transition(broadcast.state, 'prepared'), null);
    await indexPrepared(tx, broadcast.id);
    await cutChunks(tx, broadcast.id, BLOCK_LEAVES);
    await appendEntry(tx, {
      kind: 'broadcast.prepared',
      at: now.toISOString(),
      by: request.operator,
      subject: broadcast.id,
      data: {
        broadcast: broadcast.id,
        count: broadcast.count,
        manifestRoot: manifestRoot.toString('base64'),
      },
    });
  });
}

/**
 * Prepares all messages of a frozen broadcast; goes on where a killed run stopped.
 * A customer whose message cannot be made or does not pass blocks the broadcast and is named by record.
 * @throws Fault `broadcast.wrong-state`, `broadcast.altered`.
 */
export async function prepareBroadcast(
  db: Database,
  keyring: Keyring,
  request: PrepareRequest,
): Promise<PrepareReport> {
  const broadcast = await loadBroadcast(db, request.broadcast);
  transition(broadcast.state, 'prepared');
  await addPreparer(db, broadcast.id, request.operator);
  const blocks = Math.ceil(broadcast.count / BLOCK_LEAVES);
  const known = await listBlocks(db, broadcast.id);
  const progress: Progress = {
    roots: new Map(known.map((row) => [row.block, row.root])),
    audienceRoots: new Map(),
    blocked: 0,
    rows: [],
    done: known.reduce((sum, row) => sum + row.count, 0),
  };
  for (const { block } of known)
    progress.audienceRoots.set(block, await audienceRootOf(db, broadcast.id, block));
  const open = Array.from({ length: blocks }, (_, block) => block).filter(
    (block) => !progress.roots.has(block),
  );
  const { pool } = await openBlockPool(db, keyring, broadcast, request.stagesModule);
  try {
    await inParallel(open, 2 * pool.size, (block) =>
      prepareBlock(db, pool, request, broadcast, block, progress),
    );
  } finally {
    await pool.close();
  }
  if (progress.blocked > 0) {
    const rows = progress.rows.sort((a, b) => a.position - b.position).slice(0, BLOCKED_LISTED_MAX);
    return { kind: 'blocked', count: broadcast.count, blocked: progress.blocked, rows };
  }
  const inOrder = (roots: Map<number, Buffer>): Buffer[] =>
    Array.from({ length: blocks }, (_, block) => roots.get(block) ?? leafHash(Buffer.alloc(0)));
  if (!merkleRoot(inOrder(progress.audienceRoots)).equals(broadcast.audienceDigest))
    throw new Fault('broadcast.altered', 'the audience is not the one that was frozen', {
      where: broadcast.id,
      remedy: 'the database was changed: make a new broadcast',
    });
  const manifestRoot = merkleRoot(inOrder(progress.roots));
  await finish(db, request, manifestRoot, new Date());
  return {
    kind: 'prepared',
    count: broadcast.count,
    manifestRoot: manifestRoot.toString('base64'),
  };
}
