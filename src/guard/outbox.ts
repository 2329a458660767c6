/**
 * Where split and held calls wait: sealed, cut by their gate, delivered by whichever process is there.
 *
 * Invariants: a call is stored in the transaction of its verdict, or not at all; an intent is committed before content is handed
 * over, and its result after; what a process that died had in the middle is uncertain and is not sent again by itself.
 */

import { createHash } from 'node:crypto';
import { Fault } from '../base/errors.ts';
import { newId } from '../base/id.ts';
import { blindIndex } from '../keys/blind-index.ts';
import { createDataKey, unwrapDataKey } from '../keys/data-key.ts';
import type { Keyring } from '../keys/keyring.ts';
import { open, type SealingKey, seal } from '../keys/seal.ts';
import { appendEntry } from '../ledger/ledger.ts';
import { findDataKey, insertDataKey } from '../store/data-keys.ts';
import type { Database, Queryable, Transaction } from '../store/database.ts';
import {
  claimKept,
  eraseSealed,
  findSameCall,
  findSealed,
  insertKept,
  listenKept,
  type NewKept,
  notifyKept,
  type SealedKeptRow,
  settleAbandoned,
  type Work,
} from '../store/kept.ts';
import type { Carrier, Delivery } from './carrier.ts';
import type { Keeper, KeepRequest, Sealed } from './check.ts';
import { expireHolds } from './hold.ts';
import { enterOutcomes, Slots, workOn } from './outbox/work.ts';

export interface OutboxOptions {
  readonly db: Database;
  readonly keyring: Keyring;
  /** Id of this process. */
  readonly sender: string;
  readonly log: (line: string) => void;
  /** Milliseconds since 1970; the system's unless told. */
  readonly now?: () => number;
  /** Whether this mail stands still: a freeze or a halt. Asked before each delivery. */
  readonly frozen?: (identity: string, campaign: number | null) => boolean;
  /** How long a hold waits for people: 72 h unless told. */
  readonly holdMs?: number;
  /** After this long without a sign of life another process takes a call up: 30 s unless told. */
  readonly claimMs?: number;
  /** How often what is due is looked for beside being woken: 1 s unless told. */
  readonly tickMs?: number;
}

export interface Outbox extends Keeper {
  /** Delivers the calls of this carrier's gate from now on. */
  carry(carrier: Carrier): void;
  /** Opens the data key, which `seal` needs, and begins to deliver. */
  start(): Promise<void>;
  /** The bytes of a kept call. @throws Fault `guard.erased` where they are no more. */
  openKept(id: string): Promise<Buffer>;
  /** Takes nothing new, and settles what is in flight. */
  close(): Promise<void>;
}

const TABLE = 'kept';
const DATA_KEY = 'guard';
const HOUR_MS = 3_600_000;
/** For this long a caller's retry is the call it repeats. */
const RETRY_KNOWN_MS = 24 * HOUR_MS;
const CALLS_AT_ONCE = 10;
const DELIVERIES_AT_ONCE = 10;
/** Holds run out, bytes are erased and senders are told at this pace. */
const ROUND_MS = 10_000;

/** The guard's data key; made at its first use. */
async function guardKey(db: Queryable, keyring: Keyring): Promise<SealingKey> {
  if ((await findDataKey(db, DATA_KEY)) === null) {
    const { name, kekVersion, wrapped } = createDataKey(keyring, DATA_KEY).stored;
    await insertDataKey(db, { name, kek_version: kekVersion, wrapped });
  }
  const row = await findDataKey(db, DATA_KEY);
  if (row === null) throw new Fault('keys.no-data-key', 'the guard has no data key');
  const { name, kek_version: kekVersion, wrapped } = row;
  return unwrapDataKey(keyring, { name, kekVersion, wrapped });
}

