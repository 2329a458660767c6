import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { WaitingRow } from './chunk-loader.ts';
import { SendQueue } from './release-queue.ts';

const NOTHING = Buffer.alloc(0);

function row(position: number): WaitingRow {
  const sealed = { prepared: NOTHING, signed: NOTHING, signedLeaf: NOTHING };
  return { position, attempt: 1, chunk: 0, run: 0, ...sealed };
}

function queueOf(count: number): SendQueue {
  const queue = new SendQueue();
  for (let position = 0; position < count; position++) queue.push(row(position));
  return queue;
}

/** Positions of pairs first, last. */
function positionsOf(pairs: readonly number[]): number[] {
  const positions: number[] = [];
  for (let i = 0; i < pairs.length; i += 2)
    for (let at = pairs[i] ?? 0; at <= (pairs[i + 1] ?? -1); at++) positions.push(at);
  return positions;
}

function takeAll(queue: SendQueue): number[] {
  const taken: number[] = [];
  for (let next = queue.take(); next !== null; next = queue.take()) taken.push(next.position);
  return taken;
}

test('nothing is taken before a permit that names it is held', () => {
  const queue = queueOf(5);
  assert.equal(queue.take(), null);
  assert.deepEqual(queue.cover(3), [0, 2]);
  assert.equal(queue.take(), null, 'asked for is not granted');
  queue.granted();
  assert.equal(queue.ready, 3);
  assert.deepEqual(takeAll(queue), [0, 1, 2]);
  assert.equal(queue.waiting, 2);
});

test('a permit that was asked for and not granted gives nothing, and the next names no less', () => {
  const queue = queueOf(8);
  queue.cover(4);
  queue.granted();
  queue.take();
  assert.deepEqual(positionsOf(queue.cover(1)), [0, 1, 2, 3], 'what is granted stays named');
  assert.deepEqual(takeAll(queue), [1, 2, 3]);
});

test('what was given back is taken first, and is named by every permit since', () => {
  const queue = queueOf(6);
  queue.cover(3);
  queue.granted();
  assert.deepEqual(takeAll(queue), [0, 1, 2]);
  queue.giveBack(1);
  assert.equal(queue.waiting, 4);
  assert.deepEqual(positionsOf(queue.cover(1)), [0, 1, 2, 3]);
  queue.granted();
  assert.deepEqual(takeAll(queue), [1, 3]);
});

test('what is given back twice, or was never taken, is there once', () => {
  const queue = queueOf(2);
  queue.cover(2);
  queue.granted();
  queue.take();
  queue.giveBack(0);
  queue.giveBack(0);
  queue.giveBack(1);
  assert.equal(queue.waiting, 2);
  assert.deepEqual(takeAll(queue).sort(), [0, 1]);
});

test('an outcome that is not stored keeps its row named: with the machine lost the permit alone knows of it', () => {
  const queue = queueOf(4);
  queue.cover(2);
  queue.granted();
  takeAll(queue);
  queue.settle(0);
  queue.drop(1);
  assert.deepEqual(positionsOf(queue.cover(0)), [0]);
  queue.stored([{ position: 0 }]);
  assert.deepEqual(queue.cover(0), []);
});

test('a permit that is granted late names what was asked for, however many rows were taken meanwhile', () => {
  const queue = queueOf(3000);
  queue.cover(1100);
  queue.granted();
  queue.cover(1200);
  for (let i = 0; i < 1050; i++) queue.take();
  queue.granted();
  assert.equal(takeAll(queue).at(-1), 1199);
});

test('neighbours are named as one pair, in whatever order they came', () => {
  const queue = new SendQueue();
  for (const position of [7, 8, 9, 3, 4]) queue.push(row(position));
  assert.deepEqual(queue.cover(5), [7, 9, 3, 4]);
  queue.granted();
  takeAll(queue);
  assert.deepEqual(queue.cover(0), [3, 4, 7, 9]);
});

const ENDS = ['settle', 'drop', 'giveBack', 'setAside'] as const;

type Deed =
  | { readonly do: 'push' | 'cover' | 'take'; readonly count: number }
  | { readonly do: 'granted' }
  | { readonly do: (typeof ENDS)[number]; readonly which: number }
  | { readonly do: 'stored'; readonly count: number };

