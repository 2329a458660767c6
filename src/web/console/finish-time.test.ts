/** A finish time is said where it is known, and not guessed. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bucketWidth } from './facts.ts';
import { finishTime, type SettledSoFar } from './finish-time.ts';

const NOW = new Date('2026-01-31T12:00:00.000Z');
const before = (milliseconds: number): Date => new Date(NOW.getTime() - milliseconds);
const half: SettledSoFar = {
  ...{ audience: 10_000, settled: 4000, lately: 1500, deferred: 0 },
  ...{ firstAt: before(60_000), lastAt: before(200) },
};

test('from the rate of the last 15 seconds and who is left', () => {
  // 1,500 in 15 s are 100 a second; 6,000 are left.
  assert.deepEqual(finishTime(half, null, NOW), {
    ...{ kind: 'at', perSecond: 100 },
    at: new Date(NOW.getTime() + 60_000),
  });
});

test('from the time since the first where that is shorter', () => {
  const young = { ...half, settled: 200, lately: 200, firstAt: before(2200) };
  const finish = finishTime(young, null, NOW);
  assert.equal(finish.kind === 'at' && finish.perSecond, 100);
});

test('unknown, with the reason, where nothing is known', () => {
  const unknown = (changed: Partial<SettledSoFar>, stands: string | null = null): string => {
    const finish = finishTime({ ...half, ...changed }, stands, NOW);
    return finish.kind === 'unknown' ? finish.because : finish.kind;
  };
  assert.equal(unknown({}, 'it is halted'), 'it is halted');
  assert.match(unknown({ firstAt: null, lastAt: null, settled: 0 }), /nothing has been settled/);
  assert.match(unknown({ lastAt: before(6000) }), /last seconds/);
  assert.match(unknown({ deferred: 6000 }), /deferred/);
  assert.match(unknown({ firstAt: before(500), lastAt: before(400) }), /only begun/);
});

test('everybody settled is finished, whatever stands', () => {
  assert.equal(finishTime({ ...half, settled: 10_000 }, 'it is halted', NOW).kind, 'finished');
});

test('a rate is drawn from at most 90 counts, however long it took', () => {
  for (const seconds of [1, 44, 46, 600, 7200, 86_400, 30 * 86_400, 400 * 86_400])
    assert.ok((seconds * 1000) / bucketWidth(seconds * 1000) <= 90, `${seconds}`);
  assert.equal(bucketWidth(1000), 250);
});
