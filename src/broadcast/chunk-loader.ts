/**
 * Loads a chunk's rows and checks them against what was approved and what was signed, before its first message.
 * Invariant: a row whose leaf is not under the approved manifest root, or not under its signing run's root, is never sent.
 */

import { Fault } from '../base/errors.ts';
import { open, type SealingKey } from '../keys/seal.ts';
import { merkleRoot } from '../ledger/tree.ts';
import { blockLeaves, listBlocks, listSigningBlocks, releaseCopy } from '../store/blocks.ts';
import type { ChunkRow } from '../store/chunks.ts';
import { decodeBinaryCopy } from '../store/copy-binary.ts';
import type { Queryable } from '../store/database.ts';
import { rowName } from './audience.ts';
import type { CompiledNotice } from './compile.ts';
import type { Outgoing } from './delivery/outgoing.ts';
import { assemble, leafOf, signedSlots, unpackPrepared, unpackSigned } from './prepared-message.ts';

export const BLOCK_LEAVES = 1024;
const BLOCKS_KEPT = 6;

export interface ChunkLoaderOptions {
  readonly db: Queryable;
  readonly broadcast: string;
  readonly count: number;
  readonly key: SealingKey;
  readonly compiled: CompiledNotice;
  readonly messageIdDomain: string;
  /** Of the approval document. */
  readonly manifestRoot: Buffer;
}

/** A row as it waits: sealed until the moment it is sent. */
export interface WaitingRow {
  readonly position: number;
  readonly attempt: number;
  readonly chunk: number;
  readonly run: number;
  readonly prepared: Buffer;
  readonly signed: Buffer;
  readonly signedLeaf: Buffer;
}

function altered(where: string): Fault {
  return new Fault('broadcast.altered', 'a prepared message is not the one that was approved', {
    where,
    remedy: 'the database was changed after the approval: nothing more is released',
  });
}

export class ChunkLoader {
  readonly #options: ChunkLoaderOptions;
  readonly #blockRoots: readonly Buffer[];
  readonly #verified = new Map<string, Buffer>();
  readonly #signingRoots = new Map<number, ReadonlyMap<number, Buffer>>();

  private constructor(options: ChunkLoaderOptions, blockRoots: readonly Buffer[]) {
    this.#options = options;
    this.#blockRoots = blockRoots;
  }

  /** @throws Fault `broadcast.altered` when the stored blocks are not those that were approved. */
  static async open(options: ChunkLoaderOptions): Promise<ChunkLoader> {
    const blocks = await listBlocks(options.db, options.broadcast);
    const roots = blocks.map((block) => block.root);
    if (!merkleRoot(roots).equals(options.manifestRoot)) throw altered('the manifest');
    return new ChunkLoader(options, roots);
  }

  /** Signed leaves of one block under one run; the run's blocks are checked against its ledger entry's root first. */
  async #signedRoot(run: number, block: number, runRoot: Buffer): Promise<Buffer> {
    let roots = this.#signingRoots.get(run);
    if (roots === undefined) {
      const rows = await listSigningBlocks(this.#options.db, this.#options.broadcast, run);
      if (!merkleRoot(rows.map((row) => row.root)).equals(runRoot))
        throw altered(`signing run ${run}`);
      roots = new Map(rows.map((row) => [row.block, row.root]));
      this.#signingRoots.set(run, roots);
    }
    const root = roots.get(block);
    if (root === undefined) throw altered(`signing run ${run} block ${block}`);
    return root;
  }

  async #leaves(block: number, run: number | null, root: Buffer): Promise<Buffer> {
    const name = `${block}/${run ?? 'prepared'}`;
    const known = this.#verified.get(name);
    if (known !== undefined) return known;
    const { db, broadcast } = this.#options;
    const leaves = await blockLeaves(db, broadcast, run, block, BLOCK_LEAVES);
    const list: Buffer[] = [];
    for (let at = 4; at < leaves.length; at += 36) list.push(leaves.subarray(at, at + 32));
    if (!merkleRoot(list).equals(root)) throw altered(`block ${block}`);
    if (this.#verified.size >= BLOCKS_KEPT * 2)
      this.#verified.delete(this.#verified.keys().next().value as string);
    this.#verified.set(name, leaves);
    return leaves;
  }

