/**
 * The gate for programs that call a mail provider's HTTP API: they are given our address and a key
 * of ours, and the gate alone holds the provider's key.
 *
 * Invariant: a call goes on only after the decision `forward`, byte for byte as it came; every other
 * decision, every fault and everything unknown is answered here and the provider gets nothing.
 */

import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { Fault } from '../base/errors.ts';
import { inTime } from '../base/in-time.ts';
import type { Decision, Road } from '../guard/check.ts';
import type { Identity } from '../guard/identity.ts';
import type { Submission } from '../guard/judge.ts';
import type { Gate } from './gate.ts';
import type {
  ApiCall,
  Callers,
  Endpoint,
  ProviderAdapter,
  ProviderAnswer,
  RequestHeaders,
} from './provider-api/adapter.ts';
import { encodeKept } from './provider-api/carrier.ts';
import {
  decompress,
  findBodyProblem,
  type HeldBytes,
  readBody,
} from './provider-api/request-body.ts';
import {
  callUpstream,
  openAgents,
  readBaseUrl,
  type UpstreamAgents,
  urlOf,
} from './provider-api/upstream.ts';

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
  readonly callers: Callers;
  /** The road of the gate that has the adapter's name. */
  readonly road: Road;
  readonly adapter: ProviderAdapter;
  readonly upstream: { readonly baseUrl: string; readonly credential: string };
  readonly log: ProviderApiLog;
  readonly limits?: Partial<ProviderApiLimits>;
}

export interface ProviderApiLimits {
  /** One body, compressed or not; an endpoint's own limit holds where it is lower. */
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
  bodyBytesMax: 64 * 1024 * 1024,
  heldBytesMax: 256 * 1024 * 1024,
  checkTimeoutMs: 30_000,
  upstreamTimeoutMs: 60_000,
  closeTimeoutMs: 10_000,
};

/** Of the caller's headers only these go on: packages copy a mail's own headers into the request. */
const FORWARDED_HEADERS = ['accept', 'content-encoding', 'content-type', 'user-agent'] as const;

interface Context extends ProviderApiOptions {
  readonly upstreamUrl: URL;
  readonly agents: UpstreamAgents;
  readonly limits: ProviderApiLimits;
  readonly held: HeldBytes;
  closing: boolean;
}

/**
 * Opens the gate.
 * @throws Fault `provider-api.upstream` for a base URL that is not HTTP, or the system's error
 *   where it cannot listen
 */
export async function startProviderApi(options: ProviderApiOptions): Promise<Gate> {
  const limits = { ...LIMITS, ...options.limits };
  const context: Context = {
    ...options,
    upstreamUrl: readBaseUrl(options.upstream.baseUrl),
    agents: openAgents(),
    limits,
    held: { count: 0, max: limits.heldBytesMax },
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
  let outcome: Outcome;
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

type Outcome = ProviderAnswer | Forwarded | null;

/** From the request line to the answer; null where the caller has gone before anything was sent. */
async function handle(
  context: Context,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): Promise<Outcome> {
  const { adapter, held } = context;
  const { method = '', url: path = '', headers } = request;
  const endpoint = adapter.match(method, path);
  if (endpoint === null) return adapter.problem('not-found');
  if (endpoint === 'method-not-allowed') return adapter.problem(endpoint);
  const start = { context, request, response, endpoint };
  // Nobody's body is read who could be turned away before.
  const early = adapter.signsBody ? null : await identify(start, NO_BODY);
  if (!adapter.signsBody && early === null) return adapter.problem('unauthorised');
  const bytesMax = bodyBytesMax(context, endpoint);
  const problem = adapter.headerProblem?.(headers) ?? findBodyProblem(headers, endpoint, bytesMax);
  if (problem !== null) return adapter.problem(problem);

  const reading = await readBody(request, bytesMax, held);
  if (reading.kind === 'gone') return null;
  if (reading.kind === 'problem') return adapter.problem(reading.problem);
  const { body } = reading;
  try {
    const identity = early ?? (await identify(start, body));
    if (identity === null) return adapter.problem('unauthorised');
    return await decideAndAct({ ...start, identity, body });
  } finally {
    held.count -= body.length;
  }
}

const NO_BODY: Buffer = Buffer.alloc(0);

interface Start {
  readonly context: Context;
  readonly request: http.IncomingMessage;
  readonly response: http.ServerResponse;
  readonly endpoint: Endpoint;
}

function identify({ context, request }: Start, body: Buffer): Promise<Identity | null> {
  const { method = '', url: path = '', headers } = request;
  return context.adapter.authenticate({ method, path, headers, body }, context.callers);
}

function bodyBytesMax({ limits }: Context, { bodyBytesMax: own }: Endpoint): number {
  return Math.min(limits.bodyBytesMax, own ?? limits.bodyBytesMax);
}

interface Request extends Start {
  readonly identity: Identity;
  readonly body: Buffer;
}

async function decideAndAct(request: Request): Promise<Outcome> {
  const { context, endpoint, identity } = request;
  const { adapter, limits, log } = context;
  const { headers } = request.request;
  const plain = await decompress(headers, request.body, bodyBytesMax(context, endpoint));
  if (plain === null) return adapter.problem('unsupported-body');
  const call = callOf(request, plain);
  const reading = adapter.read(call);
  if (reading.kind === 'invalid') {
    const errors = reading.errors.length;
    log.info('provider-api.invalid', { identity: identity.name, endpoint: endpoint.id, errors });
    // In the other modes a trial must break no program: the verdict on the bytes is recorded.
    if (identity.mode === 'enforce') return adapter.invalid(reading.errors, endpoint);
  }
  const unread = reading.kind === 'invalid';
  const copies = unread ? [{ envelope: NOBODY, bytes: plain }] : reading.copies;
  // A decision that comes later may still keep the call: a retry of the same call gets its id.
  const decision = await inTime(
    context.road.decide({ copies, keep: () => encodeKept(call) }, identity),
    limits.checkTimeoutMs,
    () => new Fault('provider-api.check-timeout', 'the check took too long'),
  );
  log.info('provider-api.verdict', {
    identity: identity.name,
    endpoint: endpoint.id,
    verdict: decision.verdict.kind,
    action: decision.action,
    entry: decision.entry,
    copies: copies.length,
    disclosures: decision.disclosures,
  });
  return act(request, { call, copies, unread, decision });
}

const NOBODY: Submission['envelope'] = { from: '', recipients: [], smtpUtf8: false };

function callOf({ context, request, endpoint }: Request, body: Buffer): ApiCall {
  const { method = '', url: path = '' } = request;
  const { 'content-encoding': _, ...headers } = forwardedHeaders(context, request.headers);
  return { endpoint, method, path, headers, body };
}

function forwardedHeaders({ adapter }: Context, given: RequestHeaders): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name of [...FORWARDED_HEADERS, ...(adapter.forwardedHeaders ?? [])]) {
    const value = given[name];
    if (typeof value === 'string') headers[name] = value;
  }
  return headers;
}

