/**
 * Freezes: mail of one identity, or of one campaign of it, that waits until a named person has looked. Halts are looked at with them.
 *
 * Invariant: what is frozen anywhere is frozen everywhere within half a second of the commit: by notification at once, by looks
 * again and again where that was lost. Where the last look is too old, everything counts as frozen.
 */

import { Fault } from '../base/errors.ts';
import { newId } from '../base/id.ts';
import { appendEntry } from '../ledger/ledger.ts';
import type { Database, Transaction } from '../store/database.ts';
import {
  findCampaign,
  findFreeze,
  forgetCampaignExposed,
  insertFreeze,
  listFreezes,
  lockIdentity,
  markLifted,
} from '../store/exposure.ts';
import {
  beginLook,
  endLook,
  forgetLook,
  KNOWN_MS_MAX,
  lookAtHalts,
  STANDSTILL_CHANNEL,
  type StandingHalt,
} from '../store/permits-and-halts.ts';
import { CAMPAIGN_BITS, differentBits } from './campaign.ts';

const LOOK_MS = 150;

export interface StandingFreeze {
  readonly campaign: number | null;
  readonly simhash: bigint | null;
}

export interface FreezeBoard {
  /** What stands against this identity; empty for nearly everybody. @throws Fault `freeze.not-known`. */
  of(identity: string): readonly StandingFreeze[];
  /** For what is queued: true as well where it is not known. */
  frozen(identity: string, campaign: number | null): boolean;
  /** Whether what is known is recent enough to let mail leave by it. */
  readonly known: boolean;
  /** Reads again now; what was committed before is known when it resolves. */
  look(): Promise<void>;
  close(): Promise<void>;
}

/** Halts are thrown and lifted elsewhere; every look of this process brings what stands. */
export interface HaltsTaken {
  /** This process, as halts know it: they wait for its looks. */
  readonly sender: string;
  /** Called when a look begins; what it returns is called with what stood then. */
  begin(): (halts: readonly StandingHalt[]) => void;
}

const NONE: readonly StandingFreeze[] = [];

/** Whether a message that says this is of the frozen campaign, under whatever number it goes. */
export function isFrozenText(freezes: readonly StandingFreeze[], simhash: bigint): boolean {
  return freezes.some(
    (freeze) => freeze.simhash !== null && differentBits(freeze.simhash, simhash) <= CAMPAIGN_BITS,
  );
}

class LiveBoard implements FreezeBoard {
  readonly #db: Database;
  readonly #halts: HaltsTaken | null;
  #standing: ReadonlyMap<string, readonly StandingFreeze[]> = new Map();
  #knownAt = Number.NEGATIVE_INFINITY;
  #looking: Promise<void> | null = null;
  #next: Promise<void> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #stop: () => Promise<void> = async () => {};
  #closed = false;

  constructor(db: Database, halts: HaltsTaken | null) {
    this.#db = db;
    this.#halts = halts;
  }

  async open(): Promise<void> {
    const soon = (): void => {
      this.look().catch(() => {});
    };
    this.#stop = await this.#db.listen(STANDSTILL_CHANNEL, soon);
    try {
      await this.look();
    } catch (error) {
      await this.close();
      throw error;
    }
    this.#timer = setInterval(soon, LOOK_MS);
    this.#timer.unref();
  }

  of(identity: string): readonly StandingFreeze[] {
    if (!this.known)
      throw new Fault('freeze.not-known', 'it is not known what is frozen', {
        remedy: 'the database does not answer: nothing is sent until it does',
      });
    return this.#standing.get(identity) ?? NONE;
  }

  frozen(identity: string, campaign: number | null): boolean {
    if (!this.known) return true;
    const standing = this.#standing.get(identity);
    if (standing === undefined) return false;
    return standing.some((freeze) => freeze.campaign === null || freeze.campaign === campaign);
  }

