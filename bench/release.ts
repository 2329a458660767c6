/** Release of a signed ring, beside nodemailer's pool with DKIM and smtp-source -d into the same sink, in one run. */

import { smtpSource, startSink } from './far-side.ts';
import { House } from './house.ts';
import { measureNodemailer } from './nodemailer.ts';
import { walk } from './road.ts';
import { log, peopleOf, report } from './run.ts';

const people = peopleOf(100_000);
const sink = await startSink();
const house = await House.open(people);
try {
  const sourceBefore = await smtpSource(sink, Math.min(people, 50_000), 10_240);
  const road = await walk(house, sink.port, 20, log);
  const sourceAfter = await smtpSource(sink, Math.min(people, 50_000), 10_240);
  const { work, csv } = house;
  const peer = await measureNodemailer({
    work,
    csv,
    port: sink.port,
    people: Math.min(people, 5000),
    log,
  });
  const perSecond = road.sending.accepted / road.sending.sendingSeconds;
  const source = (sourceBefore + sourceAfter) / 2;
  report('release', {
    people,
    perSecond,
    nodemailerPerSecond: peer.perSecond,
    nodemailerConnections: peer.connections,
    timesNodemailer: perSecond / peer.perSecond,
    smtpSourcePerSecond: source,
    shareOfSmtpSource: perSecond / source,
    oursMb: road.release.oursMb,
  });
} finally {
  await house.close();
  await sink.stop();
}
