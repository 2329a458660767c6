/** What the providers' unmodified packages send, kept in files and read by `check`, `extent` and the library. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { runCheck } from '../../src/cli/check.ts';
import { run as runExtent } from '../../src/cli/extent.ts';
import { check } from '../../src/library.ts';
import { ran } from '../support/run-cli.ts';

/** What these tests use of the packages. */
interface Packages {
  readonly sendgrid: { MailService: new () => Sendgrid };
  readonly aws: {
    SESv2Client: new (options: object) => { send(command: object): Promise<unknown> };
    SendEmailCommand: new (input: object) => object;
    SendBulkEmailCommand: new (input: object) => object;
  };
  readonly mailgun: new (form: unknown) => { client(options: object): Mailgun };
  readonly form: unknown;
  readonly postmark: { ServerClient: new (token: string, options: object) => Postmark };
}

interface Sendgrid {
  setApiKey(key: string): void;
  readonly client: { setDefaultRequest(name: string, value: string): void };
  send(mail: object): Promise<unknown>;
  sendMultiple(mail: object): Promise<unknown>;
}

interface Mailgun {
  readonly messages: { create(domain: string, mail: object): Promise<unknown> };
}

interface Postmark {
  sendEmail(mail: object): Promise<unknown>;
  sendEmailBatch(mails: readonly object[]): Promise<unknown>;
  sendEmailWithTemplate(mail: object): Promise<unknown>;
  sendEmailBatchWithTemplates(mails: readonly object[]): Promise<unknown>;
}

let packages: Packages | null = null;
let skip: string | false = false;
try {
  const require = createRequire(new URL('../package.json', import.meta.url));
  const mailgun = require('mailgun.js');
  packages = {
    sendgrid: createRequire(new URL('../../demo/package.json', import.meta.url))('@sendgrid/mail'),
    aws: require('@aws-sdk/client-sesv2'),
    mailgun: mailgun.default ?? mailgun,
    form: require('form-data'),
    postmark: createRequire(new URL('../package.json', import.meta.url))('postmark'),
  };
} catch {
  skip = 'the providers’ packages are not installed: run npm ci in test/ and demo/';
}

const folder = mkdtempSync(path.join(tmpdir(), 'payloads-'));
/** The last request, head and body as they came. */
let head = '';
let body = Buffer.alloc(0);
const far = http.createServer(async (request, response) => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  body = Buffer.concat(chunks);
  const fields = request.rawHeaders.map((text, index) => text + (index % 2 === 0 ? ': ' : '\r\n'));
  head = `${request.method} ${request.url} HTTP/1.1\r\n${fields.join('')}\r\n`;
  response.setHeader('content-type', 'application/json');
  response.end('{}');
});
before(() => new Promise<void>((resolve) => void far.listen(0, '127.0.0.1', () => resolve())));
after(() => {
  far.close();
  far.closeAllConnections();
  rmSync(folder, { recursive: true });
});

function people(count: number): string[] {
  return Array.from({ length: count }, (_, n) => `customer.${n}@mail${n % 20}.example`);
}

async function check1(file: string): Promise<{ status: number; out: string; err: string }> {
  return ran(runCheck, [file]);
}

const FROM = 'Company <notices@company.example>';
const SUBJECT = 'An important notice';
const TEXT = 'Please read this notice.\n';
const HTML = '<p>Please read this notice.</p>';

interface Call {
  readonly name: string;
  /** Makes the call for people who are to be in one message, or each in one of their own. */
  readonly send: (packages: Packages, url: string, to: string[], safe: boolean) => Promise<unknown>;
  /** The most people the provider takes in one message. */
  readonly most: number;
  readonly shape: RegExp;
}

function sendgridOf({ sendgrid }: Packages, url: string): Sendgrid {
  const mail = new sendgrid.MailService();
  mail.setApiKey('SG.key');
  mail.client.setDefaultRequest('baseUrl', url);
  return mail;
}

