/** Figures and times as people read them. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { minutePlot } from './overview.ts';
import { filterOf } from './verdicts.ts';
import { counted, figure, lengthOf, rate, since } from './words.ts';

test('lengths of time in two units', () => {
  const shown = [0, 900, 48_000, 65_000, 725_000, 7_500_000, 259_199_000].map(lengthOf);
  assert.deepEqual(shown, ['0 s', '1 s', '48 s', '1 min 5 s', '12 min', '2 h 5 min', '2 d 23 h']);
});

test('figures and counts', () => {
  assert.deepEqual(
    [figure(999_000), figure(0.4), rate(8.25), rate(812.3)],
    ['999,000', '0', '8.3', '812'],
  );
  assert.deepEqual(
    [counted(1, 'near miss', 'near misses'), counted(2, 'call')],
    ['1 near miss', '2 calls'],
  );
});

test('a time of day, with its day where it is another one', () => {
  const now = new Date('2026-01-31T00:10:00.000Z');
  assert.match(String(since(new Date('2026-01-31T00:03:09.000Z'), now)), />00:03:09</);
  assert.match(String(since(new Date('2026-01-30T23:59:09.000Z'), now)), />30 Jan, 23:59</);
});

test('the plot has one number for each of sixty minutes and each verdict, and nothing that is too old', () => {
  const now = new Date('2026-01-31T12:00:30.000Z');
  const minute = Math.floor(now.getTime() / 60_000);
  const rows = [
    { minute, verdict: 'pass', calls: 7 },
    { minute: minute - 59, verdict: 'refuse', calls: 2 },
    { minute: minute - 60, verdict: 'pass', calls: 100 },
  ];
  const { x, series } = minutePlot(rows, now);
  assert.equal(x.length, 60);
  assert.equal(x.at(-1), minute * 60);
  const of = (name: string): readonly number[] =>
    series.find((each) => each.name === name)?.values ?? [];
  assert.equal(of('pass').at(-1), 7);
  assert.equal(
    of('pass').reduce((sum, value) => sum + value, 0),
    7,
  );
  assert.equal(of('refuse')[0], 2);
  assert.ok(series.every(({ values }) => values.length === 60));
});

test('what a query says wrongly is not asked for', () => {
  const none = { gate: null, identity: null, verdict: null, reason: null, before: null };
  assert.deepEqual(filterOf({}), none);
  assert.deepEqual(filterOf({ gate: ' ', before: "1'; DROP TABLE verdict; --" }), none);
  assert.equal(filterOf({ identity: 'x'.repeat(999) }).identity?.length, 200);
  assert.deepEqual(filterOf({ before: '1769860800000-v-1abc' }).before, {
    at: new Date('2026-01-31T12:00:00.000Z'),
    id: 'v-1abc',
  });
});
