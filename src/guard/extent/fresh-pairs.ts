/**
 * Different pairs counted where each is made for the first time, for many lists that have few people in common with each other:
 * of 100,000 people drawn a thousand at a time, two lists share ten, and ten times ten is little to look at.
 *
 * A pair of one showing is old where an earlier showing has both its reader and its person. So for each showing the earlier
 * ones it shares readers with are gone through, and what they share is marked in a matrix of its own readers and people.
 *
 * Invariant: exact; the matrix has at most 8 MB, whatever the lists: readers are taken in blocks.
 */

import type { Showing } from './pairs.ts';

const MATRIX_WORDS = 2 * 1024 * 1024;

/** The showings of person p, in order, are `items[starts[p]]` up to `items[starts[p + 1]]`. */
export interface Memberships {
  readonly starts: Int32Array;
  readonly items: Int32Array;
}

export function membershipsOf(lists: readonly Int32Array[], people: number): Memberships {
  const starts = new Int32Array(people + 1);
  for (const list of lists) {
    for (const person of list) starts[person + 1] = (starts[person + 1] ?? 0) + 1;
  }
  for (let person = 0; person < people; person++) {
    starts[person + 1] = (starts[person + 1] ?? 0) + (starts[person] ?? 0);
  }
  const next = starts.slice();
  const items = new Int32Array(starts[people] ?? 0);
  for (const [number, list] of lists.entries()) {
    for (const person of list) {
      const place = next[person] ?? 0;
      items[place] = number;
      next[person] = place + 1;
    }
  }
  return { starts, items };
}

/** At most how many words of the matrix are marked: for each showing, its readers of earlier ones by the width of a row. */
export function stepsOfFresh(
  showings: readonly Showing[],
  { starts, items }: Memberships,
  people: number,
): number {
  let steps = 0;
  for (let reader = 0; reader < people; reader++) {
    const start = starts[reader] ?? 0;
    const end = starts[reader + 1] ?? 0;
    for (let at = start + 1; at < end; at++) {
      const width = showings[items[at] ?? 0]?.shown.length ?? 0;
      steps += (at - start) * ((width + 31) >> 5);
    }
  }
  return steps;
}

/** People of one showing by the earlier showings they are in: chains of places, one for each of those. */
class Chains {
  readonly heads: Int32Array;
  /** Earlier showings with anybody in them. */
  readonly touched: number[] = [];
  places = new Int32Array(1024);
  nexts = new Int32Array(1024);
  #size = 0;

  constructor(showings: number) {
    this.heads = new Int32Array(showings).fill(-1);
  }

  /** Puts places `from` up to `to` of the list in, for all showings before `current`. */
  fill(
    list: Int32Array,
    from: number,
    to: number,
    { starts, items }: Memberships,
    current: number,
  ): void {
    for (const showing of this.touched) this.heads[showing] = -1;
    this.touched.length = 0;
    this.#size = 0;
    for (let place = from; place < to; place++) {
      const person = list[place] ?? 0;
      for (let at = starts[person] ?? 0; ; at++) {
        const showing = items[at] ?? current;
        if (showing >= current) break;
        this.#push(showing, place);
      }
    }
  }

