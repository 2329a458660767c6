import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
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

describe('pairs of unions', () => {
  // Few people in many messages are counted with bitmaps, many in few with marks.
  for (const [people, messages, most] of [
    [20, 40, 15],
    [2000, 12, 40],
    [40, 3, 30],
    [3000, 1500, 4],
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
