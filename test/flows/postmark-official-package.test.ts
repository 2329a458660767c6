/** Programs that use the unmodified `postmark` package: what they are told, and what the provider is sent. */

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, type TestContext, test } from 'node:test';
import { createProviderCarrier } from '../../src/gates/provider-api/carrier.ts';
import { createPostmarkAdapter } from '../../src/gates/provider-api/postmark.ts';
import { startProviderApi } from '../../src/gates/provider-api.ts';
import type { Road } from '../../src/guard/check.ts';
import { identityOf } from '../../src/guard/identity.ts';
import { createMemoryRoad, type MemoryRoad } from '../support/provider-road.ts';
import {
  type PostmarkUpstream,
  startPostmarkUpstream,
  UPSTREAM_TOKEN,
} from './postmark-upstream.ts';

interface Sent {
  readonly MessageID: string;
  readonly ErrorCode: number;
  readonly To?: string;
}

/** What these tests use of the package. */
interface ServerClient {
  sendEmail(message: object): Promise<Sent>;
  sendEmailBatch(messages: readonly object[]): Promise<readonly Sent[]>;
  sendEmailWithTemplate(message: object): Promise<Sent>;
  sendEmailBatchWithTemplates(messages: readonly object[]): Promise<readonly Sent[]>;
  sendBulkEmail(request: object): Promise<unknown>;
}

interface ClientError extends Error {
  readonly code: number;
  readonly statusCode: number;
}

const OUR_TOKEN = 'token-issued-by-the-guard';
let Client: (new (token: string, options: object) => ServerClient) | null = null;
let missing: string | false = false;
try {
  Client = createRequire(new URL('../package.json', import.meta.url))('postmark').ServerClient;
} catch {
  missing = 'postmark is not installed: run npm ci in test/';
}

const adapter = createPostmarkAdapter({ approvedTemplates: ['welcome'] });
let upstream: PostmarkUpstream;
before(async () => {
  upstream = await startPostmarkUpstream();
});
after(() => upstream.close());

interface Opened {
  readonly client: ServerClient;
  readonly clientWith: (token: string) => ServerClient;
  readonly road: MemoryRoad;
  readonly logged: readonly string[];
}

/** A gate that judges with the bulk policy, and the package set up as a program would. */
async function openGate(
  t: TestContext,
  settings: Parameters<typeof identityOf>[2] = {},
  otherRoad?: Road,
): Promise<Opened> {
  const road = createMemoryRoad();
  const logged: string[] = [];
  const log = (event: string, fields: object) => logged.push(JSON.stringify([event, fields]));
  const gate = await startProviderApi({
    listen: { host: '127.0.0.1', port: 0 },
    callers: (key) => (key === OUR_TOKEN ? identityOf('shop', 'bulk', settings) : null),
    road: otherRoad ?? road,
    adapter,
    upstream: { baseUrl: `http://${upstream.host}`, credential: UPSTREAM_TOKEN },
    log: { info: log, warn: log },
  });
  t.after(() => gate.close());
  const { host } = new URL(gate.address);
  const clientWith = (token: string): ServerClient => {
    if (Client === null) throw new Error(String(missing));
    return new Client(token, { requestHost: host, useHttps: false });
  };
  return { client: clientWith(OUR_TOKEN), clientWith, road, logged };
}

function openCarrier(t: TestContext) {
  const carrier = createProviderCarrier({
    adapter,
    upstream: { baseUrl: `http://${upstream.host}`, credential: UPSTREAM_TOKEN },
    eventsUrl: null,
    log: { warn: () => {} },
  });
  t.after(() => carrier.close());
  return carrier;
}

function people(count: number): string[] {
  return Array.from({ length: count }, (_, n) => `customer.${n}@mail${n % 20}.example`);
}

const NOTICE = {
  From: 'Company <notices@company.example>',
  Subject: 'An important notice',
  TextBody: 'Please read this notice.\n',
  HtmlBody: '<p>Please read this notice.</p>',
};
const TEMPLATED = {
  From: NOTICE.From,
  TemplateAlias: 'welcome',
  TemplateModel: { product: 'Account' },
};

/** What the package throws, and proof that the provider was sent nothing meanwhile. */
async function refused(answer: () => Promise<unknown>): Promise<ClientError> {
  const sent = upstream.paths.length;
  const error = await answer().then(
    () => assert.fail('the call went through'),
    (thrown: ClientError) => thrown,
  );
  assert.equal(upstream.paths.length, sent, 'the provider was sent something');
  return error;
}

