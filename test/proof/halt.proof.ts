/** A release through a link of 50 ms one way, halted ten times: when halt returns, and what arrives after it. */

import { haltRun } from '../support/halt-run.ts';

export const name = 'halt';

export async function run(options: {
  readonly log: (line: string) => void;
  readonly seed: number;
}): Promise<Record<string, number | string | object>> {
  const { measures, ...setting } = await haltRun({
    people: 4000,
    halts: 10,
    connections: 20,
    delayMs: 50,
    seed: options.seed,
    log: options.log,
  });
  const worst = (of: (measure: (typeof measures)[number]) => number): number =>
    Math.max(...measures.map(of));
  return {
    ...setting,
    seed: options.seed,
    halts: measures.length,
    returnedMsMax: worst(({ returnedMs }) => returnedMs),
    late: measures.reduce((sum, { late }) => sum + late, 0),
    lastContentMsMax: worst(({ lastContentMs }) => lastContentMs),
    slackMsMax: worst(({ slackMs }) => slackMs),
    inFlightPerConnectionMax: worst((measure) => measure.inFlightPerConnectionMax),
    inFlight: measures.reduce((sum, { inFlight }) => sum + inFlight, 0),
  };
}
