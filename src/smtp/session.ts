/**
 * The server's side of an SMTP dialogue as a pure step: (state, line) -> (state, reply, action).
 * Invariant: a transaction has one MAIL and at least one RCPT before `read-data` is asked for, and after STARTTLS nothing
 * said before it counts (RFC 3207 section 4.2).
 */

import {
  type Command,
  type MailCommand,
  needsUtf8,
  type RcptCommand,
  readCommand,
} from './command.ts';
import { offeredLines } from './extensions.ts';
import { hasNonAscii } from './path.ts';
import { fixedReply, makeReply, type Reply } from './reply.ts';

export interface SessionSettings {
  /** The name in the greeting and in the reply to EHLO. */
  readonly name: string;
  readonly sizeBytesMax: number;
  readonly recipientsMax: number;
  /** Replies of 4xx or 5xx after which the connection is closed. */
  readonly errorsMax: number;
  readonly tlsOffered: boolean;
  readonly authOffered: boolean;
  /** Whether AUTH may be used without TLS; for loopback only. */
  readonly authInClear: boolean;
  /** Whether MAIL needs AUTH before it. */
  readonly authRequired: boolean;
  /** A reply refuses the recipient; null takes it. */
  readonly recipientReply?: (address: string, from: string) => Reply | null;
}

/** A list by links: adding one of 10,000 recipients costs the same as adding the first, and older states stay true. */
export interface RecipientList {
  readonly recipient: RcptCommand;
  readonly previous: RecipientList | null;
  readonly count: number;
}

export interface SessionState {
  readonly greeted: '' | 'helo' | 'ehlo';
  readonly clientName: string;
  readonly secure: boolean;
  readonly authenticated: boolean;
  /** What the next line is. */
  readonly expects: 'command' | 'plain' | 'login-user' | 'login-password';
  readonly loginUser: string;
  readonly mail: MailCommand | null;
  readonly recipients: RecipientList | null;
  /** Set by one recipient too many: nobody of this transaction may get the message. */
  readonly overfull: boolean;
  readonly errors: number;
}

export type Action =
  | { readonly kind: 'none' | 'close' | 'start-tls' | 'read-data' }
  | { readonly kind: 'authenticate'; readonly user: string; readonly password: string };

export interface Step {
  readonly state: SessionState;
  /** Null only where the action itself leads to the reply. */
  readonly reply: Reply | null;
  readonly action: Action;
}

const NONE: Action = { kind: 'none' };
const CLOSE: Action = { kind: 'close' };
const OK = fixedReply(250, '2.0.0', 'Ok');
const SENDER_OK = fixedReply(250, '2.1.0', 'Ok');
const RECIPIENT_OK = fixedReply(250, '2.1.5', 'Ok');
const GO_AHEAD = fixedReply(354, '', 'End data with <CR><LF>.<CR><LF>');
const TOO_MANY_ERRORS = makeReply(421, '4.7.0', 'Too many errors, closing the connection.');
const BAD_SEQUENCE = '5.5.1';

export function newSession(secure: boolean): SessionState {
  return {
    greeted: '',
    clientName: '',
    secure,
    authenticated: false,
    expects: 'command',
    loginUser: '',
    mail: null,
    recipients: null,
    overfull: false,
    errors: 0,
  };
}

/** The state without its transaction: after DATA, RSET, EHLO. */
export function withoutTransaction(state: SessionState): SessionState {
  return state.mail === null ? state : { ...state, mail: null, recipients: null, overfull: false };
}

/** One line without its CRLF. */
export function step(state: SessionState, line: Buffer, settings: SessionSettings): Step {
  const result =
    state.expects === 'command'
      ? answer(state, readCommand(line), settings)
      : continueAuth(state, line.toString('latin1'));
  return counted(result, settings);
}

/** What follows AUTH when its credentials have been looked at. */
export function afterAuth(state: SessionState, good: boolean, settings: SessionSettings): Step {
  if (good)
    return {
      state: { ...state, authenticated: true },
      reply: makeReply(235, '2.7.0', 'Authenticated.'),
      action: NONE,
    };
  return counted(refuse(state, 535, '5.7.8', 'The user or the password is wrong.'), settings);
}

