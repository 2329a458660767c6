/**
 * Writes the measured figures into README.md, between its marks, from docs/measured.json (`npm run proof`).
 *
 *     node scripts/readme-figures.mjs [--check]
 *
 * No figure is typed by hand: what was not measured is not in the table. With --check nothing is written, and the
 * status is 1 when README.md says anything else.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const ROOT = path.dirname(import.meta.dirname);
const README = process.env.README_FILE ?? path.join(ROOT, 'README.md');
const MEASURED = process.env.MEASURED_FILE ?? path.join(ROOT, 'docs/measured.json');
const BEGIN = '<!-- measured:begin -->';
const END = '<!-- measured:end -->';
const ROWS_MAX = 40;

const number = (value) =>
  Number.isInteger(value)
    ? value.toLocaleString('en-US')
    : value.toLocaleString('en-US', { maximumSignificantDigits: 3 });

/** `acceptedPerSecond` and `accepted_per_second` as `accepted per second`. */
const words = (name) =>
  name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/[_.-]+/g, ' ')
    .toLowerCase();

/** The figures of one measurement as `name: value`, nested ones with their path. */
function figures(result, before = '') {
  return Object.entries(result).flatMap(([name, value]) => {
    const label = before === '' ? words(name) : `${before}, ${words(name)}`;
    if (typeof value === 'number') return [[label, number(value)]];
    if (typeof value === 'string') return [[label, value.replaceAll('|', '\\|')]];
    if (value === null || typeof value !== 'object' || Array.isArray(value)) return [];
    return figures(value, label);
  });
}

const times = (value) => `${value.toFixed(1)}x`;
const percent = (value) => `${Math.round(value * 100)} %`;

/** What the benchmarks are about, in words; anything else is shown as it stands. */
const HEADLINES = {
  'whole-job': (r) => [
    [
      `Import, freeze, prepare, approve, sign and release of ${number(r.people)} people, 10 KB each`,
      `**${r.seconds.toFixed(1)} s**; nodemailer's pool with its DKIM, sending alone, at its best of four connection counts: ${r.nodemailerSeconds.toFixed(1)} s (**${times(r.timesNodemailer)}**)`,
    ],
    [
      'CPU seconds per 1,000 people, PostgreSQL apart',
      `**${r.cpuSecondsPer1000.toFixed(2)}** (PostgreSQL ${r.postgresCpuSecondsPer1000.toFixed(2)}); nodemailer ${r.nodemailerCpuSecondsPer1000.toFixed(2)}`,
    ],
  ],
  release: (r) => [
    [
      `Release of a signed broadcast, ${number(r.people)} people`,
      `**${number(Math.round(r.perSecond))}/s**: **${times(r.timesNodemailer)}** nodemailer's ${number(Math.round(r.nodemailerPerSecond))}/s, **${percent(r.shareOfSmtpSource)}** of what \`smtp-source -d\` does into the same sink`,
    ],
  ],
  prepare: (r) => [
    [
      `Prepare and sign together, ${number(r.people)} people`,
      `**${number(Math.round(r.perSecond))}/s**, ${percent(r.shareOfBound)} of what signing alone allows on this machine (${number(Math.round(r.signingBoundPerSecond))}/s)`,
    ],
    [
      'Memory of server and command while preparing, PostgreSQL apart (PSS)',
      `${number(r.prepareOursMb)} MB`,
    ],
  ],
  million: (r) => [
    [
      `The whole road of ${number(r.people)} people`,
      `**${number(Math.round(r.seconds))} s** (import ${number(Math.round(r.importSeconds))}, freeze ${number(Math.round(r.freezeSeconds))}, prepare ${number(Math.round(r.prepareSeconds))}, sign ${number(Math.round(r.signSeconds))}, release **${number(Math.round(r.releaseSeconds))}**); memory ${number(r.peakMb)} MB at most, ${number(r.peakMbOf10000)} MB at 10,000 people`,
    ],
  ],
  'customer-index': (r) => [
    [
      `The customer index of ${number(r.people)} addresses, read from the database`,
      `**${r.seconds.toFixed(1)} s**, **${number(Math.round(r.tableMb))} MB**; ${r.lookupMicroseconds.toFixed(1)} µs a look-up`,
    ],
  ],
  guard: (r) => [
    [
      `Relay, everything inspected, ${number(r.people)} known addresses, 3 KB; ${number(r.leaks)} leaks among the messages`,
      `**${number(Math.round(r.perSecond))}/s**: **${times(r.timesHaraka)}** Haraka's ${number(Math.round(r.harakaPerSecond))}/s and **${times(r.timesPostfix)}** Postfix's ${number(Math.round(r.postfixPerSecond))}/s, both forwarding without a look; ${number(r.leaksRefused)} leaks refused, ${number(r.lost)} messages lost`,
    ],
    [
      'Latency it adds at 60 % of that rate',
      `p50 **${r.addedP50Ms.toFixed(1)} ms**, p99 **${r.addedP99Ms.toFixed(1)} ms**`,
    ],
    [
      'One call that shows its readers to each other, judged',
      `1,000 readers **${number(r.judgeMs[1000])} ms**, 10,000 **${number(r.judgeMs[10000])} ms**, 20,000 ${number(r.judgeMs[20000])} ms`,
    ],
    [
      'Messages of 100 KB judged by one core',
      `text ${number(Math.round(r.judged100KbPerSecond.text))}/s, HTML ${number(Math.round(r.judged100KbPerSecond.html))}/s, with an attachment ${number(Math.round(r.judged100KbPerSecond.attachment))}/s`,
    ],
    [
      `Memory of the relay over ${number(r.messages)} messages (PSS)`,
      `${number(Math.max(...r.memoryMb))} MB at most, ${r.memoryGrowthMb < 0 ? '' : '+'}${number(r.memoryGrowthMb)} MB from the second tenth to the last`,
    ],
  ],
  extent: (r) => [
    [
      'Who saw whom: 1,000 messages of 1,000 recipients, a million people apart; 100,000 people at random',
      `**${r.separateSeconds.toFixed(1)} s**, ${number(r.separateMb)} MB; ${r.random100000Seconds.toFixed(1)} s, ${number(r.random100000Mb)} MB`,
    ],
  ],
  crash: (r) => [
    [
      `\`kill -9\` of the whole process group, ${r.kills} times in a release of ${number(r.people)}`,
      `**${r.lost} lost**; ${r.copies} copies beyond one on ${r.connections} connections, ${r.copiesUnlisted} of them not listed as uncertain; ${r.notIntended} accepted without an intent`,
    ],
  ],
  halt: (r) => [
    [
      `${r.halts} halts behind a delay of ${r.delayMs} ms`,
      `returned within **${r.returnedMsMax} ms**; **${r.late}** messages began after it`,
    ],
  ],
  faults: (r) => [
    [
      `Another customer's address planted at ${r.shipped.run} places of the road`,
      `**${r.shipped.bytes} bytes** of those messages sent; with all detection off, by the last look alone, **${r.detectOff.bytes}**; with both off ${r.bothOff.leaked} of ${r.bothOff.run} leak`,
    ],
  ],
};

