/**
 * The connections of one route, and the one place where content is handed to a socket.
 * Invariant, in this order, in one turn of the event loop: last look, intent written, no halt and a valid permit, content.
 */

import type { Fault } from '../../base/errors.ts';
import type { IntentLog } from '../intent-log.ts';
import type { Allowed, LookResult, lookBeforeWrite } from '../last-look.ts';
import type { Route } from '../route.ts';
import type { Outgoing, SendResult } from './outgoing.ts';
import { type ConnectionOwner, SendConnection } from './send-connection.ts';

export interface SendPoolOptions {
  readonly route: Route;
  readonly allowed: Allowed;
  readonly look: typeof lookBeforeWrite;
  readonly intents: IntentLog;
  /** Whether content may be handed over at this very moment: permit, halt, coverage. */
  mayWrite(): boolean;
  next(): Outgoing | null;
  settled(message: Outgoing, result: SendResult): void;
  /** The last look found something: nothing more is handed over. */
  stopped(message: Outgoing, result: LookResult & { kind: 'stop' }): void;
  /** The route cannot be used now; it is tried again by itself. */
  unreachable(fault: Fault): void;
}

interface Ready {
  readonly connection: SendConnection;
  readonly message: Outgoing;
  readonly commands: Buffer;
}

const RECONNECT_MS_MIN = 100;
const RECONNECT_MS_MAX = 30_000;
const CLOCK_MS = 250;

export class SendPool implements ConnectionOwner {
  readonly route: Route;
  readonly #options: SendPoolOptions;
  readonly #connections = new Set<SendConnection>();
  #ready: Ready[] = [];
  #flushing = false;
  #nextId = 1;
  #stopping = false;
  #reconnectMs = RECONNECT_MS_MIN;
  #reconnectAt = 0;
  readonly #clock: NodeJS.Timeout;

  constructor(options: SendPoolOptions) {
    this.#options = options;
    this.route = options.route;
    this.#clock = setInterval(() => this.#tick(), CLOCK_MS);
  }

  /** Messages whose content is handed over and whose reply is not there: at most one per connection. */
  inFlight(): readonly Outgoing[] {
    const messages: Outgoing[] = [];
    for (const connection of this.#connections)
      if (connection.inFlight !== null) messages.push(connection.inFlight);
    return messages;
  }

  /** New messages may be there: idle connections take them, missing connections are opened. */
  kick(): void {
    if (this.#stopping) return;
    for (const connection of this.#connections) connection.kick();
    if (performance.now() < this.#reconnectAt) return;
    while (this.#connections.size < this.route.connections)
      this.#connections.add(new SendConnection(this.#nextId++, this));
  }

  take(): Outgoing | null {
    return this.#stopping ? null : this.#options.next();
  }

  /** Collects what became ready in this turn; it is handed over together after one write of the intent log. */
  ready(connection: SendConnection, message: Outgoing, commands: Buffer): void {
    this.#reconnectMs = RECONNECT_MS_MIN;
    this.#ready.push({ connection, message, commands });
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => this.#hand());
  }

  #hand(): void {
    this.#flushing = false;
    const ready = this.#ready;
    this.#ready = [];
    const { allowed, look, intents } = this.#options;
    const looked: Ready[] = [];
    for (const item of ready) {
      if (this.#stopping || !this.#options.mayWrite()) {
        item.connection.quit();
        continue;
      }
      const result = look(item.message.bytes, item.commands, item.message.leaf, allowed);
      if (result.kind === 'stop') {
        this.#stopping = true;
        item.connection.quit();
        this.#options.stopped(item.message, result);
        continue;
      }
      intents.intend(item.message.position, item.message.attempt, item.connection.id);
      looked.push(item);
    }
    if (looked.length === 0) return;
    const recorded = intents.flush();
    for (const { connection, message } of looked) {
      // Read again: writing the intents may have taken time, and a halt or a found leak stops the rest of this turn too.
      if (recorded && !this.#stopping && this.#options.mayWrite()) connection.write(message);
      else {
        intents.abandon(message.position, message.attempt);
        connection.quit();
      }
    }
  }

  settled(message: Outgoing, result: SendResult): void {
    this.#options.settled(message, result);
  }

  closed(connection: SendConnection, fault: Fault | null): void {
    this.#connections.delete(connection);
    this.#ready = this.#ready.filter((item) => item.connection !== connection);
    if (fault !== null && fault.code === 'route.unreachable') {
      this.#reconnectAt = performance.now() + this.#reconnectMs;
      this.#reconnectMs = Math.min(this.#reconnectMs * 2, RECONNECT_MS_MAX);
      this.#options.unreachable(fault);
    }
  }

  #tick(): void {
    const now = performance.now();
    for (const connection of this.#connections) connection.checkTime(now);
    this.kick();
  }

  /** No content is handed over after this returns. What awaits its reply goes on awaiting it. */
  halt(): void {
    this.#stopping = true;
    this.#ready = [];
    for (const connection of [...this.#connections]) connection.halt();
  }

  /** Ends when nothing is in flight or the time is up; what is still without a reply is then unknown. */
  async close(graceMs: number): Promise<void> {
    this.#stopping = true;
    for (const connection of [...this.#connections])
      if (connection.inFlight === null) connection.quit();
    const end = performance.now() + graceMs;
    while (this.#connections.size > 0 && performance.now() < end)
      await new Promise((resolve) => setTimeout(resolve, 5));
    for (const connection of [...this.#connections]) connection.quit();
    clearInterval(this.#clock);
  }
}
