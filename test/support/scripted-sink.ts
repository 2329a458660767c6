/** A far side on a real socket that follows a script: what it says to the n-th thing it is told, in any cut of packets. */

import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { createServer as createTlsServer, TLSSocket } from 'node:tls';
import type { Certificate } from './certificate.ts';

/** What a script is told: a command line, or `content` once a final dot has come (with the bytes before it). */
export interface Told {
  readonly line: string;
  readonly content: string | null;
  readonly encrypted: boolean;
}

/** The answer: bytes to write (several pieces are several packets), `drop`, or `silence`. */
export type Answer = string | readonly string[] | 'drop' | 'silence';

export interface ScriptedSink {
  readonly port: number;
  /** Everything told so far, by connection; what came over TLS has `TLS ` before it. */
  readonly told: readonly (readonly string[])[];
  /** Content of the messages whose final dot came. */
  readonly contents: readonly string[];
  close(): Promise<void>;
}

export interface Script {
  readonly greeting?: string;
  readonly extensions?: readonly string[];
  /** Undefined: the usual answer. `connection` counts from 0. */
  answer?(told: Told, connection: number): Answer | undefined;
  /** TLS follows a 220 to STARTTLS, or comes first. */
  readonly tls?: Certificate & { readonly implicit?: boolean };
  /** Stops reading once content has begun. */
  readonly stall?: boolean;
}

function usual(told: Told, extensions: readonly string[]): string {
  const verb = told.line.split(' ')[0]?.toUpperCase();
  if (told.content !== null) return '250 2.0.0 taken\r\n';
  if (verb === 'EHLO') {
    const lines = ['sink', ...extensions];
    return lines.map((line, i) => `250${i === lines.length - 1 ? ' ' : '-'}${line}\r\n`).join('');
  }
  if (verb === 'DATA') return '354 go on\r\n';
  if (verb === 'STARTTLS') return '220 go on\r\n';
  return verb === 'QUIT' ? '221 bye\r\n' : '250 ok\r\n';
}

/** One connection: cuts what comes into command lines and contents, and answers each in turn. */
class Conversation {
  readonly told: string[] = [];
  #socket: Socket;
  readonly #script: Script;
  readonly #index: number;
  readonly #contents: string[];
  #rest = '';
  #inContent = false;
  #turn: Promise<void> = Promise.resolve();

  constructor(socket: Socket, script: Script, index: number, contents: string[]) {
    this.#socket = socket;
    this.#script = script;
    this.#index = index;
    this.#contents = contents;
    socket.setNoDelay(true);
    this.#listen();
    socket.write(script.greeting ?? '220 sink\r\n');
  }

  #listen(): void {
    this.#socket.on('error', () => {});
    this.#socket.on('data', (chunk) => {
      this.#rest += chunk.toString('utf8');
      this.#turn = this.#turn.then(() => this.#work());
    });
  }

  get #encrypted(): boolean {
    return this.#socket instanceof TLSSocket;
  }

  #secure(certificate: Certificate): void {
    this.#socket.removeAllListeners('data');
    this.#socket = new TLSSocket(this.#socket, { isServer: true, ...certificate });
    this.#rest = '';
    this.#listen();
  }

  async #work(): Promise<void> {
    for (let next = this.#next(); next !== null; next = this.#next()) {
      const said = next.content === null ? next.line : 'content';
      this.told.push(next.encrypted ? `TLS ${said}` : said);
      if (next.content) this.#contents.push(next.content);
      await this.#say(next);
    }
  }

  #next(): Told | null {
    return this.#inContent ? this.#nextContent() : this.#nextLine();
  }

  #nextLine(): Told | null {
    const end = this.#rest.indexOf('\r\n');
    if (end < 0) return null;
    const line = this.#rest.slice(0, end);
    this.#rest = this.#rest.slice(end + 2);
    return { line, content: null, encrypted: this.#encrypted };
  }

  #nextContent(): Told | null {
    const empty = this.#rest.startsWith('.\r\n');
    const end = empty ? -2 : this.#rest.indexOf('\r\n.\r\n');
    if (end === -1) return null;
    const content = this.#rest.slice(0, end + 2);
    this.#rest = this.#rest.slice(end + 5);
    this.#inContent = false;
    return { line: '', content, encrypted: this.#encrypted };
  }

  async #say(told: Told): Promise<void> {
    const extensions = this.#script.extensions ?? ['PIPELINING', 'SMTPUTF8'];
    const answer = this.#script.answer?.(told, this.#index) ?? usual(told, extensions);
    if (answer === 'drop') this.#socket.destroy();
    if (answer === 'drop' || answer === 'silence') return;
    const pieces = typeof answer === 'string' ? [answer] : answer;
    for (const piece of pieces) {
      this.#socket.write(piece);
      if (pieces.length > 1) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const { tls } = this.#script;
    if (told.line === 'STARTTLS' && tls !== undefined && pieces[0]?.startsWith('220'))
      this.#secure(tls);
    if (told.content !== null || !pieces.join('').startsWith('354')) return;
    this.#inContent = true;
    if (this.#script.stall) this.#socket.pause();
  }
}

export async function startScriptedSink(script: Script): Promise<ScriptedSink> {
  const conversations: Conversation[] = [];
  const contents: string[] = [];
  const sockets = new Set<Socket>();
  const { tls } = script;
  const begin = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    conversations.push(new Conversation(socket, script, conversations.length, contents));
  };
  const server = tls?.implicit === true ? createTlsServer(tls, begin) : createServer(begin);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    get told() {
      return conversations.map((each) => each.told);
    },
    contents,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
