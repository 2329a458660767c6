/**
 * The work on one claimed call: its deliveries, ten at once over all calls of a process; what is tried again; what the sender is
 * told when nothing is left to try.
 *
 * Invariant: a delivery is handed over once for each committed intent, and only while the claim stands.
 */

import { Fault } from '../../base/errors.ts';
import { appendBatch } from '../../ledger/ledger.ts';
import type { Database, Transaction } from '../../store/database.ts';
import {
  type Claim,
  type DeliveryOutcome,
  deliveriesOf,
  endWaiting,
  finishKept,
  type KeptDeliveryRow,
  type KeptRow,
  markSending,
  postponeKept,
  recordOutcomes,
  renewClaim,
  type SealedKeptRow,
} from '../../store/kept.ts';
import type { Carrier, Delivery, DeliveryResult, FailedDelivery } from '../carrier.ts';

export interface Job {
  readonly db: Database;
  readonly log: (line: string) => void;
  readonly row: SealedKeptRow;
  readonly claim: Claim;
  readonly claimMs: number;
  readonly carrier: Carrier;
  readonly bytes: Buffer;
  readonly slots: Slots;
  readonly now: () => number;
  readonly frozen: () => boolean;
  readonly closing: () => boolean;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const BACKOFF_MS = [MINUTE_MS, 5 * MINUTE_MS, 15 * MINUTE_MS, HOUR_MS] as const;
/** What could not be delivered in this time is given up. */
const TRIED_MS_MAX = 24 * HOUR_MS;
/** A sender who cannot be told for this long stays untold, with an alarm. */
const TOLD_MS_MAX = 48 * HOUR_MS;
const TELL_AGAIN_MS = 5 * MINUTE_MS;
const FROZEN_MS = 1000;
const ERASED_AFTER_MS = 24 * HOUR_MS;
const RECORD_AGAIN_MS = 500;

/** A number of hands that all calls share. */
export class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  /** Between one and as many as are asked for; waits for the first. */
  async take(wanted: number): Promise<number> {
    while (this.#free === 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    const taken = Math.min(this.#free, wanted);
    this.#free -= taken;
    return taken;
  }

  give(count: number): void {
    this.#free += count;
    for (const resolve of this.#waiting.splice(0, count)) resolve();
  }
}

/** Keeps the claim for as long as the process lives and the database answers. */
class Lease {
  readonly #job: Job;
  readonly #timer: NodeJS.Timeout;
  #until: number;
  #isLost = false;

  constructor(job: Job) {
    this.#job = job;
    this.#until = performance.now() + job.claimMs;
    this.#timer = setInterval(() => void this.#renew(), job.claimMs / 3);
  }

  get stands(): boolean {
    return !this.#isLost && performance.now() < this.#until;
  }

  get isLost(): boolean {
    return this.#isLost;
  }

  async #renew(): Promise<void> {
    const { db, claim, claimMs } = this.#job;
    const asked = performance.now();
    try {
      if (await renewClaim(db, claim, claimMs)) this.#until = asked + claimMs;
      else this.#isLost = true;
    } catch {
      // It stands until it runs out.
    }
  }

  end(): void {
    clearInterval(this.#timer);
  }
}

export async function workOn(job: Job): Promise<void> {
  const lease = new Lease(job);
  try {
    const { carrier, row, bytes } = job;
    const deliveries = carrier.cut(bytes, row.cut, row.id);
    const rows = await deliveriesOf(job.db, row.id);
    if (deliveries.length !== rows.length)
      throw new Fault('guard.cut-differs', 'the call is cut into another number of deliveries', {
        where: row.id,
        remedy: 'let the version of the program that kept it deliver it',
      });
    if (row.state === 'sending') await deliverAll(job, lease, deliveries, rows);
    else await tellStopped(job, deliveries, rows, row.state === 'refused' ? 'refused' : 'expired');
  } finally {
    lease.end();
  }
}

async function deliverAll(
  job: Job,
  lease: Lease,
  deliveries: readonly Delivery[],
  rows: readonly KeptDeliveryRow[],
): Promise<void> {
  // Those that were tried least come first: what is always deferred keeps nobody else waiting.
  const waiting = rows
    .filter(({ state }) => state === 'waiting')
    .sort((one, other) => one.attempts - other.attempts || one.number - other.number);
  for (let next = 0; next < waiting.length; ) {
    const stopped = job.closing() || job.frozen();
    if (stopped) return postpone(job, job.closing() ? 0 : FROZEN_MS);
    if (!lease.stands) return;
    const hands = await job.slots.take(waiting.length - next);
    try {
      await deliverSome(job, lease, deliveries, waiting.slice(next, next + hands));
    } finally {
      job.slots.give(hands);
    }
    next += hands;
  }
  await conclude(job, deliveries);
}

async function deliverSome(
  job: Job,
  lease: Lease,
  deliveries: readonly Delivery[],
  rows: readonly KeptDeliveryRow[],
): Promise<void> {
  const numbers = await markSending(
    job.db,
    job.claim,
    rows.map(({ number }) => number),
  );
  const outcomes = await Promise.all(
    numbers.map((number) => deliverOne(job, lease, deliveries[number], number)),
  );
  await record(job, lease, outcomes);
}

async function deliverOne(
  job: Job,
  lease: Lease,
  delivery: Delivery | undefined,
  number: number,
): Promise<DeliveryOutcome> {
  const base = { number, upstreamId: null } as const;
  // The intent was committed; nothing is handed over yet, and may not be any more.
  if (delivery === undefined || job.closing() || job.frozen() || !lease.stands)
    return { ...base, state: 'waiting', attempts: 0, answer: 'stood-still' };
  let result: DeliveryResult;
  try {
    result = await job.carrier.deliver(delivery, job.frozen);
  } catch {
    // Whether content had gone out by then is not known.
    result = { kind: 'uncertain', answer: 'fault' };
  }
  return {
    number,
    state: result.kind === 'deferred' ? 'waiting' : result.kind,
    attempts: 1,
    upstreamId: result.kind === 'accepted' ? result.upstreamId : null,
    answer: result.answer,
  };
}

/** Results are worth waiting for the database: what is not recorded is uncertain for ever. */
async function record(job: Job, lease: Lease, outcomes: readonly DeliveryOutcome[]): Promise<void> {
  if (outcomes.length === 0) return;
  for (;;) {
    try {
      await job.db.transaction(async (tx) => {
        const rows = await recordOutcomes(tx, job.claim, outcomes);
        await enterOutcomes(tx, job.row, rows, new Date(job.now()));
      });
      return;
    } catch (error) {
      if (job.closing() || lease.isLost) throw error;
      await new Promise((resolve) => setTimeout(resolve, RECORD_AGAIN_MS));
    }
  }
}

/** The text a proof carries for one delivery: `kept,number,state,readers,attempts,upstream id,answer`. */
export function deliveryText(kept: string, row: KeptDeliveryRow): string {
  const { number, state, readers, attempts, upstream_id, answer } = row;
  return `${kept},${number},${state},${readers},${attempts},${upstream_id ?? ''},${answer ?? ''}`;
}

/** Enters final results: one entry for what was delivered, one for what was not. */
export async function enterOutcomes(
  tx: Transaction,
  call: Pick<KeptRow, 'id' | 'gate' | 'identity'>,
  rows: readonly KeptDeliveryRow[],
  now: Date,
): Promise<void> {
  const accepted = rows.filter(({ state }) => state === 'accepted');
  const failed = rows.filter(({ state }) => state !== 'accepted' && state !== 'waiting');
  for (const [kind, some] of [
    ['kept.delivered', accepted],
    ['kept.failed', failed],
  ] as const) {
    if (some.length === 0) continue;
    const { id: subject, gate, identity } = call;
    const states = Object.fromEntries(
      [...new Set(some.map(({ state }) => state))].map((state) => [
        state,
        some.filter((row) => row.state === state).length,
      ]),
    );
    const at = now.toISOString();
    await appendBatch(
      tx,
      { kind, at, by: 'system', subject, data: { gate, identity, states } },
      some.map((row) => Buffer.from(deliveryText(subject, row), 'utf8')),
    );
  }
}

/** After a round over all deliveries: again later, given up, or done. */
async function conclude(job: Job, deliveries: readonly Delivery[]): Promise<void> {
  const { db, row, claim, now } = job;
  let rows = await deliveriesOf(db, row.id);
  const waiting = rows.filter(({ state }) => state === 'waiting');
  if (waiting.length > 0) {
    if (job.closing() || job.frozen()) return postpone(job, job.closing() ? 0 : FROZEN_MS);
    // What stood still has not been tried, and does not run out before it was.
    if (waiting.some(({ attempts }) => attempts === 0)) return postpone(job, FROZEN_MS);
    if (ageMs(job) < TRIED_MS_MAX) {
      const attempts = Math.max(...waiting.map((delivery) => delivery.attempts));
      const place = Math.min(attempts, BACKOFF_MS.length) - 1;
      return postpone(job, BACKOFF_MS[place] ?? HOUR_MS);
    }
    await db.transaction(async (tx) => {
      const expired = await endWaiting(tx, claim, 'expired');
      await enterOutcomes(tx, row, expired, new Date(now()));
    });
    rows = await deliveriesOf(db, row.id);
  }
  const failed = rows.flatMap((one) => failedOf(one, deliveries));
  if (!(await tell(job, failed))) return;
  await db.transaction((tx) => finishKept(tx, claim, new Date(now() + ERASED_AFTER_MS)));
}

function failedOf(row: KeptDeliveryRow, deliveries: readonly Delivery[]): FailedDelivery[] {
  const delivery = deliveries[row.number];
  const { state, answer } = row;
  if (delivery === undefined) return [];
  if (state !== 'refused' && state !== 'expired' && state !== 'uncertain') return [];
  return [{ delivery, answer: answer ?? 'no-answer', kind: state }];
}

/** A hold that was refused or that nobody decided: nothing of it leaves, and its sender is told so. */
async function tellStopped(
  job: Job,
  deliveries: readonly Delivery[],
  rows: readonly KeptDeliveryRow[],
  kind: 'refused' | 'expired',
): Promise<void> {
  const answer = kind === 'refused' ? '550 5.7.1' : 'hold-expired';
  const failed = rows.flatMap(({ number, state }) => {
    const delivery = deliveries[number];
    return delivery === undefined || state !== 'waiting' ? [] : [{ delivery, answer, kind }];
  });
  if (!(await tell(job, failed))) return;
  await job.db.transaction(async (tx) => {
    await endWaiting(tx, job.claim, kind);
    await finishKept(tx, job.claim, new Date(job.now() + ERASED_AFTER_MS));
  });
}

/** A carrier that posts events names the id that answered the caller. */
interface Teller {
  tellFailed(kept: Buffer, failed: readonly FailedDelivery[], id: string): Promise<void>;
}

/** Whether this is settled; where it is not, the call is put off. */
async function tell(job: Job, failed: readonly FailedDelivery[]): Promise<boolean> {
  if (failed.length === 0) return true;
  const teller: Teller = job.carrier;
  const { id: kept } = job.row;
  try {
    await teller.tellFailed(job.bytes, failed, kept);
    return true;
  } catch (error) {
    const code = error instanceof Fault ? error.code : 'fault';
    const isLast = ageMs(job) >= TOLD_MS_MAX;
    job.log(`${isLast ? 'alarm guard.untold' : 'guard.untold'} ${JSON.stringify({ kept, code })}`);
    if (!isLast) await postpone(job, TELL_AGAIN_MS);
    return isLast;
  }
}

/** Since the call was taken, released, refused or given up. */
function ageMs({ row, now }: Job): number {
  const since = row.decided_at ?? (row.state === 'expired' ? row.expires_at : null) ?? row.at;
  return now() - since.getTime();
}

function postpone(job: Job, ms: number): Promise<void> {
  return postponeKept(job.db, job.claim, new Date(job.now() + ms));
}
