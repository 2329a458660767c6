/**
 * The relay with everything on (enforce, verdicts recorded, a register of known addresses), beside Haraka and Postfix forwarding
 * the same mail to the same sink without looking at it.
 *
 *     node bench/guard.ts [--people 1000000] [--messages 100000] [--rounds 3]
 *
 * `--people` known addresses, `--messages` in the long run. Prints one JSON document:
 *
 * - `perSecond`, `harakaPerSecond`, `postfixPerSecond`: the median of `rounds`, taken in turn; 3 KB, each of them in the way that
 *   it is fastest (`ways`: a number of connections, with or without PIPELINING), until the last accepted message is in the sink;
 *   `triedPerSecond` has all ways. `timesHaraka`, `timesPostfix`: their ratios.
 * - `leaks`, `leaksRefused`, `leaksAccepted`: every thousandth message shows two people to each other; `lost`: accepted and not
 *   in the sink, or the other way round, over all messages through us.
 * - `addedP50Ms`, `addedP99Ms`: from the last byte of content to its reply, at 60 % of `perSecond`, beyond what the sink itself
 *   takes at that rate. `fromDueP50Ms`, `fromDueP99Ms`: the whole transaction from when the message was due, nothing taken off.
 * - `microseconds`: CPU a message of each process at full speed: ours, PostgreSQL's, the sink's, the source's, Haraka's own.
 * - `memoryMb`: our highest memory (proportional set size) in each tenth of the long run; `memoryGrowthMb`: from the second
 *   tenth to the last; `longRunPerSecond`: each tenth's speed.
 * - `judgeMs`: one call to 1,000, 10,000 and 20,000 readers, judged in this process; `gateMs`: the same from the last byte at
 *   the gate to the refusal. `judged100KbPerSecond`: messages of 100 KB judged by one core, for each kind of content.
 */

import { parseArgs } from 'node:util';
import { freePort, startCountingSink } from './far-side.ts';
import { type Load, type LoadRequest, Loads, writeAddresses } from './guard-load.ts';
import { House } from './house.ts';
import { JUDGED, judged100KbPerSecond, judgeMs, refusalMs } from './judging.ts';
import { type Relay, startHaraka, startPostfixRelay } from './relays.ts';
import { log, report } from './run.ts';
import { cpuSecondsOf } from './usage.ts';

const LEAK_EVERY = 1000;
/** Share of its own highest rate at which the latency is measured. */
const EASY = 0.6;
const TENTHS = 10;
/** Seconds that one load of a relay should take about. */
const LOAD_SECONDS = 6;
const LOAD_MAX = 20_000;

const { values } = parseArgs({
  options: {
    people: { type: 'string', default: '1000000' },
    messages: { type: 'string', default: '100000' },
    rounds: { type: 'string', default: '3' },
  },
});
const people = Number(values.people);
const messages = Number(values.messages);
const rounds = Number(values.rounds);
if (!(people >= 100 && messages >= 1000 && rounds >= 1))
  throw new Error('--people is at least 100, --messages 1000, --rounds 1');

interface Contestant {
  readonly name: string;
  readonly port: number;
  readonly leaks: boolean;
  /** Messages before anything is measured: Node compiles what is hot, which takes it some ten thousand. */
  readonly warmUp: number;
  readonly cpu: () => Readonly<Record<string, number>>;
}

/** How a source talks to a relay. */
interface Way {
  readonly connections: number;
  readonly pipelining: boolean;
}

interface Raced extends Contestant {
  /** Messages a second in every way, once. */
  readonly tried: Readonly<Record<string, number>>;
  /** The way that suits it best. */
  readonly way: Way;
  readonly loads: readonly Load[];
}

const WAYS: readonly Way[] = [20, 60, 200].flatMap((connections) =>
  [false, true].map((pipelining) => ({ connections, pipelining })),
);

const nameOf = ({ connections, pipelining }: Way): string =>
  `${connections}${pipelining ? ' pipelining' : ''}`;

