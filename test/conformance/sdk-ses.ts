/** Calls by the unmodified AWS SDK for JavaScript v3, and by nodemailer's SES transport on top of it. */

import { createRequire } from 'node:module';
import { createTransport } from 'nodemailer';
import { type CallPlace, classOf, type Sdk } from './sdk-call.ts';

interface Client {
  send(command: object): Promise<unknown>;
  destroy(): void;
}

/** What these calls use of the package. */
interface AwsPackage {
  readonly SESv2Client: new (settings: object) => Client;
  readonly SendEmailCommand: new (input: object) => object;
  readonly SendBulkEmailCommand: new (input: object) => object;
}

const require = createRequire(new URL('../package.json', import.meta.url));
const aws = (): AwsPackage => require('@aws-sdk/client-sesv2');

const FROM = 'notices@company.example';

async function withClient(
  { house, setting }: CallPlace,
  use: (client: Client) => Promise<unknown>,
  endpoint: object = { endpoint: house.urls.ses },
): Promise<void> {
  const { accessKeyId, secret } = house.sesKeys[setting];
  const client = new (aws().SESv2Client)({
    ...endpoint,
    region: 'eu-west-1',
    credentials: { accessKeyId, secretAccessKey: secret },
  });
  try {
    await use(client);
  } finally {
    client.destroy();
  }
}

function email(Destination: object, Content: object, more: object = {}): object {
  const { SendEmailCommand } = aws();
  return new SendEmailCommand({
    FromEmailAddress: `Company <${FROM}>`,
    Destination,
    Content,
    ...more,
  });
}

function simple(mark: string): object {
  return {
    Simple: {
      Subject: { Data: `An important notice ${mark}` },
      Body: { Text: { Data: `Please read this notice. ${mark}\n` } },
    },
  };
}

function template(mark: string, name = 'reader'): object {
  return {
    Template: {
      TemplateContent: {
        Subject: `For {{name}} ${mark}`,
        Text: `Dear {{name}}, please read. ${mark}`,
      },
      TemplateData: JSON.stringify({ name }),
    },
  };
}

function raw(mark: string, to: string): object {
  const text = `From: ${FROM}\r\nTo: ${to}\r\nSubject: Notice ${mark}\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nPlease read. ${mark}\r\n`;
  return { Raw: { Data: Buffer.from(text) } };
}

/** Makes all of them whatever becomes of one. @throws what the first threw; a mixed ending is an error of its own. */
async function all(calls: readonly (() => Promise<unknown>)[]): Promise<void> {
  const thrown: unknown[] = [];
  for (const call of calls) await call().catch((error: unknown) => thrown.push(error));
  if (thrown.length > 0 && thrown.length < calls.length) throw new Error('some went, some did not');
  if (thrown.length > 0) throw thrown[0];
}

function pages(people: readonly string[], size: number): string[][] {
  return Array.from({ length: Math.ceil(people.length / size) }, (_, n) =>
    people.slice(n * size, n * size + size),
  );
}

function bulk(
  mark: string,
  entries: readonly (readonly string[])[],
  copied: readonly string[] = [],
): object {
  const { SendBulkEmailCommand } = aws();
  return new SendBulkEmailCommand({
    FromEmailAddress: FROM,
    DefaultContent: template(mark),
    BulkEmailEntries: entries.map((ToAddresses, n) => ({
      Destination: { ToAddresses, CcAddresses: [...copied] },
      ReplacementEmailContent: {
        ReplacementTemplate: { ReplacementTemplateData: JSON.stringify({ name: `Name ${n}` }) },
      },
    })),
  });
}

/** One message by a client that is told of the gate by the environment alone. */
export async function sendByEnvironment(at: CallPlace, to: string): Promise<void> {
  process.env.AWS_ENDPOINT_URL_SESV2 = at.house.urls.ses;
  try {
    const command = email({ ToAddresses: [to] }, simple(at.mark));
    await withClient(at, (client) => client.send(command), {});
  } finally {
    delete process.env.AWS_ENDPOINT_URL_SESV2;
  }
}

const describe = (thrown: unknown): string => {
  const { $metadata } = thrown as {
    readonly $metadata?: { readonly httpStatusCode: number };
  };
  return `${classOf(thrown)} ${$metadata?.httpStatusCode}`;
};

