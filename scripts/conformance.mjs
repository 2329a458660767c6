/**
 * Sends generated submissions through every gate and reads every copy that left with three other parsers; writes what came of it
 * into docs/conformance.json and the section "Generated submissions" of docs/conformance.md.
 *
 *     npm run conformance [-- --count N] [--seed N] [--no-write]
 *
 * Of the first submission that violated, a smaller one that still does is written, masked, to conformance-violation.txt.
 * Exit status: 0 no violation and more than 95 % of the clean submissions pass, 1 otherwise.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { generate } from '../test/conformance/generator.ts';
import { describeViolations, openRig } from '../test/conformance/submissions-run.ts';
import { masked, shrink } from '../test/conformance/submissions-shrink.ts';

const ROOT = path.dirname(import.meta.dirname);
const FIGURES = path.join(ROOT, 'docs/conformance.json');
const PAGE = path.join(ROOT, 'docs/conformance.md');
const VIOLATION = path.join(ROOT, 'conformance-violation.txt');
const CLEAN_PASSED_MIN = 0.95;
/** One batch knows its own people; smaller ones would settle too often, larger ones take too much memory. */
const BATCH = 5_000;
const OUTCOMES = ['passed', 'split', 'held', 'refused', 'later'];

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '100000' },
    seed: { type: 'string' },
    'no-write': { type: 'boolean', default: false },
  },
});
const count = Number(values.count);
const seed = Number(values.seed ?? Math.trunc(Math.random() * 2 ** 31));
if (!Number.isSafeInteger(count) || count < 1 || !Number.isSafeInteger(seed)) {
  console.error('conformance: --count and --seed are whole numbers');
  process.exit(1);
}

function git(...args) {
  return execFileSync('git', ['-C', ROOT, ...args], { encoding: 'utf8' }).trim();
}

const sums = {
  submissions: 0,
  copies: 0,
  clean: 0,
  cleanPassed: 0,
  violations: 0,
  readerFaults: 0,
};
const doors = {};
const commit = `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain', '--', ':!docs') === '' ? '' : '+'}`;
console.log(`seed ${seed}, commit ${commit}`);
const rig = await openRig();
const started = performance.now();
const seconds = () => (performance.now() - started) / 1000;
let refusedUpstream = 0;
try {
  for (let from = 0; from < count; from += BATCH) {
    const size = Math.min(BATCH, count - from);
    let said = performance.now();
    const tally = await rig.run(from, size, { seed }, (done) => {
      if (performance.now() - said < 5_000) return;
      said = performance.now();
      const all = from + done;
      console.log(`${all} of ${count}, ${Math.round(all / seconds())} submissions/s`);
    });
    add(tally);
    if (tally.violations.length > 0) {
      console.log(describeViolations(tally));
      await writeSmallest(tally.violations);
      break;
    }
  }
  for (const [what, times] of rig.farSides.refused) {
    refusedUpstream += times;
    console.log(`a far side refused ${times} times: ${what}`);
  }
} finally {
  await rig.close();
}

function add(tally) {
  for (const name of ['submissions', 'copies', 'clean', 'cleanPassed', 'readerFaults'])
    sums[name] += tally[name];
  sums.violations += tally.violations.length;
  for (const [door, counts] of tally.doors) {
    doors[door] ??= Object.fromEntries(OUTCOMES.map((outcome) => [outcome, 0]));
    for (const [outcome, times] of counts) doors[door][outcome] += times;
  }
}

async function writeSmallest(violations) {
  const first = violations.find(({ submission }) => submission >= 0);
  if (first === undefined) return;
  const whole = generate(first.submission, { seed });
  const smallest = await shrink(rig, whole);
  writeFileSync(VIOLATION, `seed ${seed}\n${masked(smallest)}`);
  console.log(`the first one, made smaller: ${VIOLATION}`);
}

const tookSeconds = seconds();
const cleanShare = sums.cleanPassed / sums.clean;
const figures = {
  ...{ commit, date: new Date().toISOString().slice(0, 10), seed },
  machine: `${cpus()[0]?.model ?? 'unknown'}, ${availableParallelism()} cores`,
  ...{ seconds: Math.round(tookSeconds), perSecond: Math.round(sums.submissions / tookSeconds) },
  ...{ ...sums, cleanShare: Number(cleanShare.toFixed(4)), refusedUpstream, doors },
};

function table() {
  const rows = Object.keys(doors)
    .sort()
    .map((door) => `| ${[door, ...OUTCOMES.map((outcome) => doors[door][outcome])].join(' | ')} |`);
  return [
    `| door | ${OUTCOMES.join(' | ')} |`,
    `|${'---|'.repeat(OUTCOMES.length + 1)}`,
    ...rows,
  ].join('\n');
}

function section() {
  const number = (value) => value.toLocaleString('en-US');
  return [
    `${number(sums.submissions)} submissions over all doors, ${number(sums.copies)} messages that left and were read by \`postal-mime\`, \`mailparser\` and`,
    `Python's \`email\`: **${number(sums.violations)} violations**. Of ${number(sums.clean)} legitimate submissions ${(cleanShare * 100).toFixed(2)} % passed. Seed ${seed}, commit ${commit},`,
    `${figures.date}, ${figures.perSecond} submissions a second.`,
    '',
    table(),
  ].join('\n');
}

/** Puts a text between the markers of a section, and leaves the rest of the page as it is. */
function writeBetween(name, text) {
  const [begin, end] = [`<!-- ${name}:begin -->`, `<!-- ${name}:end -->`];
  const page = readFileSync(PAGE, 'utf8');
  const [start, stop] = [page.indexOf(begin), page.indexOf(end)];
  if (start < 0 || stop < start) throw new Error(`docs/conformance.md has no section ${name}`);
  writeFileSync(PAGE, `${page.slice(0, start + begin.length)}\n${text}\n${page.slice(stop)}`);
}

console.log(`\n${section()}`);
if (!values['no-write']) {
  const before = existsSync(FIGURES) ? JSON.parse(readFileSync(FIGURES, 'utf8')) : {};
  writeFileSync(FIGURES, `${JSON.stringify({ ...before, submissions: figures }, null, 2)}\n`);
  writeBetween('submissions', section());
}
const good = sums.violations === 0 && refusedUpstream === 0 && cleanShare > CLEAN_PASSED_MIN;
process.exitCode = good ? 0 : 1;