/** In every way, after a warm-up. */
async function tried(
  loads: Loads,
  { name, port, warmUp }: Contestant,
): Promise<Pick<Raced, 'tried' | 'way'> & { readonly perSecond: number }> {
  const speeds: Record<string, number> = {};
  let best = { way: WAYS[0] as Way, perSecond: 0 };
  await loads.run({ port, messages: warmUp, connections: 60 });
  for (const way of WAYS) {
    const { perSecond } = await loads.run({ port, messages: 2000, ...way });
    speeds[nameOf(way)] = Math.round(perSecond);
    if (perSecond > best.perSecond) best = { way, perSecond };
  }
  log(`${name} by connections: ${JSON.stringify(speeds)}`);
  return { tried: speeds, ...best };
}

/** All of them in turn, so that whatever else the machine does meets each of them. */
async function race(loads: Loads, contestants: readonly Contestant[]): Promise<readonly Raced[]> {
  const racing: (Raced & { readonly messages: number; readonly loads: Load[] })[] = [];
  for (const one of contestants) {
    const { perSecond, ...found } = await tried(loads, one);
    const wanted = Math.ceil((perSecond * LOAD_SECONDS) / LEAK_EVERY) * LEAK_EVERY;
    racing.push({ ...one, ...found, messages: Math.min(LOAD_MAX, wanted), loads: [] });
  }
  for (let round = 0; round < rounds; round++) {
    for (const one of racing) {
      const { port, way, messages: count } = one;
      const leakEvery = one.leaks ? LEAK_EVERY : 0;
      const load = await loads.run({ port, messages: count, ...way, leakEvery }, one.cpu);
      log(`${one.name} ${load.perSecond.toFixed(0)}/s ${JSON.stringify(rounded(load.cpu))}`);
      one.loads.push(load);
    }
  }
  return racing;
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((one, other) => one - other);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
}

function rounded(record: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, Math.round(value)]));
}

/** Of each process, the median of the rounds. */
function cpuOf(raced: Raced): Record<string, number> {
  const names = Object.keys(raced.loads[0]?.cpu ?? {});
  return rounded(
    Object.fromEntries(
      names.map((name) => [name, median(raced.loads.map(({ cpu }) => cpu[name] ?? 0))]),
    ),
  );
}

const speedOf = (raced: Raced): number => median(raced.loads.map(({ perSecond }) => perSecond));

interface Latency {
  readonly perSecond: number;
  readonly straight: Load;
  readonly ours: Load;
}

/** The sink alone and ours at one rate, in turn; the round with the median of what ours adds. */
async function latencyAt(
  loads: Loads,
  sinkPort: number,
  port: number,
  perSecond: number,
): Promise<Latency> {
  const request: Omit<LoadRequest, 'port'> = {
    messages: Math.min(LOAD_MAX, Math.ceil(perSecond * LOAD_SECONDS)),
    perSecond,
    connections: 20,
  };
  const pairs: Latency[] = [];
  for (let round = 0; round < rounds; round++) {
    const straight = await loads.run({ ...request, port: sinkPort });
    const ours = await loads.run({ ...request, port });
    if (ours.perSecond < perSecond * 0.98)
      log(`asked for ${perSecond.toFixed(0)}/s, sent ${ours.perSecond.toFixed(0)}/s`);
    pairs.push({ perSecond, straight, ours });
  }
  const added = ({ ours, straight }: Latency): number => ours.p99Ms - straight.p99Ms;
  pairs.sort((one, other) => added(one) - added(other));
  const middle = pairs[pairs.length >> 1];
  if (middle === undefined) throw new Error('no round was run');
  return middle;
}

interface LongRun {
  readonly memoryMb: readonly number[];
  readonly perSecond: readonly number[];
  readonly loads: readonly Load[];
}

async function longRun(loads: Loads, house: House, port: number, way: Way): Promise<LongRun> {
  const done: Load[] = [];
  const memoryMb: number[] = [];
  house.memory();
  for (let tenth = 0; tenth < TENTHS; tenth++) {
    const request = { port, messages: messages / TENTHS, leakEvery: LEAK_EVERY, ...way };
    done.push(await loads.run(request, () => ({ ...house.cpu() })));
    const { oursMb, postgresMb } = house.memory();
    memoryMb.push(oursMb);
    log(`${((tenth + 1) * messages) / TENTHS} messages: ${oursMb} MB, PostgreSQL ${postgresMb} MB`);
  }
  return { memoryMb, perSecond: done.map((load) => Math.round(load.perSecond)), loads: done };
}

