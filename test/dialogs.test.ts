/**
 * Runs the SMTP conversations in dialogs/*.dialog against the real server.
 *
 * `c -> text`  the client sends the text and CRLF; \r \n \0 \t \\ and \xHH are undone
 * `c => text`  the same without CRLF
 * `s <~ regex` the server's next reply, all its lines joined by ' | ', matches
 * `s closes`   the server ends the connection without another reply
 * `s silent`   no reply comes for 50 ms
 * `got N`      the number of messages handed on so far; `got to LIST` and `got bytes TEXT` are about the last one
 * `set KEY VALUE` before the first line: a number of the server's limits, `auth required`, `anonymous`
 */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { makeReply, type Reply, ReplyReader } from '../src/smtp/reply.ts';
import { type SmtpServer, startSmtpServer } from '../src/smtp/server.ts';
import type { SmtpSubmission } from '../src/smtp/submission.ts';

const FOLDER = fileURLToPath(new URL('./dialogs/', import.meta.url));
const WAIT_MS = 3000;

class Peer {
  readonly #socket: Socket;
  readonly #replies: Reply[] = [];
  #closed = false;
  #wake: () => void = () => {};

  constructor(port: number) {
    const reader = new ReplyReader();
    this.#socket = connect(port, '127.0.0.1');
    this.#socket.on('data', (chunk) => {
      this.#replies.push(...reader.push(chunk));
      this.#wake();
    });
    this.#socket.on('error', () => {});
    for (const event of ['end', 'close'])
      this.#socket.on(event, () => {
        this.#closed = true;
        this.#wake();
      });
  }

  send(text: string): void {
    this.#socket.write(unescaped(text));
  }

  async reply(waitMs = WAIT_MS): Promise<Reply | 'closed' | 'silent'> {
    const deadline = performance.now() + waitMs;
    for (;;) {
      const reply = this.#replies.shift();
      if (reply !== undefined) return reply;
      if (this.#closed) return 'closed';
      const left = deadline - performance.now();
      if (left <= 0) return 'silent';
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      await Promise.race([woken, sleep(left, undefined, { ref: false })]);
    }
  }

  close(): void {
    this.#socket.destroy();
  }
}

function unescaped(text: string): Buffer {
  const undone = text.replace(/\\(x[0-9a-f]{2}|.)/g, (whole, code: string) => {
    const simple: Record<string, string> = { r: '\r', n: '\n', 0: '\0', t: '\t', '\\': '\\' };
    if (code.startsWith('x')) return String.fromCharCode(Number.parseInt(code.slice(1), 16));
    return simple[code] ?? whole;
  });
  return Buffer.from(undone, 'latin1');
}

interface Run {
  readonly peer: Peer;
  readonly got: readonly SmtpSubmission<string>[];
}

const DEEDS: readonly [RegExp, (argument: string, run: Run) => Promise<void> | void][] = [
  [/^c -> ?(.*)$/, (text, { peer }) => peer.send(`${text}\\r\\n`)],
  [/^c => (.*)$/, (text, { peer }) => peer.send(text)],
  [
    /^s <~ (.*)$/,
    async (pattern, { peer }) => {
      const reply = await peer.reply();
      const text =
        typeof reply === 'string'
          ? reply
          : reply.lines.map((line) => `${reply.code} ${line}`.trimEnd()).join(' | ');
      assert.match(text, new RegExp(`^${pattern}`));
    },
  ],
  [/^(s closes)$/, async (_, { peer }) => assert.equal(await peer.reply(), 'closed')],
  [/^(s silent)$/, async (_, { peer }) => assert.equal(await peer.reply(50), 'silent')],
  [/^got (\d+)$/, (count, { got }) => assert.equal(got.length, Number(count))],
  [
    /^got to (.*)$/,
    (list, { got }) => assert.equal(got.at(-1)?.envelope.recipients.join(' '), list),
  ],
  [
    /^got bytes (.*)$/,
    (text, { got }) => assert.equal(got.at(-1)?.bytes.toString(), unescaped(text).toString()),
  ],
];

async function play(lines: readonly string[], run: Run, file: string): Promise<void> {
  for (const [index, line] of lines.entries()) {
    if (line === '' || line.startsWith('#') || line.startsWith('set ')) continue;
    const deed = DEEDS.find(([pattern]) => pattern.test(line));
    assert.ok(deed, `${file}:${index + 1}: no such deed: ${line}`);
    try {
      await deed[1](deed[0].exec(line)?.[1] ?? '', run);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new Error(`${file}:${index + 1}: ${line}: ${why}`, { cause });
    }
  }
}

function serve(lines: readonly string[], got: SmtpSubmission<string>[]): Promise<SmtpServer> {
  const settings = lines.filter((line) => line.startsWith('set ')).map((line) => line.split(' '));
  const limits = settings.filter(([, , value]) => /^\d+$/.test(value ?? ''));
  return startSmtpServer<string>({
    listen: { host: '127.0.0.1', port: 0 },
    name: 'gate.test',
    authenticate: (user, password) => (password === 'right' ? user : null),
    authRequired: settings.some(([, key]) => key === 'auth'),
    authInClear: true,
    onMessage: async (submission) => {
      if (submission.envelope.from.startsWith('fault')) throw new Error('broken on purpose');
      got.push(submission);
      if (submission.envelope.from.startsWith('lie'))
        return { kind: 'refused', reply: makeReply(250, '2.0.0', 'Ok') };
      return { kind: 'accepted', reply: makeReply(250, '2.0.0', `Ok ${got.length}`) };
    },
    onFault: () => {},
    limits: {
      authFailureDelayMs: 0,
      ...Object.fromEntries(limits.map(([, key, value]) => [key, Number(value)])),
    },
  });
}

async function runDialog(text: string, file: string): Promise<void> {
  const lines = text.split('\n').map((line) => line.replace(/\r$/, ''));
  const got: SmtpSubmission<string>[] = [];
  const server = await serve(lines, got);
  const peer = new Peer(server.port);
  try {
    await play(lines, { peer, got }, file);
  } finally {
    peer.close();
    await server.close();
  }
}

const files = readdirSync(FOLDER).filter((name) => name.endsWith('.dialog'));

test('there are dialogs to run, and a wrong one fails', async () => {
  assert.ok(files.length >= 10);
  await assert.rejects(runDialog('s <~ 221', 'wrong'));
  await assert.rejects(runDialog('s <~ 220\nc -> QUIT\ns <~ 221\ngot 1', 'wrong'));
});

for (const file of files)
  test(`dialog ${file}`, () => runDialog(readFileSync(`${FOLDER}${file}`, 'utf8'), file));
