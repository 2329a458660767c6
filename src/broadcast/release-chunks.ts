/** The chunks under way: how many of their recipients have no outcome yet, and who of them is tried again. */

import type { Again, FinishedChunk } from './outcome-writer.ts';

interface OpenChunk {
  readonly ring: number;
  left: number;
  readonly again: Again[];
}

export class ChunksUnderWay {
  readonly #open = new Map<number, OpenChunk>();

  get size(): number {
    return this.#open.size;
  }

  begin(chunk: number, ring: number, count: number): void {
    this.#open.set(chunk, { ring, left: count, again: [] });
  }

  /** One recipient of the chunk has its outcome; returns the chunk when it was the last. */
  settle(chunk: number, again: Again | null): FinishedChunk | null {
    const open = this.#open.get(chunk);
    if (open === undefined) return null;
    if (again !== null) open.again.push(again);
    if (--open.left > 0) return null;
    this.#open.delete(chunk);
    return { chunk, ring: open.ring, again: open.again };
  }
}
