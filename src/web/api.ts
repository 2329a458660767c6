/** The API on the Unix socket: every deed of the command line, with the operator's own signature. */

import { createHash } from 'node:crypto';
import { chmod, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { App } from '../app.ts';
import { Fault } from '../base/errors.ts';
import { authenticate, bodyDigest } from '../operators/signed-request.ts';
import { audienceRoutes } from './api/audiences.ts';
import { broadcastRoutes } from './api/broadcasts.ts';
import { consoleRoutes } from './api/console.ts';
import { customerRoutes } from './api/customers.ts';
import { freezeRoutes } from './api/freeze.ts';
import { guardRoutes } from './api/guard.ts';
import { keyRoutes } from './api/keys.ts';
import { operatorRoutes } from './api/operators.ts';
import { returnedRoutes } from './api/returned.ts';
import { refuseSecondServer } from './claim.ts';
import { faultBody } from './stream.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** The operator who signed the request; '' where none is needed. */
    operator: string;
    /** SHA-256 that the body must have. */
    bodyDigest: string;
  }
  interface FastifyContextConfig {
    /** The route reads a stream, and compares it at its end. */
    takesFile?: boolean;
  }
}

export interface Api {
  close(): Promise<void>;
}

const BODY_BYTES_MAX = 16 << 20;
const NO_BODY = bodyDigest('');

function statusOf(code: string): number {
  if (code === 'operator.not-authenticated') return 401;
  if (code.endsWith('.unknown')) return 404;
  return code === 'internal' ? 500 : 422;
}

/** Routes that anybody who can open the socket may use. */
function isOpen(request: FastifyRequest, app: App): boolean {
  if (request.method === 'GET' && request.url === '/v1/health') return true;
  return request.method === 'POST' && request.url === '/v1/operators' && app.db !== undefined;
}

async function authenticated(app: App, request: FastifyRequest): Promise<void> {
  const { authorization } = request.headers;
  if (isOpen(request, app) && authorization === undefined) return;
  const { operator, bodyDigest } = await authenticate(
    app.db,
    authorization,
    request.method,
    request.url,
    Date.now(),
  );
  request.operator = operator;
  request.bodyDigest = bodyDigest;
}

const otherBody = (): Fault =>
  new Fault('operator.not-authenticated', 'the body is not the one that was signed');

const notJson = (): Fault => new Fault('api.malformed', 'the body is not JSON');

/** JSON bodies are compared with the signed digest before they are parsed; streams compare at their end. */
function addParsers(server: FastifyInstance): void {
  // Fastify's own would hand on a text that nobody has compared.
  server.removeAllContentTypeParsers();
  server.addContentTypeParser(
    'application/json',
    { parseAs: 'buffer', bodyLimit: BODY_BYTES_MAX },
    (request, body, done) => {
      if (request.bodyDigest !== '' && bodyDigest(body) !== request.bodyDigest) {
        done(otherBody());
        return;
      }
      try {
        done(null, JSON.parse(body.toString()));
      } catch {
        done(notJson());
      }
    },
  );
  server.addContentTypeParser('application/octet-stream', (_request, payload, done) => {
    done(null, payload);
  });
  server.addContentTypeParser('*', (_request, _payload, done) => {
    done(notJson());
  });
  server.addHook('preHandler', async (request) => {
    const { body, routeOptions } = request;
    if (body === undefined && ![NO_BODY, ''].includes(request.bodyDigest)) throw otherBody();
    if (body instanceof Readable && routeOptions.config.takesFile !== true) throw notJson();
  });
}

/** A body as it streams in, whose signed digest is checked when it has been read to its end. */
export function signedStream(request: FastifyRequest): {
  readonly bytes: AsyncIterable<Uint8Array>;
  check(): void;
} {
  const hash = createHash('sha256');
  const payload = request.body as Readable;
  async function* bytes(): AsyncGenerator<Uint8Array> {
    // Ending early must not destroy the request: the answer says why and goes by the same socket.
    for await (const chunk of payload.iterator({ destroyOnReturn: false })) {
      hash.update(chunk as Buffer);
      yield chunk as Buffer;
    }
  }
  return {
    bytes: bytes(),
    check: () => {
      if (hash.digest('hex') !== request.bodyDigest)
        throw new Fault('operator.not-authenticated', 'the body is not the one that was signed', {
          remedy: 'the file changed while it was read; run the command again',
        });
    },
  };
}

/** Listens on a socket that only this user may open; a socket file that no process listens on is replaced. */
async function listenOn(server: FastifyInstance, socket: string): Promise<void> {
  await refuseSecondServer(socket);
  try {
    await rm(socket, { force: true });
    await server.listen({ path: socket });
    await chmod(socket, 0o600);
  } catch (cause) {
    const { code } = cause as { code?: string };
    throw new Fault('api.unusable-socket', `the API cannot listen here (${code})`, {
      where: socket,
      remedy: 'name a place in a folder that is there and can be written: UNDISCLOSED_SOCKET',
      cause,
    });
  }
}

/** Starts the API. @param consoleOrigin where the operators' page is; null: there is none. Throws Fault `api.in-use`, `api.unusable-socket`. */
export async function startApi(
  app: App,
  stop: () => void,
  consoleOrigin: string | null = null,
): Promise<Api> {
  const server = fastify({ logger: false, forceCloseConnections: true, bodyLimit: 1 << 30 });
  server.decorateRequest('operator', '');
  server.decorateRequest('bodyDigest', '');
  addParsers(server);
  server.addHook('onRequest', (request) => authenticated(app, request));
  server.setErrorHandler((error, _request, reply: FastifyReply) => {
    const body = faultBody(error);
    return reply.status(statusOf(body.code)).send(body);
  });
  server.setNotFoundHandler((request, reply) =>
    reply.status(404).send(faultBody(new Fault('api.unknown', `there is no ${request.url}`))),
  );
  server.get('/v1/health', () => ({
    status: 'ok',
    gates: app.gates.map(({ name, address }) => ({ name, address })),
  }));
  server.post('/v1/stop', (_request, reply) => {
    setImmediate(stop);
    return reply.send({ stopping: true });
  });
  operatorRoutes(server, app);
  customerRoutes(server, app, signedStream);
  broadcastRoutes(server, app);
  keyRoutes(server, app);
  guardRoutes(server, { ...app.desk, flush: () => app.sequencer.flush() });
  freezeRoutes(server, app);
  audienceRoutes(server, app, signedStream);
  consoleRoutes(server, app, consoleOrigin);
  returnedRoutes(server, app);
  await listenOn(server, app.config.socket);
  return { close: () => server.close() };
}
