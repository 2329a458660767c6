/**
 * The far side of the Postmark tests: a server that takes the four sending endpoints as the published documentation says (Email
 * API and Templates API of postmarkapp.com/developer), written without the tables in `src/`. It records each message it was sent
 * and those it would make.
 */

import http from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  addressIn,
  type DeliveredCopy,
  listIn,
  MAILBOX,
  providerMessage,
} from '../support/provider-message.ts';
import {
  ANYTHING,
  BASE64,
  FILLED,
  INTEGER,
  listOf,
  mapOf,
  objectOf,
  problemWith,
  SWITCH,
  TEXT,
} from '../support/published-schema.ts';

export interface SentMessage {
  readonly From: string;
  readonly To?: string;
  readonly Cc?: string;
  readonly Bcc?: string;
  readonly [name: string]: unknown;
}

export interface PostmarkUpstream {
  /** Host and port. */
  readonly host: string;
  /** Every message of every call, accepted or not. */
  readonly messages: SentMessage[];
  /** The messages it took, as bytes with their readers. */
  readonly copies: readonly DeliveredCopy[];
  readonly paths: string[];
  readonly rejected: string[];
  close(): Promise<void>;
}

export const UPSTREAM_TOKEN: string = 'postmark-upstream-token';

const INACTIVE = 'inactive@';

export async function startPostmarkUpstream(): Promise<PostmarkUpstream> {
  const messages: SentMessage[] = [];
  const copies: DeliveredCopy[] = [];
  const paths: string[] = [];
  const rejected: string[] = [];
  const take = (message: SentMessage, templated: boolean): object => {
    messages.push(message);
    const problem = findProblem(message, templated);
    if (problem !== null) {
      rejected.push(problem);
      return { ErrorCode: 300, Message: problem };
    }
    if (message.To?.startsWith(INACTIVE)) return { ErrorCode: 406, Message: 'Inactive recipient' };
    copies.push(copyOf(message));
    const accepted = { SubmittedAt: new Date().toISOString(), MessageID: `id-${messages.length}` };
    return { To: message.To, ...accepted, ErrorCode: 0, Message: 'OK' };
  };
  const server = http.createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const path = request.url ?? '';
    paths.push(path);
    const answer = (status: number, body: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    };
    if (request.headers['x-postmark-server-token'] !== UPSTREAM_TOKEN) {
      return answer(401, { ErrorCode: 10, Message: 'Bad or missing API token' });
    }
    const body = JSON.parse(Buffer.concat(chunks).toString());
    const templated = path.endsWith('emplate') || path.endsWith('emplates');
    if (path === '/email' || path === '/email/withTemplate') {
      const result = take(body, templated) as { ErrorCode: number };
      return answer(result.ErrorCode === 0 ? 200 : 422, result);
    }
    const items = templated ? body.Messages : body;
    if (!Array.isArray(items) || items.length === 0 || items.length > 500) {
      return answer(422, { ErrorCode: 410, Message: 'Too many batch messages' });
    }
    return answer(
      200,
      items.map((item) => take(item, templated)),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    messages,
    copies,
    paths,
    rejected,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

const COMMON = {
  From: FILLED,
  To: TEXT,
  Cc: TEXT,
  Bcc: TEXT,
  Tag: { type: 'string', max: 1000 },
  ReplyTo: TEXT,
  Headers: listOf(objectOf({ Name: FILLED, Value: TEXT }, ['Name', 'Value'])),
  TrackOpens: SWITCH,
  TrackLinks: { type: 'string', pattern: /^(?:None|HtmlAndText|HtmlOnly|TextOnly)$/ },
  Attachments: listOf(
    objectOf(
      {
        Name: FILLED,
        Content: BASE64,
        ContentType: FILLED,
        ContentID: TEXT,
        ContentLength: INTEGER,
        Disposition: TEXT,
      },
      ['Name', 'Content', 'ContentType'],
    ),
  ),
  Metadata: mapOf(TEXT),
  MessageStream: FILLED,
} as const;
const OWN = objectOf({ ...COMMON, Subject: TEXT, HtmlBody: TEXT, TextBody: TEXT }, ['From']);
const TEMPLATED = objectOf(
  {
    ...COMMON,
    TemplateId: INTEGER,
    TemplateAlias: TEXT,
    TemplateModel: mapOf(ANYTHING),
    InlineCss: SWITCH,
  },
  ['From', 'TemplateModel'],
);
const RECIPIENTS_MAX = 50;

/** What the documentation says against a message; null where nothing. */
function findProblem(message: SentMessage, templated: boolean): string | null {
  // A property that is null is one that is left out.
  const given = Object.fromEntries(Object.entries(message).filter(([, value]) => value !== null));
  const problem = problemWith(templated ? TEMPLATED : OWN, given);
  if (problem !== null) return problem;
  if (!MAILBOX.test(message.From)) return 'Illegal email address From';
  const readers = [message.To, message.Cc, message.Bcc].flatMap(listIn);
  if (readers.length === 0 || readers.length > RECIPIENTS_MAX) return 'no or too many recipients';
  if (!readers.every((reader) => MAILBOX.test(reader))) return 'Illegal email address';
  if (!listIn(message.ReplyTo as string).every((one) => MAILBOX.test(one))) return 'ReplyTo';
  if (!templated) return message.TextBody || message.HtmlBody ? null : 'TextBody or HtmlBody';
  const named = [message.TemplateId, message.TemplateAlias].filter((name) => name != null);
  return named.length === 1 ? null : 'one of TemplateId and TemplateAlias is required';
}

function copyOf(message: SentMessage): DeliveredCopy {
  const { From, To, Cc, Bcc, ReplyTo, Subject, TextBody, HtmlBody, Headers, Attachments } = message;
  const text = (type: string, value: unknown) =>
    typeof value === 'string' && value !== '' ? [{ type, value }] : [];
  const headers = (Headers ?? []) as readonly { readonly Name: string; readonly Value: string }[];
  const files = (Attachments ?? []) as readonly Readonly<Record<string, string>>[];
  const bytes = providerMessage({
    from: From,
    to: listIn(To),
    cc: listIn(Cc),
    replyTo: listIn(ReplyTo as string | undefined),
    subject: String(Subject ?? 'A template'),
    headers: headers.map(({ Name, Value }) => [Name, Value]),
    texts: [...text('text/plain', TextBody), ...text('text/html', HtmlBody)],
    files: files.map(({ Name = '', Content = '', ContentType = '' }) => {
      return { name: Name, type: ContentType, base64: Content };
    }),
  });
  return { readers: [To, Cc, Bcc].flatMap(listIn).map(addressIn), bytes };
}
