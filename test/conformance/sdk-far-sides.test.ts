/** The far sides of the conformance table refuse what the providers' published schemas refuse, name by name. */

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { createTransport } from 'nodemailer';
import {
  MAILGUN_KEY,
  type MailgunUpstream,
  startMailgunUpstream,
} from '../flows/mailgun-upstream.ts';
import {
  type PostmarkUpstream,
  startPostmarkUpstream,
  UPSTREAM_TOKEN,
} from '../flows/postmark-upstream.ts';
import {
  type SendgridUpstream,
  startSendgridUpstream,
  UPSTREAM_KEY,
} from '../flows/sendgrid-upstream.ts';
import { SES_KEY, type SesUpstream, startSesUpstream } from '../flows/ses-upstream.ts';
import { peopleOf } from './sdk-call.ts';
import { startMailSink } from './sdk-house.ts';

let sendgrid: SendgridUpstream;
let ses: SesUpstream;
let mailgun: MailgunUpstream;
let postmark: PostmarkUpstream;
before(async () => {
  sendgrid = await startSendgridUpstream();
  ses = await startSesUpstream();
  mailgun = await startMailgunUpstream();
  postmark = await startPostmarkUpstream();
});
after(async () => {
  for (const side of [sendgrid, ses, mailgun, postmark]) await side.close();
});

const A = 'ann@mail.example';
const emails = (count: number) => peopleOf(count).map((email) => ({ email }));

/** Each of these and what is said of it; the good one first, to which nothing is said. */
type Cases = readonly (readonly [body: object, said: RegExp | null])[];

async function assertSaid(
  cases: Cases,
  ask: (body: object) => Promise<string | null>,
): Promise<void> {
  assert.equal(cases[0]?.[1], null);
  for (const [body, said] of cases) {
    const what = JSON.stringify(body).slice(0, 200);
    const problem = await ask(body);
    if (said === null) assert.equal(problem, null, what);
    else assert.match(String(problem), said, what);
  }
}

test('SendGrid: tsg_mail_v3.json, and what its page of errors adds', async () => {
  const good = {
    personalizations: [{ to: [{ email: A }] }],
    from: { email: 'b@x.test' },
    subject: 's',
    content: [{ type: 'text/plain', value: 't' }],
  };
  const one = (of: object) => ({ ...good, personalizations: [{ to: [{ email: A }], ...of }] });
  const people = emails(1001);
  const cases: Cases = [
    [good, null],
    [{ ...good, personalizations: undefined }, /personalizations: is required/],
    [{ ...good, personalizations: people.map((to) => ({ to: [to] })) }, /1001 items/],
    [{ ...good, personalizations: [{ to: people }] }, /more than 1000 recipients/],
    [{ ...good, personalizations: [{ bcc: [{ email: A }] }] }, /to: is required/],
    [{ ...good, personalizations: [{ to: [] }] }, /to: 0 items/],
    [one({ cc: [{ email: A.toUpperCase() }] }), /twice in one personalization/],
    [one({ to: [A] }), /to\[0\]: an object/],
    [one({ to: [{ email: `${A}, b@x.test` }] }), /email: not in its form/],
    [one({ to: [{ email: A, Name: 'x' }] }), /Name: is not in the schema/],
    [one({ substitutions: { a: 1 } }), /substitutions\.a: a string/],
    [one({ headers: { 'X-A': 1 } }), /headers\.X-A: a string/],
    [one({ headers: { to: A } }), /headers\.to: is reserved/],
    [{ ...good, headers: { Bcc: A } }, /headers\.Bcc: is reserved/],
    [{ ...good, unknown: 1 }, /unknown: is not in the schema/],
    [{ ...good, mail_settings: { bcc: { enable: true, email: A } } }, /mail_settings\.bcc: is not/],
    [{ ...good, from: undefined }, /from: is required/],
    [{ ...good, from: { name: 'x' } }, /from\.email: is required/],
    [{ ...good, subject: undefined }, /subject is required/],
    [{ ...good, subject: '' }, /subject: length 0/],
    [{ ...good, content: undefined }, /content is required/],
    [{ ...good, content: [] }, /content: 0 items/],
    [{ ...good, content: [{ type: 'text/plain', value: '' }] }, /value: length 0/],
    [{ ...good, categories: Array.from({ length: 11 }, (_, n) => `${n}`) }, /categories: 11/],
    [{ ...good, categories: ['a', 'a'] }, /stands twice/],
    [{ ...good, reply_to_list: emails(1001) }, /reply_to_list: 1001/],
    [{ ...good, reply_to: { email: A }, reply_to_list: [{ email: A }] }, /reply_to_list/],
    [{ ...good, send_at: '1' }, /send_at: an integer/],
    [{ ...good, attachments: [{ content: '§', filename: 'a' }] }, /content: not in its form/],
  ];
  await assertSaid(cases, async (body) => {
    const response = await fetch(`${sendgrid.baseUrl}/v3/mail/send`, {
      method: 'POST',
      headers: { authorization: `Bearer ${UPSTREAM_KEY}` },
      body: JSON.stringify(body),
    });
    if (response.status === 202) return null;
    const { errors } = (await response.json()) as { errors: { message: string }[] };
    return errors[0]?.message ?? '';
  });
  const stranger = await fetch(sendgrid.baseUrl, { method: 'POST', body: JSON.stringify(good) });
  assert.equal(stranger.status, 400);
});

