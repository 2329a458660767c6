import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { WaitingRow } from './chunk-loader.ts';
import { SendQueue } from './release-queue.ts';
import { Strikes } from './release-strikes.ts';

test('a message is at fault after three losses between which others got through', () => {
  const strikes = new Strikes([]);
  assert.equal(strikes.lost(7, false, 0), false);
  strikes.answered(1);
  assert.equal(strikes.lost(7, false, 1), false);
  strikes.answered(2);
  assert.equal(strikes.lost(7, false, 2), true);
});

test('at a far side that is down for everybody nobody is at fault, however often they are lost', () => {
  const strikes = new Strikes([]);
  for (let position = 0; position < 5; position++) strikes.answered(100 + position);
  for (let round = 0; round < 1000; round++)
    for (const position of [1, 2, 3])
      assert.equal(strikes.lost(position, false, round * 60_000), false);
});

test('losses in a row count once, and an answer to the message itself clears it', () => {
  const strikes = new Strikes([]);
  strikes.lost(7, false, 0);
  for (let i = 0; i < 10; i++) assert.equal(strikes.lost(7, false, i), false);
  strikes.answered(1);
  assert.equal(strikes.lost(7, false, 11), false);
  strikes.answered(7);
  for (let i = 0; i < 2; i++) {
    assert.equal(strikes.lost(7, false, 12), false);
    strikes.answered(1);
  }
  assert.equal(strikes.lost(7, false, 13), true);
});

test('who was at fault once needs one loss only, in a later attempt and after a new start', () => {
  const strikes = new Strikes([9]);
  assert.equal(strikes.lost(9, false, 0), true);
  assert.equal(strikes.lost(8, false, 0), false);
  for (let i = 0; i < 2; i++) {
    strikes.answered(1);
    strikes.lost(8, false, 0);
  }
  assert.equal(strikes.lost(8, false, 0), true);
});

test('the last one left is at fault after ten seconds and three losses, if others were answered at all', () => {
  const strikes = new Strikes([]);
  strikes.answered(1);
  assert.equal(strikes.lost(7, true, 0), false);
  assert.equal(strikes.lost(7, true, 20_000), false, 'two losses are not enough');
  assert.equal(strikes.lost(7, true, 20_001), true);
  const brief = new Strikes([]);
  brief.answered(1);
  for (let i = 0; i < 100; i++) assert.equal(brief.lost(7, true, i * 99), false);
  const nobody = new Strikes([]);
  for (let i = 0; i < 100; i++) assert.equal(nobody.lost(7, true, i * 60_000), false);
});

test('after a loss others go first until one of them is answered', () => {
  const strikes = new Strikes([]);
  assert.equal(strikes.othersFirst, false);
  strikes.lost(7, false, 0);
  assert.equal(strikes.othersFirst, true);
  strikes.answered(1);
  assert.equal(strikes.othersFirst, false);
});

function queueOf(count: number): SendQueue {
  const queue = new SendQueue();
  for (let position = 0; position < count; position++) queue.push({ position } as WaitingRow);
  queue.cover(count);
  queue.granted();
  return queue;
}

test('what was set aside waits for an answer to somebody else, and then for a connection without content', () => {
  const queue = queueOf(4);
  const next = (behind: boolean, othersFirst: boolean): number | null =>
    queue.take(behind, othersFirst)?.position ?? null;
  assert.equal(next(false, true), 0);
  queue.setAside(0);
  assert.equal(queue.waiting, 4);
  assert.equal(queue.ready, 4);
  assert.ok(queue.cover(1).includes(0), 'the permit goes on naming it');
  assert.equal(next(true, true), 1, 'others first');
  assert.equal(next(true, false), null, 'the connection comes back with nothing in flight');
  assert.equal(next(false, false), 0);
  queue.setAside(0);
  assert.equal(next(false, true), 2);
});

test('of those set aside one at a time is tried while others wait, and all in turn when nobody else is left', () => {
  const queue = queueOf(3);
  for (const position of [0, 1]) {
    queue.take();
    queue.setAside(position);
  }
  assert.equal(queue.take(false, false)?.position, 0);
  assert.equal(queue.isLast(0), false);
  assert.equal(queue.take(false, false)?.position, 2, 'the other one waits');
  queue.settle(2);
  assert.equal(queue.isLast(0), true);
  assert.equal(queue.take(false, true)?.position, 1);
  assert.equal(queue.take(false, true), null);
});

test('with rows that the permit does not name yet, what was set aside waits for them', () => {
  const queue = queueOf(1);
  queue.take();
  queue.setAside(0);
  queue.push({ position: 9 } as WaitingRow);
  assert.equal(queue.take(false, true), null);
});
