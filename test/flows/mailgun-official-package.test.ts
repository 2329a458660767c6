/** Programs that use the unmodified `mailgun.js`: what they are told, and what Mailgun is sent. */

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, type TestContext, test } from 'node:test';
import type { Gate } from '../../src/gates/gate.ts';
import {
  createProviderCarrier,
  type ProviderCarrier,
} from '../../src/gates/provider-api/carrier.ts';
import { createMailgunAdapter } from '../../src/gates/provider-api/mailgun.ts';
import { startProviderApi } from '../../src/gates/provider-api.ts';
import { identityOf } from '../../src/guard/identity.ts';
import { createMemoryRoad, type MemoryRoad } from '../support/provider-road.ts';
import { MAILGUN_KEY, type MailgunUpstream, startMailgunUpstream } from './mailgun-upstream.ts';

/** What these tests use of the package. */
interface Client {
  readonly messages: {
    create(
      domain: string,
      mail: object,
    ): Promise<{ readonly id: string; readonly message: string; readonly status: number }>;
  };
}

type Mailgun = new (form: unknown) => { client(options: object): Client };

/** What the package throws. */
interface ApiError extends Error {
  readonly status: number;
  readonly details: string;
}

let Mailgun: Mailgun | null = null;
let FormDataPackage: unknown = null;
let skip: string | false = false;
try {
  const require = createRequire(new URL('../package.json', import.meta.url));
  const loaded = require('mailgun.js');
  Mailgun = loaded.default ?? loaded;
  FormDataPackage = require('form-data');
} catch {
  skip = 'mailgun.js is not installed: run npm ci in test/';
}

const OUR_KEY = 'key-issued-by-the-guard';
const DOMAIN = 'company.example';
const adapter = createMailgunAdapter({ approvedTemplates: ['receipt'] });

let upstream: MailgunUpstream;
before(async () => {
  upstream = await startMailgunUpstream();
});
after(() => upstream.close());

interface Opened {
  readonly client: Client;
  readonly gate: Gate;
  readonly road: MemoryRoad;
  readonly carrier: ProviderCarrier;
  readonly logged: string[];
}

async function openGate(
  t: TestContext,
  settings: Parameters<typeof identityOf>[2] = {},
  { key = OUR_KEY, form = FormDataPackage }: { key?: string; form?: unknown } = {},
): Promise<Opened> {
  const logged: string[] = [];
  const log = (event: string, fields: object) => logged.push(JSON.stringify([event, fields]));
  const road = createMemoryRoad();
  const target = { baseUrl: upstream.baseUrl, credential: MAILGUN_KEY };
  const gate = await startProviderApi({
    listen: { host: '127.0.0.1', port: 0 },
    callers: (given) => (given === OUR_KEY ? identityOf('shop', 'bulk', settings) : null),
    road,
    adapter,
    upstream: target,
    log: { info: log, warn: log },
  });
  const options = { adapter, upstream: target, eventsUrl: null, log: { warn: log } };
  const carrier = createProviderCarrier(options);
  t.after(async () => {
    await carrier.close();
    await gate.close();
  });
  assert.ok(Mailgun !== null);
  const client = new Mailgun(form).client({ username: 'api', key, url: gate.address });
  return { client, gate, road, carrier, logged };
}

function people(count: number): string[] {
  return Array.from({ length: count }, (_, n) => `customer.${n}@mail${n % 20}.example`);
}

const NOTICE = {
  from: 'Company <notices@company.example>',
  subject: 'An important notice',
  text: 'Please read this notice.',
};

function mimeTo(to: string, more = ''): Buffer {
  return Buffer.from(
    `From: notices@company.example\r\nTo: ${to}\r\n${more}Subject: Notice\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nPlease read.\r\n`,
  );
}

/** What the package throws, and proof that Mailgun was sent nothing meanwhile. */
async function refused(answer: () => Promise<unknown>): Promise<ApiError> {
  const sent = upstream.requests.length;
  const error = await answer().then(
    () => assert.fail('the call went through'),
    (thrown: ApiError) => thrown,
  );
  assert.equal(upstream.requests.length, sent, 'Mailgun was sent something');
  return error;
}

const only = { skip };

