/** `undisclosed operator add|list|remove`. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Fault } from '../base/errors.ts';
import { toConfig } from '../config.ts';
import type { EnrolmentResult } from '../operators/enrolment.ts';
import { newOperatorKey, operatorKeyOf } from '../operators/operator-key.ts';
import { callJson, loadOperatorKey, operatorsDir, saveOperatorKey } from './api-client.ts';
import { type CommandIo, type ExitStatus, type Options, readOptions, wanted } from './command.ts';

const HELP = `Usage: undisclosed operator add NAME [--as OPERATOR] [--public-key KEY]
       undisclosed operator list [--as OPERATOR]
       undisclosed operator remove NAME --as OPERATOR

Operators sign what they do with an Ed25519 key. "add" makes the key pair on this machine and sends
the public half to the server; the private half never leaves. The first two enrol themselves; after
that two operators must agree: both run the same command, each with --as.

  --as OPERATOR      who asks
  --public-key KEY   enrol somebody whose key was made elsewhere (base64, as "add" prints it)
  --json             one JSON document
  --help             this text
`;

interface Listed {
  readonly operator: string;
  readonly fingerprint: string;
  readonly removed: string | null;
}

async function publicKeyFor(io: CommandIo, options: Options, name: string): Promise<string> {
  const given = options.text('public-key');
  if (given !== null) return given;
  if (existsSync(join(operatorsDir(io), `${name}.key`)))
    return (await loadOperatorKey(io, name)).publicKey.toString('base64');
  const file = newOperatorKey(name);
  await saveOperatorKey(io, file);
  return operatorKeyOf(file).publicKey.toString('base64');
}

async function change(
  io: CommandIo,
  options: Options,
  deed: 'add' | 'remove',
): Promise<ExitStatus> {
  const name = wanted(options.positionals[1], 'the name');
  const { socket } = toConfig(io.env);
  const as = options.text('as') ?? io.env.UNDISCLOSED_AS ?? null;
  const key = as === null ? null : await loadOperatorKey(io, as);
  const publicKey = deed === 'add' ? await publicKeyFor(io, options, name) : '';
  const result = await callJson<EnrolmentResult>(socket, {
    method: 'POST',
    path: '/v1/operators',
    key,
    body: { deed, operator: name, publicKey },
  });
  if (options.flag('json')) io.stdout(`${JSON.stringify({ ...result, publicKey })}\n`);
  else if (result.kind === 'done')
    io.stdout(
      deed === 'add' ? `${name} is an operator now.\n` : `${name} is no operator any more.\n`,
    );
  else
    io.stdout(
      `${result.requestedBy} agrees. A second operator runs the same command: undisclosed operator ${deed} ${name}${deed === 'add' ? ` --public-key ${publicKey}` : ''} --as NAME\n`,
    );
  return 0;
}

async function list(io: CommandIo, options: Options): Promise<ExitStatus> {
  const { socket } = toConfig(io.env);
  const key = await loadOperatorKey(io, options.text('as'));
  const rows = await callJson<Listed[]>(socket, { method: 'GET', path: '/v1/operators', key });
  if (options.flag('json')) io.stdout(`${JSON.stringify(rows)}\n`);
  else
    for (const { operator, fingerprint, removed } of rows)
      io.stdout(`${operator.padEnd(24)} ${fingerprint}${removed === null ? '' : '  removed'}\n`);
  return 0;
}

export async function run(args: readonly string[], io: CommandIo): Promise<ExitStatus> {
  const options = readOptions(args, { as: { type: 'string' }, 'public-key': { type: 'string' } });
  const [deed] = options.positionals;
  if (options.flag('help')) {
    io.stdout(HELP);
    return 0;
  }
  if (deed === 'add' || deed === 'remove') return change(io, options, deed);
  if (deed === 'list') return list(io, options);
  throw new Fault('cli.usage', 'say add, list or remove', {
    remedy: 'undisclosed operator --help',
  });
}
