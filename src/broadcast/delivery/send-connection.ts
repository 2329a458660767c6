/**
 * One connection of the hot path (RFC 5321, 2920): the next envelope travels behind the final dot, so that a message
 * costs one round trip. Invariant: content goes to the socket only through `SendPool.hand`, after the last look,
 * the intent and the permit.
 */

import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { Fault } from '../../base/errors.ts';
import { type Reply, ReplyReader } from '../../smtp/reply.ts';
import type { Route } from '../route.ts';
import type { Outgoing, SendResult } from './outgoing.ts';

/** What a connection needs of its pool. */
export interface ConnectionOwner {
  readonly route: Route;
  /** The next message for this connection, or null when there is none now. */
  take(): Outgoing | null;
  /** The far side is ready for the content of this message: to be handed over in this turn. */
  ready(connection: SendConnection, message: Outgoing, commands: Buffer): void;
  settled(message: Outgoing, result: SendResult): void;
  closed(connection: SendConnection, error: Fault | null): void;
}

type Phase =
  | 'connecting'
  | 'greeting'
  | 'ehlo'
  | 'starttls'
  | 'idle'
  | 'envelope'
  | 'content'
  | 'closed';

const DOT = Buffer.from('\r\n.\r\n');
const DOT_AFTER_BREAK = Buffer.from('.\r\n');
const READ_BYTES = 16_384;

export class SendConnection {
  readonly id: number;
  readonly #owner: ConnectionOwner;
  #socket: Socket;
  #reader = new ReplyReader();
  #phase: Phase = 'connecting';
  #pipelining = false;
  #smtpUtf8 = false;
  /** The message whose envelope or content is under way. */
  #current: Outgoing | null = null;
  #commands: Buffer = Buffer.alloc(0);
  /** Replies of the envelope still to come: MAIL, RCPT, DATA. */
  #envelopeReplies: Reply[] = [];
  #unsent: string[] = [];
  /** The message whose content has been handed over and whose reply is awaited. */
  #awaiting: Outgoing | null = null;
  #sent = 0;
  #deadline = 0;
  #waiting = false;

  constructor(id: number, owner: ConnectionOwner) {
    this.id = id;
    this.#owner = owner;
    this.#socket = this.#open();
    this.#expect(owner.route.timeoutsMs.connect);
  }

  /** Whether content has been handed over whose reply is not there yet. */
  get inFlight(): Outgoing | null {
    return this.#awaiting;
  }

  get idle(): boolean {
    return this.#phase === 'idle' && this.#waiting;
  }

  #open(): Socket {
    const { host, port, tls } = this.#owner.route;
    const onread = {
      buffer: Buffer.allocUnsafeSlow(READ_BYTES),
      callback: (size: number, buffer: Uint8Array): boolean => {
        this.#data(Buffer.from(buffer.buffer, buffer.byteOffset, size));
        return true;
      },
    };
    const socket =
      tls === 'implicit'
        ? connectTls({ host, port, servername: host })
        : connect({ host, port, noDelay: true, onread });
    if (tls === 'implicit') socket.on('data', (chunk: Buffer) => this.#data(chunk));
    this.#listen(socket);
    this.#phase = 'greeting';
    return socket;
  }

  #listen(socket: Socket): void {
    socket.on('error', (cause) => this.#lost(`the connection failed`, cause));
    socket.on('close', () => this.#lost('the far side closed the connection', null));
  }

  /** Called every second by the pool: a phase that takes too long ends the connection. */
  checkTime(nowMs: number): void {
    if (this.#deadline !== 0 && nowMs > this.#deadline)
      this.#lost('the far side took too long', null);
  }

  #expect(ms: number): void {
    this.#deadline = ms === 0 ? 0 : performance.now() + ms;
  }

  /** Takes the next message when idle. */
  kick(): void {
    if (this.#phase !== 'idle' || !this.#waiting) return;
    this.#waiting = false;
    this.#begin();
  }

  #data(chunk: Buffer): void {
    let replies: Reply[];
    try {
      replies = this.#reader.push(chunk);
    } catch (cause) {
      this.#lost('the far side does not speak SMTP', cause);
      return;
    }
    for (const reply of replies) {
      if (this.#phase === 'closed') return;
      this.#reply(reply);
    }
  }

  #reply(reply: Reply): void {
    if (reply.code === 421 && this.#phase !== 'content') {
      this.#lost('the far side said 421', null);
      return;
    }
    switch (this.#phase) {
      case 'greeting':
        this.#greeted(reply);
        return;
      case 'ehlo':
        this.#capabilities(reply);
        return;
      case 'starttls':
        this.#startTls(reply);
        return;
      case 'content':
        this.#contentReply(reply);
        return;
      case 'envelope':
        this.#envelopeReply(reply);
        return;
      default:
        this.#lost('the far side spoke out of turn', null);
    }
  }

  #greeted(reply: Reply): void {
    if (reply.code !== 220) {
      this.#lost('the far side does not greet', null);
      return;
    }
    this.#write(`EHLO ${this.#owner.route.name}\r\n`);
    this.#phase = 'ehlo';
    this.#expect(this.#owner.route.timeoutsMs.command);
  }

