/**
 * One connection of the hot path (RFC 5321, 2920): the next envelope travels behind the final dot, so that a message
 * costs one round trip. Invariants: content goes to the socket only through `SendPool`, after the last look, the intent
 * and the permit; every message taken is settled exactly once, whatever becomes of the connection.
 */

import type { Socket } from 'node:net';
import { Fault } from '../../base/errors.ts';
import { type Reply, ReplyReader } from '../../smtp/reply.ts';
import type { Route } from '../route.ts';
import { type Envelope, envelopeOf } from './envelope.ts';
import { notBegun, type Outgoing, type SendResult, unanswered } from './outgoing.ts';
import { openSocket, type Phase, upgradeSocket } from './socket.ts';

/** What a connection needs of its pool. */
export interface ConnectionOwner {
  readonly route: Route;
  /**
   * The next message for this connection, or null when there is none now.
   * @param behind its envelope travels behind the content of another message.
   */
  take(behind: boolean): Outgoing | null;
  /** The far side's answers do not fit this envelope. */
  outOfStep(message: Outgoing, commands: Buffer): void;
  /** The far side is ready for the content of this message: to be handed over in this turn. */
  ready(connection: SendConnection, message: Outgoing, commands: Buffer): void;
  settled(message: Outgoing, result: SendResult): void;
  closed(connection: SendConnection, error: Fault | null): void;
}

const DOT = Buffer.from('\r\n.\r\n');
const DOT_AFTER_BREAK = Buffer.from('.\r\n');
/** Of larger content the envelope behind it waits, so that it is always known whether the final dot has left us. */
const ENVELOPE_BEHIND_BYTES_MAX = 32_768;
/** How long the far side may take to close a connection that we have ended. */
const LINGER_MS = 2000;

export class SendConnection {
  readonly id: number;
  readonly #owner: ConnectionOwner;
  #socket: Socket;
  #reader: ReplyReader = new ReplyReader();
  #phase: Phase = 'greeting';
  #encrypted: boolean;
  #pipelining = false;
  #smtpUtf8 = false;
  #envelope: Envelope | null = null;
  /** Taken to travel behind the content that is about to be written. */
  #staged: Envelope | null = null;
  /** The message whose content has been handed over and whose reply is awaited. */
  #awaiting: Outgoing | null = null;
  /** Whether bytes of the last write that have not left us tell that its final dot has not. */
  #dotIsLast = false;
  #sent = 0;
  #answered = 0;
  #noMore = false;
  /** An envelope was sent whose content will not come: nothing more may be said. */
  #givenUp = false;
  /** Replies to '.' or RSET that are still to come before the next MAIL. */
  #resets = 0;
  #deadline = 0;

  constructor(id: number, owner: ConnectionOwner) {
    this.id = id;
    this.#owner = owner;
    this.#encrypted = owner.route.tls === 'implicit';
    this.#socket = openSocket(owner.route, this.#data);
    this.#listen(this.#socket);
    this.#expect(owner.route.timeoutsMs.connect);
  }

  /** The message whose content has been handed over and whose reply is not there yet. */
  get inFlight(): Outgoing | null {
    return this.#awaiting;
  }

  /** Messages whose content the far side has answered. */
  get answered(): number {
    return this.#answered;
  }

