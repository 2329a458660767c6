/**
 * The signatures of one release: a ring is signed before its first row is loaded, and again when its Date has grown old.
 * The thread pool is opened once, at the first ring that needs it, and closed when the last one is signed.
 */

import { Fault } from '../base/errors.ts';
import type { Keyring } from '../keys/keyring.ts';
import type { Database } from '../store/database.ts';
import { type BlockSetup, openBlockPool } from './block-pool.ts';
import type { Broadcast } from './broadcast.ts';
import { readDkimDns, type TxtResolver } from './dkim-dns.ts';
import type { RingPlan } from './rings.ts';
import { SIGNATURE_AGE_MS_MAX, type SigningRun, signRing, usableRun } from './signing.ts';

/** A row is loaded only while its signature has this share of its life left, so that it can wait in the queue. */
const LIFE_LEFT = 1 / 12;

export interface SignaturesOptions {
  readonly db: Database;
  readonly keyring: Keyring;
  readonly broadcast: Broadcast;
  readonly stagesModule: string;
  /** Digest of the approval document. */
  readonly approval: string;
  readonly operator: string;
  /** Domain of From. */
  readonly domain: string;
  /** DNS; tests give their own. */
  readonly resolveTxt?: TxtResolver;
  /** How old a Date may be when its content is written; tests make it short. */
  readonly ageMsMax?: number;
  cancelled(): boolean;
}

export class Signatures {
  readonly #options: SignaturesOptions;
  readonly #ageMsMax: number;
  readonly #byRing = new Map<number, SigningRun>();
  readonly #signedAt = new Map<number, number>();
  #setup: BlockSetup | null = null;
  #under: { readonly ring: RingPlan; done: number; readonly started: number } | null = null;
  #checkedSelector: string | null = null;
  #ms = 0;

  constructor(options: SignaturesOptions) {
    this.#options = options;
    this.#ageMsMax = options.ageMsMax ?? SIGNATURE_AGE_MS_MAX;
  }

  /** The signing that is under way. */
  get under(): { readonly ring: number; readonly done: number; readonly of: number } | null {
    if (this.#under === null) return null;
    const { ring, done } = this.#under;
    return { ring: ring.ring, done, of: ring.count };
  }

  get milliseconds(): number {
    return this.#ms + (this.#under === null ? 0 : performance.now() - this.#under.started);
  }

  /** Whether a row signed in this run may no longer be written. */
  isOld(run: number): boolean {
    return Date.now() - (this.#signedAt.get(run) ?? 0) > this.#ageMsMax;
  }

  /** The run to load rows of this ring from; signs the ring when there is none. Null once the release has ended. */
  async runOf(ring: number): Promise<SigningRun | null> {
    const { db, broadcast, cancelled } = this.#options;
    const young = this.#ageMsMax * (1 - LIFE_LEFT);
    const now = Date.now();
    const known = this.#byRing.get(ring);
    if (known !== undefined && now - known.signedAtMs <= young) return known;
    const plan = broadcast.plan.rings.find((each) => each.ring === ring);
    if (plan === undefined)
      throw new Fault('broadcast.altered', `the plan has no ring ${ring}`, { where: broadcast.id });
    const usable = await usableRun(db, broadcast.id, ring, now, young);
    const run = usable !== null && this.#isCurrent(usable) ? usable : await this.#sign(plan);
    if (run === null || cancelled()) return null;
    await this.#checkDns(run);
    this.#byRing.set(ring, run);
    this.#signedAt.set(run.run, run.signedAtMs);
    if (this.#byRing.size === broadcast.plan.rings.length) await this.close();
    return run;
  }

  /** Whether the key that signed is still the one in use. */
  #isCurrent(run: SigningRun): boolean {
    return this.#options.keyring.dkim(this.#options.domain)?.selector === run.selector;
  }

  /** A ring opens only if the key in DNS is the one that signed; where DNS cannot be asked, nothing is known. */
  async #checkDns(run: SigningRun): Promise<void> {
    const { keyring, domain, resolveTxt, broadcast } = this.#options;
    const key = keyring.dkim(domain);
    if (key === null || this.#checkedSelector === run.selector) return;
    const reading = await readDkimDns(key.selector, key.domain, key.publicKey, resolveTxt);
    if (reading.kind === 'wrong')
      throw new Fault('release.key-not-in-dns', `receivers could not verify: ${reading.because}`, {
        where: broadcast.id,
        remedy:
          'publish the key (undisclosed keys rotate dkim prints the record), then let it go on',
      });
    this.#checkedSelector = run.selector;
  }

  async #sign(ring: RingPlan): Promise<SigningRun | null> {
    const { db, keyring, broadcast, stagesModule, approval, operator } = this.#options;
    const under = { ring, done: 0, started: performance.now() };
    this.#under = under;
    try {
      this.#setup ??= await openBlockPool(db, keyring, broadcast, stagesModule);
      return await signRing(
        db,
        this.#setup,
        {
          broadcast,
          ring,
          approval,
          operator,
          progress: (done) => {
            under.done = done;
          },
          cancelled: () => this.#options.cancelled(),
        },
        Date.now(),
      );
    } catch (error) {
      if (error instanceof Fault && error.code === 'signing.cancelled') return null;
      throw error;
    } finally {
      this.#ms += performance.now() - under.started;
      this.#under = null;
    }
  }

  async close(): Promise<void> {
    const setup = this.#setup;
    this.#setup = null;
    await setup?.pool.close();
  }
}
