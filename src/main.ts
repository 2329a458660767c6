#!/usr/bin/env node
/** argv -> command. Each command is loaded when it is asked for: `check` starts no database driver. */

import type { Command, CommandIo } from './cli/command.ts';

const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  broadcast: async () => (await import('./cli/broadcast.ts')).run,
  check: async () => (await import('./cli/check.ts')).runCheck,
  console: async () => (await import('./cli/console.ts')).run,
  customers: async () => (await import('./cli/customers.ts')).run,
  demo: async () => (await import('./cli/demo.ts')).run,
  doctor: async () => (await import('./cli/doctor.ts')).run,
  extent: async () => (await import('./cli/extent.ts')).run,
  guard: async () => (await import('./cli/guard.ts')).run,
  halt: async () => (await import('./cli/halt.ts')).run,
  hold: async () => (await import('./cli/hold.ts')).run,
  init: async () => (await import('./cli/init.ts')).run,
  keys: async () => (await import('./cli/keys.ts')).run,
  ledger: async () => (await import('./cli/ledger-export.ts')).run,
  notice: async () => (await import('./cli/notice.ts')).run,
  operator: async () => (await import('./cli/operator.ts')).run,
  resume: async () => (await import('./cli/halt.ts')).runResume,
  serve: async () => (await import('./cli/serve.ts')).run,
  suppression: async () => (await import('./cli/suppression.ts')).run,
  stop: async () => (await import('./cli/stop.ts')).run,
};

const HELP = `Undisclosed is error detection for outgoing mail: it sends one important notice to every customer,
each alone on the envelope, and stops any other mail that would show customers to each other.

Usage: undisclosed COMMAND [ARGS]

  demo        the whole road on sample customers, then the mistake, which does not leave
  doctor      whether mail can leave past the guard (no server)
  check       what the guard says of messages, mailboxes and provider payloads (no server)
  extent      who was exposed to whom by messages that have left already (no server)
  init        data directory and keyring
  serve       the server: database, ledger, sender, gates, page, API
  operator    people with keys: add, list, remove
  customers   import
  notice      check a notice folder (no server)
  suppression who must not be written to: add, remove, list
  broadcast   create, prepare, approve, release, withdraw, cancel, status, prove
  hold        what the guard holds: list, show, release (two people), refuse
  console     a link to the operators' page
  guard       what the guard has stopped, and what it only watched: report, freeze, lift, frozen
  halt        stop mail from leaving, at once
  resume      lift a halt (two people)
  keys        backup, restore, rotate, issue
  ledger      verify (no server), export
  stop        end the server

Every command takes --json and --help. Exit status: 0 fine, 1 a finding, a refusal or any verdict but
pass, 2 cannot run.
`;

const io: CommandIo = {
  stdout: (text) => process.stdout.write(text),
  stderr: (text) => process.stderr.write(text),
  isTerminal: process.stdout.isTTY === true,
  errorIsTerminal: process.stderr.isTTY === true,
  columns: process.stderr.columns ?? 80,
  env: process.env,
};

/** One clear line: place, what is wrong, remedy. */
function complaint(error: unknown): string {
  const fault = error as { message?: string; where?: string; remedy?: string; code?: string };
  const where = fault.where === undefined ? '' : `${fault.where}: `;
  const remedy = fault.remedy === undefined || fault.remedy === '' ? '' : ` (${fault.remedy})`;
  return `undisclosed: ${where}${fault.message ?? String(error)}${remedy}\n`;
}

async function main(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  if (name === undefined || name === '--help' || name === 'help') {
    io.stdout(HELP);
    return name === undefined ? 2 : 0;
  }
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (load === undefined) {
    io.stderr(`undisclosed: there is no command "${name}" (undisclosed --help lists them)\n`);
    return 2;
  }
  try {
    return await (await load())(rest, io);
  } catch (error) {
    io.stderr(complaint(error));
    return 2;
  }
}

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
});
process.exitCode = await main(process.argv.slice(2));
