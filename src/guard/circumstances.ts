/**
 * What stands around a call beside its bytes: freezes, the exposure budget over many calls, locks, sizes, suppressed readers.
 *
 * Invariant: people whom calls of one campaign show to each other are counted in one transaction under a lock, so that the
 * budget holds over any number of processes; what cannot be known makes `assess` reject, and the call is deferred.
 */

import { mentionsIn } from '../detect/mentions.ts';
import { blindIndex } from '../keys/blind-index.ts';
import type { Keyring } from '../keys/keyring.ts';
import { canonicalAddress } from '../mail/address.ts';
import { parseMessage } from '../mail/message.ts';
import { POLICIES } from '../policy/policy.ts';
import type { ReasonId } from '../policy/reasons.ts';
import { BatchedLookup } from '../store/batched-lookup.ts';
import type { Database, Transaction } from '../store/database.ts';
import {
  campaignOf,
  countExposed,
  findFreeze,
  forgetExposed,
  forgetUsualTypes,
  insertExposed,
  listUsualSizes,
  lockIdentity,
  suppressedAmong,
} from '../store/exposure.ts';
import { CAMPAIGN_BITS, type CampaignSeed, campaignSeed, simhash } from './campaign.ts';
import { campaignTypes } from './campaign-type.ts';
import type { Circumstances, GuardedCall } from './check.ts';
import { AudienceDesk } from './declared-audience.ts';
import {
  type FreezeBoard,
  freezeWithin,
  type HaltsTaken,
  isFrozenText,
  openFreezeBoard,
} from './freeze.ts';
import type { Identity } from './identity.ts';
import type { Judgement, Submission } from './judge.ts';
import { UsualSizes } from './usual-sizes.ts';

export interface CircumstancesOptions {
  readonly db: Database;
  readonly keyring: Pick<Keyring, 'blindIndex'>;
  /** How long people who were shown to others count; 24 hours. */
  readonly windowMs?: number;
  /** How many people the calls of one campaign may show to each other within the window; 10. */
  readonly exposedMax?: number;
  /** The customer index: the audience `customers` is asked there first. */
  readonly isCustomer?: (canonical: string) => boolean;
  /** Lines without addresses. */
  readonly log?: (line: string) => void;
  /** Takes over what is halted elsewhere; left out where nothing can be. */
  readonly halts?: HaltsTaken;
}

export interface LiveCircumstances extends Circumstances {
  /** Whether queued copies of this identity and campaign must wait. True as well where it is not known. */
  frozen(identity: string, campaign: number | null): boolean;
  close(): Promise<void>;
}

interface Around {
  readonly reasons: readonly ReasonId[];
  readonly campaign: number | null;
}

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const EXPOSED_MAX = 10;
const LEARN_MS = 10_000;

const NOTHING: Promise<Around> = Promise.resolve({ reasons: [], campaign: null });

/** The people one text would show to each other. */
interface Group {
  readonly simhash: bigint;
  readonly people: Set<string>;
}

class LiveAround implements LiveCircumstances {
  readonly #options: CircumstancesOptions;
  readonly #board: FreezeBoard;
  readonly #seed: CampaignSeed;
  readonly #sizes: UsualSizes;
  readonly #typed: (bytes: Uint8Array) => string | null;
  readonly #audiences: AudienceDesk;
  readonly #suppressed: BatchedLookup<Buffer>;
  readonly #timers: NodeJS.Timeout[] = [];
  #storing: Promise<void> = Promise.resolve();

  constructor(options: CircumstancesOptions, board: FreezeBoard, sizes: UsualSizes) {
    this.#options = options;
    this.#board = board;
    this.#seed = campaignSeed(options.keyring.blindIndex.key);
    this.#sizes = sizes;
    this.#typed = campaignTypes(options.keyring.blindIndex.key);
    this.#audiences = new AudienceDesk(options.db, options.isCustomer ?? (() => false));
    this.#suppressed = new BatchedLookup<Buffer>(
      (indexes) => suppressedAmong(options.db, indexes),
      (index) => index,
    );
    this.#timers.push(setInterval(() => this.#storeSoon(), LEARN_MS));
    this.#timers.push(setInterval(() => this.#forgetSoon(), HOUR_MS));
    for (const timer of this.#timers) timer.unref();
  }

  frozen(identity: string, campaign: number | null): boolean {
    return this.#board.frozen(identity, campaign);
  }

  get halts(): Pick<FreezeBoard, 'known' | 'look'> {
    return this.#board;
  }

