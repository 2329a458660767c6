/** A release that is killed again and again, and what must hold afterwards: nobody lost, no copy that is not listed. */

import assert from 'node:assert/strict';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { seeded } from '../../demo/sample-customers.ts';
import { Installation, postgresFamily, postgresPid } from './serve-process.ts';
import { keptCounts, type Sink, type SinkSettings, startSink } from './sink-process.ts';

export interface CrashOptions {
  readonly people: number;
  readonly kills: number;
  readonly seed: number;
  readonly connections: number;
  /** Slows the far side, so that there is a middle to be hit. */
  readonly sink: SinkSettings;
  /** Kill PostgreSQL with each of these kills too; counted from 1. */
  readonly postgresToo: readonly number[];
  /** As if the machine had been lost: the intent logs are cut to their first line, of another start of the system. */
  readonly machineLost?: boolean;
  readonly log: (line: string) => void;
}

export interface CrashResult {
  readonly people: number;
  readonly kills: number;
  readonly seed: number;
  readonly connections: number;
  /** Messages that the far side kept, per kill and at the end. */
  readonly keptAtKill: readonly number[];
  readonly kept: number;
  readonly lost: number;
  /** Copies beyond the first. */
  readonly copies: number;
  readonly copiesUnlisted: number;
  readonly uncertain: number;
  /** Uncertain rows after each kill; the bound is the number of connections. */
  readonly uncertainPerKill: readonly number[];
  readonly notIntended: number;
  readonly seconds: number;
}

/** What a permit covers at the rates of these tests: about 250 ms of work, at least 256 rows. */
const COVERED_ROWS = 600;

async function killAll(at: Installation, postgresToo: boolean): Promise<void> {
  if (postgresToo) {
    const pid = await postgresPid(at.dataDir);
    assert.ok(pid !== null, 'the embedded server was running');
    await at.closeDb();
    for (const member of await postgresFamily(pid)) process.kill(member, 'SIGKILL');
  }
  await at.kill();
}

/** Moments by how many messages the far side has kept: sorted, apart, none of them after the end. */
function moments(options: CrashOptions, random: () => number): number[] {
  const { kills, people } = options;
  return Array.from({ length: kills }, (_, i) =>
    Math.floor(((i + 0.05 + 0.9 * random()) / kills) * people * 0.97),
  );
}

async function killsAndResumes(
  at: Installation,
  sink: Sink,
  id: string,
  options: CrashOptions,
): Promise<{ keptAtKill: number[]; uncertainPerKill: number[] }> {
  const random = seeded(options.seed);
  const keptAtKill: number[] = [];
  const uncertainPerKill: number[] = [];
  let released = at.release(id);
  for (const [index, target] of moments(options, random).entries()) {
    assert.ok(
      await sink.reaches(target, 120_000),
      `the release reaches ${target}: ${at.serving.lines.slice(-5).join('; ')}`,
    );
    await sleep(random() * 40);
    await killAll(at, options.postgresToo.includes(index + 1));
    await released;
    assert.ok(sink.taken() < options.people, 'the kill came after the end: a slower far side');
    if (options.machineLost === true) await loseLogs(at, id);
    keptAtKill.push(sink.taken());
    const { lines } = await at.serve();
    const goesOn = await waitForLine(lines, /goes on: /);
    uncertainPerKill.push(Number(/(\d+) uncertain/.exec(goesOn)?.[1] ?? Number.NaN));
    options.log(`kill ${index + 1} after ${keptAtKill.at(-1)} kept; ${goesOn}`);
    released = Promise.resolve({ status: 0, stdout: '', stderr: '' });
  }
  return { keptAtKill, uncertainPerKill };
}

/** What the disk may hold of the logs after a loss of power, at worst. */
async function loseLogs(at: Installation, id: string): Promise<void> {
  const folder = join(at.dataDir, 'intent', id);
  for (const name of await readdir(folder))
    await writeFile(join(folder, name), 'undisclosed-intent 1 another-start-of-the-system\n');
}

async function waitForLine(lines: readonly string[], pattern: RegExp): Promise<string> {
  const end = performance.now() + 30_000;
  while (performance.now() < end) {
    const found = lines.find((line) => pattern.test(line));
    if (found !== undefined) return found;
    await sleep(20);
  }
  throw new Error(`serve did not say ${pattern}: ${lines.join('; ')}`);
}

/** Runs it, asserts every promise, and returns the counts. */
export async function crashRun(options: CrashOptions): Promise<CrashResult> {
  const { people, seed, connections, kills, log } = options;
  const started = performance.now();
  const at = await Installation.make({ people, seed });
  const sink = await startSink(join(at.folder, 'sink.tsv'), options.sink);
  try {
    const route = `smtp://127.0.0.1:${sink.port}?tls=none&connections=${connections}`;
    const id = await at.approved(route, ['--uncertain', 'resend', '--retry-seconds', '1']);
    const { keptAtKill, uncertainPerKill } = await killsAndResumes(at, sink, id, options);
    const last = await at.until(id, 'complete', ({ state }) => state === 'complete', 180_000);
    const counts = keptCounts(await sink.events());
    const positions = await at.positions(id);
    const outcomes = await at.outcomes(id);
    const intended = await at.intended(id);
    const uncertain = new Set(
      outcomes.filter(({ state }) => state === 'uncertain').map(({ position }) => position),
    );
    let lost = 0;
    let copies = 0;
    let copiesUnlisted = 0;
    let notIntended = 0;
    for (const [address, position] of positions) {
      const kept = counts.get(address) ?? 0;
      if (kept === 0) lost++;
      copies += Math.max(0, kept - 1);
      if (kept > 1 && !uncertain.has(position)) copiesUnlisted++;
      if (kept > (intended.get(position)?.size ?? 0)) notIntended++;
      counts.delete(address);
    }
    const kept = [...(await sink.events())].filter(({ event }) => event.startsWith('kept')).length;
    const result: CrashResult = {
      ...{ people, kills, seed, connections, keptAtKill, kept, lost, copies, copiesUnlisted },
      ...{ uncertain: uncertain.size, uncertainPerKill, notIntended },
      seconds: Math.round((performance.now() - started) / 100) / 10,
    };
    log(JSON.stringify(result));
    assert.equal(positions.size, people);
    assert.equal(counts.size, 0, 'nobody else was written to');
    assert.equal(lost, 0, 'nobody is lost');
    assert.equal(copiesUnlisted, 0, 'every copy beyond the first is listed as uncertain');
    if (options.machineLost !== true) {
      assert.equal(notIntended, 0, 'what was kept is contained in the intent log');
      assert.ok(copies <= kills * connections, 'at most one copy for each connection per kill');
    }
    const bound = options.machineLost === true ? COVERED_ROWS + connections : connections;
    for (const many of uncertainPerKill) assert.ok(many <= bound, `${many} uncertain`);
    assert.equal(last.account.addsUp, true);
    assert.deepEqual(last.account.states, { accepted: people });
    const { status, output } = await at.verify(id);
    assert.equal(status, 0, output);
    return result;
  } finally {
    await sink.stop();
    await at.close();
  }
}
