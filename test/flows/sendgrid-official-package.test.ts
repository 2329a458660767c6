/** Programs that use the unmodified `@sendgrid/mail`: what they are told, and what the provider is sent. */

import assert from 'node:assert/strict';
import http from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { after, before, type TestContext, test } from 'node:test';
import type { Gate } from '../../src/gates/gate.ts';
import { createProviderCarrier } from '../../src/gates/provider-api/carrier.ts';
import { createSendgridAdapter } from '../../src/gates/provider-api/sendgrid.ts';
import { type ProviderApiOptions, startProviderApi } from '../../src/gates/provider-api.ts';
import { identityOf } from '../../src/guard/identity.ts';
import { createMemoryRoad, type MemoryRoad } from '../support/provider-road.ts';
import { type SendgridUpstream, startSendgridUpstream, UPSTREAM_KEY } from './sendgrid-upstream.ts';

/** What these tests use of the package. */
interface MailService {
  setApiKey(key: string): void;
  readonly client: { setDefaultRequest(name: string, value: string): void };
  send(mail: object): Promise<readonly [{ readonly statusCode: number; readonly headers: object }]>;
  sendMultiple(mail: object): ReturnType<MailService['send']>;
}

/** What the package throws for an answer of 400 and above. */
interface ResponseError extends Error {
  readonly code: number;
  readonly response: {
    readonly body: {
      readonly errors: readonly {
        readonly message: string;
        readonly field: string | null;
        readonly help: string | null;
      }[];
    };
  };
}

const OUR_KEY = 'SG.key-issued-by-the-guard';
let MailService: (new () => MailService) | null = null;
let missing: string | false = false;
try {
  const require = createRequire(new URL('../../demo/package.json', import.meta.url));
  MailService = require('@sendgrid/mail').MailService;
} catch {
  missing = '@sendgrid/mail is not installed: run npm ci in demo/';
}

let upstream: SendgridUpstream;
before(async () => {
  upstream = await startSendgridUpstream();
});
after(() => upstream.close());

const adapter = createSendgridAdapter({ approvedTemplates: [] });

interface Opened {
  readonly mail: MailService;
  readonly gate: Gate;
  readonly logged: string[];
  readonly road: MemoryRoad;
}

/** A gate that judges with the bulk policy, and the package set up as a program would. */
async function openGate(
  t: TestContext,
  change: Partial<ProviderApiOptions> = {},
  settings: Parameters<typeof identityOf>[2] = {},
): Promise<Opened> {
  const logged: string[] = [];
  const log = (event: string, fields: object) => logged.push(JSON.stringify([event, fields]));
  const road = createMemoryRoad();
  const gate = await startProviderApi({
    listen: { host: '127.0.0.1', port: 0 },
    callers: (key) => (key === OUR_KEY ? identityOf('shop', 'bulk', settings) : null),
    road,
    adapter,
    upstream: { baseUrl: upstream.baseUrl, credential: UPSTREAM_KEY },
    log: { info: log, warn: log },
    ...change,
  });
  t.after(() => gate.close());
  if (MailService === null) throw new Error(String(missing));
  const mail = new MailService();
  mail.setApiKey(OUR_KEY);
  // After the key: setApiKey sets the base URL back to the provider's.
  mail.client.setDefaultRequest('baseUrl', gate.address);
  return { mail, gate, logged, road };
}

function people(count: number): string[] {
  return Array.from({ length: count }, (_, n) => `customer.${n}@mail${n % 20}.example`);
}

const NOTICE = {
  from: { email: 'notices@company.example', name: 'Company' },
  subject: 'An important notice',
  text: 'Please read this notice.\n',
  html: '<p>Please read this notice.</p>',
};

/** What the package throws, and proof that the provider was sent nothing meanwhile. */
async function refused(answer: () => Promise<unknown>): Promise<ResponseError> {
  const sent = upstream.calls.length;
  const error = await answer().then(
    () => assert.fail('the call went through'),
    (thrown: ResponseError) => thrown,
  );
  assert.equal(upstream.calls.length, sent, 'the provider was sent something');
  return error;
}

const only = { skip: missing };

test(
  'one call with a thousand people in one to is refused: 999,000 disclosures, none made',
  only,
  async (t) => {
    const { mail, logged } = await openGate(t);
    const error = await refused(() => mail.send({ ...NOTICE, to: people(1000) }));
    assert.equal(error.code, 400);
    assert.equal(error.constructor.name, 'ResponseError');
    const [first] = error.response.body.errors;
    assert.equal(first?.field, 'personalizations.0.to');
    assert.match(first?.message ?? '', /999,000 disclosures/);
    assert.equal(typeof first?.help, 'string');
    assert.doesNotMatch(JSON.stringify(error.response.body) + logged.join(), /customer\./);
  },
);

