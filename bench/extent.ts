/**
 * How long `undisclosed extent` takes over 1,000 leaked messages of 1,000 recipients, and how much memory: the launcher in a
 * process of its own, as a user starts it. The median of five runs; the answer is checked against what was generated.
 *
 *     node bench/extent.ts [--runs N]
 *
 * separate: every list has people of its own. Otherwise each list is drawn at random from so many people, so that nearly
 * everybody was shown to nearly everybody: as one mailbox, or as a file for each message.
 */

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { log, report } from './run.ts';

const LAUNCHER = path.join(import.meta.dirname, '../undisclosed');
const MESSAGES = 1_000;
const RECIPIENTS = 1_000;
const WANTED = { seconds: 2, mb: 256 };

interface Shape {
  readonly name: string;
  /** Null: nobody is in two lists. */
  readonly people: number | null;
  readonly files: boolean;
}

const SHAPES: readonly Shape[] = [
  { name: 'separate', people: null, files: false },
  { name: 'random23000', people: 23_000, files: false },
  { name: 'random100000', people: 100_000, files: false },
  { name: 'random100000Files', people: 100_000, files: true },
];

/** Park and Miller's generator: the same lists in every run. */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
}

/** The people of each message, each once in it. */
function listsOf(people: number | null): readonly (readonly number[])[] {
  const random = randomOf(20_191_101);
  return Array.from({ length: MESSAGES }, (_, message) => {
    if (people === null) {
      return Array.from({ length: RECIPIENTS }, (__, each) => message * RECIPIENTS + each);
    }
    const list = new Set<number>();
    while (list.size < RECIPIENTS) list.add(random(people));
    return [...list];
  });
}

function messageOf(list: readonly number[]): string {
  const to = list.map((person) => `customer.${person}@mail${person % 97}.example`).join(',\r\n ');
  return `From: Company <notices@company.example>\r\nTo: ${to}\r\nSubject: Our indices\r\nDate: Fri, 1 Nov 2019 06:04:00 +0000\r\n\r\nPlease read this notice.\r\n`;
}

/** Writes the messages; gives the arguments that name them. */
function write(folder: string, { files }: Shape, lists: readonly (readonly number[])[]): string[] {
  if (files) {
    return lists.map((list, index) => {
      const file = path.join(folder, `${index}.eml`);
      writeFileSync(file, messageOf(list));
      return file;
    });
  }
  const mailbox = path.join(folder, 'leaked.mbox');
  const separator = 'From notices@company.example Fri Nov  1 06:04:00 2019\r\n';
  writeFileSync(mailbox, lists.map((list) => `${separator}${messageOf(list)}\r\n`).join(''));
  return [mailbox];
}

/** Pairs one list after another, in a bitmap for each person: another way to count than the command's. */
function pairsIn(lists: readonly (readonly number[])[]): number {
  const messagesOf = new Map<number, number[]>();
  for (const [message, list] of lists.entries()) {
    for (const person of list) {
      const own = messagesOf.get(person);
      if (own === undefined) messagesOf.set(person, [message]);
      else own.push(message);
    }
  }
  let pairs = 0;
  const seenBy = new Int32Array(MESSAGES * RECIPIENTS).fill(-1);
  for (const [person, own] of messagesOf) {
    for (const message of own) {
      for (const other of lists[message] ?? []) {
        if (other === person || seenBy[other] === person) continue;
        seenBy[other] = person;
        pairs++;
      }
    }
  }
  return pairs;
}

interface Run {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly mb: number;
}

/** The process tells its own peak (VmHWM) and CPU time when it ends. */
const AT_EXIT = `data:text/javascript,${encodeURIComponent(`
  import { readFileSync, writeFileSync } from 'node:fs';
  import { isMainThread } from 'node:worker_threads';
  if (isMainThread) process.on('exit', () => {
    const { user, system } = process.cpuUsage();
    const kb = Number(/VmHWM:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]);
    writeFileSync(process.env.EXTENT_USAGE, JSON.stringify({ cpuSeconds: (user + system) / 1e6, mb: kb / 1024 }));
  });
`)}`;

function runOnce(folder: string, files: readonly string[], pairs: number): Run {
  const usage = path.join(folder, 'usage.json');
  const env = { ...process.env, NODE_OPTIONS: `--import=${AT_EXIT}`, EXTENT_USAGE: usage };
  const started = performance.now();
  const { stdout, stderr } = spawnSync(LAUNCHER, ['extent', '--json', ...files], {
    env,
    encoding: 'utf8',
  });
  const seconds = (performance.now() - started) / 1000;
  if (JSON.parse(stdout || '{}').pairs !== pairs) {
    throw new Error(`extent says ${stdout}${stderr}, and not ${pairs} pairs`);
  }
  return { seconds, ...JSON.parse(readFileSync(usage, 'utf8')) };
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((one, other) => one - other)[numbers.length >> 1] ?? 0;
}

const { values } = parseArgs({
  // `npm run proof -- --people N` is given to every benchmark; the lists here have their own size.
  options: { runs: { type: 'string', default: '5' }, people: { type: 'string' } },
});
const root = mkdtempSync(path.join(tmpdir(), 'bench-extent-'));
try {
  const figures: Record<string, unknown> = { wantedSeconds: WANTED.seconds, wantedMb: WANTED.mb };
  for (const shape of SHAPES) {
    const folder = path.join(root, shape.name);
    mkdirSync(folder);
    const lists = listsOf(shape.people);
    const files = write(folder, shape, lists);
    const pairs = pairsIn(lists);
    log(`${shape.name}: ${pairs.toLocaleString('en-US')} pairs`);
    // The first fills the caches of the file system and of the compiler.
    const runs = Array.from({ length: Number(values.runs) + 1 }, () =>
      runOnce(folder, files, pairs),
    );
    const kept = runs.slice(1);
    figures[`${shape.name}Seconds`] = median(kept.map(({ seconds }) => seconds));
    figures[`${shape.name}CpuSeconds`] = median(kept.map(({ cpuSeconds }) => cpuSeconds));
    figures[`${shape.name}Mb`] = Math.round(Math.max(...kept.map(({ mb }) => mb)));
    rmSync(folder, { recursive: true });
  }
  report('extent', figures);
} finally {
  rmSync(root, { recursive: true, force: true });
}
