/**
 * The demo: the whole road on sample customers, by the commands that a user would type, then the mistake in each form it is told in.
 * It brings its own server and far sides, ends all of them, and leaves one folder with what happened.
 */

import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { CommandIo, ExitStatus } from '../src/cli/command.ts';
import { makeMistakes } from './mistakes.ts';
import {
  type AccountData,
  type AccountLanguage,
  type AccountMistake,
  accountPage,
} from './page.ts';
import { count } from './plots.ts';
import { Processes } from './processes.ts';
import type { DeliveredCounts, WouldBe } from './read-delivered.d.mts';
import { sampleCustomers, writeCustomersCsv } from './sample-customers.ts';

const HELP = `Usage: undisclosed demo [--people N] [--out DIR] [--no-console]

The whole road on sample customers: import, freeze, prepare, approval by a second person, signing,
release to a local far side, proof. Then the mistake in each form it is told in, which does not
leave. Needs nothing but this checkout; sends nothing beyond 127.0.0.1.

  --people N     how many sample customers (default 22000)
  --out DIR      the folder for what happened (default undisclosed-demo; replaced)
  --no-console   ends at once; otherwise the account stays on a 127.0.0.1 address until Ctrl-C
  --help         this text
`;

const SEED = 20191101;
const MISTAKE_PEOPLE = 1000;
const LANGUAGE_NAMES = new Intl.DisplayNames('en', { type: 'language' });
const HERE = fileURLToPath(new URL('.', import.meta.url));
const MAIN = fileURLToPath(new URL(`../src/main${extname(import.meta.url)}`, import.meta.url));
const VERIFIER = fileURLToPath(new URL('../verify/verify.mjs', import.meta.url));

interface Settings {
  readonly people: number;
  readonly out: string;
  readonly console: boolean;
}

interface Stage {
  readonly io: CommandIo;
  readonly settings: Settings;
  readonly processes: Processes;
  /** Deleted at the end: database, keys, sockets. */
  readonly work: string;
  readonly env: Record<string, string>;
  readonly seconds: { step: string; seconds: number }[];
}

function readSettings(args: readonly string[]): Settings | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      people: { type: 'string' },
      out: { type: 'string' },
      'no-console': { type: 'boolean' },
      json: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  if (values.help === true) return 'help';
  const people = Number(values.people ?? 22_000);
  if (!Number.isInteger(people) || people < MISTAKE_PEOPLE || people > 1_000_000)
    throw new Error(`--people is a whole number from ${MISTAKE_PEOPLE} to 1000000`);
  return {
    people,
    out: resolve(values.out ?? 'undisclosed-demo'),
    console: values['no-console'] !== true,
  };
}

/** One command of the road, as a user would type it; its time is kept under the step's name. */
async function command<T>(stage: Stage, step: string, args: readonly string[]): Promise<T> {
  const shown = args.map((arg) =>
    arg.startsWith(stage.work) ? `…${arg.slice(stage.work.length)}` : arg,
  );
  stage.io.stdout(`\n$ undisclosed ${shown.join(' ')}\n`);
  const started = performance.now();
  const { status, stdout } = await stage.processes.run([MAIN, ...args, '--json'], stage.env);
  stage.seconds.push({ step, seconds: (performance.now() - started) / 1000 });
  if (status > 1) throw new Error(`"undisclosed ${args[0]} ${args[1] ?? ''}" did not work`);
  const lines = stdout.trim().split('\n');
  return JSON.parse(lines.at(-1) ?? 'null') as T;
}

const say = (stage: Stage, text: string): void => stage.io.stdout(`  ${text}\n`);

interface FarSides {
  readonly sinkPort: number;
  readonly smtpPort: number;
  readonly sendgridUrl: string;
  readonly keys: { readonly person: string; readonly program: string };
}

async function issueKey(
  stage: Stage,
  name: string,
  policy: string,
): Promise<{ key: string; caller: object }> {
  const { stdout } = await stage.processes.run(
    [MAIN, 'keys', 'issue', name, '--policy', policy, '--json'],
    stage.env,
  );
  return JSON.parse(stdout) as { key: string; caller: object };
}