/** The same call by the same caller at the same gate, and nothing else, has the same fingerprint. */
function fingerprintOf(keyring: Keyring, { identity, gate, bytes }: KeepRequest): Buffer {
  const digest = createHash('sha256').update(bytes).digest('base64');
  return blindIndex(keyring.blindIndex.key, 'kept', JSON.stringify([identity, gate, digest]));
}

export function createOutbox(options: OutboxOptions): Outbox {
  return new RunningOutbox(options);
}

class RunningOutbox implements Outbox {
  readonly #options: OutboxOptions;
  readonly #carriers = new Map<string, Carrier>();
  readonly #slots = new Slots(DELIVERIES_AT_ONCE);
  readonly #working = new Set<Promise<void>>();
  #key: SealingKey | null = null;
  #timer: NodeJS.Timeout | null = null;
  #unlisten: (() => Promise<void>) | null = null;
  #looking: Promise<void> | null = null;
  #lookAgain = false;
  #lastRoundAt = Number.NEGATIVE_INFINITY;
  #claims = 0;
  #closing = false;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  carry(carrier: Carrier): void {
    this.#carriers.set(carrier.gate, carrier);
    this.wake();
  }

  async start(): Promise<void> {
    const { db, keyring, tickMs = 1000 } = this.#options;
    this.#key = await guardKey(db, keyring);
    this.#unlisten = await listenKept(db, (work) => {
      if (work !== 'deliver') this.#lastRoundAt = Number.NEGATIVE_INFINITY;
      this.wake();
    });
    this.#timer = setInterval(() => this.wake(), tickMs);
    this.wake();
  }

  seal(request: KeepRequest): Sealed {
    const key = this.#openKey();
    // What cannot be cut is refused before anybody was told that it was taken.
    const id = newId('k');
    const deliveries = this.#carrierOf(request.gate).cut(request.bytes, request.cut, id);
    if (deliveries.length === 0)
      throw new Fault('guard.cannot-cut', 'a call that reaches nobody cannot be kept');
    const readers = deliveries.map((delivery: Delivery) => delivery.readers);
    const at = new Date(this.#now());
    const { holdMs = 72 * HOUR_MS, keyring } = this.#options;
    const isHeld = request.kind === 'hold';
    const { gate, identity, kind, cut, verdict, reasons, campaign, disclosures } = request;
    const row: NewKept = {
      ...{ id, at, gate, identity, kind, cut, verdict, reasons, campaign, disclosures },
      state: isHeld ? 'held' : 'sending',
      readers: request.readers,
      fingerprint: fingerprintOf(keyring, request),
      sealed: seal(key, TABLE, id, request.bytes),
      expiresAt: isHeld ? new Date(at.getTime() + holdMs) : null,
    };
    return { request, store: (tx) => storeKept(tx, row, readers) };
  }

  wake(): void {
    if (this.#closing || this.#key === null) return;
    if (this.#looking !== null) {
      this.#lookAgain = true;
      return;
    }
    this.#looking = this.#look().finally(() => {
      this.#looking = null;
      if (!this.#lookAgain) return;
      this.#lookAgain = false;
      this.wake();
    });
  }

  async openKept(id: string): Promise<Buffer> {
    const sealed = await findSealed(this.#options.db, id);
    if (sealed === null)
      throw new Fault('guard.erased', 'the content of this call is not kept any more', {
        where: id,
      });
    return open(this.#openKey(), TABLE, id, sealed);
  }

  async close(): Promise<void> {
    this.#closing = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#unlisten?.();
    await this.#looking;
    await Promise.all(this.#working);
  }

  #now(): number {
    return (this.#options.now ?? Date.now)();
  }

  #openKey(): SealingKey {
    if (this.#key === null)
      throw new Fault('guard.not-started', 'the outbox has not been started', {
        remedy: 'nothing is kept before it can be sealed: try again',
      });
    return this.#key;
  }

  #carrierOf(gate: string): Carrier {
    const carrier = this.#carriers.get(gate);
    if (carrier === undefined)
      throw new Fault('guard.no-carrier', 'nobody delivers what this gate keeps', { where: gate });
    return carrier;
  }

  /** Claims calls for as long as there are any and hands are free. A fault waits for the next tick. */
  async #look(): Promise<void> {
    try {
      if (this.#carriers.size === 0) return;
      await this.#takeUp('deliver');
      if (performance.now() - this.#lastRoundAt < ROUND_MS) return;
      this.#lastRoundAt = performance.now();
      const now = new Date(this.#now());
      await expireHolds(this.#options.db, now, this.#options.log);
      await this.#takeUp('tell');
      await eraseSealed(this.#options.db, now);
    } catch (error) {
      this.#say('guard.outbox-fault', { code: codeOf(error) });
    }
  }

  async #takeUp(work: Work): Promise<void> {
    while (!this.#closing && this.#working.size < CALLS_AT_ONCE) {
      const mark = `${this.#options.sender}/${++this.#claims}`;
      const row = await this.#claim(work, mark);
      if (row === null) return;
      const done = this.#work(row, mark);
      this.#working.add(done);
      void done.finally(() => {
        this.#working.delete(done);
        this.wake();
      });
    }
  }

  #claim(work: Work, mark: string): Promise<SealedKeptRow | null> {
    const { db, claimMs = 30_000 } = this.#options;
    const gates = [...this.#carriers.keys()];
    return db.transaction(async (tx) => {
      const now = new Date(this.#now());
      const row = await claimKept(tx, work, { mark, gates, now, claimMs });
      if (row === null) return null;
      const left = await settleAbandoned(tx, row.id);
      if (left.length > 0) await enterOutcomes(tx, row, left, now);
      return row;
    });
  }

  /** Never rejects: what goes wrong is said, and the claim runs out. */
  async #work(row: SealedKeptRow, mark: string): Promise<void> {
    const { db, log, claimMs = 30_000 } = this.#options;
    try {
      const carrier = this.#carrierOf(row.gate);
      const bytes = open(this.#openKey(), TABLE, row.id, row.sealed);
      await workOn({
        ...{ db, log, row, carrier, bytes, claimMs },
        claim: { kept: row.id, mark },
        slots: this.#slots,
        now: () => this.#now(),
        frozen: () => this.#isFrozen(row),
        closing: () => this.#closing,
      });
    } catch (error) {
      this.#say('alarm guard.delivery-fault', { kept: row.id, code: codeOf(error) });
    }
  }

  /** Who cannot say whether mail stands still is not taken for a no. */
  #isFrozen({ identity, campaign }: SealedKeptRow): boolean {
    try {
      return this.#options.frozen?.(identity, campaign) ?? false;
    } catch (error) {
      this.#say('guard.freeze-unknown', { code: codeOf(error) });
      return true;
    }
  }

  #say(event: string, fields: Readonly<Record<string, string>>): void {
    this.#options.log(`${event} ${JSON.stringify(fields)}`);
  }
}

/** The id of the call: its own, or that under which the very same was taken before. */
async function storeKept(
  tx: Transaction,
  row: NewKept,
  readers: readonly number[],
): Promise<string> {
  const since = new Date(row.at.getTime() - RETRY_KNOWN_MS);
  const same = await findSameCall(tx, row.fingerprint, since);
  if (same !== null) return same;
  await insertKept(tx, row, readers);
  const { gate, identity, kind, cut, verdict, reasons, campaign, disclosures } = row;
  await appendEntry(tx, {
    kind: 'kept.kept',
    at: row.at.toISOString(),
    by: 'system',
    subject: row.id,
    data: {
      ...{ gate, identity, kind, cut, verdict, reasons: [...reasons], campaign, disclosures },
      deliveries: readers.length,
      readers: row.readers,
      expires: row.expiresAt?.toISOString() ?? null,
    },
  });
  await notifyKept(tx, 'deliver');
  return row.id;
}

function codeOf(error: unknown): string {
  return error instanceof Fault ? error.code : 'fault';
}
