/** A million recipients: wall time of each step, and the memory of our processes beside that of 10,000. */

import { startSink } from './far-side.ts';
import { House, type Step } from './house.ts';
import { type RoadSteps, walk } from './road.ts';
import { log, peopleOf, report } from './run.ts';

const people = peopleOf(1_000_000);
const SMALL = 10_000;

async function once(count: number): Promise<RoadSteps> {
  const sink = await startSink();
  const house = await House.open(count);
  try {
    return await walk(house, sink.port, 20, log);
  } finally {
    await house.close();
    await sink.stop();
  }
}

const steps = (road: RoadSteps): readonly Step[] => [
  road.import,
  road.freeze,
  road.prepare,
  road.approve,
  road.release,
];
const peak = (road: RoadSteps, key: 'oursMb' | 'postgresMb'): number =>
  Math.max(...steps(road).map((step) => step[key]));

const small = await once(Math.min(SMALL, people));
const large = await once(people);
report('million', {
  people,
  seconds: steps(large).reduce((sum, step) => sum + step.seconds, 0),
  releaseSeconds: large.sending.sendingSeconds,
  importSeconds: large.import.seconds,
  freezeSeconds: large.freeze.seconds,
  prepareSeconds: large.prepare.seconds,
  signSeconds: large.sending.signingSeconds,
  peakMb: peak(large, 'oursMb'),
  peakMbOf10000: peak(small, 'oursMb'),
  postgresPeakMb: peak(large, 'postgresMb'),
  peakMbByStep: {
    import: large.import.oursMb,
    freeze: large.freeze.oursMb,
    prepare: large.prepare.oursMb,
    release: large.release.oursMb,
  },
});
