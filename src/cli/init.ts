/** `undisclosed init`: the data directory and the keyring, beside each other. */

import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Fault } from '../base/errors.ts';
import { toConfig } from '../config.ts';
import { keyringOf, newKeyringDocument, writeKeyring } from '../keys/keyring.ts';
import { type CommandIo, type ExitStatus, readOptions } from './command.ts';

const HELP = `Usage: undisclosed init --domain DOMAIN [--domain DOMAIN ...]

Makes the data directory and a keyring beside it (never in it), with a DKIM key for each From
domain, and says what to publish in DNS. UNDISCLOSED_DATA and UNDISCLOSED_KEYRING name other places.

  --domain DOMAIN   a domain that notices are sent from; may be repeated
  --json            one JSON document
  --help            this text
`;

export async function run(args: readonly string[], io: CommandIo): Promise<ExitStatus> {
  const options = readOptions(args, { domain: { type: 'string', multiple: true } });
  if (options.flag('help')) {
    io.stdout(HELP);
    return 0;
  }
  const domains = options.list('domain');
  if (domains.length === 0)
    throw new Fault('cli.usage', 'no domain is named', { remedy: 'init --domain example.com' });
  const config = toConfig(io.env);
  if (config.keyring.kind !== 'file')
    throw new Fault('keys.not-a-file', 'the keyring comes from a command', {
      remedy: 'unset UNDISCLOSED_KEYRING_COMMAND to make one',
    });
  const { path } = config.keyring;
  if (existsSync(path))
    throw new Fault('init.exists', 'there is a keyring already', {
      where: path,
      remedy: 'it is not overwritten: name another place with UNDISCLOSED_KEYRING',
    });
  await mkdir(config.dataDir, { recursive: true, mode: 0o700 });
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const document = newKeyringDocument(domains);
  await writeKeyring(path, document);
  const keyring = keyringOf(document);
  const dns = domains.map((domain) => {
    const key = keyring.dkim(domain);
    return `${key?.selector}._domainkey.${domain}. TXT "v=DKIM1; k=rsa; p=${key?.publicKey}"`;
  });
  if (options.flag('json'))
    io.stdout(`${JSON.stringify({ dataDir: config.dataDir, keyring: path, dns })}\n`);
  else
    io.stdout(
      `Data directory  ${config.dataDir}\nKeyring         ${path}\n\nPublish in DNS:\n  ${dns.join('\n  ')}\n\nKeep a backup of the keyring: undisclosed keys backup\nNext: undisclosed serve, then undisclosed operator add NAME (two people)\n`,
    );
  return 0;
}
