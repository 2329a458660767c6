/**
 * One connection to a next hop: opened (greeting, EHLO, STARTTLS, AUTH), then exchanges of commands and replies.
 * Invariants: each reply belongs to a command we wrote: one that comes unasked breaks the connection; nothing received before
 * the TLS handshake counts after it; credentials go over TLS only, except to a loopback address.
 */

import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { Fault } from '../base/errors.ts';
import { isLoopback } from '../base/loopback.ts';
import { type Extensions, NO_EXTENSIONS, readExtensions } from './extensions.ts';
import { type Reply, ReplyReader } from './reply.ts';

export interface NextHop {
  readonly host: string;
  readonly port: number;
  /** Our name in EHLO. */
  readonly name: string;
  /**
   * `none`: in clear. `opportunistic`: STARTTLS where offered, any certificate. `required`: STARTTLS or nothing, certificate
   * checked. `implicit`: TLS from the first byte, certificate checked.
   */
  readonly tls: 'none' | 'opportunistic' | 'required' | 'implicit';
  /** PEM of the authority that `required` and `implicit` trust; default: the system's. */
  readonly ca?: string;
  /** The name the certificate must have; default: `host`. */
  readonly serverName?: string;
  readonly auth?: { readonly user: string; readonly password: string };
  readonly timeouts?: Partial<ClientTimeouts>;
}

/** RFC 5321 section 4.5.3.2, in milliseconds. */
export interface ClientTimeouts {
  readonly connectMs: number;
  readonly greetingMs: number;
  readonly commandMs: number;
  readonly dataMs: number;
  readonly blockMs: number;
  readonly finalMs: number;
}

const TIMEOUTS: ClientTimeouts = {
  connectMs: 30_000,
  greetingMs: 300_000,
  commandMs: 300_000,
  dataMs: 120_000,
  blockMs: 180_000,
  finalMs: 600_000,
};

interface Waiter {
  readonly count: number;
  readonly resolve: (replies: Reply[]) => void;
  readonly reject: (error: Fault) => void;
  readonly timer: NodeJS.Timeout;
}

/**
 * Opens a connection as far as MAIL.
 * @throws Fault `smtp.connection-lost`, `smtp.timeout`, `smtp.bad-reply`, `smtp.next-hop-refuses`, `smtp.no-tls`,
 * `smtp.auth-in-clear`, `smtp.auth-failed`.
 */
export async function openConnection(hop: NextHop): Promise<ClientConnection> {
  const timeouts = { ...TIMEOUTS, ...hop.timeouts };
  const connection = new ClientConnection(await connectSocket(hop, timeouts.connectMs), timeouts);
  try {
    const [greeting] = await connection.receive(1, timeouts.greetingMs);
    if (greeting?.code !== 220) throw refuses('greeting', greeting);
    await hello(connection, hop);
    if (hop.tls === 'required' || (hop.tls === 'opportunistic' && connection.extensions.startTls))
      await startTls(connection, hop, timeouts);
    if (hop.auth !== undefined) await authenticate(connection, hop, hop.auth);
    return connection;
  } catch (error) {
    connection.destroy();
    throw error;
  }
}

export class ClientConnection {
  readonly timeouts: ClientTimeouts;
  extensions: Extensions = NO_EXTENSIONS;
  secure: boolean;
  #socket: Socket;
  #reader: ReplyReader = new ReplyReader();
  #replies: Reply[] = [];
  #waiter: Waiter | null = null;
  #lost: Fault | null = null;

  constructor(socket: Socket, timeouts: ClientTimeouts) {
    this.timeouts = timeouts;
    this.#socket = socket;
    this.secure = 'encrypted' in socket;
    this.#listen(socket);
  }

  /** Whether another command can be written: not lost, and no reply open or unasked. */
  get usable(): boolean {
    return this.#lost === null && this.#waiter === null && !this.#unasked();
  }

