/** `kill -9` of the whole process group at ten random moments of a 20,000-recipient release, each followed by a resume. */

import { type CrashResult, crashRun } from '../support/crash-run.ts';

export const name = 'crash';

export async function run(options: {
  readonly log: (line: string) => void;
  readonly seed: number;
}): Promise<Record<string, number | string | object>> {
  const result: CrashResult = await crashRun({
    people: 20_000,
    kills: 10,
    seed: options.seed,
    connections: 20,
    sink: { delayMs: 10 },
    postgresToo: [4, 9],
    log: options.log,
  });
  return { ...result };
}
