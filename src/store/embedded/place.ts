/** Where an embedded server keeps its data and its socket, and as whom it runs. */

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chown,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import { Fault } from '../../base/errors.ts';
import type { Owner } from './binaries.ts';
import { isAlive } from './postmaster.ts';

export interface Place {
  readonly owner: Owner | null;
  /** PGDATA: mode 700, the owner's. */
  readonly cluster: string;
  readonly logFile: string;
  /** Where the programs may be copied to. */
  readonly copyFolder: string;
}

/** PostgreSQL refuses to run as root; `nobody` is there on every system and owns nothing else of ours. */
const NOBODY: Owner = { uid: 65_534, gid: 65_534 };
const POINTER = 'postgres-location';
/** sun_path holds 108 bytes with its NUL (unix(7)). */
const SOCKET_PATH_BYTES_MAX = 107;

const amRoot = (): boolean => process.getuid?.() === 0;

function canEnter(folder: string, owner: Owner): boolean {
  const result = spawnSync('/bin/sh', ['-c', 'cd -- "$1"', 'sh', folder], {
    ...owner,
    cwd: '/',
    stdio: 'ignore',
  });
  return result.status === 0;
}

/** Makes a folder of mode 700 that belongs to the owner; one that is there must already be that. */
async function makeOwned(folder: string, owner: Owner | null): Promise<void> {
  const made = await mkdir(folder, { mode: 0o700 }).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
      return false;
    },
  );
  if (made && owner !== null) await chown(folder, owner.uid, owner.gid);
}

async function isOwned(folder: string, owner: Owner | null): Promise<boolean> {
  const found = await lstat(folder);
  const uid = owner?.uid ?? process.getuid?.();
  return found.isDirectory() && found.uid === uid && (found.mode & 0o077) === 0;
}

/** The folder below which the owner's folders stand; root's own unenterable one is left for the state folder. */
async function chooseHome(
  dataDir: string,
  owner: Owner | null,
  stateFolder: string,
): Promise<string> {
  const pointer = path.join(dataDir, POINTER);
  const noted = await readFile(pointer, 'utf8').catch(() => null);
  if (noted !== null) {
    const home = noted.trim();
    if ((await stat(home).catch(() => null)) === null)
      throw new Fault('embedded.data-missing', `the data should be at ${home} and is not`, {
        where: pointer,
        remedy: 'bring the data back; to begin with an empty database, remove this file',
      });
    return home;
  }
  const alreadyHere = (await stat(path.join(dataDir, 'postgres')).catch(() => null)) !== null;
  if (owner === null || alreadyHere || canEnter(dataDir, owner)) return dataDir;
  const digest = createHash('sha256').update(dataDir).digest('hex').slice(0, 16);
  const home = path.join(stateFolder, `data-${digest}`);
  await mkdir(home, { recursive: true, mode: 0o711 });
  await writeFile(pointer, `${home}\n`);
  return home;
}

/** An existing cluster keeps its owner: root goes on with what an ordinary user began. */
async function ownerOf(cluster: string): Promise<Owner | null> {
  const found = await stat(cluster).catch(() => null);
  if (!amRoot()) {
    if (found !== null && found.uid !== process.getuid?.())
      throw new Fault('embedded.owner', 'the database belongs to another user', {
        where: cluster,
        remedy: 'run as the user that made it, or as root',
      });
    return null;
  }
  if (found === null || found.uid === 0) return NOBODY;
  return { uid: found.uid, gid: found.gid };
}

/**
 * Settles where everything of one data directory is and makes the folders down to the cluster's parent.
 * @throws Fault `embedded.owner`, `embedded.data-missing`, `embedded.folder`.
 */
export async function settlePlace(dataDir: string, stateFolder: string): Promise<Place> {
  const folder = path.resolve(dataDir);
  try {
    await mkdir(folder, { recursive: true, mode: amRoot() ? 0o711 : 0o700 });
    const first = amRoot() ? await ownerOf(path.join(folder, 'postgres')) : null;
    const home = await chooseHome(folder, first, stateFolder);
    const cluster = path.join(home, 'postgres');
    const owner = await ownerOf(cluster);
    return {
      owner,
      cluster,
      logFile: path.join(home, 'postgres.log'),
      copyFolder: owner === null ? home : stateFolder,
    };
  } catch (error) {
    if (error instanceof Fault) throw error;
    const { code } = error as NodeJS.ErrnoException;
    throw new Fault('embedded.folder', `the data directory cannot be used (${code})`, {
      where: folder,
      remedy: 'choose one that can be written, or set DATABASE_URL',
      cause: error,
    });
  }
}

/** A folder of mode 700 for the socket, near the data where its path is short enough. */
export async function makeSocketFolder(place: Place, port: number): Promise<string> {
  const near = path.join(path.dirname(place.cluster), 'socket');
  const fits =
    Buffer.byteLength(`${near}/.s.PGSQL.${port}`) <= SOCKET_PATH_BYTES_MAX && !/["\\,]/.test(near);
  if (fits) {
    await makeOwned(near, place.owner);
    if (await isOwned(near, place.owner)) return near;
  }
  const folder = await mkdtemp('/tmp/undisclosed-');
  if (place.owner !== null) await chown(folder, place.owner.uid, place.owner.gid);
  return folder;
}

/** A new empty folder beside the cluster, for initdb to fill; those of processes that were killed are removed. */
export async function makeStaging(place: Place): Promise<string> {
  const home = path.dirname(place.cluster);
  for (const name of await readdir(home)) {
    const [, pid] = /^postgres\.new-(\d+)$/.exec(name) ?? [];
    if (pid === undefined || (Number(pid) !== process.pid && (await isAlive(Number(pid)))))
      continue;
    await rm(path.join(home, name), { recursive: true, force: true });
  }
  const staging = `${place.cluster}.new-${process.pid}`;
  await mkdir(staging, { mode: 0o700 });
  if (place.owner !== null) await chown(staging, place.owner.uid, place.owner.gid);
  return staging;
}
