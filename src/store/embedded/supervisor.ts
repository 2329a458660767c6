/**
 * Sees to it that the embedded server is there as long as we need it: one that has died by itself is started again.
 * Invariant: never after a stop in order, ours or anybody's, and never without end.
 */

import { Fault } from '../../base/errors.ts';
import type { Postmaster } from './postmaster.ts';

export interface Supervised {
  /** The running server, whoever started it. */
  find(): Promise<Postmaster | null>;
  /** Whether its last end was in order. */
  wasShutDown(): Promise<boolean>;
  /** Ends when it is ready. @throws Fault `embedded.*`. */
  start(signal: AbortSignal): Promise<Postmaster>;
  log(line: string): void;
  readonly logFile: string;
  failed(fault: Fault): void;
}

const LOOK_MS = 250;
/** Waits before each try; a server that has lived for long enough has them all again. */
const WAITS_MS = [0, 1000, 2000, 4000, 8000];
const LONG_ENOUGH_MS = 60_000;

export class Supervisor {
  readonly #of: Supervised;
  readonly #closing = new AbortController();
  readonly #watching: Promise<void>;
  #pid: number;
  #tries = 0;
  #since: number = performance.now();
  #stopped = false;

  constructor(pid: number, of: Supervised) {
    this.#pid = pid;
    this.#of = of;
    this.#watching = this.#watch();
  }

  /** Of the server as it was found last. */
  get pid(): number {
    return this.#pid;
  }

  /** Looks no more; a start under way is given up first. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#watching;
  }

  async #watch(): Promise<void> {
    const { signal } = this.#closing;
    let fault: Fault | null = null;
    while (!signal.aborted && fault === null) {
      await this.#pause(LOOK_MS);
      if (!signal.aborted) fault = await this.#look();
    }
    if (fault !== null) this.#of.failed(fault);
  }

  /** Starts it when it has died; returns why it cannot be started any more. */
  async #look(): Promise<Fault | null> {
    const running = await this.#of.find();
    if (running !== null) {
      this.#found(running);
      return null;
    }
    if (!(await this.#of.wasShutDown())) return this.#startAgain();
    if (!this.#stopped) this.#of.log('PostgreSQL was stopped by somebody else; waiting for it');
    this.#stopped = true;
    return null;
  }

  #found({ pid }: Postmaster): void {
    this.#stopped = false;
    if (pid === this.#pid) return;
    this.#pid = pid;
    this.#since = performance.now();
  }

  async #startAgain(): Promise<Fault | null> {
    const { log, logFile } = this.#of;
    const { signal } = this.#closing;
    log(`PostgreSQL (process ${this.#pid}) has ended by itself`);
    if (performance.now() - this.#since > LONG_ENOUGH_MS) this.#tries = 0;
    let last = 'it ends again and again';
    while (this.#tries < WAITS_MS.length && !signal.aborted) {
      await this.#pause(WAITS_MS[this.#tries++] ?? 0);
      if (signal.aborted) break;
      try {
        this.#found(await this.#of.start(signal));
        log(`PostgreSQL runs again (process ${this.#pid})`);
        return null;
      } catch (error) {
        last = (error as Error).message;
        if (!signal.aborted) log(`try ${this.#tries} of ${WAITS_MS.length}: ${last}`);
      }
    }
    if (signal.aborted) return null;
    return new Fault('embedded.lost', `PostgreSQL has ended and does not stay up: ${last}`, {
      where: logFile,
      remedy: 'the end of this file says why; start serve again when it is seen to',
    });
  }

  /** Ends early when this is closed; keeps no process running. */
  #pause(ms: number): Promise<void> {
    const { signal } = this.#closing;
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      timer.unref();
      signal.addEventListener('abort', end);
    });
  }
}