async function startFarSides(stage: Stage): Promise<FarSides> {
  const { processes, work, env, settings } = stage;
  const quiet = (): void => {};
  const sink = await processes.start(
    [join(HERE, 'sink.mjs'), join(settings.out, 'delivered')],
    env,
    quiet,
  );
  const passed = await processes.start(
    [join(HERE, 'sink.mjs'), join(settings.out, 'passed')],
    env,
    quiet,
  );
  const provider = await processes.start([join(HERE, 'provider.mjs')], env, quiet);
  const person = await issueKey(stage, 'office-mail', 'person');
  const program = await issueKey(stage, 'newsletter', 'bulk');
  const config = {
    origin: 'demo.northwind.example/ledger',
    companyDomains: ['northwind.example'],
    roleAddresses: ['support@northwind.example', 'office@northwind.example'],
    anchors: [{ kind: 'file', place: join(settings.out, 'checkpoints.txt') }],
    gates: {
      smtp: { listen: '127.0.0.1:0', nextHop: `127.0.0.1:${passed.ready}`, tls: 'none' },
      sendgrid: {
        listen: '127.0.0.1:0',
        baseUrl: `http://127.0.0.1:${provider.ready}`,
        apiKeyEnv: 'DEMO_PROVIDER_KEY',
      },
      callers: [person.caller, program.caller],
    },
  };
  await writeFile(join(work, 'config.json'), JSON.stringify(config));
  const server = await processes.start([MAIN, 'serve'], env, quiet);
  const gate = (name: string): string =>
    server.lines
      .find((line) => line.startsWith(`gate ${name} `))
      ?.split(' ')
      .at(-1) ?? '';
  return {
    sinkPort: Number(sink.ready),
    smtpPort: Number(gate('smtp-relay').split(':').at(-1)),
    sendgridUrl: gate('provider-api:sendgrid'),
    keys: { person: person.key, program: program.key },
  };
}

interface Road {
  readonly broadcast: string;
  readonly manifestRoot: string;
}

async function walkTheRoad(stage: Stage, far: FarSides): Promise<Road> {
  const { settings, work } = stage;
  const csv = join(work, 'customers.csv');
  for (const name of ['alice', 'bob']) await command(stage, 'operators', ['operator', 'add', name]);
  say(stage, 'Two sample operators, each with a key of their own.');
  const imported = await command<{ added: number }>(stage, 'import', [
    'customers',
    'import',
    csv,
    '--as',
    'alice',
  ]);
  say(stage, `${count(imported.added)} customers, sealed in the database.`);
  const made = await command<{
    broadcast: string;
    count: number;
    rings: readonly { count: number }[];
  }>(stage, 'freeze', [
    'broadcast',
    'create',
    join(HERE, 'notice'),
    '--route',
    `smtp://127.0.0.1:${far.sinkPort}?tls=none`,
    '--as',
    'alice',
  ]);
  say(
    stage,
    `${count(made.count)} people frozen, in rings of ${made.rings.map((ring) => count(ring.count)).join(', ')}.`,
  );
  const id = made.broadcast;
  const prepared = await command<{ manifestRoot: string; count: number }>(stage, 'prepare', [
    'broadcast',
    'prepare',
    id,
    '--as',
    'alice',
  ]);
  say(
    stage,
    `${count(prepared.count)} messages rendered and inspected, every one, before any leaves.`,
  );
  await command(stage, 'approve', ['broadcast', 'approve', id, '--as', 'bob', '--yes']);
  say(stage, `bob approved exactly those messages: root ${prepared.manifestRoot}`);
  const before = stage.seconds.length;
  const end = await command<{
    kind: string;
    progress: { accepted: number; sendingSeconds: number; signingSeconds: number };
  }>(stage, 'release', ['broadcast', 'release', id, '--as', 'alice']);
  if (end.kind !== 'complete') throw new Error(`the release ended as ${end.kind}`);
  stage.seconds.splice(
    before,
    1,
    { step: 'sign', seconds: end.progress.signingSeconds },
    { step: 'release', seconds: end.progress.sendingSeconds },
  );
  say(
    stage,
    `${count(end.progress.accepted)} accepted, one by one; ${Math.round(end.progress.accepted / end.progress.sendingSeconds).toLocaleString('en-GB')} a second.`,
  );
  void settings;
  return { broadcast: id, manifestRoot: prepared.manifestRoot };
}