test(
  'sendMultiple makes a thousand private copies, which pass and arrive as they were',
  only,
  async (t) => {
    const { mail, logged } = await openGate(t);
    const sent = upstream.calls.length;
    const [response] = await mail.sendMultiple({ ...NOTICE, to: people(1000) });
    assert.equal(response.statusCode, 202);
    assert.ok('x-message-id' in response.headers);
    const [call, ...more] = upstream.calls.slice(sent);
    assert.equal(more.length, 0);
    assert.equal(call?.key, `Bearer ${UPSTREAM_KEY}`);
    assert.deepEqual(
      call?.body.personalizations.map(({ to }) => to),
      people(1000).map((email) => [{ email }]),
    );
    assert.deepEqual(upstream.rejected, []);
    assert.doesNotMatch(logged.join(), /customer\./);
  },
);

test(
  'sendMultiple with personalizations of its own still shows everybody, and is refused',
  only,
  async (t) => {
    const { mail } = await openGate(t);
    const to = people(50).map((email) => ({ email }));
    const error = await refused(() => mail.sendMultiple({ ...NOTICE, personalizations: [{ to }] }));
    assert.equal(error.code, 400);
    assert.match(error.response.body.errors[0]?.message ?? '', /2,450 disclosures/);
  },
);

test(
  'sendMultiple with a cc shows every reader to the one copied in, and is refused',
  only,
  async (t) => {
    const { mail } = await openGate(t);
    const mailing = { ...NOTICE, to: people(3), cc: 'auditor@elsewhere.example' };
    const error = await refused(() => mail.sendMultiple(mailing));
    assert.equal(error.response.body.errors[0]?.field, 'personalizations.0.to');
  },
);

test('a person in bcc is shown the person in to, and the call is refused', only, async (t) => {
  const { mail } = await openGate(t);
  const [to, bcc] = people(2);
  const error = await refused(() => mail.send({ ...NOTICE, to, bcc }));
  assert.match(error.response.body.errors[0]?.message ?? '', /\b1 disclosure\b/);
});

test(
  "another customer's address in a substitution, a header or a file is refused",
  only,
  async (t) => {
    const { mail } = await openGate(t);
    const [to = '', other = ''] = people(2);
    const file = Buffer.from(`name,address\nBo,${other}\n`).toString('base64');
    const bodies: readonly object[] = [
      { substitutions: { account: other }, html: '<p>{{account}}</p>' },
      { substitutions: { account: other } },
      { headers: { 'X-Account': other } },
      { subject: `For ${other}` },
      { html: `<a href="https://company.example/?u=${encodeURIComponent(other)}">link</a>` },
      { attachments: [{ content: file, filename: 'a.csv', type: 'text/csv' }] },
      { customArgs: { account: other } },
      { replyToList: [{ email: 'help@company.example' }, { email: other }] },
    ];
    for (const body of bodies) {
      const error = await refused(() => mail.send({ ...NOTICE, ...body, to }));
      assert.equal(error.code, 400, JSON.stringify(Object.keys(body)));
    }
    const own = { substitutions: { account: to }, html: '<p>{{account}}</p>' };
    const [response] = await mail.send({ ...NOTICE, ...own, to });
    assert.equal(response.statusCode, 202, "the reader's own address passes");
  },
);

test(
  'substitutions that are filled in pass; a tag that nobody fills in is held',
  only,
  async (t) => {
    const { mail } = await openGate(t);
    const personalizations = people(3).map((to, n) => ({
      to,
      substitutions: { name: `Name ${n}` },
    }));
    const html = '<p>Dear {{name}}, please read this notice.</p>';
    const [response] = await mail.send({ ...NOTICE, html, personalizations });
    assert.equal(response.statusCode, 202);
    const error = await refused(() =>
      mail.send({ ...NOTICE, html: html.replace('name', 'nmae'), personalizations }),
    );
    assert.match(error.response.body.errors[0]?.message ?? '', /placeholder/i);
  },
);

test('a key the guard has not issued is refused as the provider refuses one', only, async (t) => {
  const { mail, gate } = await openGate(t);
  mail.setApiKey(UPSTREAM_KEY);
  mail.client.setDefaultRequest('baseUrl', gate.address);
  const error = await refused(() => mail.send({ ...NOTICE, to: 'ann@mail.example' }));
  assert.equal(error.code, 401);
  assert.match(error.response.body.errors[0]?.message ?? '', /authorization grant is invalid/);
});

test(
  'while the guard cannot judge, nothing is sent and the program is told to try later',
  only,
  async (t) => {
    const { mail } = await openGate(t, {
      road: { decide: () => Promise.reject(new Error('database gone')) },
    });
    const error = await refused(() => mail.send({ ...NOTICE, to: 'ann@mail.example' }));
    assert.equal(error.code, 503);
    assert.match(error.response.body.errors[0]?.message ?? '', /nothing was sent/);
  },
);

