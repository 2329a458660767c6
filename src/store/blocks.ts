/** Prepared blocks and signing runs: rows and the roots of them. */

import type { Queryable, Transaction } from './database.ts';
import { partition } from './partition.ts';

export interface BlockRow {
  readonly block: number;
  readonly count: number;
  readonly root: Buffer;
}

export function listBlocks(db: Queryable, id: string): Promise<BlockRow[]> {
  return db.query(
    'SELECT block, count, root FROM prepared_block WHERE broadcast_id = $1 ORDER BY block',
    [id],
  );
}

export async function insertBlock(tx: Transaction, id: string, row: BlockRow): Promise<void> {
  await tx.query(
    'INSERT INTO prepared_block (broadcast_id, block, count, root) VALUES ($1, $2, $3, $4)',
    [id, row.block, row.count, row.root],
  );
}

export const PREPARED_COPY =
  'COPY prepared (broadcast_id, position, leaf, sealed) FROM STDIN (FORMAT BINARY)';

export async function indexPrepared(tx: Queryable, id: string): Promise<void> {
  await tx.query(`CREATE UNIQUE INDEX IF NOT EXISTS ${partition('prepared_at', id)}
    ON ${partition('prepared', id)} (position)`);
}

export async function indexSigned(tx: Queryable, id: string): Promise<void> {
  await tx.query(`CREATE UNIQUE INDEX IF NOT EXISTS ${partition('signed_at', id)}
    ON ${partition('signed', id)} (run, position)`);
}

/** position, leaf, sealed */
export function preparedCopy(id: string, from: number, to: number): string {
  return `COPY (SELECT position, leaf, sealed FROM ${partition('prepared', id)}
      WHERE position >= ${Math.trunc(from)} AND position < ${Math.trunc(to)}
      ORDER BY position) TO STDOUT (FORMAT BINARY)`;
}

export const SIGNED_COPY =
  'COPY signed (broadcast_id, position, run, leaf, sealed) FROM STDIN (FORMAT BINARY)';

/** position, prepared leaf, prepared sealed, signed leaf, signed sealed; the signed ones null where there are none. */
export function releaseCopy(id: string, run: number, from: number, to: number): string {
  return `COPY (SELECT p.position, p.leaf, p.sealed, s.leaf, s.sealed
       FROM ${partition('prepared', id)} p
       LEFT JOIN ${partition('signed', id)} s ON s.position = p.position AND s.run = ${Math.trunc(run)}
      WHERE p.position >= ${Math.trunc(from)} AND p.position < ${Math.trunc(to)}
      ORDER BY p.position) TO STDOUT (FORMAT BINARY)`;
}

export interface SigningRunRow {
  readonly run: number;
  readonly ring: number;
  readonly signed_at: Date;
  readonly selector: string;
  readonly first: number;
  readonly count: number;
  readonly root: Buffer;
}

export function listSigningRuns(db: Queryable, id: string): Promise<SigningRunRow[]> {
  return db.query(
    `SELECT run, ring, signed_at, selector, first, count, root FROM signing_run
      WHERE broadcast_id = $1 ORDER BY run`,
    [id],
  );
}

export async function insertSigningRun(
  tx: Transaction,
  id: string,
  row: SigningRunRow,
): Promise<void> {
  await tx.query(
    `INSERT INTO signing_run (broadcast_id, run, ring, signed_at, selector, first, count, root)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
    [id, row.run, row.ring, row.signed_at, row.selector, row.first, row.count, row.root],
  );
}

export async function destroySignatures(tx: Queryable, id: string): Promise<void> {
  await tx.query(`TRUNCATE ${partition('signed', id)}`);
}

export interface SigningBlockRow {
  readonly block: number;
  readonly first: number;
  readonly count: number;
  readonly root: Buffer;
}

export async function insertSigningBlock(
  tx: Queryable,
  id: string,
  run: number,
  row: SigningBlockRow,
): Promise<void> {
  await tx.query(
    `INSERT INTO signing_block (broadcast_id, run, block, first, count, root)
     VALUES ($1, $2, $3, $4, $5, $6)`,
    [id, run, row.block, row.first, row.count, row.root],
  );
}

export function listSigningBlocks(
  db: Queryable,
  id: string,
  run: number,
): Promise<SigningBlockRow[]> {
  return db.query(
    `SELECT block, first, count, root FROM signing_block
      WHERE broadcast_id = $1 AND run = $2 ORDER BY block`,
    [id, run],
  );
}

/** position (4 bytes) and leaf (32 bytes) of a block's rows in order, as one value. */
export async function blockLeaves(
  db: Queryable,
  id: string,
  run: number | null,
  block: number,
  blockLeavesMax: number,
): Promise<Buffer> {
  const table = partition(run === null ? 'prepared' : 'signed', id);
  const rows = await db.query<{ leaves: Buffer | null }>(
    `SELECT string_agg(int4send(position) || leaf, ''::bytea ORDER BY position) AS leaves
       FROM ${table} WHERE position >= $1 AND position < $2 ${run === null ? '' : 'AND run = $3'}`,
    [block * blockLeavesMax, (block + 1) * blockLeavesMax, ...(run === null ? [] : [run])],
  );
  return rows[0]?.leaves ?? Buffer.alloc(0);
}

/** Removes what a killed signing run left behind; returns the number of the next run. */
export async function dropUnfinishedSigning(db: Queryable, id: string): Promise<number> {
  const rows = await db.query<{ run: number; finished: boolean }>(
    `SELECT DISTINCT b.run, r.run IS NOT NULL AS finished FROM signing_block b
       LEFT JOIN signing_run r USING (broadcast_id, run) WHERE b.broadcast_id = $1`,
    [id],
  );
  for (const { run, finished } of rows) {
    if (finished) continue;
    await db.query(`DELETE FROM ${partition('signed', id)} WHERE run = $1`, [run]);
    await db.query('DELETE FROM signing_block WHERE broadcast_id = $1 AND run = $2', [id, run]);
  }
  return Math.max(0, ...rows.filter((row) => row.finished).map((row) => row.run)) + 1;
}
