/**
 * A far side for tests, as a process of its own: an SMTP server that keeps an account of what it took, and can be slow,
 * refuse, defer, hang up after the final dot, or never answer it. Shares no code with the sender.
 *
 *     node test/support/sink.mjs LOG [SETTINGS]
 *
 * It prints `ready PORT`, then `count N` whenever it has taken more messages. Lines of JSON on standard input change the
 * settings; `{"flush":7}` writes the log out and prints `flushed 7`. It ends with standard input.
 *
 * Settings: `port`, `delayMs` (before each answer to a final dot), `refusePercent` (550), `deferFirst` and `deferAlways`
 * (451), `dropPercent` and `stallPercent` (the message is kept, no answer comes; the first time only unless `always`),
 * `trace` (every piece of content is noted), `plain` (no PIPELINING). A recipient falls into a percentage by its hash.
 * LOG has one line for each event: time in us (monotonic, of this machine), connection, event, recipient, bytes.
 */

import { createHash } from 'node:crypto';
import { appendFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';

const END = Buffer.from('\r\n.\r\n');
const EMPTY_END = Buffer.from('.\r\n');
const [, , log, given] = process.argv;
const settings = JSON.parse(given ?? '{}');
const sockets = new Set();
const seen = new Map();
let lines = [];
let taken = 0;
let said = 0;
let connections = 0;

writeFileSync(log, '');

function note(session, event, bytes) {
  const us = process.hrtime.bigint() / 1000n;
  lines.push(`${us}\t${session.id}\t${event}\t${session.rcpt ?? ''}\t${bytes}\n`);
}

function flush() {
  if (lines.length === 0) return;
  appendFileSync(log, lines.join(''));
  lines = [];
}

/** 0 to 99.99, the same for one recipient in every run; `salt` makes the percentages independent of each other. */
function share(salt, rcpt) {
  return (createHash('sha256').update(`${salt} ${rcpt}`).digest().readUInt16BE(0) % 10_000) / 100;
}

/** The recipient in the spellings that far sides really quote. */
function quoted(rcpt) {
  const at = rcpt.lastIndexOf('@');
  const ascii = /^[\x20-\x7e]+$/.test(rcpt) ? rcpt : 'recipient';
  const base64 = Buffer.from(rcpt).toString('base64');
  return `<${ascii}> ${encodeURIComponent(rcpt)} ${base64} mailbox of ${ascii.slice(0, at)}`;
}

/** What becomes of a message whose final dot has come: an answer, 'drop' or 'stall'. */
function verdict(rcpt) {
  const tries = (seen.get(rcpt) ?? 0) + 1;
  seen.set(rcpt, tries);
  const first = tries === 1 || settings.always === true;
  if (share('refuse', rcpt) < (settings.refusePercent ?? 0))
    return `550 5.1.1 ${quoted(rcpt)} unknown\r\n`;
  if (settings.deferAlways || (settings.deferFirst && tries === 1))
    return `451 4.3.0 ${quoted(rcpt)} later\r\n`;
  if (first && share('drop', rcpt) < (settings.dropPercent ?? 0)) return 'drop';
  if (first && share('stall', rcpt) < (settings.stallPercent ?? 0)) return 'stall';
  return '250 2.0.0 kept\r\n';
}

function finish(session, bytes) {
  const answer = verdict(session.rcpt);
  if (answer === 'drop' || answer === 'stall') {
    taken++;
    note(session, `kept-${answer}`, bytes);
    if (answer === 'drop') session.socket.destroy();
    else session.stalled = true;
    return;
  }
  const kept = answer.startsWith('250');
  if (kept) taken++;
  note(session, kept ? 'kept' : answer.slice(0, 3), bytes);
  session.socket.write(answer);
}

function command(session, line) {
  const verb = line.slice(0, 4).toUpperCase();
  if (verb === 'EHLO') {
    const words = settings.plain ? '' : '250-PIPELINING\r\n';
    return `250-sink.example\r\n${words}250-SMTPUTF8\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n`;
  }
  if (verb === 'MAIL') return '250 2.1.0 ok\r\n';
  if (verb === 'RCPT') {
    session.rcpt = /<(.*)>/.exec(line)?.[1] ?? '';
    return '250 2.1.5 ok\r\n';
  }
  if (verb === 'DATA') {
    session.data = true;
    return '354 go on\r\n';
  }
  // NOOP carries the time of its writing: the control of the delay measurements.
  if (verb === 'NOOP') {
    note(session, 'noop', Number(line.slice(5).trim() || 0));
    return '250 2.0.0 ok\r\n';
  }
  if (verb === 'QUIT') {
    session.socket.end('221 2.0.0 bye\r\n');
    return '';
  }
  return verb === 'RSET' ? '250 2.0.0 ok\r\n' : '500 5.5.2 no\r\n';
}

/** The end of the message in what is pending, or -1. */
function endOfData(session) {
  if (session.fresh && session.pending.subarray(0, 3).equals(EMPTY_END)) return 3;
  const at = session.pending.indexOf(END, session.searched);
  if (at >= 0) return at + END.length;
  session.searched = Math.max(0, session.pending.length - END.length);
  return -1;
}

function takeMessage(session) {
  const end = endOfData(session);
  if (settings.trace) note(session, 'content', end < 0 ? session.pending.length : end);
  if (end < 0) return false;
  session.pending = session.pending.subarray(end);
  session.data = false;
  session.searched = 0;
  if ((settings.delayMs ?? 0) === 0) finish(session, end);
  else {
    session.busy = true;
    setTimeout(() => {
      session.busy = false;
      if (session.socket.destroyed) {
        // The sender has gone while we were thinking: the message is ours all the same.
        taken++;
        note(session, 'kept-gone', end);
        return;
      }
      finish(session, end);
      work(session);
    }, settings.delayMs);
  }
  return true;
}

function work(session) {
  let answers = '';
  while (!session.busy && !session.stalled) {
    if (session.data) {
      if (session.pending.length === 0 || !takeMessage(session)) break;
      continue;
    }
    const end = session.pending.indexOf(10);
    if (end < 0) break;
    const line = session.pending.toString('utf8', 0, end).trimEnd();
    session.pending = session.pending.subarray(end + 1);
    answers += command(session, line);
    if (session.data) {
      session.searched = 0;
      session.fresh = true;
      // The 354 goes out before any content is looked at.
      session.socket.write(answers);
      answers = '';
    }
  }
  if (answers !== '') session.socket.write(answers);
}

const server = createServer((socket) => {
  const session = {
    id: ++connections,
    socket,
    pending: Buffer.alloc(0),
    searched: 0,
    data: false,
    fresh: false,
    busy: false,
    stalled: false,
    rcpt: null,
  };
  sockets.add(socket);
  socket.setNoDelay(true);
  socket.on('error', () => socket.destroy());
  socket.on('close', () => sockets.delete(socket));
  socket.on('data', (chunk) => {
    session.pending =
      session.pending.length === 0 ? chunk : Buffer.concat([session.pending, chunk]);
    work(session);
  });
  socket.write('220 sink.example ESMTP\r\n');
});

setInterval(() => {
  if (taken === said) return;
  said = taken;
  process.stdout.write(`count ${taken}\n`);
}, 5);

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const { flush: number, ...changes } = JSON.parse(line);
    Object.assign(settings, changes);
    if (number === undefined) return;
    flush();
    process.stdout.write(`flushed ${number} ${sockets.size}\n`);
  })
  .on('close', () => process.exit(0));

server.listen(settings.port ?? 0, '127.0.0.1', () =>
  process.stdout.write(`ready ${server.address().port}\n`),
);
