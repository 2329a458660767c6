/** The programs of Debian that the interop tests run, and why a test must be skipped without them. */

import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, closeSync, existsSync, mkdtempSync, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const START_LIMIT_MS = 30_000;
const STOP_LIMIT_MS = 15_000;

/** Debian puts them in sbin, which the PATH of an ordinary user lacks. */
const FOLDERS = ['/usr/sbin', '/usr/bin', '/usr/local/sbin', '/usr/local/bin'];

const PACKAGE_OF = {
  postfix: 'postfix',
  dovecot: 'dovecot-imapd',
  opendkim: 'opendkim',
  chromium: 'chromium',
} as const;

export type Program = keyof typeof PACKAGE_OF;

function pathOf(program: Program): string | undefined {
  return FOLDERS.map((folder) => `${folder}/${program}`).find(existsSync);
}

/** Where the program is. A test that asks for it has looked at `reasonToSkip` first. */
export function programPath(program: Program): string {
  const path = pathOf(program);
  if (path === undefined) throw new Error(`${program} is not installed`);
  return path;
}

/** Names every package that is missing; false where the tests can run. */
export function reasonToSkip(programs: readonly Program[]): string | false {
  const missing = programs
    .filter((program) => pathOf(program) === undefined)
    .map((program) => PACKAGE_OF[program]);
  if (missing.length > 0) return `not installed: install the package ${missing.join(', ')}`;
  // The mail programs run their parts under several users, which only root can give them.
  const servers = programs.filter((program) => program !== 'chromium');
  if (servers.length === 0 || process.getuid?.() === 0) return false;
  return `${servers.join(' and ')} can be started by root only`;
}

/** Runs a program to its end. Throws with what it said where it fails. */
export function runProgram(path: string, args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(path, args, {
    encoding: 'utf8',
    timeout: START_LIMIT_MS,
    env: { ...process.env, LC_ALL: 'C' },
  });
  if (status === 0) return stdout;
  throw new Error(`${path} ${args.join(' ')} failed: ${error?.message ?? ''}\n${stdout}${stderr}`);
}

export interface OwnDaemon {
  readonly folder: string;
  /** Its configuration, which has to be there before `start`. */
  readonly config: string;
  /** Resolves once its process id is known. */
  start(): Promise<void>;
  /** Its log so far. */
  log(): string;
  /** Stops it and removes its folder. */
  close(): Promise<void>;
}

export interface DaemonFiles {
  readonly config: string;
  readonly pid: string;
  readonly log: string;
}

/**
 * A daemon in a folder of its own, stopped at the latest when this process ends.
 * @param files below the folder.
 * @param startWords after `-c CONFIG`; `stop` in their place stops it.
 */
export function ownDaemon(
  program: Program,
  files: DaemonFiles,
  startWords: readonly string[],
): OwnDaemon {
  const path = programPath(program);
  const folder = mkdtempSync(join(tmpdir(), `undisclosed-${program}-`));
  const config = join(folder, files.config);
  const stop = stopAtEnd([path, '-c', config, 'stop'], folder);
  // Its parts run as users of their own and must be able to pass through.
  chmodSync(folder, 0o755);
  let pid = 0;
  return {
    folder,
    config,
    start: async () => {
      try {
        startDaemon(path, ['-c', config, ...startWords], join(folder, 'start.log'));
        pid = await pidFrom(join(folder, files.pid));
      } catch (error) {
        await stop();
        throw error;
      }
    },
    log: () => readFileSync(join(folder, files.log), 'utf8'),
    close: async () => {
      await stop();
      if (pid > 0) await waitForEnd(pid);
    },
  };
}

/** Starts a program that leaves daemons behind. Its output goes to a file, since a pipe would wait for their end. */
function startDaemon(path: string, args: readonly string[], output: string): void {
  const file = openSync(output, 'a');
  try {
    const { status, error } = spawnSync(path, args, {
      stdio: ['ignore', file, file],
      timeout: START_LIMIT_MS,
      cwd: '/',
      env: { ...process.env, LC_ALL: 'C' },
    });
    if (status === 0) return;
    const said = readFileSync(output, 'utf8');
    throw new Error(`${path} ${args.join(' ')} failed: ${error?.message ?? ''}\n${said}`);
  } finally {
    closeSync(file);
  }
}

/** A port of 127.0.0.1 that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/**
 * Stops a daemon when it is told to, and also when this process ends without a word (`kill -9`): a shell in a session
 * of its own waits for the end of its input, then runs the daemon's own stop command and removes its folder.
 */
function stopAtEnd(stopCommand: readonly string[], folder: string): () => Promise<void> {
  const script = 'cat >/dev/null; folder=$1; shift; "$@" >/dev/null 2>&1; rm -rf -- "$folder"';
  const child = spawn('/bin/sh', ['-c', script, 'stop-at-end', folder, ...stopCommand], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
    cwd: '/',
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  child.unref();
  return async () => {
    child.ref();
    child.stdin.end();
    await ended;
  };
}

/** The process id in a file that a daemon writes after it has gone into the background. */
async function pidFrom(file: string): Promise<number> {
  const until = performance.now() + START_LIMIT_MS;
  for (;;) {
    const pid = existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0;
    if (pid > 0) return pid;
    if (performance.now() > until) throw new Error(`${file} does not come`);
    await sleep(20);
  }
}

/** Waits until the process that a pid file names has ended. */
async function waitForEnd(pid: number): Promise<void> {
  const until = performance.now() + STOP_LIMIT_MS;
  while (isRunning(pid)) {
    if (performance.now() > until) throw new Error(`process ${pid} does not end`);
    await sleep(20);
  }
}

function isRunning(pid: number): boolean {
  try {
    // proc_pid_stat(5): the state follows the name in parentheses; a zombie has ended.
    return !/\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}
