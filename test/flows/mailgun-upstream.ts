/**
 * The far side of the Mailgun flow tests: a server that takes `messages` and `messages.mime` as the
 * published schema has them, reads forms with the platform's own parser, and keeps the messages that
 * Mailgun would make: one for all of `to`, or, with recipient-variables, one for each.
 */

import http from 'node:http';
import type { AddressInfo } from 'node:net';

export interface SentMessage {
  readonly recipients: readonly string[];
  /** The To and Cc that the reader would see. */
  readonly shown: string;
  readonly text: string;
}

export interface MailgunUpstream {
  readonly baseUrl: string;
  readonly messages: readonly SentMessage[];
  readonly requests: readonly { readonly path: string; readonly authorization: string }[];
  readonly forms: readonly FormData[];
  readonly rejected: readonly string[];
  close(): Promise<void>;
}

export const MAILGUN_KEY = 'key-upstream-example';

const NAMES =
  /^(?:from|to|cc|bcc|subject|text|html|amp-html|attachment|inline|message|template|recipient-variables|[ht]:.+|v:.+|o:(?:tag|dkim|testmode|tracking|tracking-clicks|tracking-opens|deliverytime|require-tls|skip-verification))$/;

export async function startMailgunUpstream(): Promise<MailgunUpstream> {
  const messages: SentMessage[] = [];
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
    messages.push(...(await messagesOf(path, form)));
    const id = `<upstream-${forms.length}@company.example>`;
    answer(200, { id, message: 'Queued. Thank you.' });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    messages,
    requests,
    forms,
    rejected,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

/** Names, addresses and counts as the schema has them; null where nothing is wrong. */
function schemaProblem(path: string, form: FormData): string | null {
  const mime = /^\/v3\/[a-z.]+\/messages\.mime$/.test(path);
  if (!mime && !/^\/v3\/[a-z.]+\/messages$/.test(path)) return 'path';
  for (const name of form.keys()) if (!NAMES.test(name)) return `unknown parameter ${name}`;
  const people = [...peopleIn(form, 'to'), ...peopleIn(form, 'cc'), ...peopleIn(form, 'bcc')];
  if (peopleIn(form, 'to').length === 0) return 'to parameter is missing';
  if (people.length > 1000) return 'more than 1000 recipients';
  if (!people.every((text) => /^(?:[^<>]*<)?[^@\s<>]+@[^@\s<>]+>?$/.test(text))) return 'address';
  if (mime) return form.get('message') instanceof File ? null : 'message is expected as a file';
  if (typeof form.get('from') !== 'string') return 'from parameter is missing';
  const body = ['text', 'html', 'amp-html', 'template'].some((name) => form.has(name));
  return body ? null : 'no body';
}

function peopleIn(form: FormData, name: string): readonly string[] {
  return form
    .getAll(name)
    .flatMap((value) => String(value).split(/,(?=(?:[^"]*"[^"]*")*[^"]*$)/))
    .map((text) => text.trim())
    .filter((text) => text !== '');
}

function addressOf(text: string): string {
  return /<([^>]+)>/.exec(text)?.[1] ?? text;
}

async function messagesOf(path: string, form: FormData): Promise<readonly SentMessage[]> {
  const [to, cc, bcc] = ['to', 'cc', 'bcc'].map((name) => peopleIn(form, name));
  const copied = [...(cc ?? []), ...(bcc ?? [])].map(addressOf);
  const given = form.get('recipient-variables');
  const variables: Record<string, Record<string, string>> = typeof given === 'string' &&
  given !== ''
    ? JSON.parse(given)
    : {};
  const message = form.get('message');
  const mime = path.endsWith('.mime') && message instanceof File ? await message.text() : null;
  const text = mime ?? String(form.get('text') ?? '');
  const header = mime?.split('\r\n\r\n')[0] ?? null;
  const all = (to ?? []).map(addressOf);
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
