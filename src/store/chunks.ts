/** Chunks: what a sender claims at once, and who of it is left out. */

import type { Queryable, Transaction } from './database.ts';

export interface ChunkRow {
  readonly chunk: number;
  readonly ring: number;
  readonly provider: string;
  readonly first: number;
  readonly count: number;
  readonly positions: readonly number[] | null;
  readonly attempt: number;
  readonly not_before: Date | null;
  readonly state: string;
  readonly epoch: number;
}

const CHUNK = 'chunk, ring, provider, first, count, positions, attempt, not_before, state, epoch';

/** Cuts the audience into chunks: aligned blocks of 1,024, or the parts of one in one ring and provider. */
export async function cutChunks(tx: Transaction, id: string, block: number): Promise<number> {
  const rows = await tx.query<{ n: number }>(
    `WITH cut AS (
       SELECT ring, provider, min(position) AS first, count(*)::int AS count
         FROM audience_row WHERE broadcast_id = $1
        GROUP BY position / $2, ring, provider, kind),
     made AS (
       INSERT INTO chunk (broadcast_id, chunk, ring, provider, first, count)
       SELECT $1, (row_number() OVER (ORDER BY first) - 1)::int, ring, provider, first, count FROM cut
       RETURNING 1)
     SELECT count(*)::int AS n FROM made`,
    [id, block],
  );
  return rows[0]?.n ?? 0;
}

/**
 * The next chunk that may start now, of this ring or one before it (tried again); claimed with a new epoch, committed
 * before its first message.
 */
export async function claimChunk(
  db: Queryable,
  id: string,
  ring: number,
  owner: string,
): Promise<ChunkRow | null> {
  const rows = await db.query<ChunkRow>(
    `UPDATE chunk SET state = 'claimed', owner = $3, epoch = epoch + 1
      WHERE broadcast_id = $1 AND chunk = (
        SELECT chunk FROM chunk WHERE broadcast_id = $1 AND ring <= $2 AND state = 'waiting'
           AND (not_before IS NULL OR not_before <= now())
         ORDER BY chunk LIMIT 1 FOR UPDATE SKIP LOCKED)
     RETURNING ${CHUNK}`,
    [id, ring, owner],
  );
  return rows[0] ?? null;
}

export function listChunks(db: Queryable, id: string, state: string): Promise<ChunkRow[]> {
  return db.query(
    `SELECT ${CHUNK} FROM chunk WHERE broadcast_id = $1 AND state = $2 ORDER BY chunk`,
    [id, state],
  );
}

export async function finishChunks(
  tx: Queryable,
  id: string,
  chunks: readonly number[],
): Promise<void> {
  if (chunks.length === 0) return;
  await tx.query(
    "UPDATE chunk SET state = 'done' WHERE broadcast_id = $1 AND chunk = ANY ($2::int[])",
    [id, chunks],
  );
}

export async function isDone(db: Queryable, id: string, chunk: number): Promise<boolean> {
  const rows = await db.query(
    "SELECT 1 FROM chunk WHERE broadcast_id = $1 AND chunk = $2 AND state = 'done'",
    [id, chunk],
  );
  return rows.length > 0;
}

/** A list of positions to be tried (again) later. */
export async function addListChunk(
  tx: Queryable,
  id: string,
  row: {
    ring: number;
    provider: string;
    positions: readonly number[];
    attempt: number;
    delayMs: number;
  },
): Promise<void> {
  await tx.query(
    `INSERT INTO chunk (broadcast_id, chunk, ring, provider, first, count, positions, attempt, not_before)
     SELECT $1, coalesce(max(chunk), -1) + 1, $2, $3, $4, $5, $6, $7,
            CASE WHEN $8::float8 > 0 THEN now() + $8::float8 * interval '1 millisecond' END
       FROM chunk WHERE broadcast_id = $1`,
    [
      id,
      row.ring,
      row.provider,
      row.positions[0] ?? 0,
      row.positions.length,
      row.positions,
      row.attempt,
      row.delayMs,
    ],
  );
}

/** Chunks that this sender claimed and knows nothing of (the answer to its claim was lost) wait again. */
export async function returnChunks(
  db: Queryable,
  id: string,
  owner: string,
  known: readonly number[],
): Promise<void> {
  await db.query(
    `UPDATE chunk SET state = 'waiting' WHERE broadcast_id = $1 AND state = 'claimed' AND owner = $2
        AND chunk <> ALL ($3::int[])`,
    [id, owner, known],
  );
}

export interface OpenChunks {
  readonly waiting: number;
  /** Of the waiting ones, those that may start now. */
  readonly due: number;
  readonly claimed: number;
  /** Milliseconds until the earliest waiting chunk may start; null when none waits. */
  readonly next_ms: number | null;
}

/** What is open of this ring and those before it. */
export async function openChunks(db: Queryable, id: string, ring: number): Promise<OpenChunks> {
  const rows = await db.query<OpenChunks>(
    `SELECT count(*) FILTER (WHERE state = 'waiting')::int AS waiting,
            count(*) FILTER (WHERE state = 'waiting'
               AND (not_before IS NULL OR not_before <= now()))::int AS due,
            count(*) FILTER (WHERE state = 'claimed')::int AS claimed,
            (min(extract(epoch FROM coalesce(not_before, now()) - now()))
              FILTER (WHERE state = 'waiting') * 1000)::float8 AS next_ms
       FROM chunk WHERE broadcast_id = $1 AND ring <= $2 AND state <> 'done'`,
    [id, ring],
  );
  return rows[0] ?? { waiting: 0, due: 0, claimed: 0, next_ms: null };
}

export interface LeftOutRow {
  readonly position: number;
  readonly reason: string;
  readonly by: string;
}

/** People of a range who are left out: suppressed, or withdrawn by name after approval. */
export function leftOutOf(
  db: Queryable,
  id: string,
  first: number,
  last: number,
  suppressedFor: readonly string[],
): Promise<LeftOutRow[]> {
  return db.query(
    `SELECT a.position, l.reason, l.by FROM audience_row a JOIN left_out l
         ON l.broadcast_id = a.broadcast_id AND l.address_index = a.address_index
      WHERE a.broadcast_id = $1 AND a.position BETWEEN $2 AND $3
     UNION ALL
     SELECT a.position, 'suppressed: ' || s.reason, s.added_by FROM audience_row a
       JOIN suppression s ON s.address_index = a.address_index
      WHERE s.reason = ANY ($4::text[]) AND a.broadcast_id = $1 AND a.position BETWEEN $2 AND $3`,
    [id, first, last, suppressedFor],
  );
}
