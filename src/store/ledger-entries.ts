/** The ledger's tables: entries as written, their places in the tree, checkpoints, where anchors stand. */

import type { Queryable, Transaction } from './database.ts';
import { ADVISORY_LOCKS } from './database.ts';

export interface NewLedgerEntry {
  readonly kind: string;
  readonly subject: string;
  /** Canonical JSON. */
  readonly bytes: string;
}

export async function insertLedgerEntry(tx: Transaction, entry: NewLedgerEntry): Promise<void> {
  await tx.query('INSERT INTO ledger_entry (kind, subject, bytes) VALUES ($1, $2, $3)', [
    entry.kind,
    entry.subject,
    entry.bytes,
  ]);
}

/** Waits until this transaction is the only one that gives entries their places. */
export async function lockSequencer(tx: Transaction): Promise<void> {
  await tx.query('SELECT pg_advisory_xact_lock($1)', [ADVISORY_LOCKS.sequencer]);
}

export interface UnplacedEntry {
  readonly id: number;
  readonly bytes: string;
}

const UNPLACED = `FROM ledger_entry e WHERE e.xid >= $1::text::xid8
  AND NOT EXISTS (SELECT FROM ledger_leaf l WHERE l.entry_id = e.id)`;

/**
 * Committed entries without a place, in the order they were written. `horizon` is a transaction id below which every
 * entry is known to have its place (`0` when nothing is known).
 */
export function unplacedEntries(
  tx: Transaction,
  horizon: string,
  limit: number,
): Promise<UnplacedEntry[]> {
  return tx.query(`SELECT e.id, e.bytes ${UNPLACED} ORDER BY e.id LIMIT $2`, [horizon, limit]);
}

export async function hasUnplacedEntries(db: Queryable, horizon: string): Promise<boolean> {
  const rows = await db.query(`SELECT 1 AS one ${UNPLACED} LIMIT 1`, [horizon]);
  return rows.length > 0;
}

/** The oldest transaction that can still commit an entry: all entries below are visible from now on. */
export async function oldestRunningTransaction(tx: Queryable): Promise<string> {
  const rows = await tx.query<{ xmin: string }>(
    'SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS xmin',
  );
  return rows[0]?.xmin ?? '0';
}

export interface TreeRow {
  readonly size: number;
  readonly frontier: Buffer;
}

export async function readTree(tx: Queryable): Promise<TreeRow> {
  const rows = await tx.query<TreeRow>('SELECT size, frontier FROM ledger_tree');
  return rows[0] ?? { size: 0, frontier: Buffer.alloc(0) };
}

export interface NewLeaf {
  readonly index: number;
  readonly entryId: number;
  readonly hash: Buffer;
}

export async function insertLeaves(tx: Transaction, leaves: readonly NewLeaf[]): Promise<void> {
  await tx.query(
    `INSERT INTO ledger_leaf (leaf_index, entry_id, leaf_hash)
     SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[])`,
    [
      leaves.map(({ index }) => index),
      leaves.map(({ entryId }) => entryId),
      leaves.map(({ hash }) => hash),
    ],
  );
}

export interface CheckpointRow {
  readonly size: number;
  readonly root: Buffer;
  readonly note: string;
}

/** Stores a checkpoint and how to go on from it. */
export async function insertCheckpoint(
  tx: Transaction,
  checkpoint: CheckpointRow,
  at: Date,
  frontier: Buffer,
): Promise<void> {
  const { size, root, note } = checkpoint;
  await tx.query('INSERT INTO ledger_checkpoint (size, root, at, note) VALUES ($1, $2, $3, $4)', [
    size,
    root,
    at,
    note,
  ]);
  await tx.query('UPDATE ledger_tree SET size = $1, frontier = $2', [size, frontier]);
}

export async function lastCheckpoint(db: Queryable): Promise<CheckpointRow | null> {
  const rows = await db.query<CheckpointRow>(
    'SELECT size, root, note FROM ledger_checkpoint ORDER BY size DESC LIMIT 1',
  );
  return rows[0] ?? null;
}

/** Checkpoints after a size, oldest first. */
export function checkpointsAfter(
  db: Queryable,
  size: number,
  limit: number,
): Promise<CheckpointRow[]> {
  return db.query(
    'SELECT size, root, note FROM ledger_checkpoint WHERE size > $1 ORDER BY size LIMIT $2',
    [size, limit],
  );
}

/** The size before which the last `count` checkpoints up to `size` begin. */
export async function sizeBeforeLastCheckpoints(
  db: Queryable,
  size: number,
  count: number,
): Promise<number> {
  const rows = await db.query<{ size: number }>(
    'SELECT size FROM ledger_checkpoint WHERE size <= $1 ORDER BY size DESC OFFSET $2 LIMIT 1',
    [size, count],
  );
  return rows[0]?.size ?? -1;
}

export interface PlacedEntry {
  readonly leaf_index: number;
  readonly bytes: string;
}

/** Entries in the tree's order, from an index on. */
export function placedEntries(db: Queryable, from: number, limit: number): Promise<PlacedEntry[]> {
  return db.query(
    `SELECT l.leaf_index, e.bytes FROM ledger_leaf l JOIN ledger_entry e ON e.id = l.entry_id
     WHERE l.leaf_index >= $1 ORDER BY l.leaf_index LIMIT $2`,
    [from, limit],
  );
}

export interface AnchorRow {
  readonly name: string;
  readonly size: number;
  readonly taken_at: Date | null;
  readonly failed_at: Date | null;
  readonly failure: string | null;
}

export function listAnchors(db: Queryable): Promise<AnchorRow[]> {
  return db.query(
    'SELECT name, size, taken_at, failed_at, failure FROM ledger_anchor ORDER BY name',
  );
}

export async function findAnchor(db: Queryable, name: string): Promise<AnchorRow | null> {
  const rows = await db.query<AnchorRow>(
    'SELECT name, size, taken_at, failed_at, failure FROM ledger_anchor WHERE name = $1',
    [name],
  );
  return rows[0] ?? null;
}

export async function recordAnchored(
  db: Queryable,
  name: string,
  size: number,
  at: Date,
): Promise<void> {
  await db.query(
    `INSERT INTO ledger_anchor (name, size, taken_at) VALUES ($1, $2, $3)
     ON CONFLICT (name) DO UPDATE SET size = greatest(ledger_anchor.size, excluded.size),
       taken_at = excluded.taken_at, failed_at = NULL, failure = NULL`,
    [name, size, at],
  );
}

export async function recordAnchorFailure(
  db: Queryable,
  name: string,
  failure: string,
  at: Date,
): Promise<void> {
  await db.query(
    `INSERT INTO ledger_anchor (name, failed_at, failure) VALUES ($1, $2, $3)
     ON CONFLICT (name) DO UPDATE SET failed_at = excluded.failed_at, failure = excluded.failure`,
    [name, at, failure],
  );
}