  async assess(call: GuardedCall, identity: Identity, judgement: Judgement): Promise<Around> {
    // Where that fails it is still not known, and said so.
    if (!this.#board.known) await this.#board.look().catch(() => {});
    return this.#assess(call, identity, judgement);
  }

  #assess(call: GuardedCall, identity: Identity, judgement: Judgement): Promise<Around> {
    try {
      const { readers, outsiders, verdict } = judgement;
      const isOrdinary =
        verdict.kind === 'pass' &&
        outsiders.length < 2 &&
        identity.recipientDomains === null &&
        identity.audience === null &&
        identity.policy !== 'bulk' &&
        this.#board.of(identity.name).length === 0 &&
        !this.#isUnusual(call, identity, readers);
      if (!isOrdinary) return this.#look(call, identity, judgement);
      this.#sizes.learn(identity.name, readers, this.#typeOf(call));
      return NOTHING;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#storeSoon();
    await this.#storing;
    await this.#board.close();
  }

  async #look(call: GuardedCall, identity: Identity, judgement: Judgement): Promise<Around> {
    if (this.#isFrozen(call, identity)) return { reasons: ['frozen'], campaign: null };
    const reasons = this.#locks(call, identity, judgement);
    await this.#addByAddress(call, identity, reasons);
    const { kind } = judgement.verdict;
    const isEnforced = identity.mode === 'enforce';
    const goesOn = !isEnforced || (kind === 'pass' && reasons.length === 0);
    if (goesOn && judgement.outsiders.length > 1) {
      const counted = await this.#count(call, identity, judgement);
      if (counted.reason !== null) reasons.push(counted.reason);
      if (counted.reason === null) this.#learnUnless(reasons, call, identity, judgement);
      return { reasons, campaign: counted.campaign };
    }
    if (goesOn) this.#learnUnless(reasons, call, identity, judgement);
    if (goesOn || kind === 'refuse') return { reasons, campaign: null };
    return { reasons, campaign: await this.#nameCampaign(call, identity) };
  }

  /** By identity at once; by campaign only where one is frozen, so that nobody else's text is looked at. */
  #isFrozen(call: GuardedCall, identity: Identity): boolean {
    const freezes = this.#board.of(identity.name);
    if (freezes.length === 0) return false;
    if (freezes.some(({ campaign }) => campaign === null)) return true;
    return call.copies.some((copy) => isFrozenText(freezes, this.#textOf(copy)));
  }

  #locks(call: GuardedCall, identity: Identity, judgement: Judgement): ReasonId[] {
    const reasons: ReasonId[] = [];
    if (identity.recipientDomains !== null) {
      const domains = new Set(identity.recipientDomains);
      if (!everyReader(call, (canonical) => domains.has(domainOf(canonical))))
        reasons.push('wrong-environment');
    }
    if (this.#isUnusual(call, identity, judgement.readers)) reasons.push('unusual-size');
    return reasons;
  }

  #isUnusual(call: GuardedCall, identity: Identity, readers: number): boolean {
    return this.#sizes.isUnusual(identity, readers, () => this.#typeOf(call));
  }

  /** Copies of one call are of one type. */
  #typeOf({ copies: [first] }: GuardedCall): string | null {
    return first === undefined ? null : this.#typed(first.bytes);
  }

  /** What the database knows of the readers: lists they stand on, and lists they should. */
  async #addByAddress(call: GuardedCall, identity: Identity, reasons: ReasonId[]): Promise<void> {
    const { policy, audience } = identity;
    if (policy !== 'bulk' && audience === null) return;
    const indexes = this.#indexesOf(call);
    const [isInside, suppressed] = await Promise.all([
      audience === null || this.#audiences.holdsAll(audience, indexes),
      policy === 'bulk' ? this.#suppressed.find([...indexes.values()]) : [],
    ]);
    if (!isInside) reasons.push('outside-audience');
    if (suppressed.length > 0) reasons.push('suppressed-reader');
  }

