/**
 * One call to the provider, with the outcome that a caller may act on.
 *
 * Invariant: `unreachable` means that no byte of the call was written; whatever happens after the
 * first one without an answer is `uncertain`, and nothing here is tried twice.
 */

import http from 'node:http';
import https from 'node:https';
import { Fault } from '../../base/errors.ts';
import type { DeliveryResult } from '../../guard/carrier.ts';
import type { UpstreamAnswer } from './adapter.ts';

export interface UpstreamRequest {
  readonly url: URL;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  readonly timeoutMs: number;
}

export type UpstreamOutcome =
  | ({
      readonly kind: 'answered';
    } & UpstreamAnswer)
  | { readonly kind: 'unreachable' | 'uncertain'; readonly code: string };

/** Connections to the provider, kept open between calls. */
export interface UpstreamAgents {
  readonly http: http.Agent;
  readonly https: https.Agent;
}

/** RFC 9110 section 7.6.1, with those that no longer fit a body which was read as a whole. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
const ANSWER_BYTES_MAX = 1024 * 1024;

/**
 * Idle connections are closed after a second: a provider that closes one just as it is used again
 * would make that call's outcome uncertain.
 */
export function openAgents(): UpstreamAgents {
  const options = { keepAlive: true, maxFreeSockets: 16, timeout: 1000 };
  return { http: new http.Agent(options), https: new https.Agent(options) };
}

/**
 * The base URL of a provider.
 * @throws Fault `provider-api.upstream` where it is not HTTP
 */
export function readBaseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new Fault('provider-api.upstream', 'the base URL of the provider is not an HTTP URL', {
      where: 'upstream.baseUrl',
      remedy: 'write it as https://api.sendgrid.com',
    });
  }
  return url;
}

/** Where a path of the provider's API is: after the path of the base URL. */
export function urlOf(baseUrl: URL, path: string): URL {
  return new URL(`${baseUrl.origin}${baseUrl.pathname.replace(/\/+$/, '')}${path}`);
}

/**
 * What a status means for a delivery, where a provider gives its own no other meaning. A key that
 * is not taken (401), too many calls (429) and a provider that is away (503) pass; after any other
 * 5xx nobody knows whether the call was carried out.
 */
export function resultOfStatus(answer: UpstreamAnswer, upstreamId: string | null): DeliveryResult {
  const { status } = answer;
  const text = `HTTP ${status}`;
  if (status < 300) return { kind: 'accepted', upstreamId, answer: text };
  if ([401, 408, 429, 503].includes(status)) return { kind: 'deferred', answer: text };
  return { kind: status >= 500 ? 'uncertain' : 'refused', answer: text };
}

/** Makes the call once and waits for the whole answer. Redirects are not followed. Never rejects. */
export function callUpstream(
  call: UpstreamRequest,
  agents: UpstreamAgents,
): Promise<UpstreamOutcome> {
  const { url, method, body } = call;
  const secure = url.protocol === 'https:';
  return new Promise((resolve) => {
    let written = false;
    const fail = (error: unknown): void => {
      resolve({ kind: written ? 'uncertain' : 'unreachable', code: codeOf(error) });
    };
    const request = (secure ? https : http).request(url, {
      method,
      headers: { ...call.headers, 'content-length': String(body.length) },
      agent: secure ? agents.https : agents.http,
    });
    const timer = setTimeout(() => request.destroy(new Error('timeout')), call.timeoutMs);
    request.on('close', () => clearTimeout(timer));
    request.on('error', fail);
    request.on('socket', (socket) => {
      // The body is given only to a connection that stands, so that it is known whether it left.
      const write = (): void => {
        written = true;
        request.end(body);
      };
      if (request.reusedSocket) write();
      else socket.once(secure ? 'secureConnect' : 'connect', write);
    });
    request.on('response', (response) => {
      readAnswer(response).then(resolve, fail);
    });
  });
}

async function readAnswer(response: http.IncomingMessage): Promise<UpstreamOutcome> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response) {
    size += chunk.length;
    if (size > ANSWER_BYTES_MAX) throw new Error('answer too large');
    chunks.push(chunk);
  }
  const status = response.statusCode ?? 0;
  // A redirect would lead the caller's package past the guard, with the message in its hands.
  if (status < 200 || (status >= 300 && status < 400)) {
    return { kind: 'unreachable', code: `status ${status}` };
  }
  const named = String(response.headers.connection ?? '')
    .toLowerCase()
    .split(',')
    .map((name) => name.trim());
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(response.headers)) {
    if (value !== undefined && !HOP_BY_HOP.has(name) && !named.includes(name)) {
      headers[name] = value;
    }
  }
  return { kind: 'answered', status, headers, body: Buffer.concat(chunks) };
}

/** A word for the log: a system error's code, never its text, which can name hosts. */
function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : 'no answer';
}