function sesOf({ aws }: Packages, endpoint: string) {
  const credentials = { accessKeyId: 'id', secretAccessKey: 'secret' };
  return new aws.SESv2Client({ endpoint, region: 'eu-west-1', maxAttempts: 1, credentials });
}

function mailgunOf({ mailgun, form }: Packages, url: string): Mailgun {
  return new mailgun(form).client({ username: 'api', key: 'key', url });
}

function postmarkOf({ postmark }: Packages, url: string): Postmark {
  return new postmark.ServerClient('token', { requestHost: new URL(url).host, useHttps: false });
}

function rawMessage(to: readonly string[]): Buffer {
  const list = to.join(',\r\n ');
  return Buffer.from(`From: ${FROM}\r\nTo: ${list}\r\nSubject: ${SUBJECT}\r\n\r\nHello\r\n`);
}

const SIMPLE = { Subject: { Data: SUBJECT }, Body: { Text: { Data: TEXT } } };
const TEMPLATE = { TemplateContent: { Subject: SUBJECT, Text: TEXT }, TemplateData: '{}' };
const POSTMARK = { From: FROM, Subject: SUBJECT, TextBody: TEXT, HtmlBody: HTML };
const TEMPLATED = { From: FROM, TemplateAlias: 'welcome', TemplateModel: { product: 'Account' } };

