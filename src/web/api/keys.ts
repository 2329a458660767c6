/** The keyring over the API: backup and rotation. `serve` alone holds the keys. */

import type { FastifyInstance } from 'fastify';
import type { App } from '../../app.ts';
import { Fault } from '../../base/errors.ts';
import { issueSesKey } from '../../gates/provider.ts';
import { backUpKeyring } from '../../keys/backup.ts';
import { rewrapDataKey } from '../../keys/data-key.ts';
import {
  type Keyring,
  keyringOf,
  newestTokenKey,
  type RotatableKey,
  rotated,
  writeKeyring,
} from '../../keys/keyring.ts';
import { appendEntry } from '../../ledger/ledger.ts';
import { listDataKeys, replaceDataKey } from '../../store/data-keys.ts';

/** Wraps every data key with the newest kek, in one transaction with its entry. */
async function rewrapAll(app: App, keyring: Keyring, operator: string): Promise<number> {
  return app.db.transaction(async (tx) => {
    const rows = await listDataKeys(tx);
    for (const row of rows) {
      const fresh = rewrapDataKey(keyring, {
        name: row.name,
        kekVersion: row.kek_version,
        wrapped: row.wrapped,
      });
      await replaceDataKey(tx, {
        name: row.name,
        kek_version: fresh.kekVersion,
        wrapped: fresh.wrapped,
      });
    }
    await appendEntry(tx, {
      kind: 'keys.rotated',
      at: new Date().toISOString(),
      by: operator,
      subject: 'kek',
      data: { key: 'kek', version: keyring.kek.at(-1)?.version ?? 0, rewrapped: rows.length },
    });
    return rows.length;
  });
}

async function rotate(
  app: App,
  which: RotatableKey,
  domain: string | null,
  operator: string,
): Promise<{ readonly key: string; readonly rewrapped: number; readonly dns: string | null }> {
  const { keyring: source } = app.config;
  if (source.kind !== 'file')
    throw new Fault('keys.not-a-file', 'the keyring comes from a command and cannot be written', {
      remedy: 'rotate it where that command takes it from, then restart the server',
    });
  const document = rotated(app.keyring.document, which, domain);
  const next = keyringOf(document);
  // The new keyring is on disk before anything is wrapped with it: a crash between the two loses nothing.
  await writeKeyring(source.path, document);
  Object.assign(app.keyring, next);
  const rewrapped = which === 'kek' ? await rewrapAll(app, next, operator) : 0;
  if (which !== 'kek')
    await app.db.transaction((tx) =>
      appendEntry(tx, {
        kind: 'keys.rotated',
        at: new Date().toISOString(),
        by: operator,
        subject: which,
        data: { key: which, domain },
      }),
    );
  const dkim = domain === null ? null : next.dkim(domain);
  const dns =
    dkim === null
      ? null
      : `${dkim.selector}._domainkey.${dkim.domain}. TXT "v=DKIM1; k=rsa; p=${dkim.publicKey}"`;
  return { key: which, rewrapped, dns };
}

interface IssuedKey {
  readonly accessKeyId: string;
  readonly secret: string;
  readonly keySha256: string;
}

/** For callers who sign their requests: their secret follows from the token key, which `serve` alone has. */
async function issue(app: App, given: unknown, operator: string): Promise<IssuedKey> {
  const { gate, name } = (given ?? {}) as { readonly gate?: unknown; readonly name?: unknown };
  if (gate !== 'ses' || typeof name !== 'string' || name === '')
    throw new Fault('keys.no-such-gate', 'the server makes keys for named callers of SES only', {
      remedy: 'for other gates `undisclosed keys issue NAME --policy POLICY` needs no server',
    });
  const { accessKeyId, secret, keySha256 } = issueSesKey(name, newestTokenKey(app.keyring));
  await app.db.transaction((tx) =>
    appendEntry(tx, {
      kind: 'keys.issued',
      at: new Date().toISOString(),
      by: operator,
      subject: accessKeyId,
      data: { gate, name, accessKeyId },
    }),
  );
  return { accessKeyId, secret, keySha256 };
}

export function keyRoutes(server: FastifyInstance, app: App): void {
  server.post('/v1/keys/rotate', (request) => {
    const { key, domain } = request.body as { key: RotatableKey; domain?: string };
    return rotate(app, key, domain ?? null, request.operator);
  });
  server.post('/v1/keys/issue', (request) => issue(app, request.body, request.operator));
  server.post('/v1/keys/backup', (request) => {
    const { passphrase } = request.body as { passphrase: string };
    return { backup: backUpKeyring(app.keyring.document, passphrase) };
  });
}
