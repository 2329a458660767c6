/**
 * Which messages are at fault themselves when a connection is lost before their content, and which only stood in line
 * at a far side that was down. Invariant: no message is blamed on the word of its own losses alone; others got through.
 */

/** Losses between which others got through. */
const STRIKES_MAX = 3;
/** With nobody left to compare it with, a message is given this long: a mail server that starts anew takes seconds. */
const ALONE_MS = 10_000;

interface Struck {
  strikes: number;
  losses: number;
  readonly firstMs: number;
  /** How many had been answered at its last strike. */
  answered: number;
}

export class Strikes {
  readonly #struck = new Map<number, Struck>();
  /** At fault in an earlier attempt. */
  readonly #known: Set<number>;
  #answered = 0;
  #answeredAtLoss = -1;

  /** @param known positions that were at fault in an attempt before this start. */
  constructor(known: Iterable<number>) {
    this.#known = new Set(known);
  }

  /** The far side has answered this message: the route is there, and the message is not at fault. */
  answered(position: number): void {
    this.#answered++;
    if (this.#struck.size > 0) this.#struck.delete(position);
  }

  /** Whether nobody has been answered since the last loss. */
  get othersFirst(): boolean {
    return this.#answered === this.#answeredAtLoss;
  }

  /**
   * The connection was lost before the content of this message was whole.
   * @param alone nobody but such messages is waiting or in flight.
   * @param nowMs of the monotonic clock.
   * @returns whether the message is at fault; it is forgotten then but for later attempts.
   */
  lost(position: number, alone: boolean, nowMs: number): boolean {
    this.#answeredAtLoss = this.#answered;
    if (this.#known.has(position)) return true;
    const struck = this.#struckAt(position, nowMs);
    struck.losses++;
    if (struck.strikes === 0 || this.#answered > struck.answered) {
      struck.strikes++;
      struck.answered = this.#answered;
    }
    if (struck.strikes < STRIKES_MAX && !this.#isLeftOver(struck, alone, nowMs)) return false;
    this.#struck.delete(position);
    this.#known.add(position);
    return true;
  }

  #struckAt(position: number, nowMs: number): Struck {
    const known = this.#struck.get(position);
    if (known !== undefined) return known;
    const struck = { strikes: 0, losses: 0, firstMs: nowMs, answered: 0 };
    this.#struck.set(position, struck);
    return struck;
  }

  /** Everybody else has been answered, and this one is lost again and again. */
  #isLeftOver(struck: Struck, alone: boolean, nowMs: number): boolean {
    if (!alone || this.#answered === 0 || struck.losses < STRIKES_MAX) return false;
    return nowMs - struck.firstMs >= ALONE_MS;
  }
}
