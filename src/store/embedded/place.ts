/** Where an embedded server keeps its data and its socket, and as whom it runs. */

import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chown,
  link,
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
/** In a data directory: the folder that its database stands in. */
const POINTER = 'postgres-location';
/** In such a folder: the data directory that uses it. */
const RECORD = 'data-directory';
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
  const noted = await notedHome(dataDir);
  if (noted !== null) {
    if ((await stat(noted).catch(() => null)) === null)
      throw new Fault('embedded.data-missing', `the data should be at ${noted} and is not`, {
        where: path.join(dataDir, POINTER),
        remedy: 'bring the data back; to begin with an empty database, remove this file',
      });
    // The data directory may have been moved.
    if (noted !== dataDir && (await recordedDirectory(noted)) !== dataDir)
      await record(noted, dataDir);
    return noted;
  }
  const alreadyHere = (await stat(path.join(dataDir, 'postgres')).catch(() => null)) !== null;
  if (owner === null || alreadyHere || canEnter(dataDir, owner)) return dataDir;
  return makeHome(dataDir, stateFolder);
}

/** The folder that a data directory notes as the place of its database; null where it notes none. */
async function notedHome(dataDir: string): Promise<string | null> {
  const noted = await readFile(path.join(dataDir, POINTER), 'utf8').catch(() => null);
  return noted === null ? null : noted.trim();
}

function record(home: string, dataDir: string): Promise<void> {
  return writeFile(path.join(home, RECORD), `${dataDir}\n`, { mode: 0o600 });
}

/** The data directory that a folder was made for, or that used it last. */
async function recordedDirectory(home: string): Promise<string | null> {
  const text = await readFile(path.join(home, RECORD), 'utf8').catch(() => null);
  return text === null ? null : text.trim();
}

/**
 * Makes a folder and notes it. Never one that is there: a data directory that was deleted and made anew would come to
 * the data of the old one.
 */
async function makeHome(dataDir: string, stateFolder: string): Promise<string> {
  const home = path.join(stateFolder, `data-${randomBytes(8).toString('hex')}`);
  await mkdir(home, { recursive: true, mode: 0o711 });
  await record(home, dataDir);
  const note = path.join(dataDir, `${POINTER}.${process.pid}`);
  await writeFile(note, `${home}\n`);
  try {
    // Whole or not at all, and the first of two that start together.
    await link(note, path.join(dataDir, POINTER));
    return home;
  } catch (error) {
    await rm(home, { recursive: true });
    const other = await notedHome(dataDir);
    if (other === null) throw error;
    return other;
  } finally {
    await rm(note, { force: true });
  }
}

/** A database in the state folder that no data directory notes any more. */
export interface Orphan {
  readonly home: string;
  /** What used it last. */
  readonly dataDir: string;
}

/** Those of which it is recorded what used them. Empty for whoever may not look into the state folder. */
export async function findOrphans(stateFolder: string): Promise<Orphan[]> {
  const orphans: Orphan[] = [];
  for (const name of (await readdir(stateFolder).catch(() => [])).sort()) {
    if (!name.startsWith('data-')) continue;
    const home = path.join(stateFolder, name);
    const dataDir = await recordedDirectory(home);
    if (dataDir !== null && (await notedHome(dataDir)) !== home) orphans.push({ home, dataDir });
  }
  return orphans;
}

/** The folder that this data directory notes and that is recorded to be its own; null where there is none. */
export async function homeApart(dataDir: string): Promise<string | null> {
  const folder = path.resolve(dataDir);
  const home = await notedHome(folder);
  return home !== null && (await recordedDirectory(home)) === folder ? home : null;
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

/**
 * A folder of mode 700 for the socket, near the data where its path is short enough.
 * @param wanted where clients look for it since an earlier start; null for the first one.
 * @throws Fault `embedded.folder` when `wanted` is somebody else's by now.
 */
export async function makeSocketFolder(
  place: Place,
  port: number,
  wanted: string | null,
): Promise<string> {
  if (wanted !== null) {
    await makeOwned(wanted, place.owner);
    if (await isOwned(wanted, place.owner)) return wanted;
    throw new Fault('embedded.folder', 'the folder of the socket belongs to somebody else', {
      where: wanted,
      remedy: 'end serve and start it again: it takes another folder',
    });
  }
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
