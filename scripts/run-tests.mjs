/**
 * Runs the tests with the pinned Node and ends with the one plain line `N passed, N failed, N skipped`.
 *
 *     node scripts/run-tests.mjs [FILE or FOLDER...]
 *
 * With UNDISCLOSED_APT=1 the other mail programs are installed first, and a skipped interop test is a failure.
 * Failures are also: a file without a test, a process that outlives its test, and more than ten minutes.
 * Exit status: 0 all well, 1 a failure, 2 the tests could not be run.
 */
import { spawnSync } from 'node:child_process';
// Named imports would fail on the older Node that may start this file: globSync came with Node 22.
import fs, { existsSync, realpathSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { run } from 'node:test';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { installPackages, missingPackages } from './apt.mjs';
import { watchProcesses } from './watch-processes.mjs';

const ROOT = path.dirname(path.dirname(realpathSync(fileURLToPath(import.meta.url))));
const TEST_FILES = ['src/**/*.test.ts', 'test/**/*.test.ts', 'demo/**/*.test.ts'];
const LIMIT_MS = 10 * 60_000;
const FILE_LIMIT_MS = 4 * 60_000;
/** One more than cores: the longest tests mostly wait (for deadlines, restarts and far sides). */
const CONCURRENCY = Math.max(2, availableParallelism()) + 1;
const SLOWEST_SHOWN = 8;
const DETAIL_LINES = 60;
const SLOW_MS = 2_000;

async function main(args) {
  const files = filesOf(args);
  const strict = process.env.UNDISCLOSED_APT === '1';
  if (strict) installPackages((line) => console.log(`apt: ${line}`));
  process.env.NODE_COMPILE_CACHE ??= path.join(ROOT, 'node_modules/.cache/undisclosed');
  const processes = watchProcesses();
  const started = performance.now();
  const result = await runFiles(files, args.length > 0);
  const leaks = await processes.finish();
  printFailures(result, leaks);
  const skippedInterop = printSkips(result.skips, strict);
  printSlowest(result.durations, performance.now() - started, files.length);
  const skippedAsFailed = strict ? skippedInterop : 0;
  const failed = result.failed + leaks.length + skippedAsFailed;
  const skipped = result.skips.length - skippedAsFailed;
  process.exitCode = failed > 0 || result.passed === 0 ? 1 : 0;
  console.log(`${result.passed} passed, ${failed} failed, ${skipped} skipped`);
}

/** The test files meant by the arguments; all of them without arguments. */
function filesOf(args) {
  const inRoot = (pattern) =>
    fs.globSync(pattern, { cwd: ROOT, exclude: (name) => name.includes('node_modules') }).sort();
  if (args.length === 0) return TEST_FILES.flatMap(inRoot);
  return args.flatMap((argument) => {
    const absolute = path.resolve(process.env.INIT_CWD ?? process.cwd(), argument);
    const place = existsSync(absolute) ? path.relative(ROOT, absolute) : argument;
    const isFolder =
      existsSync(path.join(ROOT, place)) && statSync(path.join(ROOT, place)).isDirectory();
    const found = inRoot(isFolder ? path.join(place, '**/*.test.ts') : place);
    if (found.length === 0) throw new Error(`no test file matches ${argument}`);
    return found;
  });
}

/** Runs the files and gathers what happened; prints one line a file, in the order in which they began. */
async function runFiles(files, verbose) {
  const result = { passed: 0, failed: 0, failures: [], skips: [], durations: new Map() };
  const counts = new Map(files.map((file) => [file, { tests: 0, failed: 0 }]));
  const outputs = new Map();
  const limit = AbortSignal.timeout(LIMIT_MS);
  const keepOutput = (file, { message }) => {
    if (verbose) process.stdout.write(message);
    else outputs.set(file, `${outputs.get(file) ?? ''}${message}`);
  };
  const finishFile = (file, data) => {
    if (file === undefined) return;
    result.durations.set(file, data.duration_ms);
    printFile(file, counts.get(file), data.duration_ms, outputs.get(file));
  };
  const receivers = {
    'test:pass': (file, data) => countTest(result, counts.get(file), file, true, data),
    'test:fail': (file, data) => countTest(result, counts.get(file), file, false, data),
    'test:stdout': keepOutput,
    'test:stderr': keepOutput,
    'test:diagnostic': (file, data) => {
      if (verbose && file !== undefined) console.log(`# ${data.message}`);
    },
    'test:summary': finishFile,
  };
  const stream = run({
    files: files.map((file) => path.join(ROOT, file)),
    cwd: ROOT,
    concurrency: CONCURRENCY,
    timeout: FILE_LIMIT_MS,
    signal: limit,
  });
  // A test may be written in one file and run from another: what counts is the file that was run.
  for await (const { type, data } of stream) {
    receivers[type]?.(relative(data.entryFile ?? data.file), data);
  }
  addSilentFiles(result, counts, limit.aborted);
  // A file that did not load has no summary: what it wrote is the reason.
  for (const failure of result.failures) {
    if (!result.durations.has(failure.file)) failure.output = outputs.get(failure.file);
  }
  return result;
}

function countTest(result, count, file, passed, data) {
  // Node reports a file that has no test, or that ended badly, under its own name; a suite is the sum of its tests.
  const isFile = data.name === file || data.name === path.join(ROOT, file ?? '');
  if (passed && (isFile || data.details.type === 'suite')) return;
  if (count !== undefined) count.tests++;
  const skip = data.skip ?? data.todo;
  if (skip !== undefined) {
    result.skips.push({ file, name: data.name, reason: typeof skip === 'string' ? skip : '' });
  } else if (passed) {
    result.passed++;
  } else if (data.details.error?.failureType !== 'subtestsFailed') {
    countFailure(result, count, file, data);
  }
}

function countFailure(result, count, file, { line, name, details }) {
  if (count !== undefined) count.failed++;
  result.failed++;
  result.failures.push({ file, line, name, error: details.error });
}

/** A file in which nothing was counted tests nothing, or was not reached. */
function addSilentFiles(result, counts, outOfTime) {
  if (outOfTime) {
    const error = `the run took more than ${LIMIT_MS / 60_000} minutes`;
    result.failures.push({ file: 'all files', name: 'time limit', error });
    result.failed++;
  }
  const failed = new Set(result.failures.map(({ file }) => file));
  for (const [file, { tests }] of counts) {
    if (tests > 0 || failed.has(file)) continue;
    const error = outOfTime ? 'not finished within the time limit' : 'this file holds no test';
    result.failures.push({ file, name: 'the file has tests', error });
    result.failed++;
  }
}

function relative(file) {
  return file === undefined ? undefined : path.relative(ROOT, file);
}

function printFile(file, count, durationMs, output) {
  const bad = count === undefined || count.failed > 0;
  const tests = count === undefined ? '' : `${count.tests} tests, `;
  console.log(`${bad ? 'FAIL' : 'ok  '} ${file} (${tests}${Math.round(durationMs)} ms)`);
  if (bad && output !== undefined) console.log(output.trimEnd());
}

function printFailures({ failures }, leaks) {
  for (const { file, line, name, error, output } of failures) {
    console.log(`\nFAIL ${file}${line === undefined ? '' : `:${line}`}: ${name}`);
    console.log(describe(error?.cause ?? error));
    if (output !== undefined) console.log(describe(output.trimEnd()));
  }
  for (const leak of leaks)
    console.log(`\nFAIL a process outlives its test: pid ${leak.pid}: ${leak.command}`);
}

/** The error as people want it: without the frames of the test runner. */
function describe(error) {
  const text = typeof error === 'string' ? error : inspect(error, { depth: 5 });
  const lines = text.split('\n').filter((line) => !/^\s+at .*\(?node:internal\//.test(line));
  const shown = lines.length <= DETAIL_LINES ? lines : [...lines.slice(0, DETAIL_LINES), '[...]'];
  return shown.map((line) => `  ${line}`).join('\n');
}

/** Says what was not tested and why; returns how many interop tests are among it. */
function printSkips(skips, strict) {
  if (skips.length === 0) return 0;
  console.log('');
  for (const { file, name, reason } of skips) {
    console.log(`skipped ${file}: ${name}${reason === '' ? '' : ` (${reason})`}`);
  }
  const interop = skips.filter(({ file }) => file?.startsWith('test/interop/')).length;
  const missing = interop > 0 ? missingPackages() : [];
  if (missing.length > 0) {
    console.log(`Missing Debian packages: ${missing.join(' ')}.`);
    if (!strict)
      console.log('On a disposable Debian machine UNDISCLOSED_APT=1 npm test installs them first.');
  }
  if (strict && interop > 0)
    console.log('With UNDISCLOSED_APT=1 a skipped interop test counts as failed.');
  return interop;
}

function printSlowest(durations, totalMs, fileCount) {
  const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`;
  const slow = [...durations].filter(([, ms]) => ms >= SLOW_MS).sort((a, b) => b[1] - a[1]);
  console.log('');
  for (const [file, ms] of slow.slice(0, SLOWEST_SHOWN)) console.log(`slow ${seconds(ms)} ${file}`);
  console.log(`${fileCount} test files in ${seconds(totalMs)}`);
}

/** Sources run by type stripping, so the tests run on the Node that the product runs on. */
function pinnedNode() {
  const pinned = path.join(
    ROOT,
    'node_modules',
    `node-${process.platform}-${process.arch}`,
    'bin/node',
  );
  if (existsSync(pinned)) return realpathSync(pinned);
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > 22 || (major === 22 && minor >= 18)) return realpathSync(process.execPath);
  throw new Error(
    `Node ${process.versions.node} is too old for the tests: run 'node scripts/prepare.cjs test' first`,
  );
}

try {
  const node = pinnedNode();
  if (realpathSync(process.execPath) === node) {
    await main(process.argv.slice(2));
  } else {
    const again = spawnSync(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
      stdio: 'inherit',
    });
    process.exitCode = again.status ?? 2;
  }
} catch (error) {
  console.error(`run-tests: ${error.message}`);
  process.exitCode = 2;
}
