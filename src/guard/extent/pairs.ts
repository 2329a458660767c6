/**
 * How many different people each reader was shown, over many messages.
 *
 * Invariant: exact, and no pair is ever stored: 1,000 messages of 1,000 people are a thousand sets, not a million pairs.
 * Readers of the same messages are counted together; for each such group the sets it was shown are united once.
 */

import { countFresh, type Memberships, membershipsOf, ones, stepsOfFresh } from './fresh-pairs.ts';

/** Everybody in `shown` was shown to everybody in `readers`, but nobody to themselves. Each number stands once. */
export interface Showing {
  readonly shown: Int32Array;
  readonly readers: Int32Array;
}

/** Bitmaps of all showings together may take this much. */
const BITMAP_BYTES_MAX = 64 * 1024 * 1024;
/** Nanoseconds of one step of each way to count, measured on lists of a thousand. */
const MARK_NS = 2.4;
const BITMAP_WORD_NS = 0.75;
const FRESH_WORD_NS = 3;

/** For each of `people` people, how many others they were shown. */
export function countSeen(showings: readonly Showing[], people: number): Uint32Array {
  const seen = new Uint32Array(people);
  const index = membershipsOf(
    showings.map(({ readers }) => readers),
    people,
  );
  const groups = groupReaders(index, people);
  const words = Math.ceil(people / 32);
  const costs = costsOf(showings, groups, index, words);
  const byFresh = stepsOfFresh(showings, index, people) * FRESH_WORD_NS;
  if (byFresh < costs.marks && byFresh < costs.bitmaps) {
    countFresh(showings, index, shownIndex(showings, index, people), seen);
    return seen;
  }
  const shown = showings.map((showing) => showing.shown);
  const unite =
    costs.marks <= costs.bitmaps ? unitingByMarks(shown, words) : unitingByBitmaps(shown, words);
  for (const group of groups) {
    const first = group[0] ?? 0;
    const { size, has } = unite(
      index.items,
      index.starts[first] ?? 0,
      index.starts[first + 1] ?? 0,
    );
    for (const reader of group) seen[reader] = has(reader) ? size - 1 : size;
  }
  return seen;
}

/** For each of `people` people, how many others were shown them. */
export function countSeenBy(showings: readonly Showing[], people: number): Uint32Array {
  const turned = showings.map(({ shown, readers }) => ({ shown: readers, readers: shown }));
  return countSeen(turned, people);
}

function shownIndex(
  showings: readonly Showing[],
  readersIn: Memberships,
  people: number,
): Memberships {
  if (showings.every(({ shown, readers }) => shown === readers)) return readersIn;
  return membershipsOf(
    showings.map(({ shown }) => shown),
    people,
  );
}

/** What uniting would take: marks where many people are in few messages, bitmaps where few are in many. */
function costsOf(
  showings: readonly Showing[],
  groups: readonly (readonly number[])[],
  { starts, items }: Memberships,
  words: number,
): { readonly marks: number; readonly bitmaps: number } {
  let marks = 0;
  let bitmaps = 0;
  for (const group of groups) {
    const first = group[0] ?? 0;
    for (let at = starts[first] ?? 0; at < (starts[first + 1] ?? 0); at++) {
      marks += showings[items[at] ?? 0]?.shown.length ?? 0;
      bitmaps += words;
    }
    bitmaps += words;
  }
  const fits = showings.length * words * 4 <= BITMAP_BYTES_MAX;
  return {
    marks: marks * MARK_NS,
    bitmaps: fits ? bitmaps * BITMAP_WORD_NS : Number.POSITIVE_INFINITY,
  };
}

/** Readers with exactly the same showings, together. */
function groupReaders(index: Memberships, people: number): readonly (readonly number[])[] {
  const groups: number[][] = [];
  const byHash = new Map<number, number[][]>();
  const { starts, items } = index;
  for (let reader = 0; reader < people; reader++) {
    const start = starts[reader] ?? 0;
    const end = starts[reader + 1] ?? 0;
    if (start === end) continue;
    let hash = end - start;
    for (let at = start; at < end; at++)
      hash = Math.imul(hash ^ (items[at] ?? 0), 0x9e3779b1) ^ (hash >>> 15);
    const alike = byHash.get(hash);
    const group = alike?.find((each) => hasSameShowings(index, each[0] ?? 0, reader));
    if (group !== undefined) {
      group.push(reader);
      continue;
    }
    const own = [reader];
    groups.push(own);
    if (alike === undefined) byHash.set(hash, [own]);
    else alike.push(own);
  }
  return groups;
}

