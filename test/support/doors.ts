/**
 * Every door mail comes in by (SMTP relay, milter, the four providers' APIs) on one road, each with its far side, for tests that hold
 * all of them to one promise. The far sides and the callers speak bytes of their own making.
 */

import { createSecretKey } from 'node:crypto';
import http from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import type { Gate } from '../../src/gates/gate.ts';
import { startMilter } from '../../src/gates/milter.ts';
import type { ProviderAdapter } from '../../src/gates/provider-api/adapter.ts';
import { createMailgunAdapter } from '../../src/gates/provider-api/mailgun.ts';
import { createPostmarkAdapter } from '../../src/gates/provider-api/postmark.ts';
import { createSendgridAdapter } from '../../src/gates/provider-api/sendgrid.ts';
import { createSesAdapter } from '../../src/gates/provider-api/ses.ts';
import { signSigV4, sigv4Keys } from '../../src/gates/provider-api/sigv4.ts';
import { type ProviderApiLimits, startProviderApi } from '../../src/gates/provider-api.ts';
import type { Road } from '../../src/guard/check.ts';
import { type Identity, identityOf } from '../../src/guard/identity.ts';
import { closeAfter, RawClient, startNextHop, startRelay } from '../flows/smtp-relay-next-hop.ts';

export type ProviderName = 'sendgrid' | 'ses' | 'mailgun' | 'postmark';
export type DoorName = 'relay' | 'milter' | ProviderName;
export const PROVIDERS: readonly ProviderName[] = ['sendgrid', 'ses', 'mailgun', 'postmark'];

/** One message in plain words; each door's caller writes it in its protocol. */
export interface PlainMessage {
  readonly from: string;
  readonly to: readonly string[];
  readonly subject: string;
  readonly text: string;
}

export interface Door {
  readonly name: DoorName;
  /** Hands a message in; the first word of the protocol's answer: `250`, `a` (milter accept), `202`. */
  send(message: PlainMessage): Promise<string>;
  /** What has gone on: contents at the next hop, calls at the provider, messages the milter accepted. */
  passed(): number;
}

export const SENDER: Identity = identityOf('shop', 'bulk');

export async function openRelayDoor(road: Road, identity: Identity = SENDER): Promise<Door> {
  const next = await startNextHop();
  const relay = await startRelay(next, { road, anonymousIdentity: identity });
  return {
    name: 'relay',
    passed: () => next.contents.length,
    async send(message) {
      const client = new RawClient(relay.port);
      const ready = await client.begin(message.from, message.to);
      const reply = ready.startsWith('354')
        ? await client.say(`${mimeOf(message)}\r\n.\r\n`)
        : ready;
      client.close();
      return reply.slice(0, 3);
    },
  };
}

export function mimeOf({ from, to, subject, text }: PlainMessage): string {
  return `From: ${from}\r\nTo: ${to.join(', ')}\r\nSubject: ${subject}\r\n\r\n${text}`;
}

/** A milter packet: its length, its letter, its data. */
export function milterPacket(command: string, data: string | Buffer = ''): Buffer {
  const content = Buffer.from(typeof data === 'string' ? Buffer.from(data, 'latin1') : data);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(content.length + 1);
  head.write(command, 4, 'latin1');
  return Buffer.concat([head, content]);
}

export function milterNegotiation(version = 6, actions = 0x1ff, steps = 0): Buffer {
  const data = Buffer.alloc(12);
  for (const [place, value] of [version, actions, steps].entries())
    data.writeUInt32BE(value, place * 4);
  return milterPacket('O', data);
}

/** A whole message as a mail server tells it, every step answered. */
export function milterMessage({ from, to, subject, text }: PlainMessage): Buffer {
  const fields = [
    ['From', from],
    ['To', to.join(', ')],
    ['Subject', subject],
  ];
  return Buffer.concat([
    milterPacket('M', `<${from}>\0`),
    ...to.map((address) => milterPacket('R', `<${address}>\0`)),
    milterPacket('T'),
    ...fields.map(([name, value]) => milterPacket('L', `${name}\0${value}\0`)),
    milterPacket('N'),
    milterPacket('B', `${text}\r\n`),
    milterPacket('E'),
  ]);
}