/** A relay that lets one leak through, or loses a message, has no speed worth a figure. */
function checkLeaks(all: readonly Load[]): void {
  for (const { leaks, refused, leaksAccepted, deferred, lost } of all)
    if (leaksAccepted > 0 || refused !== leaks || deferred > 0 || lost !== 0)
      throw new Error(
        `${leaks} leaks: ${refused} refused, ${leaksAccepted} accepted; ${deferred} deferred, ${lost} lost`,
      );
  if (!all.some(({ leaks }) => leaks > 0)) throw new Error('no message was a leak');
}

async function measured(house: House, loads: Loads, sinkPort: number, port: number): Promise<void> {
  const relays: Relay[] = [];
  try {
    relays.push(await startHaraka(house.work, sinkPort));
    relays.push(await startPostfixRelay(sinkPort));
    const peers: Contestant[] = relays.map(({ name, port: theirs, pid }) => ({
      name,
      port: theirs,
      leaks: false,
      warmUp: pid === null ? 500 : 10_000,
      cpu: () => (pid === null ? {} : { [name.toLowerCase()]: cpuSecondsOf(pid) }),
    }));
    const cpu = (): Record<string, number> => ({ ...house.cpu() });
    const own = { name: 'ours', port, leaks: true, warmUp: 10_000, cpu };
    const [ours, haraka, postfix] = await race(loads, [own, ...peers]);
    if (ours === undefined || haraka === undefined || postfix === undefined)
      throw new Error('a relay is missing');
    for (const relay of relays.splice(0)) await relay.stop();
    const latency = await latencyAt(loads, sinkPort, port, speedOf(ours) * EASY);
    const long = await longRun(loads, house, port, ours.way);
    const all = [...ours.loads, latency.ours, ...long.loads];
    checkLeaks(all);
    const byName = <T>(of: (one: Raced) => T): Record<string, T> =>
      Object.fromEntries([ours, haraka, postfix].map((one) => [one.name.toLowerCase(), of(one)]));
    const sum = (of: (load: Load) => number): number =>
      all.reduce((total, load) => total + of(load), 0);
    const gateMs: Record<string, number> = {};
    for (const count of JUDGED.slice(0, 2)) gateMs[count] = await refusalMs(port, count);
    report('guard', {
      people,
      messages,
      perSecond: speedOf(ours),
      harakaPerSecond: speedOf(haraka),
      postfixPerSecond: speedOf(postfix),
      timesHaraka: speedOf(ours) / speedOf(haraka),
      timesPostfix: speedOf(ours) / speedOf(postfix),
      ways: byName((one) => nameOf(one.way)),
      triedPerSecond: byName((one) => one.tried),
      leaks: sum((load) => load.leaks),
      leaksRefused: sum((load) => load.refused),
      leaksAccepted: sum((load) => load.leaksAccepted),
      deferred: sum((load) => load.deferred),
      lost: all.reduce((total, load) => total + Math.abs(load.lost), 0),
      latencyPerSecond: latency.ours.perSecond,
      addedP50Ms: latency.ours.p50Ms - latency.straight.p50Ms,
      addedP99Ms: latency.ours.p99Ms - latency.straight.p99Ms,
      fromDueP50Ms: latency.ours.fromDueP50Ms,
      fromDueP99Ms: latency.ours.fromDueP99Ms,
      sinkP50Ms: latency.straight.p50Ms,
      sinkP99Ms: latency.straight.p99Ms,
      microseconds: cpuOf(ours),
      harakaMicroseconds: cpuOf(haraka),
      memoryMb: long.memoryMb,
      memoryGrowthMb: (long.memoryMb.at(-1) ?? 0) - (long.memoryMb[1] ?? 0),
      longRunPerSecond: long.perSecond,
      gateMs,
      judgeMs: Object.fromEntries(JUDGED.map((count) => [count, judgeMs(count)])),
      judged100KbPerSecond: judged100KbPerSecond(),
    });
  } finally {
    for (const relay of relays) await relay.stop();
  }
}

const sink = await startCountingSink();
try {
  const port = await freePort();
  const house = await House.open(people, {
    companyDomains: ['northwind.example'],
    roleAddresses: ['support@northwind.example'],
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
    log(`${people} known addresses in ${imported.seconds.toFixed(1)} s`);
    const loads = new Loads(sink, await writeAddresses(house.csv, house.work));
    await measured(house, loads, sink.port, port);
  } finally {
    await house.close();
  }
} finally {
  await sink.stop();
}
