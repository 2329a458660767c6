/** The whole road in measured steps. */

import type { House, Step } from './house.ts';

export interface Released {
  readonly accepted: number;
  readonly sendingSeconds: number;
  readonly signingSeconds: number;
}

export interface RoadSteps {
  readonly import: Step;
  readonly freeze: Step;
  readonly prepare: Step;
  readonly approve: Step;
  /** Signing and sending: `sending` has the time of each. */
  readonly release: Step;
  readonly sending: Released;
}

function step({ seconds, cpu, oursMb, postgresMb }: Step): Step {
  return { seconds, cpu, oursMb, postgresMb };
}

/** Import, freeze, prepare, approve, sign, release to a sink on this machine. */
export async function walk(
  house: House,
  port: number,
  connections: number,
  log: (line: string) => void,
): Promise<RoadSteps> {
  const as = (name: string): string[] => ['--as', name];
  const imported = await house.command(['customers', 'import', house.csv, ...as('alice')]);
  log(`import ${imported.seconds.toFixed(1)} s`);
  const route = `smtp://127.0.0.1:${port}?tls=none&connections=${connections}`;
  const create = ['broadcast', 'create', house.notice, '--route', route, ...as('alice')];
  const made = await house.command<{ broadcast: string }>(create);
  log(`freeze ${made.seconds.toFixed(1)} s`);
  const id = made.value.broadcast;
  const prepared = await house.command(['broadcast', 'prepare', id, ...as('alice')]);
  log(`prepare ${prepared.seconds.toFixed(1)} s`);
  const approved = await house.command(['broadcast', 'approve', id, ...as('bob'), '--yes']);
  const released = await house.command<{ kind: string; progress: Released }>([
    'broadcast',
    'release',
    id,
    ...as('alice'),
  ]);
  if (released.value.kind !== 'complete')
    throw new Error(`the release ended as ${JSON.stringify(released.value)}`);
  const { accepted, sendingSeconds, signingSeconds } = released.value.progress;
  log(`sign ${signingSeconds.toFixed(1)} s, send ${sendingSeconds.toFixed(1)} s, ${accepted}`);
  return {
    import: step(imported),
    freeze: step(made),
    prepare: step(prepared),
    approve: step(approved),
    release: step(released),
    sending: { accepted, sendingSeconds, signingSeconds },
  };
}
