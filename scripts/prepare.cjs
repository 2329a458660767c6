/**
 * Installs what `npm run demo` and `npm test` need and is missing; does nothing when the stamp beside
 * the packages names the present lock file.
 *
 * Plain CommonJS for Node >= 18, because it runs before the pinned Node is there. Its invariant: a stamp
 * is written only after every package of the lock file was seen in its locked version.
 *
 * `npm ci` is not used: it refuses a lock file that leaves out optional packages of foreign platforms
 * which the registry did not have, and it would delete the Node that is running this file.
 */
'use strict';

const { createHash } = require('node:crypto');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const ROOT = path.dirname(__dirname);
const STAMP = '.undisclosed-stamp';
const LOCK = '.undisclosed-preparing';
const LOCK_WAIT_MS = 10 * 60_000;

/** Per package folder and mode: download and space on disk in MB, measured on Linux x64 with an empty npm cache (packages alone, their metadata left out). */
const SIZES = {
  '.': { demo: [84, 299], test: [136, 458] },
  demo: { demo: [1, 6], test: [1, 6] },
  test: { test: [34, 185] },
  bench: { test: [5, 48] },
};

/** Which package folders each mode needs, in the order they are installed. */
const FOLDERS = {
  demo: ['.', 'demo'],
  test: ['.', 'demo', 'test'],
  proof: ['.', 'demo', 'test', 'bench'],
};

class Refusal extends Error {}

function main() {
  const asked = process.argv[2] === undefined ? 'demo' : process.argv[2];
  const folders = FOLDERS[asked];
  if (folders === undefined) throw new Refusal(`unknown mode '${asked}': use demo, test or proof`);
  // The proof needs the packages of the tests, and the peers to measure beside.
  const mode = asked === 'proof' ? 'test' : asked;
  const missing = folders.filter((folder) => !isStamped(folder, mode));
  if (missing.length === 0) return;
  requireSupportedPlatform();
  withLock(() => {
    const wanted = missing.filter((folder) => !isStamped(folder, mode) && !adopt(folder, mode));
    if (wanted.length > 0) announce(wanted, mode);
    const started = Date.now();
    for (const folder of wanted) install(folder, mode);
    requireWorkingNode();
    if (wanted.length > 0) say(`Installed in ${Math.round((Date.now() - started) / 1000)} s.`);
  });
}

function say(line) {
  process.stderr.write(`${line}\n`);
}

function readJson(file) {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8'));
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw new Refusal(
      `${path.relative(ROOT, file)} cannot be read (${error.message}): restore it from Git`,
    );
  }
}

function lockHash(folder) {
  try {
    const lock = fs.readFileSync(path.join(ROOT, folder, 'package-lock.json'));
    return createHash('sha256').update(lock).digest('hex');
  } catch (error) {
    throw new Refusal(
      `${path.join(folder, 'package-lock.json')} cannot be read (${error.code}): restore it from Git`,
    );
  }
}

/** The stamp says which lock was installed, for which mode and machine; `test` includes `demo`. */
function stampOf(folder) {
  try {
    return JSON.parse(fs.readFileSync(path.join(ROOT, folder, 'node_modules', STAMP), 'utf8'));
  } catch {
    return undefined;
  }
}

function isStamped(folder, mode) {
  const stamp = stampOf(folder);
  if (stamp === undefined || stamp.lock !== lockHash(folder)) return false;
  if (stamp.machine !== `${process.platform}-${process.arch}`) return false;
  if (folder === '.' && isPinnedPlatform() && !fs.existsSync(pinnedNode())) return false;
  return stamp.mode === mode || stamp.mode === 'test';
}

function writeStamp(folder, mode) {
  const stamp = { lock: lockHash(folder), mode, machine: `${process.platform}-${process.arch}` };
  const file = path.join(ROOT, folder, 'node_modules', STAMP);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(`${file}.new`, `${JSON.stringify(stamp)}\n`);
  fs.renameSync(`${file}.new`, file);
}

/** Takes packages that somebody installed with npm directly, if they are what the lock file says. */
function adopt(folder, mode) {
  if (differences(folder, mode).length > 0) return false;
  writeStamp(folder, mode);
  return true;
}

