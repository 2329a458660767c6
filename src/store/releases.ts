/** Releasing: blocks, chunks, permits, signing runs, outcomes, halts. */

import type { Queryable, Transaction } from './database.ts';

function partition(table: string, id: string): string {
  return `"${table}_${id.replaceAll(/[^a-z0-9]/g, '_')}"`;
}

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
  await tx.query(`CREATE UNIQUE INDEX IF NOT EXISTS "prepared_at_${id.replaceAll(/[^a-z0-9]/g, '_')}"
    ON ${partition('prepared', id)} (position)`);
}

export async function indexSigned(tx: Queryable, id: string): Promise<void> {
  await tx.query(`CREATE UNIQUE INDEX IF NOT EXISTS "signed_at_${id.replaceAll(/[^a-z0-9]/g, '_')}"
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

/** The next chunk of a ring that may start now; claimed with a new epoch, committed before its first message. */
export async function claimChunk(
  db: Queryable,
  id: string,
  ring: number,
  owner: string,
): Promise<ChunkRow | null> {
  const rows = await db.query<ChunkRow>(
    `UPDATE chunk SET state = 'claimed', owner = $3, epoch = epoch + 1
      WHERE broadcast_id = $1 AND chunk = (
        SELECT chunk FROM chunk WHERE broadcast_id = $1 AND ring = $2 AND state = 'waiting'
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

export interface OpenChunks {
  readonly waiting: number;
  readonly claimed: number;
  /** Milliseconds until the earliest waiting chunk may start; null when none waits. */
  readonly next_ms: number | null;
}

export async function openChunks(db: Queryable, id: string, ring: number): Promise<OpenChunks> {
  const rows = await db.query<OpenChunks>(
    `SELECT count(*) FILTER (WHERE state = 'waiting')::int AS waiting,
            count(*) FILTER (WHERE state = 'claimed')::int AS claimed,
            (min(extract(epoch FROM coalesce(not_before, now()) - now()))
              FILTER (WHERE state = 'waiting') * 1000)::float8 AS next_ms
       FROM chunk WHERE broadcast_id = $1 AND ring = $2`,
    [id, ring],
  );
  return rows[0] ?? { waiting: 0, claimed: 0, next_ms: null };
}

/** Takes the permit of a broadcast, or takes it over once it has run out. Null while another sender holds it. */
export async function takePermit(
  db: Queryable,
  id: string,
  sender: string,
  staleMs: number,
): Promise<number | null> {
  const rows = await db.query<{ epoch: number }>(
    `INSERT INTO permit (broadcast_id, sender, epoch, granted_at, covered)
     VALUES ($1, $2, 1, clock_timestamp(), '{}')
     ON CONFLICT (broadcast_id) DO UPDATE
        SET sender = $2, epoch = permit.epoch + 1, granted_at = clock_timestamp()
      WHERE permit.granted_at < clock_timestamp() - $3::float8 * interval '1 millisecond'
     RETURNING epoch`,
    [id, sender, staleMs],
  );
  return rows[0]?.epoch ?? null;
}

export interface PermitRow {
  readonly sender: string;
  readonly epoch: number;
  readonly covered: readonly number[];
}

export async function findPermit(db: Queryable, id: string): Promise<PermitRow | null> {
  const rows = await db.query<PermitRow>(
    'SELECT sender, epoch, covered FROM permit WHERE broadcast_id = $1',
    [id],
  );
  return rows[0] ?? null;
}

/** Renews the permit with what it covers, and reads the halts in the same statement. False when it is lost. */
export async function renewPermit(
  db: Queryable,
  id: string,
  sender: string,
  epoch: number,
  covered: readonly number[],
): Promise<{ readonly held: boolean; readonly halted: boolean }> {
  const rows = await db.query<{ held: boolean; halted: boolean }>(
    `WITH renewed AS (
       UPDATE permit SET granted_at = clock_timestamp(), covered = $4
        WHERE broadcast_id = $1 AND sender = $2 AND epoch = $3 RETURNING 1)
     SELECT EXISTS (SELECT 1 FROM renewed) AS held,
            EXISTS (SELECT 1 FROM halt WHERE lifted_at IS NULL
               AND (scope <> 'broadcast' OR broadcast_id = $1)) AS halted`,
    [id, sender, epoch, covered],
  );
  return rows[0] ?? { held: false, halted: true };
}

/** Gives the permit up: another sender may take it at once. */
export async function returnPermit(db: Queryable, id: string, epoch: number): Promise<void> {
  await db.query(
    `UPDATE permit SET granted_at = '-infinity', covered = '{}' WHERE broadcast_id = $1 AND epoch = $2`,
    [id, epoch],
  );
}

export const OUTCOME_COPY = `COPY outcome (broadcast_id, position, attempt, state, code, enhanced, reply,
  sealed_reply, at, batch, line) FROM STDIN (FORMAT BINARY)`;

export async function nextOutcomeBatch(db: Queryable, id: string): Promise<number> {
  const rows = await db.query<{ n: number }>(
    `SELECT coalesce(max(batch), -1) + 1 AS n FROM ${partition('outcome', id)}`,
  );
  return rows[0]?.n ?? 0;
}

export async function indexOutcomes(tx: Queryable, id: string): Promise<void> {
  await tx.query(`CREATE INDEX IF NOT EXISTS "outcome_at_${id.replaceAll(/[^a-z0-9]/g, '_')}"
    ON ${partition('outcome', id)} (position)`);
}

export interface StateCount {
  readonly state: number;
  readonly kind: number;
  readonly language: string;
  readonly provider: string;
  readonly ring: number;
  readonly count: number;
}

/** The last outcome of each position, counted; positions without one have state -1. */
export function countStates(db: Queryable, id: string): Promise<StateCount[]> {
  return db.query(
    `SELECT coalesce(o.state, -1)::int AS state, a.kind, a.language, a.provider, a.ring, count(*)::int AS count
       FROM audience_row a
       LEFT JOIN (SELECT DISTINCT ON (position) position, state FROM ${partition('outcome', id)}
                   ORDER BY position, attempt DESC, batch DESC, line DESC) o USING (position)
      WHERE a.broadcast_id = $1 GROUP BY 1, 2, 3, 4, 5`,
    [id],
  );
}

/** Sent and refused of a ring so far. */
export async function ringResult(
  db: Queryable,
  id: string,
  ring: number,
  refusedStates: readonly number[],
): Promise<{ sent: number; refused: number }> {
  const rows = await db.query<{ sent: number; refused: number }>(
    `SELECT count(*)::int AS sent, count(*) FILTER (WHERE o.state = ANY ($3::int[]))::int AS refused
       FROM (SELECT DISTINCT ON (position) position, state FROM ${partition('outcome', id)}
              ORDER BY position, attempt DESC, batch DESC, line DESC) o
       JOIN audience_row a ON a.broadcast_id = $1 AND a.position = o.position
      WHERE a.ring = $2`,
    [id, ring, refusedStates],
  );
  return rows[0] ?? { sent: 0, refused: 0 };
}

export interface OutcomeRow {
  readonly position: number;
  readonly attempt: number;
  readonly state: number;
  readonly code: number;
  readonly enhanced: string;
  readonly reply: string;
  readonly at: Date;
  readonly batch: number;
}

/** Positions whose last word is this state, at most `limit`. */
export function positionsIn(
  db: Queryable,
  id: string,
  state: number,
  limit: number,
): Promise<OutcomeRow[]> {
  return db.query(
    `SELECT position, attempt, state, code, enhanced, reply, at, batch FROM (
       SELECT DISTINCT ON (position) * FROM ${partition('outcome', id)}
        ORDER BY position, attempt DESC, batch DESC, line DESC) o
      WHERE state = $1 ORDER BY position LIMIT $2`,
    [state, limit],
  );
}

/** Everything recorded of one position, in order. */
export function outcomesOf(db: Queryable, id: string, position: number): Promise<OutcomeRow[]> {
  return db.query(
    `SELECT position, attempt, state, code, enhanced, reply, at, batch FROM ${partition('outcome', id)}
      WHERE position = $1 ORDER BY attempt, batch, line`,
    [position],
  );
}

/** Last state of each position of a range that has an outcome of this attempt or a later one. */
export async function lastStates(
  db: Queryable,
  id: string,
  attempt: number,
  first: number,
  last: number,
): Promise<Map<number, number>> {
  const rows = await db.query<{ position: number; state: number }>(
    `SELECT DISTINCT ON (position) position, state FROM ${partition('outcome', id)}
      WHERE position BETWEEN $1 AND $2 AND attempt >= $3
      ORDER BY position, attempt DESC, batch DESC, line DESC`,
    [first, last, attempt],
  );
  return new Map(rows.map((row) => [row.position, row.state]));
}

/** The rows of one batch, in the order in which they were entered. */
export function outcomeBatch(db: Queryable, id: string, batch: number): Promise<OutcomeRow[]> {
  return db.query(
    `SELECT position, attempt, state, code, enhanced, reply, at, batch FROM ${partition('outcome', id)}
      WHERE batch = $1 ORDER BY line`,
    [batch],
  );
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
  suppressions: boolean,
): Promise<LeftOutRow[]> {
  return db.query(
    `SELECT a.position, l.reason, l.by FROM audience_row a JOIN left_out l
         ON l.broadcast_id = a.broadcast_id AND l.address_index = a.address_index
      WHERE a.broadcast_id = $1 AND a.position BETWEEN $2 AND $3
     UNION ALL
     SELECT a.position, 'suppressed: ' || s.reason, s.added_by FROM audience_row a
       JOIN suppression s ON s.address_index = a.address_index
      WHERE $4 AND a.broadcast_id = $1 AND a.position BETWEEN $2 AND $3`,
    [id, first, last, suppressions],
  );
}

export interface HaltRow {
  readonly id: string;
  readonly scope: 'broadcast' | 'bulk' | 'everything';
  readonly broadcast_id: string | null;
  readonly by: string;
  readonly reason: string;
  readonly at: Date;
  readonly resume_by: readonly string[];
}

export async function insertHalt(
  tx: Queryable,
  row: Pick<HaltRow, 'id' | 'scope' | 'broadcast_id' | 'by' | 'reason'>,
): Promise<void> {
  await tx.query(
    `INSERT INTO halt (id, scope, broadcast_id, by, reason) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT DO NOTHING`,
    [row.id, row.scope, row.broadcast_id, row.by, row.reason],
  );
}

export function listHalts(db: Queryable): Promise<HaltRow[]> {
  return db.query(
    `SELECT id, scope, broadcast_id, by, reason, at, resume_by FROM halt
      WHERE lifted_at IS NULL ORDER BY at, id`,
  );
}

export async function voteResume(tx: Transaction, id: string, operator: string): Promise<string[]> {
  const rows = await tx.query<{ resume_by: string[] }>(
    `UPDATE halt SET resume_by = CASE WHEN $2 = ANY (resume_by) THEN resume_by
                                      ELSE array_append(resume_by, $2) END
      WHERE id = $1 RETURNING resume_by`,
    [id, operator],
  );
  return rows[0]?.resume_by ?? [];
}

export async function liftHalt(tx: Transaction, id: string): Promise<void> {
  await tx.query('UPDATE halt SET lifted_at = now() WHERE id = $1', [id]);
}

/** Milliseconds since each other sender's permit was granted; a halt waits for the young ones. */
export async function permitAges(db: Queryable, own: string): Promise<number[]> {
  const rows = await db.query<{ age: number }>(
    `SELECT extract(epoch FROM clock_timestamp() - granted_at)::float8 * 1000 AS age FROM permit
      WHERE sender <> $1 AND granted_at > clock_timestamp() - interval '5 seconds'`,
    [own],
  );
  return rows.map((row) => row.age);
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