  #indexesOf(call: GuardedCall): ReadonlyMap<string, Buffer> {
    const { key } = this.#options.keyring.blindIndex;
    const indexes = new Map<string, Buffer>();
    everyReader(call, (canonical) => {
      if (!indexes.has(canonical)) indexes.set(canonical, blindIndex(key, 'address', canonical));
      return true;
    });
    return indexes;
  }

  /** Counts the people shown in one transaction; freezes where they would be too many. */
  async #count(
    call: GuardedCall,
    identity: Identity,
    judgement: Judgement,
  ): Promise<{ readonly reason: ReasonId | null; readonly campaign: number | null }> {
    const groups = this.#groupsOf(call, judgement);
    if (groups.length === 0) return { reason: null, campaign: null };
    const counted = await this.#options.db.transaction(async (tx) => {
      await lockIdentity(tx, identity.name);
      return this.#countAll(tx, identity, groups);
    });
    // In this process at once; the others hear of it by the commit. Known in half a second even if this look fails.
    if (counted.reason !== null) await this.#board.look().catch(() => {});
    return counted;
  }

  async #countAll(
    tx: Transaction,
    identity: Identity,
    groups: readonly Group[],
  ): Promise<{ readonly reason: ReasonId | null; readonly campaign: number | null }> {
    const { key } = this.#options.keyring.blindIndex;
    const shown = new Map<number, { readonly simhash: bigint; readonly people: Buffer[] }>();
    for (const { simhash, people } of groups) {
      const campaign = await campaignOf(tx, identity.name, simhash, CAMPAIGN_BITS);
      if ((await findFreeze(tx, identity.name, campaign)) !== null)
        return { reason: 'frozen', campaign };
      const all = shown.get(campaign) ?? { simhash, people: [] };
      for (const person of people) all.people.push(blindIndex(key, 'exposed', person));
      shown.set(campaign, all);
    }
    const isEnforced = identity.mode === 'enforce';
    let over: number | null = null;
    for (const [campaign, { simhash, people }] of shown) {
      const count = await countExposed(tx, identity.name, campaign, people, this.#windowMs);
      if (count <= this.#exposedMax(identity)) continue;
      over ??= campaign;
      if (isEnforced) await freezeWithin(tx, budgetFreeze(identity.name, campaign), simhash);
    }
    // A refused call shows nobody to anybody.
    if (over === null || !isEnforced)
      for (const [campaign, { people }] of shown)
        await insertExposed(tx, identity.name, campaign, people);
    const [first] = shown.keys();
    return over === null
      ? { reason: null, campaign: first ?? null }
      : { reason: 'exposure-budget', campaign: over };
  }

  /** More than one message of this identity may show: else the first call that is allowed would be over the budget. */
  #exposedMax(identity: Identity): number {
    const once = identity.visibleOutsidersMax ?? POLICIES[identity.policy].visibleOutsidersMax;
    return Math.max(this.#options.exposedMax ?? EXPOSED_MAX, once + 2);
  }

  get #windowMs(): number {
    return this.#options.windowMs ?? DAY_MS;
  }

  #groupsOf(call: GuardedCall, { outsiders }: Judgement): readonly Group[] {
    const [only] = call.copies;
    if (call.copies.length === 1 && only !== undefined)
      return [{ simhash: this.#textOf(only), people: new Set(outsiders) }];
    const everybody = new Set(outsiders);
    const groups = new Map<bigint, Group>();
    for (const copy of call.copies) {
      const people = shownIn(copy, everybody);
      if (people.length < 2) continue;
      const text = this.#textOf(copy);
      const group = groups.get(text) ?? { simhash: text, people: new Set() };
      for (const person of people) group.people.add(person);
      groups.set(text, group);
    }
    return [...groups.values()];
  }

  /** What is kept has a campaign too: it is released, refused and frozen by it. */
  #nameCampaign(call: GuardedCall, { name }: Identity): Promise<number | null> {
    const [first] = call.copies;
    if (first === undefined) return Promise.resolve(null);
    return this.#options.db.transaction(async (tx) => {
      await lockIdentity(tx, name);
      return campaignOf(tx, name, this.#textOf(first), CAMPAIGN_BITS);
    });
  }

  #textOf(copy: Submission): bigint {
    return simhash(parseMessage(copy.bytes), this.#seed);
  }

  #learnUnless(
    reasons: readonly ReasonId[],
    call: GuardedCall,
    identity: Identity,
    { readers }: Judgement,
  ): void {
    if (!reasons.includes('unusual-size'))
      this.#sizes.learn(identity.name, readers, this.#typeOf(call));
  }

  #storeSoon(): void {
    this.#storing = this.#storing.then(() => this.#sizes.store(this.#options.db)).catch(() => {});
  }

  #forgetSoon(): void {
    const { db } = this.#options;
    Promise.all([forgetExposed(db, this.#windowMs), forgetUsualTypes(db)]).catch(() => {
      this.#options.log?.('guard.forget-failed {"remedy":"tried again in an hour"}');
    });
  }
}

function budgetFreeze(identity: string, campaign: number): Parameters<typeof freezeWithin>[1] {
  return { identity, campaign, reason: 'exposure-budget', by: 'system' };
}

function domainOf(canonical: string): string {
  return canonical.slice(canonical.lastIndexOf('@') + 1);
}

/** Of all copies; what is no address counts as given. */
function everyReader(call: GuardedCall, holds: (canonical: string) => boolean): boolean {
  return call.copies.every(({ envelope }) =>
    envelope.recipients.every((text) => holds(canonicalAddress(text) ?? text.toLowerCase())),
  );
}

/** Who of these stands in the To and Cc of this copy. */
function shownIn(copy: Submission, everybody: ReadonlySet<string>): readonly string[] {
  const shown = new Set<string>();
  for (const { surface, address } of mentionsIn(parseMessage(copy.bytes)))
    if (surface === 'recipients' && everybody.has(address)) shown.add(address);
  return [...shown];
}

/** @throws Fault `database.*` where freezes or usual sizes cannot be read at the start. */
export async function createCircumstances(
  options: CircumstancesOptions,
): Promise<LiveCircumstances> {
  const board = await openFreezeBoard(options.db, options.halts ?? null);
  try {
    const sizes = new UsualSizes(await listUsualSizes(options.db));
    return new LiveAround(options, board, sizes);
  } catch (error) {
    await board.close();
    throw error;
  }
}