/** Names of locked packages that are absent or of another version in `folder`; empty when all is well. */
function differences(folder, mode) {
  const lock = readJson(path.join(ROOT, folder, 'package-lock.json'));
  const installed = readJson(path.join(ROOT, folder, 'node_modules', '.package-lock.json'));
  if (lock === undefined || installed === undefined) return ['everything'];
  const wrong = [];
  for (const [place, entry] of Object.entries(lock.packages)) {
    if (place === '' || (mode === 'demo' && entry.dev)) continue;
    const found = installed.packages[place];
    if (found === undefined && !isNeededHere(entry)) continue;
    const same = found && found.version === entry.version && found.integrity === entry.integrity;
    if (!same || !fs.existsSync(path.join(ROOT, folder, place, 'package.json')))
      wrong.push(place.replace(/^node_modules\//, ''));
  }
  return wrong;
}

/** Optional packages are needed where they name this machine; npm leaves the rest out. */
function isNeededHere(entry) {
  if (!entry.optional) return true;
  // Which C library runs here is npm's to find out; such packages are development tools only.
  if (entry.os === undefined || entry.cpu === undefined || entry.libc !== undefined) return false;
  return (
    [].concat(entry.os).includes(process.platform) && [].concat(entry.cpu).includes(process.arch)
  );
}

function announce(folders, mode) {
  let download = 0;
  let disk = 0;
  for (const folder of folders) {
    const [downloadMb, diskMb] = SIZES[folder][mode];
    const stamp = folder === '.' && mode === 'test' ? stampOf('.') : undefined;
    const [presentDownload, presentDisk] =
      stamp && stamp.lock === lockHash('.') ? SIZES['.'].demo : [0, 0];
    download += downloadMb - presentDownload;
    disk += diskMb - presentDisk;
  }
  const what = folders.includes('.') ? 'Node 24, PostgreSQL 18 and npm packages' : 'npm packages';
  const places = folders.map((folder) => path.join(folder, 'node_modules')).join(', ');
  say(`Installing for the ${mode}: ${what}, into ${places} only:`);
  say(`about ${download} MB to download, ${disk} MB on disk. No install script is run.`);
}

function install(folder, mode) {
  requireLockInStep(folder);
  const args = [
    'install',
    '--no-save',
    '--ignore-scripts',
    '--package-lock=true',
    '--global=false',
    '--workspaces=false',
    '--dry-run=false',
    '--bin-links=true',
    '--engine-strict=false',
    '--no-audit',
    '--no-fund',
    '--no-progress',
    '--loglevel=error',
    '--fetch-retry-mintimeout=1000',
    '--fetch-retry-maxtimeout=10000',
    '--include=optional',
    mode === 'demo' ? '--omit=dev' : '--include=dev',
  ];
  const cwd = path.join(ROOT, folder);
  // Offline first: a warm npm cache then needs no network, and a cold one says so in half a second. With
  // --prefer-offline npm retried each optional package the lock file leaves out (measured: 259 s).
  let result = runNpm(cwd, [...args, '--offline']);
  if (result.status !== 0 && !result.signal) result = runNpm(cwd, [...args, '--prefer-offline']);
  if (result.status !== 0) throw new Refusal(explain(folder, result));
  const wrong = differences(folder, mode);
  if (wrong.length > 0) {
    const names =
      wrong.length > 3
        ? `${wrong.slice(0, 3).join(', ')} and ${wrong.length - 3} more`
        : wrong.join(', ');
    throw new Refusal(
      `npm left packages out of step with the lock file (${names}): delete ${path.join(folder, 'node_modules')} and run this again`,
    );
  }
  writeStamp(folder, mode);
}

/** npm would quietly resolve versions of its own for dependencies that the lock file does not know. */
function requireLockInStep(folder) {
  const manifest = readJson(path.join(ROOT, folder, 'package.json')) || {};
  const lock = readJson(path.join(ROOT, folder, 'package-lock.json')) || { packages: {} };
  const locked = lock.packages[''] || {};
  for (const kind of ['dependencies', 'optionalDependencies', 'devDependencies']) {
    const sorted = (list) => JSON.stringify(Object.entries(list || {}).sort());
    if (sorted(manifest[kind]) === sorted(locked[kind])) continue;
    throw new Refusal(
      `${path.join(folder, 'package.json')} and its lock file disagree about ${kind}: run 'npm install' in ${folder === '.' ? 'the checkout' : folder} and commit both files`,
    );
  }
}

/** Runs the npm that started us, by the Node that runs it; otherwise the one on PATH. */
function runNpm(cwd, args) {
  const env = { ...process.env };
  // npm hands its own place to its scripts; the inner npm has to find its folder by itself.
  for (const name of ['npm_config_local_prefix', 'npm_config_prefix_local', 'npm_config_workspace'])
    delete env[name];
  const options = {
    cwd,
    env,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    stdio: ['ignore', 'pipe', 'pipe'],
  };
  const script = process.env.npm_execpath;
  if (script !== undefined && /npm-cli\.c?js$/.test(script)) {
    return spawnSync(process.env.npm_node_execpath || process.execPath, [script, ...args], options);
  }
  return spawnSync('npm', args, options);
}

const REASONS = [
  [
    /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ERR_SOCKET_TIMEOUT|EIDLETIMEOUT|ENOTCACHED)\b/,
    'the package registry cannot be reached',
    'check the network, or the proxy and registry settings of npm',
  ],
  [/\bENOSPC\b/, 'the disk is full', 'make room'],
  [
    /\b(EACCES|EPERM|EROFS)\b/,
    'a folder cannot be written',
    'make the checkout and the npm cache writable for this user',
  ],
  [
    /\bEINTEGRITY\b/,
    'a package is not the one in the lock file',
    "run 'npm cache clean --force'; if it stays so, do not install",
  ],
  [
    /\b(ETARGET|E404)\b/,
    'the registry does not have a locked version',
    'use a registry that has it',
  ],
  [
    /\bSELF_SIGNED_CERT|UNABLE_TO_(GET|VERIFY)|CERT_/,
    "the registry's certificate is not trusted",
    'set NODE_EXTRA_CA_CERTS to the certificate file of your network',
  ],
];

function explain(folder, result) {
  const what = `installing in ${path.join(ROOT, folder)} failed`;
  if (result.error && result.error.code === 'ENOENT')
    return `${what}: npm is missing: install npm, or run this as 'npm run demo'`;
  const output = `${result.stderr || ''}${result.stdout || ''}${result.error ? result.error.message : ''}`;
  const known = REASONS.find(([pattern]) => pattern.test(output));
  if (known !== undefined)
    return `${what}: ${known[1]} (${known[0].exec(output)[0]}): ${known[2]} and run this again`;
  const lines = output.split('\n').map((line) => line.replace(/^npm (error|ERR!) ?/, '').trim());
  const first = lines.find(
    (line) => line !== '' && !line.startsWith('code ') && !line.startsWith('npm warn'),
  );
  return `${what}: ${first || (result.signal ? `npm was ended by ${result.signal}` : `npm ended with status ${result.status}`)}`;
}

function isPinnedPlatform() {
  return process.platform === 'linux' && (process.arch === 'x64' || process.arch === 'arm64');
}

function pinnedNode() {
  return path.join(ROOT, 'node_modules', `node-linux-${process.arch}`, 'bin', 'node');
}

function requireSupportedPlatform() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 18)
    throw new Refusal(
      `Node ${process.versions.node} is too old to install with: use Node 18 or newer`,
    );
  if (isPinnedPlatform()) return;
  const here = `${process.platform} ${process.arch}`;
  if (major < 22 || (major === 22 && minor < 18)) {
    throw new Refusal(
      `Node and PostgreSQL come along for Linux x64 and arm64 only; on ${here} use Node >= 22.18 and set DATABASE_URL to a PostgreSQL >= 15`,
    );
  }
  say(
    `On ${here} no Node and no PostgreSQL come along: this Node is used, and DATABASE_URL has to name a PostgreSQL >= 15.`,
  );
}

