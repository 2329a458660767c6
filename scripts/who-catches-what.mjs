/**
 * Gives the messages of test/rivals/ to this program, to Rspamd and to Postfix `header_checks`, and writes what each did into
 * docs/who-catches-what.md, between its marks.
 *
 *     node scripts/who-catches-what.mjs [--check | --save FOLDER]
 *
 * Needs Node >= 22.18 and the Debian packages rspamd and postfix; starts an Rspamd of its own on loopback, with its own data and
 * configuration, and no service. --check writes nothing: status 1 where the document says anything else. --save writes the
 * messages into a folder, for other programs.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FIXTURES } from '../test/rivals/fixtures.ts';
import { ourVerdict } from '../test/rivals/ours.ts';

const ROOT = path.dirname(import.meta.dirname);
const FILE = path.join(ROOT, 'docs/who-catches-what.md');
const BEGIN = '<!-- rivals:begin -->';
const END = '<!-- rivals:end -->';
/** Compiling its expressions takes Rspamd half a minute on a busy machine. */
const START_LIMIT_MS = 180_000;
/** A `header_checks` rule as it is usually recommended, and one as strict as our own limit for people. */
const RULES = {
  usual: '/^(To|Cc):([^@]*@){50,}/ REJECT too many recipients in the header\n',
  strict:
    '/^((Resent-)?(To|Cc|Bcc)|Reply-To|X-[^:]*):([^@]*@){9,}/ REJECT too many recipients in the header\n',
};
/** What is set for outgoing mail: its own count of recipients, which has no score by default, refuses (module force_actions). */
const OUTGOING = `rules {
  MANY_RECIPIENTS {
    expression = "RCPT_COUNT_TWELVE | RCPT_COUNT_GT_50";
    action = "reject";
    message = "too many recipients in the header";
  }
}
`;
/** Symbols about recipients and headers; the others say nothing about who sees whom. */
const ABOUT_RECIPIENTS =
  /^(?:RCPT_COUNT_(?:TWELVE|GT_50)|.*RECIPS?|FORGED_RECIPIENTS|R_UNDISC_RCPT|MISSING_TO|MULTIPLE_UNIQUE_HEADERS|BROKEN_HEADERS|.*_CR(?:LF)?_.*)$/;

const isMail = ({ name }) => name !== 'provider-call';

