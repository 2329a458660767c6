/**
 * The intent log: one line in the page cache before the final dot of a message, one after its reply.
 * Invariant: content is handed over only after its intent was written; the dot never waits for the disk.
 * It survives the death of our process whole; of a lost machine, the permit in the database says what may be uncertain.
 */

import { fdatasync, openSync, readFileSync, writeSync } from 'node:fs';
import { mkdir, open as openFile, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '../base/errors.ts';
import type { OutcomeState } from './outcome.ts';

const SYNC_EVERY_MS = 200;
const SLOW_MS = 1000;

/** Identifies one run of the operating system: a new one means the page cache was lost. */
export function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return 'unknown';
  }
}

export class IntentLog {
  readonly path: string;
  readonly #fd: number;
  readonly #timer: NodeJS.Timeout;
  /** ASCII, so that characters are bytes. */
  #pending = '';
  #dirty = false;
  #syncing = false;
  #syncStarted = 0;
  #writeFailure: Fault | null = null;
  #syncFailure: Fault | null = null;
  #closed = false;

  private constructor(path: string) {
    this.path = path;
    this.#fd = openSync(path, 'ax', 0o600);
    this.#timer = setInterval(() => {
      this.flush();
      this.#sync();
    }, SYNC_EVERY_MS);
    this.#timer.unref();
  }

  /** A new log for one sender's turn at one broadcast. Throws Fault `intent.unwritable`. */
  static async create(directory: string, broadcast: string, epoch: number): Promise<IntentLog> {
    const folder = join(directory, 'intent', broadcast);
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const log = new IntentLog(join(folder, `${String(epoch).padStart(6, '0')}.log`));
      log.#pending = `undisclosed-intent 1 ${bootId()}\n`;
      log.flush();
      const handle = await openFile(folder, 'r');
      await handle.sync().finally(() => handle.close());
      return log;
    } catch (cause) {
      throw new Fault('intent.unwritable', 'the intent log cannot be written', {
        where: folder,
        remedy: 'free disk space or mend the permissions; nothing is sent without it',
        cause,
      });
    }
  }

  /** Whether content may be handed over: the last write and sync were good and none takes over a second. */
  get healthy(): boolean {
    if (this.failure !== null) return false;
    return !this.#syncing || performance.now() - this.#syncStarted < SLOW_MS;
  }

  get failure(): Fault | null {
    return this.#writeFailure ?? this.#syncFailure;
  }

  /** Before content: this attempt is about to be written. */
  intend(position: number, attempt: number, connection: number): void {
    this.#pending += `D ${position} ${attempt} ${connection}\n`;
  }

  /** After the reply. */
  reply(
    position: number,
    attempt: number,
    state: OutcomeState,
    code: number,
    enhanced: string,
  ): void {
    this.#pending += `R ${position} ${attempt} ${state} ${code} ${enhanced}\n`;
  }

  /** The content was not handed over whole: the far side cannot have accepted it. */
  abandon(position: number, attempt: number): void {
    this.#pending += `A ${position} ${attempt}\n`;
  }

  /** One write(2) for everything noted in this turn of the event loop. False when it failed: hand nothing over. */
  flush(): boolean {
    if (this.#closed) return false;
    if (this.#pending === '') return this.healthy;
    const started = performance.now();
    try {
      this.#write();
      this.#writeFailure = null;
    } catch (cause) {
      this.#writeFailure = new Fault('intent.unwritable', 'the intent log cannot be written', {
        where: this.path,
        remedy: 'free disk space; the release goes on by itself',
        cause,
      });
      return false;
    }
    return performance.now() - started < SLOW_MS && this.healthy;
  }

  /** A full disk may take a part: what it took is not written again, so that no line is torn. */
  #write(): void {
    while (this.#pending !== '') {
      const written = writeSync(this.#fd, this.#pending, null, 'latin1');
      this.#dirty = true;
      this.#pending = this.#pending.slice(written);
    }
  }

  #sync(): void {
    if (!this.#dirty || this.#syncing || this.#closed) return;
    this.#dirty = false;
    this.#syncing = true;
    this.#syncStarted = performance.now();
    fdatasync(this.#fd, (cause) => {
      this.#syncing = false;
      this.#syncFailure =
        cause === null
          ? null
          : new Fault('intent.unwritable', 'the intent log cannot be synced', {
              where: this.path,
              remedy: 'see to the disk; the release goes on by itself',
              cause,
            });
      if (cause !== null) this.#dirty = true;
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.flush();
    this.#closed = true;
    clearInterval(this.#timer);
    while (this.#syncing) await new Promise((resolve) => setTimeout(resolve, 5));
    const { closeSync } = await import('node:fs');
    closeSync(this.#fd);
  }
}

/** What a log says of one attempt. */
export interface IntentRecord {
  readonly position: number;
  readonly attempt: number;
  readonly end:
    | {
        readonly kind: 'replied';
        readonly state: OutcomeState;
        readonly code: number;
        readonly enhanced: string;
      }
    | { readonly kind: 'abandoned' }
    | { readonly kind: 'unknown' };
}

export interface IntentReading {
  readonly records: readonly IntentRecord[];
  /** Whether the machine has been up since every log was written, so that the logs are whole. */
  readonly whole: boolean;
  readonly logs: number;
}

function readLog(text: string, into: Map<string, IntentRecord>): void {
  const lines = text.split('\n');
  // A line without its end was torn by the death of the process before its content was handed over.
  lines.pop();
  for (const line of lines.slice(1)) {
    const [type, position, attempt, state, code, enhanced] = line.split(' ');
    const base = { position: Number(position), attempt: Number(attempt) };
    const key = `${position} ${attempt}`;
    if (type === 'D') into.set(key, { ...base, end: { kind: 'unknown' } });
    else if (type === 'A') into.set(key, { ...base, end: { kind: 'abandoned' } });
    else if (type === 'R')
      into.set(key, {
        ...base,
        end: {
          kind: 'replied',
          state: state as OutcomeState,
          code: Number(code),
          enhanced: enhanced ?? '',
        },
      });
  }
}

/** All that the logs of a broadcast say, the last word on each attempt. */
export async function readIntents(directory: string, broadcast: string): Promise<IntentReading> {
  const folder = join(directory, 'intent', broadcast);
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.log'));
  const records = new Map<string, IntentRecord>();
  const boot = bootId();
  let whole = true;
  for (const name of names.sort()) {
    const text = await readFile(join(folder, name), 'utf8');
    if (!text.startsWith(`undisclosed-intent 1 ${boot}\n`)) whole = false;
    readLog(text, records);
  }
  return { records: [...records.values()], whole, logs: names.length };
}
