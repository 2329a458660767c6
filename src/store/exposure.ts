/** Who was shown to whom over many calls, what is frozen, and the usual sizes of calls. */

import type { Queryable, Transaction } from './database.ts';
import { STANDSTILL_CHANNEL } from './permits-and-halts.ts';

/** First half of the advisory locks of identities; the second is a hash of the name. */
const BUDGET_LOCKS = 7_311_003;

/** Who waits longer is told to try later; a process that stands still in the middle loses the lock to the others. */
const LOCK_MS = 5000;
const IDLE_MS = 10_000;

/**
 * One identity's calls are counted one after another, in whatever process, until the transaction ends.
 * @throws Fault `database.failed` (55P03) after five seconds behind somebody else.
 */
export async function lockIdentity(tx: Transaction, identity: string): Promise<void> {
  await tx.query(
    `SELECT set_config('lock_timeout', '${LOCK_MS}', true),
            set_config('idle_in_transaction_session_timeout', '${IDLE_MS}', true),
            pg_advisory_xact_lock($1::int, hashtext($2))`,
    [BUDGET_LOCKS, identity],
  );
}

/**
 * The campaign of this fingerprint: the nearest of the last days, or a new one. Under `lockIdentity`.
 * @param bits how many bits may differ.
 */
export async function campaignOf(
  tx: Transaction,
  identity: string,
  simhash: bigint,
  bits: number,
): Promise<number> {
  const [found] = await tx.query<{ id: number }>(
    `UPDATE campaign SET last_at = now() WHERE id = (
       SELECT id FROM campaign
        WHERE identity = $1 AND last_at > now() - interval '7 days'
          AND bit_count((simhash # $2::bigint)::bit(64)) <= $3
        ORDER BY bit_count((simhash # $2::bigint)::bit(64)), id LIMIT 1)
     RETURNING id`,
    [identity, simhash, bits],
  );
  if (found !== undefined) return found.id;
  const [made] = await tx.query<{ id: number }>(
    'INSERT INTO campaign (identity, simhash) VALUES ($1, $2) RETURNING id',
    [identity, simhash],
  );
  return made?.id ?? 0;
}

export async function findCampaign(
  db: Queryable,
  identity: string,
  id: number,
): Promise<{ readonly simhash: bigint } | null> {
  const [row] = await db.query<{ simhash: number | bigint }>(
    'SELECT simhash FROM campaign WHERE identity = $1 AND id = $2',
    [identity, id],
  );
  return row === undefined ? null : { simhash: BigInt(row.simhash) };
}

/** How many distinct people would have been shown with these, within the window. */
export async function countExposed(
  tx: Transaction,
  identity: string,
  campaign: number,
  people: readonly Buffer[],
  windowMs: number,
): Promise<number> {
  const [row] = await tx.query<{ n: number }>(
    `SELECT count(*)::int AS n FROM (
       SELECT person FROM exposed_person
        WHERE identity = $1 AND campaign = $2 AND at > now() - $4::float8 * interval '1 millisecond'
       UNION SELECT unnest($3::bytea[])) AS people`,
    [identity, campaign, people, windowMs],
  );
  return row?.n ?? 0;
}

export async function insertExposed(
  tx: Transaction,
  identity: string,
  campaign: number,
  people: readonly Buffer[],
): Promise<void> {
  await tx.query(
    `INSERT INTO exposed_person (identity, campaign, person)
     SELECT DISTINCT $1, $2::bigint, unnest($3::bytea[])
     ON CONFLICT (identity, campaign, person) DO UPDATE SET at = now()`,
    [identity, campaign, people],
  );
}

/** Forgets who was shown before the window, and campaigns that nothing belongs to any more. */
export async function forgetExposed(db: Queryable, windowMs: number): Promise<void> {
  await db.query(
    `DELETE FROM exposed_person WHERE at < now() - $1::float8 * interval '1 millisecond'`,
    [windowMs],
  );
  await db.query(
    `DELETE FROM campaign c WHERE last_at < now() - interval '30 days'
       AND NOT EXISTS (SELECT 1 FROM mail_freeze f WHERE f.campaign = c.id AND f.lifted_at IS NULL)`,
  );
}

/** After a lift the campaign begins with nobody counted. */
export async function forgetCampaignExposed(
  tx: Transaction,
  identity: string,
  campaign: number | null,
): Promise<void> {
  await tx.query(
    'DELETE FROM exposed_person WHERE identity = $1 AND ($2::bigint IS NULL OR campaign = $2)',
    [identity, campaign],
  );
}

export interface FreezeRow {
  readonly id: string;
  readonly identity: string;
  readonly campaign: number | null;
  readonly simhash: bigint | null;
  readonly reason: string;
  readonly frozen_by: string;
  readonly at: Date;
}

