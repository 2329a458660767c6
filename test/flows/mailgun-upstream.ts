/**
 * The far side of the Mailgun tests: a server that takes `POST /v3/{domain}/messages` and `messages.mime` as the published API
 * reference has them ("Send an email", "Send an email in MIME format", and "Batch sending" of the user manual), written without
 * the table in `src/`. It reads forms with the platform's own parser and keeps the messages that Mailgun would make: one for all
 * of `to`, or, with recipient-variables, one for each.
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

export interface SentMessage {
  readonly recipients: readonly string[];
  /** The To and Cc that the reader would see. */
  readonly shown: string;
  readonly text: string;
}

export interface MailgunUpstream {
  readonly baseUrl: string;
  readonly messages: readonly SentMessage[];
  /** The same messages as bytes, with their readers. */
  readonly copies: readonly DeliveredCopy[];
  readonly requests: readonly { readonly path: string; readonly authorization: string }[];
  readonly forms: readonly FormData[];
  readonly rejected: readonly string[];
  close(): Promise<void>;
}

export const MAILGUN_KEY = 'key-upstream-example';

const FLAG = /^(?:yes|no|true|false)$/;
const CLICKS = /^(?:yes|no|true|false|htmlonly)$/;
/** RFC 2822 date, or seconds since 1970. */
const TIME = /^(?:\w{3}, \d{1,2} \w{3} \d{4} [\d:]+ (?:[+-]\d{4}|\w+)|\d{10})$/;
const ANY = /^/;

/** Parameters that stand once, with their form. */
const SINGLE: Readonly<Record<string, RegExp>> = {
  from: ANY,
  subject: ANY,
  text: ANY,
  html: ANY,
  'amp-html': ANY,
  template: ANY,
  't:version': ANY,
  't:text': /^yes$/,
  't:variables': /^\{[\s\S]*\}$/,
  'recipient-variables': /^\{[\s\S]*\}$/,
  'o:dkim': FLAG,
  'o:secondary-dkim': ANY,
  'o:secondary-dkim-public': ANY,
  'o:deliverytime': TIME,
  'o:deliver-within': /^(?:\d+h)?(?:\d+m)?$/,
  'o:deliverytime-optimize-period': /^\d+h$/,
  'o:time-zone-localize': /^\d\d:\d\d(?:[ap]m)?$/i,
  'o:testmode': FLAG,
  'o:tracking': CLICKS,
  'o:tracking-clicks': CLICKS,
  'o:tracking-opens': FLAG,
  'o:tracking-pixel-location-top': CLICKS,
  'o:require-tls': FLAG,
  'o:skip-verification': FLAG,
  'o:sending-ip': ANY,
  'o:sending-ip-pool': ANY,
  'o:archive-to': /^https?:/,
  'o:suppress-headers': ANY,
};
/** Parameters that may stand several times. */
const REPEATED = /^(?:to|cc|bcc|o:tag|h:[!-9;-~]+|v:.+)$/;
const FILES = /^(?:attachment|inline)$/;
/** `messages.mime` takes the envelope, the message and what steers them. */
const MIME = /^(?:to|message|template|recipient-variables|[oht]:.+|v:.+)$/;
const OPTIONS_SIZE_MAX = 16_384;

export async function startMailgunUpstream(): Promise<MailgunUpstream> {
  const messages: SentMessage[] = [];
  const copies: DeliveredCopy[] = [];
  const requests: { path: string; authorization: string }[] = [];
  const forms: FormData[] = [];
  const rejected: string[] = [];
  const server = http.createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const authorization = String(request.headers.authorization);
    const path = request.url ?? '';
    requests.push({ path, authorization });
    const answer = (status: number, body: object): void => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(body));
    };
    const key = Buffer.from(`api:${MAILGUN_KEY}`).toString('base64');
    if (authorization !== `Basic ${key}`) {
      rejected.push('key');
      response.writeHead(401, { 'content-type': 'text/plain' }).end('Forbidden');
      return;
    }
    const headers = { 'content-type': String(request.headers['content-type']) };
    const form = await new Response(Buffer.concat(chunks), { headers }).formData();
    forms.push(form);
    const problem = schemaProblem(path, form);
    if (problem !== null) {
      rejected.push(problem);
      answer(400, { message: problem });
      return;
    }
    const sent = await messagesOf(path, form);
    messages.push(...sent);
    for (const message of sent) copies.push(await copyOf(path, form, message));
    const id = `<upstream-${forms.length}@company.example>`;
    answer(200, { id, message: 'Queued. Thank you.' });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    messages,
    copies,
    requests,
    forms,
    rejected,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

