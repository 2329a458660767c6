/** The whole job (import, freeze, prepare, approve, sign, release) beside nodemailer's pool with DKIM, in one run. */

import { startSink } from './far-side.ts';
import { House, type Step } from './house.ts';
import { measureNodemailer } from './nodemailer.ts';
import { walk } from './road.ts';
import { log, peopleOf, report } from './run.ts';

const people = peopleOf(100_000);
const sink = await startSink();
const house = await House.open(people);
try {
  const road = await walk(house, sink.port, 20, log);
  const { work, csv } = house;
  const peer = await measureNodemailer({ work, csv, port: sink.port, people, log });
  const steps: readonly Step[] = [
    road.import,
    road.freeze,
    road.prepare,
    road.approve,
    road.release,
  ];
  const sum = (value: (step: Step) => number): number =>
    steps.reduce((total, step) => total + value(step), 0);
  const seconds = sum((step) => step.seconds);
  const ours = (sum((step) => step.cpu.ours) * 1000) / people;
  const postgres = (sum((step) => step.cpu.postgres) * 1000) / people;
  const theirs = (peer.cpuSeconds * 1000) / people;
  report('whole-job', {
    people,
    seconds,
    nodemailerSeconds: peer.seconds,
    nodemailerConnections: peer.connections,
    timesNodemailer: peer.seconds / seconds,
    cpuSecondsPer1000: ours,
    postgresCpuSecondsPer1000: postgres,
    nodemailerCpuSecondsPer1000: theirs,
    cpuRatio: theirs / ours,
    cpuRatioWithPostgres: theirs / (ours + postgres),
    steps: {
      import: road.import.seconds,
      freeze: road.freeze.seconds,
      prepare: road.prepare.seconds,
      approve: road.approve.seconds,
      sign: road.sending.signingSeconds,
      release: road.sending.sendingSeconds,
    },
  });
} finally {
  await house.close();
  await sink.stop();
}