/** The recipients in the order given. */
export function recipientsOf(state: SessionState): readonly RcptCommand[] {
  const count = state.recipients?.count ?? 0;
  const recipients: RcptCommand[] = new Array(count);
  for (let at = state.recipients; at !== null; at = at.previous)
    recipients[at.count - 1] = at.recipient;
  return recipients;
}

function counted(result: Step, settings: SessionSettings): Step {
  if (result.reply === null || result.reply.code < 400) return result;
  const errors = result.state.errors + 1;
  const state = { ...result.state, errors };
  if (errors >= settings.errorsMax) return { state, reply: TOO_MANY_ERRORS, action: CLOSE };
  return { state, reply: result.reply, action: result.action };
}

function answer(state: SessionState, command: Command, settings: SessionSettings): Step {
  switch (command.kind) {
    case 'ehlo':
    case 'helo':
      return greet(state, command.kind, command.name, settings);
    case 'starttls':
      return startTls(state, settings);
    case 'auth':
      return startAuth(state, command.mechanism, command.initial, settings);
    case 'mail':
      return mail(state, command, settings);
    case 'rcpt':
      return rcpt(state, command, settings);
    case 'data':
      return data(state, settings);
    case 'rset':
      return say(withoutTransaction(state), OK);
    case 'noop':
      return say(state, OK);
    case 'vrfy':
      return say(state, makeReply(252, '2.5.0', 'Send the message, and its reply will say.'));
    case 'help':
      return say(state, makeReply(214, '2.0.0', 'RFC 5321'));
    case 'quit':
      return { state, reply: makeReply(221, '2.0.0', 'Bye'), action: CLOSE };
    case 'foreign':
      return {
        state,
        reply: makeReply(502, '5.5.1', 'Not implemented; what follows cannot be read.'),
        action: CLOSE,
      };
    case 'bad':
      return say(state, command.reply);
  }
}

function greet(
  state: SessionState,
  greeted: 'ehlo' | 'helo',
  clientName: string,
  settings: SessionSettings,
): Step {
  const next = { ...withoutTransaction(state), greeted, clientName };
  if (greeted === 'helo') return say(next, makeReply(250, '', settings.name));
  const lines = offeredLines({
    name: settings.name,
    sizeBytesMax: settings.sizeBytesMax,
    startTls: settings.tlsOffered && !state.secure,
    auth: authUsable(state, settings),
  });
  return say(next, { code: 250, enhanced: '', lines, text: lines.join(' ') });
}

function startTls(state: SessionState, settings: SessionSettings): Step {
  if (!settings.tlsOffered || state.secure)
    return refuse(state, 503, BAD_SEQUENCE, 'STARTTLS is not possible here.');
  if (state.mail !== null)
    return refuse(state, 503, BAD_SEQUENCE, 'STARTTLS is not possible in a transaction.');
  return {
    state: { ...newSession(true), errors: state.errors },
    reply: makeReply(220, '2.0.0', 'Ready to start TLS'),
    action: { kind: 'start-tls' },
  };
}

function authUsable(state: SessionState, settings: SessionSettings): boolean {
  return settings.authOffered && (state.secure || settings.authInClear);
}

function startAuth(
  state: SessionState,
  mechanism: string,
  initial: string | null,
  settings: SessionSettings,
): Step {
  if (!settings.authOffered) return refuse(state, 502, BAD_SEQUENCE, 'AUTH is not offered.');
  if (!authUsable(state, settings))
    return refuse(state, 538, '5.7.11', 'AUTH needs TLS: say STARTTLS first.');
  if (state.greeted !== 'ehlo' || state.authenticated || state.mail !== null)
    return refuse(state, 503, BAD_SEQUENCE, 'AUTH comes once, after EHLO and before MAIL.');
  if (mechanism !== 'PLAIN' && mechanism !== 'LOGIN')
    return refuse(state, 504, '5.5.4', 'The mechanism is not known.');
  const expects = mechanism === 'PLAIN' ? 'plain' : 'login-user';
  const waiting: SessionState = { ...state, expects };
  if (initial !== null) return continueAuth(waiting, initial);
  return say(waiting, makeReply(334, '', expects === 'plain' ? '' : base64('Username:')));
}