const only = { skip: missing };

test(
  'fifty people in one To are refused on all four endpoints: 2,450 disclosures, none made',
  only,
  async (t) => {
    const { client, logged } = await openGate(t);
    const To = people(50).join(', ');
    for (const call of [
      () => client.sendEmail({ ...NOTICE, To }),
      () => client.sendEmailBatch([{ ...NOTICE, To }]),
      () => client.sendEmailWithTemplate({ ...TEMPLATED, To }),
      () => client.sendEmailBatchWithTemplates([{ ...TEMPLATED, To }]),
    ]) {
      const error = await refused(call);
      assert.equal(error.constructor.name, 'InvalidEmailRequestError');
      assert.equal(error.statusCode, 422);
      assert.equal(error.code, 300);
      assert.match(error.message, /2,450 disclosures/);
      assert.doesNotMatch(error.message + logged.join(), /customer\./);
    }
  },
);

test('one of five hundred in a batch that shows somebody stops the batch', only, async (t) => {
  const { client } = await openGate(t);
  const batch: object[] = people(499).map((To) => ({ ...NOTICE, To }));
  batch.push({ ...NOTICE, To: 'a@mail.example', Cc: 'b@mail.example' });
  const error = await refused(() => client.sendEmailBatch(batch));
  assert.equal(error.statusCode, 422);
});

test(
  'messages to one person each pass as they were, with the provider’s own answer',
  only,
  async (t) => {
    const { client } = await openGate(t);
    const start = upstream.messages.length;
    const batch = people(500).map((To) => ({ ...NOTICE, To }));
    const results = await client.sendEmailBatch(batch);
    assert.equal(results.length, 500);
    assert.ok(results.every(({ ErrorCode, MessageID }) => ErrorCode === 0 && MessageID !== ''));
    assert.deepEqual(upstream.messages.slice(start), batch);
    const one = await client.sendEmail({ ...NOTICE, To: 'Ann <ann@mail.example>' });
    assert.match(one.MessageID, /^id-/);
    const template = await client.sendEmailWithTemplate({ ...TEMPLATED, To: 'ann@mail.example' });
    assert.match(template.MessageID, /^id-/);
    assert.deepEqual(upstream.rejected, []);
  },
);

test(
  "another customer's address in a header, metadata, model, file or reply-to is refused",
  only,
  async (t) => {
    const { client } = await openGate(t);
    const other = 'customer.7@mail7.example';
    const batch = (change: object) => [
      { ...NOTICE, To: other },
      { ...NOTICE, To: 'ann@mail.example', ...change },
    ];
    const file = Buffer.from(`name,address\nBo,${other}\n`).toString('base64');
    const changes: readonly object[] = [
      { Headers: [{ Name: 'X-Account', Value: other }] },
      { Metadata: { account: other } },
      { Attachments: [{ Name: 'a.csv', Content: file, ContentType: 'text/csv' }] },
      { ReplyTo: `help@company.example, ${other}` },
      { Subject: `For ${other}` },
      { HtmlBody: `<a href="https://company.example/?u=${encodeURIComponent(other)}">a</a>` },
      { To: `"${other}" <ann@mail.example>` },
    ];
    for (const change of changes) {
      const error = await refused(() => client.sendEmailBatch(batch(change)));
      assert.equal(error.statusCode, 422, JSON.stringify(Object.keys(change)));
    }
    const model = { ...TEMPLATED, TemplateModel: { account: other } };
    const messages = [
      { ...TEMPLATED, To: other },
      { ...model, To: 'ann@mail.example' },
    ];
    const error = await refused(() => client.sendEmailBatchWithTemplates(messages));
    assert.equal(error.statusCode, 422);
    assert.equal((await client.sendEmailBatch(batch({}))).length, 2, 'without it the batch passes');
  },
);

test(
  'a template nobody has looked at, a bulk call and an unknown property are refused',
  only,
  async (t) => {
    const { client } = await openGate(t);
    const To = 'ann@mail.example';
    const template = await refused(() =>
      client.sendEmailWithTemplate({ ...TEMPLATED, TemplateAlias: 'other', To }),
    );
    assert.match(template.message, /not been approved/);
    const bulk = await refused(() => client.sendBulkEmail({ ...NOTICE, Messages: [{ To }] }));
    assert.equal(bulk.statusCode, 404);
    const unknown = await refused(() => client.sendEmail({ ...NOTICE, To, bcc: 'b@mail.example' }));
    assert.match(unknown.message, /not known/);
  },
);

