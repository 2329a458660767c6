/** Commands run in this process as the command line would, with what they said. */

import type { Command, CommandIo, ExitStatus } from '../../src/cli/command.ts';

export interface RunResult {
  readonly status: ExitStatus;
  readonly stdout: string;
  readonly stderr: string;
}

type Env = Readonly<Record<string, string | undefined>>;

/** One command by its function; what it throws is the caller's. */
export async function ran(
  command: Command,
  args: readonly string[],
  env: Env = {},
): Promise<{ readonly status: ExitStatus; readonly out: string; readonly err: string }> {
  const said = { stdout: '', stderr: '' };
  const status = await command(args, ioInto(said, env));
  return { status, out: said.stdout, err: said.stderr };
}

/** A pipe of 80 columns into these texts. */
function ioInto(said: { stdout: string; stderr: string }, env: Env): CommandIo {
  return {
    stdout: (text) => {
      said.stdout += text;
    },
    stderr: (text) => {
      said.stderr += text;
    },
    ...{ isTerminal: false, errorIsTerminal: false, columns: 80, env },
  };
}

const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  broadcast: async () => (await import('../../src/cli/broadcast.ts')).run,
  console: async () => (await import('../../src/cli/console.ts')).run,
  customers: async () => (await import('../../src/cli/customers.ts')).run,
  doctor: async () => (await import('../../src/cli/doctor.ts')).run,
  guard: async () => (await import('../../src/cli/guard.ts')).run,
  halt: async () => (await import('../../src/cli/halt.ts')).run,
  hold: async () => (await import('../../src/cli/hold.ts')).run,
  init: async () => (await import('../../src/cli/init.ts')).run,
  keys: async () => (await import('../../src/cli/keys.ts')).run,
  operator: async () => (await import('../../src/cli/operator.ts')).run,
  resume: async () => (await import('../../src/cli/halt.ts')).runResume,
  suppression: async () => (await import('../../src/cli/suppression.ts')).run,
};

/** A command by its words; a fault ends it with 2 and stands in its stderr. */
export async function runCli(args: readonly string[], env: Env): Promise<RunResult> {
  const [name = '', ...rest] = args;
  const load = COMMANDS[name];
  if (load === undefined) throw new Error(`no command ${name}`);
  const said = { stdout: '', stderr: '' };
  try {
    return { status: await (await load())(rest, ioInto(said, env)), ...said };
  } catch (error) {
    const { message, code } = error as Error & { code?: string };
    return { status: 2, ...said, stderr: `${said.stderr}${code ?? ''}: ${message}\n` };
  }
}

/** Its standard output. @throws where it does not end with 0. */
export async function mustRunCli(args: readonly string[], env: Env): Promise<string> {
  const { status, stdout, stderr } = await runCli(args, env);
  if (status !== 0) throw new Error(`undisclosed ${args.join(' ')}: ${status}: ${stderr}${stdout}`);
  return stdout;
}
