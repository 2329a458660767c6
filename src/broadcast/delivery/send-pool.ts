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
  /** Makes a connection; tests put a faulty client in its place. */
  readonly connect?: Connect | undefined;
  readonly intents: Pick<IntentLog, 'intend' | 'abandon' | 'flush'>;
  /** Whether content may be handed over at this very moment: permit, halt, coverage. */
  mayWrite(): boolean;
  /** How many messages could be taken now. */
  waiting(): number;
  /** @param behind its envelope travels behind the content of another message. */
  next(behind: boolean): Outgoing | null;
  settled(message: Outgoing, result: SendResult): void;
  /** The last look found something: nothing more is handed over. */
  stopped(message: Outgoing, result: LookResult & { kind: 'stop' }): void;
  /** A connection is ready for messages. */
  reachable(): void;
  /** The route cannot be used now; it is tried again by itself. */
  unreachable(fault: Fault): void;
}

export type Connect = (id: number, owner: ConnectionOwner) => SendConnection;

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
  /** The last connection to end did so without an answer to any content: one is tried before the others. */
  #suspect = false;
  #excused = false;
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
    for (const connection of [...this.#connections]) connection.kick();
    if (performance.now() < this.#reconnectAt) return;
    const most = this.#suspect ? 1 : this.route.connections;
    const wanted = Math.min(most - this.#connections.size, this.#options.waiting());
    for (let i = 0; i < wanted; i++) this.#connections.add(this.#connect(this.#nextId++));
  }

  #connect(id: number): SendConnection {
    return this.#options.connect?.(id, this) ?? new SendConnection(id, this);
  }

  /** Only a connection that is ready for messages asks. */
  take(behind: boolean): Outgoing | null {
    if (this.#stopping) return null;
    this.#options.reachable();
    return this.#options.next(behind);
  }

  /** Collects what became ready in this turn; it is handed over together after one write of the intent log. */
  ready(connection: SendConnection, message: Outgoing, commands: Buffer): void {
    this.#ready.push({ connection, message, commands });
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => this.#hand());
  }

  #hand(): void {
    this.#flushing = false;
    const ready = this.#ready;
    this.#ready = [];
    const looked = ready.filter((item) => this.#look(item));
    if (looked.length === 0) return;
    const recorded = this.#options.intents.flush();
    for (const { connection, message } of looked) {
      // Read again: writing the intents may have taken time, and a halt or a found leak stops the rest of this turn too.
      if (recorded && this.#mayWrite() && connection.stage() && this.#mayWrite())
        connection.write(message);
      else {
        this.#options.intents.abandon(message.position, message.attempt);
        connection.quit();
      }
    }
  }

  #mayWrite(): boolean {
    return !this.#stopping && this.#options.mayWrite();
  }

  /** Looks at one message and notes the intent; gives it back when it may not go now. */
  #look({ connection, message, commands }: Ready): boolean {
    const { allowed, look, intents, stopped } = this.#options;
    if (!this.#mayWrite()) {
      connection.quit();
      return false;
    }
    const result = look(message.bytes, commands, message.leaf, allowed);
    if (result.kind === 'stop') {
      this.#stopping = true;
      connection.quit();
      stopped.call(this.#options, message, result);
      return false;
    }
    intents.intend(message.position, message.attempt, connection.id);
    return true;
  }

  /** Answers that do not fit may be the mark of a wrong envelope: it stops the broadcast as wrong content would. */
  outOfStep(message: Outgoing, commands: Buffer): void {
    const { allowed, look, stopped } = this.#options;
    const result = look(message.bytes, commands, message.leaf, allowed);
    if (result.kind !== 'stop' || this.#stopping) return;
    this.#stopping = true;
    stopped.call(this.#options, message, result);
  }

  settled(message: Outgoing, result: SendResult): void {
    if (result.kind === 'replied') {
      this.#suspect = false;
      this.#reconnectMs = RECONNECT_MS_MIN;
    }
    this.#options.settled(message, result);
  }

  /** The connection whose end settles a message now was lost by that message's fault: the route is not in question. */
  excuse(): void {
    this.#excused = true;
  }

  closed(connection: SendConnection, fault: Fault | null): void {
    this.#connections.delete(connection);
    this.#ready = this.#ready.filter((item) => item.connection !== connection);
    const excused = this.#excused;
    this.#excused = false;
    if (fault === null || connection.answered > 0) return;
    const now = performance.now();
    if (excused) {
      this.#reconnectAt = Math.max(this.#reconnectAt, now + RECONNECT_MS_MIN);
      return;
    }
    this.#suspect = true;
    // Connections that fail together are one failure of the route.
    if (now >= this.#reconnectAt) {
      this.#reconnectAt = now + this.#reconnectMs;
      this.#reconnectMs = Math.min(this.#reconnectMs * 2, RECONNECT_MS_MAX);
    }
    this.#options.unreachable(fault);
  }

  #tick(): void {
    const now = performance.now();
    for (const connection of [...this.#connections]) connection.checkTime(now);
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
    this.halt();
    const end = performance.now() + graceMs;
    while (this.#connections.size > 0 && performance.now() < end)
      await new Promise((resolve) => setTimeout(resolve, 5));
    for (const connection of [...this.#connections]) connection.quit();
    clearInterval(this.#clock);
  }
}