  /** A look that began before the change may not see it: whoever asks meanwhile waits for the one after it. */
  look(): Promise<void> {
    if (this.#looking === null) {
      this.#looking = this.#read().finally(() => {
        this.#looking = null;
      });
      return this.#looking;
    }
    this.#next ??= this.#looking
      .catch(() => {})
      .then(() => {
        this.#next = null;
        return this.look();
      });
    return this.#next;
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#stop();
    await this.#looking?.catch(() => {});
    await this.#next?.catch(() => {});
    if (this.#halts !== null) await forgetLook(this.#db, this.#halts.sender).catch(() => {});
  }

  get known(): boolean {
    return performance.now() - this.#knownAt < KNOWN_MS_MAX;
  }

  async #read(): Promise<void> {
    if (this.#closed) return;
    const asked = performance.now();
    // Halts wait for whoever may go by what is read now: that is entered before it is read.
    if (this.#halts !== null) await beginLook(this.#db, this.#halts.sender);
    const standing = new Map<string, StandingFreeze[]>();
    for (const { identity, campaign, simhash } of await listFreezes(this.#db)) {
      const before = standing.get(identity);
      if (before === undefined) standing.set(identity, [{ campaign, simhash }]);
      else before.push({ campaign, simhash });
    }
    this.#standing = standing;
    if (this.#halts !== null) await this.#takeHalts(this.#halts);
    this.#knownAt = asked;
  }

  /** In force here first, and only then entered as seen: whoever waits for that may rely on it. */
  async #takeHalts({ sender, begin }: HaltsTaken): Promise<void> {
    const take = begin();
    const { at, halts } = await lookAtHalts(this.#db);
    take(halts);
    await endLook(this.#db, sender, at);
  }
}

/** @throws Fault `database.*` when what is frozen cannot be read at the start. */
export async function openFreezeBoard(
  db: Database,
  halts: HaltsTaken | null,
): Promise<FreezeBoard> {
  const board = new LiveBoard(db, halts);
  await board.open();
  return board;
}

export interface FreezeRequest {
  readonly identity: string;
  /** Null: everything of this identity. */
  readonly campaign: number | null;
  readonly reason: string;
  /** Operator id, or `system`. */
  readonly by: string;
}

export interface FreezeReport {
  readonly freeze: string;
  readonly identity: string;
  readonly campaign: number | null;
  /** False where the same was frozen already. */
  readonly isNew: boolean;
}

/** Freezes in this transaction, under `lockIdentity`, with its entry; once for one identity and campaign. */
export async function freezeWithin(
  tx: Transaction,
  request: FreezeRequest,
  simhash: bigint | null,
): Promise<FreezeReport> {
  const { identity, campaign, reason, by } = request;
  const standing = await findFreeze(tx, identity, campaign);
  if (standing !== null) return { freeze: standing.id, identity, campaign, isNew: false };
  const id = newId('f');
  await insertFreeze(tx, { id, identity, campaign, simhash, reason, frozen_by: by });
  await appendEntry(tx, {
    kind: 'guard.frozen',
    at: new Date().toISOString(),
    by,
    subject: id,
    data: { freeze: id, identity, campaign, reason },
  });
  return { freeze: id, identity, campaign, isNew: true };
}

/**
 * Freezes by an operator's word.
 * @throws Fault `freeze.no-reason`, `freeze.no-identity`, `freeze.campaign.unknown`.
 */
export async function freeze(db: Database, request: FreezeRequest): Promise<FreezeReport> {
  const { identity, campaign } = request;
  if (identity.trim() === '')
    throw new Fault('freeze.no-identity', 'whose mail is to be frozen?', {
      remedy: 'undisclosed guard freeze IDENTITY --reason TEXT --as NAME',
    });
  checkReason(request.reason);
  return db.transaction(async (tx) => {
    await lockIdentity(tx, identity);
    const found = campaign === null ? null : await findCampaign(tx, identity, campaign);
    if (campaign !== null && found === null)
      throw new Fault('freeze.campaign.unknown', `this identity has no campaign ${campaign}`, {
        remedy: 'undisclosed guard report names campaigns; without --campaign all mail is frozen',
      });
    return freezeWithin(tx, request, found?.simhash ?? null);
  });
}

/**
 * Lifts a freeze by a named operator; the campaign's budget begins anew.
 * @throws Fault `freeze.no-reason`, `freeze.unknown`.
 */
export async function liftFreeze(
  db: Database,
  request: { readonly freeze: string; readonly reason: string; readonly by: string },
): Promise<FreezeReport> {
  checkReason(request.reason);
  return db.transaction(async (tx) => {
    const row = await markLifted(tx, request.freeze, request.by);
    if (row === null)
      throw new Fault('freeze.unknown', `no freeze ${request.freeze} stands`, {
        remedy: 'undisclosed guard frozen lists those that do',
      });
    const { id, identity, campaign } = row;
    await forgetCampaignExposed(tx, identity, campaign);
    await appendEntry(tx, {
      kind: 'guard.lifted',
      at: new Date().toISOString(),
      by: request.by,
      subject: id,
      data: { freeze: id, identity, campaign, reason: request.reason },
    });
    return { freeze: id, identity, campaign, isNew: false };
  });
}

function checkReason(reason: string): void {
  if (typeof reason === 'string' && reason.trim() !== '') return;
  throw new Fault('freeze.no-reason', 'a freeze and its end need a reason', {
    remedy: '--reason TEXT',
  });
}

/** A freeze as it is listed; campaign null: everything of this identity. */
export interface ListedFreeze {
  readonly freeze: string;
  readonly identity: string;
  readonly campaign: number | null;
  readonly reason: string;
  readonly by: string;
  readonly at: string;
}

export async function listFrozen(db: Database): Promise<readonly ListedFreeze[]> {
  const rows = await listFreezes(db);
  return rows.map(({ id, identity, campaign, reason, frozen_by, at }) => ({
    freeze: id,
    identity,
    campaign,
    reason,
    by: frozen_by,
    at: at.toISOString(),
  }));
}