/** Writes bytes to a port; the letters of all packets that came back, until none is due or the end. */
export async function milterTalk(
  port: number,
  bytes: Buffer,
  until: (letters: string) => boolean,
  waitMs = 3_000,
): Promise<{ readonly letters: string; readonly closed: boolean }> {
  const socket = connect(port, '127.0.0.1');
  let received = Buffer.alloc(0);
  let letters = '';
  let closed = false;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, waitMs);
    const done = (): void => {
      clearTimeout(timer);
      resolve();
    };
    socket.on('error', () => {});
    socket.on('close', () => {
      closed = true;
      done();
    });
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      while (received.length >= 5 && received.length >= 4 + received.readUInt32BE(0)) {
        letters += String.fromCharCode(received[4] ?? 0);
        received = received.subarray(4 + received.readUInt32BE(0));
      }
      if (until(letters)) done();
    });
    socket.write(bytes);
  });
  socket.destroy();
  return { letters, closed };
}

export interface MilterDoor extends Door {
  readonly port: number;
}

const FINAL = /[arytdq4]/;

export async function openMilterDoor(road: Road, identity: Identity = SENDER): Promise<MilterDoor> {
  const gate = await startMilter({
    listen: { host: '127.0.0.1', port: 0 },
    road,
    identityFor: () => identity,
    handOver: false,
    log: { warn: () => {} },
    limits: { closeMs: 300, packetMs: 2_000, sizeBytesMax: 8 * 1024 * 1024 },
  });
  closeAfter(() => gate.close());
  const port = Number(/^inet:(\d+)@/.exec(gate.address)?.[1] ?? 0);
  let accepted = 0;
  return {
    name: 'milter',
    port,
    passed: () => accepted,
    async send(message) {
      const bytes = Buffer.concat([milterNegotiation(), milterMessage(message)]);
      const { letters } = await milterTalk(port, bytes, (all) => FINAL.test(all));
      const answer = letters.replaceAll(/[Ocphm]/g, '');
      if (answer === 'a') accepted++;
      return answer;
    },
  };
}

export interface ProviderDoor extends Door {
  readonly name: ProviderName;
  readonly port: number;
  readonly path: string;
  readonly adapter: ProviderAdapter;
  /** Bodies that reached the provider. */
  readonly bodies: readonly Buffer[];
  /** What the gate has said of faults and verdicts. */
  readonly events: readonly string[];
  /** The header fields of a call with this body: our key, or a signature over it. */
  headersFor(body: Buffer, contentType: string, path?: string): Record<string, string>;
  /** A message as this provider's call. */
  callOf(message: PlainMessage): { readonly contentType: string; readonly body: Buffer };
  /** Hands in any body; the status of the answer and its text. */
  post(
    body: Buffer,
    contentType?: string,
    path?: string,
  ): Promise<{ readonly status: number; readonly text: string }>;
}

const KEY = 'key-issued-by-the-guard';
const PATHS: Readonly<Record<ProviderName, string>> = {
  sendgrid: '/v3/mail/send',
  ses: '/v2/email/outbound-emails',
  mailgun: '/v3/company.example/messages',
  postmark: '/email',
};
const UPSTREAM_SES_KEY = 'AKIDUPSTREAMEXAMPLE1:secret';
const signers = sigv4Keys(createSecretKey(Buffer.alloc(32, 7)));
const sesKey = signers.issue('shop');

function adapterOf(name: ProviderName, approvedTemplates: readonly string[]): ProviderAdapter {
  const settings = { approvedTemplates };
  if (name === 'sendgrid') return createSendgridAdapter(settings);
  if (name === 'ses') return createSesAdapter({ ...settings, keys: signers });
  return name === 'mailgun' ? createMailgunAdapter(settings) : createPostmarkAdapter(settings);
}

const OK: Readonly<Record<ProviderName, readonly [number, string]>> = {
  sendgrid: [202, ''],
  ses: [200, '{"MessageId":"m1"}'],
  mailgun: [200, '{"id":"<m1>","message":"Queued. Thank you."}'],
  postmark: [200, '{"To":"","SubmittedAt":"","MessageID":"m1","ErrorCode":0,"Message":"OK"}'],
};

