/** One process of a test to its end, however it ends. */

import { spawn } from 'node:child_process';

export interface Ended {
  readonly signal: NodeJS.Signals | null;
  /** Its standard output; what it says on standard error is ours. */
  readonly output: string;
}

export function runToEnd(script: string, args: readonly string[]): Promise<Ended> {
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', script, ...args],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += String(chunk);
  });
  return new Promise((resolve) =>
    child.once('close', (_status, signal) => resolve({ signal, output })),
  );
}