/** The order of the table; the whole job comes first. */
const ORDER = Object.keys(HEADLINES);
const placeOf = (name) => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length);

/** Named in the file itself (`readme`: [{ label, value }]), or every figure at the top of a measurement. */
function rows({ results, readme, commit }) {
  if (Array.isArray(readme)) return readme.map(({ label, value }) => [label, String(value)]);
  const sorted = Object.entries(results).sort(([one], [other]) => placeOf(one) - placeOf(other));
  return sorted.flatMap(([name, result]) => {
    const where =
      result.commit === undefined || result.commit === commit ? '' : ` (${result.commit})`;
    if (HEADLINES[name] !== undefined && (result.people || result.shipped || result.wantedSeconds))
      return HEADLINES[name](result).map(([label, value]) => [`${label}${where}`, value]);
    const { commit: _commit, date: _date, machine: _machine, ...own } = result;
    const all = figures(own).map(([label, value]) => `${label} **${value}**`);
    return all.length === 0 ? [] : [[`${words(name)}${where}`, all.slice(0, 6).join('; ')]];
  });
}

function table() {
  if (!existsSync(MEASURED))
    return 'Not measured yet for this version: `npm run proof` measures, and writes `docs/measured.json`.\n';
  const measured = JSON.parse(readFileSync(MEASURED, 'utf8'));
  const lines = rows(measured)
    .slice(0, ROWS_MAX)
    .map(([label, value]) => `| ${label} | ${value} |`);
  const { machine, node, date, commit } = measured;
  const where = [machine, node === undefined ? null : `Node ${String(node).replace(/^v/, '')}`];
  const said = where.filter((each) => each !== null && each !== undefined).map(describe);
  return `| measured | result |\n|---|---|\n${lines.join('\n')}\n\n${said.join(', ')}; ${String(date).slice(0, 10)}, commit ${String(commit).slice(0, 10)}; rows with a commit of their own were measured on that one. Repeat it: \`npm run proof\`.\n`;
}

const describe = (value) =>
  typeof value === 'object'
    ? Object.values(value)
        .filter((each) => typeof each !== 'object')
        .join(', ')
    : String(value);

const text = readFileSync(README, 'utf8');
const [from, to] = [text.indexOf(BEGIN), text.indexOf(END)];
if (from < 0 || to < from) throw new Error(`${README} has no marks ${BEGIN} … ${END}`);
const wanted = `${text.slice(0, from + BEGIN.length)}\n${table()}${text.slice(to)}`;
if (!process.argv.includes('--check')) writeFileSync(README, wanted);
else if (text !== wanted) {
  console.error('README.md does not say what was measured: run node scripts/readme-figures.mjs');
  process.exitCode = 1;
}
