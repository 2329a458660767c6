/** Signatures as two verifiers that are not ours see them, with the public key from a file instead of DNS. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { programPath } from './programs.ts';

export interface PublishedKey {
  readonly domain: string;
  readonly selector: string;
  /** Base64, as behind `p=` in DNS. */
  readonly publicKey: string;
}

interface MailauthOutcome {
  readonly results: readonly { readonly status: { readonly result: string } }[];
}

const { dkimVerify } = createRequire(import.meta.url)('mailauth/lib/dkim/verify') as {
  dkimVerify(
    message: Buffer,
    options: { resolver(name: string, type: string): Promise<string[][]> },
  ): Promise<MailauthOutcome>;
};

const recordOf = ({ publicKey }: PublishedKey): string => `v=DKIM1; k=rsa; p=${publicKey}`;
const nameOf = ({ selector, domain }: PublishedKey): string => `${selector}._domainkey.${domain}`;

/** mailauth's results for the signatures of a message, such as `pass` or `fail`. */
export async function mailauthResults(message: Buffer, key: PublishedKey): Promise<string[]> {
  const resolver = async (name: string, type: string): Promise<string[][]> => {
    if (name === nameOf(key) && type === 'TXT') return [[recordOf(key)]];
    throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
  };
  const { results } = await dkimVerify(message, { resolver });
  return results.map(({ status }) => status.result);
}

/** What OpenDKIM's test mode says of each message: `succeeded`, `failed`, or `nothing said`. */
export function opendkimResults(messages: readonly Buffer[], key: PublishedKey): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'opendkim-'));
  try {
    const keys = join(folder, 'keys');
    const conf = join(folder, 'conf');
    writeFileSync(keys, `${nameOf(key)} ${recordOf(key)}\n`);
    writeFileSync(conf, `TestPublicKeys ${keys}\n`);
    const names = messages.map((message, index) => {
      writeFileSync(join(folder, `m${index}`), message);
      return `m${index}`;
    });
    // One process takes many files and says a line for each; a list of 100 stays far below any limit.
    const results = new Map<string, string>();
    for (let first = 0; first < names.length; first += 100) {
      const list = names.slice(first, first + 100).join(',');
      const { stdout, stderr } = spawnSync(
        programPath('opendkim'),
        ['-b', 'v', '-x', conf, '-t', list],
        { encoding: 'utf8', timeout: 30_000, cwd: folder },
      );
      const lines = (stdout + stderr).matchAll(
        /^opendkim: (m\d+): verification .*(succeeded|failed)/gm,
      );
      for (const [, name = '', result = ''] of lines) results.set(name, result);
    }
    return names.map((name) => results.get(name) ?? 'nothing said');
  } finally {
    rmSync(folder, { recursive: true });
  }
}
