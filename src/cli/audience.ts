/** `undisclosed guard audience declare|list|remove`. */

import { Fault } from '../base/errors.ts';
import { toConfig } from '../config.ts';
import type { DeclarationReport, ListedAudience } from '../guard/declared-audience.ts';
import { callJson, callStream, loadOperatorKey } from './api-client.ts';
import { type CommandIo, type ExitStatus, type Options, readOptions, wanted } from './command.ts';

/** The lines of `guard --help` about audiences. */
export const AUDIENCE_HELP = `Usage: undisclosed guard audience declare NAME FILE --as OPERATOR
       undisclosed guard audience list --as OPERATOR
       undisclosed guard audience remove NAME --as OPERATOR

Whom a caller may write to: its setting "audience" names a list that is declared here, and a call with a
reader who is not on it is held. A list takes the place of the one that had its name, whole, at every
process at once. FILE has one address on each line; of each its keyed hash alone is stored. The name
"customers" is the register itself, and is always there.

  --as OPERATOR   who declares, removes or asks
  --json          one JSON document; rejected lines as JSON Lines before it
  --help          this text

Exit status: 0 fine, 1 some lines were rejected, 2 nothing was changed.
`;

/** @param args the words after `guard audience`. */
export async function runAudience(args: readonly string[], io: CommandIo): Promise<ExitStatus> {
  const options = readOptions(args, { as: { type: 'string' } });
  if (options.flag('help')) {
    io.stdout(AUDIENCE_HELP);
    return 0;
  }
  switch (options.positionals[0]) {
    case 'declare':
      return declare(options, io);
    case 'list':
      return list(options, io);
    case 'remove':
      return remove(options, io);
    default:
      throw new Fault('cli.usage', 'say declare, list or remove', {
        remedy: 'undisclosed guard audience --help',
      });
  }
}

async function declare(options: Options, io: CommandIo): Promise<ExitStatus> {
  const name = wanted(options.positionals[1], 'the name');
  const file = wanted(options.positionals[2], 'the file');
  const json = options.flag('json');
  const key = await loadOperatorKey(io, options.text('as'));
  const path = `/v1/guard/audiences/${encodeURIComponent(name)}`;
  const report = await callStream<DeclarationReport>(
    toConfig(io.env).socket,
    { method: 'POST', path, file, key },
    io,
    (item) => {
      const { line, reason } = item as { readonly line: number; readonly reason: string };
      if (json) io.stdout(`${JSON.stringify(item)}\n`);
      else io.stderr(`${file} line ${line}: rejected: ${reason}\n`);
    },
    json,
  );
  const { audience, readers, rejected } = report;
  if (json) io.stdout(`${JSON.stringify(report)}\n`);
  else io.stdout(`${audience} has ${readers} readers; ${rejected} lines were rejected.\n`);
  return rejected === 0 ? 0 : 1;
}

async function list(options: Options, io: CommandIo): Promise<ExitStatus> {
  const key = await loadOperatorKey(io, options.text('as'));
  const rows = await callJson<readonly ListedAudience[]>(toConfig(io.env).socket, {
    ...{ method: 'GET', path: '/v1/guard/audiences', key },
  });
  if (options.flag('json')) io.stdout(`${JSON.stringify(rows)}\n`);
  else if (rows.length === 0) io.stdout('No audience is declared.\n');
  else
    for (const { audience, readers, by, at } of rows)
      io.stdout(`${audience}  ${readers} readers  declared by ${by}  ${at}\n`);
  return 0;
}

async function remove(options: Options, io: CommandIo): Promise<ExitStatus> {
  const name = wanted(options.positionals[1], 'the name');
  const key = await loadOperatorKey(io, options.text('as'));
  const path = `/v1/guard/audiences/${encodeURIComponent(name)}/remove`;
  const report = await callJson<{ readonly audience: string; readonly readers: number }>(
    toConfig(io.env).socket,
    { method: 'POST', path, key, body: {} },
  );
  if (options.flag('json')) io.stdout(`${JSON.stringify(report)}\n`);
  else
    io.stdout(
      `${report.audience} is removed: mail of callers who name it is deferred from now on.\n`,
    );
  return 0;
}
