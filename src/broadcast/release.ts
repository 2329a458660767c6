/**
 * Release: ring after ring to the connections, every outcome kept. Invariant: nothing is sent that is not under the approved root, without a permit, or while a halt stands.
 */

import type { Broadcast } from './broadcast.ts';
import type { WaitingRow } from './chunk-loader.ts';
import type { Outgoing, SendResult } from './delivery/outgoing.ts';
import { SendPool } from './delivery/send-pool.ts';
import { suppressionsFor } from './leave-out.ts';
import { fromDomainOf } from './notice.ts';
import { type Again, OutcomeWriter, type RecordedOutcome } from './outcome-writer.ts';
import type { PermitState } from './permit.ts';
import type { RecoveryReport } from './recover.ts';
import { ChunksUnderWay } from './release-chunks.ts';
import { describeEnd, isDatabaseFault, needsPerson } from './release-faults.ts';
import { Feed } from './release-feed.ts';
import { againAfter, hungUpOutcome, leftOutOutcome, outcomeOf } from './release-outcomes.ts';
import { ReleaseMeter, type ReleaseProgress } from './release-progress.ts';
import { SendQueue } from './release-queue.ts';
import { Rings } from './release-rings.ts';
import { Signatures } from './release-signatures.ts';
import {
  enterEnd,
  openRelease,
  type PermitHolder,
  type ReleaseEnvironment,
  type ReleaseParts,
  settleOpenChunks,
} from './release-start.ts';
import { Strikes } from './release-strikes.ts';

export type ReleaseEnd =
  | { readonly kind: 'complete' }
  | { readonly kind: 'held'; readonly because: string }
  | { readonly kind: 'halted' }
  | { readonly kind: 'stopped'; readonly because: string };

/** A permit names this many rows, or what is sent in this share of a second (decision: about 250 ms of work). */
const COVER_ROWS_MIN = 256;
const COVER_SECONDS = 0.25;
/** Outcomes waiting to be stored. */
const PENDING_OUTCOMES_MAX = 50_000;
const RETRY_MS = 200;
/** What is still without a reply then is unknown, and settled at the next start. */
const STOP_GRACE_MS = 20_000;

export class Release implements PermitHolder {
  readonly broadcast: Broadcast;
  readonly recovery: RecoveryReport;
  readonly done: Promise<ReleaseEnd>;
  readonly #env: ReleaseEnvironment;
  readonly #parts: ReleaseParts;
  readonly #queue: SendQueue = new SendQueue();
  readonly #chunks: ChunksUnderWay = new ChunksUnderWay();
  readonly #meter: ReleaseMeter = new ReleaseMeter();
  readonly #writer: OutcomeWriter;
  readonly #pool: SendPool;
  readonly #signatures: Signatures;
  readonly #feed: Feed;
  readonly #stopListening: () => void;
  readonly #rings: Rings;
  readonly #strikes: Strikes;
  readonly #resent = new Set<number>();
  #end: ReleaseEnd | null = null;
  #ended = false;
  #stopAsked = false;

