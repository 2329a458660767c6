/**
 * A relay client: connections to one next hop, kept and reused.
 * Invariant: a message is tried a second time only where no byte of its content had been written.
 */

import { Fault } from '../base/errors.ts';
import { type ClientConnection, type NextHop, openConnection } from './connection.ts';
import { makeReply, type Reply } from './reply.ts';
import {
  type ContentNeeds,
  checkEnvelope,
  contentNeeds,
  type Delivery,
  type RecipientResult,
  type TransactionResult,
  transact,
} from './transaction.ts';

export interface SmtpClientOptions {
  readonly nextHop: NextHop;
  /** Default 20. */
  readonly connectionsMax?: number;
  /** Messages over one connection before it is closed; default 1,000. */
  readonly messagesPerConnectionMax?: number;
  /** How long an unused connection is kept; default 20 s. */
  readonly idleMs?: number;
  /** Deliveries that may wait for a connection; more are deferred. Default 1,000. */
  readonly waitingMax?: number;
  /** Told of each connection that could not be opened. */
  readonly onFault?: (fault: Fault) => void;
}

interface Pooled {
  readonly connection: ClientConnection;
  messages: number;
  idleSince: number;
}

const BUSY = makeReply(451, '4.3.2', 'Too many messages are waiting for the next hop.');
const CLOSED = makeReply(451, '4.3.2', 'Shutting down, try again later.');
const UNREACHABLE = makeReply(451, '4.4.1', 'The next hop cannot be reached now.');
const LOST = makeReply(451, '4.4.2', 'The connection to the next hop was lost.');

export class SmtpClient {
  readonly #hop: NextHop;
  readonly #connectionsMax: number;
  readonly #messagesMax: number;
  readonly #idleMs: number;
  readonly #waitingMax: number;
  readonly #onFault: (fault: Fault) => void;
  readonly #sweep: NodeJS.Timeout;
  #idle: Pooled[] = [];
  /** Deliveries under way; each has at most one connection. */
  #running = 0;
  #waiting: (() => void)[] = [];
  #closed = false;
  #drained: () => void = () => {};

  constructor(options: SmtpClientOptions) {
    this.#hop = options.nextHop;
    this.#connectionsMax = options.connectionsMax ?? 20;
    this.#messagesMax = options.messagesPerConnectionMax ?? 1000;
    this.#idleMs = options.idleMs ?? 20_000;
    this.#waitingMax = options.waitingMax ?? 1000;
    this.#onFault = options.onFault ?? (() => {});
    this.#sweep = setInterval(() => this.#closeIdle(performance.now() - this.#idleMs), 1000);
    this.#sweep.unref();
  }

  /**
   * One result per recipient, in the order of the envelope. What the network does is a result, never a fault.
   * @throws Fault `smtp.unsafe-content` or `smtp.unsafe-envelope` before anything is written.
   */
  async send(delivery: Delivery): Promise<readonly RecipientResult[]> {
    const needs = contentNeeds(delivery.content);
    checkEnvelope(delivery.envelope);
    if (this.#closed) return deferred(delivery, CLOSED);
    if (this.#running >= this.#connectionsMax) {
      if (this.#waiting.length >= this.#waitingMax) return deferred(delivery, BUSY);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else this.#running++;
    try {
      return await this.#attempt(delivery, needs);
    } finally {
      this.#next();
    }
  }

  /** Lets deliveries under way come to their end, then says QUIT everywhere. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#sweep);
    if (this.#running > 0)
      await new Promise<void>((resolve) => {
        this.#drained = resolve;
      });
    this.#closeIdle(Number.POSITIVE_INFINITY);
  }

  async #attempt(delivery: Delivery, needs: ContentNeeds): Promise<readonly RecipientResult[]> {
    const kept = this.#takeIdle();
    if (kept !== null) {
      const result = await this.#run(kept, delivery, needs);
      // A kept connection may have been closed by the next hop's idle limit; that says nothing about the message.
      if (result.kind === 'done') return result.recipients;
    }
    let connection: ClientConnection;
    try {
      connection = await openConnection(this.#hop);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      this.#onFault(error);
      return deferred(delivery, UNREACHABLE);
    }
    const result = await this.#run({ connection, messages: 0, idleSince: 0 }, delivery, needs);
    if (result.kind === 'done') return result.recipients;
    this.#onFault(result.fault);
    return deferred(delivery, LOST);
  }

  async #run(pooled: Pooled, delivery: Delivery, needs: ContentNeeds): Promise<TransactionResult> {
    const result = await transact(pooled.connection, delivery, needs);
    pooled.messages++;
    if (!pooled.connection.usable) pooled.connection.destroy();
    else if (pooled.messages >= this.#messagesMax) pooled.connection.close();
    else {
      pooled.idleSince = performance.now();
      this.#idle.push(pooled);
    }
    return result;
  }

  /** The one used last: the others may then grow old and be closed. */
  #takeIdle(): Pooled | null {
    for (let kept = this.#idle.pop(); kept !== undefined; kept = this.#idle.pop())
      if (kept.connection.usable) return kept;
    return null;
  }

  #next(): void {
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) {
      waiting();
      return;
    }
    this.#running--;
    if (this.#running === 0) this.#drained();
  }

  #closeIdle(before: number): void {
    const old = this.#idle.filter((pooled) => pooled.idleSince < before);
    if (old.length === 0) return;
    this.#idle = this.#idle.filter((pooled) => pooled.idleSince >= before);
    for (const pooled of old) pooled.connection.close();
  }
}

function deferred(delivery: Delivery, reply: Reply): readonly RecipientResult[] {
  return delivery.envelope.recipients.map(() => ({ kind: 'deferred', stage: 'connect', reply }));
}
