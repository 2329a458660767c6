/** `undisclosed ledger`: the verifier, and the bundle's lines from the server. */

import { toConfig } from '../config.ts';
import { call, faultOf, loadOperatorKey } from './api-client.ts';
import type { CommandIo, ExitStatus } from './command.ts';
import { runLedger } from './ledger.ts';

/** Takes `--as NAME` out of the arguments: the verifier knows no operators. */
function operatorIn(args: readonly string[]): {
  readonly as: string | null;
  readonly rest: readonly string[];
} {
  const at = args.indexOf('--as');
  if (at < 0) return { as: null, rest: args };
  return { as: args[at + 1] ?? null, rest: [...args.slice(0, at), ...args.slice(at + 2)] };
}

async function* linesFromServer(io: CommandIo, as: string | null): AsyncGenerator<string> {
  const key = await loadOperatorKey(io, as);
  const answer = await call(toConfig(io.env).socket, { method: 'GET', path: '/v1/proof', key });
  let text = '';
  if ((answer.statusCode ?? 500) >= 400) {
    for await (const chunk of answer) text += String(chunk);
    throw faultOf(JSON.parse(text));
  }
  for await (const chunk of answer) yield String(chunk);
}

export function run(args: readonly string[], io: CommandIo): Promise<ExitStatus> {
  const { as, rest } = operatorIn(args);
  return runLedger(rest, io, () => linesFromServer(io, as));
}
