/**
 * The far side of the demo: an SMTP server that keeps what it accepts. Shares no code with the sender.
 *
 *     node demo/sink.mjs DIR [MS]     prints "ready PORT"; ends on SIGTERM or when stdin closes
 *
 * Each message becomes DIR/000001.eml (dots unstuffed) and one line of DIR/envelopes.tsv:
 * number, MAIL FROM, RCPT TO joined by commas, smtputf8 (0 or 1), time in ms since 1970.
 * With MS each message is answered that much later, as receivers on the real network do.
 * Invariant: both are written before the 250 is. A started-again sink goes on counting.
 */

import { closeSync, mkdirSync, openSync, readdirSync, writeFileSync, writeSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';

const MESSAGE_BYTES_MAX = 50 * 1024 * 1024;
const LINE_BYTES_MAX = 4096;
const RECIPIENTS_MAX = 50_000;
const CR = 13;
const LF = 10;
const DOT = 46;
const END_OF_DATA = Buffer.from('\r\n.\r\n');
/** The CRLF of the DATA command's own line also counts before a first dot (RFC 5321, 4.1.1.4). */
const EMPTY_BODY_END = Buffer.from('.\r\n');

const GREETING = '220 sink.example ESMTP\r\n';
const EHLO = `250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-SIZE ${MESSAGE_BYTES_MAX}\r\n250 ENHANCEDSTATUSCODES\r\n`;

const directory = process.argv[2];
if (directory === undefined) {
  process.stderr.write('usage: node demo/sink.mjs DIR\n');
  process.exit(2);
}
const delayMs = Number(process.argv[3] ?? 0);
mkdirSync(directory, { recursive: true });
let count = readdirSync(directory).reduce(
  (highest, name) => Math.max(highest, Number(/^(\d+)\.eml$/.exec(name)?.[1] ?? 0)),
  0,
);
const envelopes = openSync(join(directory, 'envelopes.tsv'), 'a');
const sockets = new Set();

/** Where a bare CR or LF stands, or -1 (RFC 5321, 2.3.8: they may not be sent; they are how mail is smuggled). */
function bareLineEnd(bytes) {
  let before = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === LF ? before !== CR : before === CR) return at;
    before = byte;
  }
  return before === CR ? bytes.length - 1 : -1;
}

/** Takes away the dot that the sender put before a line that starts with one (RFC 5321, 4.5.2). */
function unstuff(bytes) {
  if (bytes[0] !== DOT && bytes.indexOf('\r\n.') < 0) return bytes;
  const plain = Buffer.allocUnsafe(bytes.length);
  let length = 0;
  for (let at = 0; at < bytes.length; at++) {
    const lineStart = at === 0 || (bytes[at - 1] === LF && bytes[at - 2] === CR);
    if (!(lineStart && bytes[at] === DOT)) plain[length++] = bytes[at];
  }
  return plain.subarray(0, length);
}

function keep(session, bytes) {
  count++;
  const number = String(count).padStart(6, '0');
  writeFileSync(join(directory, `${number}.eml`), bytes, { flag: 'wx' });
  const recipients = session.recipients.join(',');
  const utf8 = session.smtpUtf8 ? 1 : 0;
  writeSync(envelopes, `${number}\t${session.from}\t${recipients}\t${utf8}\t${Date.now()}\n`);
  return number;
}

function reset(session) {
  session.from = null;
  session.recipients = [];
  session.smtpUtf8 = false;
}

/** `<address> PARAMETERS` after the colon, or null. */
function readPath(text) {
  const match = /^\s*<((?:"(?:[^"\\]|\\.)*"|[^"<>\s])*)>((?:\s+\S+)*)\s*$/.exec(text);
  if (match === null || /\p{Cc}/u.test(match[1])) return null;
  return { address: match[1], parameters: match[2].trim().toUpperCase().split(/\s+/) };
}

function mail(session, rest) {
  const path = readPath(rest);
  if (path === null) return '501 5.5.4 MAIL FROM:<address> is wanted\r\n';
  if (session.from !== null) return '503 5.5.1 one MAIL at a time\r\n';
  const size = path.parameters.find((parameter) => parameter.startsWith('SIZE='));
  if (size !== undefined && Number(size.slice(5)) > MESSAGE_BYTES_MAX)
    return '552 5.3.4 too large\r\n';
  const smtpUtf8 = path.parameters.includes('SMTPUTF8');
  if (!smtpUtf8 && /[^ -~]/.test(path.address)) return '553 5.6.7 say SMTPUTF8\r\n';
  session.from = path.address;
  session.smtpUtf8 = smtpUtf8;
  return '250 2.1.0 ok\r\n';
}

