/**
 * Release: opens ring after ring, hands chunks to the connections, keeps every outcome.
 * Invariant: nothing is sent that is not under the approved root, without a permit, or while a halt stands.
 */

import { Fault } from '../base/errors.ts';
import type { Keyring } from '../keys/keyring.ts';
import type { SealingKey } from '../keys/seal.ts';
import { appendEntry } from '../ledger/ledger.ts';
import { setBroadcastState } from '../store/broadcasts.ts';
import { type ChunkRow, claimChunk, leftOutOf, openChunks } from '../store/chunks.ts';
import type { Database } from '../store/database.ts';
import { indexOutcomes, nextOutcomeBatch, positionsIn, ringResult } from '../store/outcomes.ts';
import { findPermit } from '../store/permits-and-halts.ts';
import { type Approval, checkedApproval } from './approval.ts';
import { audienceKey } from './audience.ts';
import { compiledNotice, openBlockPool } from './block-pool.ts';
import { type Broadcast, loadBroadcast, loadNotice, transition } from './broadcast.ts';
import { ChunkLoader, type WaitingRow } from './chunk-loader.ts';
import type { Outgoing, SendResult } from './delivery/outgoing.ts';
import { SendPool } from './delivery/send-pool.ts';
import { type HaltSwitch, haltFile } from './halt.ts';
import { IntentLog } from './intent-log.ts';
import type { lookBeforeWrite } from './last-look.ts';
import { suppressionsFor } from './leave-out.ts';
import { maskReply, type OutcomeState, STATES, stateOf } from './outcome.ts';
import { type Again, OutcomeWriter, type RecordedOutcome } from './outcome-writer.ts';
import { Permit } from './permit.ts';
import { type RecoveryReport, recover } from './recover.ts';
import { afterRing, type RingPlan } from './rings.ts';
import { type SigningRun, signRing, usableRun } from './signing.ts';

export interface ReleaseEnvironment {
  readonly db: Database;
  readonly keyring: Keyring;
  readonly dataDir: string;
  /** Names this process among the senders. */
  readonly sender: string;
  readonly brake: HaltSwitch;
  readonly look: typeof lookBeforeWrite;
  readonly stagesModule: string;
}

export type ReleaseEnd =
  | { readonly kind: 'complete' }
  | { readonly kind: 'held'; readonly because: string }
  | { readonly kind: 'halted' }
  | { readonly kind: 'stopped'; readonly because: string };

export interface ReleaseProgress {
  readonly phase: 'starting' | 'signing' | 'sending' | 'paused' | 'ended';
  readonly because: string | null;
  readonly ring: number;
  readonly done: number;
  readonly of: number;
  readonly accepted: number;
  readonly refused: number;
  readonly deferred: number;
  readonly uncertain: number;
  readonly inFlight: number;
  /** Messages settled in the last second. */
  readonly perSecond: number;
  readonly sendingSeconds: number;
  readonly signingSeconds: number;
}

const REFUSED_STATES = [STATES.indexOf('refused'), STATES.indexOf('undeliverable')];
const QUEUE_ROWS = 3072;
const COVER_ROWS_MIN = 256;
const IDLE_MS = 20;

export class Release {
  readonly broadcast: Broadcast;
  readonly done: Promise<ReleaseEnd>;
  readonly #env: ReleaseEnvironment;
  readonly #operator: string;
  readonly #approval: Approval;
  readonly #key: SealingKey;
  readonly #writer: OutcomeWriter;
  readonly #loader: ChunkLoader;
  readonly #pool: SendPool;
  readonly #intents: IntentLog;
  readonly #stopListening: () => void;
  #permit!: Permit;
  readonly recovery: RecoveryReport;

