/**
 * One SMTP command line, without its CRLF, read from bytes (RFC 5321 section 4.1, 3461, 4954, 6152, 6531).
 * Reading never fails: a line that is no command is a `bad` one that carries its reply.
 */

import { hasNonAscii, readPath } from './path.ts';
import { makeReply, type Reply } from './reply.ts';

/** What DSN (RFC 3461) asks for one recipient, as sent; '' where nothing was said. */
export interface RecipientDsn {
  readonly notify: string;
  readonly orcpt: string;
}

export interface MailCommand {
  readonly kind: 'mail';
  /** '' is the null reverse-path. */
  readonly from: string;
  /** Bytes announced by SIZE (RFC 1870); 0 where nothing was announced. */
  readonly sizeBytes: number;
  readonly body: '7BIT' | '8BITMIME';
  readonly smtpUtf8: boolean;
  /** RFC 3461; '' where nothing was said. */
  readonly ret: '' | 'FULL' | 'HDRS';
  readonly envid: string;
}

export interface RcptCommand {
  readonly kind: 'rcpt';
  readonly address: string;
  readonly dsn: RecipientDsn;
}

export type Command =
  | { readonly kind: 'ehlo' | 'helo'; readonly name: string }
  | { readonly kind: 'auth'; readonly mechanism: string; readonly initial: string | null }
  | MailCommand
  | RcptCommand
  | { readonly kind: 'starttls' | 'data' | 'rset' | 'noop' | 'quit' | 'vrfy' | 'help' }
  | { readonly kind: 'foreign' }
  | { readonly kind: 'bad'; readonly reply: Reply };

const NO_DSN: RecipientDsn = { notify: '', orcpt: '' };
const CLIENT_NAME = /^[\w.\-:[\]]{1,255}$/;
const XTEXT = /^(?:[!-*,-<>-~]|\+[0-9A-F]{2})+$/;
const ORCPT = /^[A-Za-z0-9-]{1,32};(?:[!-<>-~\u{80}-\u{10ffff}]){1,500}$/u;
const NOTIFY = /^(?:NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY)){0,2})$/i;
const UTF8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Verbs after which other bytes than commands may follow: content of BDAT, which is not offered, or another protocol's request
 * made to speak to us. The connection cannot go on.
 */
const FOREIGN = new Set(['BDAT', 'GET', 'POST', 'PUT', 'HEAD', 'OPTIONS', 'CONNECT', 'HOST:']);

/** Reads one line. It holds no CR, LF or NUL: who splits lines has refused those. */
export function readCommand(line: Buffer): Command {
  const text = decode(line);
  if (text === null) return bad(500, '5.5.2', 'The line is not UTF-8.');
  const space = text.indexOf(' ');
  const verb = (space < 0 ? text : text.slice(0, space)).toUpperCase();
  const rest = space < 0 ? '' : text.slice(space + 1);
  switch (verb) {
    case 'MAIL':
      return readMail(rest);
    case 'RCPT':
      return readRcpt(rest);
    case 'EHLO':
    case 'HELO':
      return CLIENT_NAME.test(rest.trim())
        ? { kind: verb === 'EHLO' ? 'ehlo' : 'helo', name: rest.trim() }
        : bad(501, '5.5.4', `${verb} needs the name of the client.`);
    case 'AUTH':
      return readAuth(rest);
    case 'DATA':
    case 'RSET':
    case 'QUIT':
    case 'STARTTLS':
      return readBare(verb, rest);
    case 'NOOP':
      return { kind: 'noop' };
    case 'VRFY':
      return { kind: 'vrfy' };
    case 'HELP':
      return { kind: 'help' };
    default:
      return FOREIGN.has(verb) ? { kind: 'foreign' } : bad(500, '5.5.1', 'Command not known.');
  }
}

function decode(line: Buffer): string | null {
  for (const byte of line) {
    if (byte < 128) continue;
    try {
      return UTF8.decode(line);
    } catch {
      return null;
    }
  }
  return line.toString('latin1');
}

function readBare(verb: 'DATA' | 'RSET' | 'QUIT' | 'STARTTLS', rest: string): Command {
  if (rest.trim() !== '') return bad(501, '5.5.4', `${verb} takes no argument.`);
  switch (verb) {
    case 'DATA':
      return { kind: 'data' };
    case 'RSET':
      return { kind: 'rset' };
    case 'QUIT':
      return { kind: 'quit' };
    case 'STARTTLS':
      return { kind: 'starttls' };
  }
}

function readAuth(rest: string): Command {
  const [mechanism = '', initial, ...more] = rest.trim().split(/ +/);
  if (mechanism === '' || more.length > 0)
    return bad(501, '5.5.4', 'AUTH needs one mechanism and at most one response.');
  return { kind: 'auth', mechanism: mechanism.toUpperCase(), initial: initial ?? null };
}

