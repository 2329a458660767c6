/**
 * The command line as a user meets it: the launcher as a process of its own, with a server of its own.
 * Everything stands below one folder; `close` ends what was started, however the test ended.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { removeApart } from '../../src/store/embedded.ts';

const LAUNCHER = path.join(import.meta.dirname, '../../undisclosed');
const READY_MS = 60_000;

export interface Said {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly seconds: number;
}

export type Env = Readonly<Record<string, string>>;

export class CommandLine {
  readonly folder: string;
  readonly env: Record<string, string>;
  readonly #servers: { readonly child: ChildProcess; readonly ended: Promise<unknown> }[] = [];

  constructor(env: Env = {}) {
    this.folder = mkdtempSync(path.join(tmpdir(), 'undisclosed-cli-'));
    // What the machine has set for another installation is not ours.
    const inherited = Object.entries(process.env).filter(
      ([name]) => !/^UNDISCLOSED_|^DATABASE_URL$|^NODE_(?:OPTIONS|TEST_CONTEXT)$/.test(name),
    );
    this.env = {
      ...(Object.fromEntries(inherited) as Record<string, string>),
      UNDISCLOSED_DATA: path.join(this.folder, 'data'),
      UNDISCLOSED_KEYRING: path.join(this.folder, 'keyring.json'),
      UNDISCLOSED_OPERATORS: path.join(this.folder, 'operators'),
      UNDISCLOSED_SOCKET: path.join(this.folder, 'api.sock'),
      ...env,
    };
  }

  /** Writes a file below the folder and returns its path. */
  file(name: string, content: string | Uint8Array): string {
    const target = path.join(this.folder, name);
    mkdirSync(path.dirname(target), { recursive: true });
    writeFileSync(target, content);
    return target;
  }

  /** One command to its end. */
  run(args: readonly string[], env: Env = {}, limitMs = 60_000): Promise<Said> {
    const started = performance.now();
    return new Promise((resolve, reject) => {
      const child = spawn(LAUNCHER, args, {
        cwd: this.folder,
        env: { ...this.env, ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
        timeout: limitMs,
      });
      let stdout = '';
      let stderr = '';
      child.stdout.on('data', (chunk) => {
        stdout += String(chunk);
      });
      child.stderr.on('data', (chunk) => {
        stderr += String(chunk);
      });
      child.once('error', reject);
      child.once('close', (status) =>
        resolve({ status, stdout, stderr, seconds: (performance.now() - started) / 1000 }),
      );
    });
  }

  /** One command that has to end with 0; its JSON. */
  async must<T>(args: readonly string[]): Promise<T> {
    const { status, stdout, stderr } = await this.run([...args, '--json']);
    if (status !== 0) throw new Error(`undisclosed ${args.join(' ')}: ${status}: ${stderr}`);
    return JSON.parse(stdout.trim().split('\n').at(-1) ?? 'null') as T;
  }

  /** Starts `serve` and waits for its line `ready`; resolves with its process id. */
  async serve(env: Env = {}): Promise<number> {
    const child = spawn(LAUNCHER, ['serve'], {
      cwd: this.folder,
      env: { ...this.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const ended = new Promise((resolve) => child.once('exit', resolve));
    this.#servers.push({ child, ended });
    let said = '';
    const ready = new Promise<boolean>((resolve) => {
      child.stdout.on('data', (chunk) => {
        said += String(chunk);
        if (/^ready /m.test(said)) resolve(true);
      });
      child.stderr.on('data', (chunk) => {
        said += String(chunk);
      });
      void ended.then(() => resolve(false));
    });
    const isReady = await Promise.race([ready, sleep(READY_MS, false, { ref: false })]);
    if (!isReady || child.pid === undefined) throw new Error(`serve is not ready: ${said}`);
    return child.pid;
  }

  async stopServers(): Promise<void> {
    for (const { child, ended } of this.#servers.splice(0)) {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
      await ended;
    }
  }

  async close(): Promise<void> {
    await this.stopServers();
    await removeApart(path.join(this.env.UNDISCLOSED_DATA ?? '', 'postgres'));
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Memory of a process in MB: as it is, and the most it ever was. */
export function memoryOf(pid: number): { readonly now: number; readonly most: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const field = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? Number.NaN) / 1024;
  return { now: field('VmRSS'), most: field('VmHWM') };
}
