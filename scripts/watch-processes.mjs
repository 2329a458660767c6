/**
 * Finds processes that a test run leaves behind, also those that moved to a session of their own.
 *
 * Every descendant is remembered by process id and start time while its parents live, since afterwards
 * nothing ties it to the run. Linux only (`/proc`); elsewhere nothing is found.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const LOOK_EVERY_MS = 250;
const GRACE_MS = 5_000;

/**
 * Starts watching the descendants of this process. `finish` waits a little for them to end; it ends the rest and
 * returns what they were.
 */
export function watchProcesses() {
  const seen = new Map();
  const look = () => remember(seen, processTable());
  const timer = setInterval(look, LOOK_EVERY_MS);
  return {
    async finish() {
      look();
      clearInterval(timer);
      const until = performance.now() + GRACE_MS;
      let left = stillThere(seen);
      while (left.length > 0 && performance.now() < until) {
        await sleep(100);
        remember(seen, processTable());
        left = stillThere(seen);
      }
      const leaks = left.filter(({ command }) => !isShared(command, seen));
      for (const { pid } of leaks) endProcess(pid);
      return leaks;
    },
  };
}

/** All processes: id -> { parent, start, state }. */
function processTable() {
  const table = new Map();
  if (!existsSync('/proc/self/stat')) return table;
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (Number.isNaN(pid)) continue;
    const entry = readProcess(pid);
    if (entry !== undefined) table.set(pid, entry);
  }
  return table;
}

function readProcess(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // proc_pid_stat(5): the name in parentheses may hold anything; the fields after it are state, ppid, ..., 22 start.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { state: fields[0], parent: Number(fields[1]), start: fields[19] };
  } catch {
    return undefined;
  }
}

function remember(seen, table) {
  const isOurs = (pid) =>
    pid === process.pid || (seen.has(pid) && seen.get(pid) === table.get(pid)?.start);
  let added = true;
  while (added) {
    added = false;
    for (const [pid, { parent, start }] of table) {
      if (pid === process.pid || isOurs(pid) || !isOurs(parent)) continue;
      seen.set(pid, start);
      added = true;
    }
  }
}

function stillThere(seen) {
  const left = [];
  for (const [pid, start] of seen) {
    const entry = readProcess(pid);
    if (entry === undefined || entry.start !== start || entry.state === 'Z') continue;
    left.push({ pid, command: commandOf(pid) });
  }
  return left;
}

function endProcess(pid) {
  try {
    process.kill(pid, 'SIGTERM');
  } catch {
    // It has ended meanwhile, which is what we want.
  }
}

function commandOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    return '(ended)';
  }
}

/** The test database server is shared between runs of one checkout: it stays while another run uses it. */
function isShared(command, seen) {
  if (command.startsWith('postgres: ')) return true;
  const data = /postgres .*?-D (\S+)/.exec(command)?.[1];
  const users = data === undefined ? undefined : path.join(path.dirname(data), 'users');
  if (users === undefined || !existsSync(users)) return false;
  return readdirSync(users).some((name) => !seen.has(Number(name)) && existsSync(`/proc/${name}`));
}
