/**
 * The far side of the SES flow tests: a server that checks the signature (SigV4) and the body as the
 * published model has them, written without anything of `src/`, and keeps the messages it would send.
 */

import { createHash, createHmac } from 'node:crypto';
import http from 'node:http';
import type { AddressInfo } from 'node:net';

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
  readonly requests: readonly { readonly path: string; readonly authorization: string }[];
  readonly rejected: readonly string[];
  /** What the next request is answered with, in place of success. */
  failNext(status: number, type: string): void;
  close(): Promise<void>;
}

export const SES_KEY = { id: 'AKIDUPSTREAMEXAMPLE1', secret: 'upstream/secret+key' } as const;

export async function startSesUpstream(): Promise<SesUpstream> {
  const messages: SentMessage[] = [];
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
    const ids = sent.map((_, i) => `upstream-${messages.length - sent.length + i + 1}`);
    response.writeHead(200, { 'content-type': 'application/json' });
    const results = ids.map((MessageId) => ({ Status: 'SUCCESS', MessageId }));
    response.end(JSON.stringify(bulk ? { BulkEmailEntryResults: results } : { MessageId: ids[0] }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    messages,
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

const MEMBERS = {
  both: 'FromEmailAddress FromEmailAddressIdentityArn ReplyToAddresses FeedbackForwardingEmailAddress FeedbackForwardingEmailAddressIdentityArn ConfigurationSetName EndpointId TenantName ConfigurationOverrides',
  email: 'Destination Content EmailTags ListManagementOptions',
  bulk: 'DefaultEmailTags DefaultContent BulkEmailEntries',
  entry: 'Destination ReplacementTags ReplacementEmailContent ReplacementHeaders',
  destination: 'ToAddresses CcAddresses BccAddresses',
  content: 'Simple Raw Template',
} as const;

function modelProblem(call: Json, bulk: boolean): string | null {
  const names = `${MEMBERS.both} ${bulk ? MEMBERS.bulk : MEMBERS.email}`;
  if (!hasOnly(call, names)) return 'a member is not in the model';
  const entries = bulk ? entriesOf(call) : [call];
  if (entries.length < 1 || entries.length > 50) return 'entries';
  if (bulk && !entries.every((entry) => hasOnly(entry, MEMBERS.entry))) return 'an entry';
  const content = (bulk ? call.DefaultContent : call.Content) as Json | undefined;
  if (content === undefined || !hasOnly(content, MEMBERS.content)) return 'content';
  if (Object.keys(content).length !== 1) return 'one content';
  for (const { Destination } of entries) {
    if (Destination === undefined) continue;
    if (!hasOnly(Destination as Json, MEMBERS.destination)) return 'destination';
    const people = peopleOf(Destination as Json);
    if (people.length > 50) return 'Recipient count exceeds 50.';
    if (!people.every((text) => /^[\x20-\x7e]*@[\x21-\x7e]+$/.test(text))) return 'address';
  }
  return null;
}

function hasOnly(value: Json, names: string): boolean {
  return Object.keys(value).every((name) => names.split(' ').includes(name));
}

function entriesOf(call: Json): readonly Json[] {
  return (call.BulkEmailEntries ?? []) as readonly Json[];
}

function peopleOf(destination: Json): readonly string[] {
  return Object.values(destination).flat() as string[];
}

function messageOf(item: Json): SentMessage {
  const destination = (item.Destination ?? {}) as Json;
  const data = ((item.Content as Json | undefined)?.Raw as Json | undefined)?.Data;
  const raw = typeof data === 'string' ? Buffer.from(data, 'base64') : null;
  const header = raw?.toString('latin1').split(/\r?\n\r?\n/)[0];
  const fields = [destination.ToAddresses ?? [], destination.CcAddresses ?? []].flat().join(', ');
  return { recipients: peopleOf(destination), shown: header ?? fields, raw, body: item };
}