  /** The rows of a chunk in order, every leaf checked. */
  async load(
    chunk: ChunkRow,
    run: { readonly run: number; readonly root: Buffer },
  ): Promise<WaitingRow[]> {
    const { db, broadcast } = this.#options;
    const wanted = chunk.positions === null ? null : new Set(chunk.positions);
    const ranges =
      chunk.positions === null
        ? [[chunk.first, chunk.first + chunk.count] as const]
        : rangesOf(chunk.positions);
    const rows: WaitingRow[] = [];
    for (const [from, to] of ranges) {
      const buffers: Buffer[] = [];
      for await (const piece of db.copyOut(releaseCopy(broadcast, run.run, from, to)))
        buffers.push(piece);
      for (const row of decodeBinaryCopy(Buffer.concat(buffers))) {
        const position = (row[0] as Buffer).readInt32BE(0);
        if (wanted === null || wanted.has(position))
          rows.push(await this.#checked(row, position, chunk, run));
      }
    }
    if (rows.length !== chunk.count) throw altered(`chunk ${chunk.chunk}: rows are missing`);
    return rows;
  }

  async #checked(
    row: readonly (Buffer | null)[],
    position: number,
    chunk: ChunkRow,
    run: { readonly run: number; readonly root: Buffer },
  ): Promise<WaitingRow> {
    const [, leaf, prepared, signedLeaf, signed] = row;
    if (signedLeaf === null || signedLeaf === undefined || signed === null || signed === undefined)
      throw altered(`row ${position}: not signed`);
    const block = Math.floor(position / BLOCK_LEAVES);
    const root = this.#blockRoots[block];
    if (root === undefined) throw altered(`row ${position}`);
    const leaves =
      this.#verified.get(`${block}/prepared`) ?? (await this.#leaves(block, null, root));
    const signedLeaves =
      this.#verified.get(`${block}/${run.run}`) ??
      (await this.#leaves(block, run.run, await this.#signedRoot(run.run, block, run.root)));
    if (!holds(leaves, position, leaf as Buffer) || !holds(signedLeaves, position, signedLeaf))
      throw altered(`row ${position}`);
    return {
      position,
      attempt: chunk.attempt,
      chunk: chunk.chunk,
      run: run.run,
      prepared: prepared as Buffer,
      signed,
      signedLeaf,
    };
  }

  /** Opens the seals of one row and joins the message. Nothing is rendered. */
  outgoing(row: WaitingRow): Outgoing {
    const { broadcast, key, compiled } = this.#options;
    const name = rowName(broadcast, row.position);
    const record = unpackPrepared(open(key, 'prepared', name, row.prepared));
    const signed = unpackSigned(open(key, 'signed', `${name}/${row.run}`, row.signed));
    if (!leafOf(record.nonce, signed.digest).equals(row.signedLeaf)) throw altered(name);
    const layout = compiled.languages[record.language]?.layout;
    if (layout === undefined) throw altered(name);
    const messageId = (record.slots[3] as Buffer).toString('latin1');
    return {
      position: row.position,
      attempt: row.attempt,
      chunk: row.chunk,
      bytes: assemble(layout, signedSlots(record, signed)),
      returnPath: record.returnPath,
      reader: record.reader,
      smtpUtf8: record.smtpUtf8,
      leaf: {
        reader: record.reader,
        digest: signed.digest,
        own: [messageId, record.returnPath],
      },
    };
  }
}

/** Leaves come as position (4 bytes) and hash (32 bytes), in order. */
function holds(leaves: Buffer, position: number, leaf: Buffer): boolean {
  const first = leaves.readUInt32BE(0);
  const at = (position - first) * 36;
  if (at < 0 || at + 36 > leaves.length || leaves.readUInt32BE(at) !== position) return false;
  return leaves.compare(leaf, 0, 32, at + 4, at + 36) === 0;
}

/** Positions in as few ranges as are worth a query: gaps of up to 64 rows are read over. */
export function rangesOf(positions: readonly number[]): readonly (readonly [number, number])[] {
  const ranges: [number, number][] = [];
  for (const position of [...positions].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last !== undefined && position - last[1] <= 64) last[1] = position + 1;
    else ranges.push([position, position + 1]);
  }
  return ranges;
}
