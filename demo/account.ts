/** What happened, counted by the independent reading: the proof, the page and result.json. */

import { readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type AccountData,
  type AccountLanguage,
  type AccountMistake,
  accountPage,
} from './page.ts';
import type { DeliveredCounts, WouldBe } from './read-delivered.d.mts';
import type { Road } from './road.ts';
import { command, HERE, MISTAKE_PEOPLE, type Stage, say, showCommand } from './stage.ts';

const LANGUAGE_NAMES = new Intl.DisplayNames('en', { type: 'language' });
const VERIFIER = fileURLToPath(new URL('../verify/verify.mjs', import.meta.url));

export interface Reading extends DeliveredCounts {
  readonly wouldBe?: WouldBe;
}

/** What `result.json` holds. */
export interface DemoResult {
  readonly people: number;
  readonly messages: number;
  readonly languages: number;
  readonly seconds: number;
  readonly disclosures: number;
  /** Of one mistaken message: distinct ordered pairs (person shown, other reader). */
  readonly wouldHaveDisclosed: number;
  readonly delivered: string;
  readonly report: string;
  readonly proof: string;
}

/** The independent reading, as a process of its own that imports nothing of the sources. */
export async function readIndependently(
  stage: Stage,
  mistakes: readonly string[],
): Promise<Reading> {
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

export async function prove(
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
  showCommand(stage, ['node', 'verify/verify.mjs', file, '--anchor', anchor]);
  const output = stdout.trim().split('\n');
  for (const line of output) say(stage, line.trimStart(), line.startsWith(' ') ? '    ' : '  ');
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

/** One for each language, the most read first. */
async function sampleMessages(reading: Reading): Promise<AccountData['sampleMessages']> {
  const read = languagesOf(reading).map(({ code }) => `${code}.json`);
  const there = new Set(await readdir(join(HERE, 'notice', 'messages')));
  const names = read.filter((name) => there.has(name));
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

/** What each step of the demo is called on the page. */
const STEP_NAMES: Readonly<Record<string, string>> = {
  start: 'Start the server',
  operators: 'Enrol two operators',
  import: 'Import the customers',
  freeze: 'Freeze the audience',
  prepare: 'Prepare and inspect',
  approve: 'Approve',
  sign: 'Sign (DKIM)',
  release: 'Send',
  mistakes: 'Make the mistakes',
  usual: 'A usual day at the gates',
  read: 'Read what arrived',
  prove: 'Write the proof',
};

function secondsByStep(stage: Stage): AccountData['secondsByStep'] {
  const sums = new Map<string, number>();
  for (const { step, seconds } of stage.seconds) sums.set(step, (sums.get(step) ?? 0) + seconds);
  return [...sums].map(([step, seconds]) => ({ step: STEP_NAMES[step] ?? step, seconds }));
}

export async function writeAccount(
  stage: Stage,
  road: Road,
  reading: Reading,
  mistakes: readonly AccountMistake[],
  proof: Awaited<ReturnType<typeof prove>>,
  seconds: number,
): Promise<DemoResult> {
  const { out } = stage.settings;
  const report = join(out, 'report.html');
  const data: AccountData = {
    company: 'Northwind Exchange (sample)',
    notice: 'New weights in the .NXBT indices',
    madeAt: `${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC`,
    people: reading.people,
    messages: reading.messages,
    languages: languagesOf(reading),
    seconds,
    secondsByStep: secondsByStep(stage),
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
    sampleMessages: await sampleMessages(reading),
  };
  await writeFile(report, accountPage(data));
  const result: DemoResult = {
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
  return result;
}

export async function serveReport(report: string): Promise<{ server: Server; url: string }> {
  const page = await readFile(report);
  const server = createServer((_request, response) => {
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.setHeader('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'");
    response.end(page);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` };
}
