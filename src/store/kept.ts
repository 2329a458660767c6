/**
 * Kept calls: sealed whole, the deliveries they were cut into, and who works on them.
 * Invariant: what a worker writes is written only while its claim stands on the call; a claim that another has taken over
 * changes nothing any more.
 */

import type { Database, Queryable, Transaction } from './database.ts';

export type KeptState = 'held' | 'sending' | 'done' | 'refused' | 'expired';

export interface KeptRow {
  readonly id: string;
  readonly at: Date;
  readonly gate: string;
  readonly identity: string;
  readonly kind: 'split' | 'hold';
  readonly cut: 'private' | 'whole';
  readonly state: KeptState;
  /** Id of the verdict. */
  readonly verdict: string;
  readonly reasons: readonly string[];
  readonly campaign: number | null;
  readonly readers: number;
  readonly disclosures: number;
  readonly expires_at: Date | null;
  readonly asked_by: string | null;
  readonly decided_by: string | null;
  readonly decided_at: Date | null;
}

export interface SealedKeptRow extends KeptRow {
  readonly sealed: Buffer;
}

export interface NewKept
  extends Pick<
    KeptRow,
    'id' | 'at' | 'gate' | 'identity' | 'kind' | 'cut' | 'state' | 'verdict' | 'reasons'
  > {
  readonly campaign: number | null;
  readonly readers: number;
  readonly disclosures: number;
  readonly fingerprint: Buffer;
  readonly sealed: Buffer;
  readonly expiresAt: Date | null;
}

export type DeliveryState =
  | 'waiting'
  | 'sending'
  | 'accepted'
  | 'refused'
  | 'expired'
  | 'uncertain';

export interface KeptDeliveryRow {
  readonly number: number;
  readonly readers: number;
  readonly state: DeliveryState;
  readonly attempts: number;
  readonly upstream_id: string | null;
  readonly answer: string | null;
}

/** A call that was cut into private copies by the SMTP gate. */
export interface PrivateCallRow {
  readonly id: string;
  readonly identity: string;
  readonly at: Date;
  readonly copies: number;
}

/** The newest first. */
export function listPrivateCalls(db: Queryable, days: number): Promise<PrivateCallRow[]> {
  return db.query(
    `SELECT id, identity, at,
            (SELECT count(*)::int FROM kept_delivery d WHERE d.kept = k.id) AS copies
       FROM kept k
      WHERE gate = 'smtp' AND cut = 'private' AND at > now() - $1::int * interval '1 day'
      ORDER BY at DESC`,
    [days],
  );
}

/** Who works on a call, and for how long: `mark` is another one at every claim. */
export interface Claim {
  readonly kept: string;
  readonly mark: string;
}

const COLUMNS = `id, at, gate, identity, kind, cut, state, verdict, reasons, campaign, readers,
  disclosures, expires_at, asked_by, decided_by, decided_at`;

const CHANNEL = 'undisclosed_kept';

/** First half of a two-part lock number; those of ADVISORY_LOCKS have one part and are others. */
const FINGERPRINT_LOCK = 7_311_004;

/**
 * The id under which this very call was kept since then, or null. Until the transaction ends nobody else gets an answer about
 * the same fingerprint: of two at once one finds the other's.
 */
export async function findSameCall(
  tx: Transaction,
  fingerprint: Buffer,
  since: Date,
): Promise<string | null> {
  await tx.query('SELECT pg_advisory_xact_lock($1, $2)', [
    FINGERPRINT_LOCK,
    fingerprint.readInt32BE(0),
  ]);
  const rows = await tx.query<{ id: string }>(
    'SELECT id FROM kept WHERE fingerprint = $1 AND at > $2 ORDER BY at LIMIT 1',
    [fingerprint, since],
  );
  return rows[0]?.id ?? null;
}

/** Stores a call and its deliveries; `readers` has how many each of them reaches. */
export async function insertKept(
  tx: Transaction,
  row: NewKept,
  readers: readonly number[],
): Promise<void> {
  await tx.query(
    `INSERT INTO kept (id, at, gate, identity, kind, cut, state, verdict, reasons, campaign, readers,
                       disclosures, fingerprint, sealed, expires_at, next_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $2)`,
    [
      ...[row.id, row.at, row.gate, row.identity, row.kind, row.cut, row.state, row.verdict],
      ...[row.reasons, row.campaign, row.readers, row.disclosures, row.fingerprint, row.sealed],
      row.expiresAt,
    ],
  );
  await tx.query(
    `INSERT INTO kept_delivery (kept, number, readers)
     SELECT $1, (ordinality - 1)::int, readers FROM unnest($2::int[]) WITH ORDINALITY AS r(readers)`,
    [row.id, readers],
  );
}

/** deliver: calls on their way. tell: refused and expired ones whose sender has not been told yet. */
export type Work = 'deliver' | 'tell';

