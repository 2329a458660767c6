/**
 * The gate for programs that call a mail provider's HTTP API: they are given our address and a key
 * of ours, and the gate alone holds the provider's key.
 *
 * Invariant: a call goes on only after the verdict `pass`, byte for byte as it came; every other
 * verdict, every fault and everything unknown is answered here and the provider gets nothing.
 */

import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { Fault } from '../base/errors.ts';
import type { CheckCopies, Identity } from '../guard/check.ts';
import type { Gate } from './gate.ts';
import type { GateProblem, ProviderAdapter, ProviderAnswer } from './provider-api/adapter.ts';
import { createSendgridAdapter } from './provider-api/sendgrid.ts';
import { callUpstream, openAgents, type UpstreamAgents } from './provider-api/upstream.ts';

/** Where events go; fields never hold addresses, bodies or keys. */
export interface ProviderApiLog {
  info(event: string, fields: Readonly<Record<string, string | number>>): void;
  warn(event: string, fields: Readonly<Record<string, string | number>>): void;
}

export interface ProviderApiOptions {
  readonly listen: {
    readonly host: string;
    /** 0 takes a free one. */
    readonly port: number;
    /** PEM; without it the gate speaks plain HTTP. */
    readonly tls?: { readonly key: string | Buffer; readonly cert: string | Buffer };
  };
  /** Whose key this is; the keys are ours, never the provider's. */
  readonly keys: (bearer: string) => Identity | null | Promise<Identity | null>;
  readonly check: CheckCopies;
  readonly upstream: { readonly baseUrl: string; readonly apiKey: string };
  readonly log: ProviderApiLog;
  /** Which provider; SendGrid with no approved template where it is left out. */
  readonly adapter?: ProviderAdapter;
  /** SendGrid templates whose content has been looked at, by id; none where it is left out. */
  readonly approvedTemplates?: readonly string[] | 'any';
  readonly limits?: Partial<ProviderApiLimits>;
}

export interface ProviderApiLimits {
  /** One body, compressed or not. */
  readonly bodyBytesMax: number;
  /** All bodies in memory together. */
  readonly heldBytesMax: number;
  readonly checkTimeoutMs: number;
  /** From the start of the call upstream to the end of its answer. */
  readonly upstreamTimeoutMs: number;
  /** How long `close` waits for calls under way. */
  readonly closeTimeoutMs: number;
}

const LIMITS: ProviderApiLimits = {
  bodyBytesMax: 30 * 1024 * 1024,
  heldBytesMax: 256 * 1024 * 1024,
  checkTimeoutMs: 30_000,
  upstreamTimeoutMs: 60_000,
  closeTimeoutMs: 10_000,
};

/** Of the caller's headers only these go on: packages copy a mail's own headers into the request. */
const FORWARDED_HEADERS = ['accept', 'content-encoding', 'content-type', 'user-agent'] as const;

interface Context extends ProviderApiOptions {
  readonly adapter: ProviderAdapter;
  readonly upstreamUrl: URL;
  readonly agents: UpstreamAgents;
  readonly limits: ProviderApiLimits;
  heldBytes: number;
  closing: boolean;
}

/**
 * Opens the gate.
 * @throws Fault `provider-api.upstream` for a base URL that is not HTTP, or the system's error
 *   where it cannot listen
 */
export async function startProviderApi(options: ProviderApiOptions): Promise<Gate> {
  const context: Context = {
    ...options,
    adapter:
      options.adapter ??
      createSendgridAdapter({ approvedTemplates: options.approvedTemplates ?? [] }),
    upstreamUrl: readBaseUrl(options.upstream.baseUrl),
    agents: openAgents(),
    limits: { ...LIMITS, ...options.limits },
    heldBytes: 0,
    closing: false,
  };
  const { host, port, tls } = options.listen;
  const listener: http.RequestListener = (request, response) => {
    void serve(context, request, response);
  };
  const server =
    tls === undefined ? http.createServer(listener) : https.createServer(tls, listener);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => resolve());
  });
  const bound = (server.address() as AddressInfo).port;
  return {
    name: `provider-api:${context.adapter.name}`,
    address: `${tls === undefined ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${bound}`,
    close: () => closeServer(server, context),
  };
}

function readBaseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new Fault('provider-api.upstream', 'the base URL of the provider is not an HTTP URL', {
      where: 'upstream.baseUrl',
      remedy: 'write it as https://api.sendgrid.com',
    });
  }
  return url;
}

async function closeServer(server: http.Server | https.Server, context: Context): Promise<void> {
  context.closing = true;
  const timer = setTimeout(() => server.closeAllConnections(), context.limits.closeTimeoutMs);
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeIdleConnections();
  });
  clearTimeout(timer);
  context.agents.http.destroy();
  context.agents.https.destroy();
}

/** Answers one request, whatever happens. */
async function serve(
  context: Context,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): Promise<void> {
  let outcome: ProviderAnswer | Forwarded | null;
  try {
    outcome = await handle(context, request, response);
  } catch (error) {
    report(context, 'provider-api.fault', error);
    outcome = context.adapter.problem('fault');
  }
  if (outcome === null || response.destroyed) return;
  // Unread bytes of a request that was answered early would be taken for the next request.
  const last = context.closing || !request.complete;
  response.writeHead(outcome.status, {
    ...outcome.headers,
    'content-length': Buffer.byteLength(outcome.body),
    ...(last ? { connection: 'close' } : {}),
  });
  response.end(outcome.body);
}

/** The provider's own answer. */
interface Forwarded {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly body: Buffer;
}

