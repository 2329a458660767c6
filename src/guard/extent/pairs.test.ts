import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { countFresh, membershipsOf } from './fresh-pairs.ts';
import { countSeen, countSeenBy, type Showing } from './pairs.ts';

function byHand(showings: readonly Showing[], people: number): number[] {
  const seen = Array.from({ length: people }, () => new Set<number>());
  for (const { shown, readers } of showings) {
    for (const reader of readers) {
      for (const person of shown) if (person !== reader) seen[reader]?.add(person);
    }
  }
  return seen.map((each) => each.size);
}

let state = 20_261;
function random(below: number): number {
  state = (state * 48_271) % 2_147_483_647;
  return state % below;
}

function someOf(people: number, most: number): Int32Array {
  return Int32Array.from(new Set(Array.from({ length: random(most + 1) }, () => random(people))));
}

describe('pairs counted where they are made first', () => {
  const fresh = (showings: readonly Showing[], people: number): number[] => {
    const seen = new Uint32Array(people);
    const readersIn = membershipsOf(
      showings.map(({ readers }) => readers),
      people,
    );
    const shownIn = membershipsOf(
      showings.map(({ shown }) => shown),
      people,
    );
    countFresh(showings, readersIn, shownIn, seen);
    return [...seen];
  };

  it('are what a count by hand gives, whether readers are those shown or others', () => {
    for (let each = 0; each < 400; each++) {
      const people = 1 + random(120);
      const showings = Array.from({ length: 1 + random(12) }, () => {
        const shown = someOf(people, 60);
        return { shown, readers: random(2) === 0 ? shown : someOf(people, 40) };
      });
      assert.deepEqual(fresh(showings, people), byHand(showings, people), `case ${each}`);
    }
  });

  it('are the same where the matrix has to be taken in blocks', () => {
    const range = (from: number, to: number) =>
      Int32Array.from({ length: to - from }, (_, index) => from + index);
    const seen = fresh(
      [
        { shown: range(10_000, 40_000), readers: range(0, 3_000) },
        { shown: range(20_000, 50_000), readers: range(1_000, 10_001) },
      ],
      50_000,
    );
    const count = (from: number, to: number) => new Set(seen.slice(from, to));
    assert.deepEqual(count(0, 1_000), new Set([30_000]));
    assert.deepEqual(count(1_000, 3_000), new Set([40_000]));
    assert.deepEqual(count(3_000, 10_001), new Set([30_000]));
    assert.deepEqual(count(10_001, 50_000), new Set([0]));
  });
});

describe('pairs of unions', () => {
  // Few people in many messages are counted with bitmaps, many in few with marks, or where they are made first.
  for (const [people, messages, most] of [
    [20, 40, 15],
    [2000, 12, 40],
    [40, 3, 30],
    [3000, 1500, 4],
    [4000, 60, 200],
  ] as const) {
    it(`are what a count by hand gives: ${people} people, ${messages} messages`, () => {
      const showings = Array.from({ length: messages }, () => ({
        shown: someOf(people, most),
        readers: someOf(people, most),
      }));
      assert.deepEqual([...countSeen(showings, people)], byHand(showings, people));
      const turned = showings.map(({ shown, readers }) => ({ shown: readers, readers: shown }));
      assert.deepEqual([...countSeenBy(showings, people)], byHand(turned, people));
    });
  }

  it('of no message, and of nobody, are none', () => {
    assert.deepEqual([...countSeen([], 0)], []);
    assert.deepEqual(
      [...countSeen([{ shown: new Int32Array(), readers: Int32Array.of(0) }], 2)],
      [0, 0],
    );
  });
});