test('SES: SendEmailRequest and SendBulkEmailRequest, their quotas, and the signature', async () => {
  const { SESv2Client, SendEmailCommand, SendBulkEmailCommand } = createRequire(
    new URL('../package.json', import.meta.url),
  )('@aws-sdk/client-sesv2');
  const clientWith = (secretAccessKey: string) =>
    new SESv2Client({
      endpoint: ses.baseUrl,
      region: 'eu-west-1',
      maxAttempts: 1,
      credentials: { accessKeyId: SES_KEY.id, secretAccessKey },
    });
  const client = clientWith(SES_KEY.secret);
  const said = (command: object): Promise<string | null> =>
    client.send(command).then(
      () => null,
      (error: Error) => error.message,
    );
  const simple = { Subject: { Data: 's' }, Body: { Text: { Data: 't' } } };
  const good = {
    FromEmailAddress: 'b@x.test',
    Destination: { ToAddresses: [A] },
    Content: { Simple: simple },
  };
  const content = (Content: object) => ({ ...good, Content });
  const header = (Name: string, Value: string) =>
    content({ Simple: { ...simple, Headers: [{ Name, Value }] } });
  const template = { TemplateContent: { Subject: 's', Text: 't' }, TemplateData: '{}' };
  await assertSaid(
    [
      [good, null],
      [content({ Raw: { Data: Buffer.from('To: a@x.test\r\n\r\nx') } }), null],
      [content({ Template: template }), null],
      [{ ...good, Destination: { ToAddresses: peopleOf(51) } }, /count exceeds 50/],
      [{ ...good, Destination: { ToAddresses: peopleOf(26), BccAddresses: peopleOf(25) } }, /50/],
      [{ ...good, Destination: {} }, /nobody/],
      [{ ...good, Destination: { ToAddresses: ['jürgen@mail.example'] } }, /not in its form/],
      [{ ...good, FromEmailAddress: undefined }, /FromEmailAddress/],
      [{ ...good, Content: undefined }, /Content: is required/],
      [content({}), /one of Simple, Raw and Template/],
      [content({ Simple: simple, Template: template }), /one of Simple, Raw and Template/],
      [content({ Simple: { Body: simple.Body } }), /Subject: is required/],
      [content({ Simple: { Subject: simple.Subject, Body: {} } }), /Body/],
      [content({ Template: { TemplateData: '{}' } }), /one of name, ARN and content/],
      [header('X A', 'v'), /Name: not in its form/],
      [header('X-A', 'v\r\nBcc: b@x.test'), /Value: not in its form/],
      [header('X-A', 'v'.repeat(871)), /Value: length 871/],
    ],
    (input) => said(new SendEmailCommand(input)),
  );
  const entry = { Destination: { ToAddresses: [A] } };
  const bulk = {
    FromEmailAddress: 'b@x.test',
    DefaultContent: { Template: template },
    BulkEmailEntries: [entry],
  };
  await assertSaid(
    [
      [bulk, null],
      [{ ...bulk, BulkEmailEntries: [] }, /BulkEmailEntries: 0 items/],
      [{ ...bulk, BulkEmailEntries: Array(51).fill(entry) }, /BulkEmailEntries: 51 items/],
      [{ ...bulk, BulkEmailEntries: [{}] }, /Destination: is required/],
      [{ ...bulk, BulkEmailEntries: [{ Destination: {} }] }, /nobody/],
      [
        {
          ...bulk,
          BulkEmailEntries: Array(2).fill({ Destination: { ToAddresses: peopleOf(26) } }),
        },
        /count exceeds 50/,
      ],
      [{ ...bulk, DefaultContent: {} }, /Template: is required/],
      [{ ...bulk, FromEmailAddress: undefined }, /FromEmailAddress/],
    ],
    (input) => said(new SendBulkEmailCommand(input)),
  );
  // The package sends no member that its model does not have: put into the body before it is signed.
  const careless = clientWith(SES_KEY.secret);
  let more: object = {};
  careless.middlewareStack.add(
    (next: (args: object) => unknown) => (args: { request: { body: string | Uint8Array } }) => {
      args.request.body = JSON.stringify({
        ...JSON.parse(new TextDecoder().decode(args.request.body as Uint8Array)),
        ...more,
      });
      return next(args);
    },
    { step: 'build', priority: 'high' },
  );
  await assertSaid(
    [
      [{}, null],
      [{ ToAddresses: [A] }, /\.ToAddresses: is not in the schema/],
      [{ Destination: { ToAddresses: [A], To: [A] } }, /Destination\.To: is not in the schema/],
      [{ Destination: { ToAddresses: A } }, /ToAddresses: an array/],
      [{ EmailTags: [{ Name: 'a' }] }, /Value: is required/],
    ],
    (body) => {
      more = body;
      return careless.send(new SendEmailCommand(good)).then(
        () => null,
        (error: Error) => error.message,
      );
    },
  );
  careless.destroy();
  const stranger = clientWith('another secret');
  await assert.rejects(stranger.send(new SendEmailCommand(good)), /signature does not match/);
  stranger.destroy();
  client.destroy();
});