/** One base64 line of AUTH PLAIN (RFC 4616) or AUTH LOGIN. */
function continueAuth(state: SessionState, line: string): Step {
  const back: SessionState = { ...state, expects: 'command', loginUser: '' };
  if (line === '*') return refuse(back, 501, '5.7.0', 'AUTH was given up.');
  const text = fromBase64(line);
  if (text === null) return refuse(back, 501, '5.5.2', 'The response is not base64.');
  if (state.expects === 'login-user')
    return say(
      { ...state, expects: 'login-password', loginUser: text },
      makeReply(334, '', base64('Password:')),
    );
  if (state.expects === 'login-password') return authenticate(back, state.loginUser, text);
  const [authorize, user, password, ...more] = text.split('\0');
  const wellFormed = user !== undefined && password !== undefined && more.length === 0;
  if (!wellFormed || (authorize !== '' && authorize !== user))
    return refuse(back, 501, '5.5.2', 'The response of AUTH PLAIN is not well-formed.');
  return authenticate(back, user, password);
}

function authenticate(state: SessionState, user: string, password: string): Step {
  return { state, reply: null, action: { kind: 'authenticate', user, password } };
}

function mail(state: SessionState, command: MailCommand, settings: SessionSettings): Step {
  if (state.greeted === '') return refuse(state, 503, BAD_SEQUENCE, 'Say EHLO first.');
  if (settings.authRequired && !state.authenticated)
    return refuse(state, 530, '5.7.0', 'Authentication is required.');
  if (state.mail !== null) return refuse(state, 503, BAD_SEQUENCE, 'A transaction is open.');
  if (command.sizeBytes > settings.sizeBytesMax)
    return refuse(state, 552, '5.3.4', `The largest message is ${settings.sizeBytesMax} bytes.`);
  return say({ ...state, mail: command, recipients: null }, SENDER_OK);
}

function rcpt(state: SessionState, command: RcptCommand, settings: SessionSettings): Step {
  if (state.mail === null) return refuse(state, 503, BAD_SEQUENCE, 'Say MAIL first.');
  if (!state.mail.smtpUtf8 && hasNonAscii(command.address)) return say(state, needsUtf8().reply);
  const count = (state.recipients?.count ?? 0) + 1;
  // RFC 5321 section 4.5.3.1.10 has 452 (and lets clients read 552 as 452), after which they send the rest as a second
  // message: one disclosure in two halves. So the answer is 550, and DATA repeats it for the whole transaction.
  if (count > settings.recipientsMax) return overfull(state, settings);
  const refusal = settings.recipientReply?.(command.address, state.mail.from) ?? null;
  if (refusal !== null) return say(state, refusal);
  const recipients = { recipient: command, previous: state.recipients, count };
  return say({ ...state, recipients }, RECIPIENT_OK);
}

function overfull(state: SessionState, settings: SessionSettings): Step {
  const text = `At most ${settings.recipientsMax} recipients; nobody gets this message.`;
  return refuse({ ...state, overfull: true }, 550, '5.5.3', text);
}

function data(state: SessionState, settings: SessionSettings): Step {
  if (state.mail === null) return refuse(state, 503, BAD_SEQUENCE, 'Say MAIL first.');
  if (state.overfull) return overfull(state, settings);
  if (state.recipients === null)
    return refuse(state, 554, BAD_SEQUENCE, 'There is no valid recipient.');
  return { state, reply: GO_AHEAD, action: { kind: 'read-data' } };
}

function say(state: SessionState, reply: Reply): Step {
  return { state, reply, action: NONE };
}

function refuse(state: SessionState, code: number, enhanced: string, text: string): Step {
  return say(state, makeReply(code, enhanced, text));
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

function fromBase64(line: string): string | null {
  if (line === '=') return '';
  if (line.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(line)) return null;
  return Buffer.from(line, 'base64').toString('utf8');
}
