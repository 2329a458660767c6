/**
 * Runs the demo and the core tests from a fresh clone in every environment that the project promises, for real, on this
 * machine, and writes docs/environments.md.
 *
 *     node scripts/environments.mjs [--tree] [--only NAME,NAME] [--people N] [--all-tests] [--keep] [--print]
 *
 * Takes root: it becomes an ordinary user, starts a PostgreSQL 15 as one, and hides the user `postgres` in a mount
 * namespace of its own. Everything it makes stands below one temporary folder and is removed, also after Ctrl-C.
 * Exit status: 0 every environment works, 1 one does not, 2 it could not be run.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { endRunning, lastLines, must, run } from './run-command.mjs';

const ROOT = path.dirname(path.dirname(fs.realpathSync(fileURLToPath(import.meta.url))));
const NOBODY = 65_534;
const STATE_FOLDER = '/var/lib/undisclosed';
const POSTGRES_15 = '/usr/lib/postgresql/15/bin';
/** What every environment has to pass; with --all-tests it is everything. */
const CORE_TESTS = [
  'src',
  'test/scripts.test.ts',
  'test/demo-content.test.ts',
  'test/flows/database-pool.test.ts',
  'test/flows/embedded-postgres.test.ts',
  'test/flows/ledger-*.test.ts',
  'test/flows/bad-input*.test.ts',
];
/** Settings of the machine's network that npm needs to reach its registry. */
const PASSED_ON = /^(?:https?_proxy|no_proxy|NODE_EXTRA_CA_CERTS|SSL_CERT_(?:FILE|DIR))$/i;

const { values: options } = parseArgs({
  options: {
    tree: { type: 'boolean', default: false },
    only: { type: 'string' },
    people: { type: 'string', default: '2000' },
    'all-tests': { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    print: { type: 'boolean', default: false },
  },
});

const ENVIRONMENTS = [
  { name: 'root-700', what: 'root, below a folder of mode 700, no user `postgres`', node: null },
  { name: 'ordinary-user', what: 'an ordinary user', node: null, user: NOBODY },
  { name: 'node-18', what: 'Node 18 on PATH', node: '18' },
  { name: 'node-20', what: 'Node 20 on PATH', node: '20' },
  { name: 'node-24', what: 'Node 24 on PATH', node: '24' },
  { name: 'ignore-scripts', what: '`ignore-scripts=true` in npm’s settings', node: null },
  { name: 'postgresql-15', what: 'PostgreSQL 15 by `DATABASE_URL`', node: null },
];

const base = fs.mkdtempSync('/tmp/ue-');
const closers = [];

function say(text) {
  process.stderr.write(`${text}\n`);
}

/** Gives everything below a folder to a user. */
function give(folder, user) {
  spawnSync('chown', ['-R', `${user}:${user}`, folder]);
}

/** A Node of one major version and an npm that it can run, in a folder of its own, for PATH. */
async function nodeFolder(major) {
  const prefix = path.join(base, `tools-${major}`);
  fs.mkdirSync(prefix);
  fs.writeFileSync(path.join(prefix, 'package.json'), '{"private":true}');
  const npm = major === '24' ? 'npm@11' : 'npm@10';
  const node = `node-linux-${process.arch}@${major}`;
  await must('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', node, npm], {
    cwd: prefix,
    env: environment(prefix),
  });
  const bin = path.join(prefix, 'bin');
  const modules = path.join(prefix, 'node_modules');
  fs.mkdirSync(bin);
  const real = path.join(modules, `node-linux-${process.arch}`, 'bin', 'node');
  fs.symlinkSync(real, path.join(bin, 'node'));
  const script = path.join(modules, 'npm', 'bin', 'npm-cli.js');
  fs.writeFileSync(path.join(bin, 'npm'), `#!/bin/sh\nexec "${real}" "${script}" "$@"\n`, {
    mode: 0o755,
  });
  return bin;
}

/** The bare environment of a newcomer: nothing of ours, a home and a temporary folder of its own. */
function environment(home, more = {}) {
  const passed = Object.entries(process.env).filter(([name]) => PASSED_ON.test(name));
  return {
    ...Object.fromEntries(passed),
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: home,
    LANG: 'C.UTF-8',
    TMPDIR: path.join(base, 't'),
    npm_config_cache: path.join(home, 'npm-cache'),
    ...more,
  };
}

