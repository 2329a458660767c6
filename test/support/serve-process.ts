/**
 * A whole installation for one test: `undisclosed serve` as a process group of its own with its own data directory and
 * embedded PostgreSQL, driven by the commands that a user types. What it starts it ends, however the test ends.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Created, roadCommands } from '../../demo/road-commands.ts';
import { writeCustomersCsv } from '../../demo/sample-customers.ts';
import type { Account } from '../../src/broadcast/account.ts';
import { audienceKey, rowName } from '../../src/broadcast/audience.ts';
import { STATES } from '../../src/broadcast/outcome.ts';
import { unpackPrepared } from '../../src/broadcast/prepared-message.ts';
import type { ReleaseProgress } from '../../src/broadcast/release-progress.ts';
import { callJson, loadOperatorKey } from '../../src/cli/api-client.ts';
import type { CommandIo } from '../../src/cli/command.ts';
import { toConfig } from '../../src/config.ts';
import { readKeyring } from '../../src/keys/keyring.ts';
import { open } from '../../src/keys/seal.ts';
import { type Database, openDatabase } from '../../src/store/database.ts';
import { type EmbeddedServer, startEmbedded } from '../../src/store/embedded.ts';
import { mustRunCli, type RunResult, runCli } from './run-cli.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const NOTICE = fileURLToPath(new URL('../../demo/notice', import.meta.url));
const VERIFIER = fileURLToPath(new URL('../../verify/verify.mjs', import.meta.url));
const READY_MS = 60_000;

export interface Status {
  readonly state: string;
  readonly standsBecause: string | null;
  readonly halted: boolean;
  readonly release: ReleaseProgress | null;
  readonly account: Account;
  readonly plan: { readonly rings: readonly { ring: number; first: number; count: number }[] };
}

export interface OutcomeOf {
  readonly position: number;
  readonly attempt: number;
  readonly state: string;
  readonly code: number;
  readonly reply: string;
}

export interface InstallationOptions {
  readonly people: number;
  readonly seed: number;
  /** Content of the configuration file. */
  readonly config?: object;
  readonly env?: Readonly<Record<string, string>>;
}

export interface Serving {
  readonly pid: number;
  /** What it has said so far, both streams. */
  readonly lines: readonly string[];
  readonly exited: Promise<void>;
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

export class Installation {
  readonly folder: string;
  readonly dataDir: string;
  readonly env: Record<string, string>;
  #child: ChildProcess | null = null;
  #serving: Serving | null = null;
  #db: Database | null = null;

  private constructor(folder: string, env: Readonly<Record<string, string>>) {
    this.folder = folder;
    this.dataDir = join(folder, 'data');
    this.env = {
      UNDISCLOSED_DATA: this.dataDir,
      UNDISCLOSED_KEYRING: join(folder, 'keyring.json'),
      UNDISCLOSED_OPERATORS: join(folder, 'operators'),
      UNDISCLOSED_CONFIG: join(folder, 'config.json'),
      UNDISCLOSED_SOCKET: join(folder, 'api.sock'),
      ...env,
    };
  }

  /** Keys, a running server, three operators (alice imports and makes, bob and carol do not) and sample customers. */
  static async make(options: InstallationOptions): Promise<Installation> {
    const folder = await mkdtemp(join(tmpdir(), 'undisclosed-flow-'));
    // The embedded database runs as another user when we are root and must be able to reach its folder.
    await chmod(folder, 0o711);
    await mkdir(join(folder, 'data'), { mode: 0o711 });
    await mkdir(join(folder, 'data', 'postgres'), { mode: 0o711 });
    const made = new Installation(folder, options.env ?? {});
    try {
      await writeFile(join(folder, 'config.json'), JSON.stringify(options.config ?? {}));
      await made.must(['init', '--domain', 'northwind.example']);
      await made.serve();
      for (const name of ['alice', 'bob']) await made.must(roadCommands.addOperator(name));
      const key = await made.must(['operator', 'add', 'carol', '--as', 'alice', '--json']);
      const { publicKey } = JSON.parse(key) as { publicKey: string };
      await made.must(['operator', 'add', 'carol', '--public-key', publicKey, '--as', 'bob']);
      const csv = join(folder, 'customers.csv');
      await writeCustomersCsv(csv, options.people, options.seed);
      await made.must(roadCommands.import(csv));
      return made;
    } catch (error) {
      await made.close();
      throw error;
    }
  }

