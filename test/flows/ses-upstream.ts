/**
 * The far side of the SES tests: a server that checks the signature (SigV4) and the body as the published model has them (shapes
 * SendEmailRequest and SendBulkEmailRequest of sesv2, 2019-09-27), with the quotas of its developer guide, written without
 * anything of `src/`. It keeps the messages it would send.
 */

import { createHash, createHmac } from 'node:crypto';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { addressIn, type DeliveredCopy, providerMessage } from '../support/provider-message.ts';
import {
  ANYTHING,
  BASE64,
  FILLED,
  listOf,
  objectOf,
  type PublishedSchema,
  problemWith,
  TEXT,
} from '../support/published-schema.ts';

type Json = Readonly<Record<string, unknown>>;

/** One message as SES would make it. */
export interface SentMessage {
  readonly recipients: readonly string[];
  /** To, Cc and what a raw message's own header says. */
  readonly shown: string;
  readonly raw: Buffer | null;
  readonly body: Json;
}

export interface SesUpstream {
  readonly baseUrl: string;
  readonly messages: readonly SentMessage[];
  /** The same messages as bytes, with their readers. */
  readonly copies: readonly DeliveredCopy[];
  readonly requests: readonly { readonly path: string; readonly authorization: string }[];
  readonly rejected: readonly string[];
  /** What the next request is answered with, in place of success. */
  failNext(status: number, type: string): void;
  close(): Promise<void>;
}

export const SES_KEY = { id: 'AKIDUPSTREAMEXAMPLE1', secret: 'upstream/secret+key' } as const;