test('Mailgun: the parameters of messages and messages.mime', async () => {
  const good = { from: 'b@x.test', to: A, subject: 's', text: 't' };
  const message = new File(['To: a@x.test\r\n\r\nx'], 'MimeMessage');
  const ask = async (fields: object, endpoint: string): Promise<string | null> => {
    const body = new FormData();
    for (const [name, value] of Object.entries(fields))
      for (const one of [value].flat()) body.append(name, one as string);
    const response = await fetch(`${mailgun.baseUrl}/v3/x.test/${endpoint}`, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(`api:${MAILGUN_KEY}`).toString('base64')}` },
      body,
    });
    return response.status === 200
      ? null
      : String(((await response.json()) as { message: string }).message);
  };
  await assertSaid(
    [
      [good, null],
      [{ ...good, to: [] }, /to parameter is missing/],
      [{ ...good, from: [] }, /from parameter is missing/],
      [{ ...good, from: 'nobody' }, /from parameter is not a valid address/],
      [{ ...good, text: [] }, /need at least one of text/],
      [{ ...good, to: peopleOf(1001) }, /more than 1000 recipients/],
      [{ ...good, to: 'ann' }, /not a valid address/],
      [{ ...good, To: A }, /To is not in the reference/],
      [{ ...good, recipients: A }, /recipients is not in the reference/],
      [{ ...good, subject: ['a', 'b'] }, /subject is given twice/],
      [{ ...good, 'o:tracking': 'maybe' }, /o:tracking is not in its form/],
      [{ ...good, 'o:deliverytime': 'soon' }, /o:deliverytime is not in its form/],
      [{ ...good, 'recipient-variables': '[1]' }, /recipient-variables is not in its form/],
      [{ ...good, 'recipient-variables': '{"a":1}' }, /an object for each address/],
      [{ ...good, 'recipient-variables': '{a}' }, /is not JSON/],
      [{ ...good, attachment: 'text' }, /attachment is expected as a file/],
      [{ ...good, 'v:a': 'x'.repeat(17_000) }, /more than 16 kB/],
      [{ ...good, message }, /message is no parameter of messages/],
    ],
    (fields) => ask(fields, 'messages'),
  );
  await assertSaid(
    [
      [{ to: A, message }, null],
      [{ to: A, message: 'To: a@x.test' }, /expected as a file/],
      [{ to: A, message, cc: A }, /cc is no parameter of messages\.mime/],
    ],
    (fields) => ask(fields, 'messages.mime'),
  );
  assert.equal(
    (await fetch(`${mailgun.baseUrl}/v3/x.test/messages`, { method: 'POST' })).status,
    401,
  );
});

test('Postmark: the Email and Templates API', async () => {
  const good = { From: 'b@x.test', To: A, Subject: 's', TextBody: 't' };
  const templated = { From: 'b@x.test', To: A, TemplateAlias: 'welcome', TemplateModel: {} };
  const ask = async (body: object, endpoint: string): Promise<string | null> => {
    const response = await fetch(`http://${postmark.host}/${endpoint}`, {
      method: 'POST',
      headers: { 'x-postmark-server-token': UPSTREAM_TOKEN },
      body: JSON.stringify(body),
    });
    const { Message: said } = (await response.json()) as { Message?: string };
    return response.status === 200 ? null : String(said);
  };
  await assertSaid(
    [
      [good, null],
      [{ ...good, Cc: null }, null],
      [{ ...good, To: peopleOf(51).join(',') }, /too many recipients/],
      [{ ...good, To: peopleOf(26).join(','), Bcc: peopleOf(25).join(',') }, /too many/],
      [{ ...good, To: '' }, /no or too many recipients/],
      [{ ...good, To: [A] }, /To: a string/],
      [{ ...good, To: 'ann' }, /Illegal email address/],
      [{ ...good, From: undefined }, /From: is required/],
      [{ ...good, Unknown: 1 }, /Unknown: is not in the schema/],
      [{ ...good, to: A }, /to: is not in the schema/],
      [{ ...good, TextBody: '', HtmlBody: '' }, /TextBody or HtmlBody/],
      [{ ...good, TemplateId: 1 }, /TemplateId: is not in the schema/],
      [{ ...good, TrackLinks: 'All' }, /TrackLinks: not in its form/],
      [{ ...good, Tag: 't'.repeat(1001) }, /Tag: length 1001/],
      [{ ...good, Metadata: { a: 1 } }, /Metadata\.a: a string/],
      [{ ...good, Headers: [{ Name: 'X-A' }] }, /Value: is required/],
      [{ ...good, Attachments: [{ Name: 'a', Content: 'YQ==' }] }, /ContentType: is required/],
    ],
    (body) => ask(body, 'email'),
  );
  await assertSaid(
    [
      [templated, null],
      [{ ...templated, TemplateAlias: undefined }, /one of TemplateId and TemplateAlias/],
      [{ ...templated, TemplateId: 1 }, /one of TemplateId and TemplateAlias/],
      [{ ...templated, TemplateModel: undefined }, /TemplateModel: is required/],
      [{ ...templated, TextBody: 't' }, /TextBody: is not in the schema/],
    ],
    (body) => ask(body, 'email/withTemplate'),
  );
  await assertSaid(
    [
      [Array(500).fill(good), null],
      [Array(501).fill(good), /Too many batch messages/],
      [[], /Too many batch messages/],
    ],
    (body) => ask(body, 'email/batch'),
  );
  assert.equal((await fetch(`http://${postmark.host}/email`, { method: 'POST' })).status, 401);
});

test('SMTP: whole lines, one From, at most one To', async () => {
  const sink = await startMailSink();
  const transport = createTransport({ host: '127.0.0.1', port: sink.port, pool: true });
  const ask = ({ raw }: { raw?: string }): Promise<string | null> =>
    transport.sendMail({ envelope: { from: 'b@x.test', to: A }, raw: raw ?? '' }).then(
      () => null,
      (error: { response: string }) => error.response,
    );
  const good = 'From: b@x.test\r\nTo: a@x.test\r\nSubject: s\r\n\r\nt\r\n';
  await assertSaid(
    [
      [{ raw: good }, null],
      [{ raw: good.replace('From', 'X-From') }, /not one From/],
      [{ raw: good.replace('Subject: s', 'To: b@x.test') }, /two To or Cc/],
      [{ raw: good.replace('t\r\n', `${'t'.repeat(999)}\r\n`) }, /a line too long/],
      [{ raw: good.replace('Subject: s', 'Subject: s\0') }, /does not end in CRLF/],
    ],
    ask,
  );
  transport.close();
  await sink.close();
});