/** From the request line to the answer; null where the caller has gone before anything was sent. */
async function handle(
  context: Context,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): Promise<ProviderAnswer | Forwarded | null> {
  const { adapter } = context;
  const routeProblem = findRouteProblem(adapter, request);
  if (routeProblem !== null) return adapter.problem(routeProblem);
  const key = adapter.bearer(request.headers);
  const identity = key === null ? null : await context.keys(key);
  if (identity === null) return adapter.problem('unauthorised');
  const headerProblem = findHeaderProblem(context, request);
  if (headerProblem !== null) return adapter.problem(headerProblem);

  const held = await readBody(context, request);
  if (held.kind === 'gone') return null;
  if (held.kind === 'problem') return adapter.problem(held.problem);
  try {
    return await decideAndForward(context, { request, response, identity, body: held.body });
  } finally {
    context.heldBytes -= held.body.length;
  }
}

function findRouteProblem(
  adapter: ProviderAdapter,
  { method, url }: http.IncomingMessage,
): GateProblem | null {
  const routes = adapter.routes.filter(({ path }) => path === url);
  if (routes.length === 0) return 'not-found';
  return routes.some((route) => route.method === method) ? null : 'method-not-allowed';
}

function findHeaderProblem(
  { limits }: Context,
  { headers }: http.IncomingMessage,
): GateProblem | null {
  if (headers['on-behalf-of'] !== undefined) return 'subuser';
  const type = headers['content-type'] ?? '';
  if (!/^application\/json *(?:; *charset=(?:utf-8|"utf-8") *)?$/i.test(type)) {
    return 'unsupported-body';
  }
  if (!/^(?:identity|gzip)?$/i.test(headers['content-encoding'] ?? '')) return 'unsupported-body';
  return Number(headers['content-length'] ?? 0) > limits.bodyBytesMax ? 'too-large' : null;
}

type BodyReading =
  | { readonly kind: 'body'; readonly body: Buffer }
  | { readonly kind: 'problem'; readonly problem: GateProblem }
  | { readonly kind: 'gone' };

/** The body as it came. Its bytes count as held until the caller of this gives them back. */
async function readBody(context: Context, request: http.IncomingMessage): Promise<BodyReading> {
  const { bodyBytesMax, heldBytesMax } = context.limits;
  const chunks: Buffer[] = [];
  let size = 0;
  let kept = false;
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      size += chunk.length;
      context.heldBytes += chunk.length;
      if (size > bodyBytesMax) return { kind: 'problem', problem: 'too-large' };
      if (context.heldBytes > heldBytesMax) return { kind: 'problem', problem: 'busy' };
      chunks.push(chunk);
    }
    kept = true;
    return { kind: 'body', body: Buffer.concat(chunks) };
  } catch {
    return { kind: 'gone' };
  } finally {
    if (!kept) context.heldBytes -= size;
  }
}

interface Call {
  readonly request: http.IncomingMessage;
  readonly response: http.ServerResponse;
  readonly identity: Identity;
  readonly body: Buffer;
}

async function decideAndForward(
  context: Context,
  call: Call,
): Promise<ProviderAnswer | Forwarded | null> {
  const { adapter, limits } = context;
  const plain = await decompress(call, limits.bodyBytesMax);
  if (plain === null) return adapter.problem('unsupported-body');
  const reading = adapter.read(plain);
  if (reading.kind === 'invalid') {
    context.log.info('provider-api.invalid', {
      identity: call.identity.name,
      errors: reading.errors.length,
    });
    return adapter.invalid(reading.errors);
  }
  const decision = await inTime(
    context.check(reading.copies, call.identity),
    limits.checkTimeoutMs,
  );
  context.log.info('provider-api.verdict', {
    identity: call.identity.name,
    verdict: decision.verdict.kind,
    entry: decision.entry,
    copies: reading.copies.length,
    disclosures: decision.disclosures,
  });
  if (decision.verdict.kind !== 'pass') return adapter.refusal(decision, reading.copies);
  // A caller that has gone will send again: nothing may have been sent then.
  if (call.response.destroyed) return null;
  return await forward(context, call);
}

/** The body as the provider will read it; null where it is no gzip or grows too large. */
async function decompress({ request, body }: Call, bytesMax: number): Promise<Buffer | null> {
  if (!/^gzip$/i.test(request.headers['content-encoding'] ?? '')) return body;
  try {
    return await promisify(gunzip)(body, { maxOutputLength: bytesMax });
  } catch {
    return null;
  }
}

async function forward(context: Context, call: Call): Promise<ProviderAnswer | Forwarded> {
  const { adapter, upstreamUrl, upstream } = context;
  const url = new URL(upstreamUrl);
  url.pathname = url.pathname.replace(/\/+$/, '') + (call.request.url ?? '');
  const headers: Record<string, string> = {};
  for (const name of FORWARDED_HEADERS) {
    const value = call.request.headers[name];
    if (value !== undefined) headers[name] = value;
  }
  const result = await callUpstream(
    {
      url,
      method: call.request.method ?? 'POST',
      headers: { ...headers, ...adapter.authorisation(upstream.apiKey) },
      body: call.body,
      timeoutMs: context.limits.upstreamTimeoutMs,
    },
    context.agents,
  );
  if (result.kind === 'answered') return result;
  context.log.warn('provider-api.upstream', { outcome: result.kind, code: result.code });
  return adapter.problem(
    result.kind === 'unreachable' ? 'upstream-unreachable' : 'upstream-uncertain',
  );
}

async function inTime<T>(promise: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Fault('provider-api.check-timeout', 'the check took too long')),
      timeoutMs,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A fault's code and sentence; of other errors only the class, since their text may quote data. */
function report({ log }: Context, event: string, error: unknown): void {
  if (error instanceof Fault) log.warn(event, { code: error.code, message: error.message });
  else log.warn(event, { code: 'fault', message: error instanceof Error ? error.name : 'unknown' });
}