const deeds: fc.Arbitrary<Deed[]> = fc.array(
  fc.oneof(
    fc.record({ do: fc.constantFrom('push' as const), count: fc.integer({ min: 1, max: 900 }) }),
    fc.record({ do: fc.constantFrom('cover' as const), count: fc.integer({ min: 0, max: 1200 }) }),
    fc.record({ do: fc.constantFrom('take' as const), count: fc.integer({ min: 1, max: 900 }) }),
    fc.record({ do: fc.constant('granted' as const) }),
    fc.record({ do: fc.constant('stored' as const), count: fc.integer({ min: 1, max: 900 }) }),
    fc.record({
      do: fc.constantFrom(...ENDS),
      which: fc.nat(),
    }),
  ),
  { minLength: 5, maxLength: 60 },
);

/** What has to be true of a queue after any deeds, kept in plain sets. */
class Model {
  readonly queue: SendQueue = new SendQueue();
  #pushed = 0;
  readonly #waiting = new Set<number>();
  readonly #inFlight = new Set<number>();
  readonly #unstored = new Set<number>();
  /** What a lost machine could have begun: all of it has to stand in the permit. */
  #granted = new Set<number>();
  #asked: Set<number> | null = null;

  apply(deed: Deed): void {
    switch (deed.do) {
      case 'push':
        for (let i = 0; i < deed.count; i++, this.#pushed++) {
          this.#waiting.add(this.#pushed);
          this.queue.push(row(this.#pushed));
        }
        break;
      case 'cover':
        this.#cover(deed.count);
        break;
      case 'granted':
        if (this.#asked === null) break;
        this.#granted = this.#asked;
        this.#asked = null;
        this.queue.granted();
        break;
      case 'take':
        for (let i = 0; i < deed.count && this.#take(); i++);
        break;
      case 'stored': {
        const stored = [...this.#unstored].slice(0, deed.count);
        for (const position of stored) this.#unstored.delete(position);
        this.queue.stored(stored.map((position) => ({ position })));
        break;
      }
      default:
        this.#end(deed.do, deed.which);
    }
    assert.equal(this.queue.waiting, this.#waiting.size);
    assert.ok(this.queue.ready <= this.queue.waiting);
  }

  #cover(rows: number): void {
    const named = positionsOf(this.queue.cover(rows));
    const asked = new Set(named);
    assert.equal(asked.size, named.length, 'each once');
    for (const position of [...this.#inFlight, ...this.#unstored])
      assert.ok(asked.has(position), `row ${position} is in flight or unstored, and not named`);
    for (const position of asked)
      assert.ok(position < this.#pushed, `row ${position} is not there to be named`);
    const coming = named.filter((position) => this.#waiting.has(position)).length;
    assert.ok(coming >= Math.min(rows, this.#waiting.size), 'as many as were asked for');
    this.#asked = asked;
  }

  #take(): boolean {
    const taken = this.queue.take();
    if (taken === null) return false;
    const { position } = taken;
    assert.ok(this.#granted.has(position), `row ${position} was taken and no permit names it`);
    assert.ok(this.#waiting.delete(position), `row ${position} was taken twice`);
    this.#inFlight.add(position);
    return true;
  }

  #end(deed: (typeof ENDS)[number], which: number): void {
    const position = [...this.#inFlight][which % Math.max(1, this.#inFlight.size)];
    if (position === undefined) return;
    this.#inFlight.delete(position);
    if (deed === 'settle') this.#unstored.add(position);
    if (deed === 'giveBack' || deed === 'setAside') this.#waiting.add(position);
    this.queue[deed](position);
  }

  /** Everything that waits can be had in the end. */
  drain(): void {
    this.#cover(this.#waiting.size);
    this.apply({ do: 'granted' });
    this.apply({ do: 'take', count: this.#pushed });
    assert.equal(this.#waiting.size, 0, 'nobody is lost');
  }
}

test('whatever comes in whatever order: only named rows are taken, each once, and nobody is lost', () => {
  fc.assert(
    fc.property(deeds, (list) => {
      const model = new Model();
      for (const deed of list) model.apply(deed);
      model.drain();
    }),
    { numRuns: 300 },
  );
});