  /** Starts the server and waits until it is ready. */
  async serve(): Promise<Serving> {
    const child = spawn(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', MAIN, 'serve'],
      {
        env: { ...process.env, ...this.env },
        stdio: ['ignore', 'pipe', 'pipe'],
        detached: true,
      },
    );
    const { pid, stdout, stderr } = child;
    if (pid === undefined) throw new Error('serve did not start');
    const killWithUs = (): void => {
      if (child.exitCode === null && child.signalCode === null) process.kill(-pid, 'SIGKILL');
    };
    process.once('exit', killWithUs);
    const exited = new Promise<void>((resolve) =>
      child.once('exit', () => {
        process.off('exit', killWithUs);
        resolve();
      }),
    );
    const lines: string[] = [];
    createInterface({ input: stderr }).on('line', (line) => lines.push(line));
    const ready = new Promise<boolean>((resolve) => {
      createInterface({ input: stdout }).on('line', (line) => {
        lines.push(line);
        if (line.startsWith('ready ')) resolve(true);
      });
      void exited.then(() => resolve(false));
    });
    this.#child = child;
    this.#serving = { pid, lines, exited };
    const started = await Promise.race([ready, sleep(READY_MS, false, { ref: false })]);
    if (!started) throw new Error(`serve did not become ready: ${lines.join('; ')}`);
    return this.#serving;
  }