interface Decided {
  readonly call: ApiCall;
  readonly copies: readonly Submission[];
  /** Whether the call could not be read as messages. */
  readonly unread: boolean;
  readonly decision: Decision;
}

async function act(request: Request, decided: Decided): Promise<Outcome> {
  const { call, copies, decision } = decided;
  const { adapter } = request.context;
  switch (decision.action) {
    case 'forward':
      // A caller that has gone will send again: nothing may have been sent then.
      return request.response.destroyed ? null : warned(await forward(request, call), decided);
    case 'keep':
      return decision.kept === null
        ? adapter.problem('fault')
        : adapter.accepted(decision.kept, call);
    case 'refuse':
    case 'defer':
      return adapter.refusal(decision, copies, call.endpoint);
    default:
      return adapter.problem('fault');
  }
}

/** In warn mode the caller is told what enforce would have stopped. */
function warned(
  answer: ProviderAnswer | Forwarded,
  { unread, decision: { mode, verdict } }: Decided,
): ProviderAnswer | Forwarded {
  const reasons = verdict.kind === 'pass' ? [] : verdict.reasons;
  const said = new Set(unread ? ['unreadable', ...reasons] : reasons);
  if (mode !== 'warn' || said.size === 0) return answer;
  return {
    ...answer,
    headers: { ...answer.headers, 'x-undisclosed-warning': [...said].join(',') },
  };
}

async function forward(request: Request, call: ApiCall): Promise<ProviderAnswer | Forwarded> {
  const { context, body } = request;
  const { adapter, upstreamUrl, upstream, limits } = context;
  const { method, path } = call;
  const url = urlOf(upstreamUrl, path);
  const headers = forwardedHeaders(context, request.request.headers);
  const target = { url, credential: upstream.credential, now: new Date() };
  const signature = adapter.sign({ method, path, headers, body, readers: 0 }, target);
  const result = await callUpstream(
    {
      url,
      method,
      headers: { ...headers, ...signature },
      body,
      timeoutMs: limits.upstreamTimeoutMs,
    },
    context.agents,
  );
  if (result.kind === 'answered') return result;
  context.log.warn('provider-api.upstream', { outcome: result.kind, code: result.code });
  return adapter.problem(
    result.kind === 'unreachable' ? 'upstream-unreachable' : 'upstream-uncertain',
  );
}

/** A fault's code and sentence; of other errors only the class, since their text may quote data. */
function report({ log }: Context, event: string, error: unknown): void {
  if (error instanceof Fault) log.warn(event, { code: error.code, message: error.message });
  else log.warn(event, { code: 'fault', message: error instanceof Error ? error.name : 'unknown' });
}
