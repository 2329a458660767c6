/**
 * The operators' page: a listener of its own beside the API, for browsers.
 *
 * Invariant: every answer carries the security headers; a GET changes nothing; a POST is done only with a session (or a sign-in
 * link), from a page of ours, with that session's token.
 */

import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { App } from '../app.ts';
import { Fault } from '../base/errors.ts';
import { isLoopback } from '../base/loopback.ts';
import { readCertificate, watchCertificate } from '../gates/certificate-files.ts';
import {
  allowedOrigins,
  checkHost,
  checkOrigin,
  SECURITY_HEADERS,
  WrongTokens,
} from './console/access.ts';
import {
  answerFault,
  type ConsoleParts,
  type Fields,
  framed,
  haltingSession,
  send,
  sessionOf,
} from './console/answers.ts';
import { readAssets } from './console/assets.ts';
import { DEEDS, type Deed, HALT_PATH } from './console/deeds.ts';
import { createFacts } from './console/facts.ts';
import { LiveStreams } from './console/live.ts';
import { pageRoutes } from './console/page-routes.ts';
import { Sessions, sameSecret } from './console/session.ts';
import { signInRoutes } from './console/sign-in-routes.ts';

export interface Console {
  /** Where it listens: 'http://127.0.0.1:8443'. */
  readonly address: string;
  /** What a link to it begins with: `console.origin`, else where it listens. */
  readonly origin: string;
  close(): Promise<void>;
}

const BODY_BYTES_MAX = 64 << 10;
const CERTIFICATE_MS = 10_000;

async function doDeed(
  parts: ConsoleParts,
  path: string,
  deed: Deed,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const halting = path === HALT_PATH;
  const session = await (halting ? haltingSession : sessionOf)(parts, request);
  const fields = (request.body ?? {}) as Fields;
  if (!sameSecret(fields.csrf ?? '', session.csrf))
    throw new Fault('console.foreign', 'this does not come from a page of this session', {
      remedy: 'open the page again and do it there',
    });
  const params = request.params as Fields;
  const answer = await deed(parts.desk, { operator: session.operator, params, fields });
  parts.desk.facts.forget();
  if (answer.kind === 'go') return reply.redirect(answer.to, 303);
  const { title, body } = answer;
  if (request.headers['hx-request'] === 'true') return send(reply, 200, body);
  return send(reply, 200, await framed(parts, session, { tab: null, title }, body));
}

function assetRoutes(server: FastifyInstance, { assets }: ConsoleParts): void {
  server.get('/assets/:file', async (request, reply) => {
    const { file } = request.params as { file: string };
    const asset = assets.find(file);
    if (asset === null) throw new Fault('console.unknown', 'there is no such page');
    reply
      .header('cache-control', 'public, max-age=31536000, immutable')
      .header('etag', asset.etag)
      .header('vary', 'accept-encoding');
    if (request.headers['if-none-match'] === asset.etag) return reply.status(304).send();
    const gzip = /\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''));
    if (gzip) reply.header('content-encoding', 'gzip');
    return reply.type(asset.type).send(gzip ? await asset.gzipped() : asset.bytes);
  });
}

function addHooks(server: FastifyInstance, parts: ConsoleParts): void {
  server.removeAllContentTypeParsers();
  server.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string', bodyLimit: BODY_BYTES_MAX },
    (_request, body, done) => done(null, Object.fromEntries(new URLSearchParams(String(body)))),
  );
  server.addHook('onRequest', async (request, reply) => {
    for (const [name, value] of Object.entries(SECURITY_HEADERS)) reply.header(name, value);
    checkHost(request.headers.host, parts.origins);
    if (request.method !== 'GET' && request.method !== 'HEAD')
      checkOrigin(request.headers, parts.origins);
  });
  server.setErrorHandler((error, request, reply) => answerFault(parts, request, reply, error));
  server.setNotFoundHandler((request, reply) =>
    answerFault(parts, request, reply, new Fault('console.unknown', 'there is no such page')),
  );
}

/**
 * Starts the page.
 * @throws Fault `console.listen-failed`, `gate.certificate-unreadable`, `gate.bad-certificate`.
 */
export async function startConsole(
  app: App,
  setting: NonNullable<App['config']['console']>,
): Promise<Console> {
  const { listen, origin: configured } = setting;
  const tls = listen.tls === null ? null : await readCertificate(listen.tls);
  const common = {
    logger: false,
    forceCloseConnections: true,
    exposeHeadRoutes: false,
    bodyLimit: BODY_BYTES_MAX,
    // What is no URL at all never comes to a hook.
    frameworkErrors: (_error: unknown, _request: unknown, reply: unknown) => {
      const answer = reply as FastifyReply;
      answer.headers(SECURITY_HEADERS).header('cache-control', 'no-store').status(404).send('');
    },
  } as const;
  const server: FastifyInstance =
    tls === null
      ? fastify(common)
      : (fastify({ ...common, https: tls }) as unknown as FastifyInstance);
  const parts: ConsoleParts = {
    desk: { app, facts: createFacts(app) },
    sessions: new Sessions(app.db),
    assets: await readAssets(),
    streams: new LiveStreams(),
    wrong: new WrongTokens(),
    secure: tls !== null || (configured?.startsWith('https:') ?? false),
    origins: new Set(),
  };
  addHooks(server, parts);
  assetRoutes(server, parts);
  signInRoutes(server, parts);
  pageRoutes(server, parts);
  for (const [path, deed] of Object.entries(DEEDS))
    server.post(path, (request, reply) => doDeed(parts, path, deed, request, reply));
  const address = await server
    .listen({ host: listen.host, port: listen.port })
    .catch((cause: unknown) => {
      const { code } = cause as { code?: string };
      throw new Fault('console.listen-failed', `the page cannot listen here (${code})`, {
        where: `${listen.host}:${listen.port}`,
        remedy: 'choose another address with console.listen, or "console": false',
        cause,
      });
    });
  for (const origin of allowedOrigins(address, isLoopback(listen.host), configured))
    parts.origins.add(origin);
  const unwatch =
    listen.tls === null || tls === null
      ? () => {}
      : watchCertificate(listen.tls, {
          inUse: tls,
          everyMs: CERTIFICATE_MS,
          onChange: (pem) =>
            (server.server as unknown as { setSecureContext(pem: object): void }).setSecureContext(
              pem,
            ),
          onFault: () => {},
        });
  return {
    address,
    origin: configured ?? address,
    close: async () => {
      unwatch();
      parts.streams.close();
      await server.close();
    },
  };
}
