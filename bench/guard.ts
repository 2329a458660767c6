/**
 * The relay with everything on, beside Haraka and Postfix forwarding the same mail to the same sink without looking at it:
 * messages per second, the latency added, memory over a long run, and what judging alone costs.
 */

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { judge } from '../src/guard/judge.ts';
import { policyFrom } from '../src/policy/policy.ts';
import { freePort, startSink } from './far-side.ts';
import { House } from './house.ts';
import { startHaraka, startPostfixRelay } from './relays.ts';
import { log, peopleOf, report } from './run.ts';

const LOAD = fileURLToPath(new URL('./smtp-load.mjs', import.meta.url));
const MESSAGE_BYTES = 3072;
const CONNECTIONS = 20;
const MESSAGES = 20_000;
const POSTFIX_MESSAGES = 3000;
const LEAK_EVERY = 1000;
/** Share of its own highest rate at which the latency is measured. */
const EASY = 0.6;
const LONG_RUNS = 5;

interface Load {
  readonly perSecond: number;
  readonly accepted: number;
  readonly refused: number;
  readonly leaksAccepted: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

async function load(port: number, messages: number, leaks: boolean, perSecond = 0): Promise<Load> {
  const request = {
    port,
    connections: CONNECTIONS,
    messages,
    bytes: MESSAGE_BYTES,
    leakEvery: leaks ? LEAK_EVERY : 0,
    perSecond,
  };
  const { stdout } = await promisify(execFile)(process.execPath, [LOAD, JSON.stringify(request)]);
  return JSON.parse(stdout) as Load;
}

function messageOf(recipients: number, bytes: number): Buffer {
  const to = Array.from({ length: recipients }, (_, i) => `person${i}@webmail.example`);
  const head = `From: a@northwind.example\r\nTo: ${to.join(',\r\n ')}\r\nSubject: s\r\n\r\n`;
  return Buffer.from(
    head + 'The weights are rounded to four places.\r\n'.repeat(Math.ceil(bytes / 41)),
  );
}

/** Milliseconds to judge one message to this many readers: the least of several. */
function judgeMs(recipients: number, bytes: number): number {
  const policy = policyFrom('bulk', { companyDomains: ['northwind.example'] });
  const envelope = {
    from: 'a@northwind.example',
    recipients: Array.from({ length: recipients }, (_, i) => `person${i}@webmail.example`),
    smtpUtf8: false,
  };
  const message = messageOf(recipients, bytes);
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 10; i++) {
    const started = performance.now();
    judge({ envelope, bytes: message }, { policy });
    least = Math.min(least, performance.now() - started);
  }
  return least;
}

/** Messages of 100 KB judged per second on one core, warm. */
function judgedPerSecond(): number {
  const policy = policyFrom('bulk', { companyDomains: ['northwind.example'] });
  const envelope = {
    from: 'a@northwind.example',
    recipients: ['person0@webmail.example'],
    smtpUtf8: false,
  };
  const message = messageOf(1, 100_000);
  let best = 0;
  for (let round = 0; round < 3; round++) {
    const started = performance.now();
    for (let i = 0; i < 1000; i++) judge({ envelope, bytes: message }, { policy });
    best = Math.max(best, 1000 / ((performance.now() - started) / 1000));
  }
  return best;
}

const known = peopleOf(1_000_000);
const sink = await startSink();
const port = await freePort();
const house = await House.open(known, {
  companyDomains: ['northwind.example'],
  gates: {
    smtp: {
      listen: `127.0.0.1:${port}`,
      nextHop: `127.0.0.1:${sink.port}`,
      tls: 'none',
      anonymous: 'transactional',
    },
  },
});
try {
  const imported = await house.command(['customers', 'import', house.csv, '--as', 'alice']);
  log(`${known} known addresses in ${imported.seconds.toFixed(1)} s`);
  await load(port, 2000, false);
  const ours = await load(port, MESSAGES, true);
  log(`ours ${ours.perSecond.toFixed(0)}/s, ${ours.refused} refused`);
  const straight = await load(sink.port, MESSAGES, false, ours.perSecond * EASY);
  const easy = await load(port, MESSAGES, false, ours.perSecond * EASY);
  house.memory();
  const memory: number[] = [];
  for (let i = 0; i < LONG_RUNS; i++) {
    await load(port, MESSAGES, true);
    memory.push(house.memory().oursMb);
  }
  const haraka = await startHaraka(house.work, sink.port);
  await load(haraka.port, 500, false);
  const theirs = await load(haraka.port, MESSAGES / 4, false);
  await haraka.stop();
  log(`Haraka ${theirs.perSecond.toFixed(0)}/s`);
  const postfix = await startPostfixRelay(sink.port);
  const postfixLoad = await load(postfix.port, POSTFIX_MESSAGES, false);
  await postfix.stop();
  log(`Postfix ${postfixLoad.perSecond.toFixed(0)}/s`);
  report('guard', {
    people: known,
    perSecond: ours.perSecond,
    refusedLeaks: ours.refused,
    leaksAccepted: ours.leaksAccepted,
    harakaPerSecond: theirs.perSecond,
    timesHaraka: ours.perSecond / theirs.perSecond,
    postfixPerSecond: postfixLoad.perSecond,
    timesPostfix: ours.perSecond / postfixLoad.perSecond,
    addedP50Ms: easy.p50Ms - straight.p50Ms,
    addedP99Ms: easy.p99Ms - straight.p99Ms,
    memoryMb: memory,
    judge1000Ms: judgeMs(1000, 3000),
    judge10000Ms: judgeMs(10_000, 3000),
    judged100KbPerSecond: judgedPerSecond(),
  });
} finally {
  await house.close();
  await sink.stop();
}
