/** An SMTP server: listens, limits, hands whole messages to its owner. It knows no product. */

import { createServer, type Server, type Socket } from 'node:net';
import {
  createSecureContext,
  createServer as createTlsServer,
  type SecureContext,
  Server as TlsServer,
} from 'node:tls';
import { Fault } from '../base/errors.ts';
import { makeReply, type Reply, replyBytes } from './reply.ts';
import { type ConnectionSettings, ServerConnection } from './server-connection.ts';
import type { SmtpSubmission, SubmissionOutcome } from './submission.ts';

export interface SmtpServerOptions<Identity> {
  readonly listen: {
    readonly host: string;
    /** 0: any free port. */
    readonly port: number;
  };
  /** The server's own name, in greeting and EHLO. */
  readonly name: string;
  /** PEM. `implicit`: TLS from the first byte (RFC 8314); otherwise STARTTLS is offered. */
  readonly tls?: { readonly key: string; readonly cert: string; readonly implicit?: boolean };
  /** Null: AUTH is not offered. A fault is answered 454. */
  readonly authenticate:
    | ((user: string, password: string) => Identity | null | Promise<Identity | null>)
    | null;
  /** Whether MAIL needs AUTH. Default: where `authenticate` is given. */
  readonly authRequired?: boolean;
  /** AUTH without TLS, for loopback. Default false. */
  readonly authInClear?: boolean;
  readonly recipientReply?: (address: string, from: string) => Reply | null;
  readonly onMessage: (submission: SmtpSubmission<Identity>) => Promise<SubmissionOutcome>;
  /** Faults of the owner's functions. Their messages hold no address. */
  readonly onFault: (error: unknown) => void;
  readonly limits?: Partial<ServerLimits>;
}

export interface ServerLimits {
  /** Default 26,214,400 (25 MiB). */
  readonly sizeBytesMax: number;
  /** Default 10,000. */
  readonly recipientsMax: number;
  /** Replies of 4xx and 5xx per connection; default 100. */
  readonly errorsMax: number;
  /** Default 500. */
  readonly connectionsMax: number;
  /** RFC 5321 section 4.5.3.2.7; default 5 min. */
  readonly idleMs: number;
  /** Default 15 min. */
  readonly contentMs: number;
  /** Default 1 s. */
  readonly authFailureDelayMs: number;
  /** How long `close` lets messages being handled come to their end; default 10 s. */
  readonly closeMs: number;
}

const LIMITS: ServerLimits = {
  sizeBytesMax: 26_214_400,
  recipientsMax: 10_000,
  errorsMax: 100,
  connectionsMax: 500,
  idleMs: 300_000,
  contentMs: 900_000,
  authFailureDelayMs: 1000,
  closeMs: 10_000,
};

const TOO_MANY: Buffer = replyBytes(
  makeReply(421, '4.3.2', 'Too many connections, try again later.'),
);

/** What the next handshake uses; null where there is no TLS. */
interface Certificate {
  context: SecureContext | null;
}

export class SmtpServer {
  readonly host: string;
  readonly port: number;
  readonly #server: Server;
  readonly #connections: Map<Socket, { close(): void; destroy(): void }>;
  /** Every socket, those still in their TLS handshake too. */
  readonly #sockets: ReadonlySet<Socket>;
  readonly #closeMs: number;
  readonly #certificate: Certificate;

  constructor(
    server: Server,
    connections: Map<Socket, { close(): void; destroy(): void }>,
    sockets: ReadonlySet<Socket>,
    closeMs: number,
    certificate: Certificate,
  ) {
    const address = server.address();
    if (address === null || typeof address === 'string')
      throw new Fault('smtp.not-listening', 'the SMTP server has no TCP address');
    this.host = address.address;
    this.port = address.port;
    this.#server = server;
    this.#connections = connections;
    this.#sockets = sockets;
    this.#closeMs = closeMs;
    this.#certificate = certificate;
  }

