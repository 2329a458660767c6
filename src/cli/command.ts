/** What every command has: output, options, exit status. */

import { type ParseArgsConfig, parseArgs } from 'node:util';
import { Fault } from '../base/errors.ts';

export interface CommandIo {
  stdout(text: string): void;
  stderr(text: string): void;
  /** Whether standard output is a terminal. */
  readonly isTerminal: boolean;
  /** Whether standard error is one: progress is drawn there. */
  readonly errorIsTerminal: boolean;
  readonly columns: number;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** 0 fine, 1 a finding, a refusal or any verdict but pass, 2 cannot run. */
export type ExitStatus = number;

export type Command = (args: readonly string[], io: CommandIo) => Promise<ExitStatus>;

export type OptionSpecs = NonNullable<ParseArgsConfig['options']>;

export interface Options {
  readonly positionals: readonly string[];
  text(name: string): string | null;
  flag(name: string): boolean;
  list(name: string): readonly string[];
}

/**
 * Options of a command; `--json` and `--help` are always there.
 * @throws Fault `cli.usage`.
 */
export function readOptions(args: readonly string[], specs: OptionSpecs): Options {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { json: { type: 'boolean' }, help: { type: 'boolean' }, ...specs },
      allowPositionals: true,
      strict: true,
    });
    const given = values as Record<string, string | boolean | string[] | undefined>;
    return {
      positionals,
      text: (name) => (typeof given[name] === 'string' ? (given[name] as string) : null),
      flag: (name) => given[name] === true,
      list: (name) => {
        const value = given[name];
        return Array.isArray(value) ? value : [];
      },
    };
  } catch (cause) {
    throw new Fault('cli.usage', cause instanceof Error ? cause.message : 'unknown options', {
      remedy: '--help says what there is',
      cause,
    });
  }
}

export function wanted(value: string | null | undefined, what: string): string {
  if (value === null || value === undefined || value === '')
    throw new Fault('cli.usage', `${what} is missing`, { remedy: '--help says how' });
  return value;
}
