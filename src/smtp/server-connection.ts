/**
 * One client of an SMTP server: bytes in, session steps, replies out.
 * Invariants: what was sent in the same packet after STARTTLS is thrown away; a line with a bare CR, LF or NUL ends the
 * connection; a handler that fails or says nothing clear is answered 451, never 250.
 */

import type { Socket } from 'node:net';
import { type SecureContext, TLSSocket } from 'node:tls';
import { DataReader, type DataReading, forbiddenByte } from './data-reader.ts';
import { makeReply, type Reply, replyBytes } from './reply.ts';
import {
  type Action,
  afterAuth,
  newSession,
  recipientsOf,
  type SessionSettings,
  type SessionState,
  type Step,
  step,
  withoutTransaction,
} from './session.ts';
import type { Dsn, SmtpSubmission, SubmissionOutcome } from './submission.ts';

export interface ConnectionSettings<Identity> {
  readonly session: SessionSettings;
  /** What a handshake beginning now uses; null where there is no TLS. */
  readonly secureContext: () => SecureContext | null;
  /** Silence after which a client is sent away. */
  readonly idleMs: number;
  /** The longest time from 354 to the end of content. */
  readonly contentMs: number;
  /** How long the answer to wrong credentials waits. */
  readonly authFailureDelayMs: number;
  readonly authenticate: (
    user: string,
    password: string,
  ) => Identity | null | Promise<Identity | null>;
  readonly onMessage: (submission: SmtpSubmission<Identity>) => Promise<SubmissionOutcome>;
  readonly onFault: (error: unknown) => void;
}

const LINE_BYTES_MAX = 4096;
/** RFC 4954 section 4: 12,288 octets for the lines of AUTH. */
const AUTH_LINE_BYTES_MAX = 12_288;
const INPUT_BYTES_MAX = 262_144;
const LF = 10;
const CR = 13;
const NOTHING: Buffer = Buffer.alloc(0);

const BAD_BYTES = makeReply(500, '5.5.2', 'A bare CR, a bare LF or a NUL; closing the connection.');
const LONG_LINE = makeReply(500, '5.5.2', 'The line is too long; closing the connection.');
const EARLY_CONTENT = makeReply(503, '5.5.0', 'Content came before 354; closing the connection.');
const TIMED_OUT = makeReply(421, '4.4.2', 'Nothing came for too long, closing the connection.');
const SHUTTING_DOWN = makeReply(421, '4.3.2', 'Shutting down, try again later.');
const FAULT = makeReply(451, '4.3.0', 'Something went wrong here; try again later.');
const AUTH_FAULT = makeReply(454, '4.7.0', 'Credentials cannot be looked at now; try again later.');

const REFUSED_CONTENT = {
  'too-large': makeReply(552, '5.3.4', 'The message is too large.'),
  'bare-cr': makeReply(550, '5.6.0', 'The message has a carriage return without a line feed.'),
  'bare-lf': makeReply(550, '5.6.0', 'The message has a line feed without a carriage return.'),
  'nul-byte': makeReply(550, '5.6.0', 'The message has a NUL.'),
} as const;

export class ServerConnection<Identity> {
  readonly #settings: ConnectionSettings<Identity>;
  #socket: Socket;
  #state: SessionState;
  #identity: Identity | null = null;
  #input: Buffer = NOTHING;
  #output: Buffer[] = [];
  #reader: DataReader | null = null;
  #readingSince = 0;
  /** Set while a promise of the owner is awaited: nothing is read then. */
  #busy = false;
  #ended = false;
  #closing = false;
  #halfClosed = false;

  constructor(socket: Socket, secure: boolean, settings: ConnectionSettings<Identity>) {
    this.#socket = socket;
    this.#settings = settings;
    this.#state = newSession(secure);
    this.#listen(socket);
    this.#say(makeReply(220, '', `${settings.session.name} ESMTP`));
    this.#flush();
  }

