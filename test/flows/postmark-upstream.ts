/**
 * The far side of the Postmark flow tests: a server that takes the four sending endpoints as the
 * published documentation says, written without the tables in `src/`, and records each message.
 */

import http from 'node:http';
import type { AddressInfo } from 'node:net';

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
  readonly paths: string[];
  readonly rejected: string[];
  close(): Promise<void>;
}

export const UPSTREAM_TOKEN: string = 'postmark-upstream-token';

const INACTIVE = 'inactive@';

export async function startPostmarkUpstream(): Promise<PostmarkUpstream> {
  const messages: SentMessage[] = [];
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
    paths,
    rejected,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

const COMMON =
  'From To Cc Bcc Tag ReplyTo Headers TrackOpens TrackLinks Attachments Metadata MessageStream';
const NAMES = {
  own: new Set(`${COMMON} Subject HtmlBody TextBody`.split(' ')),
  templated: new Set(`${COMMON} TemplateId TemplateAlias TemplateModel InlineCss`.split(' ')),
};

/** What the documentation says against a message; null where nothing. */
function findProblem(message: SentMessage, templated: boolean): string | null {
  const names = NAMES[templated ? 'templated' : 'own'];
  if (!Object.keys(message).every((name) => names.has(name))) return 'an unknown property';
  if (typeof message.From !== 'string') return 'From is required';
  const lists = [message.To, message.Cc, message.Bcc];
  if (!lists.every((list) => list == null || typeof list === 'string')) return 'not a string';
  const readers = lists.flatMap((list) => (list ? list.split(/,(?=(?:[^"]*"[^"]*")*[^"]*$)/) : []));
  if (readers.length === 0 || readers.length > 50) return 'no or too many recipients';
  if (!readers.every((reader) => /^(?:[^<>]*<)?[^@<>\s]+@[^@<>\s]+>?$/.test(reader.trim()))) {
    return 'Illegal email address';
  }
  if (templated) return message.TemplateId == null && !message.TemplateAlias ? 'no template' : null;
  return message.TextBody || message.HtmlBody ? null : 'TextBody or HtmlBody is required';
}
