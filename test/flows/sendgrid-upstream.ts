/**
 * The far side of the SendGrid tests: a server that takes `POST /v3/mail/send` as the published schema (tsg_mail_v3.json of
 * twilio/sendgrid-oai, version 1.x) and its page of errors say, written without the table in `src/`. It keeps each call it was
 * sent and the messages that it would make of those it took.
 */

import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { type DeliveredCopy, mailbox, providerMessage } from '../support/provider-message.ts';
import {
  ANYTHING,
  BASE64,
  EMAIL,
  FILLED,
  INTEGER,
  listOf,
  mapOf,
  objectOf,
  problemWith,
  SWITCH,
  TEXT,
} from '../support/published-schema.ts';

interface Address {
  readonly email: string;
  readonly name?: string;
}

interface Personalization {
  readonly from?: Address;
  readonly to: readonly Address[];
  readonly cc?: readonly Address[];
  readonly bcc?: readonly Address[];
  readonly subject?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly substitutions?: Readonly<Record<string, string>>;
}

interface Body {
  readonly personalizations: readonly Personalization[];
  readonly from: Address;
  readonly reply_to?: Address;
  readonly reply_to_list?: readonly Address[];
  readonly subject?: string;
  readonly content?: readonly { readonly type: string; readonly value: string }[];
  readonly attachments?: readonly {
    readonly content: string;
    readonly filename: string;
    readonly type?: string;
  }[];
  readonly template_id?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface SentCall {
  readonly key: string | undefined;
  readonly body: Body;
}

export interface SendgridUpstream {
  readonly baseUrl: string;
  /** Everything that arrived, accepted or not. */
  readonly calls: readonly SentCall[];
  /** The messages of the calls that were accepted. */
  readonly copies: readonly DeliveredCopy[];
  readonly rejected: readonly string[];
  forgetRejected(): void;
  close(): Promise<void>;
}

const KEY = 'SG.upstream-key';

export const UPSTREAM_KEY: string = KEY;

export async function startSendgridUpstream(): Promise<SendgridUpstream> {
  const calls: SentCall[] = [];
  const copies: DeliveredCopy[] = [];
  const rejected: string[] = [];
  const server = http.createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const key = request.headers.authorization;
    const body: Body = JSON.parse(Buffer.concat(chunks).toString());
    calls.push({ key, body });
    const problem = key === `Bearer ${KEY}` ? findProblem(body) : 'authorization required';
    if (problem === null) {
      copies.push(...body.personalizations.map((personalization) => copyOf(body, personalization)));
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
    copies,
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

const ADDRESS = objectOf({ email: EMAIL, name: TEXT }, ['email']);
const ENABLE = objectOf({ enable: SWITCH });

/** `mail/send`; `sections` is not in the schema, and what the packages still send beside it. */
const SCHEMA = objectOf(
  {
    personalizations: listOf(
      objectOf(
        {
          from: ADDRESS,
          to: listOf(ADDRESS, { min: 1 }),
          cc: listOf(ADDRESS, { max: 1000 }),
          bcc: listOf(ADDRESS, { max: 1000 }),
          subject: FILLED,
          headers: mapOf(TEXT),
          substitutions: mapOf(TEXT),
          dynamic_template_data: mapOf(ANYTHING),
          custom_args: mapOf(TEXT),
          send_at: INTEGER,
        },
        ['to'],
      ),
      { min: 1, max: 1000 },
    ),
    from: ADDRESS,
    reply_to: ADDRESS,
    reply_to_list: listOf(ADDRESS, { max: 1000, unique: true }),
    subject: FILLED,
    content: listOf(objectOf({ type: FILLED, value: FILLED }, ['type', 'value']), { min: 1 }),
    attachments: listOf(
      objectOf(
        {
          content: BASE64,
          type: FILLED,
          filename: TEXT,
          disposition: { type: 'string', pattern: /^(?:inline|attachment)$/ },
          content_id: TEXT,
        },
        ['content', 'filename'],
      ),
    ),
    template_id: TEXT,
    sections: mapOf(TEXT),
    headers: mapOf(TEXT),
    categories: listOf({ type: 'string', max: 255 }, { max: 10, unique: true }),
    custom_args: ANYTHING,
    send_at: INTEGER,
    batch_id: TEXT,
    asm: objectOf({ group_id: INTEGER, groups_to_display: listOf(INTEGER, { max: 25 }) }, [
      'group_id',
    ]),
    ip_pool_name: { type: 'string', min: 2, max: 64 },
    mail_settings: objectOf({
      bypass_list_management: ENABLE,
      bypass_spam_management: ENABLE,
      bypass_bounce_management: ENABLE,
      bypass_unsubscribe_management: ENABLE,
      footer: objectOf({ enable: SWITCH, text: TEXT, html: TEXT }),
      sandbox_mode: ENABLE,
    }),
    tracking_settings: objectOf({
      click_tracking: objectOf({ enable: SWITCH, enable_text: SWITCH }),
      open_tracking: objectOf({ enable: SWITCH, substitution_tag: TEXT }),
      subscription_tracking: objectOf({
        enable: SWITCH,
        text: TEXT,
        html: TEXT,
        substitution_tag: TEXT,
      }),
      ganalytics: objectOf({
        enable: SWITCH,
        utm_source: TEXT,
        utm_medium: TEXT,
        utm_term: TEXT,
        utm_content: TEXT,
        utm_campaign: TEXT,
      }),
    }),
  },
  ['personalizations', 'from'],
);

/** Names the page of errors calls reserved, `message.headers` and `message.personalizations.headers`. */
const RESERVED =
  /^(?:x-sg-id|x-sg-eid|received|dkim-signature|content-type|content-transfer-encoding|to|from|subject|reply-to|cc|bcc)$/i;

/** What the schema, then the page of errors, say against a body; null where nothing. */
function findProblem(body: Body): string | null {
  const problem = problemWith(SCHEMA, body);
  if (problem !== null) return problem;
  const { personalizations, content, template_id: template, subject } = body;
  const groups = personalizations.map(({ to, cc = [], bcc = [] }) => [...to, ...cc, ...bcc]);
  if (groups.flat().length > 1000) return 'more than 1000 recipients';
  for (const group of groups) {
    const emails = group.map(({ email }) => email.toLowerCase());
    if (new Set(emails).size < emails.length) return 'an address twice in one personalization';
  }
  if (body.reply_to !== undefined && body.reply_to_list !== undefined) return 'reply_to_list';
  const headers = [body, ...personalizations].flatMap((of) => Object.keys(of.headers ?? {}));
  const reserved = headers.find((name) => RESERVED.test(name));
  if (reserved !== undefined) return `headers.${reserved}: is reserved`;
  if (template !== undefined) return null;
  if (content === undefined) return 'content is required';
  if (content.some(({ type }) => /[;,\s]/.test(type))) return 'content.type: ; or CRLF';
  const everySubject = personalizations.every((of) => of.subject !== undefined);
  return subject === undefined && !everySubject ? 'subject is required' : null;
}

/** Everybody in `to` and `cc` of a personalization stands in the one message its readers get. */
function copyOf(body: Body, personalization: Personalization): DeliveredCopy {
  const { to, cc = [], bcc = [], substitutions = {}, headers = {} } = personalization;
  const fill = (text: string): string => {
    let filled = text;
    for (const [tag, value] of Object.entries(substitutions))
      filled = filled.replaceAll(tag, value);
    return filled;
  };
  const shown = (all: readonly Address[]): string[] =>
    all.map(({ email, name }) => mailbox(email, name));
  const replyTo = body.reply_to_list ?? (body.reply_to === undefined ? [] : [body.reply_to]);
  const bytes = providerMessage({
    from: shown([personalization.from ?? body.from])[0] ?? '',
    to: shown(to),
    cc: shown(cc),
    replyTo: shown(replyTo),
    subject: fill(personalization.subject ?? body.subject ?? ''),
    headers: Object.entries({ ...body.headers, ...headers }),
    texts: (body.content ?? []).map(({ type, value }) => ({ type, value: fill(value) })),
    files: (body.attachments ?? []).map(({ content, filename, type }) => {
      return { name: filename, type: type ?? 'application/octet-stream', base64: content };
    }),
  });
  return { readers: [...to, ...cc, ...bcc].map(({ email }) => email), bytes };
}