/** What the reference says against a call; null where nothing. */
function schemaProblem(path: string, form: FormData): string | null {
  const mime = /^\/v3\/[a-z.]+\/messages\.mime$/.test(path);
  if (!mime && !/^\/v3\/[a-z.]+\/messages$/.test(path)) return 'path';
  for (const [name, value] of form) {
    const problem = parameterProblem(form, name, value, mime);
    if (problem !== null) return `${name} ${problem}`;
  }
  const people = [...peopleIn(form, 'to'), ...peopleIn(form, 'cc'), ...peopleIn(form, 'bcc')];
  if (peopleIn(form, 'to').length === 0) return 'to parameter is missing';
  if (people.length > 1000) return 'more than 1000 recipients';
  if (!people.every((text) => MAILBOX.test(text))) return 'to parameter is not a valid address';
  const options = [...form].filter(([name]) => /^[ohv]:/.test(name));
  const size = options.reduce((sum, [name, value]) => sum + name.length + String(value).length, 0);
  if (size > OPTIONS_SIZE_MAX) return 'o:, h: and v: are more than 16 kB';
  if (mime) return form.get('message') instanceof File ? null : 'message is expected as a file';
  const from = form.get('from');
  if (typeof from !== 'string') return 'from parameter is missing';
  if (!MAILBOX.test(from)) return 'from parameter is not a valid address';
  const body = ['text', 'html', 'amp-html', 'template'].some((name) => form.has(name));
  if (!body) return 'need at least one of text, html, amp-html or template';
  return variablesProblem(form.get('recipient-variables'));
}

function parameterProblem(
  form: FormData,
  name: string,
  value: File | string,
  mime: boolean,
): string | null {
  if (mime && !MIME.test(name)) return 'is no parameter of messages.mime';
  if (name === 'message') return mime ? null : 'is no parameter of messages';
  if (FILES.test(name)) return value instanceof File ? null : 'is expected as a file';
  if (typeof value !== 'string') return 'is expected as text';
  if (REPEATED.test(name)) return null;
  const pattern = SINGLE[name];
  if (pattern === undefined) return 'is not in the reference';
  if (form.getAll(name).length > 1) return 'is given twice';
  return value === '' || pattern.test(value) ? null : 'is not in its form';
}

/** A JSON object of objects, by address. */
function variablesProblem(given: File | string | null): string | null {
  if (given === null || given === '') return null;
  try {
    const all: unknown = JSON.parse(String(given));
    const entries = Object.values(all as object);
    const good = entries.every((one) => typeof one === 'object' && one !== null);
    return good ? null : 'recipient-variables: an object for each address';
  } catch {
    return 'recipient-variables is not JSON';
  }
}

function peopleIn(form: FormData, name: string): readonly string[] {
  return form.getAll(name).flatMap((value) => listIn(String(value)));
}

async function messagesOf(path: string, form: FormData): Promise<readonly SentMessage[]> {
  const [to, cc, bcc] = ['to', 'cc', 'bcc'].map((name) => peopleIn(form, name));
  const copied = [...(cc ?? []), ...(bcc ?? [])].map(addressIn);
  const given = form.get('recipient-variables');
  const variables: Record<string, Record<string, string>> = typeof given === 'string' &&
  given !== ''
    ? JSON.parse(given)
    : {};
  const message = form.get('message');
  const mime = path.endsWith('.mime') && message instanceof File ? await message.text() : null;
  const text = mime ?? String(form.get('text') ?? '');
  const header = mime?.split('\r\n\r\n')[0] ?? null;
  const all = (to ?? []).map(addressIn);
  if (Object.keys(variables).length === 0) {
    const shown = header ?? [...(to ?? []), ...(cc ?? [])].join(', ');
    return [{ recipients: [...all, ...copied], shown, text }];
  }
  return all.map((address, index) => {
    const fill = (source: string): string =>
      source
        .replaceAll('%recipient%', address)
        .replace(/%recipient\.(\w+)%/g, (_, name: string) => variables[address]?.[name] ?? '');
    const shown = header ?? [to?.[index] ?? '', ...(cc ?? [])].join(', ');
    return { recipients: [address, ...copied], shown: fill(shown), text: fill(text) };
  });
}

/** As bytes; of a MIME message those it came as, filled in. */
async function copyOf(path: string, form: FormData, sent: SentMessage): Promise<DeliveredCopy> {
  const { recipients: readers, shown, text } = sent;
  if (path.endsWith('.mime')) return { readers, bytes: Buffer.from(text, 'utf8') };
  const html = form.get('html');
  const replyTo = form.get('h:Reply-To');
  const headers = [...form]
    .filter(([name]) => /^h:(?!reply-to$)/i.test(name))
    .map(([name, value]) => [name.slice(2), String(value)] as const);
  const files = [...form.getAll('attachment'), ...form.getAll('inline')].filter(
    (file) => file instanceof File,
  );
  const bytes = providerMessage({
    from: String(form.get('from')),
    to: [shown],
    replyTo: replyTo === null ? [] : [String(replyTo)],
    subject: String(form.get('subject') ?? ''),
    headers,
    texts: [
      { type: 'text/plain', value: text },
      ...(html === null ? [] : [{ type: 'text/html', value: String(html) }]),
    ],
    files: await Promise.all(
      files.map(async (file) => ({
        name: file.name,
        type: file.type,
        base64: Buffer.from(await file.arrayBuffer()).toString('base64'),
      })),
    ),
  });
  return { readers, bytes };
}
