/** Commands that a script waits for: their output, their status, their time, and an end to all of them. */
import { spawn } from 'node:child_process';

const STEP_LIMIT_MS = 15 * 60_000;
let running = null;

/** Runs a command in a process group of its own; resolves with its status, its output and the seconds it took. */
export function run(command, args, settings = {}) {
  const { cwd = '/', env = {}, user } = settings;
  const started = performance.now();
  return new Promise((resolve) => {
    const as = user === undefined ? {} : { uid: user, gid: user };
    const child = spawn(command, args, {
      cwd,
      env,
      ...as,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    running = child;
    let output = '';
    const take = (chunk) => {
      output += String(chunk);
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    const limit = setTimeout(() => endGroup(child.pid), STEP_LIMIT_MS);
    const done = (status) => {
      clearTimeout(limit);
      running = null;
      resolve({ status, output, seconds: (performance.now() - started) / 1000 });
    };
    child.once('error', (error) => {
      output += error.message;
      done(2);
    });
    child.once('close', (status) => done(status ?? 2));
  });
}

function endGroup(pid) {
  try {
    process.kill(-pid, 'SIGTERM');
  } catch {
    // It has ended by itself.
  }
}

/** Runs a command that has to succeed. */
export async function must(command, args, settings) {
  const result = await run(command, args, settings);
  if (result.status === 0) return result;
  throw new Error(`${command} ${args.slice(0, 3).join(' ')}: ${lastLines(result.output, 4)}`);
}

export function lastLines(text, count) {
  return text.trim().split('\n').slice(-count).join(' | ').slice(0, 500);
}

/** Ends the command that is running, with all it has started. */
export function endRunning() {
  if (running !== null) endGroup(running.pid);
}
