/**
 * The permit: a sender may hand content over only while it holds one of PostgreSQL at most 500 ms old, and only
 * positions that it names. So a halt holds on every machine, and a lost machine leaves a bounded set of unknowns.
 */

import { existsSync } from 'node:fs';
import type { Fault } from '../base/errors.ts';
import type { Database } from '../store/database.ts';
import { renewPermit, returnPermit, takePermit } from '../store/permits-and-halts.ts';

export const PERMIT_MS_MAX = 500;
const RENEW_MS = 100;
/** A permit this old may be taken over: four times its life, for clocks that differ in rate. */
const STALE_MS = 2000;

export type PermitState =
  | { readonly kind: 'good' }
  | { readonly kind: 'paused'; readonly because: string }
  | { readonly kind: 'halted' }
  | { readonly kind: 'lost' };

export interface PermitOptions {
  readonly db: Database;
  readonly broadcast: string;
  readonly sender: string;
  /** A plain file whose presence is a halt. */
  readonly haltFile: string;
  /** Which positions the next permit is to cover, as pairs first, last. Called right before each renewal. */
  cover(): readonly number[];
  /** The permit with that coverage has been granted. */
  granted(): void;
  changed(state: PermitState): void;
}

export class Permit {
  readonly epoch: number;
  readonly #options: PermitOptions;
  #grantedAt: number;
  #state: PermitState = { kind: 'good' };
  #timer: NodeJS.Timeout | null = null;
  #renewing: Promise<void> | null = null;
  #hurried = false;
  #closed = false;

  private constructor(options: PermitOptions, epoch: number, grantedAt: number) {
    this.#options = options;
    this.epoch = epoch;
    this.#grantedAt = grantedAt;
  }

  /** Takes the permit; null while another sender holds a living one. */
  static async take(options: PermitOptions): Promise<Permit | null> {
    const at = performance.now();
    const epoch = await takePermit(options.db, options.broadcast, options.sender, STALE_MS);
    if (epoch === null) return null;
    const permit = new Permit(options, epoch, at);
    permit.#schedule(0);
    return permit;
  }

  /** Read immediately before every write. The age counts from before the question was asked. */
  get valid(): boolean {
    return this.#state.kind === 'good' && performance.now() - this.#grantedAt <= PERMIT_MS_MAX;
  }

  get state(): PermitState {
    return this.#state;
  }

  /** Renews now, or as soon as the renewal under way is done: the covered positions are nearly used up. */
  hurry(): void {
    if (this.#hurried) return;
    this.#hurried = true;
    if (this.#renewing === null) this.#schedule(0);
  }

  #schedule(ms: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#hurried = false;
      this.#renewing = this.#renew().finally(() => {
        this.#renewing = null;
        const wait = this.#state.kind === 'good' ? RENEW_MS : RENEW_MS * 2;
        this.#schedule(this.#hurried ? 0 : wait);
      });
    }, ms);
  }

  async #renew(): Promise<void> {
    const { db, broadcast, sender, haltFile } = this.#options;
    if (existsSync(haltFile)) {
      this.#become({ kind: 'halted' });
      return;
    }
    const at = performance.now();
    const covered = this.#options.cover();
    try {
      const { held, halted } = await renewPermit(db, broadcast, sender, this.epoch, covered);
      if (!held) this.#become({ kind: 'lost' });
      else if (halted) this.#become({ kind: 'halted' });
      else {
        this.#grantedAt = at;
        this.#become({ kind: 'good' });
        this.#options.granted();
      }
    } catch (error) {
      this.#become({ kind: 'paused', because: (error as Fault).message });
    }
  }

  #become(state: PermitState): void {
    const before = this.#state;
    if (before.kind === 'lost' || before.kind === 'halted') return;
    this.#state = state;
    if (before.kind !== state.kind) this.#options.changed(state);
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#renewing;
    await returnPermit(this.#options.db, this.#options.broadcast, this.epoch).catch(() => {});
  }
}
