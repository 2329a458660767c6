/**
 * What waits to be sent, in order, and which of it the permit names.
 * Invariant: a row is waiting, in flight or gone; only rows that a granted permit names are taken, and a row that is
 * given back was named by every permit since.
 */

import type { WaitingRow } from './chunk-loader.ts';

/** Rows taken are dropped from the list this many at a time. */
const COMPACT_ROWS = 1024;

export class SendQueue {
  #rows: (WaitingRow | null)[] = [];
  #next = 0;
  /** End of the rows that the granted permit names. */
  #covered = 0;
  /** End of the rows that the permit under way names. */
  #named = 0;
  /** Given back: sent before all others. */
  readonly #returned: WaitingRow[] = [];
  /** A connection was lost over them: they are tried again one at a time. */
  readonly #setAside: WaitingRow[] = [];
  /** The one of them that is in flight. */
  #trying: number | null = null;
  readonly #inFlight = new Map<number, WaitingRow>();
  /** Settled, and their outcomes not stored yet: with the machine lost, the permit alone would know of them. */
  readonly #unstored = new Set<number>();

  /** Rows that have not been taken. */
  get waiting(): number {
    return this.#setAside.length + this.#others;
  }

  get #others(): number {
    return this.#returned.length + this.#rows.length - this.#next;
  }

  /** Whether nothing but this row is in flight, and nothing waits but what was set aside. */
  isLast(position: number): boolean {
    return this.#others === 0 && this.#inFlight.size === (this.#inFlight.has(position) ? 1 : 0);
  }

  /** Rows that could be taken now. */
  get ready(): number {
    return this.#setAside.length + this.#returned.length + this.#covered - this.#next;
  }

  push(row: WaitingRow): void {
    this.#rows.push(row);
  }

  /**
   * The next row that the permit names, now in flight; null when there is none.
   * @param behind behind another message's content: then none that was set aside.
   * @param othersFirst what was set aside comes after all others, not before them.
   */
  take(behind = false, othersFirst = true): WaitingRow | null {
    const row =
      this.#setAside.length === 0 ? this.#takeOther() : this.#takeBeside(behind, othersFirst);
    if (row !== null) this.#inFlight.set(row.position, row);
    return row;
  }

  #takeOther(): WaitingRow | null {
    return this.#returned.pop() ?? this.#takeNext();
  }

  /** With rows that were set aside: a connection that could try one comes for it empty-handed. */
  #takeBeside(behind: boolean, othersFirst: boolean): WaitingRow | null {
    const first = !othersFirst && this.#trying === null;
    if (behind) return first ? null : this.#takeOther();
    if (!first && this.#others > 0) return this.#takeOther();
    const row = this.#setAside.shift() ?? null;
    this.#trying = row?.position ?? null;
    return row;
  }

  #takeNext(): WaitingRow | null {
    if (this.#next >= this.#covered) return null;
    const row = this.#rows[this.#next] ?? null;
    this.#rows[this.#next++] = null;
    if (this.#next >= COMPACT_ROWS) this.#compact();
    return row;
  }

  #compact(): void {
    this.#rows.splice(0, this.#next);
    this.#covered -= this.#next;
    this.#named = Math.max(0, this.#named - this.#next);
    this.#next = 0;
  }

  /** The row has an outcome, which is about to be stored. */
  settle(position: number): void {
    this.#leave(position);
    this.#unstored.add(position);
  }

  /** Their outcomes are stored. */
  stored(outcomes: readonly { readonly position: number }[]): void {
    for (const { position } of outcomes) this.#unstored.delete(position);
  }

  /** The row is not sent now, and has no outcome. */
  drop(position: number): void {
    this.#leave(position);
  }

  #leave(position: number): WaitingRow | undefined {
    const row = this.#inFlight.get(position);
    this.#inFlight.delete(position);
    if (this.#trying === position) this.#trying = null;
    return row;
  }

  /** The row's content was not handed over: it is the next to be taken. */
  giveBack(position: number): void {
    const row = this.#leave(position);
    if (row !== undefined) this.#returned.push(row);
  }

  /** As `giveBack`, and it may have been the reason: others go first, until one of them got through. */
  setAside(position: number): void {
    const row = this.#leave(position);
    if (row !== undefined) this.#setAside.push(row);
  }

  /**
   * The positions that the next permit is to name, as pairs first, last: what is in flight, what is settled and not
   * stored, what was given back, and `rows` of what comes next, never less than what the permit before it named.
   */
  cover(rows: number): readonly number[] {
    this.#named = Math.min(this.#rows.length, Math.max(this.#covered, this.#next + rows));
    const back = [...this.#returned, ...this.#setAside].map((row) => row.position);
    const early = [...this.#inFlight.keys(), ...this.#unstored, ...back];
    const pairs: number[] = [];
    for (const position of early.sort((a, b) => a - b)) extend(pairs, position);
    for (let i = this.#next; i < this.#named; i++)
      extend(pairs, (this.#rows[i] as WaitingRow).position);
    return pairs;
  }

  /** The permit of the last `cover` is held. */
  granted(): void {
    this.#covered = Math.max(this.#covered, this.#named);
  }
}

function extend(pairs: number[], position: number): void {
  if (pairs.at(-1) === position - 1) pairs[pairs.length - 1] = position;
  else pairs.push(position, position);
}