/** At commit, wakes every process for this work. */
export async function notifyKept(tx: Transaction, work: Work): Promise<void> {
  await tx.query('SELECT pg_notify($1, $2)', [CHANNEL, work]);
}

const DUE: Readonly<Record<Work, string>> = {
  deliver: "k.state = 'sending'",
  tell: `k.state IN ('refused', 'expired')
     AND EXISTS (SELECT FROM kept_delivery d WHERE d.kept = k.id AND d.state = 'waiting')`,
};

/** Takes one call of these gates that is due and that nobody works on, until the claim runs out. Null where there is none. */
export async function claimKept(
  tx: Transaction,
  work: Work,
  request: {
    readonly mark: string;
    readonly gates: readonly string[];
    readonly now: Date;
    readonly claimMs: number;
  },
): Promise<SealedKeptRow | null> {
  const rows = await tx.query<SealedKeptRow>(
    `UPDATE kept SET claimed_by = $1,
            claimed_until = clock_timestamp() + $4::float8 * interval '1 millisecond'
      WHERE id = (SELECT k.id FROM kept k
                   WHERE ${DUE[work]} AND k.sealed IS NOT NULL AND k.next_at <= $3
                     AND k.gate = ANY ($2)
                     AND (k.claimed_until IS NULL OR k.claimed_until < clock_timestamp())
                   ORDER BY k.next_at LIMIT 1 FOR UPDATE SKIP LOCKED)
      RETURNING ${COLUMNS}, sealed`,
    [request.mark, request.gates, request.now, request.claimMs],
  );
  return rows[0] ?? null;
}

/** False when another has taken the call over. */
export async function renewClaim(
  db: Queryable,
  { kept, mark }: Claim,
  claimMs: number,
): Promise<boolean> {
  const rows = await db.query(
    `UPDATE kept SET claimed_until = clock_timestamp() + $3::float8 * interval '1 millisecond'
      WHERE id = $1 AND claimed_by = $2 RETURNING 1 AS one`,
    [kept, mark, claimMs],
  );
  return rows.length > 0;
}

/** Gives the call up until `next`. */
export async function postponeKept(db: Queryable, claim: Claim, next: Date): Promise<void> {
  await db.query(
    `UPDATE kept SET claimed_by = NULL, claimed_until = NULL, next_at = $3
      WHERE id = $1 AND claimed_by = $2`,
    [claim.kept, claim.mark, next],
  );
}

/** What a worker that is gone left in the middle; for the next one, in the transaction of its claim. */
export function settleAbandoned(tx: Transaction, kept: string): Promise<KeptDeliveryRow[]> {
  return tx.query(
    `UPDATE kept_delivery SET state = 'uncertain', answer = 'no-answer', attempts = attempts + 1,
            changed_at = clock_timestamp()
      WHERE kept = $1 AND state = 'sending'
      RETURNING number, readers, state, attempts, upstream_id, answer`,
    [kept],
  );
}

export function deliveriesOf(db: Queryable, kept: string): Promise<KeptDeliveryRow[]> {
  return db.query(
    `SELECT number, readers, state, attempts, upstream_id, answer FROM kept_delivery
      WHERE kept = $1 ORDER BY number`,
    [kept],
  );
}

const CLAIMED = 'FROM kept k WHERE k.id = d.kept AND d.kept = $1 AND k.claimed_by = $2';

/** Intents: content of these may be handed over from now on. The numbers for which that holds. */
export async function markSending(
  db: Queryable,
  { kept, mark }: Claim,
  numbers: readonly number[],
): Promise<number[]> {
  const rows = await db.query<{ number: number }>(
    `UPDATE kept_delivery d SET state = 'sending', changed_at = clock_timestamp()
       ${CLAIMED} AND k.state = 'sending' AND k.claimed_until > clock_timestamp()
        AND d.state = 'waiting' AND d.number = ANY ($3::int[])
      RETURNING d.number`,
    [kept, mark, numbers],
  );
  return rows.map(({ number }) => number);
}

export interface DeliveryOutcome {
  readonly number: number;
  readonly state: Exclude<DeliveryState, 'sending'>;
  /** 0 where nothing was handed over: it stood still again. */
  readonly attempts: 0 | 1;
  readonly upstreamId: string | null;
  readonly answer: string;
}

/** What came of intents; rows as they stand now, of those that were still open. */
export function recordOutcomes(
  tx: Transaction,
  { kept, mark }: Claim,
  outcomes: readonly DeliveryOutcome[],
): Promise<KeptDeliveryRow[]> {
  return tx.query(
    `WITH o AS (SELECT * FROM jsonb_to_recordset($3::jsonb) AS o(number int, state text,
                  attempts int, "upstreamId" text, answer text))
     UPDATE kept_delivery d SET state = o.state, attempts = d.attempts + o.attempts,
            upstream_id = o."upstreamId", answer = o.answer, changed_at = clock_timestamp()
       FROM o, kept k
      WHERE k.id = d.kept AND d.kept = $1 AND k.claimed_by = $2
        AND d.number = o.number AND d.state = 'sending'
      RETURNING d.number, d.readers, d.state, d.attempts, d.upstream_id, d.answer`,
    [kept, mark, JSON.stringify(outcomes)],
  );
}

