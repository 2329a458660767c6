/** `undisclosed stop`: asks the server to end. */

import { toConfig } from '../config.ts';
import { callJson, loadOperatorKey } from './api-client.ts';
import { type CommandIo, type ExitStatus, readOptions } from './command.ts';

const HELP = `Usage: undisclosed stop --as NAME

Asks the server to end. What is in flight is settled first; a release goes on when the server is
started again. To stop mail from leaving, use undisclosed halt.

  --as NAME   the operator who asks
  --help      this text
`;

export async function run(args: readonly string[], io: CommandIo): Promise<ExitStatus> {
  const options = readOptions(args, { as: { type: 'string' } });
  if (options.flag('help')) {
    io.stdout(HELP);
    return 0;
  }
  const { socket } = toConfig(io.env);
  const key = await loadOperatorKey(io, options.text('as'));
  await callJson(socket, { method: 'POST', path: '/v1/stop', key, body: {} });
  io.stdout('The server is ending.\n');
  return 0;
}
