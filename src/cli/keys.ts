/** `undisclosed keys backup|restore|rotate|issue`. */

import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { Fault } from '../base/errors.ts';
import { toConfig } from '../config.ts';
import { restoreKeyring } from '../keys/backup.ts';
import { writeKeyring } from '../keys/keyring.ts';
import { callJson, fileFault, loadOperatorKey } from './api-client.ts';
import { type CommandIo, type ExitStatus, type Options, readOptions, wanted } from './command.ts';

const HELP = `Usage: undisclosed keys backup FILE --as OPERATOR
       undisclosed keys restore FILE
       undisclosed keys rotate kek|token|dkim [--domain DOMAIN] --as OPERATOR
       undisclosed keys issue NAME --policy bulk|transactional|person
       undisclosed keys issue NAME --policy POLICY --gate ses --as OPERATOR

backup   writes the keyring sealed under a passphrase (UNDISCLOSED_PASSPHRASE, 12 characters at least)
restore  writes the keyring from a backup to UNDISCLOSED_KEYRING; never over one that is there
rotate   makes a new version; what the old ones sealed still opens. kek rewraps every data key;
         a new token key ends the key pairs of SES callers once serve is started again
issue    makes a key for a program that sends through a gate, and what to put into the configuration;
         for SES, whose callers sign, a key pair that the running server derives and never stores

  --policy POLICY   bulk, transactional or person
  --gate GATE       smtp, sendgrid, mailgun or postmark (one key for all of them), or ses
  --json   one JSON document
  --help   this text
`;

function passphrase(io: CommandIo): string {
  const value = io.env.UNDISCLOSED_PASSPHRASE;
  if (value === undefined || value.length < 12)
    throw new Fault(
      'keys.weak-passphrase',
      'the passphrase is missing or has fewer than 12 characters',
      {
        where: 'environment variable UNDISCLOSED_PASSPHRASE',
        remedy: 'set it for this command alone',
      },
    );
  return value;
}

async function backup(io: CommandIo, options: Options): Promise<ExitStatus> {
  const file = wanted(options.positionals[1], 'the file');
  const key = await loadOperatorKey(io, options.text('as'));
  const answer = await callJson<{ backup: string }>(toConfig(io.env).socket, {
    method: 'POST',
    path: '/v1/keys/backup',
    key,
    body: { passphrase: passphrase(io) },
  });
  await writeFile(file, answer.backup, { mode: 0o600, flag: 'wx' }).catch((cause: unknown) => {
    throw fileFault(file, cause);
  });
  io.stdout(`The keyring is backed up in ${file}. Try it: undisclosed keys restore ${file}\n`);
  return 0;
}

async function restore(io: CommandIo, options: Options): Promise<ExitStatus> {
  const file = wanted(options.positionals[1], 'the file');
  const { keyring } = toConfig(io.env);
  if (keyring.kind !== 'file' || existsSync(keyring.path))
    throw new Fault('keys.exists', 'there is a keyring already', {
      where: keyring.kind === 'file' ? keyring.path : 'keyring command',
      remedy: 'it is not overwritten: name another place with UNDISCLOSED_KEYRING',
    });
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw fileFault(file, cause);
  });
  await writeKeyring(keyring.path, restoreKeyring(text, passphrase(io)));
  io.stdout(`The keyring is restored to ${keyring.path}.\n`);
  return 0;
}