  get serving(): Serving {
    if (this.#serving === null) throw new Error('nothing is serving');
    return this.#serving;
  }

  /** `kill -9` of the whole process group, from outside. */
  async kill(): Promise<void> {
    const { pid, exited } = this.serving;
    process.kill(-pid, 'SIGKILL');
    await exited;
    this.#child = null;
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    child.kill('SIGTERM');
    await this.serving.exited;
    this.#child = null;
  }

  /** The embedded server as it runs now; started when it does not. */
  postgres(): Promise<EmbeddedServer> {
    return startEmbedded({ dataDir: join(this.dataDir, 'postgres') });
  }

  /** Our own sight of the database, beside the server's. */
  async db(): Promise<Database> {
    this.#db ??= await openDatabase((await this.postgres()).connection, { poolMax: 2 });
    return this.#db;
  }

  async closeDb(): Promise<void> {
    await this.#db?.close().catch(() => {});
    this.#db = null;
  }

  /** One command, run in this process as the command line would. */
  cli(args: readonly string[]): Promise<RunResult> {
    return runCli(args, this.env);
  }

  must(args: readonly string[]): Promise<string> {
    return mustRunCli(args, this.env);
  }

  async api<T>(as: string, method: 'GET' | 'POST', path: string, body?: unknown): Promise<T> {
    const io = { env: this.env } as unknown as CommandIo;
    const key = await loadOperatorKey(io, as);
    return callJson<T>(this.env.UNDISCLOSED_SOCKET ?? '', {
      method,
      path,
      key,
      ...(body === undefined ? {} : { body }),
    });
  }

  /** A broadcast, approved and ready for its release; its id. */
  async approved(route: string, options: readonly string[] = []): Promise<string> {
    const id = await this.created(route, options);
    await this.must([...roadCommands.prepare(id), '--json']);
    await this.must([...roadCommands.approve(id), '--json']);
    return id;
  }

  async created(route: string, options: readonly string[] = []): Promise<string> {
    const said = await this.must([...roadCommands.create(NOTICE, route, options), '--json']);
    return (JSON.parse(said) as Created).broadcast;
  }

  /** The release command, which ends when the release does. */
  release(id: string, options: readonly string[] = []): Promise<RunResult> {
    const as = options.includes('--as') ? [] : ['--as', 'alice'];
    return this.cli(['broadcast', 'release', id, '--json', ...as, ...options]);
  }

  status(id: string): Promise<Status> {
    return this.api<Status>('alice', 'GET', `/v1/broadcasts/${id}`);
  }

  /** Looks every 50 ms until the condition holds. @throws when it does not in time. */
  async until(
    id: string,
    what: string,
    holds: (status: Status) => boolean,
    timeoutMs: number,
  ): Promise<Status> {
    const end = performance.now() + timeoutMs;
    let last = '';
    while (performance.now() < end) {
      const status = await this.status(id).catch((error: unknown) => {
        last = String(error);
        return null;
      });
      if (status !== null) {
        if (holds(status)) return status;
        last = JSON.stringify({ ...status, plan: undefined });
      }
      await sleep(50);
    }
    const log = this.#serving?.lines.slice(-8).join('\n') ?? '';
    throw new Error(`not ${what} within ${timeoutMs} ms: ${last}\n${log}`);
  }

  /** Which address stands at which position: opened from the prepared rows, for comparing with what the sink took. */
  async positions(id: string): Promise<Map<string, number>> {
    const db = await this.db();
    const config = toConfig(this.env);
    const keyring = await readKeyring(config.keyring, this.dataDir);
    const key = await audienceKey(db, keyring, id);
    const rows = await db.query<{ position: number; sealed: Buffer }>(
      'SELECT position, sealed FROM prepared WHERE broadcast_id = $1',
      [id],
    );
    return new Map(
      rows.map(({ position, sealed }) => [
        unpackPrepared(open(key, 'prepared', rowName(id, position), sealed)).reader,
        position,
      ]),
    );
  }

  async outcomes(id: string): Promise<OutcomeOf[]> {
    const rows = await (await this.db()).query<Omit<OutcomeOf, 'state'> & { state: number }>(
      `SELECT position, attempt, state, code, reply FROM outcome WHERE broadcast_id = $1
        ORDER BY position, attempt, batch, line`,
      [id],
    );
    return rows.map((row) => ({ ...row, state: STATES[row.state] ?? 'unknown' }));
  }

  /** Attempts that the intent logs name for each position: content was about to be handed over. */
  async intended(id: string): Promise<Map<number, Set<number>>> {
    const folder = join(this.dataDir, 'intent', id);
    const attempts = new Map<number, Set<number>>();
    for (const name of await readdir(folder)) {
      for (const line of (await readFile(join(folder, name), 'utf8')).split('\n')) {
        const [type, position, attempt] = line.split(' ');
        if (type !== 'D') continue;
        const known = attempts.get(Number(position)) ?? new Set<number>();
        known.add(Number(attempt));
        attempts.set(Number(position), known);
      }
    }
    return attempts;
  }

  /** Exit status of the one-file verifier over the proof. */
  async verify(id: string): Promise<{ status: number | null; output: string }> {
    const file = join(this.folder, `proof-${id}.jsonl`);
    await this.must(['broadcast', 'prove', id, '--out', file, '--as', 'bob', '--json']);
    const child = spawn(process.execPath, [VERIFIER, file], { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk) => {
        output += String(chunk);
      });
    const status = await new Promise<number | null>((resolve) => child.once('close', resolve));
    return { status, output };
  }

  /** Ends everything that belongs to this folder, and removes it. */
  async close(): Promise<void> {
    await this.closeDb();
    const child = this.#child;
    if (child !== null && child.exitCode === null && child.signalCode === null) {
      const patience = setTimeout(() => process.kill(-(child.pid ?? 0), 'SIGKILL'), 15_000);
      await this.stop();
      clearTimeout(patience);
    }
    await stopPostgresOf(this.dataDir);
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Process id of the embedded server of a data directory, or null. */
export async function postgresPid(dataDir: string): Promise<number | null> {
  const lock = join(dataDir, 'postgres', 'postgres', 'postmaster.pid');
  const text = await readFile(lock, 'utf8').catch(() => '');
  const pid = Number.parseInt(text, 10);
  return Number.isSafeInteger(pid) && pid > 1 && alive(pid) ? pid : null;
}

async function stopPostgresOf(dataDir: string): Promise<void> {
  const pid = await postgresPid(dataDir);
  if (pid === null) return;
  process.kill(pid, 'SIGCONT');
  process.kill(pid, 'SIGINT');
  for (let waited = 0; alive(pid) && waited < 20_000; waited += 20) await sleep(20);
}

/** Every process of the server's session: its children have process groups of their own on some systems. */
export async function postgresFamily(pid: number): Promise<number[]> {
  const family = [pid];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '');
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    if (parent === pid) family.push(Number(name));
  }
  return family;
}