interface Reading extends DeliveredCounts {
  readonly wouldBe?: WouldBe;
}

/** The independent reading, as a process of its own that imports nothing of the sources. */
async function readIndependently(stage: Stage, mistakes: readonly string[]): Promise<Reading> {
  const started = performance.now();
  const { status, stdout } = await stage.processes.run(
    [
      join(HERE, 'read-delivered.mjs'),
      join(stage.settings.out, 'delivered'),
      join(stage.work, 'customers.csv'),
      ...mistakes,
    ],
    stage.env,
  );
  stage.seconds.push({ step: 'read', seconds: (performance.now() - started) / 1000 });
  if (status !== 0) throw new Error('the independent reading could not be made');
  return JSON.parse(stdout) as Reading;
}

/** Messages a second at the far side, in tenths of a second, from the times of its own envelopes. */
async function rateOf(stage: Stage): Promise<{ t: number; perSecond: number }[]> {
  const text = await readFile(join(stage.settings.out, 'delivered', 'envelopes.tsv'), 'utf8');
  const times = text
    .trim()
    .split('\n')
    .map((line) => Number(line.split('\t').at(-1)));
  const first = Math.min(...times.slice(0, 1));
  const bins = new Map<number, number>();
  for (const time of times) {
    const bin = Math.floor((time - first) / 100);
    bins.set(bin, (bins.get(bin) ?? 0) + 1);
  }
  const last = Math.max(...bins.keys());
  return Array.from({ length: last + 1 }, (_, bin) => ({
    t: bin / 10,
    perSecond: (bins.get(bin) ?? 0) * 10,
  }));
}

async function prove(
  stage: Stage,
  road: Road,
): Promise<{ file: string; output: string[]; note: string; command: string }> {
  const file = join(stage.settings.out, 'proof.jsonl');
  await command(stage, 'prove', [
    'broadcast',
    'prove',
    road.broadcast,
    '--out',
    file,
    '--as',
    'bob',
  ]);
  const anchor = join(stage.settings.out, 'checkpoints.txt');
  const { status, stdout } = await stage.processes.run(
    [VERIFIER, file, '--anchor', anchor],
    stage.env,
  );
  stage.io.stdout(`\n$ node verify/verify.mjs proof.jsonl --anchor checkpoints.txt\n`);
  const output = stdout.trim().split('\n');
  for (const line of output) say(stage, line);
  if (status !== 0) throw new Error('the proof does not verify');
  const notes = (await readFile(file, 'utf8'))
    .trim()
    .split('\n')
    .filter((line) => line.startsWith('{"type":"checkpoint"'));
  const note = (JSON.parse(notes.at(-1) ?? '{"note":""}') as { note: string }).note;
  return { file, output, note, command: `node verify/verify.mjs ${file} --anchor ${anchor}` };
}

function languagesOf(reading: Reading): AccountLanguage[] {
  return Object.entries(reading.languages)
    .sort(([, a], [, b]) => b - a)
    .map(([code, number]) => ({ code, name: LANGUAGE_NAMES.of(code) ?? code, count: number }));
}

async function sampleMessages(): Promise<AccountData['sampleMessages']> {
  const names = (await readdir(join(HERE, 'notice', 'messages'))).sort();
  return Promise.all(
    names.map(async (name) => {
      const messages = JSON.parse(
        await readFile(join(HERE, 'notice', 'messages', name), 'utf8'),
      ) as Record<string, string>;
      const plain = Object.values(messages).filter(
        (text) => !text.includes('{') && text.length > 80,
      );
      return {
        language: name.replace('.json', ''),
        subject: messages.subject ?? '',
        textExcerpt: plain[0] ?? '',
      };
    }),
  );
}