test('a token the guard has not issued is refused as the provider refuses one', only, async (t) => {
  const { clientWith } = await openGate(t);
  const message = { ...NOTICE, To: 'ann@mail.example' };
  const error = await refused(() => clientWith(UPSTREAM_TOKEN).sendEmail(message));
  assert.equal(error.constructor.name, 'InvalidAPIKeyError');
  assert.equal(error.code, 10);
});

test(
  'while the guard cannot judge, nothing is sent and the program is told to try later',
  only,
  async (t) => {
    const { client } = await openGate(
      t,
      {},
      {
        decide: () => Promise.reject(new Error('database gone')),
      },
    );
    const error = await refused(() => client.sendEmail({ ...NOTICE, To: 'ann@mail.example' }));
    assert.equal(error.statusCode, 503);
    assert.match(error.message, /nothing was sent/);
  },
);

test('split: To, Cc and Bcc each get one message of their own; one id answers', only, async (t) => {
  const { client, road } = await openGate(t, { split: true });
  const carrier = openCarrier(t);
  const start = upstream.messages.length;
  const readers = people(50);
  const sent = await client.sendEmail({
    ...NOTICE,
    To: `"Customer, Zero" <${readers[0]}>,${readers.slice(1, 40).join(',')}`,
    Cc: readers.slice(40, 45).join(', '),
    Bcc: readers.slice(45).join(', '),
    Metadata: { campaign: 'a' },
  });
  assert.equal(sent.MessageID, 'kept-1');
  assert.equal(sent.ErrorCode, 0);
  assert.equal(upstream.messages.length, start, 'kept first');
  const results = await road.deliverLast(carrier);
  assert.deepEqual(
    results.map(({ kind }) => kind),
    ['accepted'],
  );
  const [first, ...rest] = upstream.messages.slice(start);
  assert.equal(first?.To, `"Customer, Zero" <${readers[0]}>`);
  assert.deepEqual(
    rest.map(({ To }) => To),
    readers.slice(1),
  );
  for (const { To: _, ...message } of upstream.messages.slice(start)) {
    assert.deepEqual(message, { ...NOTICE, Metadata: { campaign: 'a' } });
  }
  assert.deepEqual(upstream.rejected, []);
});

test(
  'split: a batch and a templated call likewise; the answer has a result for each message',
  only,
  async (t) => {
    const { client, road } = await openGate(t, { split: true });
    const carrier = openCarrier(t);
    const [a, b, c, d] = people(4);
    const start = upstream.messages.length;
    const results = await client.sendEmailBatchWithTemplates([
      { ...TEMPLATED, To: `${a}, ${b}` },
      { ...TEMPLATED, To: c, Cc: d },
    ]);
    assert.deepEqual(
      results.map(({ MessageID, To }) => [MessageID, To]),
      [
        ['kept-1', `${a}, ${b}`],
        ['kept-1.1', c],
      ],
    );
    await road.deliverLast(carrier);
    assert.equal(upstream.paths.at(-1), '/email/batchWithTemplates');
    const sent = upstream.messages.slice(start);
    assert.deepEqual(
      sent.map(({ To }) => To),
      [a, b, c, d],
    );
    assert.ok(sent.every(({ Cc, Bcc }) => Cc === undefined && Bcc === undefined));
    assert.deepEqual(upstream.rejected, []);
  },
);

test(
  'split: who is copied in on a whole batch gets each text once, and none beside their own',
  only,
  async (t) => {
    const { client, road } = await openGate(t, { split: true });
    const carrier = openCarrier(t);
    const [a = '', b = '', c = '', auditor = ''] = people(4);
    const start = upstream.messages.length;
    await client.sendEmailBatch([
      { ...NOTICE, To: a, Cc: auditor },
      { ...NOTICE, To: b, Cc: `${auditor}, ${c}`, Bcc: auditor },
      { ...NOTICE, To: c, Subject: 'Another notice', Cc: auditor },
      { ...NOTICE, To: c },
    ]);
    await road.deliverLast(carrier);
    assert.deepEqual(
      upstream.messages.slice(start).map(({ To, Subject }) => [To, Subject]),
      [
        [a, NOTICE.Subject],
        [b, NOTICE.Subject],
        [c, 'Another notice'],
        [c, NOTICE.Subject],
        [auditor, NOTICE.Subject],
        [auditor, 'Another notice'],
      ],
    );
    assert.deepEqual(upstream.rejected, []);
  },
);