test(
  'a message to one person passes as it came, with the key that the gate alone holds',
  only,
  async (t) => {
    for (const form of [FormDataPackage, FormData]) {
      const { client, logged } = await openGate(t, {}, { form });
      const attachment = { filename: 'a.txt', data: Buffer.from('A file.\r\n') };
      const mail = { ...NOTICE, to: 'Ann <ann@mail.example>', attachment, 'v:order': '17' };
      const answer = await client.messages.create(DOMAIN, mail);
      assert.deepEqual([answer.status, answer.message], [200, 'Queued. Thank you.']);
      assert.deepEqual(upstream.messages.at(-1)?.recipients, ['ann@mail.example']);
      const file = upstream.forms.at(-1)?.get('attachment');
      assert.ok(file instanceof File);
      assert.equal(await file.text(), 'A file.\r\n');
      assert.doesNotMatch(logged.join(), /ann@|key-upstream/);
    }
    assert.deepEqual(upstream.rejected, []);
  },
);

test(
  'a thousand people in to without recipient-variables are refused: 999,000 disclosures, none made',
  only,
  async (t) => {
    const { client, logged } = await openGate(t);
    const error = await refused(() =>
      client.messages.create(DOMAIN, { ...NOTICE, to: people(1000) }),
    );
    assert.equal(error.status, 400);
    assert.match(error.details, /999,000 disclosures/);
    assert.doesNotMatch(error.details + logged.join(), /customer\./);
  },
);

test(
  'a thousand people with recipient-variables are a thousand private messages, and pass',
  only,
  async (t) => {
    const { client } = await openGate(t);
    const to = people(1000);
    const entries = to.map((address, n) => [address, { name: `Name ${n}` }]);
    const mail = {
      ...NOTICE,
      to,
      text: 'Dear %recipient.name%, please read.',
      'recipient-variables': JSON.stringify(Object.fromEntries(entries)),
    };
    const before = upstream.messages.length;
    await client.messages.create(DOMAIN, mail);
    const sent = upstream.messages.slice(before);
    assert.deepEqual(
      sent.map(({ shown }) => shown),
      to,
    );
    assert.equal(sent[999]?.text, 'Dear Name 999, please read.');
  },
);

test(
  'one entry missing in recipient-variables, a stranger’s entry, or a cc on every message is refused',
  only,
  async (t) => {
    const { client } = await openGate(t);
    const [a = '', b = '', c = ''] = people(3);
    const variables = (...keys: string[]) =>
      JSON.stringify(Object.fromEntries(keys.map((key) => [key, {}])));
    const create = (mail: object) => client.messages.create(DOMAIN, { ...NOTICE, ...mail });
    await create({ to: [a, b], 'recipient-variables': variables(a, b) });
    for (const mail of [
      { to: [a, b], 'recipient-variables': variables(a) },
      { to: [a, b], 'recipient-variables': variables(a, b, c) },
      { to: [a, b], cc: c, 'recipient-variables': variables(a, b) },
      { to: [a, b], bcc: c, 'recipient-variables': variables(a, b) },
      { to: a, text: 'For %recipient.other%', 'recipient-variables': `{"${a}":{"other":"${b}"}}` },
    ]) {
      assert.equal((await refused(() => create(mail))).status, 400);
    }
  },
);

test(
  'with split, everybody on the call gets one private message, cc and bcc too, under one id',
  only,
  async (t) => {
    const { client, road, carrier } = await openGate(t, { split: true });
    const to = people(998);
    const mail = {
      ...NOTICE,
      to: to.join(', '),
      cc: 'Cc <cc@mail.example>',
      bcc: 'bcc@mail.example',
    };
    const before = upstream.messages.length;
    const answer = await client.messages.create(DOMAIN, { ...mail, 'o:tag': ['one', 'two'] });
    assert.equal(answer.id, '<kept-1@company.example>');
    assert.equal(upstream.messages.length, before, 'nothing leaves before it is delivered');
    const [result, ...more] = await road.deliverLast(carrier);
    assert.equal(result?.kind, 'accepted');
    assert.equal(more.length, 0);
    const sent = upstream.messages.slice(before);
    const all = [...to, 'cc@mail.example', 'bcc@mail.example'];
    assert.deepEqual(
      sent.map(({ recipients }) => recipients.join()),
      all,
    );
    for (const { recipients, shown } of sent) {
      assert.ok(shown === recipients[0] || shown === `"Cc" <${recipients[0]}>`, shown);
    }
    assert.deepEqual(upstream.forms.at(-1)?.getAll('o:tag'), ['one', 'two']);
    assert.deepEqual(upstream.rejected, []);
  },
);