  #capabilities(reply: Reply): void {
    if (reply.code !== 250) {
      this.#lost('the far side refuses EHLO', null);
      return;
    }
    const words = reply.lines.slice(1).map((line) => (line.split(' ')[0] ?? '').toUpperCase());
    const { tls } = this.#owner.route;
    const encrypted = 'encrypted' in this.#socket;
    if (!encrypted && tls !== 'none' && words.includes('STARTTLS')) {
      this.#write('STARTTLS\r\n');
      this.#phase = 'starttls';
      return;
    }
    if (!encrypted && tls === 'required') {
      this.#lost('the far side offers no TLS, which the route requires', null);
      return;
    }
    this.#pipelining = words.includes('PIPELINING');
    this.#smtpUtf8 = words.includes('SMTPUTF8');
    this.#phase = 'idle';
    this.#begin();
  }

  #startTls(reply: Reply): void {
    if (reply.code !== 220 || this.#reader.partial) {
      this.#lost('the far side refuses STARTTLS', null);
      return;
    }
    const plain = this.#socket;
    plain.removeAllListeners();
    const { host, tls } = this.#owner.route;
    const socket = connectTls(
      { socket: plain, servername: host, rejectUnauthorized: tls === 'required' },
      () => {
        this.#write(`EHLO ${this.#owner.route.name}\r\n`);
        this.#phase = 'ehlo';
      },
    );
    socket.on('data', (chunk: Buffer) => this.#data(chunk));
    this.#listen(socket);
    this.#socket = socket;
    this.#reader = new ReplyReader();
  }

  /** The next message's envelope; what an ASCII-only next hop cannot take ends here. */
  #nextEnvelope(): Buffer | null {
    if (this.#sent >= this.#owner.route.messagesPerConnectionMax) return null;
    for (;;) {
      const message = this.#owner.take();
      if (message === null) return null;
      if (message.smtpUtf8 && !this.#smtpUtf8) {
        this.#owner.settled(message, { kind: 'undeliverable', enhanced: '5.6.7' });
        continue;
      }
      this.#current = message;
      this.#envelopeReplies = [];
      const utf8 = message.smtpUtf8 ? ' SMTPUTF8' : '';
      const mail = `MAIL FROM:<${message.returnPath}>${utf8}\r\n`;
      const rcpt = `RCPT TO:<${message.reader}>\r\n`;
      this.#commands = Buffer.from(`${mail}${rcpt}DATA\r\n`, 'utf8');
      if (this.#pipelining) return this.#commands;
      this.#unsent = [rcpt, 'DATA\r\n'];
      return Buffer.from(mail, 'utf8');
    }
  }

  #begin(): void {
    if (this.#sent >= this.#owner.route.messagesPerConnectionMax) {
      this.quit();
      return;
    }
    const envelope = this.#nextEnvelope();
    if (envelope === null) {
      this.#phase = 'idle';
      this.#waiting = true;
      this.#expect(0);
      return;
    }
    this.#phase = 'envelope';
    this.#expect(this.#owner.route.timeoutsMs.command);
    this.#socket.write(envelope);
  }

  #envelopeReply(reply: Reply): void {
    this.#envelopeReplies.push(reply);
    const next = this.#unsent.shift();
    if (next !== undefined) {
      if (reply.code < 400) {
        this.#write(next);
        return;
      }
      this.#unsent = [];
      this.#write('RSET\r\n');
      this.#envelopeReplies = [reply, reply];
      return;
    }
    if (this.#envelopeReplies.length < 3) return;
    this.#envelopeDone();
  }

  #envelopeDone(): void {
    const message = this.#current;
    if (message === null) {
      this.#lost('a reply without a message', null);
      return;
    }
    const [mail, rcpt, data] = this.#envelopeReplies as [Reply, Reply, Reply];
    const bad =
      [mail, rcpt].find((reply) => reply.code >= 300) ?? (data.code === 354 ? null : data);
    if (bad === null) {
      this.#owner.ready(this, message, this.#commands);
      return;
    }
    this.#current = null;
    this.#owner.settled(message, { kind: 'replied', reply: bad });
    if (data.code === 354) {
      // The recipient was refused and DATA taken all the same (RFC 2920 section 3.1): an empty message to nobody ends it.
      this.#phase = 'content';
      this.#write('.\r\n');
      return;
    }
    this.#begin();
  }

  /**
   * Hands the content to the socket, with the final dot and the next envelope behind it.
   * Called by the pool alone, in the turn in which permit, intent and last look were good.
   */
  write(message: Outgoing): void {
    this.#current = null;
    this.#awaiting = message;
    this.#sent++;
    this.#phase = 'content';
    this.#expect(this.#owner.route.timeoutsMs.afterDot);
    const { bytes } = message;
    const ended = bytes[bytes.length - 2] === 0x0d && bytes[bytes.length - 1] === 0x0a;
    const dot = ended ? DOT_AFTER_BREAK : DOT;
    const next = this.#pipelining ? this.#nextEnvelope() : null;
    this.#socket.cork();
    this.#socket.write(bytes);
    this.#socket.write(next === null ? dot : Buffer.concat([dot, next]));
    this.#socket.uncork();
  }

  #contentReply(reply: Reply): void {
    const message = this.#awaiting;
    this.#awaiting = null;
    if (message !== null) this.#owner.settled(message, { kind: 'replied', reply });
    if (reply.code === 421) {
      this.#lost('the far side said 421', null);
      return;
    }
    if (this.#current !== null) {
      this.#phase = 'envelope';
      this.#expect(this.#owner.route.timeoutsMs.command);
      return;
    }
    this.#begin();
  }

  #write(text: string): void {
    this.#socket.write(text);
  }

  /** Ends the connection after what is under way; gives an envelope that is under way back. */
  quit(): void {
    if (this.#phase === 'closed') return;
    if (this.#phase === 'idle') this.#write('QUIT\r\n');
    this.#end(null);
  }

  /**
   * For halt: gives up what has not been handed over. A content still in our own buffer has no final dot on the wire yet,
   * so it cannot be accepted and is given back; one that is wholly handed over goes on awaiting its reply.
   */
  halt(): void {
    if (this.#phase === 'closed') return;
    if (this.#awaiting === null || this.#socket.writableLength > 0) this.#end(null);
    else if (this.#current !== null) {
      this.#owner.settled(this.#current, { kind: 'returned' });
      this.#current = null;
      this.#sent = Number.MAX_SAFE_INTEGER;
    } else this.#sent = Number.MAX_SAFE_INTEGER;
  }

  #lost(why: string, cause: unknown): void {
    if (this.#phase === 'closed') return;
    const early =
      this.#phase === 'greeting' || this.#phase === 'ehlo' || this.#phase === 'starttls';
    const fault = new Fault(early ? 'route.unreachable' : 'route.lost', why, {
      where: `${this.#owner.route.host}:${this.#owner.route.port}`,
      cause,
    });
    this.#end(fault);
  }

  #end(fault: Fault | null): void {
    this.#phase = 'closed';
    const unwritten = this.#socket.writableLength > 0;
    this.#socket.removeAllListeners('close');
    if (fault === null && !unwritten && this.#awaiting === null) this.#socket.end();
    else this.#socket.destroy();
    if (this.#awaiting !== null)
      this.#owner.settled(this.#awaiting, { kind: unwritten ? 'abandoned' : 'unknown' });
    if (this.#current !== null) this.#owner.settled(this.#current, { kind: 'returned' });
    this.#awaiting = null;
    this.#current = null;
    this.#owner.closed(this, fault);
  }
}