  #listen(socket: Socket): void {
    socket.on('error', (cause) => this.#lost('the connection failed', cause));
    socket.on('close', () => this.#lost('the far side closed the connection', null));
  }

  /** Called by the pool: a phase that takes too long ends the connection. */
  checkTime(nowMs: number): void {
    if (this.#deadline !== 0 && nowMs > this.#deadline)
      this.#lost('the far side took too long', null);
  }

  #expect(ms: number): void {
    this.#deadline = ms === 0 ? 0 : performance.now() + ms;
  }

  /** Takes the next message when idle. */
  kick(): void {
    if (this.#phase === 'idle') this.#begin();
  }

  readonly #data = (chunk: Buffer): void => {
    let replies: Reply[];
    try {
      replies = this.#reader.push(chunk);
    } catch (cause) {
      this.#lost('the far side does not speak SMTP', cause);
      return;
    }
    for (const reply of replies) this.#reply(reply);
  };

  #reply(reply: Reply): void {
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
      case 'envelope':
        this.#envelopeReply(reply);
        return;
      case 'reset':
        this.#resetReply(reply);
        return;
      case 'content':
        this.#contentReply(reply);
        return;
      case 'idle':
        this.#lost(
          reply.code === 421 ? 'the far side said 421' : 'the far side spoke out of turn',
          null,
        );
        return;
      case 'closed':
        return;
    }
  }

  #greeted(reply: Reply): void {
    if (reply.code !== 220) {
      this.#lost(`the far side does not greet, it says ${reply.code}`, null);
      return;
    }
    this.#hello();
  }

  #hello(): void {
    this.#phase = 'ehlo';
    this.#expect(this.#owner.route.timeoutsMs.command);
    this.#socket.write(`EHLO ${this.#owner.route.name}\r\n`);
  }

  #capabilities(reply: Reply): void {
    if (reply.code !== 250) {
      this.#lost(`the far side refuses EHLO with ${reply.code}`, null);
      return;
    }
    const words = reply.lines.slice(1).map((line) => (line.split(' ')[0] ?? '').toUpperCase());
    const { tls, timeoutsMs } = this.#owner.route;
    if (!this.#encrypted && tls !== 'none' && words.includes('STARTTLS')) {
      this.#phase = 'starttls';
      this.#expect(timeoutsMs.command);
      this.#socket.write('STARTTLS\r\n');
      return;
    }
    if (!this.#encrypted && tls === 'required') {
      this.#lost('the far side offers no TLS, which the route requires', null);
      return;
    }
    this.#pipelining = words.includes('PIPELINING');
    this.#smtpUtf8 = words.includes('SMTPUTF8');
    this.#begin();
  }

  #startTls(reply: Reply): void {
    // Bytes behind the reply would be taken for the far side's own after the handshake.
    if (reply.code !== 220 || this.#reader.partial) {
      this.#lost(`the far side refuses STARTTLS with ${reply.code}`, null);
      return;
    }
    const secured = (): void => this.#hello();
    this.#socket = upgradeSocket(this.#socket, this.#owner.route, this.#data, secured);
    this.#listen(this.#socket);
    this.#encrypted = true;
    this.#reader = new ReplyReader();
  }

  /** The next message's envelope; what a next hop without SMTPUTF8 cannot take ends here. */
  #nextEnvelope(behind: boolean): Envelope | null {
    if (this.#noMore || this.#sent >= this.#owner.route.messagesPerConnectionMax) return null;
    for (;;) {
      const message = this.#owner.take(behind);
      if (message === null) return null;
      if (!message.smtpUtf8 || this.#smtpUtf8) return envelopeOf(message, this.#pipelining);
      this.#owner.settled(message, { kind: 'undeliverable', enhanced: '5.6.7' });
    }
  }

  #begin(): void {
    const envelope = this.#nextEnvelope(false);
    if (this.#isClosed()) {
      if (envelope !== null)
        this.#owner.settled(envelope.message, { kind: 'returned', lost: null });
      return;
    }
    this.#phase = 'idle';
    if (envelope !== null) {
      this.#phase = 'envelope';
      this.#envelope = envelope;
      this.#expect(this.#owner.route.timeoutsMs.command);
      this.#socket.write(envelope.unsent.shift() ?? envelope.commands);
    } else if (this.#noMore || this.#sent >= this.#owner.route.messagesPerConnectionMax)
      this.quit();
    else this.#expect(0);
  }

  /** Taking a message may end a release, and with it this connection. */
  #isClosed(): boolean {
    return this.#phase === 'closed';
  }

  #envelopeReply(reply: Reply): void {
    const envelope = this.#envelope;
    if (envelope === null || envelope.replies.length === 3) {
      this.#lost('the far side spoke out of turn', null);
      return;
    }
    envelope.replies.push(reply);
    if (reply.code === 421) {
      this.#closing(envelope, reply);
      return;
    }
    const next = envelope.unsent.shift();
    if (next !== undefined && reply.code < 400) this.#socket.write(next);
    else if (next !== undefined) this.#refused(envelope, reply, false);
    else if (envelope.replies.length === 3) this.#envelopeDone(envelope);
  }

  /** 421 to MAIL says nothing of this reader; to RCPT or DATA it is a temporary answer to this message. */
  #closing(envelope: Envelope, reply: Reply): void {
    if (envelope.replies.length > 1) {
      this.#envelope = null;
      this.#owner.settled(envelope.message, { kind: 'replied', reply });
    }
    this.#lost('the far side said 421', null);
  }

  #envelopeDone(envelope: Envelope): void {
    const [mail, rcpt, data] = envelope.replies as [Reply, Reply, Reply];
    const refusal = [mail, rcpt, data].find((reply) => reply.code >= 400);
    const inOrder = mail.code < 300 && rcpt.code < 300 && data.code === 354;
    if (refusal !== undefined) this.#refused(envelope, refusal, data.code === 354);
    else if (inOrder) this.#owner.ready(this, envelope.message, envelope.commands);
    else {
      // Another number of answers than commands: either side may be wrong, so ours is looked at before anything is tried again.
      this.#owner.outOfStep(envelope.message, envelope.commands);
      this.#lost('the far side answers an envelope with codes that do not belong there', null);
    }
  }

  /** A refused envelope leaves a transaction open at the far side (RFC 5321 section 4.1.1.5). */
  #refused(envelope: Envelope, reply: Reply, dataTaken: boolean): void {
    this.#envelope = null;
    this.#phase = 'reset';
    this.#expect(this.#owner.route.timeoutsMs.command);
    if (dataTaken) {
      // Content for nobody is expected all the same (RFC 2920 section 3.1): an empty message ends it.
      this.#resets = 2;
      this.#socket.write('.\r\n');
    } else {
      this.#resets = 1;
      this.#socket.write('RSET\r\n');
    }
    this.#owner.settled(envelope.message, { kind: 'replied', reply });
  }

  #resetReply(reply: Reply): void {
    if (reply.code === 421) this.#lost('the far side said 421', null);
    else if (--this.#resets > 0) this.#socket.write('RSET\r\n');
    else this.#begin();
  }

  /**
   * Takes the message that is to travel behind the content about to be written. False when the connection has been
   * closed meanwhile.
   */
  stage(): boolean {
    const current = this.#envelope;
    if (current === null || this.#phase !== 'envelope') return false;
    if (this.#pipelining && current.message.bytes.length <= ENVELOPE_BEHIND_BYTES_MAX) {
      this.#sent++;
      const staged = this.#nextEnvelope(true);
      this.#sent--;
      if (this.#isClosed() && staged !== null)
        this.#owner.settled(staged.message, { kind: 'returned', lost: null });
      else this.#staged = staged;
    }
    return !this.#isClosed();
  }

  /**
   * Hands the content to the socket, with the final dot and the staged envelope behind it.
   * Called by the pool alone, in the turn in which permit, intent and last look were good, and after `stage`.
   */
  write(message: Outgoing): void {
    const next = this.#staged;
    this.#envelope = next;
    this.#staged = null;
    this.#awaiting = message;
    this.#sent++;
    this.#phase = 'content';
    this.#expect(this.#owner.route.timeoutsMs.afterDot);
    const { bytes } = message;
    const ended = bytes[bytes.length - 2] === 0x0d && bytes[bytes.length - 1] === 0x0a;
    const dot = ended ? DOT_AFTER_BREAK : DOT;
    const behind = next?.unsent.shift() ?? null;
    // TLS reports a write as done a turn late.
    this.#dotIsLast = behind === null && !this.#encrypted;
    this.#socket.cork();
    this.#socket.write(bytes);
    this.#socket.write(behind === null ? dot : Buffer.concat([dot, behind]));
    this.#socket.uncork();
  }

  /** Whether content is in our own buffer still, so that its final dot cannot have left us. */
  get #cut(): boolean {
    return this.#dotIsLast && this.#socket.writableLength > 0;
  }

  #contentReply(reply: Reply): void {
    const message = this.#awaiting;
    if (message === null || (this.#cut && reply.code < 400)) {
      this.#lost('the far side answers before the end of the content', null);
      return;
    }
    const early = this.#cut;
    this.#awaiting = null;
    this.#answered++;
    this.#owner.settled(message, { kind: 'replied', reply });
    if (this.#isClosed()) return;
    if (early || reply.code === 421) {
      this.#lost(`the far side said ${reply.code}`, null);
    } else if (this.#noMore) {
      // The commands behind the content may have left already: a QUIT would be read as their content.
      this.#end(null);
    } else if (this.#envelope === null) this.#begin();
    else {
      this.#phase = 'envelope';
      this.#expect(this.#owner.route.timeoutsMs.command);
    }
  }

  /** Ends the connection; what is not handed over is given back, what awaits its reply is unknown. */
  quit(): void {
    if (this.#phase === 'closed') return;
    if (this.#phase === 'idle' && !this.#givenUp) this.#socket.write('QUIT\r\n');
    this.#end(null);
  }

  /**
   * For halt: gives up what has not been handed over. Content still in our own buffer goes no further; one that is wholly
   * handed over goes on awaiting its reply.
   */
  halt(): void {
    if (this.#phase === 'closed') return;
    this.#noMore = true;
    if (this.#awaiting === null || this.#socket.writableLength > 0) {
      this.#end(null);
      return;
    }
    const envelope = this.#envelope;
    this.#envelope = null;
    this.#givenUp ||= envelope !== null;
    if (envelope !== null) this.#owner.settled(envelope.message, { kind: 'returned', lost: null });
  }

  #lost(why: string, cause: unknown): void {
    if (this.#phase === 'closed') return;
    const early =
      this.#phase === 'greeting' || this.#phase === 'ehlo' || this.#phase === 'starttls';
    const { host, port } = this.#owner.route;
    const where = `${host}:${port}`;
    const code = early ? 'route.unreachable' : 'route.lost';
    const detail = (cause as { code?: unknown } | null)?.code;
    const said = typeof detail === 'string' ? `${why} (${detail})` : why;
    this.#end(new Fault(code, said, { where, cause }));
  }

  #end(fault: Fault | null): void {
    const cut = this.#cut;
    const told = this.#phase === 'envelope';
    const envelope = this.#envelope;
    const staged = this.#staged;
    const awaiting = this.#awaiting;
    this.#phase = 'closed';
    this.#deadline = 0;
    this.#envelope = null;
    this.#staged = null;
    this.#awaiting = null;
    const socket = this.#socket;
    if (fault === null && awaiting === null && socket.writableLength === 0) {
      socket.end();
      socket.setTimeout(LINGER_MS, () => socket.destroy());
    } else socket.destroy();
    if (awaiting !== null) this.#owner.settled(awaiting, unanswered(cut, fault));
    if (envelope !== null) this.#owner.settled(envelope.message, notBegun(told, fault));
    if (staged !== null) this.#owner.settled(staged.message, { kind: 'returned', lost: null });
    this.#owner.closed(this, fault);
  }
}
