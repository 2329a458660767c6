/**
 * The embedded server: real PostgreSQL from npm, run by us.
 * Invariant: it listens on a Unix socket in a folder of mode 700 only, and its life does not hang on ours: killed or
 * restarted, we find it again by its data directory.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { open, readFile, rename, rm, rmdir, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { Fault } from '../base/errors.ts';
import type { Connection } from './database.ts';
import { type Binaries, findBinaries } from './embedded/binaries.ts';
import { makeSocketFolder, makeStaging, type Place, settlePlace } from './embedded/place.ts';
import {
  clearStaleLock,
  findPostmaster,
  isAlive,
  type Postmaster,
  stopPostmaster,
} from './embedded/postmaster.ts';
import { alone } from './embedded/start-lock.ts';

export interface EmbeddedOptions {
  readonly dataDir: string;
  /** One line for each step that takes time. */
  readonly log?: (line: string) => void;
  /** Server settings beside ours, for tests. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Where root keeps what the unprivileged server cannot reach in `dataDir`; /var/lib/undisclosed unless given. */
  readonly stateFolder?: string;
}

export interface EmbeddedServer {
  readonly connection: Connection;
  readonly pid: number;
  /** True when the server was running already. */
  readonly attached: boolean;
  /** Fast shutdown, also of a server that was running already; returns when the process is gone. */
  stop(): Promise<void>;
}

const STATE_FOLDER = '/var/lib/undisclosed';
const USER = 'undisclosed';
const DATABASE = 'undisclosed';
const PORT = 5432;
const START_LIMIT_MS = 60_000;
const POLL_MS = 10;
const LOG_BYTES_MAX = 10_000_000;

/** ERROR is left out of the log and so are statements and their values: they may hold what the database seals. */
const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '',
  unix_socket_permissions: '0700',
  port: String(PORT),
  max_connections: '200',
  shared_buffers: '128MB',
  max_wal_size: '4GB',
  // The npm build has no lz4; pglz would cost more than the WAL it saves.
  wal_compression: 'off',
  fsync: 'on',
  synchronous_commit: 'on',
  jit: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_min_messages: 'log',
  log_min_error_statement: 'panic',
  log_error_verbosity: 'terse',
  log_checkpoints: 'off',
};

/**
 * Attaches to the server of this data directory, or starts it (making the cluster first where there is none).
 * @throws Fault `embedded.*`, each with place and remedy.
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedServer> {
  const place = await settlePlace(options.dataDir, options.stateFolder ?? STATE_FOLDER);
  const running = await findPostmaster(place.cluster);
  if (running?.status === 'ready') return serve(place, running, true);
  return alone(place.cluster, START_LIMIT_MS, () => attachOrStart(place, options));
}

async function attachOrStart(place: Place, options: EmbeddedOptions): Promise<EmbeddedServer> {
  const deadline = performance.now() + START_LIMIT_MS;
  let started: Started | null = null;
  for (;;) {
    const running = await findPostmaster(place.cluster);
    if (running?.status === 'ready')
      return serve(place, running, started?.child.pid !== running.pid);
    if (running === null && (started === null || started.child.exitCode !== null)) {
      if (started !== null && !(await isWorthRepeating(started))) throw await startFault(started);
      started = await launch(place, options);
    }
    if (performance.now() > deadline)
      throw new Fault('embedded.start', 'PostgreSQL was not ready within a minute', {
        where: place.logFile,
        remedy: 'the end of this file says what it is doing',
      });
    await sleep(POLL_MS);
  }
}

interface Started {
  readonly child: ChildProcess;
  readonly logFile: string;
  /** Where this start begins in the log. */
  readonly logFrom: number;
}

async function launch(place: Place, options: EmbeddedOptions): Promise<Started> {
  const binaries = await findBinaries(place.owner, place.copyFolder);
  await prepareCluster(place, binaries, options.log);
  await clearStaleLock(place.cluster);
  const socketDir = await makeSocketFolder(place, PORT);
  const settings = {
    ...SETTINGS,
    ...options.settings,
    unix_socket_directories: `"${socketDir}"`,
  };
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  await rotate(place.logFile);
  const log = await open(place.logFile, 'a', 0o600);
  try {
    const logFrom = (await log.stat()).size;
    const child = spawn(
      path.join(binaries.native, 'bin', 'postgres'),
      ['-D', place.cluster, ...args],
      {
        ...place.owner,
        // A session of its own: signals of our terminal and our own death do not reach it.
        detached: true,
        cwd: '/',
        env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', PGDATA: place.cluster },
        stdio: ['ignore', log.fd, log.fd],
      },
    );
    child.on('error', () => {});
    child.unref();
    return { child, logFile: place.logFile, logFrom };
  } finally {
    await log.close();
  }
}

async function rotate(logFile: string): Promise<void> {
  const found = await stat(logFile).catch(() => null);
  if (found !== null && found.size > LOG_BYTES_MAX) await rename(logFile, `${logFile}.1`);
}