export const SES: Sdk = {
  title: 'AWS SDK for JavaScript v3, `@aws-sdk/client-sesv2`',
  pinned: { name: '@aws-sdk/client-sesv2', lock: 'test' },
  baseUrl: '`endpoint`, or `AWS_ENDPOINT_URL_SESV2`',
  farSide: 'ses',
  refusal: 'MessageRejected 400',
  describe,
  calls: [
    {
      call: '`SendEmail`, Simple, 50 in `ToAddresses`, 20 calls',
      people: 1000,
      leaks: true,
      ends: ['nothing', 'private'],
      make: (at, people) =>
        withClient(at, (client) =>
          all(
            pages(people, 50).map(
              (ToAddresses, n) => () =>
                client.send(email({ ToAddresses }, simple(`${at.mark} ${n}`))),
            ),
          ),
        ),
    },
    {
      call: '`SendEmail`, Simple, one in `ToAddresses`, 49 in `CcAddresses`',
      people: 50,
      leaks: true,
      ends: ['nothing', 'private'],
      make: (at, [one, ...CcAddresses]) =>
        withClient(at, (client) =>
          client.send(email({ ToAddresses: [one], CcAddresses }, simple(at.mark))),
        ),
    },
    {
      call: '`SendEmail`, Template, 50 in `ToAddresses`',
      people: 50,
      leaks: true,
      ends: ['nothing', 'private'],
      make: (at, ToAddresses) =>
        withClient(at, (client) => client.send(email({ ToAddresses }, template(at.mark)))),
    },
    {
      call: '`SendEmail`, Raw, 50 in its To header',
      people: 50,
      leaks: true,
      ends: ['nothing', 'private'],
      make: (at, people) =>
        withClient(at, (client) =>
          client.send(email({ ToAddresses: people }, raw(at.mark, people.join(',\r\n ')))),
        ),
    },
    {
      call: '`SendEmail`, Raw, 50 in `Destination`, To names the sender alone',
      people: 50,
      leaks: false,
      ends: ['passes', 'passes'],
      make: (at, people) =>
        withClient(at, (client) =>
          client.send(email({ BccAddresses: people }, raw(at.mark, FROM))),
        ),
    },
    {
      call: '`SendBulkEmail`, 50 entries of one',
      people: 50,
      leaks: false,
      ends: ['passes', 'passes'],
      make: (at, people) =>
        withClient(at, (client) => client.send(bulk(at.mark, pages(people, 1)))),
    },
    {
      call: '`SendBulkEmail`, 25 entries of one, the same auditor in `CcAddresses` of all',
      people: 26,
      leaks: true,
      ends: ['nothing', 'private'],
      make: (at, [auditor = '', ...people]) =>
        withClient(at, (client) => client.send(bulk(at.mark, pages(people, 1), [auditor]))),
    },
    {
      call: '`SendBulkEmail`, 10 entries of five',
      people: 50,
      leaks: true,
      ends: ['nothing', 'private'],
      make: (at, people) =>
        withClient(at, (client) => client.send(bulk(at.mark, pages(people, 5)))),
    },
  ],
};

function mailer(at: CallPlace, mail: object): Promise<void> {
  const { SendEmailCommand } = aws();
  return withClient(at, (sesClient) =>
    createTransport({ SES: { sesClient, SendEmailCommand } } as object).sendMail({
      from: FROM,
      subject: `Notice ${at.mark}`,
      text: `Please read. ${at.mark}`,
      ...mail,
    }),
  );
}

export const NODEMAILER_SES: Sdk = {
  title: "nodemailer's SES transport",
  pinned: { name: 'nodemailer', lock: 'test' },
  baseUrl: '`endpoint` of the `SESv2Client` it is given',
  farSide: 'ses',
  refusal: 'MessageRejected 400',
  describe,
  calls: [
    {
      call: '`sendMail({ to: [50] })`',
      people: 50,
      leaks: true,
      ends: ['nothing', 'private'],
      make: (at, to) => mailer(at, { to: [...to] }),
    },
    {
      call: '`sendMail({ to, cc: [49] })`',
      people: 50,
      leaks: true,
      ends: ['nothing', 'private'],
      make: (at, [to, ...cc]) => mailer(at, { to, cc }),
    },
    {
      call: '`sendMail({ bcc: [50] })`',
      people: 50,
      leaks: false,
      ends: ['passes', 'passes'],
      make: (at, bcc) => mailer(at, { bcc: [...bcc] }),
    },
  ],
};
