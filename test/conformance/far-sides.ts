/**
 * Where what the gates let out arrives: an SMTP server, and the four providers, each of which makes the messages that it
 * would deliver, by its published description and not by ours. Imports nothing of `src/`.
 */

import http from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { providerMessages } from './far-sides-messages.ts';
import type { Provider } from './generator-doors.ts';

/** One message as it is delivered, and to whom. */
export interface Delivered {
  readonly by: 'smtp' | 'milter' | Provider;
  readonly readers: readonly string[];
  readonly bytes: Buffer;
}

export interface FarSides {
  readonly smtpPort: number;
  readonly providers: Readonly<Record<Provider, string>>;
  /** What a far side could not understand or would have refused: our generator's fault, or the gate's. */
  readonly refused: ReadonlyMap<string, number>;
  close(): Promise<void>;
}

export const PROVIDERS: readonly Provider[] = ['sendgrid', 'ses', 'mailgun', 'postmark'];

export async function startFarSides(deliver: (message: Delivered) => void): Promise<FarSides> {
  const refused = new Map<string, number>();
  const refuse = (what: string): void => void refused.set(what, (refused.get(what) ?? 0) + 1);
  const smtp = createServer({ noDelay: true }, (socket) => speakSmtp(socket, deliver));
  const servers = PROVIDERS.map((name) => [name, providerServer(name, deliver, refuse)] as const);
  await Promise.all([smtp, ...servers.map(([, server]) => server)].map(listen));
  const urls = servers.map(([name, server]) => [name, `http://127.0.0.1:${portOf(server)}`]);
  return {
    smtpPort: portOf(smtp),
    providers: Object.fromEntries(urls) as Record<Provider, string>,
    refused,
    async close() {
      for (const [, server] of servers) {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      }
      await new Promise((resolve) => smtp.close(resolve));
    },
  };
}

function listen(server: Server): Promise<void> {
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

const END = Buffer.from('\r\n.\r\n');

function speakSmtp(socket: Socket, deliver: (message: Delivered) => void): void {
  let pending: Buffer = Buffer.alloc(0);
  let readers: string[] = [];
  let inContent = false;
  const answer = (line: string): string => {
    const verb = line.slice(0, 4).toUpperCase();
    if (verb === 'EHLO') return '250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n';
    if (verb === 'MAIL') readers = [];
    if (verb === 'RCPT') readers.push(/<(.*)>/.exec(line)?.[1] ?? '');
    if (verb === 'QUIT') return '221 2.0.0 bye\r\n';
    inContent = verb === 'DATA';
    return inContent ? '354 go on\r\n' : '250 2.1.0 ok\r\n';
  };
  const takeContent = (): boolean => {
    const at = pending.indexOf(END);
    if (at < 0) return false;
    const bytes = unstuffed(pending.subarray(0, at + 2));
    pending = pending.subarray(at + END.length);
    inContent = false;
    deliver({ by: 'smtp', readers, bytes });
    socket.write('250 2.0.0 kept\r\n');
    return true;
  };
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    let answers = '';
    for (;;) {
      if (inContent) {
        if (answers !== '') socket.write(answers);
        answers = '';
        if (!takeContent()) break;
        continue;
      }
      const end = pending.indexOf('\r\n');
      if (end < 0) break;
      const line = pending.toString('utf8', 0, end);
      pending = pending.subarray(end + 2);
      answers += answer(line);
    }
    if (answers !== '') socket.write(answers);
  });
  socket.write('220 sink\r\n');
}

function unstuffed(content: Buffer): Buffer {
  const text = content.toString('latin1');
  return text.includes('\r\n.') || text.startsWith('.')
    ? Buffer.from(text.replace(/(^|\r\n)\.\./g, '$1.'), 'latin1')
    : Buffer.from(content);
}

const SUCCESS: Readonly<Record<Provider, (count: number, body: unknown) => [number, string]>> = {
  sendgrid: () => [202, ''],
  ses: (count, body) => {
    const bulk = typeof body === 'object' && body !== null && 'BulkEmailEntries' in body;
    const results = Array.from({ length: count }, (_, i) => ({
      ...{ Status: 'SUCCESS', MessageId: `u-${i}` },
    }));
    return [200, JSON.stringify(bulk ? { BulkEmailEntryResults: results } : { MessageId: 'u-0' })];
  },
  mailgun: () => [
    200,
    JSON.stringify({ id: '<u@northwind.example>', message: 'Queued. Thank you.' }),
  ],
  postmark: (count, body) => {
    const one = {
      To: '',
      SubmittedAt: '2026-02-02T10:00:00Z',
      MessageID: 'u',
      ErrorCode: 0,
      Message: 'OK',
    };
    return [200, JSON.stringify(Array.isArray(body) ? Array(count).fill(one) : one)];
  },
};

function providerServer(
  name: Provider,
  deliver: (message: Delivered) => void,
  refuse: (what: string) => void,
): http.Server {
  // A connection that ends while a call is on its way would leave its outcome uncertain: that has tests of its own.
  const options = { keepAliveTimeout: 600_000 };
  return http.createServer(options, async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    try {
      const type = String(request.headers['content-type']);
      const { messages, given } = await providerMessages(name, request.url ?? '', type, body);
      for (const { readers, bytes } of messages) deliver({ by: name, readers, bytes });
      const [status, text] = SUCCESS[name](messages.length, given);
      const headers = name === 'sendgrid' ? { 'x-message-id': 'u-0' } : {};
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(text);
    } catch (error) {
      refuse(`${name}: ${error instanceof Error ? error.message : 'fault'}`);
      response.writeHead(400, { 'content-type': 'application/json' }).end('{"message":"no"}');
    }
  });
}
