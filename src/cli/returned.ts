/** `undisclosed guard returned`: which private copy a bounce belongs to. */

import { toConfig } from '../config.ts';
import type { ReturnedCopy } from '../guard/returned.ts';
import { callJson, loadOperatorKey } from './api-client.ts';
import { type CommandIo, type ExitStatus, readOptions, wanted } from './command.ts';

/** The lines of `guard --help` about what came back. */
export const RETURNED_HELP = `Usage: undisclosed guard returned RETURN-PATH --as OPERATOR

Says which private copy of a split came back: RETURN-PATH is the address the bounce was sent to,
local+TOKEN@domain, or the token alone. For copies of the last 30 days, where gates.smtp.returnPath is set.

  --as OPERATOR   who asks
  --json          one JSON document
  --help          this text
`;

/** @param args the words after `guard returned`. */
export async function runReturned(args: readonly string[], io: CommandIo): Promise<ExitStatus> {
  const options = readOptions(args, { as: { type: 'string' } });
  if (options.flag('help')) {
    io.stdout(RETURNED_HELP);
    return 0;
  }
  const returnPath = wanted(options.positionals[0], 'the return path');
  const key = await loadOperatorKey(io, options.text('as'));
  const copy = await callJson<ReturnedCopy>(toConfig(io.env).socket, {
    ...{ method: 'POST', path: '/v1/guard/returned', key, body: { returnPath } },
  });
  const { kept, number, identity, state, answer } = copy;
  if (options.flag('json')) io.stdout(`${JSON.stringify(copy)}\n`);
  else
    io.stdout(
      `Copy ${number + 1} of ${kept}, sent by ${identity}: ${state}, ${answer ?? 'no answer'}\n`,
    );
  return 0;
}