  /** Writes commands (with their CRLF) and gives as many replies, in order. */
  exchange(bytes: Buffer | string, count: number, timeoutMs: number): Promise<Reply[]> {
    if (this.#lost === null && this.#unasked()) this.#lose(badOrder());
    if (this.#lost !== null) return Promise.reject(this.#lost);
    this.#socket.write(bytes);
    return this.receive(count, timeoutMs);
  }

  /** Writes content with its end, and gives the reply to it. */
  async deliver(content: Buffer): Promise<Reply> {
    if (this.#lost === null && this.#unasked()) this.#lose(badOrder());
    if (this.#lost !== null) throw this.#lost;
    const reply = this.receive(1, this.timeouts.finalMs);
    if (!this.#socket.write(content)) this.#watchBlocks();
    const [first] = await reply;
    if (first === undefined) throw lost();
    return first;
  }

  receive(count: number, timeoutMs: number): Promise<Reply[]> {
    return new Promise((resolve, reject) => {
      if (this.#lost !== null) {
        reject(this.#lost);
        return;
      }
      const timer = setTimeout(
        () => this.#lose(new Fault('smtp.timeout', 'the next hop did not answer in time')),
        timeoutMs,
      );
      this.#waiter = { count, resolve, reject, timer };
      this.#settle();
    });
  }

  /** Replaces the socket by TLS over it. What was received in clear and not used breaks the connection. */
  async secureWith(hop: NextHop): Promise<void> {
    if (this.#unasked()) throw badOrder();
    const plain = this.#socket;
    plain.removeAllListeners('data');
    const secured = await handshake(hop, this.timeouts.connectMs, plain);
    this.#socket = secured;
    this.#reader = new ReplyReader();
    this.secure = true;
    this.#listen(secured);
  }

  /** QUIT without waiting for its reply. */
  close(): void {
    if (this.#lost !== null) return;
    this.#lost = lost();
    this.#socket.end('QUIT\r\n');
    setTimeout(() => this.#socket.destroy(), 1000).unref();
  }

  destroy(): void {
    this.#lose(lost());
  }

  #listen(socket: Socket): void {
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', (cause) => this.#lose(lost(cause)));
    socket.on('close', () => this.#lose(lost()));
    socket.on('end', () => this.#lose(lost()));
  }

  #take(chunk: Buffer): void {
    if (this.#lost !== null) return;
    try {
      for (const reply of this.#reader.push(chunk)) this.#replies.push(reply);
    } catch (error) {
      this.#lose(error instanceof Fault ? error : lost(error));
      return;
    }
    if (this.#waiter === null) this.#lose(badOrder());
    else this.#settle();
  }

  #settle(): void {
    const waiter = this.#waiter;
    if (waiter === null || this.#replies.length < waiter.count) return;
    clearTimeout(waiter.timer);
    this.#waiter = null;
    waiter.resolve(this.#replies.splice(0, waiter.count));
  }

  #unasked(): boolean {
    return this.#replies.length > 0 || this.#reader.partial;
  }

  /** A next hop that stops reading in the middle of content is given up after `blockMs` without progress. */
  #watchBlocks(): void {
    let left = this.#socket.writableLength;
    const timer = setInterval(() => {
      const now = this.#socket.writableLength;
      if (now >= left && now > 0)
        this.#lose(new Fault('smtp.timeout', 'the next hop stopped reading the content'));
      left = now;
      if (now === 0 || this.#lost !== null) clearInterval(timer);
    }, this.timeouts.blockMs);
    timer.unref();
  }

  #lose(error: Fault): void {
    if (this.#lost !== null) return;
    this.#lost = error;
    this.#socket.destroy();
    const waiter = this.#waiter;
    if (waiter === null) return;
    clearTimeout(waiter.timer);
    this.#waiter = null;
    waiter.reject(error);
  }
}

async function hello(connection: ClientConnection, hop: NextHop): Promise<void> {
  const { commandMs } = connection.timeouts;
  const [ehlo] = await connection.exchange(`EHLO ${hop.name}\r\n`, 1, commandMs);
  if (ehlo?.code === 250) {
    connection.extensions = readExtensions(ehlo);
    return;
  }
  if (ehlo === undefined || ehlo.code < 500) throw refuses('EHLO', ehlo);
  const [helo] = await connection.exchange(`HELO ${hop.name}\r\n`, 1, commandMs);
  if (helo?.code !== 250) throw refuses('HELO', helo);
  connection.extensions = NO_EXTENSIONS;
}

async function startTls(
  connection: ClientConnection,
  hop: NextHop,
  timeouts: ClientTimeouts,
): Promise<void> {
  if (!connection.extensions.startTls) throw noTls('the next hop does not offer STARTTLS');
  const [ready] = await connection.exchange('STARTTLS\r\n', 1, timeouts.commandMs);
  if (ready?.code !== 220) throw noTls('the next hop refused STARTTLS');
  await connection.secureWith(hop);
  await hello(connection, hop);
}

async function authenticate(
  connection: ClientConnection,
  hop: NextHop,
  auth: { readonly user: string; readonly password: string },
): Promise<void> {
  if (!connection.secure && !isLoopback(hop.host))
    throw new Fault('smtp.auth-in-clear', 'credentials for the next hop would go unencrypted', {
      where: `${hop.host}:${hop.port}`,
      remedy: 'set its tls to required or implicit',
    });
  const { commandMs } = connection.timeouts;
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const plain = connection.extensions.auth.includes('PLAIN');
  if (!plain && !connection.extensions.auth.includes('LOGIN')) throw authFailed(hop, undefined);
  const steps = plain
    ? [`AUTH PLAIN ${base64(`\0${auth.user}\0${auth.password}`)}`]
    : ['AUTH LOGIN', base64(auth.user), base64(auth.password)];
  for (const [index, line] of steps.entries()) {
    const [reply] = await connection.exchange(`${line}\r\n`, 1, commandMs);
    if (reply?.code !== (index === steps.length - 1 ? 235 : 334)) throw authFailed(hop, reply);
  }
}

function connectSocket(hop: NextHop, timeoutMs: number): Promise<Socket> {
  if (hop.tls === 'implicit') return handshake(hop, timeoutMs, null);
  const socket = connectTcp({ host: hop.host, port: hop.port });
  return established(socket, 'connect', timeoutMs, hop);
}

function handshake(hop: NextHop, timeoutMs: number, over: Socket | null): Promise<Socket> {
  const serverName = hop.serverName ?? hop.host;
  const socket = connectTls({
    ...(over === null ? { host: hop.host, port: hop.port } : { socket: over }),
    ...(isAddress(serverName) ? { host: serverName } : { servername: serverName }),
    ...(hop.ca === undefined ? {} : { ca: hop.ca }),
    rejectUnauthorized: hop.tls !== 'opportunistic',
    minVersion: 'TLSv1.2',
  });
  return established(socket, 'secureConnect', timeoutMs, hop);
}

function established<S extends Socket>(
  socket: S,
  event: 'connect' | 'secureConnect',
  timeoutMs: number,
  hop: NextHop,
): Promise<S> {
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(
        new Fault('smtp.connection-lost', 'the next hop cannot be reached', {
          where: `${hop.host}:${hop.port}`,
          remedy: 'check that it listens there, and its certificate where TLS is checked',
          cause,
        }),
      );
    };
    const ended = (): void => fail(undefined);
    const timer = setTimeout(ended, timeoutMs);
    socket.once('error', fail);
    socket.once('close', ended);
    socket.once(event, () => {
      clearTimeout(timer);
      socket.off('error', fail);
      socket.off('close', ended);
      resolve(socket);
    });
  });
}

function isAddress(host: string): boolean {
  return /^[\d.]+$/.test(host) || host.includes(':');
}

function refuses(step: string, reply: Reply | undefined): Fault {
  return new Fault('smtp.next-hop-refuses', `the next hop answered ${reply?.code ?? 0} to ${step}`);
}

function noTls(what: string): Fault {
  return new Fault('smtp.no-tls', what, {
    remedy: 'offer STARTTLS there, or allow tls to be none',
  });
}

function authFailed(hop: NextHop, reply: Reply | undefined): Fault {
  const answer = reply === undefined ? 'it offers neither PLAIN nor LOGIN' : `answer ${reply.code}`;
  return new Fault('smtp.auth-failed', `the next hop does not take our credentials: ${answer}`, {
    where: `${hop.host}:${hop.port}`,
    remedy: 'check user and password of the next hop',
  });
}

function badOrder(): Fault {
  return new Fault('smtp.bad-reply', 'the next hop sent a reply nobody had asked for');
}

function lost(cause?: unknown): Fault {
  return new Fault('smtp.connection-lost', 'the connection to the next hop was lost', { cause });
}