function need(program) {
  const folders = ['/usr/sbin', '/usr/bin'];
  const found = folders.map((folder) => `${folder}/${program}`).find((file) => existsSync(file));
  if (found === undefined)
    throw new Error(`${program} is missing: install the Debian packages rspamd and postfix`);
  return found;
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** An Rspamd with Debian's configuration and, beside it, one file of ours. No DNS server answers it, and there is no Redis. */
async function withRspamd(folder, forceActions, use) {
  const port = await freePort();
  const settings = path.join(folder, 'conf');
  const local = path.join(settings, 'local.d');
  for (const place of ['db', 'run', 'log'])
    mkdirSync(path.join(folder, place), { recursive: true });
  rmSync(settings, { recursive: true, force: true });
  mkdirSync(local, { recursive: true });
  const write = (name, text) => writeFileSync(path.join(local, name), text);
  write('worker-normal.inc', `bind_socket = "127.0.0.1:${port}";\ncount = 1;\n`);
  for (const worker of ['controller', 'proxy']) write(`worker-${worker}.inc`, 'enabled = false;\n');
  write(
    'options.inc',
    `dns { nameserver = ["127.0.0.1:${await freePort()}"]; retransmits = 1; }\n`,
  );
  if (forceActions !== null) write('force_actions.conf', forceActions);
  const isRoot = process.getuid() === 0;
  if (isRoot) execFileSync('/bin/chown', ['-R', '_rspamd:_rspamd', folder]);
  const places = { DBDIR: 'db', RUNDIR: 'run', LOGDIR: 'log', LOCAL_CONFDIR: 'conf' };
  const variables = Object.entries(places).map(
    ([name, place]) => `--var=${name}=${path.join(folder, place)}`,
  );
  const user = isRoot ? ['-u', '_rspamd', '-g', '_rspamd'] : [];
  const args = ['-f', '-c', '/etc/rspamd/rspamd.conf', ...user, ...variables];
  const child = spawn(need('rspamd'), args, { stdio: 'ignore' });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  try {
    const url = `http://127.0.0.1:${port}`;
    await answering(`${url}/ping`, child);
    return await use(url);
  } finally {
    child.kill('SIGTERM');
    await ended;
  }
}

async function answering(url, child) {
  const end = performance.now() + START_LIMIT_MS;
  for (;;) {
    if (child.exitCode !== null) throw new Error(`rspamd ended with status ${child.exitCode}`);
    const answer = await fetch(url).catch(() => null);
    if (answer?.ok) return;
    if (performance.now() > end) throw new Error('rspamd does not answer');
    await sleep(200);
  }
}

/** As a mail server asks about what an authenticated user of its own hands in. */
async function askRspamd(url, { from, readers, bytes }) {
  const headers = new Headers({ From: from, IP: '127.0.0.1', Helo: 'office', User: 'office' });
  for (const reader of readers) headers.append('Rcpt', reader);
  const response = await fetch(`${url}/checkv2`, { method: 'POST', headers, body: bytes });
  const { action, score, symbols } = await response.json();
  if (typeof action !== 'string') throw new Error('rspamd gave no action');
  const about = Object.keys(symbols ?? {}).filter((name) => ABOUT_RECIPIENTS.test(name));
  return { caught: action === 'reject', said: [`${action}, ${score.toFixed(1)}`, ...about.sort()] };
}

async function allByRspamd(url) {
  const answers = new Map();
  for (const fixture of FIXTURES)
    if (isMail(fixture)) answers.set(fixture.name, await askRspamd(url, fixture));
  return answers;
}

/** `postmap -h` asks with each logical header, `-m` with those of MIME parts, as cleanup(8) does. */
function byHeaderChecks(folder, rule) {
  const file = path.join(folder, 'header_checks');
  writeFileSync(file, rule);
  const ask = ({ bytes }) => {
    const input = bytes.toString('latin1').replaceAll('\r\n', '\n');
    const args = ['-h', '-m', '-q', '-', `regexp:${file}`];
    const { stdout, status } = spawnSync(need('postmap'), args, {
      input: Buffer.from(input, 'latin1'),
      encoding: 'utf8',
    });
    if (status === null) throw new Error('postmap did not end');
    return { caught: stdout.includes('\tREJECT'), said: [] };
  };
  return new Map(FIXTURES.filter(isMail).map((fixture) => [fixture.name, ask(fixture)]));
}

/** The rules themselves find what they are for. */
function proveRules(folder) {
  const many = `To: ${'a@b.example, '.repeat(60)}`;
  for (const rule of Object.values(RULES)) {
    const file = path.join(folder, 'proof');
    writeFileSync(file, rule);
    const args = ['-h', '-q', '-', `regexp:${file}`];
    const { stdout } = spawnSync(need('postmap'), args, {
      input: `${many}\n\nx\n`,
      encoding: 'utf8',
    });
    if (!stdout.includes('REJECT')) throw new Error('a header_checks rule finds nothing at all');
  }
}

function versions() {
  const { version } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
  const dpkg = (name) =>
    execFileSync('dpkg-query', ['-W', '-f=${Version}', name], { encoding: 'utf8' });
  return { ours: version, rspamd: dpkg('rspamd'), postfix: dpkg('postfix') };
}

const JUDGES = [
  'undisclosed',
  'Rspamd',
  'Rspamd, outgoing',
  '`header_checks`',
  '`header_checks`, strict',
];

function rowOf(fixture, answers) {
  const cells = answers.map((all) => {
    const answer = all.get(fixture.name);
    if (answer === undefined) return '– (no mail)';
    const [stopped, passed] = fixture.isMistake
      ? ['**caught**', 'missed']
      : ['**false alarm**', 'let go'];
    return [answer.caught ? stopped : passed, ...answer.said.map((text) => `\`${text}\``)].join(
      ' ',
    );
  });
  return `| \`${fixture.name}\` | ${fixture.what} | ${cells.join(' | ')} |\n`;
}

function section(answers) {
  const { ours, rspamd, postfix } = versions();
  const mistakes = FIXTURES.filter(({ isMistake }) => isMistake);
  const ordinary = FIXTURES.filter(({ isMistake }) => !isMistake);
  const count = (all, fixtures) => fixtures.filter(({ name }) => all.get(name)?.caught).length;
  const sums = JUDGES.map((judge, i) => {
    const caught = count(answers[i], mistakes);
    const alarms = count(answers[i], ordinary);
    return `| ${judge} | ${caught} | ${mistakes.length - caught} | ${alarms} |\n`;
  });
  const head = (first) => `| message | ${first} | ${JUDGES.join(' | ')} |\n|${'---|'.repeat(7)}\n`;
  return `
undisclosed ${ours}, Rspamd ${rspamd}, Postfix ${postfix}.

| | of ${mistakes.length} mistakes caught | missed | false alarms in ${ordinary.length} ordinary messages |
|---|---|---|---|
${sums.join('')}
### Mistakes

${head('what it is')}${mistakes.map((fixture) => rowOf(fixture, answers)).join('')}
### Ordinary mail

${head('what it is')}${ordinary.map((fixture) => rowOf(fixture, answers)).join('')}`;
}

function ours() {
  return new Map(
    FIXTURES.map((fixture) => {
      const { verdict, reasons } = ourVerdict(fixture);
      const said = verdict === 'pass' ? [] : [`${verdict}: ${reasons.join(', ')}`];
      return [fixture.name, { caught: verdict !== 'pass', said }];
    }),
  );
}

async function main([option, folderGiven]) {
  if (option === '--save') {
    mkdirSync(folderGiven, { recursive: true });
    for (const { name, bytes } of FIXTURES)
      writeFileSync(path.join(folderGiven, `${name}.${bytes[0] === 0x7b ? 'json' : 'eml'}`), bytes);
    return;
  }
  const folder = mkdtempSync(path.join(tmpdir(), 'undisclosed-rivals-'));
  try {
    proveRules(folder);
    const answers = [
      ours(),
      await withRspamd(folder, null, allByRspamd),
      await withRspamd(folder, OUTGOING, allByRspamd),
      byHeaderChecks(folder, RULES.usual),
      byHeaderChecks(folder, RULES.strict),
    ];
    const text = readFileSync(FILE, 'utf8');
    const start = text.indexOf(BEGIN) + BEGIN.length;
    const wanted = `${text.slice(0, start)}\n${section(answers)}\n${text.slice(text.indexOf(END))}`;
    if (option !== '--check') writeFileSync(FILE, wanted);
    else if (wanted !== text) {
      console.error('docs/who-catches-what.md is not what this run found');
      process.exitCode = 1;
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error(`who-catches-what: ${error.message}`);
  process.exitCode = 2;
}
