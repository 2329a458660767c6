/** One query at a time for everybody who asked while the one before ran: many calls at once cost few queries, and none waits for a timer. */

interface Asked<Row> {
  readonly keys: readonly Buffer[];
  resolve(rows: readonly Row[]): void;
  reject(error: unknown): void;
}

export class BatchedLookup<Row> {
  readonly #ask: (keys: readonly Buffer[]) => Promise<readonly Row[]>;
  readonly #keyOf: (row: Row) => Buffer;
  #waiting: Asked<Row>[] = [];
  #isBusy = false;

  /** @param keyOf the key that a row was found by. */
  constructor(
    ask: (keys: readonly Buffer[]) => Promise<readonly Row[]>,
    keyOf: (row: Row) => Buffer,
  ) {
    this.#ask = ask;
    this.#keyOf = keyOf;
  }

  /** The rows of these keys. Rejects as the query does. */
  find(keys: readonly Buffer[]): Promise<readonly Row[]> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ keys, resolve, reject });
      if (!this.#isBusy) void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#isBusy = true;
    while (this.#waiting.length > 0) {
      // Calls that come in the same turn are asked for together.
      await Promise.resolve();
      const batch = this.#waiting.splice(0);
      try {
        this.#answer(batch, await this.#ask(batch.flatMap(({ keys }) => keys)));
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    this.#isBusy = false;
  }

  #answer(batch: readonly Asked<Row>[], rows: readonly Row[]): void {
    const byKey = new Map<string, Row[]>();
    for (const row of rows) {
      const key = this.#keyOf(row).toString('latin1');
      const before = byKey.get(key);
      if (before === undefined) byKey.set(key, [row]);
      else before.push(row);
    }
    for (const { keys, resolve } of batch)
      resolve(
        byKey.size === 0 ? [] : keys.flatMap((key) => byKey.get(key.toString('latin1')) ?? []),
      );
  }
}
