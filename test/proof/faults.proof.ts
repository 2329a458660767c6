/** Faults times places in three runs, with the table. */

import { RUNS, runMatrix, tableOf } from '../support/faults/matrix.ts';

export const name = 'faults that must not leak';

const CLEAN = 3000;

/** Throws where a fault leaked with a look in place, or did not leak without any. */
export async function run(options: {
  readonly log: (line: string) => void;
  readonly seed: number;
}): Promise<Record<string, number | string | object>> {
  const matrix = await runMatrix(CLEAN);
  const tables: Record<string, readonly string[]> = {};
  for (const each of RUNS) {
    const table = tableOf(matrix, each);
    tables[each] = table.split('\n');
    options.log(`${table}\n`);
  }
  const sum = (
    run: string,
  ): { readonly run: number; readonly bytes: number; readonly leaked: number } => {
    const cells = matrix.cells.filter((cell) => cell.run === run && !cell.by.startsWith('–'));
    const bytes = cells.reduce((total, cell) => total + cell.bytes, 0);
    return { run: cells.length, bytes, leaked: cells.filter((cell) => cell.leaked).length };
  };
  const [shipped, detectOff, bothOff] = RUNS.map(sum);
  if (shipped === undefined || detectOff === undefined || bothOff === undefined)
    throw new Error('a run is missing');
  if (shipped.bytes + detectOff.bytes > 0)
    throw new Error('a message with a fault was handed over');
  if (bothOff.leaked !== bothOff.run) throw new Error('a fault did not leak with every look off');
  if (matrix.clean !== matrix.cleanWanted) throw new Error('a message without a fault is missing');
  return {
    shipped,
    detectOff,
    bothOff,
    cleanDelivered: matrix.clean,
    cleanWanted: matrix.cleanWanted,
    tables,
  };
}
