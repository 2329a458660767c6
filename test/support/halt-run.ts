/** A release through a link with a constant delay, halted in its middle: what arrives after the halt has returned. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { seeded } from '../../demo/sample-customers.ts';
import { startControl, startDelayProxy } from './delay-proxy.ts';
import { Installation } from './serve-process.ts';
import { keptCounts, type SinkEvent, startSink } from './sink-process.ts';

export interface HaltOptions {
  readonly people: number;
  /** Halts of the one release, each followed by two people's resume. */
  readonly halts: number;
  readonly connections: number;
  readonly delayMs: number;
  readonly seed: number;
  readonly log: (line: string) => void;
}

export interface HaltMeasure {
  /** From the request to its answer, as the operator waits. */
  readonly returnedMs: number;
  /** What this machine's scheduling added to the delay at the same time: the worst of an idle connection. */
  readonly slackMs: number;
  /** Pieces of content in the 300 ms before the return: the counting finds what there is. */
  readonly before: number;
  /** Pieces of content that reached the far side later than return + delay + slack. */
  readonly late: number;
  /** The last content after the return, in ms; negative when none came after it. */
  readonly lastContentMs: number;
  /** Messages settled after the return: at most one for each connection. */
  readonly inFlight: number;
  readonly inFlightPerConnectionMax: number;
}

const nowUs = (): number => Number(process.hrtime.bigint() / 1000n);

function measure(
  events: readonly SinkEvent[],
  askedUs: number,
  returnedUs: number,
  delayMs: number,
): HaltMeasure {
  const until = returnedUs + 700_000;
  const around = events.filter(({ us }) => us > askedUs - 200_000 && us < until);
  const slackUs = around
    .filter(({ event }) => event === 'noop')
    .reduce((worst, { us, bytes }) => Math.max(worst, us - bytes - delayMs * 1000), 0);
  const content = events.filter(({ event, us }) => event === 'content' && us < until);
  const limit = returnedUs + delayMs * 1000 + slackUs;
  const perConnection = new Map<number, number>();
  let inFlight = 0;
  for (const { event, us, connection } of around) {
    if (!event.startsWith('kept') || us < returnedUs) continue;
    inFlight++;
    perConnection.set(connection, (perConnection.get(connection) ?? 0) + 1);
  }
  return {
    returnedMs: Math.round((returnedUs - askedUs) / 100) / 10,
    slackMs: Math.round(slackUs / 100) / 10,
    before: content.filter(({ us }) => us < returnedUs && us > returnedUs - 300_000).length,
    late: content.filter(({ us }) => us > limit).length,
    lastContentMs: Math.round(((content.at(-1)?.us ?? 0) - returnedUs) / 100) / 10,
    inFlight,
    inFlightPerConnectionMax: Math.max(0, ...perConnection.values()),
  };
}

async function resumeByTwo(at: Installation, halt: string): Promise<void> {
  const first = await at.api<{ kind: string }>('bob', 'POST', '/v1/resume', { halt });
  assert.equal(first.kind, 'waits-for-second');
  const same = await at.api<{ kind: string }>('bob', 'POST', '/v1/resume', { halt });
  assert.equal(same.kind, 'waits-for-second', 'one person twice is one person');
  const second = await at.api<{ kind: string }>('carol', 'POST', '/v1/resume', { halt });
  assert.equal(second.kind, 'lifted');
}

export interface HaltResult {
  readonly people: number;
  readonly connections: number;
  readonly delayMs: number;
  readonly measures: readonly HaltMeasure[];
}

/** Runs it, asserts every promise, and returns what was measured. */
export async function haltRun(options: HaltOptions): Promise<HaltResult> {
  const { people, halts, connections, delayMs, seed, log } = options;
  const at = await Installation.make({ people, seed });
  const sink = await startSink(join(at.folder, 'sink.tsv'), { delayMs: 10, trace: true });
  const link = await startDelayProxy(sink.port, delayMs);
  const control = await startControl(link.port, 5);
  const measures: HaltMeasure[] = [];
  const random = seeded(seed);
  try {
    const id = await at.approved(
      `smtp://127.0.0.1:${link.port}?tls=none&connections=${connections}`,
      ['--retry-seconds', '1'],
    );
    void at.release(id);
    for (let n = 1; n <= halts; n++) {
      const target = Math.floor((people * n) / (halts + 1.5));
      assert.ok(await sink.reaches(target, 60_000), at.serving.lines.slice(-3).join('; '));
      await sleep(random() * 150);
      const askedUs = nowUs();
      const { halt, recorded } = await at.api<{ halt: string; recorded: boolean }>(
        'alice',
        'POST',
        '/v1/halt',
        { scope: n % 2 === 0 ? 'broadcast' : 'bulk', broadcast: id, reason: 'a test' },
      );
      const returnedUs = nowUs();
      assert.equal(recorded, true);
      await sleep(750);
      const found = measure(await sink.events(), askedUs, returnedUs, delayMs);
      measures.push(found);
      log(JSON.stringify(found));
      assert.equal((await at.status(id)).halted, true);
      if (n === 1) await restartHalted(at, id, sink.taken);
      await resumeByTwo(at, halt);
    }
    const { account } = await at.until(id, 'complete', ({ state }) => state === 'complete', 90_000);
    assert.equal(account.addsUp, true);
    assert.deepEqual(account.states, { accepted: people });
    const counts = [...keptCounts(await sink.events()).values()];
    assert.equal(counts.length, people, 'everybody, each once');
    assert.ok(counts.every((count) => count === 1));
    for (const found of measures) {
      assert.ok(found.before > 0, 'content was arriving when the halt was asked for');
      assert.equal(found.late, 0, 'no content arrives after return and delay');
      assert.ok(found.inFlightPerConnectionMax <= 1);
      assert.ok(found.returnedMs < 250, `the halt returned after ${found.returnedMs} ms`);
    }
    return { people, connections, delayMs, measures };
  } finally {
    await control.stop();
    await link.close();
    await sink.stop();
    await at.close();
  }
}

/** A halt outlives the server: after the next start nothing leaves. */
async function restartHalted(at: Installation, id: string, taken: () => number): Promise<void> {
  await at.until(id, 'settled', ({ release }) => release === null, 10_000);
  await at.stop();
  await at.serve();
  const before = taken();
  await sleep(1500);
  assert.equal((await at.status(id)).halted, true, 'no restart lifts a halt');
  assert.equal(taken(), before, 'nothing leaves after a restart while a halt stands');
  const { status, stderr } = await at.release(id);
  assert.equal(status, 2);
  assert.match(stderr, /halt\.stands/);
}