  #queue: WaitingRow[] = [];
  #next = 0;
  #covered = 0;
  #coverNext = 0;
  readonly #open = new Map<number, number>();
  /** By chunk: its recipients that are to be tried again. */
  readonly #again = new Map<number, Again[]>();
  readonly #inFlight = new Map<number, Outgoing>();
  readonly #counts: Record<OutcomeState, number> = Object.fromEntries(
    STATES.map((state) => [state, 0]),
  ) as Record<OutcomeState, number>;
  #ring = 0;
  #phase: ReleaseProgress['phase'] = 'starting';
  #because: string | null = null;
  #signed = 0;
  #settledTotal = 0;
  #rates: { at: number; total: number }[] = [];
  #sendingMs = 0;
  #signingMs = 0;
  #end: ReleaseEnd | null = null;
  #closing = false;

  private constructor(
    env: ReleaseEnvironment,
    operator: string,
    parts: {
      broadcast: Broadcast;
      approval: Approval;
      key: SealingKey;
      loader: ChunkLoader;
      intents: IntentLog;
      allowed: ConstructorParameters<typeof SendPool>[0]['allowed'];
      firstBatch: number;
      recovery: RecoveryReport;
    },
  ) {
    this.#env = env;
    this.#operator = operator;
    this.broadcast = parts.broadcast;
    this.#approval = parts.approval;
    this.#key = parts.key;
    this.#loader = parts.loader;
    this.#intents = parts.intents;
    this.recovery = parts.recovery;
    this.#writer = new OutcomeWriter({
      db: env.db,
      broadcast: parts.broadcast.id,
      key: parts.key,
      firstBatch: parts.firstBatch,
      now: () => Date.now(),
      stored: () => this.#resumeFrom('database'),
      failed: (fault) => this.#pause(fault.message),
    });
    this.#pool = new SendPool({
      route: parts.broadcast.settings.route,
      allowed: parts.allowed,
      look: env.look,
      intents: parts.intents,
      mayWrite: () => this.#mayWrite(),
      next: () => this.#take(),
      settled: (message, result) => this.#settled(message, result),
      stopped: (message, result) =>
        this.#finish({
          kind: 'held',
          because: `last look: ${result.why} (${result.where}) in the message of row ${message.position}`,
        }),
      unreachable: (fault) => this.#pause(`${fault.where ?? ''}: ${fault.message}`),
    });
    this.#stopListening = env.brake.onThrow(() => {
      if (env.brake.stands(this.broadcast.id)) this.#finish({ kind: 'halted' });
    });
    this.done = Promise.resolve().then(() => this.#run());
  }

  /**
   * Starts or goes on with a release.
   * @throws Fault `broadcast.not-approved`, `broadcast.altered`, `broadcast.wrong-state`, `halt.stands`, `release.elsewhere`.
   */
  static async start(env: ReleaseEnvironment, id: string, operator: string): Promise<Release> {
    const { db, keyring, dataDir } = env;
    const broadcast = await loadBroadcast(db, id);
    if (broadcast.state !== 'releasing') transition(broadcast.state, 'released');
    if (env.brake.stands(id))
      throw new Fault('halt.stands', 'a halt is in force', {
        where: id,
        remedy: 'two operators lift it: undisclosed resume',
      });
    await loadNotice(db, broadcast);
    const approval = await checkedApproval(db, broadcast);
    const compiled = await compiledNotice(db, keyring, broadcast);
    const key = await audienceKey(db, keyring, id);
    const before = await findPermit(db, id);
    let release: Release | null = null;
    const permit = await Permit.take({
      db,
      broadcast: id,
      sender: env.sender,
      haltFile: haltFile(dataDir),
      cover: () => release?.cover() ?? [],
      granted: () => release?.granted(),
      changed: (state) => release?.permitChanged(state),
    });
    if (permit === null)
      throw new Fault('release.elsewhere', 'another sender holds the permit of this broadcast', {
        where: id,
        remedy: 'it runs out two seconds after that sender has stopped; try again then',
      });
    try {
      await indexOutcomes(db, id);
      const recovery = await recover({
        db,
        dataDir,
        broadcast: id,
        key,
        permit: before,
        ...retryRules(broadcast),
        nowMs: Date.now(),
      });
      const loader = await ChunkLoader.open({
        db,
        broadcast: id,
        count: broadcast.count,
        key,
        compiled,
        messageIdDomain: broadcast.settings.messageIdDomain,
        manifestRoot: Buffer.from(String(approval.document.manifestRoot), 'base64'),
      });
      await enterRelease(db, broadcast, operator, recovery);
      const intents = await IntentLog.create(dataDir, id, permit.epoch);
      release = new Release(env, operator, {
        broadcast,
        approval,
        key,
        loader,
        intents,
        allowed: compiled.allowed,
        firstBatch: await nextOutcomeBatch(db, id),
        recovery,
      });
      release.#permit = permit;
      return release;
    } catch (error) {
      await permit.close();
      throw error;
    }
  }

  progress(): ReleaseProgress {
    const { accepted, refused, undeliverable, deferred, uncertain } = this.#counts;
    const ring = this.broadcast.plan.rings.find((plan) => plan.ring === this.#ring);
    return {
      phase: this.#phase,
      because: this.#because,
      ring: this.#ring,
      done: this.#phase === 'signing' ? this.#signed : this.#settledTotal,
      of: this.#phase === 'signing' ? (ring?.count ?? 0) : this.broadcast.count,
      accepted,
      refused: refused + undeliverable,
      deferred,
      uncertain,
      inFlight: this.#pool.inFlight().length,
      perSecond: this.#perSecond(),
      sendingSeconds: this.#sendingMs / 1000,
      signingSeconds: this.#signingMs / 1000,
    };
  }

  /** Ends the sending without a halt: for the end of the process. What is in flight is settled first. */
  async stop(because: string): Promise<void> {
    this.#finish({ kind: 'stopped', because });
    await this.done;
  }

  // --- the permit ---

  /** Rows that the next permit covers: what is in flight and what comes next, as pairs first, last. */
  cover(): readonly number[] {
    const target = Math.max(COVER_ROWS_MIN, Math.ceil(this.#perSecond() * 0.4));
    this.#coverNext = Math.min(this.#queue.length, this.#next + target);
    const pairs: number[] = [];
    const add = (position: number): void => {
      if (pairs.at(-1) === position - 1) pairs[pairs.length - 1] = position;
      else pairs.push(position, position);
    };
    for (const position of [...this.#inFlight.keys()].sort((a, b) => a - b)) add(position);
    for (let i = this.#next; i < this.#coverNext; i++) add((this.#queue[i] as WaitingRow).position);
    return pairs;
  }

  granted(): void {
    this.#covered = Math.max(this.#covered, this.#coverNext);
    this.#resumeFrom('permit');
    this.#pool.kick();
  }

  permitChanged(state: Permit['state']): void {
    if (state.kind === 'paused') this.#pause(state.because);
    else if (state.kind === 'halted') this.#finish({ kind: 'halted' });
    else if (state.kind === 'lost')
      this.#finish({ kind: 'stopped', because: 'another sender has taken the permit over' });
  }

  #mayWrite(): boolean {
    return (
      this.#end === null &&
      this.#permit.valid &&
      this.#intents.healthy &&
      !this.#env.brake.stands(this.broadcast.id)
    );
  }

  #pause(because: string): void {
    if (this.#end !== null) return;
    this.#because = because;
    if (this.#phase === 'sending') this.#phase = 'paused';
  }

  #resumeFrom(_what: 'database' | 'permit'): void {
    if (this.#phase !== 'paused' || !this.#permit.valid) return;
    this.#phase = 'sending';
    this.#because = null;
  }

  // --- the queue ---

  #take(): Outgoing | null {
    if (this.#next >= this.#covered || !this.#mayWrite()) return null;
    if (this.#covered - this.#next === COVER_ROWS_MIN / 2) this.#permit.hurry();
    const row = this.#queue[this.#next++] as WaitingRow;
    try {
      const message = this.#loader.outgoing(row);
      this.#inFlight.set(message.position, message);
      return message;
    } catch (error) {
      this.#finish({ kind: 'held', because: (error as Error).message });
      return null;
    }
  }

  #compact(): void {
    if (this.#next < 4096 && this.#next < this.#queue.length) return;
    this.#queue = this.#queue.slice(this.#next);
    this.#covered = Math.max(0, this.#covered - this.#next);
    this.#coverNext = Math.max(0, this.#coverNext - this.#next);
    this.#next = 0;
  }

  #settled(message: Outgoing, result: SendResult): void {
    this.#inFlight.delete(message.position);
    if (result.kind === 'returned' || result.kind === 'abandoned') {
      if (result.kind === 'abandoned') this.#intents.abandon(message.position, message.attempt);
      this.#giveBack(message);
      return;
    }
    const base = { position: message.position, attempt: message.attempt, atMs: Date.now() };
    if (result.kind === 'replied') {
      const { reply } = result;
      const state = stateOf(reply);
      const kept =
        state === 'accepted'
          ? { reply: '', rawReply: null }
          : { reply: maskReply(reply.text, message.reader), rawReply: reply.text };
      this.#record(message, {
        ...base,
        ...kept,
        state: this.#deferredOrExpired(state, message),
        code: reply.code,
        enhanced: reply.enhanced,
      });
    } else if (result.kind === 'undeliverable')
      this.#record(message, {
        ...base,
        state: 'undeliverable',
        code: 0,
        enhanced: result.enhanced,
        reply: 'the next hop does not offer SMTPUTF8',
        rawReply: null,
      });
    else
      this.#record(message, {
        ...base,
        state: 'uncertain',
        code: 0,
        enhanced: '',
        reply: '',
        rawReply: null,
      });
  }

  #deferredOrExpired(state: OutcomeState, _message: Outgoing): OutcomeState {
    if (state !== 'deferred') return state;
    const deadline = this.#startedMs + this.broadcast.settings.deadlineHours * 3_600_000;
    return Date.now() > deadline ? 'expired' : 'deferred';
  }

  readonly #startedMs = Date.now();

  /** Not handed over: it goes back to the front of what is waiting, covered as it was. */
  #giveBack(message: Outgoing): void {
    for (let i = this.#next - 1; i >= 0; i--) {
      const row = this.#queue[i] as WaitingRow;
      if (row.position !== message.position || row.attempt !== message.attempt) continue;
      this.#queue.splice(i, 1);
      this.#queue.splice(this.#next - 1, 0, row);
      this.#next--;
      return;
    }
  }

  #record(message: Outgoing, outcome: RecordedOutcome): void {
    const { position, attempt, state, code, enhanced } = outcome;
    if (state !== 'undeliverable') this.#intents.reply(position, attempt, state, code, enhanced);
    this.#counts[state]++;
    this.#settledTotal++;
    this.#writer.add(outcome);
    if (state === 'deferred') {
      const { retrySeconds } = this.broadcast.settings;
      const seconds = retrySeconds[Math.min(attempt, retrySeconds.length) - 1] ?? 60;
      this.#tryAgain(message.chunk, { position, attempt: attempt + 1, delayMs: seconds * 1000 });
    } else if (state === 'uncertain' && this.broadcast.settings.uncertain === 'resend')
      this.#tryAgain(message.chunk, { position, attempt: attempt + 1, delayMs: 0 });
    this.#countDown(message.chunk);
  }

  #tryAgain(chunk: number, again: Again): void {
    const list = this.#again.get(chunk);
    if (list === undefined) this.#again.set(chunk, [again]);
    else list.push(again);
  }

  /** A chunk ends with its last outcome, in one transaction with what is to be tried again of it. */
  #countDown(chunk: number): void {
    const left = (this.#open.get(chunk) ?? 0) - 1;
    if (left > 0) this.#open.set(chunk, left);
    else this.#finishChunk(chunk);
  }

  #finishChunk(chunk: number): void {
    this.#open.delete(chunk);
    this.#writer.finish({ chunk, ring: this.#ring, again: this.#again.get(chunk) ?? [] });
    this.#again.delete(chunk);
  }

  #perSecond(): number {
    const now = performance.now();
    const last = this.#rates.at(-1);
    if (last === undefined || now - last.at > 50)
      this.#rates.push({ at: now, total: this.#settledTotal });
    while (this.#rates.length > 2 && now - (this.#rates[0]?.at ?? now) > 1000) this.#rates.shift();
    const first = this.#rates[0];
    if (first === undefined || now - first.at < 20) return 0;
    return ((this.#settledTotal - first.total) * 1000) / (now - first.at);
  }

  // --- the rings ---

  async #run(): Promise<ReleaseEnd> {
    try {
      await this.#rings();
    } catch (error) {
      this.#finish({
        kind: error instanceof Fault && error.code === 'broadcast.altered' ? 'held' : 'stopped',
        because: (error as Error).message,
      });
    }
    const end: ReleaseEnd = this.#end ?? { kind: 'complete' };
    await this.#close(end);
    this.#phase = 'ended';
    return end;
  }

  async #rings(): Promise<void> {
    for (const plan of this.broadcast.plan.rings) {
      if (this.#end !== null) return;
      this.#ring = plan.ring;
      const open = await openChunks(this.#env.db, this.broadcast.id, plan.ring);
      if (open.waiting + open.claimed === 0) continue;
      const run = await this.#signedRun(plan);
      if (run === null || this.#end !== null) return;
      await this.#sendRing(plan, run);
      if (this.#end !== null) return;
      await this.#judgeRing(plan);
    }
    if (this.#end === null) await this.#conclude();
  }

  async #signedRun(plan: RingPlan): Promise<SigningRun | null> {
    const { db, keyring } = this.#env;
    const usable = await usableRun(db, this.broadcast.id, plan.ring, Date.now());
    if (usable !== null) return usable;
    this.#phase = 'signing';
    this.#signed = 0;
    const started = performance.now();
    const setup = await openBlockPool(db, keyring, this.broadcast, this.#env.stagesModule);
    try {
      return await signRing(
        db,
        setup,
        {
          broadcast: this.broadcast,
          ring: plan,
          approval: this.#approval.digest,
          operator: this.#operator,
          progress: (done) => {
            this.#signed = done;
          },
          cancelled: () => this.#end !== null,
        },
        Date.now(),
      );
    } catch (error) {
      if (error instanceof Fault && error.code === 'signing.cancelled') return null;
      throw error;
    } finally {
      this.#signingMs += performance.now() - started;
      await setup.pool.close();
    }
  }

  async #sendRing(plan: RingPlan, run: SigningRun): Promise<void> {
    this.#phase = 'sending';
    this.#rates = [];
    const started = performance.now();
    let before = started;
    while (this.#end === null) {
      const loaded = await this.#fill(plan, run);
      const now = performance.now();
      this.#sendingMs += now - before;
      before = now;
      if (this.#end !== null) return;
      this.#pool.kick();
      if (loaded) continue;
      if (this.#open.size === 0) {
        await this.#writer.flush();
        const { waiting, claimed, next_ms } = await openChunks(
          this.#env.db,
          this.broadcast.id,
          plan.ring,
        );
        if (waiting + claimed === 0) return;
        if (waiting > 0) await pauseFor(Math.min(500, Math.max(0, next_ms ?? IDLE_MS)));
        continue;
      }
      await pauseFor(IDLE_MS);
    }
  }

  /** Claims and loads the next chunk when the queue runs low; false when there was no need or none. */
  async #fill(plan: RingPlan, run: SigningRun): Promise<boolean> {
    this.#compact();
    const wanted = Math.max(QUEUE_ROWS, Math.ceil(this.#perSecond() * 0.5));
    if (this.#queue.length - this.#next >= wanted) return false;
    if (!this.#permit.valid) {
      await pauseFor(IDLE_MS);
      return false;
    }
    const { db } = this.#env;
    try {
      const chunk = await claimChunk(db, this.broadcast.id, plan.ring, this.#env.sender);
      if (chunk === null) return false;
      await this.#enqueue(chunk, run);
      return true;
    } catch (error) {
      if (error instanceof Fault && error.code.startsWith('database.')) {
        this.#pause(error.message);
        await pauseFor(200);
        return true;
      }
      throw error;
    }
  }

  async #enqueue(chunk: ChunkRow, run: SigningRun): Promise<void> {
    const rows = await this.#loader.load(chunk, run);
    const { notice } = await this.#noticeOnce();
    const left = await leftOutOf(
      this.#env.db,
      this.broadcast.id,
      rows[0]?.position ?? 0,
      rows.at(-1)?.position ?? 0,
      suppressionsFor(notice.settings.class),
    );
    const out = new Map(left.map((row) => [row.position, row]));
    this.#open.set(chunk.chunk, rows.length);
    for (const row of rows) {
      const leaves = out.get(row.position);
      if (leaves === undefined) this.#queue.push(row);
      else this.#leaveOut(row, leaves.reason);
    }
    if (rows.length === 0) this.#finishChunk(chunk.chunk);
  }

  #notice: ReturnType<typeof loadNotice> | null = null;
  #noticeOnce(): ReturnType<typeof loadNotice> {
    this.#notice ??= loadNotice(this.#env.db, this.broadcast);
    return this.#notice;
  }

  #leaveOut(row: WaitingRow, reason: string): void {
    const state: OutcomeState = reason.startsWith('suppressed') ? 'suppressed' : 'withdrawn';
    this.#counts[state]++;
    this.#settledTotal++;
    this.#writer.add({
      position: row.position,
      attempt: row.attempt,
      state,
      code: 0,
      enhanced: '',
      reply: maskReply(reason, ''),
      rawReply: null,
      atMs: Date.now(),
    });
    this.#countDown(row.chunk);
  }

  async #judgeRing(plan: RingPlan): Promise<void> {
    await this.#writer.flush();
    const result = await ringResult(this.#env.db, this.broadcast.id, plan.ring, REFUSED_STATES);
    const decision = afterRing(plan, result);
    const last = this.broadcast.plan.rings.at(-1)?.ring === plan.ring;
    if (decision.kind === 'hold' && !last)
      this.#finish({ kind: 'held', because: decision.because });
  }

  async #conclude(): Promise<void> {
    await this.#writer.flush();
    const open = await positionsIn(
      this.#env.db,
      this.broadcast.id,
      STATES.indexOf('uncertain'),
      1_000_000,
    );
    if (open.length === 0) this.#finish({ kind: 'complete' });
    else
      this.#finish({
        kind: 'held',
        because: `${open.length} uncertain: rows ${open
          .slice(0, 10)
          .map((row) => row.position)
          .join(', ')}${open.length > 10 ? ' …' : ''}`,
      });
  }

  #finish(end: ReleaseEnd): void {
    if (this.#end !== null) return;
    this.#end = end;
    this.#pool.halt();
  }

  async #close(end: ReleaseEnd): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    this.#stopListening();
    await this.#pool.close(
      end.kind === 'complete' ? 1000 : this.broadcast.settings.route.timeoutsMs.afterDot,
    );
    this.#intents.flush();
    await this.#requeueOpen();
    await this.#writer.close(10_000);
    await this.#permit.close();
    await this.#intents.close();
    await this.#enterEnd(end);
  }

  /** Chunks that were claimed and not finished are settled as after a crash, from the intent log. */
  async #requeueOpen(): Promise<void> {
    await this.#writer.flush();
    const { db, dataDir } = this.#env;
    try {
      if (this.#open.size > 0)
        await recover({
          db,
          dataDir,
          broadcast: this.broadcast.id,
          key: this.#key,
          permit: null,
          ...retryRules(this.broadcast),
          nowMs: Date.now(),
        });
    } catch {
      // The database is gone: the next start of this release settles the same chunks from the same log.
    }
  }

  async #enterEnd(end: ReleaseEnd): Promise<void> {
    const { db } = this.#env;
    const { id } = this.broadcast;
    if (end.kind === 'halted' || end.kind === 'stopped') return;
    await db.transaction(async (tx) => {
      const { state } = await loadBroadcast(tx, id, true);
      const event = end.kind === 'complete' ? 'completed' : 'held';
      const because = end.kind === 'held' ? end.because : null;
      await setBroadcastState(tx, id, transition(state, event), because);
      await appendEntry(tx, {
        kind: end.kind === 'complete' ? 'broadcast.finished' : 'broadcast.held',
        at: new Date().toISOString(),
        by: 'system',
        subject: id,
        data: { broadcast: id, because: because ?? 'every recipient has a final state' },
      });
    });
  }
}

function retryRules(broadcast: Broadcast): { resendUncertain: boolean; retryDelayMs: number } {
  const { uncertain, retrySeconds } = broadcast.settings;
  return { resendUncertain: uncertain === 'resend', retryDelayMs: (retrySeconds[0] ?? 60) * 1000 };
}

async function enterRelease(
  db: Database,
  broadcast: Broadcast,
  operator: string,
  recovery: RecoveryReport,
): Promise<void> {
  await db.transaction(async (tx) => {
    const { state } = await loadBroadcast(tx, broadcast.id, true);
    if (state !== 'releasing')
      await setBroadcastState(tx, broadcast.id, transition(state, 'released'), null);
    await appendEntry(tx, {
      kind: 'broadcast.released',
      at: new Date().toISOString(),
      by: operator,
      subject: broadcast.id,
      data: {
        broadcast: broadcast.id,
        again: state === 'releasing',
        recovered: recovery.recovered,
        uncertain: [...recovery.uncertain],
      },
    });
  });
}

function pauseFor(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
