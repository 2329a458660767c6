/**
 * The sequencer gives committed entries their places in the tree and signs a checkpoint over them.
 * Invariant: every committed entry gets exactly one place, also one whose transaction outlived later ones; and what was
 * committed before another deed began stands before it.
 *
 * Any number of processes may run one: each round holds an advisory lock and begins from what the database holds.
 */

import type { KeyObject } from 'node:crypto';
import { type Clock, systemClock } from '../base/clock.ts';
import { Fault } from '../base/errors.ts';
import type { Database, Transaction } from '../store/database.ts';
import {
  hasUnplacedEntries,
  insertCheckpoint,
  insertLeaves,
  lastCheckpoint,
  lockSequencer,
  oldestRunningTransaction,
  readTree,
  unplacedEntries,
} from '../store/ledger-entries.ts';
import { type Anchor, bringUpToDate } from './anchors.ts';
import { isOrigin, openCheckpoint, signCheckpoint, verifierKey } from './checkpoint.ts';
import { CompactRange, leafHash } from './tree.ts';

export interface Sequencer {
  /**
   * Places everything committed so far and waits for it: the signed note that covers it.
   * Anchors follow on their own; `anchored()` waits for them.
   */
  flush(): Promise<string>;
  /** One round for every anchor; true when all of them have taken the last checkpoint. */
  anchored(): Promise<boolean>;
  /** Places what is committed, brings the anchors up to date once, and ends. */
  close(): Promise<void>;
}

export interface SequencerOptions {
  readonly db: Database;
  readonly key: { readonly privateKey: KeyObject; readonly publicKey: KeyObject };
  /** Names the log and its key: one word, such as a host name with a path. */
  readonly origin: string;
  readonly anchors: readonly Anchor[];
  /** At most this long from a commit to its checkpoint; 100 unless told. */
  readonly intervalMs?: number;
  readonly clock?: Clock;
  readonly log: (line: string) => void;
}

const ENTRIES_PER_ROUND = 10_000;
const FAILED_PAUSE_MS = 200;
const ANCHOR_PAUSE_MS = 5_000;
/** With another process placing the entries, ours still has to learn how far it is. */
const IDLE_ROUND_MS = 2_000;

/**
 * Checks that this key may go on with the ledger, and begins.
 * @throws Fault `ledger.origin`, `ledger.key` (the last checkpoint is not by this key and origin), `ledger.inconsistent`.
 */
export async function startSequencer(options: SequencerOptions): Promise<Sequencer> {
  const { db, key, origin } = options;
  if (!isOrigin(origin))
    throw new Fault('ledger.origin', 'the name of the ledger holds a space or a plus sign', {
      where: 'origin',
      remedy: 'use one word, such as a host name with a path',
    });
  const last = await lastCheckpoint(db);
  if (last !== null) {
    const reading = openCheckpoint(last.note, verifierKey(origin, key.publicKey));
    if (reading.kind === 'invalid')
      throw new Fault('ledger.key', `the ledger is another's: ${reading.reason}`, {
        where: `checkpoint ${last.size}`,
        remedy: 'start with the key and the origin that signed it',
      });
  }
  const sequencer = new RunningSequencer(options);
  await sequencer.flush();
  sequencer.start();
  return sequencer;
}

class RunningSequencer implements Sequencer {
  readonly #options: SequencerOptions;
  readonly #clock: Clock;
  /** Entries of transactions below this id have their places. */
  #horizon = '0';
  #note = '';
  #anchoredNote = '';
  #anchorsDueMs = 0;
  #roundAtMs = 0;
  #round: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #anchoring: Promise<boolean> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #failed = false;
  #closed: Promise<void> | undefined;