  /**
   * From now on new handshakes get this certificate; connections that are open keep theirs.
   * @throws Fault `smtp.bad-certificate`; nothing has changed then. A server that began without TLS goes on without.
   */
  useCertificate(pem: { readonly key: string; readonly cert: string }): void {
    if (this.#certificate.context === null) return;
    this.#certificate.context = contextOf(pem);
    if (this.#server instanceof TlsServer)
      this.#server.setSecureContext({ ...pem, minVersion: 'TLSv1.2' });
  }

  /** Takes no new client, says 421 to idle ones, lets messages being handled get their reply, then cuts what is left. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const connection of this.#connections.values()) connection.close();
    const cut = setTimeout(() => {
      for (const connection of this.#connections.values()) connection.destroy();
      for (const socket of this.#sockets) socket.destroy();
    }, this.#closeMs);
    await closed;
    clearTimeout(cut);
  }
}

/**
 * Listens, and resolves when clients can connect.
 * @throws Fault `smtp.listen-failed` where the address cannot be had; `smtp.bad-certificate`.
 */
export async function startSmtpServer<Identity>(
  options: SmtpServerOptions<Identity>,
): Promise<SmtpServer> {
  const limits = { ...LIMITS, ...options.limits };
  const certificate: Certificate = { context: contextOf(options.tls) };
  const settings = connectionSettings(options, limits, certificate);
  const implicit = options.tls?.implicit === true;
  const connections = new Map<Socket, { close(): void; destroy(): void }>();
  const accept = (socket: Socket): void => {
    if (connections.size >= limits.connectionsMax) {
      socket.on('error', () => socket.destroy());
      socket.end(TOO_MANY, () => socket.destroy());
      return;
    }
    connections.set(socket, new ServerConnection(socket, implicit, settings));
    socket.on('close', () => connections.delete(socket));
  };
  const server =
    implicit && options.tls !== undefined
      ? createTlsServer({ ...options.tls, minVersion: 'TLSv1.2', allowHalfOpen: true }, accept)
      : createServer({ allowHalfOpen: true, noDelay: true }, accept);
  // A handshake that failed leaves a socket that is no connection of ours yet.
  server.on('tlsClientError', (_error: Error, socket: Socket) => socket.destroy());
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await listening(server, options.listen);
  return new SmtpServer(server, connections, sockets, limits.closeMs, certificate);
}

function connectionSettings<Identity>(
  options: SmtpServerOptions<Identity>,
  limits: ServerLimits,
  certificate: Certificate,
): ConnectionSettings<Identity> {
  const { authenticate, recipientReply } = options;
  return {
    session: {
      name: options.name,
      sizeBytesMax: limits.sizeBytesMax,
      recipientsMax: limits.recipientsMax,
      errorsMax: limits.errorsMax,
      tlsOffered: certificate.context !== null,
      authOffered: authenticate !== null,
      authInClear: options.authInClear ?? false,
      authRequired: options.authRequired ?? authenticate !== null,
      ...(recipientReply === undefined ? {} : { recipientReply }),
    },
    secureContext: () => certificate.context,
    idleMs: limits.idleMs,
    contentMs: limits.contentMs,
    authFailureDelayMs: limits.authFailureDelayMs,
    authenticate: authenticate ?? (() => null),
    onMessage: options.onMessage,
    onFault: options.onFault,
  };
}

function contextOf(tls: SmtpServerOptions<unknown>['tls']): SecureContext | null {
  if (tls === undefined) return null;
  try {
    return createSecureContext({ key: tls.key, cert: tls.cert, minVersion: 'TLSv1.2' });
  } catch (cause) {
    throw new Fault('smtp.bad-certificate', 'the certificate or its key cannot be read', {
      remedy: 'give both as PEM, the key belonging to the certificate',
      cause,
    });
  }
}

function listening(server: Server, listen: { host: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        new Fault('smtp.listen-failed', 'the SMTP server cannot listen', {
          where: `${listen.host}:${listen.port}`,
          remedy: 'choose another port, or end the process that has it',
          cause,
        }),
      ),
    );
    server.listen(listen.port, listen.host, () => {
      server.on('error', () => {});
      resolve();
    });
  });
}
