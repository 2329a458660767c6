/**
 * The far side of the SendGrid flow tests: a server that takes `POST /v3/mail/send` as the published
 * schema says, written without the table in `src/`, and records each call it was sent.
 */

import http from 'node:http';
import type { AddressInfo } from 'node:net';

interface Address {
  readonly email: string;
  readonly name?: string;
}

export interface SentCall {
  readonly key: string | undefined;
  readonly body: {
    readonly personalizations: readonly {
      readonly to: readonly Address[];
      readonly cc?: readonly Address[];
      readonly bcc?: readonly Address[];
      readonly substitutions?: Readonly<Record<string, string>>;
    }[];
  };
}

export interface SendgridUpstream {
  readonly baseUrl: string;
  /** Everything that arrived, accepted or not. */
  readonly calls: readonly SentCall[];
  readonly rejected: readonly string[];
  forgetRejected(): void;
  close(): Promise<void>;
}

const KEY = 'SG.upstream-key';

export const UPSTREAM_KEY: string = KEY;

export async function startSendgridUpstream(): Promise<SendgridUpstream> {
  const calls: SentCall[] = [];
  const rejected: string[] = [];
  const server = http.createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const key = request.headers.authorization;
    const body: SentCall['body'] = JSON.parse(Buffer.concat(chunks).toString());
    calls.push({ key, body });
    const problem = key === `Bearer ${KEY}` ? findProblem(body) : 'authorization required';
    if (problem === null) {
      response.writeHead(202, { 'x-message-id': `message-${calls.length}` }).end();
      return;
    }
    rejected.push(problem);
    response.writeHead(400, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ errors: [{ message: problem, field: null, help: null }] }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    rejected,
    forgetRejected: () => {
      rejected.length = 0;
    },
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

/** Names in the schema, by object; `sections` is what the packages still send beside it. */
const NAMES: Readonly<Record<string, readonly string[]>> = {
  body: [
    'personalizations from reply_to reply_to_list subject content attachments template_id headers',
    'categories custom_args send_at batch_id asm ip_pool_name mail_settings tracking_settings sections',
  ]
    .join(' ')
    .split(' '),
  personalization:
    'from to cc bcc subject headers substitutions dynamic_template_data custom_args send_at'.split(
      ' ',
    ),
  address: ['email', 'name'],
};

/** What the schema says against a body; null where nothing. */
function findProblem(body: SentCall['body']): string | null {
  const all = body as Readonly<Record<string, unknown>>;
  const people = body.personalizations;
  if (!Array.isArray(people) || people.length < 1 || people.length > 1000)
    return 'personalizations';
  const groups = people.map(({ to, cc = [], bcc = [] }) => [...(to ?? []), ...cc, ...bcc]);
  const addresses: readonly Address[] = groups.flat();
  if (addresses.length > 1000) return 'more than 1000 recipients';
  if (people.some(({ to }) => !Array.isArray(to) || to.length < 1)) return 'to is required';
  for (const group of groups) {
    const emails = group.map(({ email }) => email.toLowerCase());
    if (new Set(emails).size < emails.length) return 'an address twice in one personalization';
  }
  if (!isAddress(all.from) || !addresses.every(isAddress)) return 'an address object is wrong';
  if (!hasOnly(all, 'body') || !people.every((it) => hasOnly(it, 'personalization'))) {
    return 'a property is not in the schema';
  }
  const content = all.content as readonly { readonly type: unknown; readonly value: unknown }[];
  const texts = Array.isArray(content) && content.length > 0 ? content : [{ type: 0, value: 0 }];
  if (!texts.every(({ type, value }) => isText(type) && isText(value))) return 'content is wrong';
  return isText(all.subject) ? null : 'subject is required';
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== '';
}

function isAddress(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || !hasOnly(value, 'address')) return false;
  const { email, name } = value as { readonly email?: unknown; readonly name?: unknown };
  const named = name === undefined || typeof name === 'string';
  return named && typeof email === 'string' && /^[^@\s]+@[^@\s]+$/.test(email);
}

function hasOnly(value: object, kind: string): boolean {
  return Object.keys(value).every((name) => NAMES[kind]?.includes(name));
}
