/** Programs that use the unmodified AWS SDK, or nodemailer's SES transport: what they are told, and what SES is sent. */

import assert from 'node:assert/strict';
import { createHash, createSecretKey, randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import { after, before, type TestContext, test } from 'node:test';
import type { Gate } from '../../src/gates/gate.ts';
import {
  createProviderCarrier,
  type ProviderCarrier,
} from '../../src/gates/provider-api/carrier.ts';
import { createSesAdapter } from '../../src/gates/provider-api/ses.ts';
import { sigv4Keys } from '../../src/gates/provider-api/sigv4.ts';
import { type ProviderApiOptions, startProviderApi } from '../../src/gates/provider-api.ts';
import { identityOf } from '../../src/guard/identity.ts';
import { createMemoryRoad, type MemoryRoad } from '../support/provider-road.ts';
import { SES_KEY, type SesUpstream, startSesUpstream } from './ses-upstream.ts';

/** What these tests use of the package. */
interface Client {
  send(command: object): Promise<{
    readonly MessageId?: string;
    readonly BulkEmailEntryResults?: readonly {
      readonly Status: string;
      readonly MessageId: string;
    }[];
  }>;
  destroy(): void;
}

interface Package {
  readonly SESv2Client: new (settings: object) => Client;
  readonly SendEmailCommand: new (input: object) => object;
  readonly SendBulkEmailCommand: new (input: object) => object;
}

interface Nodemailer {
  createTransport(options: object): {
    sendMail(mail: object): Promise<{ readonly response: string }>;
  };
}

/** What the package throws. */
interface ServiceException extends Error {
  readonly name: string;
  readonly $metadata: { readonly httpStatusCode: number; readonly attempts: number };
}

let aws: Package | null = null;
let nodemailer: Nodemailer | null = null;
let skip: string | false = false;
try {
  const require = createRequire(new URL('../package.json', import.meta.url));
  aws = require('@aws-sdk/client-sesv2');
  nodemailer = require('nodemailer');
} catch {
  skip = '@aws-sdk/client-sesv2 is not installed: run npm ci in test/';
}

const keys = sigv4Keys(createSecretKey(randomBytes(32)));
const issued = keys.issue('shop');
const adapter = createSesAdapter({ approvedTemplates: ['receipt'], keys });

let upstream: SesUpstream;
before(async () => {
  upstream = await startSesUpstream();
});
after(() => upstream.close());

interface Opened {
  readonly client: Client;
  readonly gate: Gate;
  readonly road: MemoryRoad;
  readonly carrier: ProviderCarrier;
  readonly logged: string[];
}

/** A gate with the bulk policy, and the client set up as a program would. */
async function openGate(
  t: TestContext,
  settings: Parameters<typeof identityOf>[2] = {},
  client: object = {},
  change: Partial<ProviderApiOptions> = {},
): Promise<Opened> {
  const logged: string[] = [];
  const log = (event: string, fields: object) => logged.push(JSON.stringify([event, fields]));
  const road = createMemoryRoad();
  const credential = `${SES_KEY.id}:${SES_KEY.secret}`;
  const target = { baseUrl: upstream.baseUrl, credential };
  const callers = (secret: string) =>
    createHash('sha256').update(secret).digest('hex') === issued.keySha256
      ? identityOf('shop', 'bulk', settings)
      : null;
  const gate = await startProviderApi({
    listen: { host: '127.0.0.1', port: 0 },
    callers,
    road,
    adapter,
    upstream: target,
    log: { info: log, warn: log },
    ...change,
  });
  const carrier = createProviderCarrier({
    adapter,
    upstream: target,
    eventsUrl: null,
    log: { warn: log },
  });
  assert.ok(aws !== null);
  const made = new aws.SESv2Client({
    endpoint: gate.address,
    region: 'eu-west-1',
    maxAttempts: 1,
    credentials: { accessKeyId: issued.accessKeyId, secretAccessKey: issued.secret },
    ...client,
  });
  t.after(async () => {
    made.destroy();
    await carrier.close();
    await gate.close();
  });
  return { client: made, gate, road, carrier, logged };
}

function people(count: number): string[] {
  return Array.from({ length: count }, (_, n) => `customer.${n}@mail${n % 20}.example`);
}

const FROM = { FromEmailAddress: 'Company <notices@company.example>' };
const SIMPLE = {
  Simple: {
    Subject: { Data: 'An important notice', Charset: 'UTF-8' },
    Body: { Text: { Data: 'Please read this notice.\n' } },
  },
};
const TEMPLATE = {
  Template: {
    TemplateContent: { Subject: 'For {{name}}', Text: 'Dear {{name}}, please read this.' },
    TemplateData: JSON.stringify({ name: 'reader' }),
  },
};

function email(Destination: object, Content: object = SIMPLE, more: object = {}): object {
  assert.ok(aws !== null);
  return new aws.SendEmailCommand({ ...FROM, Destination, Content, ...more });
}

function rawTo(to: string, more = ''): object {
  const text = `From: notices@company.example\r\nTo: ${to}\r\n${more}Subject: Notice\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nPlease read.\r\n`;
  return { Raw: { Data: Buffer.from(text) } };
}

/** What the package throws, and proof that SES was sent nothing meanwhile. */
async function refused(answer: () => Promise<unknown>): Promise<ServiceException> {
  const sent = upstream.requests.length;
  const error = await answer().then(
    () => assert.fail('the call went through'),
    (thrown: ServiceException) => thrown,
  );
  assert.equal(upstream.requests.length, sent, 'SES was sent something');
  return error;
}

const only = { skip };

test(
  'a message to one person passes, signed with the key that the gate alone holds',
  only,
  async (t) => {
    const { client, logged } = await openGate(t);
    const before = upstream.messages.length;
    const answer = await client.send(email({ ToAddresses: ['Ann <ann@mail.example>'] }));
    assert.equal(answer.MessageId, `upstream-${before + 1}`);
    assert.deepEqual(upstream.messages.at(-1)?.recipients, ['Ann <ann@mail.example>']);
    assert.match(
      upstream.requests.at(-1)?.authorization ?? '',
      /Credential=AKIDUPSTREAMEXAMPLE1\//,
    );
    assert.doesNotMatch(logged.join(), /ann@|upstream\/secret/);
    assert.deepEqual(upstream.rejected, []);
  },
);

test(
  'a wrong secret, an unknown key and the key of AWS itself are all refused',
  only,
  async (t) => {
    const { client, gate } = await openGate(t);
    await client.send(email({ ToAddresses: ['ann@mail.example'] }));
    for (const credentials of [
      { accessKeyId: issued.accessKeyId, secretAccessKey: `${issued.secret}x` },
      { accessKeyId: keys.issue('x').accessKeyId, secretAccessKey: issued.secret },
      { accessKeyId: SES_KEY.id, secretAccessKey: SES_KEY.secret },
    ]) {
      const { client: other } = await openGate(t, {}, { credentials, endpoint: gate.address });
      const error = await refused(() => other.send(email({ ToAddresses: ['ann@mail.example'] })));
      assert.equal(error.name, 'InvalidSignatureException');
      assert.equal(error.$metadata.httpStatusCode, 403);
    }
    const unknown = keys.issue('nobody');
    const credentials = { accessKeyId: unknown.accessKeyId, secretAccessKey: unknown.secret };
    const { client: other } = await openGate(t, {}, { credentials });
    const error = await refused(() => other.send(email({ ToAddresses: ['ann@mail.example'] })));
    assert.equal(error.$metadata.httpStatusCode, 403);
  },
);

test(
  'fifty people in To are refused as SES refuses a message: 2,450 disclosures, none made',
  only,
  async (t) => {
    const { client, logged } = await openGate(t, {}, { maxAttempts: 3 });
    const error = await refused(() => client.send(email({ ToAddresses: people(50) })));
    assert.equal(error.name, 'MessageRejected');
    assert.equal(error.$metadata.httpStatusCode, 400);
    assert.equal(error.$metadata.attempts, 1);
    assert.match(error.message, /2,450 disclosures/);
    assert.doesNotMatch(error.message + logged.join(), /customer\./);
  },
);

test(
  'with split, fifty people get fifty private messages, nobody twice, under one id',
  only,
  async (t) => {
    const { client, road, carrier } = await openGate(t, { split: true });
    const before = upstream.messages.length;
    const Destination = {
      ToAddresses: people(48),
      CcAddresses: ['cc@mail.example'],
      BccAddresses: ['bcc@mail.example'],
    };
    const answer = await client.send(email(Destination));
    assert.equal(answer.MessageId, 'kept-1');
    assert.equal(upstream.messages.length, before, 'nothing leaves before it is delivered');
    const results = await road.deliverLast(carrier);
    assert.ok(results.every(({ kind }) => kind === 'accepted'));
    const sent = upstream.messages.slice(before);
    const readers = sent.map(({ recipients }) => recipients.join());
    assert.deepEqual(readers, [...people(48), 'cc@mail.example', 'bcc@mail.example']);
    for (const { recipients, shown } of sent) assert.equal(shown, recipients.join());
    assert.deepEqual(upstream.rejected, []);
  },
);

test(
  'a raw message is judged by its header: nodemailer names everybody in Destination, harmless or not',
  only,
  async (t) => {
    const { client } = await openGate(t);
    const [one = '', two = ''] = people(2);
    assert.ok(aws !== null && nodemailer !== null);
    const transport = nodemailer.createTransport({
      SES: { sesClient: client, SendEmailCommand: aws.SendEmailCommand },
    });
    const mail = { from: 'notices@company.example', subject: 'Notice', text: 'Please read.' };
    const before = upstream.messages.length;
    await transport.sendMail({ ...mail, to: one });
    const blind = { from: mail.from, to: [one, two] };
    await transport.sendMail({ ...mail, to: 'notices@company.example', envelope: blind });
    assert.deepEqual(
      upstream.messages.slice(before).map(({ recipients }) => recipients),
      [[one], [one, two]],
    );
    const error = await refused(() => transport.sendMail({ ...mail, to: [one, two] }));
    assert.equal(error.name, 'MessageRejected');
    const copied = await refused(() => transport.sendMail({ ...mail, to: one, cc: two }));
    assert.equal(copied.name, 'MessageRejected');
  },
);

test(
  'with split, a raw message becomes one for each reader that names nobody else',
  only,
  async (t) => {
    const { client, road, carrier } = await openGate(t, { split: true });
    const before = upstream.messages.length;
    const all = people(20);
    const content = rawTo(all.slice(0, 18).join(', '), `Cc: ${all[18]}\r\n`);
    await client.send(email({ ToAddresses: all }, content));
    await road.deliverLast(carrier);
    const sent = upstream.messages.slice(before);
    assert.deepEqual(
      sent.map(({ recipients }) => recipients[0]),
      all,
    );
    for (const { recipients, shown, raw } of sent) {
      assert.deepEqual(shown.match(/customer\.\d+@[a-z0-9.]+/g), recipients);
      assert.match(String(raw), /Please read\.\r\n$/);
    }
  },
);

test(
  'without Destination the people in the header of a raw message are its readers',
  only,
  async (t) => {
    const { client, road, carrier } = await openGate(t, { split: true });
    assert.ok(aws !== null);
    const before = upstream.messages.length;
    const [one = '', two = ''] = people(2);
    await client.send(new aws.SendEmailCommand({ Content: rawTo(`${one}, ${two}`) }));
    await road.deliverLast(carrier);
    assert.deepEqual(
      upstream.messages.slice(before).map(({ recipients }) => recipients),
      [[one], [two]],
    );
  },
);

test(
  'a template is filled in before it is judged; a stored one passes once approved',
  only,
  async (t) => {
    const { client } = await openGate(t);
    const to = { ToAddresses: ['ann@mail.example'] };
    await client.send(email(to, TEMPLATE));
    const { TemplateContent } = TEMPLATE.Template;
    const template = (data: object) => ({
      Template: { TemplateContent, TemplateData: JSON.stringify(data) },
    });
    const missing = await refused(() => client.send(email(to, template({ nmae: 'Ann' }))));
    assert.match(missing.message, /placeholder/i);
    const other = await refused(() =>
      client.send(email(to, template({ name: 'bo@mail.example' }))),
    );
    assert.equal(other.name, 'MessageRejected');
    const named = (name: string) => ({ Template: { TemplateName: name, TemplateData: '{}' } });
    await client.send(email(to, named('receipt')));
    const unknown = await refused(() => client.send(email(to, named('newsletter'))));
    assert.equal(unknown.name, 'BadRequestException');
    assert.match(unknown.message, /has not been approved/);
  },
);

test(
  'bulk entries of one pass as one call; an entry of two is refused, or split into entries of one',
  only,
  async (t) => {
    const { client } = await openGate(t);
    assert.ok(aws !== null);
    const { SendBulkEmailCommand } = aws;
    const bulk = (entries: readonly (readonly string[])[]) =>
      new SendBulkEmailCommand({
        ...FROM,
        DefaultContent: TEMPLATE,
        BulkEmailEntries: entries.map((ToAddresses, n) => ({
          Destination: { ToAddresses },
          ReplacementEmailContent: {
            ReplacementTemplate: { ReplacementTemplateData: JSON.stringify({ name: `Name ${n}` }) },
          },
        })),
      });
    const before = upstream.messages.length;
    const answer = await client.send(bulk(people(50).map((one) => [one])));
    assert.equal(answer.BulkEmailEntryResults?.length, 50);
    assert.equal(upstream.messages.length, before + 50);
    const pairs = [people(2), ['c@mail.example']];
    const error = await refused(() => client.send(bulk(pairs)));
    assert.equal(error.name, 'MessageRejected');

    const { client: splitting, road, carrier } = await openGate(t, { split: true });
    const kept = await splitting.send(bulk(pairs));
    assert.deepEqual(
      kept.BulkEmailEntryResults?.map(({ Status }) => Status),
      ['SUCCESS', 'SUCCESS'],
    );
    const results = await road.deliverLast(carrier);
    assert.ok(results.every(({ kind }) => kind === 'accepted'));
    const readers = upstream.messages.slice(before + 50).map(({ recipients }) => recipients);
    assert.deepEqual(readers, [[people(2)[0]], [people(2)[1]], ['c@mail.example']]);
  },
);

test('what cannot be inspected is a BadRequestException that names the member', only, async (t) => {
  const { client } = await openGate(t);
  const to = { ToAddresses: ['ann@mail.example'] };
  const cases: readonly (readonly [RegExp, object])[] = [
    [/non-ASCII/, email({ ToAddresses: ['jürgen@mail.example'] })],
    [/Destination\.ToAddresses\.0/, email({ ToAddresses: ['a@x.test, b@x.test'] })],
    [/At least one address/, email({})],
    [/exceeds 50/, email({ ToAddresses: people(51) })],
    [
      /provider/,
      email(to, { Simple: { ...SIMPLE.Simple, Headers: [{ Name: 'Bcc', Value: 'b@x.test' }] } }),
    ],
    [
      /line breaks/,
      email(to, { Simple: { ...SIMPLE.Simple, Subject: { Data: 'a\r\nBcc: b@x.test' } } }),
    ],
    [
      /Charset/,
      email(to, { Simple: { ...SIMPLE.Simple, Subject: { Data: 'a', Charset: 'utf-7' } } }),
    ],
    [/ReplyToAddresses/, email(to, rawTo('ann@mail.example'), { ReplyToAddresses: ['b@x.test'] })],
  ];
  for (const [message, command] of cases) {
    const error = await refused(() => client.send(command));
    assert.equal(error.name, 'BadRequestException');
    assert.match(error.message, message);
    assert.doesNotMatch(error.message, /@/);
  }
});

test('SES’s answers to a delivery say whether it may be tried again', only, async (t) => {
  const { client, road, carrier } = await openGate(t, { split: true });
  for (const [status, type, kind] of [
    [429, 'TooManyRequestsException', 'deferred'],
    [400, 'LimitExceededException', 'deferred'],
    [400, 'MessageRejected', 'refused'],
    [500, 'InternalFailure', 'uncertain'],
    [503, 'ServiceUnavailable', 'deferred'],
  ] as const) {
    await client.send(email({ ToAddresses: people(2) }));
    upstream.failNext(status, type);
    const [first, second] = await road.deliverLast(carrier);
    assert.equal(first?.kind, kind, type);
    assert.match(first?.answer ?? '', new RegExp(type));
    assert.equal(second?.kind, 'accepted');
  }
});

test('in shadow mode everything goes on as it came', only, async (t) => {
  const { client } = await openGate(t, { mode: 'shadow' });
  await client.send(email({ ToAddresses: people(3) }));
  assert.deepEqual(upstream.messages.at(-1)?.recipients, people(3));
});
