/** Killed in the middle of a release: the next start goes on, and the account says what it cannot know. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crashRun } from '../support/crash-run.ts';

/** The far side is slow, so that there is a middle to be hit. */
const USUAL = { connections: 10, sink: { delayMs: 8 }, postgresToo: [] } as const;
const SEED = Number(process.env.CRASH_SEED ?? 20_191_101);

test('kill -9 of the process group at three random moments of a release: nobody is lost, no copy is unlisted', async (t) => {
  const result = await crashRun({
    ...USUAL,
    people: 2000,
    kills: 3,
    seed: SEED,
    log: (line) => t.diagnostic(line),
  });
  assert.equal(result.keptAtKill.length, 3);
});

test('the same with PostgreSQL killed too', async (t) => {
  const result = await crashRun({
    ...USUAL,
    // To end PostgreSQL's processes takes a while on a busy machine.
    sink: { delayMs: 40 },
    people: 800,
    kills: 1,
    seed: SEED + 1,
    postgresToo: [1],
    log: (line) => t.diagnostic(line),
  });
  assert.equal(result.keptAtKill.length, 1);
});

test('the machine lost, and with it what the intent log had not on disk: what the permit covered is uncertain, nobody else', async (t) => {
  const result = await crashRun({
    ...USUAL,
    people: 1500,
    kills: 1,
    seed: SEED + 2,
    machineLost: true,
    log: (line) => t.diagnostic(line),
  });
  assert.ok(result.copies > 0, 'some had been accepted without our knowing');
});
