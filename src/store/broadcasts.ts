/** Broadcasts: their notices, state, approvals, and the partitions that hold their mass facts. */

import type { Queryable, Transaction } from './database.ts';
import { partition } from './partition.ts';

export interface BroadcastRow {
  readonly id: string;
  readonly name: string;
  readonly created_at: Date;
  readonly created_by: string;
  readonly notice_digest: Buffer;
  readonly notice_folder: string;
  readonly state: string;
  readonly settings: unknown;
  readonly audience_count: number | null;
  readonly audience_digest: Buffer | null;
  readonly plan: unknown;
  readonly manifest_root: Buffer | null;
  readonly prepared_by: readonly string[];
  readonly stands_because: string | null;
  readonly uncertain_accepted_by: string | null;
}

const MASS_TABLES = ['audience_row', 'prepared', 'signed', 'outcome'] as const;
const COLUMNS = `id, name, created_at, created_by, notice_digest, notice_folder, state, settings,
  audience_count, audience_digest, plan, manifest_root, prepared_by, stands_because, uncertain_accepted_by`;

export async function insertNotice(tx: Queryable, digest: Buffer, files: unknown): Promise<void> {
  await tx.query('INSERT INTO notice (digest, files) VALUES ($1, $2) ON CONFLICT DO NOTHING', [
    digest,
    JSON.stringify(files),
  ]);
}

export async function findNoticeFiles(db: Queryable, digest: Buffer): Promise<unknown> {
  const rows = await db.query<{ files: unknown }>('SELECT files FROM notice WHERE digest = $1', [
    digest,
  ]);
  return rows[0]?.files ?? null;
}

export async function insertBroadcast(
  tx: Transaction,
  row: Pick<
    BroadcastRow,
    'id' | 'name' | 'created_by' | 'notice_digest' | 'notice_folder' | 'state' | 'settings'
  >,
): Promise<void> {
  await tx.query(
    `INSERT INTO broadcast (id, name, created_by, notice_digest, notice_folder, state, settings)
     VALUES ($1, $2, $3, $4, $5, $6, $7)`,
    [
      row.id,
      row.name,
      row.created_by,
      row.notice_digest,
      row.notice_folder,
      row.state,
      JSON.stringify(row.settings),
    ],
  );
  for (const table of MASS_TABLES)
    await tx.query(
      `CREATE TABLE ${partition(table, row.id)} PARTITION OF ${table} FOR VALUES IN ('${row.id}')`,
    );
}

export async function findBroadcast(
  db: Queryable,
  id: string,
  lock = false,
): Promise<BroadcastRow | null> {
  const rows = await db.query<BroadcastRow>(
    `SELECT ${COLUMNS} FROM broadcast WHERE id = $1 ${lock ? 'FOR UPDATE' : ''}`,
    [id],
  );
  return rows[0] ?? null;
}

export function listBroadcasts(db: Queryable): Promise<BroadcastRow[]> {
  return db.query(`SELECT ${COLUMNS} FROM broadcast ORDER BY created_at, id`);
}

export async function setBroadcastState(
  tx: Queryable,
  id: string,
  state: string,
  because: string | null,
): Promise<void> {
  await tx.query('UPDATE broadcast SET state = $2, stands_because = $3 WHERE id = $1', [
    id,
    state,
    because,
  ]);
}

/** From now on what is uncertain may stay so. */
export async function acceptUncertain(tx: Queryable, id: string, operator: string): Promise<void> {
  await tx.query('UPDATE broadcast SET uncertain_accepted_by = $2 WHERE id = $1', [id, operator]);
}

export async function setAudience(
  tx: Queryable,
  id: string,
  row: { count: number; digest: Buffer; plan: unknown },
): Promise<void> {
  await tx.query(
    'UPDATE broadcast SET audience_count = $2, audience_digest = $3, plan = $4 WHERE id = $1',
    [id, row.count, row.digest, JSON.stringify(row.plan)],
  );
}

export async function setManifest(tx: Queryable, id: string, root: Buffer): Promise<void> {
  await tx.query('UPDATE broadcast SET manifest_root = $2 WHERE id = $1', [id, root]);
}

export async function addPreparer(tx: Queryable, id: string, operator: string): Promise<void> {
  await tx.query(
    `UPDATE broadcast SET prepared_by = array_append(prepared_by, $2)
     WHERE id = $1 AND NOT $2 = ANY (prepared_by)`,
    [id, operator],
  );
}

export interface ApprovalRow {
  readonly document: unknown;
  readonly envelope: unknown;
  readonly approved_at: Date;
}

export async function insertApproval(
  tx: Transaction,
  id: string,
  document: unknown,
  envelope: unknown,
): Promise<void> {
  await tx.query('INSERT INTO approval (broadcast_id, document, envelope) VALUES ($1, $2, $3)', [
    id,
    JSON.stringify(document),
    JSON.stringify(envelope),
  ]);
}

export async function findApproval(db: Queryable, id: string): Promise<ApprovalRow | null> {
  const rows = await db.query<ApprovalRow>(
    'SELECT document, envelope, approved_at FROM approval WHERE broadcast_id = $1',
    [id],
  );
  return rows[0] ?? null;
}

/** When the broadcast was first released; set by the first call. */
export async function markReleased(tx: Transaction, id: string): Promise<Date> {
  const rows = await tx.query<{ released_at: Date }>(
    `UPDATE broadcast SET released_at = coalesce(released_at, now()) WHERE id = $1
     RETURNING released_at`,
    [id],
  );
  return rows[0]?.released_at ?? new Date();
}
