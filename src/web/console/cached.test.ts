/** What many pages ask for is asked once, and an answer that failed is not kept. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cached, cachedBy, restOf } from './cached.ts';

test('asked by many at once it is asked once; after a deed it is asked again', async () => {
  let asked = 0;
  const answer = cached(async () => ++asked, 60_000);
  assert.deepEqual(await Promise.all([answer(), answer(), answer()]), [1, 1, 1]);
  assert.equal(await answer(), 1);
  answer.forget();
  assert.equal(await answer(), 2);
});

test('what was asked before a deed does not hold after it, even where its answer comes later', async () => {
  const waiting: ((value: string) => void)[] = [];
  const answer = cached(() => new Promise<string>((resolve) => waiting.push(resolve)), 60_000);
  const old = answer();
  answer.forget();
  const fresh = answer();
  waiting[1]?.('new');
  await fresh;
  waiting[0]?.('old');
  assert.equal(await old, 'old');
  assert.equal(await answer(), 'new');
});

test('a fault is told to those who asked, and the next one asks anew', async () => {
  let fails = true;
  const answer = cached(async () => {
    if (fails) throw new Error('gone');
    return 'here';
  }, 60_000);
  await assert.rejects(answer(), /gone/);
  fails = false;
  assert.equal(await answer(), 'here');
});

test('a slow question is asked less often than it may be old', async () => {
  let asked = 0;
  const slow = cached(async () => {
    await new Promise((resolve) => setTimeout(resolve, 40));
    return ++asked;
  }, 1);
  await slow();
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(await slow(), 1, 'within twenty times what it takes');
});

test('one slow answer does not make the page old for a minute, and a slow question rests as long as it has taken', () => {
  assert.deepEqual(
    [1, 100, 200, 3000, 5000, 12_000].map((tookMs) => restOf(tookMs, 500)),
    [500, 2000, 4000, 5000, 5000, 12_000],
  );
});

test('by key, and no more of them than are allowed', async () => {
  const asked: string[] = [];
  const answer = cachedBy(
    async (key) => {
      asked.push(key);
      return key;
    },
    60_000,
    2,
  );
  for (const key of ['a', 'b', 'a', 'c', 'a', 'b']) assert.equal(await answer(key), key);
  assert.deepEqual(asked, ['a', 'b', 'c', 'b']);
});

test('a page does not wait for what takes long: it gets the last answer there was, and the new one later', async () => {
  let finish: (value: string) => void = () => {};
  const answer = cached(
    () =>
      new Promise<string>((resolve) => {
        finish = resolve;
      }),
    0,
  );
  assert.equal(await answer.soon(10), null);
  finish('first');
  assert.equal(await answer.soon(10), 'first');
  await new Promise((resolve) => setTimeout(resolve, 700));
  assert.equal(await answer.soon(10), 'first', 'asked again, and not there yet');
  finish('second');
  assert.equal(await answer(), 'second');
});
