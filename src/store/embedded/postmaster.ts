/** The server process of a cluster: finding it, whoever started it, and ending it. */

import { readdir, readFile, readlink, realpath, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Fault } from '../../base/errors.ts';

export interface Postmaster {
  readonly pid: number;
  readonly port: number;
  readonly socketDir: string;
  /** `starting`, `stopping`, `ready` or `standby` (postmaster.pid, line 8). */
  readonly status: string;
}

const POLL_MS = 10;
const STOP_LIMIT_MS = 60_000;

/** Whether a process is there and no zombie. */
export async function isAlive(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The state follows the command, which stands in parentheses and may hold any character.
  const state = status.slice(status.lastIndexOf(')') + 2, status.lastIndexOf(')') + 3);
  return state !== '' && state !== 'Z' && state !== 'X';
}

/** Every PostgreSQL process works in its data directory: a process id that was given away again does not deceive. */
async function worksIn(pid: number, cluster: string): Promise<boolean> {
  const folder = await readlink(`/proc/${pid}/cwd`).catch(() => '');
  return folder === cluster && (await isAlive(pid));
}

/** The running server of this cluster, or null. */
export async function findPostmaster(cluster: string): Promise<Postmaster | null> {
  const text = await readFile(path.join(cluster, 'postmaster.pid'), 'utf8').catch(() => '');
  const [pidText = '', , , port = '', socketDir = '', , , status = ''] = text.split('\n');
  const pid = Number(pidText);
  if (!Number.isSafeInteger(pid) || pid <= 0) return null;
  if (!(await worksIn(pid, await realpath(cluster).catch(() => '')))) return null;
  return { pid, port: Number(port), socketDir, status: status.trim() };
}

/**
 * Takes away the lock file of a server that is gone when its process id belongs to something else by now: PostgreSQL
 * refuses to start while that id is in use by its user. A number nobody has is left for PostgreSQL itself to judge, and
 * nothing is touched while any process works in the cluster. Call it under the start lock.
 */
export async function clearStaleLock(cluster: string): Promise<void> {
  const lock = path.join(cluster, 'postmaster.pid');
  const pid = Number.parseInt(await readFile(lock, 'utf8').catch(() => ''), 10);
  if (!Number.isSafeInteger(pid) || !(await isAlive(pid))) return;
  const real = await realpath(cluster);
  for (const name of await readdir('/proc')) {
    if (/^\d+$/.test(name) && (await worksIn(Number(name), real))) return;
  }
  await rm(lock, { force: true });
}

/** `DB_SHUTDOWNED` in PostgreSQL's pg_control.h, and where the state stands in the file since version 8. */
const SHUT_DOWN = 1;
const STATE_AT = 16;

/**
 * Whether the cluster was shut down in order, by whomever. A server that was killed, or that ended over a fault or by
 * an immediate shutdown, leaves another state behind.
 */
export async function wasShutDown(cluster: string): Promise<boolean> {
  const control = await readFile(path.join(cluster, 'global', 'pg_control')).catch(() => null);
  return control !== null && control.readUInt32LE(STATE_AT) === SHUT_DOWN;
}

/** Fast shutdown: sessions are ended, everything is on disk, then the process is gone. */
export async function stopPostmaster(cluster: string, pid: number): Promise<void> {
  const real = await realpath(cluster).catch(() => '');
  if (!(await worksIn(pid, real))) return;
  process.kill(pid, 'SIGINT');
  const deadline = performance.now() + STOP_LIMIT_MS;
  while (await isAlive(pid)) {
    if (performance.now() > deadline)
      throw new Fault('embedded.stop', `PostgreSQL (process ${pid}) has not ended after a minute`, {
        where: cluster,
        remedy:
          'look at postgres.log beside the data; stop it by hand with SIGINT, never with SIGKILL',
      });
    await sleep(POLL_MS);
  }
}