async function rotate(io: CommandIo, options: Options): Promise<ExitStatus> {
  const which = wanted(options.positionals[1], 'which key');
  if (which !== 'kek' && which !== 'token' && which !== 'dkim')
    throw new Fault('cli.usage', 'the key is kek, token or dkim');
  const key = await loadOperatorKey(io, options.text('as'));
  const domain = options.text('domain');
  const answer = await callJson<{ key: string; rewrapped: number; dns: string | null }>(
    toConfig(io.env).socket,
    {
      method: 'POST',
      path: '/v1/keys/rotate',
      key,
      body: { key: which, ...(domain === null ? {} : { domain }) },
    },
  );
  if (options.flag('json')) io.stdout(`${JSON.stringify(answer)}\n`);
  else {
    io.stdout(`The ${which} key has a new version; ${answer.rewrapped} data keys rewrapped.\n`);
    if (answer.dns !== null) io.stdout(`Publish in DNS:\n  ${answer.dns}\n`);
    io.stdout('Back the keyring up again: undisclosed keys backup FILE\n');
  }
  return 0;
}

const POLICIES = ['bulk', 'transactional', 'person'];
const GATES_WITH_A_KEY = ['smtp', 'sendgrid', 'mailgun', 'postmark'];

async function issue(io: CommandIo, options: Options): Promise<ExitStatus> {
  const name = wanted(options.positionals[1], 'the name');
  const policy = wanted(options.text('policy'), '--policy');
  if (!POLICIES.includes(policy))
    throw new Fault('cli.usage', 'the policy is bulk, transactional or person');
  if (!/^[\w.-]{1,64}$/.test(name))
    throw new Fault('cli.usage', 'the name has letters, digits, dots, hyphens and underscores', {
      remedy: 'it stands in the ledger: an id, no address',
    });
  const gate = options.text('gate');
  if (gate === 'ses') return issueKeyPair(io, options, { name, policy });
  if (gate !== null && !GATES_WITH_A_KEY.includes(gate))
    throw new Fault('cli.usage', 'there is no such gate', {
      where: '--gate',
      remedy: `say ${GATES_WITH_A_KEY.join(', ')} or ses`,
    });
  const secret = `SG.ud_${randomBytes(24).toString('base64url')}`;
  const keySha256 = createHash('sha256').update(secret).digest('hex');
  const caller = { name, policy, keySha256 };
  if (options.flag('json')) io.stdout(`${JSON.stringify({ key: secret, caller })}\n`);
  else
    io.stdout(
      `Key (shown once; it is the SMTP password and the API key): ${secret}\nInto gates.callers of the configuration: ${JSON.stringify(caller)}\n`,
    );
  return 0;
}

/** SES callers sign their requests: the server derives their secret from its token key. */
async function issueKeyPair(
  io: CommandIo,
  options: Options,
  { name, policy }: { readonly name: string; readonly policy: string },
): Promise<ExitStatus> {
  const key = await loadOperatorKey(io, options.text('as'));
  const { accessKeyId, secret, keySha256 } = await callJson<{
    readonly accessKeyId: string;
    readonly secret: string;
    readonly keySha256: string;
  }>(toConfig(io.env).socket, {
    ...{ method: 'POST', path: '/v1/keys/issue', key, body: { name, gate: 'ses' } },
  });
  const caller = { name, policy, keySha256 };
  if (options.flag('json')) io.stdout(`${JSON.stringify({ accessKeyId, secret, caller })}\n`);
  else
    io.stdout(
      `Access key id: ${accessKeyId}\nSecret (shown once): ${secret}\nInto gates.callers of the configuration: ${JSON.stringify(caller)}\n`,
    );
  return 0;
}

export async function run(args: readonly string[], io: CommandIo): Promise<ExitStatus> {
  const options = readOptions(args, {
    as: { type: 'string' },
    domain: { type: 'string' },
    gate: { type: 'string' },
    policy: { type: 'string' },
  });
  if (options.flag('help')) {
    io.stdout(HELP);
    return 0;
  }
  switch (options.positionals[0]) {
    case 'backup':
      return backup(io, options);
    case 'restore':
      return restore(io, options);
    case 'rotate':
      return rotate(io, options);
    case 'issue':
      return issue(io, options);
    default:
      throw new Fault('cli.usage', 'say backup, restore, rotate or issue', {
        remedy: 'undisclosed keys --help',
      });
  }
}
