/** `undisclosed console`: a link by which an operator signs in to the page of the server. */

import { toConfig } from '../config.ts';
import { callJson, loadOperatorKey } from './api-client.ts';
import { type CommandIo, type ExitStatus, readOptions } from './command.ts';

/** What the API answers. */
interface ConsoleLink {
  readonly operator: string;
  readonly url: string;
  readonly expires: string;
}

const HELP = `Usage: undisclosed console [--minutes N] --as OPERATOR

Prints a link that signs OPERATOR in to the operators' page of the server, once. The page shows what the
guard decides and holds and what is being sent, and halts it; see docs/console.md.

  --minutes N     how long the link is good; 10 without it, 720 at most
  --as OPERATOR   who signs in
  --json          one JSON document
  --help          this text
`;

export async function run(args: readonly string[], io: CommandIo): Promise<ExitStatus> {
  const options = readOptions(args, { as: { type: 'string' }, minutes: { type: 'string' } });
  if (options.flag('help')) {
    io.stdout(HELP);
    return 0;
  }
  const { socket } = toConfig(io.env);
  const key = await loadOperatorKey(io, options.text('as'));
  const minutes = options.text('minutes');
  const answer = await callJson<ConsoleLink>(socket, {
    method: 'POST',
    path: '/v1/console/links',
    key,
    body: minutes === null ? {} : { minutes: Number(minutes) },
  });
  if (options.flag('json')) io.stdout(`${JSON.stringify(answer)}\n`);
  else
    io.stdout(
      `${answer.url}\nGood once, until ${answer.expires.slice(0, 16)}Z. Whoever has it signs in as ${answer.operator}.\n`,
    );
  return 0;
}
