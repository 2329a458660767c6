/** What every benchmark shares: its arguments, its one JSON document, its table. */

import { availableParallelism, cpus, totalmem } from 'node:os';
import { parseArgs } from 'node:util';

export type Figures = Readonly<Record<string, unknown>>;

/** `--people N`, or what the benchmark is made for. */
export function peopleOf(usual: number, most = 1_000_000): number {
  const { values } = parseArgs({ options: { people: { type: 'string' } } });
  const people = Number(values.people ?? usual);
  if (!Number.isInteger(people) || people < 100 || people > most)
    throw new Error(`--people is a whole number from 100 to ${most}`);
  return people;
}

export const log = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

/** Prints the table on standard error and the document on standard output. */
export function report(name: string, figures: Figures): void {
  const machine = {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryMb: Math.round(totalmem() / 1_048_576),
    node: process.version,
  };
  for (const [key, value] of Object.entries(figures))
    log(
      `${key.padEnd(32)} ${typeof value === 'number' ? Math.round(value * 1000) / 1000 : JSON.stringify(value)}`,
    );
  process.stdout.write(`${JSON.stringify({ name, machine, ...figures })}\n`);
}