function rcpt(session, rest) {
  if (session.from === null) return '503 5.5.1 MAIL first\r\n';
  const path = readPath(rest);
  if (path === null || path.address === '') return '501 5.5.4 RCPT TO:<address> is wanted\r\n';
  if (!session.smtpUtf8 && /[^ -~]/.test(path.address)) return '553 5.6.7 say SMTPUTF8\r\n';
  if (session.recipients.length >= RECIPIENTS_MAX) return '452 4.5.3 too many recipients\r\n';
  session.recipients.push(path.address);
  return '250 2.1.5 ok\r\n';
}

function data(session) {
  if (session.from === null || session.recipients.length === 0)
    return '503 5.5.1 MAIL and RCPT first\r\n';
  session.inData = true;
  return '354 go on\r\n';
}

function command(session, line) {
  const verb = line.slice(0, 4).toUpperCase();
  if (/^MAIL FROM:/i.test(line)) return mail(session, line.slice(10));
  if (/^RCPT TO:/i.test(line)) return rcpt(session, line.slice(8));
  if (verb === 'DATA' && line.trim().length === 4) return data(session);
  if (verb === 'EHLO' || verb === 'HELO' || verb === 'RSET') {
    reset(session);
    return verb === 'EHLO' ? EHLO : '250 2.0.0 ok\r\n';
  }
  if (verb === 'NOOP') return '250 2.0.0 ok\r\n';
  if (verb === 'QUIT') {
    session.leaving = true;
    return '221 2.0.0 bye\r\n';
  }
  return '500 5.5.2 not understood\r\n';
}

/** One finished message, or null while its end has not come. */
function takeMessage(session) {
  const empty = session.pending.subarray(0, 3).equals(EMPTY_BODY_END);
  const end = empty ? 0 : session.pending.indexOf(END_OF_DATA, session.searched);
  if (end < 0) {
    session.searched = Math.max(0, session.pending.length - END_OF_DATA.length + 1);
    session.tooLarge ||= session.pending.length > MESSAGE_BYTES_MAX;
    if (session.tooLarge) session.pending = session.pending.subarray(-END_OF_DATA.length + 1);
    if (session.tooLarge) session.searched = 0;
    return null;
  }
  const bytes = session.pending.subarray(0, empty ? 0 : end + 2);
  session.pending = session.pending.subarray(empty ? 3 : end + END_OF_DATA.length);
  session.searched = 0;
  session.inData = false;
  return bytes;
}

function answerMessage(session, bytes) {
  const tooLarge = session.tooLarge;
  session.tooLarge = false;
  let answer;
  if (tooLarge) answer = '552 5.3.4 too large\r\n';
  else if (bareLineEnd(bytes) >= 0) answer = '554 5.6.0 a bare CR or LF stands in it\r\n';
  else answer = `250 2.0.0 kept as ${keep(session, unstuff(bytes))}\r\n`;
  reset(session);
  return answer;
}

/** Works through everything that has come and returns the answers in order (RFC 2920). */
function work(session) {
  let answers = '';
  while (!session.leaving) {
    if (session.inData) {
      const bytes = takeMessage(session);
      if (bytes === null) break;
      answers += answerMessage(session, bytes);
      continue;
    }
    const end = session.pending.indexOf(LF);
    if (end < 0) {
      if (session.pending.length <= LINE_BYTES_MAX) break;
      session.leaving = true;
      return `${answers}500 5.5.2 the line is too long\r\n`;
    }
    const line = session.pending.subarray(0, end + 1);
    session.pending = session.pending.subarray(end + 1);
    const sound = bareLineEnd(line) < 0;
    answers += sound
      ? command(session, line.toString('utf8', 0, end - 1))
      : '500 5.5.2 a bare CR or LF\r\n';
  }
  return answers;
}

function serve(socket) {
  const session = {
    pending: Buffer.alloc(0),
    searched: 0,
    inData: false,
    tooLarge: false,
    leaving: false,
    said: Promise.resolve(),
  };
  reset(session);
  sockets.add(socket);
  socket.setNoDelay(true);
  socket.on('error', () => socket.destroy());
  socket.on('close', () => sockets.delete(socket));
  socket.on('data', (chunk) => {
    session.pending =
      session.pending.length === 0 ? chunk : Buffer.concat([session.pending, chunk]);
    const before = count;
    const answers = work(session);
    const say = () => {
      if (session.leaving) socket.end(answers);
      else if (answers !== '') socket.write(answers, 'latin1');
    };
    if (delayMs === 0) {
      say();
      return;
    }
    // In the order of the commands, however long one of them takes.
    const wait = count > before ? delayMs * (0.7 + Math.random() * 0.6) : 0;
    session.said = session.said.then(() => new Promise((done) => setTimeout(done, wait))).then(say);
  });
  socket.write(GREETING);
}

const server = createServer(serve);

function end() {
  server.close();
  for (const socket of sockets) socket.destroy();
  closeSync(envelopes);
  process.exit(0);
}

process.once('SIGTERM', end);
process.stdin.once('end', end).once('close', end).resume();
server.listen(0, '127.0.0.1', () => process.stdout.write(`ready ${server.address().port}\n`));