type StoredFreeze = Omit<FreezeRow, 'simhash'> & { readonly simhash: number | bigint | null };

const FREEZE_COLUMNS = 'id, identity, campaign, simhash, reason, frozen_by, at';

function freezeRow(row: StoredFreeze): FreezeRow {
  return { ...row, simhash: row.simhash === null ? null : BigInt(row.simhash) };
}

export async function listFreezes(db: Queryable): Promise<FreezeRow[]> {
  const rows = await db.query<StoredFreeze>(
    `SELECT ${FREEZE_COLUMNS} FROM mail_freeze WHERE lifted_at IS NULL ORDER BY at, id`,
  );
  return rows.map(freezeRow);
}

/** The standing freeze of exactly this identity and campaign, or of the whole identity. */
export async function findFreeze(
  db: Queryable,
  identity: string,
  campaign: number | null,
): Promise<FreezeRow | null> {
  const [row] = await db.query<StoredFreeze>(
    `SELECT ${FREEZE_COLUMNS} FROM mail_freeze
      WHERE identity = $1 AND lifted_at IS NULL AND (campaign IS NULL OR campaign = $2) LIMIT 1`,
    [identity, campaign],
  );
  return row === undefined ? null : freezeRow(row);
}

/** Every process hears of it when the transaction commits. */
export async function insertFreeze(tx: Transaction, row: Omit<FreezeRow, 'at'>): Promise<void> {
  await tx.query(
    `INSERT INTO mail_freeze (id, identity, campaign, simhash, reason, frozen_by)
     VALUES ($1, $2, $3, $4, $5, $6)`,
    [row.id, row.identity, row.campaign, row.simhash, row.reason, row.frozen_by],
  );
  await tx.query('SELECT pg_notify($1, $2)', [STANDSTILL_CHANNEL, row.id]);
}

/** Null where no such freeze stands. */
export async function markLifted(
  tx: Transaction,
  id: string,
  operator: string,
): Promise<FreezeRow | null> {
  const [row] = await tx.query<StoredFreeze>(
    `UPDATE mail_freeze SET lifted_by = $2, lifted_at = now() WHERE id = $1 AND lifted_at IS NULL
     RETURNING ${FREEZE_COLUMNS}`,
    [id, operator],
  );
  if (row === undefined) return null;
  await tx.query('SELECT pg_notify($1, $2)', [STANDSTILL_CHANNEL, id]);
  return freezeRow(row);
}

export interface UsualSizeRow {
  readonly identity: string;
  /** Of its calls; '' for all of them. */
  readonly type: string;
  readonly calls: number;
  readonly readers_max: number;
  readonly readers_p95: number;
}

export function listUsualSizes(db: Queryable): Promise<UsualSizeRow[]> {
  return db.query('SELECT identity, type, calls, readers_max, readers_p95 FROM usual_size');
}

/** Adds what was learnt since the last time; what all processes learnt together comes back. */
export function addUsualSizes(
  db: Queryable,
  learnt: readonly UsualSizeRow[],
): Promise<UsualSizeRow[]> {
  return db.query(
    `INSERT INTO usual_size (identity, type, calls, readers_max, readers_p95)
     SELECT r.identity, r.type, r.calls, r.readers_max, r.readers_p95
       FROM jsonb_to_recordset($1::jsonb)
            AS r(identity text, type text, calls bigint, readers_max int, readers_p95 int)
      ORDER BY r.identity, r.type
     ON CONFLICT (identity, type) DO UPDATE SET
       calls = usual_size.calls + excluded.calls,
       readers_max = greatest(usual_size.readers_max, excluded.readers_max),
       readers_p95 = (usual_size.readers_p95 * usual_size.calls + excluded.readers_p95 * excluded.calls)
                     / (usual_size.calls + excluded.calls),
       changed_at = now()
     RETURNING identity, type, calls, readers_max, readers_p95`,
    [JSON.stringify(learnt)],
  );
}

export async function forgetUsualTypes(db: Queryable): Promise<void> {
  await db.query(
    `DELETE FROM usual_size WHERE type <> '' AND changed_at < now() - interval '90 days'`,
  );
}

/** Which of these are on the suppression list, for whatever reason. */
export async function suppressedAmong(
  db: Queryable,
  indexes: readonly Buffer[],
): Promise<readonly Buffer[]> {
  const rows = await db.query<{ address_index: Buffer }>(
    'SELECT address_index FROM suppression WHERE address_index = ANY ($1::bytea[])',
    [indexes],
  );
  return rows.map((row) => row.address_index);
}