test(
  'a MIME message is judged by its header; with split it says To: %recipient% and names nobody',
  only,
  async (t) => {
    const { client } = await openGate(t);
    const all = people(30);
    await client.messages.create(DOMAIN, { to: all[0], message: mimeTo(all[0] ?? '') });
    const message = mimeTo(all.slice(0, 29).join(', '), `Cc: ${all[29]}\r\n`);
    const error = await refused(() => client.messages.create(DOMAIN, { to: all, message }));
    assert.match(error.details, /870 disclosures/);

    const { client: splitting, road, carrier } = await openGate(t, { split: true });
    const before = upstream.messages.length;
    await splitting.messages.create(DOMAIN, { to: all, message });
    await road.deliverLast(carrier);
    const sent = upstream.messages.slice(before);
    assert.deepEqual(
      sent.map(({ recipients }) => recipients[0]),
      all,
    );
    for (const { recipients, shown, text } of sent) {
      assert.deepEqual(shown.match(/customer\.\d+@[a-z0-9.]+/g), recipients);
      assert.match(text, /Please read\.\r\n$/);
    }
  },
);

test(
  "another reader's address in a variable, a header, a tag, a file or a template's data is refused",
  only,
  async (t) => {
    const { client } = await openGate(t);
    const [to = '', other = ''] = people(2);
    const data = Buffer.from(`name,address\nBo,${other}\n`);
    const rest = { ...NOTICE, to, 'h:Reply-To': 'help@company.example' };
    await client.messages.create(DOMAIN, rest);
    for (const more of [
      { 'v:account': other },
      { 'v:account': JSON.stringify({ list: [other] }) },
      { 'h:X-Account': other },
      { 'o:tag': other },
      { subject: `For ${other}` },
      { html: `<a href="https://company.example/?u=${encodeURIComponent(other)}">link</a>` },
      { 'amp-html': `<p>${other}</p>` },
      { attachment: { filename: 'a.csv', data, contentType: 'text/csv' } },
      { inline: { filename: `for ${other}`, data: Buffer.from('x') } },
      { template: 'receipt', 't:variables': JSON.stringify({ account: other }) },
    ]) {
      const error = await refused(() => client.messages.create(DOMAIN, { ...rest, ...more }));
      assert.equal(error.status, 400, JSON.stringify(Object.keys(more)));
    }
  },
);

test('what cannot be inspected is refused by the name of its parameter', only, async (t) => {
  const { client } = await openGate(t);
  const rest = { ...NOTICE, to: 'ann@mail.example' };
  for (const [message, more] of [
    [/'o:archive-to' This parameter is not passed on/, { 'o:archive-to': 'https://x.example' }],
    [/'To' This parameter is known in lower case/, { To: 'bo@mail.example' }],
    [/'h:Bcc'/, { 'h:Bcc': 'bo@mail.example' }],
    [/'h:X-Mailgun-Recipient-Variables'/, { 'h:X-Mailgun-Recipient-Variables': '{}' }],
    [/'subject' This parameter is given twice/, { subject: ['a', 'b'] }],
    [/not known/, { recipients: 'bo@mail.example' }],
    [/'to' parameter is not a valid address/, { to: 'a@x.test b@x.test' }],
    [/has not been approved/, { template: 'newsletter' }],
    [/header/, { subject: 'a\r\nBcc: bo@mail.example' }],
  ] as const) {
    const error = await refused(() => client.messages.create(DOMAIN, { ...rest, ...more }));
    assert.equal(error.status, 400);
    assert.match(error.details, message);
    assert.doesNotMatch(error.details, /@/);
  }
});

test('a key the guard has not issued is Forbidden, as Mailgun says it', only, async (t) => {
  const { client } = await openGate(t, {}, { key: MAILGUN_KEY });
  const error = await refused(() => client.messages.create(DOMAIN, { ...NOTICE, to: 'a@x.test' }));
  assert.equal(error.status, 401);
  assert.equal(error.details, 'Forbidden');
});

test(
  'a form that is percent-encoded, as curl sends it, is judged like the other',
  only,
  async (t) => {
    const { gate } = await openGate(t);
    const send = (to: readonly string[]) => {
      const body = new URLSearchParams({ ...NOTICE });
      for (const one of to) body.append('to', one);
      const authorization = `Basic ${Buffer.from(`api:${OUR_KEY}`).toString('base64')}`;
      return fetch(`${gate.address}/v3/${DOMAIN}/messages`, {
        method: 'POST',
        headers: { authorization },
        body,
      });
    };
    assert.equal((await send(people(1))).status, 200);
    assert.equal((await send(people(2))).status, 400);
  },
);