  /** Says 421 and ends: at once, or after the message being handled has its reply. */
  close(): void {
    this.#closing = true;
    if (this.#busy) return;
    this.#end(SHUTTING_DOWN);
  }

  destroy(): void {
    this.#ended = true;
    this.#socket.destroy();
  }

  #listen(socket: Socket): void {
    socket.setNoDelay(true);
    socket.setTimeout(this.#settings.idleMs);
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('timeout', () => {
      if (!this.#busy) this.#end(TIMED_OUT);
    });
    socket.on('drain', () => {
      if (!this.#busy) socket.resume();
    });
    socket.on('end', () => {
      if (this.#busy) this.#halfClosed = true;
      else this.#end(null);
    });
    socket.on('error', () => this.destroy());
  }

  #take(chunk: Buffer): void {
    if (this.#ended) return;
    this.#input = this.#input.length === 0 ? chunk : Buffer.concat([this.#input, chunk]);
    if (!this.#busy) this.#pump();
    else if (this.#input.length > INPUT_BYTES_MAX) this.#socket.pause();
  }

  /** Works through the input until it is used up, or somebody must be waited for. */
  #pump(): void {
    while (!this.#busy && !this.#ended) {
      if (this.#reader !== null) {
        if (this.#input.length === 0) break;
        this.#readContent(this.#reader);
      } else {
        const line = this.#nextLine();
        if (line === null) break;
        this.#do(step(this.#state, line, this.#settings.session));
      }
    }
    this.#flush();
  }

  /** The next whole line without its CRLF. Null where there is none yet, or the connection has been ended over it. */
  #nextLine(): Buffer | null {
    const input = this.#input;
    const end = input.indexOf(LF);
    const line = end < 0 ? input : input.subarray(0, end + 1);
    const max = this.#state.expects === 'command' ? LINE_BYTES_MAX : AUTH_LINE_BYTES_MAX;
    if (line.length > max) return this.#end(LONG_LINE);
    // A CR at the end of an unfinished line may still get its LF.
    const cut = end < 0 && line[line.length - 1] === CR ? line.subarray(0, -1) : line;
    if (forbiddenByte(cut) !== '') return this.#end(BAD_BYTES);
    if (end < 0) return null;
    this.#input = input.subarray(end + 1);
    return input.subarray(0, end - 1);
  }

  #do(result: Step): void {
    this.#state = result.state;
    const { action } = result;
    if (action.kind === 'read-data' && this.#input.length > 0) {
      this.#end(EARLY_CONTENT);
      return;
    }
    if (result.reply !== null) this.#say(result.reply);
    this.#act(action);
  }

  #act(action: Action): void {
    switch (action.kind) {
      case 'none':
        return;
      case 'close':
        this.#end(null);
        return;
      case 'read-data':
        this.#reader = new DataReader(this.#settings.session.sizeBytesMax);
        this.#readingSince = performance.now();
        return;
      case 'start-tls':
        this.#startTls();
        return;
      case 'authenticate':
        this.#wait(this.#authenticate(action.user, action.password));
    }
  }

  #readContent(reader: DataReader): void {
    const reading = reader.push(this.#input);
    this.#input = NOTHING;
    if (reading.kind === 'more') {
      const spentMs = performance.now() - this.#readingSince;
      if (spentMs > this.#settings.contentMs) this.#end(TIMED_OUT);
      return;
    }
    this.#reader = null;
    this.#input = reading.rest;
    this.#wait(this.#finish(reading));
  }

  async #finish(reading: Exclude<DataReading, { kind: 'more' }>): Promise<void> {
    const state = this.#state;
    this.#state = withoutTransaction(state);
    if (reading.kind === 'refused') {
      this.#say(REFUSED_CONTENT[reading.why]);
      return;
    }
    const outcome = await this.#settings.onMessage(this.#submission(state, reading.bytes));
    if (!isHonest(outcome)) throw new TypeError('an outcome and its reply code disagree');
    this.#say(outcome.reply);
  }

  #submission(state: SessionState, bytes: Buffer): SmtpSubmission<Identity> {
    const recipients = recipientsOf(state);
    return {
      envelope: {
        from: state.mail?.from ?? '',
        recipients: recipients.map((recipient) => recipient.address),
        smtpUtf8: state.mail?.smtpUtf8 ?? false,
      },
      bytes,
      identity: this.#identity,
      dsn: dsnOf(state, recipients),
      secure: state.secure,
    };
  }

  async #authenticate(user: string, password: string): Promise<void> {
    let identity: Identity | null;
    try {
      identity = await this.#settings.authenticate(user, password);
    } catch (error) {
      this.#settings.onFault(error);
      this.#say(AUTH_FAULT);
      return;
    }
    this.#identity = identity;
    if (identity === null) await pause(this.#settings.authFailureDelayMs);
    this.#do(afterAuth(this.#state, identity !== null, this.#settings.session));
  }

  /** Nothing is read until the work is done; its fault is answered 451. */
  #wait(work: Promise<void>): void {
    this.#busy = true;
    work
      .catch((error: unknown) => {
        this.#settings.onFault(error);
        this.#say(FAULT);
      })
      .then(() => {
        this.#busy = false;
        if (this.#closing) this.#end(SHUTTING_DOWN);
        else if (this.#halfClosed && this.#input.length === 0) this.#end(null);
        else if (!this.#ended) {
          if (this.#socket.isPaused()) this.#socket.resume();
          this.#pump();
        }
      })
      .catch((error: unknown) => {
        this.#settings.onFault(error);
        this.destroy();
      });
  }

  #startTls(): void {
    const secureContext = this.#settings.secureContext();
    if (secureContext === null) throw new TypeError('STARTTLS was offered without a certificate');
    this.#flush();
    this.#input = NOTHING;
    this.#identity = null;
    const plain = this.#socket;
    for (const event of ['data', 'timeout', 'drain', 'end']) plain.removeAllListeners(event);
    plain.setTimeout(0);
    const secure = new TLSSocket(plain, { isServer: true, secureContext });
    secure.on('close', () => plain.destroy());
    this.#socket = secure;
    this.#listen(secure);
  }

  #say(reply: Reply): void {
    this.#output.push(replyBytes(reply));
  }

  #flush(): void {
    if (this.#output.length === 0 || this.#socket.destroyed) return;
    const [only] = this.#output;
    const bytes =
      this.#output.length === 1 && only !== undefined ? only : Buffer.concat(this.#output);
    this.#output = [];
    // A client that does not read its replies is not read either.
    if (this.#socket.writable && !this.#socket.write(bytes)) this.#socket.pause();
  }

  #end(last: Reply | null): null {
    if (this.#ended) return null;
    this.#ended = true;
    if (last !== null) this.#say(last);
    this.#flush();
    this.#input = NOTHING;
    const socket = this.#socket;
    // Bytes left unread would turn the end into a reset, and the client would lose the last reply.
    socket.resume();
    socket.end();
    setTimeout(() => socket.destroy(), 2000).unref();
    return null;
  }
}

function isHonest(outcome: SubmissionOutcome): boolean {
  const { code } = outcome.reply;
  const hundreds = { accepted: 2, deferred: 4, refused: 5 }[outcome.kind];
  return Math.floor(code / 100) === hundreds && code !== 421;
}

function dsnOf(state: SessionState, recipients: ReturnType<typeof recipientsOf>): Dsn | null {
  const ret = state.mail?.ret ?? '';
  const envid = state.mail?.envid ?? '';
  const asked = recipients.some(({ dsn }) => dsn.notify !== '' || dsn.orcpt !== '');
  if (ret === '' && envid === '' && !asked) return null;
  return { ret, envid, recipients: recipients.map((recipient) => recipient.dsn) };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
