/**
 * Runs the full-size proofs and the benchmarks, one after another, and writes docs/measured.json.
 *
 *     npm run proof [-- --seed N] [--only name,name] [--people N] [--messages N] [--out FILE]
 *
 * A proof is a file test/proof/NAME.proof.ts that exports `name` and `run({ log, seed })`; a benchmark is one of those
 * named below. `--people` and `--messages` make them smaller for a try. Each has the commit that it was measured on; what is not run
 * keeps its earlier figures with theirs. Exit status 1 when one fails.
 */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

const ROOT = path.dirname(import.meta.dirname);
const BENCHES = ['whole-job', 'release', 'prepare', 'million', 'guard', 'customer-index', 'extent'];

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    only: { type: 'string' },
    people: { type: 'string' },
    messages: { type: 'string', default: '1000000' },
    out: { type: 'string' },
  },
});
const seed = Number(values.seed ?? Math.trunc(Math.random() * 2 ** 31));
const only = values.only?.split(',');
const out = path.resolve(values.out ?? path.join(ROOT, 'docs/measured.json'));
const log = (line) => process.stderr.write(`${line}\n`);

function git(...args) {
  return execFileSync('git', ['-C', ROOT, ...args], { encoding: 'utf8' }).trim();
}

/** A process of its own, so that what one leaves in memory does not show in the next. */
function run(args) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...args], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    child.stdout.on('data', (chunk) => {
      text += chunk;
    });
    child.once('error', reject);
    child.once('close', (status) => {
      if (status !== 0) reject(new Error(`it ended with status ${status}`));
      else resolve(JSON.parse(text.trim().split('\n').at(-1) ?? 'null'));
    });
  });
}

function proofs() {
  const folder = path.join(ROOT, 'test/proof');
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith('.proof.ts'))
    .sort()
    .map((file) => ({ name: file.replace('.proof.ts', ''), file: path.join(folder, file) }));
}

// A file of its own, not --eval: worker threads inherit the arguments of Node, and --input-type is none of theirs.
const RUN_PROOF = path.join(ROOT, 'scripts/run-proof.mjs');

const tasks = [
  ...proofs().map(({ name, file }) => ({
    name,
    args: [RUN_PROOF, file, String(seed)],
  })),
  ...BENCHES.map((name) => ({
    name,
    args: [
      `bench/${name}.ts`,
      ...(values.people === undefined ? [] : ['--people', values.people]),
      ...(name === 'guard' ? ['--messages', values.messages] : []),
    ],
  })),
].filter(({ name }) => only === undefined || only.includes(name));

const commit = `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain', '--', ':!docs') === '' ? '' : '+'}`;
const earlier = existsSync(out) ? JSON.parse(readFileSync(out, 'utf8')) : {};
const date = new Date().toISOString().slice(0, 10);
const results = {};
for (const [name, result] of Object.entries(only === undefined ? {} : (earlier.results ?? {})))
  results[name] = { commit: earlier.commit, date: earlier.date, ...result };
log(`seed ${seed}`);
let failed = false;
for (const { name, args } of tasks) {
  log(`\n== ${name}`);
  const started = performance.now();
  try {
    const result = await run(args);
    results[name] = { ...result, commit, date };
    log(`${name}: ${((performance.now() - started) / 1000).toFixed(1)} s`);
  } catch (error) {
    failed = true;
    log(`${name} did not succeed: ${error.message}`);
  }
}
const machine = `${cpus()[0]?.model ?? 'unknown'}, ${availableParallelism()} cores, ${Math.round(totalmem() / 2 ** 30)} GB`;
const document = { commit, date, machine, node: process.version, seed, results };
writeFileSync(out, `${JSON.stringify(document, null, 2)}\n`);
log(`\n${out}`);
process.exitCode = failed ? 1 : 0;
