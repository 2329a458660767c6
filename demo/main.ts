/**
 * The demo: the whole road on sample customers, by the commands that a user would type, then the mistake in each form it is told in.
 * It brings its own server and far sides, ends all of them, and leaves one folder with what happened.
 */

import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { Fault } from '../src/base/errors.ts';
import type { CommandIo, ExitStatus } from '../src/cli/command.ts';
import { openDatabase } from '../src/store/database.ts';
import { removeApart } from '../src/store/embedded.ts';
import {
  type DemoResult,
  prove,
  type Reading,
  readIndependently,
  serveReport,
  writeAccount,
} from './account.ts';
import { sayConsole, signIns, startSlowBroadcast } from './console.ts';
import { makeMistakes } from './mistakes.ts';
import type { AccountMistake } from './page.ts';
import { count } from './plots.ts';
import { Processes } from './processes.ts';
import { type FarSides, startFarSides, walkTheRoad } from './road.ts';
import { type SampleCustomer, sampleCustomers, writeCustomersCsv } from './sample-customers.ts';
import { command, MISTAKE_PEOPLE, type Settings, type Stage, say } from './stage.ts';
import { makeUsualMail } from './usual-mail.ts';

const HELP = `Usage: undisclosed demo [--people N] [--out DIR] [--no-console]

The whole road on sample customers: import, freeze, prepare, approval by a second person, signing,
release to a local far side, proof. Then the mistake in each form it is told in, which does not
leave, and what the guard passes, splits and holds. At its end the console is running on a 127.0.0.1
address, with two sample sign-ins. Needs nothing but this checkout; sends nothing beyond 127.0.0.1.

  --people N     how many sample customers (default 22000)
  --out DIR      the folder for what happened (default undisclosed-demo; an earlier demo's is replaced)
  --no-console   ends at once; otherwise console and account stay on 127.0.0.1 until Ctrl-C
  --json         one JSON document (result.json) and nothing else; ends at once
  --help         this text
`;

const SEED = 20191101;
const USUAL_PEOPLE = 400;

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
    console: values['no-console'] !== true && values.json !== true,
    json: values.json === true,
  };
}

/** The first of them with an address in plain ASCII: a mail client of today would need SMTPUTF8 for the others. */
function plainCustomers({ settings }: Stage, howMany: number): SampleCustomer[] {
  const found: SampleCustomer[] = [];
  for (const customer of sampleCustomers(settings.people, SEED)) {
    if (/^[\x21-\x7e]+$/.test(customer.email)) found.push(customer);
    if (found.length === howMany) break;
  }
  return found;
}

/** The mistakes, then the disclosures each would have been, as the independent reading counts them. */
async function mistakesOf(
  stage: Stage,
  far: FarSides,
  reading: (files: readonly string[]) => Promise<Reading>,
): Promise<{ mistakes: AccountMistake[]; reading: Reading }> {
  const folder = join(stage.settings.out, 'mistakes');
  await mkdir(folder, { recursive: true });
  stage.io.stdout('\n');
  say(
    stage,
    `Now the mistake, in each form it is told in. Each would have gone to ${count(MISTAKE_PEOPLE)} customers and shown them to each other.`,
    '',
  );
  const people = plainCustomers(stage, MISTAKE_PEOPLE).map(({ email }) => email);
  const started = performance.now();
  const made = await makeMistakes({
    folder,
    smtpPort: far.smtpPort,
    sendgridUrl: far.sendgridUrl,
    keys: far.keys,
    people,
  });
  stage.seconds.push({ step: 'mistakes', seconds: (performance.now() - started) / 1000 });
  const files = (await readdir(folder)).sort().map((name) => join(folder, name));
  const counted = await reading(files);
  const disclosures = counted.wouldBe?.disclosures ?? 0;
  const mistakes = made.map((mistake) => ({ ...mistake, disclosures }));
  for (const mistake of mistakes) {
    const { title, form, verdict, reason, rightForm } = mistake;
    stage.io.stdout(`\n  ${title}\n`);
    say(stage, `${form.charAt(0).toUpperCase()}${form.slice(1)}.`, '    ');
    say(stage, `${verdict === 'refuse' ? 'REFUSED' : verdict}: ${reason}`, '    ');
    say(stage, `It would have been ${count(mistake.disclosures)} disclosures.`, '    ');
    say(stage, `Done right (${rightForm.title}): ${rightForm.verdict}.`, '    ');
    if (mistake.verdict !== 'refuse' || mistake.rightForm.verdict !== 'pass')
      throw new Error(
        `"${mistake.title}" was not refused, or its right form did not pass: ${mistake.rightForm.title}`,
      );
  }
  return { mistakes, reading: counted };
}

/** What is no mistake in the header: passed, sent as copies, or held for people. */
async function usualMail(stage: Stage, far: FarSides): Promise<void> {
  stage.io.stdout('\n');
  say(stage, 'And a usual day at the same gates:', '');
  const customers = plainCustomers(stage, USUAL_PEOPLE);
  const started = performance.now();
  const words = {
    pass: 'passed',
    split: 'sent as private copies',
    hold: 'HELD',
    refuse: 'REFUSED',
    defer: 'put off',
  };
  for (const { title, verdict, wanted } of await makeUsualMail(far, customers)) {
    say(stage, `${title}: ${words[verdict]}.`, '    ');
    if (verdict !== wanted) throw new Error(`"${title}" was ${words[verdict]}`);
  }
  stage.seconds.push({ step: 'usual', seconds: (performance.now() - started) / 1000 });
  const held = await command<readonly unknown[]>(stage, 'usual', ['hold', 'list', '--as', 'bob']);
  say(stage, `${count(held.length)} calls wait: two people release one, one person refuses it.`);
}