const CALLS: readonly Call[] = [
  {
    name: 'SendGrid send and sendMultiple',
    most: 1000,
    shape: /^\{"from"/,
    send: (all, url, to, safe) => {
      const mail = { to, from: FROM, subject: SUBJECT, text: TEXT, html: HTML };
      const client = sendgridOf(all, url);
      return safe ? client.sendMultiple(mail) : client.send(mail);
    },
  },
  {
    name: 'SES SendEmail, simple',
    most: 50,
    shape: /"Simple"/,
    send: (all, url, to, safe) =>
      sesOf(all, url).send(
        new all.aws.SendEmailCommand({
          FromEmailAddress: FROM,
          Destination: safe ? { ToAddresses: to.slice(0, 1) } : { ToAddresses: to },
          Content: { Simple: SIMPLE },
        }),
      ),
  },
  {
    name: 'SES SendEmail, template',
    most: 50,
    shape: /"TemplateContent"/,
    send: (all, url, to, safe) =>
      sesOf(all, url).send(
        new all.aws.SendEmailCommand({
          FromEmailAddress: FROM,
          Destination: safe ? { ToAddresses: to.slice(0, 1) } : { ToAddresses: to },
          Content: { Template: TEMPLATE },
        }),
      ),
  },
  {
    name: 'SES SendEmail, raw',
    most: 50,
    shape: /"Raw"/,
    send: (all, url, to, safe) =>
      sesOf(all, url).send(
        new all.aws.SendEmailCommand({
          Destination: { ToAddresses: safe ? to.slice(0, 1) : to },
          Content: { Raw: { Data: rawMessage(safe ? to.slice(0, 1) : to) } },
        }),
      ),
  },
  {
    name: 'SES SendBulkEmail',
    most: 50,
    shape: /"BulkEmailEntries"/,
    send: (all, url, to, safe) =>
      sesOf(all, url).send(
        new all.aws.SendBulkEmailCommand({
          FromEmailAddress: FROM,
          DefaultContent: { Template: TEMPLATE },
          BulkEmailEntries: (safe ? to.map((one) => [one]) : [to]).map((list) => ({
            Destination: { ToAddresses: list },
          })),
        }),
      ),
  },
  {
    name: 'Mailgun messages',
    most: 1000,
    shape: /^--/,
    send: (all, url, to, safe) =>
      mailgunOf(all, url).messages.create('company.example', {
        from: FROM,
        to,
        subject: SUBJECT,
        text: TEXT,
        ...(safe
          ? {
              'recipient-variables': JSON.stringify(Object.fromEntries(to.map((one) => [one, {}]))),
            }
          : {}),
      }),
  },
  {
    name: 'Mailgun messages.mime',
    most: 1000,
    shape: /^--/,
    send: (all, url, to, safe) =>
      mailgunOf(all, url).messages.create('company.example', {
        to: safe ? to.slice(0, 1) : to,
        message: rawMessage(safe ? to.slice(0, 1) : to),
      }),
  },
  {
    name: 'Postmark email and batch',
    most: 50,
    shape: /"TextBody"/,
    send: (all, url, to, safe) =>
      safe
        ? postmarkOf(all, url).sendEmailBatch(to.map((To) => ({ ...POSTMARK, To })))
        : postmarkOf(all, url).sendEmail({ ...POSTMARK, To: to.join(', ') }),
  },
  {
    name: 'Postmark withTemplate and batchWithTemplates',
    most: 50,
    shape: /"TemplateModel"/,
    send: (all, url, to, safe) =>
      safe
        ? postmarkOf(all, url).sendEmailBatchWithTemplates(to.map((To) => ({ ...TEMPLATED, To })))
        : postmarkOf(all, url).sendEmailWithTemplate({ ...TEMPLATED, To: to.join(', ') }),
  },
];

/** The files of one call: its body alone, and the whole request. */
async function filesOf(call: Call, count: number, safe: boolean): Promise<readonly string[]> {
  assert.ok(packages !== null);
  const { port } = far.address() as AddressInfo;
  body = Buffer.alloc(0);
  // The answer is nothing any package expects; what it sent is there all the same.
  await call.send(packages, `http://127.0.0.1:${port}`, people(count), safe).catch(() => undefined);
  assert.match(body.toString('latin1'), call.shape);
  const alone = path.join(folder, 'body');
  const request = path.join(folder, 'request');
  writeFileSync(alone, body);
  writeFileSync(
    request,
    Buffer.concat([Buffer.from(head.replace(/^transfer-encoding:.*\r\n/im, '')), body]),
  );
  return [alone, request];
}

describe('payloads of the official packages, kept in files', { skip }, () => {
  for (const call of CALLS) {
    it(`${call.name}: everybody in one message is refused, with the number; each alone passes`, async () => {
      const disclosures = (call.most * (call.most - 1)).toLocaleString('en-US');
      for (const file of await filesOf(call, call.most, false)) {
        const { status, out, err } = await check1(file);
        assert.deepEqual([status, err], [1, ''], out);
        assert.match(out, /^refuse .*\[visible-recipients\]/s);
        assert.ok(out.includes(`${disclosures} disclosures to`), out);
      }
      assert.equal(check(body).disclosures, call.most * (call.most - 1));
      for (const file of await filesOf(call, call.most, true)) {
        const { status, out, err } = await check1(file);
        assert.deepEqual([status, err], [0, ''], out);
        assert.match(out, /^pass /);
      }
      assert.equal(check(body).verdict, 'pass');
    });

    it(`${call.name}: extent counts who saw whom`, async () => {
      const json = async (file: string) => JSON.parse((await ran(runExtent, ['--json', file])).out);
      for (const file of await filesOf(call, 50, false)) {
        const { exposed, saw, pairs, certain } = await json(file);
        assert.deepEqual([exposed, saw, pairs, certain], [50, 50, 2450, 2450]);
      }
      for (const file of await filesOf(call, 50, true)) {
        const { exposed, saw, pairs } = await json(file);
        assert.deepEqual([exposed, saw, pairs], [0, 0, 0]);
      }
    });
  }

  it('the library takes the AWS SDK’s own input, with bytes in it', () => {
    const Content = { Raw: { Data: new Uint8Array(rawMessage(people(3))) } };
    assert.equal(check({ Destination: { ToAddresses: people(3) }, Content }).disclosures, 6);
    const mails = people(2).map((To) => ({ ...POSTMARK, To }));
    assert.equal(check(mails).verdict, 'pass');
  });
});
