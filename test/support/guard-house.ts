/**
 * A guard as a company runs it: any number of real `serve` processes on one database and one keyring, each with its own data
 * directory, socket and configuration, driven by the commands that a user types. What it starts it ends, however the test ends.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Database } from '../../src/store/database.ts';
import { type TestDatabase, testDatabase } from './database.ts';
import { mustRunCli, type RunResult, runCli } from './run-cli.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const READY_MS = 90_000;

type Env = Readonly<Record<string, string>>;

/** One `serve` process. */
export interface ServeProcess {
  readonly env: Env;
  /** What it has said so far, both streams. */
  readonly lines: readonly string[];
  /** The port of a gate, by the beginning of its name. */
  port(gate: string): number;
  /** `kill -STOP`: it stands still where it is, until `goOn`. */
  standStill(): void;
  goOn(): void;
  /** `kill -9`. */
  kill(): Promise<void>;
  stop(): Promise<void>;
}

export class GuardHouse {
  readonly folder: string;
  readonly #database: TestDatabase;
  readonly #env: Env;
  readonly #running = new Set<ServeProcess>();

  private constructor(folder: string, database: TestDatabase) {
    this.folder = folder;
    this.#database = database;
    this.#env = {
      UNDISCLOSED_KEYRING: join(folder, 'keyring.json'),
      UNDISCLOSED_OPERATORS: join(folder, 'operators'),
      DATABASE_URL: database.url,
    };
  }

  static async make(): Promise<GuardHouse> {
    const folder = await mkdtemp(join(tmpdir(), 'undisclosed-guard-'));
    const house = new GuardHouse(folder, await testDatabase());
    try {
      await house.must(['init', '--domain', 'company.example'], {
        ...house.#env,
        UNDISCLOSED_DATA: join(folder, 'data'),
      });
      return house;
    } catch (error) {
      await house.close();
      throw error;
    }
  }

  get db(): Database {
    return this.#database.db;
  }

  #envOf(name: string): Env {
    const own = join(this.folder, name);
    return {
      ...this.#env,
      UNDISCLOSED_DATA: join(own, 'data'),
      UNDISCLOSED_SOCKET: join(own, 'api.sock'),
      UNDISCLOSED_CONFIG: join(own, 'config.json'),
    };
  }

  async file(name: string, content: string): Promise<string> {
    const path = join(this.folder, name);
    await writeFile(path, content);
    return path;
  }

  /** Starts a process of this name and waits until it is ready. */
  async serve(name: string, config: object, more: Env = {}): Promise<ServeProcess> {
    const env = { ...this.#envOf(name), ...more };
    await mkdir(join(this.folder, name), { recursive: true });
    await writeFile(join(this.folder, name, 'config.json'), JSON.stringify(config));
    const child = spawn(process.execPath, [MAIN, 'serve'], {
      env: { PATH: process.env.PATH ?? '', HOME: this.folder, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const started = followed(child, env);
    this.#running.add(started.process);
    if (!(await started.ready))
      throw new Error(`${name} is not ready: ${started.process.lines.join('; ')}`);
    return started.process;
  }

  /** Two operators, alice and bob, enrolled through this process. */
  async enrol(through: ServeProcess): Promise<void> {
    for (const name of ['alice', 'bob']) await this.must(['operator', 'add', name], through.env);
  }

  /** One command, run in this process as the command line would. */
  cli(args: readonly string[], env: Env): Promise<RunResult> {
    return runCli(args, env);
  }

  must(args: readonly string[], env: Env): Promise<string> {
    return mustRunCli(args, env);
  }

  async close(): Promise<void> {
    for (const each of this.#running) await each.stop();
    await this.#database.drop();
    await rm(this.folder, { recursive: true, force: true });
  }
}

function followed(
  child: ChildProcess,
  env: Env,
): { readonly process: ServeProcess; readonly ready: Promise<boolean> } {
  const lines: string[] = [];
  const killWithUs = (): void => void child.kill('SIGKILL');
  process.once('exit', killWithUs);
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => {
      process.off('exit', killWithUs);
      resolve();
    });
  });
  const isReady = new Promise<boolean>((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue;
      createInterface({ input: stream }).on('line', (line) => {
        lines.push(line);
        if (line.startsWith('ready ')) resolve(true);
      });
    }
    void exited.then(() => resolve(false));
  });
  const end = async (signal: 'SIGKILL' | 'SIGTERM'): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    await exited;
  };
  const port = (gate: string): number => {
    const line = lines.find((said) => said.startsWith(`gate ${gate}`)) ?? '';
    const found = /:(\d+)$/.exec(line)?.[1];
    if (found === undefined) throw new Error(`no gate ${gate}: ${lines.join('; ')}`);
    return Number(found);
  };
  return {
    process: {
      ...{ env, lines, port },
      standStill: () => void child.kill('SIGSTOP'),
      goOn: () => void child.kill('SIGCONT'),
      kill: () => end('SIGKILL'),
      stop: () => end('SIGTERM'),
    },
    ready: Promise.race([isReady, sleep(READY_MS, false, { ref: false })]),
  };
}
