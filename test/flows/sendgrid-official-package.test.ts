/** Programs that use the unmodified `@sendgrid/mail`: what they are told, and what the provider is sent. */

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, type TestContext, test } from 'node:test';
import type { Gate } from '../../src/gates/gate.ts';
import { type ProviderApiOptions, startProviderApi } from '../../src/gates/provider-api.ts';
import { judgeCopies } from '../../src/guard/judge.ts';
import { policyFrom } from '../../src/policy/policy.ts';
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

/** A gate that judges with the bulk policy, and the package set up as a program would. */
async function openGate(
  t: TestContext,
  change: Partial<ProviderApiOptions> = {},
): Promise<{ readonly mail: MailService; readonly gate: Gate; readonly logged: string[] }> {
  const logged: string[] = [];
  const log = (event: string, fields: object) => logged.push(JSON.stringify([event, fields]));
  const policy = policyFrom('bulk');
  const gate = await startProviderApi({
    listen: { host: '127.0.0.1', port: 0 },
    keys: (key) => (key === OUR_KEY ? { name: 'shop', policy: 'bulk' } : null),
    check: async (copies) => ({ ...judgeCopies(copies, { policy }), entry: 'none' }),
    upstream: { baseUrl: upstream.baseUrl, apiKey: UPSTREAM_KEY },
    log: { info: log, warn: log },
    ...change,
  });
  t.after(() => gate.close());
  if (MailService === null) throw new Error(String(missing));
  const mail = new MailService();
  mail.setApiKey(OUR_KEY);
  // After the key: setApiKey sets the base URL back to the provider's.
  mail.client.setDefaultRequest('baseUrl', gate.address);
  return { mail, gate, logged };
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
    const { mail } = await openGate(t, { check: () => Promise.reject(new Error('database gone')) });
    const error = await refused(() => mail.send({ ...NOTICE, to: 'ann@mail.example' }));
    assert.equal(error.code, 503);
    assert.match(error.response.body.errors[0]?.message ?? '', /nothing was sent/);
  },
);

test('the far side of these tests refuses what the published schema refuses', async () => {
  const answer = async (body: object) => {
    const response = await fetch(`${upstream.baseUrl}/v3/mail/send`, {
      method: 'POST',
      headers: { authorization: `Bearer ${UPSTREAM_KEY}` },
      body: JSON.stringify(body),
    });
    return response.status;
  };
  const good = {
    personalizations: [{ to: [{ email: 'a@x.test' }] }],
    from: { email: 'b@x.test' },
    subject: 's',
    content: [{ type: 'text/plain', value: 't' }],
  };
  assert.equal(await answer(good), 202);
  const to = people(1001).map((email) => ({ email }));
  for (const bad of [
    { ...good, personalizations: [{ to }] },
    { ...good, personalizations: [{ to: [], bcc: [{ email: 'a@x.test' }] }] },
    { ...good, personalizations: [{ to: [{ email: 'a@x.test' }, { email: 'A@x.test' }] }] },
    { ...good, unknown: 1 },
    { ...good, from: {} },
    { ...good, subject: undefined },
    { ...good, content: [] },
  ]) {
    assert.equal(await answer(bad), 400);
  }
});
