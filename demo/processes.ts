/** The demo's processes: started by it, ended by it, by their id. */

import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

export interface Running {
  readonly child: ChildProcess;
  /** What the process said after `ready`. */
  readonly ready: string;
  /** Lines of its standard output before `ready`. */
  readonly lines: readonly string[];
  stop(): Promise<void>;
}

export interface Outcome {
  readonly status: number;
  readonly stdout: string;
}

/** Ends processes in the reverse order of their start. */
export class Processes {
  readonly #running: Running[] = [];
  #ending = false;

  get ending(): boolean {
    return this.#ending;
  }

  /** Starts a program and waits for its line `ready …`. In a process group of its own: a Ctrl-C reaches the demo alone, which ends it properly. */
  async start(
    args: readonly string[],
    env: Readonly<Record<string, string | undefined>>,
    log: (line: string) => void,
  ): Promise<Running> {
    const child = spawn(process.execPath, [...process.execArgv, ...args], {
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    });
    const exited = exitOf(child);
    const errors: string[] = [];
    createInterface({ input: child.stderr }).on('line', (line) => {
      errors.push(line);
      log(line);
    });
    const lines: string[] = [];
    const ready = await new Promise<string>((resolve, reject) => {
      createInterface({ input: child.stdout }).on('line', (line) => {
        if (line.startsWith('ready ')) resolve(line.slice(6));
        else lines.push(line);
      });
      void exited.then(() => reject(new Error(errors.join('\n') || `${args.join(' ')} ended`)));
      child.once('error', reject);
    });
    const running: Running = {
      child,
      ready,
      lines,
      stop: () => end(child, exited),
    };
    this.#running.push(running);
    return running;
  }

  /** Starts a program that nobody listens to; it is ended with the others. */
  startQuietly(args: readonly string[], env: Readonly<Record<string, string | undefined>>): void {
    const child = spawn(process.execPath, [...process.execArgv, ...args], {
      env: { ...process.env, ...env },
      stdio: 'ignore',
      detached: true,
    });
    const exited = exitOf(child);
    this.#running.push({ child, ready: '', lines: [], stop: () => end(child, exited) });
  }

  /** Runs a program to its end; its progress goes to our standard error, unless it is to be quiet. */
  run(
    args: readonly string[],
    env: Readonly<Record<string, string | undefined>>,
    quiet = false,
  ): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      const child = spawn(process.execPath, [...process.execArgv, ...args], {
        env: { ...process.env, ...env },
        stdio: ['ignore', 'pipe', quiet ? 'ignore' : 'inherit'],
      });
      let stdout = '';
      child.stdout.on('data', (chunk) => {
        stdout += String(chunk);
      });
      child.once('error', reject);
      child.once('close', (status) => resolve({ status: status ?? 2, stdout }));
    });
  }

  async stopAll(): Promise<void> {
    this.#ending = true;
    for (const running of this.#running.splice(0).reverse()) await running.stop();
  }
}

function exitOf(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => child.once('exit', () => resolve()));
}

async function end(child: ChildProcess, exited: Promise<void>): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
  await exited;
}
