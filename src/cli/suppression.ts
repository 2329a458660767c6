/** `undisclosed suppression add|remove|list`: who must not be written to. */

import { readFile } from 'node:fs/promises';
import { Fault } from '../base/errors.ts';
import { toConfig } from '../config.ts';
import { callJson, loadOperatorKey } from './api-client.ts';
import { type CommandIo, type ExitStatus, readOptions } from './command.ts';

const HELP = `Usage: undisclosed suppression add [ADDRESS ...] [--file FILE] --reason REASON --as OPERATOR
       undisclosed suppression remove [ADDRESS ...] [--file FILE] --as OPERATOR
       undisclosed suppression list --as OPERATOR

Who must not be written to. Kept as keyed hashes; in force from the next chunk of every release, and
shown in its sum as "suppressed". "unsubscribed" counts for subscribed notices only; a legal notice
goes to everybody.

  --file FILE       addresses, one on each line
  --reason REASON   bounced, complained, unsubscribed, asked or erased
  --as OPERATOR     who changes the list
  --json            one JSON document
  --help            this text
`;

/** Addresses from the arguments and from a file; a file keeps them out of the shell's history. */
export async function readAddresses(
  given: readonly string[],
  file: string | null,
): Promise<readonly string[]> {
  const fromFile =
    file === null
      ? []
      : (
          await readFile(file, 'utf8').catch((cause) => {
            throw new Fault('cli.unreadable', 'the file cannot be read', { where: file, cause });
          })
        )
          .split(/\r?\n/)
          .filter((line) => line.trim() !== '');
  const addresses = [...given, ...fromFile];
  if (addresses.length === 0)
    throw new Fault('cli.usage', 'no address is named', { remedy: 'ADDRESS, or --file FILE' });
  return addresses;
}

export async function run(args: readonly string[], io: CommandIo): Promise<ExitStatus> {
  const options = readOptions(args, {
    as: { type: 'string' },
    file: { type: 'string' },
    reason: { type: 'string' },
  });
  if (options.flag('help')) {
    io.stdout(HELP);
    return 0;
  }
  const [deed, ...given] = options.positionals;
  if (deed !== 'add' && deed !== 'remove' && deed !== 'list')
    throw new Fault('cli.usage', 'say add, remove or list', {
      remedy: 'undisclosed suppression --help',
    });
  const { socket } = toConfig(io.env);
  const path = '/v1/suppressions';
  const addresses = deed === 'list' ? [] : await readAddresses(given, options.text('file'));
  const key = await loadOperatorKey(io, options.text('as'));
  if (deed === 'list') {
    const rows = await callJson<{ reason: string; count: number }[]>(socket, {
      method: 'GET',
      path,
      key,
    });
    if (options.flag('json')) io.stdout(`${JSON.stringify(rows)}\n`);
    else for (const { reason, count } of rows) io.stdout(`${reason.padEnd(14)} ${count}\n`);
    return 0;
  }
  const reason = options.text('reason') ?? 'asked';
  const report = await callJson<{ changed: number; given: number }>(socket, {
    method: 'POST',
    path,
    key,
    body: { deed, addresses, reason },
  });
  if (options.flag('json')) io.stdout(`${JSON.stringify(report)}\n`);
  else io.stdout(`${report.changed} of ${report.given} ${deed === 'add' ? 'added' : 'removed'}.\n`);
  return 0;
}
