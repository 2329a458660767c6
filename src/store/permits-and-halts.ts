/** Permits of senders, and the halts that end them. */

import type { Queryable, Transaction } from './database.ts';

/** Told when something was halted or frozen, or goes on. */
export const STANDSTILL_CHANNEL = 'standstill';
/** For so long a process may go by what it has read of halts and freezes; then it reads again before it lets anything leave. */
export const KNOWN_MS_MAX = 500;

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

export interface HaltRow {
  readonly id: string;
  readonly scope: 'broadcast' | 'bulk' | 'everything';
  readonly broadcast_id: string | null;
  readonly by: string;
  readonly reason: string;
  readonly at: Date;
  readonly resume_by: readonly string[];
}

/** False when this halt is there already. */
export async function insertHalt(
  tx: Transaction,
  row: Pick<HaltRow, 'id' | 'scope' | 'broadcast_id' | 'by' | 'reason'>,
): Promise<boolean> {
  const rows = await tx.query(
    `INSERT INTO halt (id, scope, broadcast_id, by, reason) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT DO NOTHING RETURNING id`,
    [row.id, row.scope, row.broadcast_id, row.by, row.reason],
  );
  if (rows.length === 0) return false;
  await tx.query('SELECT pg_notify($1, $2)', [STANDSTILL_CHANNEL, row.id]);
  return true;
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
  await tx.query('SELECT pg_notify($1, $2)', [STANDSTILL_CHANNEL, id]);
}

export type StandingHalt = Pick<HaltRow, 'id' | 'scope' | 'broadcast_id'>;

/** The halts in force, and the database's own time (as it writes it) at which that is true or later. */
export async function lookAtHalts(
  db: Queryable,
): Promise<{ readonly at: string; readonly halts: readonly StandingHalt[] }> {
  // Taken when the statement comes, before it reads.
  const [row] = await db.query<{ at: string; halts: readonly StandingHalt[] }>(
    `SELECT statement_timestamp()::text AS at,
            coalesce((SELECT json_agg(json_build_object('id', id, 'scope', scope, 'broadcast_id', broadcast_id))
                        FROM halt WHERE lifted_at IS NULL), '[]') AS halts`,
  );
  return row ?? { at: '-infinity', halts: [] };
}

/** A look begins: from its end on the process goes by it, for `KNOWN_MS_MAX` from now. Committed before anything is read. */
export async function beginLook(db: Queryable, sender: string): Promise<void> {
  await db.query(
    `INSERT INTO process_look (sender, leased_at, seen_at)
     VALUES ($1, statement_timestamp(), '-infinity')
     ON CONFLICT (sender) DO UPDATE SET leased_at = statement_timestamp()`,
    [sender],
  );
}

/** What stood at that time is in force in this process. */
export async function endLook(db: Queryable, sender: string, at: string): Promise<void> {
  await db.query('UPDATE process_look SET seen_at = $2 WHERE sender = $1', [sender, at]);
}

/** This process has ended; those that ended without a word a day ago are forgotten too. */
export async function forgetLook(db: Queryable, sender: string): Promise<void> {
  await db.query(
    `DELETE FROM process_look WHERE sender = $1 OR leased_at < now() - interval '1 day'`,
    [sender],
  );
}

/**
 * How many other processes let mail leave by what they knew before `since`; the database's time, now where null.
 * @returns that time too, for the next question.
 */
export async function lateLooks(
  db: Queryable,
  own: string,
  since: string | null,
): Promise<{ readonly since: string; readonly late: number }> {
  const [row] = await db.query<{ since: string; late: number }>(
    `SELECT asked.since::text AS since,
            (SELECT count(*) FROM process_look WHERE sender <> $1 AND seen_at < asked.since
               AND leased_at > clock_timestamp() - $3::float8 * interval '1 millisecond')::int AS late
       FROM (SELECT coalesce($2::timestamptz, clock_timestamp()) AS since) asked`,
    [own, since, KNOWN_MS_MAX],
  );
  return row ?? { since: '-infinity', late: 0 };
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
