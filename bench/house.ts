/** One installation in a folder of its own, driven by the commands a user would type, and measured from outside. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { chmod, cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { roadCommands } from '../demo/road-commands.ts';
import { csvOf, type SampleCustomer, sampleCustomers } from '../demo/sample-customers.ts';
import { removeApart } from '../src/store/embedded.ts';
import { type Cpu, cpuOf, MemoryWatch } from './usage.ts';

/** As a user starts it: with its memory settings and its cache of compiled sources. */
const LAUNCHER = fileURLToPath(new URL('../undisclosed', import.meta.url));
const NOTICE = fileURLToPath(new URL('../demo/notice', import.meta.url));
export const SEED = 20191101;
/** What the sample notice lacks to 10 KB, as plain text in its HTML part. */
const PADDING_BYTES = 420;

export interface Step {
  readonly seconds: number;
  readonly cpu: Cpu;
  readonly oursMb: number;
  readonly postgresMb: number;
}

export interface Done<T> extends Step {
  readonly value: T;
}

/** The sample notice, padded so that its messages have 10 KB. */
async function noticeOf(work: string): Promise<string> {
  const folder = join(work, 'notice');
  await cp(NOTICE, folder, { recursive: true });
  const file = join(folder, 'notice.html');
  const html = await readFile(file, 'utf8');
  const line = 'The weights are rounded to four places as the rules of the index say. ';
  const padding = line.repeat(Math.ceil(PADDING_BYTES / line.length)).slice(0, PADDING_BYTES);
  await writeFile(file, html.replace('</body>', `<p>${padding}</p>\n</body>`));
  return folder;
}

/** People with an ASCII local part: smtp-sink does not offer SMTPUTF8. */
async function writeCustomers(file: string, people: number): Promise<void> {
  function* written(): Generator<SampleCustomer> {
    let left = people;
    for (const customer of sampleCustomers(Math.ceil(people * 1.02) + 50, SEED)) {
      if (!/^[\x21-\x7e]+@/.test(customer.email)) continue;
      yield customer;
      if (--left === 0) return;
    }
  }
  await pipeline(Readable.from(csvOf(written())), createWriteStream(file));
}

async function postmasterOf(folder: string): Promise<number> {
  const named = await readFile(join(folder, 'postgres', 'postgres-location'), 'utf8').catch(
    () => '',
  );
  for (const place of [named.trim(), join(folder, 'postgres')]) {
    const entries = place === '' ? [] : await readdir(place, { recursive: true }).catch(() => []);
    const entry = entries.find((each) => each.endsWith('postmaster.pid'));
    if (entry !== undefined)
      return Number((await readFile(join(place, entry), 'utf8')).split('\n')[0]);
  }
  throw new Error('the embedded PostgreSQL is not found');
}

export class House {
  readonly work: string;
  readonly notice: string;
  readonly csv: string;
  readonly #env: Record<string, string>;
  readonly #server: ChildProcess;
  readonly #postmaster: number;
  readonly #commands = new Set<number>();
  readonly #watch: MemoryWatch;

  private constructor(
    work: string,
    env: Record<string, string>,
    server: ChildProcess,
    postmaster: number,
  ) {
    this.work = work;
    this.notice = join(work, 'notice');
    this.csv = join(work, 'customers.csv');
    this.#env = env;
    this.#server = server;
    this.#postmaster = postmaster;
    this.#watch = new MemoryWatch(() => [server.pid ?? 0, ...this.#commands], postmaster);
  }

  /** @param config the configuration file's content: gates and the like. */
  static async open(people: number, config: object = {}): Promise<House> {
    const work = await mkdtemp(join(tmpdir(), 'undisclosed-bench-'));
    await chmod(work, 0o711);
    const env = {
      UNDISCLOSED_DATA: join(work, 'data'),
      UNDISCLOSED_KEYRING: join(work, 'keyring.json'),
      UNDISCLOSED_OPERATORS: join(work, 'operators'),
      UNDISCLOSED_CONFIG: join(work, 'config.json'),
      UNDISCLOSED_SOCKET: join(work, 'api.sock'),
    };
    await writeFile(env.UNDISCLOSED_CONFIG, JSON.stringify(config));
    await noticeOf(work);
    await writeCustomers(join(work, 'customers.csv'), people);
    await runCommand(['init', '--domain', 'northwind.example'], env, new Set());
    const server = spawn(LAUNCHER, ['serve'], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    });
    try {
      await readyLine(server);
      const house = new House(work, env, server, await postmasterOf(env.UNDISCLOSED_DATA));
      for (const name of ['alice', 'bob']) await house.command(roadCommands.addOperator(name));
      return house;
    } catch (error) {
      server.kill('SIGTERM');
      throw error;
    }
  }

  /** One command, with what it took: wall time, CPU seconds of all processes, the highest memory. */
  async command<T>(args: readonly string[]): Promise<Done<T>> {
    this.#watch.take();
    const server = this.#server.pid ?? 0;
    const before = cpuOf(server, this.#postmaster);
    const started = performance.now();
    const stdout = await runCommand([...args, '--json'], this.#env, this.#commands);
    const seconds = (performance.now() - started) / 1000;
    const after = cpuOf(server, this.#postmaster);
    return {
      value: JSON.parse(stdout.trim().split('\n').at(-1) ?? 'null') as T,
      seconds,
      cpu: { ours: after.ours - before.ours, postgres: after.postgres - before.postgres },
      ...this.#watch.take(),
    };
  }

  /** Seconds of CPU so far. */
  cpu(): Cpu {
    return cpuOf(this.#server.pid ?? 0, this.#postmaster);
  }

  /** The highest memory since the last time, in MB. */
  memory(): { readonly oursMb: number; readonly postgresMb: number } {
    return this.#watch.take();
  }

  async close(): Promise<void> {
    this.#watch.close();
    this.#server.kill('SIGTERM');
    if (this.#server.exitCode === null) await once(this.#server, 'exit');
    await removeApart(join(this.work, 'data', 'postgres'));
    await rm(this.work, { recursive: true, force: true });
  }
}

function readyLine(server: ChildProcess): Promise<void> {
  const lines = createInterface({ input: server.stdout as Readable });
  return new Promise<void>((resolve, reject) => {
    lines.on('line', (line) => {
      if (line.startsWith('ready ')) resolve();
    });
    server.once('exit', () => reject(new Error('the server did not start')));
  });
}

async function runCommand(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  running: Set<number>,
): Promise<string> {
  const child = spawn(LAUNCHER, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const pid = child.pid ?? 0;
  running.add(pid);
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => {
    stdout += String(chunk);
  });
  child.stderr.on('data', (chunk) => {
    stderr = (stderr + String(chunk)).slice(-4000);
  });
  const [status] = (await once(child, 'close')) as [number | null];
  running.delete(pid);
  if (status !== 0)
    throw new Error(`${args.slice(0, 3).join(' ')} ended with ${status}: ${stderr}`);
  return stdout;
}
