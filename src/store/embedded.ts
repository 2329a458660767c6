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
import {
  findOrphans,
  homeApart,
  makeSocketFolder,
  makeStaging,
  type Place,
  settlePlace,
} from './embedded/place.ts';
import {
  clearStaleLock,
  findPostmaster,
  isAlive,
  type Postmaster,
  stopPostmaster,
  wasShutDown,
} from './embedded/postmaster.ts';
import { alone } from './embedded/start-lock.ts';
import { Supervisor } from './embedded/supervisor.ts';

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
  /** Of the server as it runs now. */
  readonly pid: number;
  /** True when the server was running already. */
  readonly attached: boolean;
  /**
   * Starts it again whenever it has died by itself, until `stop`. Once it will not start any more, `failed` is called
   * with Fault `embedded.lost`, and that was all.
   */
  keepRunning(failed: (fault: Fault) => void): void;
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
  if (running?.status === 'ready') return serve(place, options, running, true);
  return alone(place.cluster, START_LIMIT_MS, async () => {
    const binaries = await findBinaries(place.owner, place.copyFolder);
    await prepareCluster(place, binaries, options.log);
    const found = await attachOrStart({ place, binaries, options, socketDir: null });
    return serve(place, options, found.running, found.attached);
  });
}

/**
 * One line for each database in the state folder whose data directory is gone, with what removes it. Nothing is removed
 * here: the directory may be on a disk that is not mounted.
 */
export async function describeOrphans(stateFolder: string = STATE_FOLDER): Promise<string[]> {
  const lines: string[] = [];
  for (const { home, dataDir } of await findOrphans(stateFolder)) {
    const running = await findPostmaster(path.join(home, 'postgres'));
    const stop = running === null ? '' : `kill -INT ${running.pid}; `;
    lines.push(
      `${home} holds the database of ${dataDir}, which is not there; where it was neither moved nor unmounted: ${stop}rm -r ${home}`,
    );
  }
  return lines;
}

/** Ends what runs of a data directory and removes what stands of it in the state folder: for data made to be thrown away. */
export async function removeApart(dataDir: string): Promise<void> {
  const home = await homeApart(dataDir);
  if (home === null) return;
  const cluster = path.join(home, 'postgres');
  const running = await findPostmaster(cluster);
  if (running !== null) await stopPostmaster(cluster, running.pid);
  await rm(home, { recursive: true, force: true });
}

/** What a start needs to know. */
interface Start {
  readonly place: Place;
  readonly binaries: Binaries;
  readonly options: EmbeddedOptions;
  /** Where clients look for the socket already; null for the first start. */
  readonly socketDir: string | null;
  /** Gives the start up, at a moment when what was started can be found and stopped. */
  readonly signal?: AbortSignal;
}

async function attachOrStart(
  start: Start,
): Promise<{ readonly running: Postmaster; readonly attached: boolean }> {
  const { place, signal } = start;
  const deadline = performance.now() + START_LIMIT_MS;
  let started: Started | null = null;
  for (;;) {
    const running = await findPostmaster(place.cluster);
    if (running?.status === 'ready')
      return { running, attached: started?.child.pid !== running.pid };
    if (signal?.aborted && (running !== null || !isUnderWay(started)))
      throw new Fault('embedded.start', 'the start was given up', { where: place.cluster });
    if (running === null && !isUnderWay(started)) {
      if (started !== null && !(await isWorthRepeating(started))) throw await startFault(started);
      started = await launch(start);
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

/** Whether a process was started that has not ended. */
function isUnderWay(started: Started | null): boolean {
  return started !== null && started.child.exitCode === null && started.child.signalCode === null;
}

async function launch({ place, binaries, options, socketDir: wanted }: Start): Promise<Started> {
  await clearStaleLock(place.cluster);
  const socketDir = await makeSocketFolder(place, PORT, wanted);
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
  options: EmbeddedOptions,
  running: Postmaster,
  attached: boolean,
): Promise<EmbeddedServer> {
  const { port, socketDir } = running;
  const connection = { socketDir, port, user: USER, database: DATABASE };
  await createDatabase(connection);
  let supervisor: Supervisor | null = null;
  const pid = (): number => supervisor?.pid ?? running.pid;
  return {
    connection,
    get pid() {
      return pid();
    },
    attached,
    keepRunning: (failed) => {
      supervisor ??= new Supervisor(running.pid, {
        find: () => findPostmaster(place.cluster),
        wasShutDown: () => wasShutDown(place.cluster),
        start: (signal) => startAgain({ place, options, socketDir, signal }),
        log: options.log ?? (() => {}),
        logFile: place.logFile,
        failed,
      });
    },
    stop: async () => {
      await supervisor?.close();
      // A start that was given up may have left one that nobody has seen ready.
      const last = supervisor === null ? null : await findPostmaster(place.cluster);
      await stopPostmaster(place.cluster, last?.pid ?? pid());
      if (socketDir.startsWith('/tmp/undisclosed-') && !(await isAlive(pid())))
        await rmdir(socketDir).catch(() => {});
    },
  };
}

/** Never makes a cluster: where the data is gone, an empty database would be taken for it. */
async function startAgain(start: Omit<Start, 'binaries'>): Promise<Postmaster> {
  const { cluster, owner, copyFolder } = start.place;
  return alone(cluster, START_LIMIT_MS, async () => {
    if ((await stat(path.join(cluster, 'PG_VERSION')).catch(() => null)) === null)
      throw new Fault('embedded.data-missing', 'the data is not there any more', {
        where: cluster,
        remedy: 'bring the data back',
      });
    const binaries = await findBinaries(owner, copyFolder);
    return (await attachOrStart({ ...start, binaries })).running;
  });
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