export async function openProviderDoor(
  name: ProviderName,
  road: Road,
  options: {
    readonly identity?: Identity;
    readonly limits?: Partial<ProviderApiLimits>;
    readonly approvedTemplates?: readonly string[];
  } = {},
): Promise<ProviderDoor> {
  const { identity = SENDER, limits = {}, approvedTemplates = [] } = options;
  const bodies: Buffer[] = [];
  const events: string[] = [];
  const provider = http.createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    bodies.push(Buffer.concat(chunks));
    const [status, body] = OK[name];
    response.writeHead(status, { 'content-type': 'application/json' }).end(body);
  });
  await new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve));
  closeAfter(() => {
    provider.closeAllConnections();
    provider.close();
  });
  const adapter = adapterOf(name, approvedTemplates);
  const note = (event: string, fields: object): void =>
    void events.push(`${event} ${JSON.stringify(fields)}`);
  const gate: Gate = await startProviderApi({
    listen: { host: '127.0.0.1', port: 0 },
    callers: (key) => (key === KEY || key === sesKey.secret ? identity : null),
    road,
    adapter,
    upstream: {
      baseUrl: `http://127.0.0.1:${(provider.address() as AddressInfo).port}`,
      credential: name === 'ses' ? UPSTREAM_SES_KEY : 'key-of-the-provider',
    },
    log: { info: note, warn: note },
    limits: { closeTimeoutMs: 500, ...limits },
  });
  closeAfter(() => gate.close());
  const url = new URL(PATHS[name], gate.address);
  const door: ProviderDoor = {
    name,
    port: Number(url.port),
    path: PATHS[name],
    adapter,
    bodies,
    events,
    passed: () => bodies.length,
    headersFor: (body, contentType, path = PATHS[name]) =>
      headersFor(name, new URL(path, gate.address), body, contentType),
    callOf: (message) => providerCall(name, message),
    async post(body, contentType = 'application/json', path = PATHS[name]) {
      const headers = { ...door.headersFor(body, contentType, path), 'content-type': contentType };
      const target = new URL(path, gate.address);
      const response = await fetch(target, { method: 'POST', headers, body: new Uint8Array(body) });
      return { status: response.status, text: await response.text() };
    },
    async send(message) {
      const { contentType, body } = providerCall(name, message);
      return String((await door.post(body, contentType)).status);
    },
  };
  return door;
}

function headersFor(
  name: ProviderName,
  url: URL,
  body: Buffer,
  contentType: string,
): Record<string, string> {
  if (name === 'sendgrid') return { authorization: `Bearer ${KEY}` };
  if (name === 'postmark') return { 'x-postmark-server-token': KEY };
  if (name === 'mailgun')
    return { authorization: `Basic ${Buffer.from(`api:${KEY}`).toString('base64')}` };
  const request = { method: 'POST', url, headers: { 'content-type': contentType }, body };
  return {
    ...signSigV4(request, sesKey, { service: 'ses', region: 'eu-west-1', now: new Date() }),
  };
}

/** The plain call of each API, everybody in one To as a careless program writes it. */
export function documentOf(
  name: Exclude<ProviderName, 'mailgun'>,
  { from, to, subject, text }: PlainMessage,
): Record<string, unknown> {
  if (name === 'postmark')
    return { From: from, To: to.join(', '), Subject: subject, TextBody: text };
  if (name === 'ses')
    return {
      FromEmailAddress: from,
      Destination: { ToAddresses: to },
      Content: { Simple: { Subject: { Data: subject }, Body: { Text: { Data: text } } } },
    };
  return {
    from: { email: from },
    personalizations: [{ to: to.map((email) => ({ email })) }],
    subject,
    content: [{ type: 'text/plain', value: text }],
  };
}

function providerCall(
  name: ProviderName,
  message: PlainMessage,
): { readonly contentType: string; readonly body: Buffer } {
  if (name !== 'mailgun')
    return {
      contentType: 'application/json',
      body: Buffer.from(JSON.stringify(documentOf(name, message))),
    };
  const { from, to, subject, text } = message;
  const form = new URLSearchParams({ from, subject, text });
  for (const address of to) form.append('to', address);
  return {
    contentType: 'application/x-www-form-urlencoded',
    body: Buffer.from(form.toString()),
  };
}

/** All six, on one road. */
export async function openDoors(road: Road, identity: Identity = SENDER): Promise<readonly Door[]> {
  return [
    await openRelayDoor(road, identity),
    await openMilterDoor(road, identity),
    ...(await Promise.all(PROVIDERS.map((name) => openProviderDoor(name, road, { identity })))),
  ];
}