async function logTail(started: Started): Promise<string> {
  const text = await readFile(started.logFile);
  return text.subarray(started.logFrom).toString('utf8');
}

/** Another process was faster, or backends of a killed server are still on their way out. */
async function isWorthRepeating(started: Started): Promise<boolean> {
  const tail = await logTail(started);
  const passing = /lock file ".*" already exists|shared memory block .* still in use/.test(tail);
  if (passing) await sleep(100);
  return passing;
}

async function startFault(started: Started): Promise<Fault> {
  const lines = (await logTail(started)).trim().split('\n');
  const last = lines.findLast((line) => line.includes('FATAL')) ?? lines.at(-1) ?? '';
  const full = /No space left/.test(last);
  return new Fault(
    full ? 'database.full' : 'embedded.start',
    `PostgreSQL did not start: ${last.replace(/^.*?FATAL:\s*/, '')}`,
    {
      where: started.logFile,
      remedy: full ? 'free space on this disk' : 'set DATABASE_URL to use a server of your own',
    },
  );
}

function run(
  binaries: Binaries,
  place: Place,
  program: string,
  args: readonly string[],
): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(path.join(binaries.native, 'bin', program), args, {
      ...place.owner,
      cwd: '/',
      env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (output += chunk));
    child.on('error', (error) => resolve({ code: null, output: error.message }));
    child.on('close', (code) => resolve({ code, output }));
  });
}

/** Makes the cluster beside its place and moves it there whole: an interrupted start leaves nothing half made. */
async function prepareCluster(
  place: Place,
  binaries: Binaries,
  log?: (line: string) => void,
): Promise<void> {
  const version = await readFile(path.join(place.cluster, 'PG_VERSION'), 'utf8').catch(() => null);
  if (version !== null) return checkVersion(place, binaries, version.trim());
  log?.('making the database');
  const staging = await makeStaging(place);
  try {
    const made = await run(binaries, place, 'initdb', [
      ...['--pgdata', staging, '--username', USER, '--auth=trust', '--encoding=UTF8'],
      ...['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'],
      ...['--data-checksums', '--no-instructions'],
    ]);
    if (made.code !== 0) throw initdbFault(place, made.output);
    await writeFile(path.join(staging, 'pg_hba.conf'), 'local all all trust\n');
    await rename(staging, place.cluster);
  } catch (error) {
    await rm(staging, { recursive: true, force: true });
    const isThere = await stat(path.join(place.cluster, 'PG_VERSION')).catch(() => null);
    if (isThere === null) throw error;
  }
}

function initdbFault(place: Place, output: string): Fault {
  const lines = output.trim().split('\n');
  const line = lines.find((each) => /error|fatal/i.test(each)) ?? lines.at(-1) ?? '';
  const full = /No space left/.test(line);
  const reason = line.replace(/^.*?(?:FATAL|error): +/, '');
  return new Fault(
    full ? 'database.full' : 'embedded.initdb',
    `the database could not be made: ${reason}`,
    {
      where: place.cluster,
      remedy: full
        ? 'free space on this disk: an empty database takes about 50 MB'
        : 'give the data directory an owner with an entry in /etc/passwd, or set DATABASE_URL',
    },
  );
}

function checkVersion(place: Place, binaries: Binaries, version: string): void {
  const [major] = binaries.version.split('.');
  if (version === major) return;
  throw new Fault('embedded.version', `the data is PostgreSQL ${version}, the server is ${major}`, {
    where: place.cluster,
    remedy: `back it up with the version that wrote it and restore it here`,
  });
}

async function serve(
  place: Place,
  running: Postmaster,
  attached: boolean,
): Promise<EmbeddedServer> {
  const { pid, port, socketDir } = running;
  const connection = { socketDir, port, user: USER, database: DATABASE };
  await createDatabase(connection);
  return {
    connection,
    pid,
    attached,
    stop: async () => {
      await stopPostmaster(place.cluster, pid);
      if (socketDir.startsWith('/tmp/undisclosed-') && !(await isAlive(pid)))
        await rmdir(socketDir).catch(() => {});
    },
  };
}

async function createDatabase(connection: {
  socketDir: string;
  port: number;
  user: string;
}): Promise<void> {
  const { socketDir, port, user } = connection;
  const client = new pg.Client({ host: socketDir, port, user, database: 'postgres' });
  client.on('error', () => {});
  try {
    await client.connect();
    const found = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [DATABASE]);
    if (found.rowCount === 0) await client.query(`CREATE DATABASE ${DATABASE}`);
  } catch (error) {
    const { code } = error as { code?: string };
    // Two processes that start together: the other one has made it.
    if (code === '42P04' || code === '23505') return;
    throw new Fault(
      'embedded.start',
      `PostgreSQL runs but does not answer (${code ?? 'no code'})`,
      {
        where: socketDir,
      },
    );
  } finally {
    await client.end().catch(() => {});
  }
}