  private constructor(env: ReleaseEnvironment, operator: string, parts: ReleaseParts) {
    this.#env = env;
    this.#parts = parts;
    this.broadcast = parts.broadcast;
    this.recovery = parts.recovery;
    this.#strikes = new Strikes(parts.hungUp);
    this.#writer = this.#makeWriter();
    this.#pool = this.#makePool();
    this.#signatures = new Signatures({
      db: env.db,
      keyring: env.keyring,
      broadcast: parts.broadcast,
      stagesModule: env.stagesModule,
      approval: parts.approval.digest,
      operator,
      domain: fromDomainOf(parts.notice),
      ...(env.resolveTxt === undefined ? {} : { resolveTxt: env.resolveTxt }),
      ...(env.signatureAgeMsMax === undefined ? {} : { ageMsMax: env.signatureAgeMsMax }),
      cancelled: () => this.#end !== null,
    });
    this.#feed = this.#makeFeed();
    this.#rings = new Rings({
      db: env.db,
      broadcast: parts.broadcast,
      writer: this.#writer,
      meter: this.#meter,
      feed: this.#feed,
      ended: () => this.#end !== null,
    });
    this.#stopListening = env.brake.onThrow(() => this.#readBrake());
    this.done = Promise.resolve().then(() => this.#run());
  }

  /**
   * Starts or goes on with a release.
   * @throws Fault `broadcast.not-approved`, `broadcast.altered`, `broadcast.wrong-state`, `halt.stands`, `release.elsewhere`.
   */
  static async start(env: ReleaseEnvironment, id: string, operator: string): Promise<Release> {
    let release: Release | null = null;
    const parts = await openRelease(env, id, operator, () => release);
    release = new Release(env, operator, parts);
    // What was said while nobody listened yet.
    release.#readBrake();
    release.permitChanged(parts.permit.state);
    return release;
  }

  #makeWriter(): OutcomeWriter {
    const { broadcast, key, firstBatch } = this.#parts;
    return new OutcomeWriter({
      db: this.#env.db,
      broadcast: broadcast.id,
      key,
      firstBatch,
      now: () => Date.now(),
      stored: (outcomes) => {
        this.#queue.stored(outcomes);
        this.#goesOn('outcomes');
      },
      failed: (fault) => this.#meter.pause('outcomes', fault.message),
    });
  }

  #makePool(): SendPool {
    const { broadcast, allowed, intents } = this.#parts;
    return new SendPool({
      route: broadcast.settings.route,
      allowed,
      look: this.#env.look,
      connect: this.#env.connect,
      intents,
      mayWrite: () => this.#mayWrite(),
      waiting: () => (this.#mayWrite() ? this.#queue.ready : 0),
      next: (behind) => this.#take(behind),
      settled: (message, result) => this.#settled(message, result),
      stopped: (message, result) =>
        this.#finish({
          kind: 'held',
          because: `last look: ${result.why} (${result.where}) in the message of row ${message.position}`,
        }),
      reachable: () => this.#meter.resume('route'),
      unreachable: (fault) =>
        this.#meter.pause('route', `${fault.where ?? 'the route'}: ${fault.message}`),
    });
  }

  #makeFeed(): Feed {
    const { broadcast, loader, notice, permit } = this.#parts;
    return new Feed({
      db: this.#env.db,
      broadcast: broadcast.id,
      sender: this.#env.sender,
      loader,
      queue: this.#queue,
      chunks: this.#chunks,
      writer: this.#writer,
      meter: this.#meter,
      signatures: this.#signatures,
      suppressions: suppressionsFor(notice.settings.class),
      ended: () => this.#end !== null,
      permitted: () => permit.valid,
      filled: () => this.#filled(),
      leaveOut: (row, reason) =>
        this.#keep(leftOutOutcome(row, reason, Date.now()), row.chunk, null),
    });
  }

  /** Whether this release has come to its end and only waits for what is in flight. */
  get ending(): boolean {
    return this.#end !== null;
  }

  progress(): ReleaseProgress {
    const { accepted, refused, undeliverable, deferred, uncertain } = this.#meter.counts;
    const signing = this.#signatures.under;
    const sending = this.#rings.milliseconds - this.#signatures.milliseconds;
    return {
      phase: this.#phase(),
      because: this.#because(),
      ring: signing?.ring ?? this.#rings.current,
      done: signing?.done ?? this.#meter.total,
      of: signing?.of ?? this.broadcast.count,
      accepted,
      refused: refused + undeliverable,
      deferred,
      uncertain,
      inFlight: this.#pool.inFlight().length,
      perSecond: this.#meter.perSecond(),
      sendingSeconds: Math.max(0, sending) / 1000,
      signingSeconds: this.#signatures.milliseconds / 1000,
    };
  }

  #phase(): ReleaseProgress['phase'] {
    if (this.#ended) return 'ended';
    if (this.#signatures.under !== null) return 'signing';
    if (!this.#rings.started) return 'starting';
    return this.#because() === null ? 'sending' : 'paused';
  }

  #because(): string | null {
    const { permit, intents } = this.#parts;
    const silent = permit.valid ? null : 'the database does not renew the permit';
    return this.#meter.because ?? intents.failure?.message ?? silent;
  }

  /** Ends the sending without a halt: for the end of the process. What is in flight is settled first. */
  async stop(because: string): Promise<void> {
    this.#stopAsked = true;
    this.#finish({ kind: 'stopped', because });
    await this.done;
  }

  // --- the permit and the halt ---

  cover(): readonly number[] {
    return this.#queue.cover(
      Math.max(COVER_ROWS_MIN, Math.ceil(this.#meter.perSecond() * COVER_SECONDS)),
    );
  }

  granted(): void {
    this.#queue.granted();
    this.#goesOn('permit');
  }

  permitChanged(state: PermitState): void {
    if (state.kind === 'paused') this.#meter.pause('permit', state.because);
    else if (state.kind === 'halted') this.#finish({ kind: 'halted' });
    else if (state.kind === 'lost')
      this.#finish({ kind: 'stopped', because: 'another sender has taken the permit over' });
  }

  #readBrake(): void {
    if (this.#env.brake.stands(this.broadcast.id)) this.#finish({ kind: 'halted' });
  }

  #goesOn(cause: 'outcomes' | 'permit'): void {
    this.#meter.resume(cause);
    this.#pool.kick();
  }

  #mayWrite(): boolean {
    const { permit, intents } = this.#parts;
    return (
      this.#end === null &&
      permit.valid &&
      intents.healthy &&
      this.#writer.healthy &&
      !this.#env.brake.stands(this.broadcast.id)
    );
  }

  // --- one message ---

  #filled(): void {
    if (this.#queue.ready < COVER_ROWS_MIN) this.#parts.permit.hurry();
    this.#pool.kick();
  }

  #take(behind: boolean): Outgoing | null {
    if (!this.#mayWrite() || this.#writer.pending > PENDING_OUTCOMES_MAX) return null;
    for (;;) {
      const row = this.#queue.take(behind, this.#strikes.othersFirst);
      if (this.#queue.ready < COVER_ROWS_MIN / 2 && this.#queue.waiting > this.#queue.ready)
        this.#parts.permit.hurry();
      if (row === null) return null;
      if (this.#signatures.isOld(row.run)) {
        this.#signAgain(row);
        continue;
      }
      try {
        return this.#parts.loader.outgoing(row);
      } catch (error) {
        this.#finish({ kind: 'held', because: describeEnd(error) });
        return null;
      }
    }
  }

  /** Its Date has grown old while it waited: the row goes back into a chunk, for the same attempt. */
  #signAgain(row: WaitingRow): void {
    this.#queue.drop(row.position);
    this.#countDown(row.chunk, { position: row.position, attempt: row.attempt, delayMs: 0 });
  }

  #settled(message: Outgoing, result: SendResult): void {
    const { position, attempt } = message;
    if (result.kind === 'abandoned') this.#parts.intents.abandon(position, attempt);
    if (result.kind === 'returned' || result.kind === 'abandoned')
      this.#cutShort(message, result.lost);
    else {
      // 421 speaks of the connection (RFC 5321 section 3.8): it does not show that messages get through.
      if (result.kind === 'replied' && result.reply.code !== 421) this.#strikes.answered(position);
      this.#record(message, outcomeOf(message, result, Date.now(), this.#parts.deadlineMs));
    }
  }

  /** The connection ended before the content was whole: whose fault it is shows when others get through. */
  #cutShort(message: Outgoing, lost: string | null): void {
    const { position } = message;
    const queue = this.#queue;
    if (lost === null || this.#end !== null) queue.giveBack(position);
    else if (this.#strikes.lost(position, queue.isLast(position), performance.now())) {
      this.#pool.excuse();
      this.#record(message, hungUpOutcome(message, lost, Date.now(), this.#parts.deadlineMs));
    } else queue.setAside(position);
  }

  #record(message: Outgoing, outcome: RecordedOutcome): void {
    const { position, attempt, state, code, enhanced } = outcome;
    this.#queue.settle(position);
    this.#parts.intents.reply(position, attempt, state, code, enhanced);
    this.#keep(outcome, message.chunk, againAfter(outcome, this.broadcast.settings, this.#resent));
  }

  #keep(outcome: RecordedOutcome, chunk: number, again: Again | null): void {
    this.#meter.count(outcome.state);
    this.#writer.add(outcome);
    this.#countDown(chunk, again);
  }

  /** A chunk ends with its last outcome, in one transaction with what is to be tried again of it. */
  #countDown(chunk: number, again: Again | null): void {
    const finished = this.#chunks.settle(chunk, again);
    if (finished === null) return;
    this.#writer.finish(finished);
    this.#feed.wake();
  }

  async #run(): Promise<ReleaseEnd> {
    try {
      const end = await this.#rings.walk();
      if (end !== null) this.#finish(end);
    } catch (error) {
      this.#finish({
        kind: needsPerson(error) ? 'held' : 'stopped',
        because: describeEnd(error),
      });
    }
    const end: ReleaseEnd = this.#end ?? { kind: 'complete' };
    try {
      await this.#close(end);
    } finally {
      this.#ended = true;
    }
    return end;
  }

  #finish(end: ReleaseEnd): void {
    if (this.#end !== null) return;
    this.#end = end;
    this.#pool.halt();
    this.#feed.wake();
  }

  async #close(end: ReleaseEnd): Promise<void> {
    const { permit, intents } = this.#parts;
    const { afterDot } = this.broadcast.settings.route.timeoutsMs;
    this.#stopListening();
    await this.#signatures.close();
    await this.#pool.close(end.kind === 'stopped' ? Math.min(afterDot, STOP_GRACE_MS) : afterDot);
    intents.flush();
    await this.#writer.close(10_000);
    if (end.kind !== 'complete') await settleOpenChunks(this.#env, this.#parts);
    await intents.close();
    await this.#enter(end);
    await permit.close();
  }

  /** Waits for the database, unless the process ends: the next start comes to the same end. */
  async #enter(end: ReleaseEnd): Promise<void> {
    if (end.kind === 'halted' || end.kind === 'stopped') return;
    while (!this.#stopAsked) {
      try {
        await enterEnd(this.#env.db, this.broadcast.id, end);
        return;
      } catch (error) {
        if (!isDatabaseFault(error)) throw error;
        this.#meter.pause('database', error.message);
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }
}