export async function startSesUpstream(): Promise<SesUpstream> {
  const messages: SentMessage[] = [];
  const copies: DeliveredCopy[] = [];
  const requests: { path: string; authorization: string }[] = [];
  const rejected: string[] = [];
  let failure: { status: number; type: string } | null = null;
  const server = http.createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const path = request.url ?? '';
    requests.push({ path, authorization: String(request.headers.authorization) });
    const refuse = (status: number, type: string, message: string): void => {
      rejected.push(message);
      response.writeHead(status, { 'content-type': 'application/json', 'x-amzn-errortype': type });
      response.end(JSON.stringify({ message }));
    };
    const wrong = signatureProblem(request, body);
    if (wrong !== null) return refuse(403, 'InvalidSignatureException', wrong);
    if (failure !== null) {
      const { status, type } = failure;
      failure = null;
      return refuse(status, type, 'as the test wants it');
    }
    const call: Json = JSON.parse(body.toString());
    const bulk = path === '/v2/email/outbound-bulk-emails';
    if (!bulk && path !== '/v2/email/outbound-emails') return refuse(404, 'NotFound', 'path');
    const problem = modelProblem(call, bulk);
    if (problem !== null) return refuse(400, 'BadRequestException', problem);
    const sent = bulk ? entriesOf(call).map(messageOf) : [messageOf(call)];
    messages.push(...sent);
    copies.push(...(bulk ? entriesOf(call) : [call]).map((item) => copyOf(call, item)));
    const ids = sent.map((_, i) => `upstream-${messages.length - sent.length + i + 1}`);
    response.writeHead(200, { 'content-type': 'application/json' });
    const results = ids.map((MessageId) => ({ Status: 'SUCCESS', MessageId }));
    response.end(JSON.stringify(bulk ? { BulkEmailEntryResults: results } : { MessageId: ids[0] }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    messages,
    copies,
    requests,
    rejected,
    failNext: (status, type) => {
      failure = { status, type };
    },
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

/** AWS's description of SigV4, step by step; null where the signature is right. */
function signatureProblem(request: http.IncomingMessage, body: Buffer): string | null {
  const given = /^AWS4-HMAC-SHA256 Credential=(.+?), SignedHeaders=(.+?), Signature=(.+)$/.exec(
    String(request.headers.authorization),
  );
  if (given === null) return 'no signature';
  const [id, day, region, service, end] = (given[1] ?? '').split('/');
  if (id !== SES_KEY.id || service !== 'ses' || end !== 'aws4_request') return 'scope';
  const date = String(request.headers['x-amz-date']);
  if (!date.startsWith(String(day))) return 'date';
  const names = (given[2] ?? '').split(';');
  if (!names.includes('host')) return 'host is not signed';
  let canonical = `${request.method}\n${request.url}\n\n`;
  for (const name of names) canonical += `${name}:${String(request.headers[name]).trim()}\n`;
  canonical += `\n${names.join(';')}\n${createHash('sha256').update(body).digest('hex')}`;
  const hash = createHash('sha256').update(canonical).digest('hex');
  const text = `AWS4-HMAC-SHA256\n${date}\n${day}/${region}/ses/aws4_request\n${hash}`;
  let key: Buffer = createHmac('sha256', `AWS4${SES_KEY.secret}`).update(String(day)).digest();
  key = createHmac('sha256', key).update(String(region)).digest();
  key = createHmac('sha256', key).update('ses').digest();
  key = createHmac('sha256', key).update('aws4_request').digest();
  const right = createHmac('sha256', key).update(text).digest('hex');
  return right === given[3] ? null : 'the signature does not match';
}

/** Mailboxes: SES takes no address whose local part is not ASCII. */
const ADDRESS: PublishedSchema = { type: 'string', min: 3, pattern: /^[ -~]*@[!-~]+$/ };
const ADDRESSES = listOf(ADDRESS);
const DESTINATION = objectOf({
  ToAddresses: ADDRESSES,
  CcAddresses: ADDRESSES,
  BccAddresses: ADDRESSES,
});
const CONTENT = objectOf({ Data: TEXT, Charset: TEXT }, ['Data']);
const HEADERS = listOf(
  objectOf(
    {
      Name: { type: 'string', min: 1, max: 126, pattern: /^[!-9;-@A-~]+$/ },
      Value: { type: 'string', min: 1, max: 870, pattern: /^[ -~]*$/ },
    },
    ['Name', 'Value'],
  ),
  { max: 15 },
);
const ATTACHMENTS = listOf(
  objectOf(
    {
      RawContent: BASE64,
      FileName: { type: 'string', min: 1, max: 255 },
      ContentType: { type: 'string', min: 1, max: 78 },
      ContentDisposition: { type: 'string', pattern: /^(?:ATTACHMENT|INLINE)$/ },
      ContentDescription: { type: 'string', min: 1, max: 1000 },
      ContentId: { type: 'string', min: 1, max: 78 },
      ContentTransferEncoding: {
        type: 'string',
        pattern: /^(?:BASE64|QUOTED_PRINTABLE|SEVEN_BIT)$/,
      },
    },
    ['RawContent', 'FileName'],
  ),
);
const TEMPLATE = objectOf({
  TemplateName: FILLED,
  TemplateArn: TEXT,
  TemplateContent: objectOf({ Subject: TEXT, Text: TEXT, Html: TEXT }),
  TemplateData: { type: 'string', max: 262_144 },
  Headers: HEADERS,
  Attachments: ATTACHMENTS,
});
const TAGS = listOf(objectOf({ Name: TEXT, Value: TEXT }, ['Name', 'Value']));
const BOTH = {
  FromEmailAddress: ADDRESS,
  FromEmailAddressIdentityArn: TEXT,
  ReplyToAddresses: ADDRESSES,
  FeedbackForwardingEmailAddress: ADDRESS,
  FeedbackForwardingEmailAddressIdentityArn: TEXT,
  ConfigurationSetName: TEXT,
  EndpointId: TEXT,
  TenantName: { type: 'string', min: 1, max: 64 },
  ConfigurationOverrides: ANYTHING,
} as const;

const SEND_EMAIL = objectOf(
  {
    ...BOTH,
    Destination: DESTINATION,
    Content: objectOf({
      Simple: objectOf(
        {
          Subject: CONTENT,
          Body: objectOf({ Text: CONTENT, Html: CONTENT }),
          Headers: HEADERS,
          Attachments: ATTACHMENTS,
        },
        ['Subject', 'Body'],
      ),
      Raw: objectOf({ Data: BASE64 }, ['Data']),
      Template: TEMPLATE,
    }),
    EmailTags: TAGS,
    ListManagementOptions: objectOf({ ContactListName: TEXT, TopicName: TEXT }, [
      'ContactListName',
    ]),
  },
  ['Content'],
);

const SEND_BULK_EMAIL = objectOf(
  {
    ...BOTH,
    DefaultEmailTags: TAGS,
    DefaultContent: objectOf({ Template: TEMPLATE }, ['Template']),
    BulkEmailEntries: listOf(
      objectOf(
        {
          Destination: DESTINATION,
          ReplacementTags: TAGS,
          ReplacementEmailContent: objectOf({
            ReplacementTemplate: objectOf({
              ReplacementTemplateData: { type: 'string', max: 262_144 },
            }),
          }),
          ReplacementHeaders: HEADERS,
        },
        ['Destination'],
      ),
      { min: 1, max: 50 },
    ),
  },
  ['DefaultContent', 'BulkEmailEntries'],
);

/** The shapes, then what the guide says beside them: 50 recipients a message, one kind of content, one template. */
function modelProblem(call: Json, bulk: boolean): string | null {
  const problem = problemWith(bulk ? SEND_BULK_EMAIL : SEND_EMAIL, call);
  if (problem !== null) return problem;
  const content = (bulk ? call.DefaultContent : call.Content) as Json;
  if (Object.keys(content).length !== 1) return 'Content: one of Simple, Raw and Template';
  const { Template: template, Raw: raw, Simple: simple } = content as Record<string, Json>;
  if (raw === undefined && call.FromEmailAddress === undefined) return 'FromEmailAddress';
  if (simple !== undefined && Object.keys(simple.Body as Json).length === 0) return 'Body';
  if (template !== undefined) {
    const named = ['TemplateName', 'TemplateArn', 'TemplateContent'].filter(
      (name) => template[name] !== undefined,
    );
    if (named.length !== 1) return 'Template: one of name, ARN and content';
  }
  const groups = (bulk ? entriesOf(call) : [call]).map(({ Destination }) =>
    peopleOf((Destination ?? {}) as Json),
  );
  // SendBulkTemplatedEmail says it of the whole call.
  if (groups.flat().length > 50) return 'Recipient count exceeds 50.';
  const empty = raw === undefined && groups.some((people) => people.length === 0);
  return empty ? 'Destination: nobody' : null;
}

function entriesOf(call: Json): readonly Json[] {
  return (call.BulkEmailEntries ?? []) as readonly Json[];
}

function peopleOf(destination: Json): readonly string[] {
  return Object.values(destination).flat() as string[];
}

/** What stands in To and Cc of a raw message, for a call without Destination. */
function peopleInHeader(raw: Buffer): readonly string[] {
  const header = raw.toString('latin1').split(/\r?\n\r?\n/)[0] ?? '';
  const fields = header.replace(/\r?\n[ \t]+/g, ' ').match(/^(?:to|cc|bcc):.*$/gim) ?? [];
  return fields.flatMap((field) => field.match(/[^\s<>,:;"]+@[^\s<>,;"]+/g) ?? []);
}

function copyOf(call: Json, item: Json): DeliveredCopy {
  const destination = (item.Destination ?? {}) as Json;
  const content = (call.Content ?? call.DefaultContent) as Json;
  const data = (content.Raw as Json | undefined)?.Data;
  const readers = peopleOf(destination).map(addressIn);
  if (typeof data === 'string') {
    const bytes = Buffer.from(data, 'base64');
    return { readers: readers.length > 0 ? readers : peopleInHeader(bytes), bytes };
  }
  const { Subject: subject, Text: text, Html: html } = textsOf(content, item);
  const given = (content.Simple ?? content.Template) as Json;
  type Field = { readonly Name: string; readonly Value: string };
  const headers = [given.Headers, item.ReplacementHeaders].flatMap(
    (fields) => (fields ?? []) as readonly Field[],
  );
  const bytes = providerMessage({
    from: String(call.FromEmailAddress),
    to: (destination.ToAddresses ?? []) as readonly string[],
    cc: (destination.CcAddresses ?? []) as readonly string[],
    replyTo: (call.ReplyToAddresses ?? []) as readonly string[],
    subject: subject ?? '',
    headers: headers.map(({ Name, Value }) => [Name, Value]),
    texts: [
      ...(text === undefined ? [] : [{ type: 'text/plain', value: text }]),
      ...(html === undefined ? [] : [{ type: 'text/html', value: html }]),
    ],
  });
  return { readers, bytes };
}

/** Subject and texts, filled in from the template's data; a stored template's text is not known here. */
function textsOf(content: Json, item: Json): Readonly<Record<string, string | undefined>> {
  const simple = content.Simple as Record<string, Json> | undefined;
  if (simple !== undefined) {
    const body = simple.Body as Record<string, Json>;
    const data = (of: Json | undefined): string | undefined =>
      of === undefined ? undefined : String(of.Data);
    return { Subject: data(simple.Subject), Text: data(body.Text), Html: data(body.Html) };
  }
  const template = content.Template as Json;
  const own = (item.ReplacementEmailContent as Record<string, Json> | undefined)
    ?.ReplacementTemplate?.ReplacementTemplateData;
  const values: Json = JSON.parse(String(own ?? template.TemplateData ?? '{}'));
  const texts = (template.TemplateContent ?? {}) as Readonly<Record<string, string>>;
  const filled = Object.entries(texts).map(([name, text]) => [
    name,
    text.replace(/{{(\w+)}}/g, (_, tag: string) => String(values[tag] ?? '')),
  ]);
  return Object.fromEntries(filled);
}

function messageOf(item: Json): SentMessage {
  const destination = (item.Destination ?? {}) as Json;
  const data = ((item.Content as Json | undefined)?.Raw as Json | undefined)?.Data;
  const raw = typeof data === 'string' ? Buffer.from(data, 'base64') : null;
  const header = raw?.toString('latin1').split(/\r?\n\r?\n/)[0];
  const fields = [destination.ToAddresses ?? [], destination.CcAddresses ?? []].flat().join(', ');
  return { recipients: peopleOf(destination), shown: header ?? fields, raw, body: item };
}