/** A carrier to the far side, and the events it posted. */
async function openCarrier(t: TestContext) {
  const events: (readonly Record<string, unknown>[])[] = [];
  const hook = http.createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    events.push(JSON.parse(Buffer.concat(chunks).toString()));
    response.writeHead(200).end();
  });
  await new Promise<void>((resolve) => hook.listen(0, '127.0.0.1', resolve));
  const { port } = hook.address() as AddressInfo;
  const carrier = createProviderCarrier({
    adapter,
    upstream: { baseUrl: upstream.baseUrl, credential: UPSTREAM_KEY },
    eventsUrl: `http://127.0.0.1:${port}/events`,
    log: { warn: () => {} },
  });
  t.after(async () => {
    await carrier.close();
    hook.closeAllConnections();
    hook.close();
  });
  return { carrier, events };
}

/** Each message that arrived, as its only reader and what stands beside it. */
function lastPrivateCopies() {
  const copies = upstream.calls.at(-1)?.body.personalizations ?? [];
  for (const { to, cc, bcc } of copies) {
    assert.equal(to.length, 1);
    assert.ok(cc === undefined && bcc === undefined);
  }
  return copies;
}

test(
  'split: one call with a thousand people in one to becomes a thousand private copies and one id',
  only,
  async (t) => {
    const { mail, road } = await openGate(t, {}, { split: true });
    const { carrier } = await openCarrier(t);
    const sent = upstream.calls.length;
    const [response] = await mail.send({ ...NOTICE, to: people(1000) });
    assert.equal(response.statusCode, 202);
    assert.equal((response.headers as Record<string, string>)['x-message-id'], 'kept-1');
    assert.equal(upstream.calls.length, sent, 'kept first');
    const results = await road.deliverLast(carrier);
    assert.deepEqual(
      results.map(({ kind }) => kind),
      ['accepted'],
    );
    const readers = lastPrivateCopies().map(({ to }) => to[0]?.email);
    assert.deepEqual(readers, people(1000));
    assert.deepEqual(upstream.rejected, []);
  },
);

test(
  'split: sendMultiple with own personalizations and a cc reaches everybody once, the cc reader too',
  only,
  async (t) => {
    const { mail, road } = await openGate(t, {}, { split: true });
    const { carrier } = await openCarrier(t);
    const [a = '', b = '', c = ''] = people(3);
    const cc = { email: 'auditor@elsewhere.example', name: 'Auditor' };
    await mail.sendMultiple({
      ...NOTICE,
      html: '<p>Dear {{name}}</p>',
      personalizations: [
        {
          to: [{ email: a }, { email: b }],
          cc,
          substitutions: { name: 'friends' },
          customArgs: { n: '1' },
        },
        { to: c, cc, bcc: a, substitutions: { name: 'Cy' } },
      ],
    });
    await road.deliverLast(carrier);
    const copies = lastPrivateCopies();
    assert.deepEqual(
      copies.map(({ to }) => to[0]?.email),
      [a, b, cc.email, c],
    );
    assert.deepEqual(
      copies.map(({ substitutions }) => Object.values(substitutions ?? {})),
      [['friends'], ['friends'], ['friends'], ['Cy']],
    );
    assert.equal(copies[2]?.to[0]?.name, 'Auditor');
    assert.deepEqual(upstream.rejected, []);
  },
);

test(
  'split: what the provider refuses is told to the webhook, one event a reader',
  only,
  async (t) => {
    const { mail, road } = await openGate(t, {}, { split: true });
    const { carrier, events } = await openCarrier(t);
    await mail.send({ ...NOTICE, to: people(3), categories: ['notice'] });
    const kept = road.kept.at(-1);
    assert.ok(kept);
    const [delivery, ...more] = carrier.cut(kept.bytes, kept.cut, 'k-1');
    assert.ok(delivery !== undefined && more.length === 0);
    assert.equal(delivery.readers, 3);
    const wrongKey = createProviderCarrier({
      adapter,
      upstream: { baseUrl: upstream.baseUrl, credential: 'other' },
      eventsUrl: null,
      log: { warn: () => {} },
    });
    const failed = await wrongKey.deliver(delivery);
    assert.equal(failed.kind, 'refused');
    await carrier.tellFailed(
      kept.bytes,
      [{ delivery, answer: failed.answer, kind: 'refused' }],
      'k-1',
    );
    await wrongKey.close();
    assert.deepEqual(
      events[0]?.map(({ email, event, sg_message_id: id, category }) => [
        email,
        event,
        id,
        category,
      ]),
      people(3).map((email) => [email, 'dropped', 'k-1', ['notice']]),
    );
    upstream.forgetRejected();
  },
);

test(
  'warn: the call goes on as it came, and the answer says what would have stopped it',
  only,
  async (t) => {
    const { mail } = await openGate(t, {}, { mode: 'warn' });
    const [response] = await mail.send({ ...NOTICE, to: people(3) });
    const headers = response.headers as Record<string, string>;
    assert.equal(headers['x-undisclosed-warning'], 'visible-recipients');
    assert.equal(upstream.calls.at(-1)?.body.personalizations[0]?.to.length, 3);
  },
);