/** A fresh clone; with --tree the files as they stand, uncommitted ones too. */
async function clone(target) {
  if (!options.tree) {
    await must('git', ['clone', '-q', '--no-hardlinks', ROOT, target], { env: environment(base) });
    return;
  }
  const listed = spawnSync('git', ['ls-files', '-co', '-z', '--exclude-standard'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  for (const name of listed.stdout.split('\0')) {
    const from = path.join(ROOT, name);
    if (name === '' || !fs.existsSync(from)) continue;
    fs.mkdirSync(path.dirname(path.join(target, name)), { recursive: true });
    fs.cpSync(from, path.join(target, name), { verbatimSymlinks: true });
  }
}

/** PostgreSQL 15 of the machine, as an ordinary user, on a Unix socket only. */
async function postgres15() {
  const version = spawnSync(path.join(POSTGRES_15, 'postgres'), ['--version'], {
    encoding: 'utf8',
  });
  if (version.status !== 0) throw new Error(`there is no PostgreSQL 15 in ${POSTGRES_15}`);
  const folder = path.join(base, 'pg');
  fs.mkdirSync(folder, { mode: 0o700 });
  give(folder, NOBODY);
  const data = path.join(folder, 'data');
  const as = { cwd: '/', user: NOBODY, env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' } };
  const initdb = ['-D', data, '-U', 'undisclosed', '-A', 'trust', '-E', 'UTF8', '--locale=C'];
  await must(path.join(POSTGRES_15, 'initdb'), initdb, as);
  const server = spawn(
    path.join(POSTGRES_15, 'postgres'),
    ['-D', data, '-k', folder, '-c', 'listen_addresses=', '-c', 'max_connections=200'],
    { cwd: '/', env: as.env, uid: NOBODY, gid: NOBODY, detached: true, stdio: 'ignore' },
  );
  const ended = new Promise((resolve) => server.once('exit', resolve));
  closers.push(async () => {
    if (server.exitCode === null) server.kill('SIGINT');
    await ended;
  });
  for (let attempt = 0; attempt < 300; attempt++) {
    const { status } = await run(path.join(POSTGRES_15, 'pg_isready'), ['-h', folder], as);
    if (status === 0) break;
  }
  const database = async (name) => {
    await must(
      path.join(POSTGRES_15, 'createdb'),
      ['-h', folder, '-U', 'undisclosed', '-E', 'UTF8', '-T', 'template0', name],
      as,
    );
    return `postgresql://undisclosed@localhost/${name}?host=${encodeURIComponent(folder)}`;
  };
  return { version: version.stdout.trim().split(' ')[2], database };
}

/**
 * A command with the user `postgres` taken out of the machine's files and a state folder of its own, in a mount
 * namespace that ends with it.
 */
function withoutPostgresUser(command) {
  const hidden = path.join(base, 'hidden');
  fs.mkdirSync(path.join(hidden, 'state'), { recursive: true, mode: 0o755 });
  for (const name of ['passwd', 'group']) {
    const lines = fs.readFileSync(`/etc/${name}`, 'utf8').split('\n');
    fs.writeFileSync(
      path.join(hidden, name),
      lines.filter((line) => !line.startsWith('postgres:')).join('\n'),
    );
  }
  const script = [
    `mount --bind ${hidden}/passwd /etc/passwd`,
    `mount --bind ${hidden}/group /etc/group`,
    `mount --bind ${hidden}/state ${STATE_FOLDER}`,
    'if getent passwd postgres >/dev/null; then echo "the user postgres is still there"; exit 2; fi',
    'exec "$@"',
  ].join(' && ');
  return ['unshare', ['--mount', '/bin/sh', '-c', `${script}`, 'sh', ...command]];
}

/** Root's databases of data directories below our folder that stand apart from them. */
function databasesApart() {
  return fs.readdirSync(STATE_FOLDER).filter((name) => {
    const record = path.join(STATE_FOLDER, name, 'data-directory');
    return fs.existsSync(record) && fs.readFileSync(record, 'utf8').startsWith(base);
  });
}

/** Processes below our temporary folder that outlive their command, and files they left there. */
function leftBehind(folder) {
  const names = [
    ...fs.readdirSync(path.join(base, 't')).filter((name) => !/^(?:v8-|node-)/.test(name)),
    ...databasesApart(),
  ];
  const processes = fs
    .readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => {
      try {
        const line = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8');
        return line.includes(folder) || line.includes(path.join(base, 't'));
      } catch {
        return false;
      }
    });
  return { names, processes };
}

/** The data of the tests' own server stays for the next run of the same checkout: here there is none. */
function removeTestData(checkout, user) {
  const module = pathToFileURL(path.join(checkout, 'test/support/database.ts')).href;
  const digest = createHash('sha256').update(module).digest('hex').slice(0, 12);
  fs.rmSync(`/tmp/undisclosed-test-${user}-${digest}`, { recursive: true, force: true });
}

async function prepareEnvironment({ name, node, user }) {
  const home = path.join(base, name);
  fs.mkdirSync(home, { mode: name === 'root-700' ? 0o700 : 0o755 });
  const checkout = path.join(home, 'undisclosed');
  await clone(checkout);
  // What one environment has downloaded the next one finds; the first starts with nothing.
  const cache = path.join(base, 'npm-cache');
  if (fs.existsSync(cache)) fs.renameSync(cache, path.join(home, 'npm-cache'));
  const env = environment(home);
  if (node !== null) env.PATH = `${await nodeFolder(node)}:${env.PATH}`;
  if (name === 'ignore-scripts')
    fs.writeFileSync(path.join(home, '.npmrc'), 'ignore-scripts=true\n');
  if (user !== undefined) give(home, user);
  return { home, checkout, env };
}

/** What `node` and `npm` on PATH say of themselves, and whose account it is. */
async function describe(env, user) {
  const node = await run('node', ['--version'], { env, user });
  const npm = await run('npm', ['--version'], { env, user });
  return `${node.output.trim()}, npm ${npm.output.trim().split('\n').at(-1)}`;
}

async function tryEnvironment(environmentOf) {
  const { name, user } = environmentOf;
  const { home, checkout, env } = await prepareEnvironment(environmentOf);
  const inPlace = (args) => {
    const command = name === 'root-700' ? withoutPostgresUser(args) : [args[0], args.slice(1)];
    return run(command[0], command[1], { cwd: checkout, env, user });
  };
  const server = name === 'postgresql-15' ? await postgres15() : null;
  const versions = await describe(env, user);
  const out = path.join(home, 'out');
  if (server !== null) env.DATABASE_URL = await server.database('demo');
  const demo = await inPlace([
    ...['npm', 'run', '-s', 'demo', '--'],
    ...['--people', options.people, '--no-console', '--out', out],
  ]);
  const result = readResult(out);
  if (server !== null) env.DATABASE_URL = await server.database('tests');
  const which = options['all-tests'] ? [] : CORE_TESTS;
  const present = which.filter((pattern) => fs.globSync(pattern, { cwd: checkout }).length > 0);
  const tests = await inPlace(['npm', 'test', '-s', '--', ...present]);
  const left = leftBehind(home);
  const cache = path.join(home, 'npm-cache');
  if (fs.existsSync(cache)) {
    if (user !== undefined) give(cache, 0);
    fs.renameSync(cache, path.join(base, 'npm-cache'));
  }
  removeTestData(checkout, user ?? 0);
  if (!options.keep) fs.rmSync(home, { recursive: true, force: true });
  return {
    ...environmentOf,
    versions: server === null ? versions : `${versions}, PostgreSQL ${server.version}`,
    demo,
    result,
    tests,
    left,
  };
}

function readResult(out) {
  try {
    return JSON.parse(fs.readFileSync(path.join(out, 'result.json'), 'utf8'));
  } catch {
    return null;
  }
}

/** Whether everybody got their message, nobody saw anybody else, and no test failed. */
function judge({ demo, result, tests, left }) {
  const people = Number(options.people);
  const demoWorks =
    demo.status === 0 &&
    result?.people === people &&
    result.messages === people &&
    result.disclosures === 0;
  const line = /^(\d+) passed, (\d+) failed, (\d+) skipped$/m.exec(tests.output);
  const testsWork = tests.status === 0 && line !== null && Number(line[2]) === 0;
  const clean = left.names.length === 0 && left.processes.length === 0;
  return { demoWorks, testsWork, clean, line: line?.[0] ?? `status ${tests.status}` };
}

function row(tried) {
  const { demoWorks, testsWork, clean, line } = judge(tried);
  const { result, demo, tests, left } = tried;
  const delivered = result === null ? '' : `, ${result.messages} of ${result.people} delivered`;
  const seen = result === null ? '' : `, ${result.disclosures} disclosures`;
  const cells = [
    tried.what,
    tried.versions,
    `${demoWorks ? 'works' : `fails (status ${demo.status})`}${delivered}${seen}`,
    `${demo.seconds.toFixed(0)} s`,
    `${testsWork ? '' : '**fails**: '}${line}`,
    `${tests.seconds.toFixed(0)} s`,
    clean ? 'nothing' : [...left.names, ...left.processes.map((pid) => `process ${pid}`)].join(' '),
  ];
  return `| ${cells.join(' | ')} |`;
}

function page(rows, skipped) {
  const { stdout } = spawnSync('git', ['log', '-1', '--format=%h'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  const from = options.tree ? `the files as they stood after ${stdout.trim()}` : stdout.trim();
  const which = options['all-tests'] ? 'all tests' : `the core tests (${CORE_TESTS.join(', ')})`;
  const system = fs.readFileSync('/etc/os-release', 'utf8').match(/^PRETTY_NAME="(.*)"$/m)?.[1];
  return [
    '# Environments',
    '',
    `Written by \`node scripts/environments.mjs\` on ${new Date().toISOString().slice(0, 10)}: ${system}, ${os.arch()}, ${os.cpus().length} processors.`,
    `Each row is a fresh clone of ${from} in a home of its own: \`npm run demo -- --people ${options.people} --no-console\`, then \`npm test\` with`,
    `${which}. The times include what npm had to download and install; the first row begins with an empty npm cache. The`,
    'last column is what was found of processes and temporary files afterwards.',
    '',
    '| environment | on PATH | demo | time | tests | time | left behind |',
    '|---|---|---|---|---|---|---|',
    ...rows,
    '',
    ...skipped.map((line) => `Not run: ${line}`),
  ]
    .join('\n')
    .trimEnd()
    .concat('\n');
}

async function main() {
  if (process.getuid?.() !== 0) throw new Error('this takes root: it becomes other users');
  fs.chmodSync(base, 0o755);
  fs.mkdirSync(path.join(base, 't'));
  fs.chmodSync(path.join(base, 't'), 0o1777);
  const hadState = fs.existsSync(STATE_FOLDER);
  fs.mkdirSync(STATE_FOLDER, { recursive: true, mode: 0o711 });
  // Empty is what it was when we made it: rmdir removes nothing else.
  if (!hadState) closers.push(() => spawnSync('rmdir', [STATE_FOLDER]));
  const wanted = options.only?.split(',');
  const rows = [];
  const skipped = [];
  let works = true;
  for (const each of ENVIRONMENTS) {
    if (wanted !== undefined && !wanted.includes(each.name)) continue;
    say(`${each.name} …`);
    try {
      const tried = await tryEnvironment(each);
      const { demoWorks, testsWork, clean } = judge(tried);
      rows.push(row(tried));
      say(rows.at(-1));
      if (!demoWorks) say(`demo: ${lastLines(tried.demo.output, 12)}`);
      if (!testsWork) say(tried.tests.output.split('\n').slice(-60).join('\n'));
      works &&= demoWorks && testsWork && clean;
    } catch (error) {
      works = false;
      skipped.push(`${each.what}: ${error.message}`);
      say(skipped.at(-1));
    }
  }
  const text = page(rows, skipped);
  if (options.print || wanted !== undefined) process.stdout.write(text);
  else fs.writeFileSync(path.join(ROOT, 'docs/environments.md'), text);
  process.exitCode = works ? 0 : 1;
}

async function cleanUp() {
  for (const close of closers.splice(0).reverse()) await close();
  if (!options.keep) fs.rmSync(base, { recursive: true, force: true });
}

for (const signal of ['SIGINT', 'SIGTERM'])
  process.once(signal, async () => {
    endRunning();
    await cleanUp();
    process.exit(130);
  });

try {
  await main();
} catch (error) {
  say(`environments: ${error.message}`);
  process.exitCode = 2;
} finally {
  await cleanUp();
}
