/** The releases that this process carries out: started by an operator, or taken up again after a restart. */

import { Fault } from '../base/errors.ts';
import { listBroadcasts } from '../store/broadcasts.ts';
import { Release, type ReleaseEnd } from './release.ts';
import type { ReleaseEnvironment } from './release-start.ts';

const RETRY_MS = 1000;

export class ReleaseDesk {
  readonly #env: ReleaseEnvironment;
  readonly #log: (line: string) => void;
  readonly #running = new Map<string, Release>();
  readonly #ends = new Map<string, ReleaseEnd>();
  #closed = false;

  constructor(env: ReleaseEnvironment, log: (line: string) => void) {
    this.#env = env;
    this.#log = log;
  }

  find(id: string): Release | null {
    return this.#running.get(id) ?? null;
  }

  /** How the last release of this broadcast in this process ended. */
  ended(id: string): ReleaseEnd | null {
    return this.#ends.get(id) ?? null;
  }

  /** Starts a release, or returns the one that is under way. */
  async start(id: string, operator: string): Promise<Release> {
    const running = this.#running.get(id);
    if (running !== undefined && !running.ending) return running;
    // It waits for what is in flight; whatever its end is, the next one begins behind it.
    await running?.done.catch(() => {});
    const release = await Release.start(this.#env, id, operator);
    this.#running.set(id, release);
    release.done
      .then(
        (end) => {
          this.#ends.set(id, end);
          this.#log(`broadcast ${id} ${end.kind}${'because' in end ? `: ${end.because}` : ''}`);
        },
        (error: unknown) => {
          const because = (error as Error).message;
          this.#ends.set(id, { kind: 'stopped', because });
          this.#log(`broadcast ${id} stopped: ${because}`);
        },
      )
      .finally(() => this.#running.delete(id));
    return release;
  }

  /** After a start of the process: what was being released goes on, unless a halt stands. */
  async takeUp(): Promise<void> {
    for (const row of await listBroadcasts(this.#env.db)) {
      if (row.state !== 'releasing' || this.#env.brake.stands(row.id)) continue;
      void this.#takeUpOne(row.id);
    }
  }

  async #takeUpOne(id: string): Promise<void> {
    while (!this.#closed) {
      try {
        const release = await this.start(id, 'system');
        const { recovered, uncertain, remaining } = release.recovery;
        this.#log(
          `broadcast ${id} goes on: ${recovered} outcomes from the intent log, ${uncertain.length} uncertain, ${remaining} not begun`,
        );
        return;
      } catch (error) {
        // The dead sender's permit runs out within two seconds.
        if (!(error instanceof Fault) || error.code !== 'release.elsewhere') {
          this.#log(`broadcast ${id} does not go on: ${(error as Error).message}`);
          return;
        }
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(
      [...this.#running.values()].map((release) => release.stop('the server ends')),
    );
  }
}