async function wholeDemo(stage: Stage): Promise<DemoResult> {
  const { settings, work } = stage;
  const started = performance.now();
  say(
    stage,
    `Undisclosed demo: one important notice to ${count(settings.people)} sample customers in six languages, by the commands that you would type. Everything stays on this machine; its keys are for this demo only and are deleted at the end.`,
    '',
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
  if (reading.people !== settings.people || reading.missing > 0 || reading.disclosures > 0)
    throw new Error('the independent reading does not find everybody, or finds a disclosure');
  await usualMail(stage, far);
  const proof = await prove(stage, road);
  const seconds = (performance.now() - started) / 1000;
  const result = await writeAccount(stage, road, reading, mistakes, proof, seconds);
  sayWhatHappened(stage, result);
  return result;
}

function sayWhatHappened(stage: Stage, result: DemoResult): void {
  const { people, messages, languages, disclosures, wouldHaveDisclosed, seconds } = result;
  const rows: readonly (readonly [string, string])[] = [
    [count(people), `people reached with ${count(messages)} messages in ${languages} languages`],
    [count(disclosures), 'disclosures: nobody can read of anybody else'],
    [count(wouldHaveDisclosed), 'disclosures in each mistaken message, had it left'],
    [seconds.toFixed(1), 'seconds'],
  ];
  stage.io.stdout('\n');
  say(
    stage,
    'What happened, counted by a program that shares no code with the sender and has read every delivered message:',
    '',
  );
  for (const [number, text] of rows) stage.io.stdout(`${number.padStart(9)}  ${text}\n`);
  stage.io.stdout(`\nAccount  ${result.report}\n`);
}

const MARK = '.undisclosed-demo';

/** Makes the folder anew. One that holds anything but an earlier demo's account is left as it is. */
async function clearOut(out: string): Promise<void> {
  const names = await readdir(out).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  if (names.length > 0 && !names.includes(MARK))
    throw new Fault('demo.not-ours', 'the folder is not empty and not of an earlier demo', {
      where: out,
      remedy: 'name another one with --out',
    });
  await rm(out, { recursive: true, force: true });
  await mkdir(out, { recursive: true });
  await writeFile(join(out, MARK), 'Made by `undisclosed demo`, which replaces this folder.\n');
}

async function makeWorkFolder(): Promise<string> {
  const work = await mkdtemp(join(tmpdir(), 'undisclosed-demo-'));
  // The embedded database runs as another user when we are root and must be able to reach its folder.
  await chmod(work, 0o711);
  return work;
}

interface OwnDatabase {
  readonly env: Record<string, string>;
  drop(): Promise<void>;
}

/** On a server of the user's the demo makes a database of its own and drops it, so that it can run again. */
async function ownDatabase(url: string | undefined): Promise<OwnDatabase> {
  if (url === undefined) return { env: {}, drop: async () => {} };
  const name = `undisclosed_demo_${process.pid}_${Date.now().toString(36)}`;
  const server = await openDatabase({ url });
  await server.query(`CREATE DATABASE ${name}`).finally(() => server.close());
  const own = new URL(url);
  own.pathname = `/${name}`;
  return {
    env: { DATABASE_URL: own.href },
    drop: async () => {
      const again = await openDatabase({ url });
      await again.query(`DROP DATABASE ${name} WITH (FORCE)`).finally(() => again.close());
    },
  };
}

/** Runs the demo; used by `undisclosed demo`. */
export async function runDemo(args: readonly string[], io: CommandIo): Promise<ExitStatus> {
  const settings = readSettings(args);
  if (settings === 'help') {
    io.stdout(HELP);
    return 0;
  }
  await clearOut(settings.out);
  const work = await makeWorkFolder();
  const processes = new Processes();
  const database = await ownDatabase(io.env.DATABASE_URL);
  const stage: Stage = {
    io: settings.json ? { ...io, stdout: () => {} } : io,
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
      ...database.env,
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
    await database.drop();
    // Root's database may stand apart from its data directory.
    await removeApart(join(work, 'data', 'postgres'));
    await rm(work, { recursive: true, force: true });
  };
  const demo = wholeDemo(stage).catch((error: unknown) => error as Error);
  const end = await Promise.race([demo, interrupted]);
  if (end === 'interrupted' || end instanceof Error) {
    if (end === 'interrupted') io.stderr('\nStopped; cleaning up.\n');
    else io.stderr(`undisclosed: the demo did not work: ${end.message}\n`);
    await clean();
    await rm(settings.out, { recursive: true, force: true });
    return end === 'interrupted' ? 130 : 2;
  }
  if (settings.console) await staysOpen(stage, end.report, interrupted);
  await clean();
  if (settings.json) io.stdout(`${JSON.stringify(end)}\n`);
  else if (!settings.console) io.stdout(`Figures  ${join(settings.out, 'result.json')}\n`);
  return 0;
}

/** Account and console on their addresses, until somebody ends it. */
async function staysOpen(
  stage: Stage,
  report: string,
  interrupted: Promise<unknown>,
): Promise<void> {
  const { io, settings } = stage;
  const { server, url } = await serveReport(report);
  io.stdout(`         ${url}\nFigures  ${join(settings.out, 'result.json')}\n`);
  const opened = (async () => {
    const people = await startSlowBroadcast(stage);
    sayConsole(stage, await signIns(stage), people);
  })().catch((error: Error) => {
    if (!stage.processes.ending) io.stderr(`undisclosed: no console: ${error.message}\n`);
  });
  await Promise.race([opened.then(() => interrupted), interrupted]);
  server.closeAllConnections();
  server.close();
}