  #push(showing: number, place: number): void {
    const head = this.heads[showing] ?? -1;
    if (head === -1) this.touched.push(showing);
    if (this.#size === this.places.length) this.#grow();
    this.places[this.#size] = place;
    this.nexts[this.#size] = head;
    this.heads[showing] = this.#size++;
  }

  #grow(): void {
    const places = new Int32Array(2 * this.places.length);
    places.set(this.places);
    this.places = places;
    const nexts = new Int32Array(2 * this.nexts.length);
    nexts.set(this.nexts);
    this.nexts = nexts;
  }
}

/** For each person, how many others they were shown, added to `seen`. Memberships are those of the readers and of the shown. */
export function countFresh(
  showings: readonly Showing[],
  readersIn: Memberships,
  shownIn: Memberships,
  seen: Uint32Array,
): void {
  const readerChains = new Chains(showings.length);
  const shownChains = new Chains(showings.length);
  const columns = new Int32Array(seen.length).fill(-1);
  const matrix = new Int32Array(largestMatrix(showings));
  for (const [current, { shown, readers }] of showings.entries()) {
    for (const [column, person] of shown.entries()) columns[person] = column;
    shownChains.fill(shown, 0, shown.length, shownIn, current);
    const width = (shown.length + 31) >> 5;
    const rows = rowsOf(width);
    for (let from = 0; from < readers.length; from += rows) {
      const to = Math.min(readers.length, from + rows);
      const same = shown === readers && readersIn === shownIn && to === shown.length;
      if (!same) readerChains.fill(readers, from, to, readersIn, current);
      const block = { matrix, width, readers, from, to, columns };
      const chains = same ? shownChains : readerChains;
      if (chains.touched.length > 0) countBlock(block, chains, shownChains, shown.length, seen);
      else countFirst(block, shown.length, seen);
    }
    for (const person of shown) columns[person] = -1;
  }
}

/** The readers `from` up to `to` of one showing, and their rows. */
interface Block {
  readonly matrix: Int32Array;
  readonly width: number;
  readonly readers: Int32Array;
  readonly from: number;
  readonly to: number;
  /** The column of everybody shown, -1 for others. */
  readonly columns: Int32Array;
}

function countBlock(
  block: Block,
  readerChains: Chains,
  shownChains: Chains,
  shown: number,
  seen: Uint32Array,
): void {
  const { matrix, width, readers, from, to, columns } = block;
  matrix.fill(0, 0, (to - from) * width);
  for (let row = from; row < to; row++) {
    // Nobody is shown to themselves: as if it were old.
    const own = columns[readers[row] ?? 0] ?? -1;
    if (own >= 0) markOne(matrix, (row - from) * width + (own >> 5), 1 << (own & 31));
  }
  markShared(matrix, width, from, readerChains, shownChains);
  for (let row = from; row < to; row++) {
    const reader = readers[row] ?? 0;
    const old = onesIn(matrix, (row - from) * width, width);
    seen[reader] = (seen[reader] ?? 0) + shown - old;
  }
}

/** Nobody of them was in a showing before. */
function countFirst({ readers, from, to, columns }: Block, shown: number, seen: Uint32Array): void {
  for (let row = from; row < to; row++) {
    const reader = readers[row] ?? 0;
    const own = (columns[reader] ?? -1) >= 0 ? 1 : 0;
    seen[reader] = (seen[reader] ?? 0) + shown - own;
  }
}

function rowsOf(width: number): number {
  return Math.max(1, Math.floor(MATRIX_WORDS / Math.max(1, width)));
}

function largestMatrix(showings: readonly Showing[]): number {
  let words = 0;
  for (const { shown, readers } of showings) {
    const width = (shown.length + 31) >> 5;
    words = Math.max(words, width * Math.min(readers.length, rowsOf(width)));
  }
  return words;
}

function markOne(matrix: Int32Array, at: number, bits: number): void {
  matrix[at] = (matrix[at] ?? 0) | bits;
}

/** Marks, for each earlier showing, the readers it shares by the people it shares. */
function markShared(
  matrix: Int32Array,
  width: number,
  from: number,
  readerChains: Chains,
  shownChains: Chains,
): void {
  const words = new Int32Array(width);
  const bits = new Int32Array(width);
  for (const earlier of readerChains.touched) {
    const count = wordsOf(shownChains, earlier, words, bits);
    if (count === 0) continue;
    const { heads, places, nexts } = readerChains;
    for (let link = heads[earlier] ?? -1; link !== -1; link = nexts[link] ?? -1) {
      const row = ((places[link] ?? 0) - from) * width;
      for (let word = 0; word < count; word++) {
        markOne(matrix, row + (words[word] ?? 0), bits[word] ?? 0);
      }
    }
  }
}

/** The people shared with one earlier showing as words of a row, none twice: chains run from the last place to the first. */
function wordsOf(
  { heads, places, nexts }: Chains,
  earlier: number,
  words: Int32Array,
  bits: Int32Array,
): number {
  let count = 0;
  let last = -1;
  for (let link = heads[earlier] ?? -1; link !== -1; link = nexts[link] ?? -1) {
    const column = places[link] ?? 0;
    const word = column >> 5;
    if (word !== last) {
      last = word;
      words[count] = word;
      bits[count++] = 0;
    }
    bits[count - 1] = (bits[count - 1] ?? 0) | (1 << (column & 31));
  }
  return count;
}

function onesIn(words: Int32Array, start: number, count: number): number {
  let total = 0;
  for (let at = start; at < start + count; at++) total += ones(words[at] ?? 0);
  return total;
}

/** How many bits are set: Hacker's Delight, figure 5-2. */
export function ones(word: number): number {
  let bits = word - ((word >>> 1) & 0x55555555);
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