/** The pinned Node needs glibc; npm installs it on musl systems too. */
function requireWorkingNode() {
  if (!isPinnedPlatform()) return;
  const result = spawnSync(pinnedNode(), ['--version'], { encoding: 'utf8' });
  if (result.status === 0) return;
  const why = fs.existsSync(pinnedNode())
    ? 'does not run here (it needs Linux with glibc)'
    : "was not installed (is 'optional' omitted in npm's settings?)";
  throw new Refusal(`the pinned Node ${why}: ${pinnedNode()}`);
}

/** One at a time: two npm in one folder spoil each other's work. */
function withLock(work) {
  const file = path.join(ROOT, 'node_modules', LOCK);
  const until = Date.now() + LOCK_WAIT_MS;
  let told = false;
  try {
    fs.mkdirSync(path.dirname(file), { recursive: true });
    while (!takeLock(file)) {
      if (Date.now() > until)
        throw new Refusal(
          `another installation has been running for 10 minutes: if there is none, delete ${file}`,
        );
      if (!told) say('Waiting for another installation in this checkout.');
      told = true;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
    }
  } catch (error) {
    if (error instanceof Refusal) throw error;
    throw new Refusal(
      `${path.dirname(file)} cannot be written (${error.code}): make the checkout writable for this user`,
    );
  }
  try {
    work();
  } finally {
    fs.rmSync(file, { force: true });
  }
}

function takeLock(file) {
  try {
    fs.writeFileSync(file, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  }
  const holder = readHolder(file);
  if (holder === undefined || isAlive(holder)) return false;
  fs.rmSync(file, { force: true });
  return false;
}

/** The process id in the lock; undefined when it was just released, or is being written. */
function readHolder(file) {
  try {
    const holder = Number(fs.readFileSync(file, 'utf8'));
    return Number.isSafeInteger(holder) && holder > 0 ? holder : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

try {
  main();
} catch (error) {
  if (!(error instanceof Refusal)) throw error;
  process.stderr.write(`prepare: ${error.message}\n`);
  process.exitCode = 2;
}
