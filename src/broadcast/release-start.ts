/** What a release stands on before its first message: approval, permit, recovery, the checked manifest. */

import { Fault } from '../base/errors.ts';
import type { Keyring } from '../keys/keyring.ts';
import type { SealingKey } from '../keys/seal.ts';
import { appendEntry } from '../ledger/ledger.ts';
import { markReleased, setBroadcastState } from '../store/broadcasts.ts';
import type { Database } from '../store/database.ts';
import { indexOutcomes, nextOutcomeBatch } from '../store/outcomes.ts';
import { findPermit } from '../store/permits-and-halts.ts';
import { type Approval, checkedApproval } from './approval.ts';
import { audienceKey } from './audience.ts';
import { compiledNotice } from './block-pool.ts';
import { type Broadcast, loadBroadcast, loadNotice, transition } from './broadcast.ts';
import { ChunkLoader } from './chunk-loader.ts';
import type { Connect } from './delivery/send-pool.ts';
import type { TxtResolver } from './dkim-dns.ts';
import { type HaltSwitch, haltFile } from './halt.ts';
import { hungUpOn } from './hung-up.ts';
import { IntentLog } from './intent-log.ts';
import type { Allowed, lookBeforeWrite } from './last-look.ts';
import type { Notice } from './notice.ts';
import { Permit, type PermitState } from './permit.ts';
import { type RecoveryReport, recover } from './recover.ts';

export interface ReleaseEnvironment {
  readonly db: Database;
  readonly keyring: Keyring;
  readonly dataDir: string;
  /** Names this process among the senders. */
  readonly sender: string;
  readonly brake: HaltSwitch;
  readonly look: typeof lookBeforeWrite;
  /** Makes a connection; tests put a faulty client in its place. */
  readonly connect?: Connect | undefined;
  readonly stagesModule: string;
  /** DNS for the key record; Node's own where it is not given. */
  readonly resolveTxt?: TxtResolver;
  /** How old a signature may be when its message is written; three hours where it is not given. */
  readonly signatureAgeMsMax?: number;
}

export interface ReleaseParts {
  readonly broadcast: Broadcast;
  readonly notice: Notice;
  readonly approval: Approval;
  readonly key: SealingKey;
  readonly loader: ChunkLoader;
  readonly intents: IntentLog;
  readonly permit: Permit;
  readonly allowed: Allowed;
  readonly firstBatch: number;
  readonly recovery: RecoveryReport;
  /** Positions over which the far side ended its connections in an earlier attempt. */
  readonly hungUp: readonly number[];
  /** When a temporary answer becomes the last word. */
  readonly deadlineMs: number;
}

/** What the permit asks of the release that holds it. */
export interface PermitHolder {
  cover(): readonly number[];
  granted(): void;
  permitChanged(state: PermitState): void;
}

/** How recovery settles what a dead sender left. */
function retryRules(broadcast: Broadcast): {
  resendUncertain: boolean;
  retryDelayMs: number;
} {
  const { uncertain, retrySeconds } = broadcast.settings;
  return { resendUncertain: uncertain === 'resend', retryDelayMs: (retrySeconds[0] ?? 60) * 1000 };
}

/**
 * Takes the permit, settles what a dead sender left, and enters the release.
 * @param holder the release, once it is made; until then the permit goes on naming what the dead sender's named.
 * @throws Fault `broadcast.not-approved`, `broadcast.altered`, `broadcast.wrong-state`, `halt.stands`, `release.elsewhere`.
 */
export async function openRelease(
  env: ReleaseEnvironment,
  id: string,
  operator: string,
  holder: () => PermitHolder | null,
): Promise<ReleaseParts> {
  const { db, keyring, dataDir } = env;
  const broadcast = await loadBroadcast(db, id);
  if (broadcast.state !== 'releasing') transition(broadcast.state, 'released');
  if (env.brake.stands(id))
    throw new Fault('halt.stands', 'a halt is in force', {
      where: id,
      remedy: 'two operators lift it: undisclosed resume',
    });
  const { notice } = await loadNotice(db, broadcast);
  const approval = await checkedApproval(db, broadcast);
  const compiled = await compiledNotice(db, keyring, broadcast);
  const key = await audienceKey(db, keyring, id);
  const before = await findPermit(db, id);
  const permit = await Permit.take({
    db,
    broadcast: id,
    sender: env.sender,
    haltFile: haltFile(dataDir),
    cover: () => holder()?.cover() ?? before?.covered ?? [],
    granted: () => holder()?.granted(),
    changed: (state) => holder()?.permitChanged(state),
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
    const releasedAt = await enterRelease(db, broadcast, operator, recovery);
    const firstBatch = await nextOutcomeBatch(db, id);
    const hungUp = await hungUpOn(db, id);
    const intents = await IntentLog.create(dataDir, id, permit.epoch);
    const deadlineMs = releasedAt.getTime() + broadcast.settings.deadlineHours * 3_600_000;
    const { allowed } = compiled;
    return {
      broadcast,
      notice,
      approval,
      key,
      loader,
      intents,
      permit,
      allowed,
      firstBatch,
      recovery,
      hungUp: hungUp.map((row) => row.position),
      deadlineMs,
    };
  } catch (error) {
    await permit.close();
    throw error;
  }
}

/** Enters the release; returns when this broadcast was released first. */
function enterRelease(
  db: Database,
  broadcast: Broadcast,
  operator: string,
  recovery: RecoveryReport,
): Promise<Date> {
  return db.transaction(async (tx) => {
    const { state } = await loadBroadcast(tx, broadcast.id, true);
    if (state !== 'releasing')
      await setBroadcastState(tx, broadcast.id, transition(state, 'released'), null);
    const releasedAt = await markReleased(tx, broadcast.id);
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
    return releasedAt;
  });
}

/** Enters how a release ended: complete, or held with its reason. */
export async function enterEnd(
  db: Database,
  id: string,
  end: { readonly kind: 'complete' } | { readonly kind: 'held'; readonly because: string },
): Promise<void> {
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

/** Chunks that were claimed and not finished are settled as after a crash, from the intent log. */
export async function settleOpenChunks(
  { db, dataDir }: ReleaseEnvironment,
  { broadcast, key }: ReleaseParts,
): Promise<void> {
  try {
    await recover({
      db,
      dataDir,
      broadcast: broadcast.id,
      key,
      permit: null,
      ...retryRules(broadcast),
      nowMs: Date.now(),
    });
  } catch {
    // The database is gone: the next start of this release settles the same chunks from the same log.
  }
}
