/** What every step of the demo needs: where it prints, its processes, its folders, its times. */

import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CommandIo } from '../src/cli/command.ts';
import type { Processes } from './processes.ts';

export const MISTAKE_PEOPLE = 1000;
export const HERE: string = fileURLToPath(new URL('.', import.meta.url));
export const MAIN: string = fileURLToPath(
  new URL(`../src/main${extname(import.meta.url)}`, import.meta.url),
);

export interface Settings {
  readonly people: number;
  readonly out: string;
  readonly console: boolean;
}

export interface Stage {
  readonly io: CommandIo;
  readonly settings: Settings;
  readonly processes: Processes;
  /** Deleted at the end: database, keys, sockets. */
  readonly work: string;
  readonly env: Record<string, string>;
  readonly seconds: { step: string; seconds: number }[];
}

/** One command of the road, as a user would type it; its time is kept under the step's name. */
export async function command<T>(stage: Stage, step: string, args: readonly string[]): Promise<T> {
  const shown = args.map((arg) =>
    arg.startsWith(stage.work) ? `…${arg.slice(stage.work.length)}` : arg,
  );
  stage.io.stdout(`\n$ undisclosed ${shown.join(' ')}\n`);
  const started = performance.now();
  const { status, stdout } = await stage.processes.run([MAIN, ...args, '--json'], stage.env);
  stage.seconds.push({ step, seconds: (performance.now() - started) / 1000 });
  if (status > 1) throw new Error(`"undisclosed ${args[0]} ${args[1] ?? ''}" did not work`);
  const lines = stdout.trim().split('\n');
  return JSON.parse(lines.at(-1) ?? 'null') as T;
}

export const say = (stage: Stage, text: string): void => stage.io.stdout(`  ${text}\n`);
