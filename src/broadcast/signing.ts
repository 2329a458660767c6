/** A signing run: Date and DKIM-Signature of one ring, made in the thread pool before the ring opens. */

import { Fault } from '../base/errors.ts';
import { appendEntry } from '../ledger/ledger.ts';
import { merkleRoot } from '../ledger/tree.ts';
import {
  dropUnfinishedSigning,
  indexSigned,
  insertSigningBlock,
  insertSigningRun,
  listSigningBlocks,
  listSigningRuns,
  preparedCopy,
  SIGNED_COPY,
} from '../store/blocks.ts';
import type { Database } from '../store/database.ts';
import { type BlockSetup, collect, inParallel } from './block-pool.ts';
import type { Broadcast } from './broadcast.ts';
import { BLOCK_LEAVES } from './chunk-loader.ts';
import type { RingPlan } from './rings.ts';

/** Decision: a Date is at most 3 h old when content is written. */
export const SIGNATURE_AGE_MS_MAX: number = 3 * 3_600_000;

export interface SigningRun {
  readonly run: number;
  readonly root: Buffer;
  readonly signedAtMs: number;
  /** Of the key that signed. */
  readonly selector: string;
}

export interface SigningRequest {
  readonly broadcast: Broadcast;
  readonly ring: RingPlan;
  /** Digest of the approval document that this run stands on. */
  readonly approval: string;
  readonly operator: string;
  progress(done: number, of: number): void;
  cancelled(): boolean;
}

interface Part {
  readonly block: number;
  readonly first: number;
  readonly end: number;
}

/** The parts of aligned blocks that a ring covers. */
function partsOf(ring: RingPlan): Part[] {
  const parts: Part[] = [];
  const end = ring.first + ring.count;
  for (let first = ring.first; first < end; ) {
    const block = Math.floor(first / BLOCK_LEAVES);
    const next = Math.min(end, (block + 1) * BLOCK_LEAVES);
    parts.push({ block, first, end: next });
    first = next;
  }
  return parts;
}

/** The newest run over this ring that is young enough to send from; null when the ring must be signed (again). */
export async function usableRun(
  db: Database,
  broadcast: string,
  ring: number,
  nowMs: number,
  ageMsMax: number = SIGNATURE_AGE_MS_MAX,
): Promise<SigningRun | null> {
  const runs = await listSigningRuns(db, broadcast);
  const run = runs.findLast((candidate) => candidate.ring === ring);
  if (run === undefined || nowMs - run.signed_at.getTime() > ageMsMax) return null;
  return {
    run: run.run,
    root: run.root,
    signedAtMs: run.signed_at.getTime(),
    selector: run.selector,
  };
}

/** Signs one ring; its digests enter the ledger under the approval. */
export async function signRing(
  db: Database,
  setup: BlockSetup,
  request: SigningRequest,
  nowMs: number,
): Promise<SigningRun> {
  const { broadcast, ring } = request;
  const run = await dropUnfinishedSigning(db, broadcast.id);
  // Whole seconds: the Date field and t= say the same.
  const atMs = Math.floor(nowMs / 1000) * 1000;
  let done = 0;
  await indexSigned(db, broadcast.id);
  await inParallel(partsOf(ring), 2 * setup.pool.size, async ({ block, first, end }) => {
    if (request.cancelled()) throw new Fault('signing.cancelled', 'the signing run was stopped');
    const rows = await collect(db.copyOut(preparedCopy(broadcast.id, first, end)));
    const result = await setup.pool.run({ kind: 'sign', rows, run, atMs }, [rows.buffer]);
    if (result.count !== end - first)
      throw new Fault('broadcast.altered', 'prepared messages are missing', {
        where: `rows ${first} to ${end - 1}`,
      });
    await db.transaction(async (tx) => {
      await tx.copyIn(SIGNED_COPY, [result.rows]);
      const root = Buffer.from(result.root);
      await insertSigningBlock(tx, broadcast.id, run, { block, first, count: result.count, root });
    });
    done += result.count;
    request.progress(done, ring.count);
  });
  const blocks = await listSigningBlocks(db, broadcast.id, run);
  const root = merkleRoot(blocks.map((row) => row.root));
  await db.transaction(async (tx) => {
    await insertSigningRun(tx, broadcast.id, {
      run,
      ring: ring.ring,
      signed_at: new Date(atMs),
      selector: setup.selector,
      first: ring.first,
      count: ring.count,
      root,
    });
    await appendEntry(tx, {
      kind: 'broadcast.signed',
      at: new Date(nowMs).toISOString(),
      by: request.operator,
      subject: broadcast.id,
      data: {
        broadcast: broadcast.id,
        run,
        ring: ring.ring,
        count: ring.count,
        signedRoot: root.toString('base64'),
        selector: setup.selector,
        approval: request.approval,
      },
    });
  });
  return { run, root, signedAtMs: atMs, selector: setup.selector };
}