function hasSameShowings({ starts, items }: Memberships, one: number, other: number): boolean {
  const oneStart = starts[one] ?? 0;
  const otherStart = starts[other] ?? 0;
  const count = (starts[one + 1] ?? 0) - oneStart;
  if ((starts[other + 1] ?? 0) - otherStart !== count) return false;
  for (let at = 0; at < count; at++) {
    if (items[oneStart + at] !== items[otherStart + at]) return false;
  }
  return true;
}

interface United {
  readonly size: number;
  has(person: number): boolean;
}

type Unite = (items: Int32Array, start: number, end: number) => United;

/** One bit a person: 100,000 people are 12 KB, which stay in the nearest cache. */
function unitingByMarks(shown: readonly Int32Array[], words: number): Unite {
  const marks = new Int32Array(words);
  const has = (person: number): boolean => isMarked(marks, person);
  let marked = 0;
  let before: readonly Int32Array[] = [];
  return (items, start, end) => {
    if (marked > words) marks.fill(0);
    else for (const set of before) clearAll(set, marks);
    const sets: Int32Array[] = [];
    let size = 0;
    marked = 0;
    for (let at = start; at < end; at++) {
      const set = shown[items[at] ?? 0];
      if (set === undefined) continue;
      size += markAll(set, marks);
      marked += set.length;
      sets.push(set);
    }
    before = sets;
    return { size, has };
  };
}

function isMarked(marks: Int32Array, person: number): boolean {
  return (((marks[person >> 5] ?? 0) >>> (person & 31)) & 1) === 1;
}

/** Marks everybody in the set; how many were not marked yet. Without a branch that could be guessed wrong. */
function markAll(set: Int32Array, marks: Int32Array): number {
  let fresh = 0;
  for (let at = 0; at < set.length; at++) {
    const person = set[at] ?? 0;
    const word = marks[person >> 5] ?? 0;
    fresh += ~(word >>> (person & 31)) & 1;
    marks[person >> 5] = word | (1 << (person & 31));
  }
  return fresh;
}

function clearAll(set: Int32Array, marks: Int32Array): void {
  for (const person of set) marks[person >> 5] = 0;
}

function unitingByBitmaps(shown: readonly Int32Array[], words: number): Unite {
  const bitmaps = shown.map((set) => {
    const bitmap = new Int32Array(words);
    for (const person of set)
      bitmap[person >> 5] = (bitmap[person >> 5] ?? 0) | (1 << (person & 31));
    return bitmap;
  });
  const union = new Int32Array(words);
  const has = (person: number): boolean => isMarked(union, person);
  return (items, start, end) => {
    union.fill(0);
    let at = start;
    for (; at + 3 < end; at += 4) {
      const four = [0, 1, 2, 3].map((next) => bitmaps[items[at + next] ?? 0] ?? union);
      addFour(union, four[0] ?? union, four[1] ?? union, four[2] ?? union, four[3] ?? union);
    }
    for (; at < end; at++) addBitmap(union, bitmaps[items[at] ?? 0]);
    let size = 0;
    for (let word = 0; word < words; word++) size += ones(union[word] ?? 0);
    return { size, has };
  };
}

/** Four at a time: half as many loads and a quarter of the stores. */
function addFour(
  union: Int32Array,
  one: Int32Array,
  two: Int32Array,
  three: Int32Array,
  four: Int32Array,
): void {
  for (let word = 0; word < union.length; word++) {
    const first = (one[word] ?? 0) | (two[word] ?? 0);
    const second = (three[word] ?? 0) | (four[word] ?? 0);
    union[word] = (union[word] ?? 0) | first | second;
  }
}

function addBitmap(union: Int32Array, bitmap: Int32Array | undefined): void {
  if (bitmap === undefined) return;
  for (let word = 0; word < bitmap.length; word++) {
    union[word] = (union[word] ?? 0) | (bitmap[word] ?? 0);
  }
}
