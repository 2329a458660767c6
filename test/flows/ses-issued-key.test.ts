/** A key pair from `keys issue --gate ses`, in the unmodified AWS SDK, in front of a real `serve`. */

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { GuardHouse, type ServeProcess } from '../support/guard-house.ts';
import { SES_KEY, type SesUpstream, startSesUpstream } from './ses-upstream.ts';

interface Client {
  send(command: object): Promise<{ readonly MessageId?: string }>;
  destroy(): void;
}

interface Package {
  readonly SESv2Client: new (settings: object) => Client;
  readonly SendEmailCommand: new (input: object) => object;
}

let aws: Package | null = null;
let skip: string | false = false;
try {
  aws = createRequire(new URL('../package.json', import.meta.url))('@aws-sdk/client-sesv2');
} catch {
  skip = '@aws-sdk/client-sesv2 is not installed: run npm ci in test/';
}

interface Issued {
  readonly accessKeyId: string;
  readonly secret: string;
  readonly caller: object;
}

let house: GuardHouse;
let upstream: SesUpstream;
before(async () => {
  upstream = await startSesUpstream();
  house = await GuardHouse.make();
});
after(async () => {
  await house?.close();
  await upstream?.close();
});

function serve(callers: readonly object[]): Promise<ServeProcess> {
  const ses = { listen: '127.0.0.1:0', baseUrl: upstream.baseUrl };
  const env = { SES_KEY: `${SES_KEY.id}:${SES_KEY.secret}` };
  return house.serve('ses', { gates: { ses, callers } }, env);
}

async function send(
  serving: ServeProcess,
  { accessKeyId, secret }: Pick<Issued, 'accessKeyId' | 'secret'>,
  to: readonly string[],
): Promise<string> {
  assert.ok(aws !== null);
  const client = new aws.SESv2Client({
    endpoint: `http://127.0.0.1:${serving.port('provider-api:ses')}`,
    region: 'eu-west-1',
    maxAttempts: 1,
    credentials: { accessKeyId, secretAccessKey: secret },
  });
  const command = new aws.SendEmailCommand({
    FromEmailAddress: 'shop@company.example',
    Destination: { ToAddresses: to },
    Content: {
      Simple: {
        Subject: { Data: 'Receipt' },
        Body: { Text: { Data: 'Thank you for your order.' } },
      },
    },
  });
  try {
    return (await client.send(command)).MessageId ?? '';
  } catch (error) {
    return (error as Error).name;
  } finally {
    client.destroy();
  }
}

test('a key pair issued for SES signs for its caller, who is judged by its policy, until the token key is rotated', {
  skip,
}, async () => {
  let serving = await serve([]);
  await house.enrol(serving);
  const issue = ['keys', 'issue', 'shop', '--policy', 'transactional', '--gate', 'ses'];
  const issued: Issued = JSON.parse(
    await house.must([...issue, '--as', 'alice', '--json'], serving.env),
  );
  assert.deepEqual(issued.caller, {
    name: 'shop',
    policy: 'transactional',
    keySha256: (issued.caller as { keySha256: string }).keySha256,
  });
  // Nobody is let in before the entry stands in the configuration.
  assert.equal(await send(serving, issued, ['ann@home.example']), 'InvalidSignatureException');
  assert.equal(upstream.requests.length, 0);
  await serving.stop();

  serving = await serve([issued.caller]);
  assert.match(await send(serving, issued, ['ann@home.example']), /^upstream-/);
  assert.match(upstream.requests.at(-1)?.authorization ?? '', new RegExp(SES_KEY.id));
  const leak = ['ann@home.example', 'bob@home.example'];
  assert.equal(await send(serving, issued, leak), 'MessageRejected');
  const first = issued.secret.startsWith('A') ? 'B' : 'A';
  const forged = { ...issued, secret: `${first}${issued.secret.slice(1)}` };
  assert.equal(await send(serving, forged, ['ann@home.example']), 'InvalidSignatureException');
  assert.equal(upstream.requests.length, 1);

  const [entry] = await house.db.query<{ entry: unknown }>(
    "SELECT to_jsonb(e) AS entry FROM ledger_entry e WHERE to_jsonb(e)::text LIKE '%keys.issued%'",
  );
  assert.ok(entry !== undefined, 'the deed is in the ledger');
  assert.match(JSON.stringify(entry), new RegExp(issued.accessKeyId));
  const everything = await house.db.query<{ row: string }>(
    'SELECT to_jsonb(e)::text AS row FROM ledger_entry e',
  );
  assert.ok(everything.every(({ row }) => !row.includes(issued.secret)));
  assert.ok(serving.lines.every((line) => !line.includes(issued.secret)));

  await house.must(['keys', 'rotate', 'token', '--as', 'alice'], serving.env);
  await serving.stop();
  serving = await serve([issued.caller]);
  assert.equal(await send(serving, issued, ['ann@home.example']), 'InvalidSignatureException');
  const fresh: Issued = JSON.parse(
    await house.must([...issue, '--as', 'bob', '--json'], serving.env),
  );
  await serving.stop();
  serving = await serve([fresh.caller]);
  assert.match(await send(serving, fresh, ['ann@home.example']), /^upstream-/);
});

test('what cannot be issued is refused with its reason', async () => {
  const serving = await house.serve('plain', {});
  const issue = async (...args: string[]): Promise<string> => {
    const { status, stderr } = await house.cli(['keys', 'issue', ...args], serving.env);
    assert.equal(status, 2);
    return stderr;
  };
  assert.match(await issue('shop', '--policy', 'bulky'), /the policy is bulk/);
  assert.match(await issue('a@b.example', '--policy', 'bulk'), /the name has letters/);
  assert.match(await issue('shop', '--policy', 'bulk', '--gate', 'sez'), /no such gate/);
  assert.match(await issue('shop', '--policy', 'bulk', '--gate', 'ses'), /operator/);
});