/** Whatever still waits gets this state, for good. */
export function endWaiting(
  tx: Transaction,
  { kept, mark }: Claim,
  state: 'refused' | 'expired',
): Promise<KeptDeliveryRow[]> {
  return tx.query(
    `UPDATE kept_delivery d SET state = $3, changed_at = clock_timestamp()
       ${CLAIMED} AND d.state = 'waiting'
      RETURNING d.number, d.readers, d.state, d.attempts, d.upstream_id, d.answer`,
    [kept, mark, state],
  );
}

/** Nothing is left to do; the sealed bytes stay until `eraseAt`. False when another has taken the call over. */
export async function finishKept(tx: Transaction, claim: Claim, eraseAt: Date): Promise<boolean> {
  const rows = await tx.query(
    `UPDATE kept SET state = CASE state WHEN 'sending' THEN 'done' ELSE state END,
            claimed_by = NULL, claimed_until = NULL, next_at = $3
      WHERE id = $1 AND claimed_by = $2 RETURNING 1 AS one`,
    [claim.kept, claim.mark, eraseAt],
  );
  return rows.length > 0;
}

/** Erases what nobody will need again; how many calls. */
export async function eraseSealed(db: Queryable, now: Date): Promise<number> {
  const rows = await db.query(
    `UPDATE kept k SET sealed = NULL
      WHERE k.sealed IS NOT NULL AND k.next_at <= $1 AND k.state IN ('done', 'refused', 'expired')
        AND NOT EXISTS (SELECT FROM kept_delivery d
                         WHERE d.kept = k.id AND d.state IN ('waiting', 'sending'))
      RETURNING 1 AS one`,
    [now],
  );
  return rows.length;
}

/** Holds that nobody decided in time. */
export function expireHeld(tx: Transaction, now: Date): Promise<KeptRow[]> {
  return tx.query(
    `UPDATE kept SET state = 'expired', next_at = $1
      WHERE id IN (SELECT id FROM kept WHERE state = 'held' AND expires_at <= $1
                    ORDER BY id FOR UPDATE SKIP LOCKED)
      RETURNING ${COLUMNS}`,
    [now],
  );
}

export function listHeld(db: Queryable): Promise<KeptRow[]> {
  return db.query(`SELECT ${COLUMNS} FROM kept WHERE state = 'held' ORDER BY at, id`);
}

export async function findKept(db: Queryable, id: string): Promise<KeptRow | null> {
  const rows = await db.query<KeptRow>(`SELECT ${COLUMNS} FROM kept WHERE id = $1`, [id]);
  return rows[0] ?? null;
}

/** The sealed bytes; null once they are erased. */
export async function findSealed(db: Queryable, id: string): Promise<Buffer | null> {
  const rows = await db.query<{ sealed: Buffer | null }>('SELECT sealed FROM kept WHERE id = $1', [
    id,
  ]);
  return rows[0]?.sealed ?? null;
}

/** One call, or all that are held of a campaign; locked until the transaction ends. */
export function lockKept(
  tx: Transaction,
  which: { readonly id: string } | { readonly campaign: number },
): Promise<KeptRow[]> {
  return 'id' in which
    ? tx.query(`SELECT ${COLUMNS} FROM kept WHERE id = $1 FOR UPDATE`, [which.id])
    : tx.query(
        `SELECT ${COLUMNS} FROM kept WHERE campaign = $1 AND state = 'held' ORDER BY id FOR UPDATE`,
        [which.campaign],
      );
}

export async function setAsked(tx: Transaction, ids: readonly string[], by: string): Promise<void> {
  await tx.query('UPDATE kept SET asked_by = $2 WHERE id = ANY ($1)', [ids, by]);
}

/** Held calls go on their way, or are refused; both are due at once. */
export async function setDecided(
  tx: Transaction,
  ids: readonly string[],
  state: 'sending' | 'refused',
  by: string,
  now: Date,
): Promise<void> {
  await tx.query(
    `UPDATE kept SET state = $2, decided_by = $3, decided_at = $4, next_at = $4
      WHERE id = ANY ($1) AND state = 'held'`,
    [ids, state, by, now],
  );
}

/** Follows what other processes have committed; '' where something may have been missed. */
export function listenKept(
  db: Database,
  onWork: (work: string) => void,
): Promise<() => Promise<void>> {
  return db.listen(CHANNEL, onWork);
}