  constructor(options: SequencerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  start(): void {
    const { intervalMs = 100 } = this.#options;
    this.#timer = setTimeout(() => this.#tick(), this.#failed ? FAILED_PAUSE_MS : intervalMs);
  }

  async #tick(): Promise<void> {
    const { db, log } = this.#options;
    try {
      const idle = this.#clock.monotonicMs() - this.#roundAtMs > IDLE_ROUND_MS;
      const isDue = this.#failed || idle || (await hasUnplacedEntries(db, this.#horizon));
      if (isDue) await this.#placeAll();
    } catch (error) {
      if (!this.#failed) log(`ledger: no checkpoint can be signed: ${(error as Error).message}`);
      this.#failed = true;
    }
    const due = this.#clock.monotonicMs() >= this.#anchorsDueMs;
    if (!this.#failed && due && this.#anchoredNote !== this.#note)
      void this.anchored().catch(() => {});
    if (this.#closed === undefined) this.start();
  }

  async flush(): Promise<string> {
    await this.#placeAll();
    return this.#note;
  }

  /** A round that has begun may have missed what its caller committed: such callers share the one after it. */
  #placeAll(): Promise<void> {
    if (this.#round === undefined) return this.#begin();
    this.#next ??= this.#round
      .catch(() => {})
      .then(() => {
        this.#next = undefined;
        return this.#begin();
      });
    return this.#next;
  }

  #begin(): Promise<void> {
    const round = this.#placeUntilNoneIsLeft().finally(() => {
      if (this.#round === round) this.#round = undefined;
    });
    this.#round = round;
    return round;
  }

  async #placeUntilNoneIsLeft(): Promise<void> {
    const { db, key, origin, log } = this.#options;
    for (;;) {
      const done = await db.transaction((tx) =>
        placeSome(tx, this.#horizon, (checkpoint) => ({
          note: signCheckpoint({ ...checkpoint, origin }, key),
          at: new Date(this.#clock.now()),
        })),
      );
      // Only now it is committed: a horizon taken from a round that was rolled back would hide its entries for good.
      this.#note = done.note;
      this.#roundAtMs = this.#clock.monotonicMs();
      if (this.#failed) log('ledger: checkpoints are signed again');
      this.#failed = false;
      if (done.horizon === null) continue;
      this.#horizon = done.horizon;
      return;
    }
  }

  anchored(): Promise<boolean> {
    this.#anchoring ??= this.#bringAnchors().finally(() => {
      this.#anchoring = undefined;
    });
    return this.#anchoring;
  }

  async #bringAnchors(): Promise<boolean> {
    const { db, anchors } = this.#options;
    const now = (): Date => new Date(this.#clock.now());
    const note = this.#note;
    let complete = false;
    try {
      const sizes = await Promise.all(anchors.map((anchor) => bringUpToDate(db, anchor, now)));
      complete = sizes.every((size) => size !== null);
    } finally {
      if (complete) this.#anchoredNote = note;
      else this.#anchorsDueMs = this.#clock.monotonicMs() + ANCHOR_PAUSE_MS;
    }
    return complete;
  }

  close(): Promise<void> {
    this.#closed ??= (async () => {
      clearTimeout(this.#timer);
      await this.#round?.catch(() => {});
      await this.#placeAll().catch(() => {});
      await this.#anchoring?.catch(() => {});
      await this.anchored().catch(() => {});
    })();
    return this.#closed;
  }
}

type Sign = (checkpoint: { readonly size: number; readonly root: Buffer }) => {
  readonly note: string;
  readonly at: Date;
};

/** Places one round's entries; `horizon` is null when there may be more of them. */
async function placeSome(
  tx: Transaction,
  from: string,
  sign: Sign,
): Promise<{ readonly note: string; readonly horizon: string | null }> {
  await lockSequencer(tx);
  const range = await currentRange(tx);
  // Asked before the entries are read: whatever is older has ended and is visible to that reading.
  const horizon = await oldestRunningTransaction(tx);
  const entries = await unplacedEntries(tx, from, ENTRIES_PER_ROUND);
  const last = await lastCheckpoint(tx);
  if (entries.length === 0 && last !== null) return { note: last.note, horizon };
  const leaves = entries.map(({ id, bytes }) => {
    const leaf = { index: range.size, entryId: id, hash: leafHash(Buffer.from(bytes)) };
    range.append(leaf.hash);
    return leaf;
  });
  if (leaves.length > 0) await insertLeaves(tx, leaves);
  const checkpoint = { size: range.size, root: range.root() };
  const { note, at } = sign(checkpoint);
  await insertCheckpoint(tx, { ...checkpoint, note }, at, range.frontier());
  return { note, horizon: entries.length < ENTRIES_PER_ROUND ? horizon : null };
}

/** The tree as stored, refused when it is not the one of the last checkpoint. */
async function currentRange(tx: Transaction): Promise<CompactRange> {
  const { size, frontier } = await readTree(tx);
  const range = CompactRange.resume(size, frontier);
  const last = await lastCheckpoint(tx);
  const fits = last === null ? size === 0 : range?.root().equals(last.root) && last.size === size;
  if (range === null || !fits)
    throw new Fault('ledger.inconsistent', 'the ledger is not the one that was signed last', {
      where: `checkpoint ${last?.size ?? 0}`,
      remedy: 'keep the database as it is and verify an export against an anchor',
    });
  return range;
}