function readMail(rest: string): Command {
  const start = pathStart(rest, 'FROM:');
  if (start < 0) return bad(501, '5.5.4', 'Write MAIL FROM:<address>.');
  const path = readPath(rest, start, true);
  if (path.kind === 'invalid') return bad(553, '5.1.7', path.reason);
  let mail: MailCommand = {
    kind: 'mail',
    from: path.address,
    sizeBytes: 0,
    body: '7BIT',
    smtpUtf8: false,
    ret: '',
    envid: '',
  };
  if (path.end < rest.length) {
    const parameters = readParameters(rest, path.end);
    if (parameters === null) return bad(501, '5.5.4', 'A parameter of MAIL is not well-formed.');
    for (const [keyword, value] of parameters) {
      const change = mailParameter(keyword, value);
      if ('kind' in change) return change;
      mail = { ...mail, ...change };
    }
  }
  if (!mail.smtpUtf8 && hasNonAscii(mail.from)) return needsUtf8();
  return mail;
}

function readRcpt(rest: string): Command {
  const start = pathStart(rest, 'TO:');
  if (start < 0) return bad(501, '5.5.4', 'Write RCPT TO:<address>.');
  const path = readPath(rest, start, false);
  if (path.kind === 'invalid') return bad(553, '5.1.3', path.reason);
  if (path.end === rest.length) return { kind: 'rcpt', address: path.address, dsn: NO_DSN };
  const parameters = readParameters(rest, path.end);
  if (parameters === null) return bad(501, '5.5.4', 'A parameter of RCPT is not well-formed.');
  return readDsn(path.address, parameters);
}

function readDsn(address: string, parameters: ReadonlyMap<string, string>): Command {
  let dsn = NO_DSN;
  for (const [keyword, value] of parameters) {
    if (keyword === 'NOTIFY' && NOTIFY.test(value)) dsn = { ...dsn, notify: value.toUpperCase() };
    else if (keyword === 'ORCPT' && ORCPT.test(value)) dsn = { ...dsn, orcpt: value };
    else return badParameter(keyword, ['NOTIFY', 'ORCPT'], 'RCPT');
  }
  return { kind: 'rcpt', address, dsn };
}

/** RFC 5321 has no space after the colon; old clients write some, and nobody reads them differently. */
function pathStart(rest: string, word: string): number {
  if (rest.slice(0, word.length).toUpperCase() !== word) return -1;
  let start = word.length;
  while (rest[start] === ' ') start++;
  return start;
}

/** The parameters after a path, keywords in upper case; null where they are malformed or one comes twice. */
function readParameters(rest: string, from: number): ReadonlyMap<string, string> | null {
  if (rest[from] !== ' ') return null;
  const parameters = new Map<string, string>();
  for (const item of rest.slice(from).split(' ')) {
    if (item === '') continue;
    const parts = /^([A-Za-z0-9][A-Za-z0-9-]*)(?:=([^=\s]+))?$/.exec(item);
    const keyword = parts?.[1]?.toUpperCase();
    if (keyword === undefined || parameters.has(keyword)) return null;
    parameters.set(keyword, parts?.[2] ?? '');
  }
  return parameters;
}

type MailChange = Partial<Omit<MailCommand, 'kind'>> | { kind: 'bad'; reply: Reply };

function mailParameter(keyword: string, value: string): MailChange {
  const upper = value.toUpperCase();
  if (keyword === 'SIZE' && /^\d{1,20}$/.test(value)) return { sizeBytes: Number(value) };
  if (keyword === 'BODY' && (upper === '7BIT' || upper === '8BITMIME')) return { body: upper };
  if (keyword === 'SMTPUTF8' && value === '') return { smtpUtf8: true };
  if (keyword === 'RET' && (upper === 'FULL' || upper === 'HDRS')) return { ret: upper };
  if (keyword === 'ENVID' && value.length <= 100 && XTEXT.test(value)) return { envid: value };
  // RFC 4954 section 5: a server may take the parameter and trust it no further than the session.
  if (keyword === 'AUTH' && (value === '<>' || XTEXT.test(value))) return {};
  return badParameter(keyword, ['SIZE', 'BODY', 'SMTPUTF8', 'RET', 'ENVID', 'AUTH'], 'MAIL');
}

function badParameter(
  keyword: string,
  known: readonly string[],
  verb: string,
): { kind: 'bad'; reply: Reply } {
  return known.includes(keyword)
    ? bad(501, '5.5.4', `The value of a parameter of ${verb} is not well-formed.`)
    : bad(555, '5.5.4', `A parameter of ${verb} is not known.`);
}

/** RFC 6531 section 3.5. */
export function needsUtf8(): { kind: 'bad'; reply: Reply } {
  return bad(553, '5.6.7', 'An address outside ASCII needs SMTPUTF8 with MAIL.');
}

function bad(code: number, enhanced: string, text: string): { kind: 'bad'; reply: Reply } {
  return { kind: 'bad', reply: makeReply(code, enhanced, text) };
}
