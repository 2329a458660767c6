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
  readonly json: boolean;
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

/** A word of a command as it is shown: without the folders of this run. */
function shownWord(stage: Stage, word: string): string {
  if (word.startsWith(stage.work)) return `…${word.slice(stage.work.length)}`;
  if (word.startsWith(stage.settings.out)) return `…${word.slice(stage.settings.out.length)}`;
  return word.startsWith(HERE) ? `demo/${word.slice(HERE.length)}` : word;
}

/**
 * Words in lines of at most `columns`; a word that is longer stands on a line of its own.
 * @param margins of the first line and of the further ones; `end` closes every line but the last.
 */
export function wrapped(
  words: readonly string[],
  columns: number,
  margins: { readonly first: string; readonly next: string; readonly end?: string },
): string {
  const { first, next, end = '' } = margins;
  const lines: string[] = [];
  let line = first;
  let empty = true;
  for (const word of words) {
    if (!empty && line.length + 1 + word.length + end.length > columns) {
      lines.push(line + end);
      line = next;
      empty = true;
    }
    line += empty ? word : ` ${word}`;
    empty = false;
  }
  return [...lines, line].join('\n');
}

const columnsOf = ({ io }: Stage): number => Math.min(Math.max(io.columns, 40), 100);

/** Shows a command in the form in which it can be typed. */
export function showCommand(stage: Stage, words: readonly string[]): void {
  const shown: string[] = [];
  for (const word of words.map((each) => shownWord(stage, each))) {
    // An option and its value stay on one line.
    if (shown.at(-1)?.startsWith('--') && !word.startsWith('--'))
      shown.push(`${shown.pop()} ${word}`);
    else shown.push(word);
  }
  const margins = { first: '\n$ ', next: '    ', end: ' \\' };
  stage.io.stdout(`${wrapped(shown, columnsOf(stage), margins)}\n`);
}

/** What a command answers with `--json`; a quiet one draws no progress. */
export async function answerOf<T>(
  { processes, env }: Stage,
  args: readonly string[],
  quiet = false,
): Promise<T> {
  const { status, stdout } = await processes.run([MAIN, ...args, '--json'], env, quiet);
  if (status > 1) throw new Error(`"undisclosed ${args[0]} ${args[1] ?? ''}" did not work`);
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? 'null') as T;
}

/** One command of the road, as a user would type it; its time is kept under the step's name. */
export async function command<T>(stage: Stage, step: string, args: readonly string[]): Promise<T> {
  showCommand(stage, ['undisclosed', ...args]);
  const started = performance.now();
  const answer = await answerOf<T>(stage, args);
  stage.seconds.push({ step, seconds: (performance.now() - started) / 1000 });
  return answer;
}

/** A paragraph below a command. */
export function say(stage: Stage, text: string, margin = '  '): void {
  const margins = { first: margin, next: margin };
  stage.io.stdout(`${wrapped(text.split(' '), columnsOf(stage), margins)}\n`);
}
