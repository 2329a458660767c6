/** Programs at the gates' doors: SMTP clients, a mail server with our milter, callers of the providers' APIs. */

import { createHash, createHmac } from 'node:crypto';
import http from 'node:http';
import { connect, type Socket } from 'node:net';
import { withoutBcc } from './far-sides-messages.ts';
import type { SubmissionRequest } from './generator-doors.ts';

/** What the caller was told: taken, refused for good, or to come again. `kept`: the one id of a call that was split or held. */
export interface Answer {
  readonly kind: 'taken' | 'refused' | 'later';
  readonly text: string;
  readonly kept: string | null;
  /** A mail server behind the milter delivers the message itself. */
  readonly delivers?: Buffer;
}

type MailRequest = Extract<SubmissionRequest, { kind: 'smtp' | 'milter' }>;
export type HttpRequest = Extract<SubmissionRequest, { kind: 'http' }>;

function keptIn(text: string): string | null {
  return /\bk-[0-9a-z]{12,}/.exec(text)?.[0] ?? null;
}

/** One connection, many messages, one after another. */
interface Line {
  send(request: MailRequest): Promise<Answer>;
  close(): void;
}

/** As many connections as are needed at once, used again and again. */
export class Lines {
  readonly #open: () => Promise<Line>;
  readonly #free: Line[] = [];

  constructor(open: () => Promise<Line>) {
    this.#open = open;
  }

  async send(request: MailRequest): Promise<Answer> {
    const line = this.#free.pop() ?? (await this.#open());
    const answer = await line.send(request);
    this.#free.push(line);
    return answer;
  }

  close(): void {
    for (const line of this.#free) line.close();
  }
}

/** Whole things out of a stream, waited for one at a time. */
class Wire {
  readonly socket: Socket;
  #bytes: Buffer = Buffer.alloc(0);
  #wake: () => void = () => {};
  #closed = false;

  constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.socket.on('data', (chunk) => {
      this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
      this.#wake();
    });
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.#closed = true;
      this.#wake();
    });
  }

  /** @param find how many bytes the next whole thing takes, 0 where it is not there yet. */
  async next(find: (bytes: Buffer) => number): Promise<Buffer> {
    for (;;) {
      const length = find(this.#bytes);
      if (length > 0) {
        const taken = this.#bytes.subarray(0, length);
        this.#bytes = this.#bytes.subarray(length);
        return taken;
      }
      if (this.#closed) throw new Error('the gate closed the connection');
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

/** The length of one SMTP reply, of all its lines. */
function replyLength(bytes: Buffer): number {
  for (let start = 0; ; ) {
    const end = bytes.indexOf('\r\n', start);
    if (end < 0) return 0;
    if (bytes[start + 3] !== 0x2d) return end + 2;
    start = end + 2;
  }
}

const NOT_ASCII = /[^\0-\x7f]/;

export async function openSmtp(port: number, key: string): Promise<Line> {
  const wire = new Wire(port);
  const reply = async (): Promise<string> => (await wire.next(replyLength)).toString('utf8');
  const say = (text: string): Promise<string> => {
    wire.socket.write(text);
    return reply();
  };
  await reply();
  await say('EHLO client.test\r\n');
  const plain = Buffer.from(`\0app\0${key}`).toString('base64');
  const login = await say(`AUTH PLAIN ${plain}\r\n`);
  if (!login.startsWith('235')) throw new Error(`no login: ${login}`);
  return {
    async send({ from, recipients, content }) {
      const header = content.toString('utf8', 0, content.indexOf('\r\n\r\n'));
      const utf8 = NOT_ASCII.test(`${recipients.join('')}${header}`) ? ' SMTPUTF8' : '';
      const lines = recipients.map((to) => `RCPT TO:<${to}>\r\n`);
      wire.socket.write(`MAIL FROM:<${from}> BODY=8BITMIME${utf8}\r\n${lines.join('')}DATA\r\n`);
      const replies: string[] = [];
      for (let i = 0; i < recipients.length + 2; i++) replies.push(await reply());
      const last = replies.at(-1) ?? '';
      const bad = replies.find((text) => !/^[23]/.test(text));
      const stuffed = content.toString('latin1').replace(/^\./gm, '..');
      if (last.startsWith('354')) wire.socket.write(Buffer.from(`${stuffed}.\r\n`, 'latin1'));
      const final = last.startsWith('354') ? await reply() : last;
      if (bad !== undefined && !final.startsWith('2')) await say('RSET\r\n');
      const kind = final.startsWith('2') ? 'taken' : final.startsWith('5') ? 'refused' : 'later';
      return { kind, text: final, kept: keptIn(final) };
    },
    close: () => wire.socket.destroy(),
  };
}

function packet(command: string, data: string | Buffer = ''): Buffer {
  const content = Buffer.from(data);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(content.length + 1, 0);
  head.write(command, 4);
  return Buffer.concat([head, content]);
}

function packetLength(bytes: Buffer): number {
  if (bytes.length < 4) return 0;
  const length = 4 + bytes.readUInt32BE(0);
  return bytes.length < length ? 0 : length;
}

const ALL_STEPS = 0x1f_ffff;

/** Postfix's end of the milter protocol: Bcc is taken out before, and what is accepted it delivers itself. */
export async function openMailServer(port: number, caller: string): Promise<Line> {
  const wire = new Wire(port);
  const offer = Buffer.alloc(12);
  offer.writeUInt32BE(6, 0);
  offer.writeUInt32BE(0x1ff, 4);
  offer.writeUInt32BE(ALL_STEPS, 8);
  wire.socket.write(packet('O', offer));
  await wire.next(packetLength);
  return {
    async send({ from, recipients, content }) {
      const bytes = withoutBcc(content);
      const at = bytes.indexOf('\r\n\r\n');
      const header = bytes.toString('latin1', 0, at);
      const out = [packet('D', `M{auth_authen}\0${caller}\0`), packet('M', `<${from}>\0`)];
      for (const to of recipients) out.push(packet('R', `<${to}>\0`));
      out.push(packet('T'));
      for (const field of header.split(/\r\n(?![ \t])/)) {
        const colon = field.indexOf(':');
        const value = field.slice(colon + 1).replaceAll('\r\n', '\n');
        out.push(packet('L', Buffer.from(`${field.slice(0, colon)}\0${value}\0`, 'latin1')));
      }
      out.push(packet('N'));
      const body = bytes.subarray(at + 4);
      const chunks = Math.max(1, Math.ceil(body.length / 65_535));
      for (let i = 0; i < chunks; i++)
        out.push(packet('B', body.subarray(i * 65_535, (i + 1) * 65_535)));
      out.push(packet('E'));
      wire.socket.write(Buffer.concat(out));
      for (;;) {
        const answer = await wire.next(packetLength);
        const command = String.fromCharCode(answer[4] ?? 0);
        const text = answer.toString('utf8', 5);
        if (command === 'a') return { kind: 'taken', text, kept: null, delivers: bytes };
        if (command === 'd') return { kind: 'taken', text, kept: 'milter' };
        if (command === 'y')
          return { kind: text.startsWith('5') ? 'refused' : 'later', text, kept: null };
        if (command === 'r' || command === 't') return { kind: 'later', text: command, kept: null };
      }
    },
    close: () => wire.socket.destroy(),
  };
}

export interface ApiKeys {
  readonly key: string;
  readonly ses: { readonly id: string; readonly secret: string };
}

const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex');

/** AWS's description of Signature Version 4, step by step. */
function signed(
  { id, secret }: ApiKeys['ses'],
  host: string,
  path: string,
  body: Buffer,
): Record<string, string> {
  const date = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
  const day = date.slice(0, 8);
  const canonical = `POST\n${path}\n\nhost:${host}\nx-amz-date:${date}\n\nhost;x-amz-date\n${sha256(body)}`;
  const scope = `${day}/eu-west-1/ses/aws4_request`;
  const text = `AWS4-HMAC-SHA256\n${date}\n${scope}\n${sha256(canonical)}`;
  let key: Buffer = createHmac('sha256', `AWS4${secret}`).update(day).digest();
  for (const step of ['eu-west-1', 'ses', 'aws4_request'])
    key = createHmac('sha256', key).update(step).digest();
  const signature = createHmac('sha256', key).update(text).digest('hex');
  return {
    'x-amz-date': date,
    authorization: `AWS4-HMAC-SHA256 Credential=${id}/${scope}, SignedHeaders=host;x-amz-date, Signature=${signature}`,
  };
}

export class ApiCaller {
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 40 });
  readonly #urls: Readonly<Record<string, string>>;

  constructor(urls: Readonly<Record<string, string>>) {
    this.#urls = urls;
  }

  send({ provider, path, contentType, body }: HttpRequest, keys: ApiKeys): Promise<Answer> {
    const url = new URL(this.#urls[provider] ?? '');
    const headers = { 'content-type': contentType, ...credential(provider, keys, url, path, body) };
    return new Promise((resolve, reject) => {
      const { hostname, port } = url;
      const options = { ...{ hostname, port, path, headers }, method: 'POST', agent: this.#agent };
      const request = http.request(options, (response) => {
        let text = String(response.headers['x-message-id'] ?? '');
        response.setEncoding('utf8');
        response.on('data', (chunk) => {
          text += chunk;
        });
        response.on('end', () => {
          const status = response.statusCode ?? 0;
          const kind = status < 300 ? 'taken' : status < 500 ? 'refused' : 'later';
          resolve({ kind, text: `${status} ${text}`, kept: keptIn(text) });
        });
      });
      // A connection the gate has closed for being idle: nothing was read of what was sent on it (RFC 9112 section 9.3.1).
      const again = { provider, path, contentType, body, kind: 'http' } as const;
      request.on('error', (error) => {
        if (request.reusedSocket) resolve(this.send(again, keys));
        else reject(error);
      });
      request.end(body);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

function credential(
  provider: string,
  { key, ses }: ApiKeys,
  url: URL,
  path: string,
  body: Buffer,
): Record<string, string> {
  if (provider === 'sendgrid') return { authorization: `Bearer ${key}` };
  if (provider === 'postmark') return { 'x-postmark-server-token': key };
  if (provider === 'mailgun')
    return { authorization: `Basic ${Buffer.from(`api:${key}`).toString('base64')}` };
  return signed(ses, url.host, path, body);
}