async function writeAccount(
  stage: Stage,
  road: Road,
  reading: Reading,
  mistakes: readonly AccountMistake[],
  proof: Awaited<ReturnType<typeof prove>>,
  seconds: number,
): Promise<string> {
  const { out } = stage.settings;
  const report = join(out, 'report.html');
  const data: AccountData = {
    company: 'Northwind Exchange (sample)',
    notice: 'New weights in the .NXBT indices',
    madeAt: new Date().toISOString().slice(0, 16).replace('T', ' '),
    people: reading.people,
    messages: reading.messages,
    languages: languagesOf(reading),
    secondsByStep: stage.seconds.filter(({ step }) => !['operators'].includes(step)),
    rate: await rateOf(stage),
    disclosures: reading.disclosures,
    wouldHaveDisclosed: reading.wouldBe?.disclosures ?? 0,
    addressesPerCall: MISTAKE_PEOPLE,
    mistakes,
    approvals: { author: 'alice', approver: 'bob' },
    manifestRoot: road.manifestRoot,
    checkpointNote: proof.note,
    verifierOutput: proof.output,
    verifierCommands: [proof.command],
    sampleMessages: await sampleMessages(),
  };
  await writeFile(report, accountPage(data));
  const result = {
    people: reading.people,
    messages: reading.messages,
    languages: Object.keys(reading.languages).length,
    seconds: Math.round(seconds * 10) / 10,
    disclosures: reading.disclosures,
    wouldHaveDisclosed: reading.wouldBe?.disclosures ?? 0,
    delivered: join(out, 'delivered'),
    report,
    proof: proof.file,
  };
  await writeFile(join(out, 'result.json'), `${JSON.stringify(result, null, 2)}\n`);
  return report;
}

