/** The whole road in measured steps. */

import { type Created, type Released, roadCommands } from '../demo/road-commands.ts';
import type { House, Step } from './house.ts';

export interface RoadSteps {
  readonly import: Step;
  readonly freeze: Step;
  readonly prepare: Step;
  readonly approve: Step;
  /** Signing and sending: `sending` has the time of each. */
  readonly release: Step;
  readonly sending: Released['progress'];
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
  const imported = await house.command(roadCommands.import(house.csv));
  log(`import ${imported.seconds.toFixed(1)} s`);
  const route = `smtp://127.0.0.1:${port}?tls=none&connections=${connections}`;
  const made = await house.command<Created>(roadCommands.create(house.notice, route));
  log(`freeze ${made.seconds.toFixed(1)} s`);
  const id = made.value.broadcast;
  const prepared = await house.command(roadCommands.prepare(id));
  log(`prepare ${prepared.seconds.toFixed(1)} s`);
  const approved = await house.command(roadCommands.approve(id));
  const released = await house.command<Released>(roadCommands.release(id));
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