async function serveReport(report: string): Promise<{ server: Server; url: string }> {
  const page = await readFile(report);
  const server = createServer((_request, response) => {
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.setHeader('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'");
    response.end(page);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` };
}

/** The mistakes, then the disclosures each would have been, as the independent reading counts them. */
async function mistakesOf(
  stage: Stage,
  far: FarSides,
  reading: (files: readonly string[]) => Promise<Reading>,
): Promise<{ mistakes: AccountMistake[]; reading: Reading }> {
  const folder = join(stage.settings.out, 'mistakes');
  await mkdir(folder, { recursive: true });
  stage.io.stdout('\nNow the mistake, in each form it is told in:\n');
  const people: string[] = [];
  for (const customer of sampleCustomers(stage.settings.people, SEED)) {
    // Plain ASCII: a mail client of today would need SMTPUTF8 for the others.
    if (/^[\x21-\x7e]+$/.test(customer.email)) people.push(customer.email);
    if (people.length === MISTAKE_PEOPLE) break;
  }
  const made = await makeMistakes({
    folder,
    smtpPort: far.smtpPort,
    sendgridUrl: far.sendgridUrl,
    keys: far.keys,
    people,
  });
  const files = (await readdir(folder)).sort().map((name) => join(folder, name));
  const counted = await reading(files);
  const disclosures = counted.wouldBe?.disclosures ?? 0;
  const mistakes = made.map((mistake) => ({ ...mistake, disclosures }));
  for (const mistake of mistakes) {
    say(stage, `${mistake.title} (${mistake.form})`);
    say(
      stage,
      `  ${mistake.verdict === 'refuse' ? 'refused' : mistake.verdict}: ${mistake.reason}`,
    );
    say(
      stage,
      `  it would have been ${count(mistake.disclosures)} disclosures; ${mistake.rightForm.title}: ${mistake.rightForm.verdict}`,
    );
    if (mistake.verdict !== 'refuse' || mistake.rightForm.verdict !== 'pass')
      throw new Error(
        `"${mistake.title}" was not refused, or its right form did not pass: ${mistake.rightForm.title}`,
      );
  }
  return { mistakes, reading: counted };
}

async function wholeDemo(stage: Stage): Promise<string> {
  const { io, settings, work, env } = stage;
  const started = performance.now();
  io.stdout(
    `Undisclosed demo: one important notice to ${count(settings.people)} sample customers in six languages.\nEverything stays on this machine. The keys are made for the demo only.\n`,
  );
  await writeCustomersCsv(join(work, 'customers.csv'), settings.people, SEED);
  await command(stage, 'start', ['init', '--domain', 'northwind.example']);
  const from = performance.now();
  const far = await startFarSides(stage);
  stage.seconds.splice(0, 1, { step: 'start', seconds: (performance.now() - from) / 1000 });
  const road = await walkTheRoad(stage, far);
  const { mistakes, reading } = await mistakesOf(stage, far, (files) =>
    readIndependently(stage, files),
  );
  say(stage, '');
  if (reading.people !== settings.people || reading.missing > 0 || reading.disclosures > 0)
    throw new Error('the independent reading does not find everybody, or finds a disclosure');
  const proof = await prove(stage, road);
  const seconds = (performance.now() - started) / 1000;
  void env;
  const report = await writeAccount(stage, road, reading, mistakes, proof, seconds);
  io.stdout(
    `\nRead independently, all ${count(reading.messages)} delivered messages: ${count(reading.people)} people, each exactly once; ${count(reading.disclosures)} of them shown to anybody else.\nThe mistake would have shown each of 1,000 people to 999 others: ${count(reading.wouldBe?.disclosures ?? 0)} disclosures in one message.\nTook ${seconds.toFixed(1)} s.\n\nAccount   ${report}\n`,
  );
  return report;
}

async function makeWorkFolder(): Promise<string> {
  const work = await mkdtemp(join(tmpdir(), 'undisclosed-demo-'));
  // The embedded database runs as another user when we are root and must be able to reach its folder.
  await chmod(work, 0o711);
  return work;
}

/** Runs the demo; used by `undisclosed demo`. */
export async function runDemo(args: readonly string[], io: CommandIo): Promise<ExitStatus> {
  const settings = readSettings(args);
  if (settings === 'help') {
    io.stdout(HELP);
    return 0;
  }
  await rm(settings.out, { recursive: true, force: true });
  await mkdir(settings.out, { recursive: true });
  const work = await makeWorkFolder();
  const processes = new Processes();
  const stage: Stage = {
    io,
    settings,
    processes,
    work,
    env: {
      UNDISCLOSED_DATA: join(work, 'data'),
      UNDISCLOSED_KEYRING: join(work, 'keyring.json'),
      UNDISCLOSED_OPERATORS: join(work, 'operators'),
      UNDISCLOSED_CONFIG: join(work, 'config.json'),
      UNDISCLOSED_SOCKET: join(work, 'api.sock'),
      DEMO_PROVIDER_KEY: 'held-by-the-guard-alone',
    },
    seconds: [],
  };
  await writeFile(join(work, 'config.json'), '{}');
  const interrupted = new Promise<'interrupted'>((done) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
      process.once(signal, () => done('interrupted'));
  });
  const clean = async (): Promise<void> => {
    await processes.stopAll();
    await rm(work, { recursive: true, force: true });
  };
  const demo = wholeDemo(stage).catch((error: unknown) => error as Error);
  const report = await Promise.race([demo, interrupted]);
  if (typeof report !== 'string' || report === 'interrupted') {
    if (report === 'interrupted') io.stderr('\nStopped; cleaning up.\n');
    else io.stderr(`undisclosed: the demo did not work: ${report.message}\n`);
    await clean();
    await rm(settings.out, { recursive: true, force: true });
    return report === 'interrupted' ? 130 : 2;
  }
  await clean();
  return showReport(stage, report, interrupted);
}

async function showReport(
  stage: Stage,
  report: string,
  interrupted: Promise<unknown>,
): Promise<ExitStatus> {
  const { io, settings } = stage;
  const { server, url } = await serveReport(report);
  io.stdout(
    `          ${url}${settings.console ? '  (until Ctrl-C)' : ''}\n${join(settings.out, 'result.json')}\n`,
  );
  if (settings.console) await interrupted;
  server.closeAllConnections();
  server.close();
  return 0;
}
