/** What the smtp-relay flows share: a next hop that can misbehave, a raw client, and a relay between them. */

import { connect, createServer, type Socket } from 'node:net';
import { afterEach } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type SmtpRelayOptions, startSmtpRelay } from '../../src/gates/smtp-relay.ts';
import type { Action, Decision, GuardedCall, Road } from '../../src/guard/check.ts';
import { type Identity, identityOf, type Mode } from '../../src/guard/identity.ts';

/** What a test has opened; closed after it even where it fails, so that a failure never hangs the run. */
const opened: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const close of opened.splice(0)) await close();
});

/** Has something closed after the test, before what was opened earlier. */
export function closeAfter(close: () => Promise<void> | void): void {
  opened.unshift(close);
}

export interface NextHopScript {
  /** Keywords of EHLO. */
  readonly extensions?: readonly string[];
  /** The reply lines to a command; undefined: the usual one. '' says nothing; null closes. */
  readonly reply?: (line: string, session: number) => string | null | undefined;
  /** The same for the end of content. */
  readonly final?: (content: string, session: number) => string | null;
  readonly greeting?: string;
}

export interface FakeNextHop {
  readonly port: number;
  /** Contents taken with their dots as on the wire, without the end. */
  readonly contents: readonly string[];
  /** Every command line, in order of arrival. */
  readonly commands: readonly string[];
  readonly sessions: () => number;
  close(): Promise<void>;
}

/** A server of its own making, so that nothing of ours judges what ours has written. */
export async function startNextHop(script: NextHopScript = {}): Promise<FakeNextHop> {
  const contents: string[] = [];
  const commands: string[] = [];
  const sockets = new Set<Socket>();
  let sessions = 0;
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    speak(socket, script, ++sessions, contents, commands);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const close = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    if (server.listening) await new Promise<void>((resolve) => server.close(() => resolve()));
  };
  closeAfter(close);
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    contents,
    commands,
    sessions: () => sessions,
    close,
  };
}

function speak(
  socket: Socket,
  script: NextHopScript,
  session: number,
  contents: string[],
  commands: string[],
): void {
  let text = '';
  let inContent = false;
  const say = (reply: string | null): void => {
    if (reply === null) socket.destroy();
    else if (reply !== '') socket.write(`${reply}\r\n`, 'latin1');
  };
  const answerLine = (line: string): void => {
    commands.push(line);
    const reply = script.reply?.(line, session) ?? usualReply(line, script);
    inContent = /^data$/i.test(line) && reply.startsWith('354');
    say(script.reply?.(line, session) === null ? null : reply);
  };
  say(script.greeting ?? '220 next.test');
  const takeContent = (content: string): void => {
    inContent = false;
    contents.push(`${content}\r\n`);
    say(script.final === undefined ? '250 2.0.0 queued as N1' : script.final(content, session));
  };
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
    for (;;) {
      const mark = inContent ? '\r\n.\r\n' : '\r\n';
      const end = text.indexOf(mark);
      if (end < 0) return;
      const taken = text.slice(0, end);
      text = text.slice(end + mark.length);
      if (inContent) takeContent(taken);
      else answerLine(taken);
    }
  });
}

function usualReply(line: string, script: NextHopScript): string {
  const verb = line.slice(0, 4).toUpperCase();
  if (verb === 'EHLO')
    return [
      '250-next.test',
      ...(script.extensions ?? ['PIPELINING', '8BITMIME', 'SMTPUTF8', 'DSN']),
    ]
      .join('\r\n250-')
      .replace(/250-(?=[^\r]*$)/, '250 ');
  if (verb === 'DATA') return '354 go';
  if (verb === 'QUIT') return '221 bye';
  return '250 2.1.0 ok';
}

/** A client that says exactly what it is told. */
export class RawClient {
  readonly socket: Socket;
  #text = '';
  #closed = false;

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1');
    closeAfter(() => this.close());
    this.socket.setEncoding('latin1');
    this.socket.on('data', (chunk) => {
      this.#text += String(chunk);
    });
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.#closed = true;
    });
  }

  /** The next whole reply; 'closed' or 'silent' where there is none within the time. */
  async reply(waitMs = 3000): Promise<string> {
    const deadline = performance.now() + waitMs;
    for (;;) {
      const match = /^(?:\d{3}-[^\r]*\r\n)*\d{3}(?: [^\r]*)?\r\n/.exec(this.#text);
      if (match !== null) {
        this.#text = this.#text.slice(match[0].length);
        return match[0].trimEnd();
      }
      if (this.#closed) return 'closed';
      if (performance.now() > deadline) return 'silent';
      await sleep(2);
    }
  }

  async say(text: string): Promise<string> {
    this.socket.write(text, 'latin1');
    return this.reply();
  }

  /** Greeting, EHLO, MAIL, RCPT and DATA; the last reply. */
  async begin(from: string, recipients: readonly string[], parameters = ''): Promise<string> {
    await this.reply();
    await this.say('EHLO client.test\r\n');
    return this.again(from, recipients, parameters);
  }

  async again(from: string, recipients: readonly string[], parameters = ''): Promise<string> {
    await this.say(`MAIL FROM:<${from}>${parameters}\r\n`);
    for (const recipient of recipients) await this.say(`RCPT TO:<${recipient}>\r\n`);
    return this.say('DATA\r\n');
  }

  close(): void {
    this.socket.destroy();
  }
}

export const DEMO_IDENTITY: Identity = identityOf('demo', 'bulk');

export type Decide = (call: GuardedCall, identity: Identity) => Promise<Decision>;

const ACTIONS: Readonly<Record<string, Action>> = {
  pass: 'forward',
  split: 'keep',
  hold: 'keep',
  refuse: 'refuse',
  defer: 'defer',
};

export function decisionOf(
  verdict: Decision['verdict'],
  disclosures = 0,
  mode: Mode = 'enforce',
): Decision {
  const action = ACTIONS[verdict.kind] ?? 'defer';
  return {
    verdict,
    findings: [],
    visible: [],
    outsiders: [],
    disclosures,
    defects: [],
    readers: 1,
    entry: 'v-0001',
    action: mode === 'enforce' ? action : 'forward',
    mode,
    kept: mode === 'enforce' && action === 'keep' ? 'k-0001' : null,
  };
}

export const passAll: Decide = async () => decisionOf({ kind: 'pass', allowedBecause: [] });

export function roadOf(decide: Decide): Road {
  return { decide };
}

export interface StartedRelay {
  readonly port: number;
  readonly warnings: readonly string[];
  close(): Promise<void>;
}

/** A relay in front of a next hop; clients need not authenticate unless `anonymous` is false. */
export async function startRelay(
  nextHop: { readonly port: number },
  options: Partial<SmtpRelayOptions> = {},
  anonymous = true,
): Promise<StartedRelay> {
  const warnings: string[] = [];
  const gate = await startSmtpRelay({
    listen: { host: '127.0.0.1', port: 0, tls: null },
    name: 'gate.test',
    identities: () => null,
    ...(anonymous ? { anonymousIdentity: DEMO_IDENTITY } : {}),
    road: roadOf(passAll),
    log: { warn: (event, fields) => void warnings.push(`${event} ${JSON.stringify(fields)}`) },
    ...options,
    nextHop: { host: '127.0.0.1', port: nextHop.port, tls: 'none', ...options.nextHop },
    limits: { closeMs: 500, authFailureDelayMs: 0, ...options.limits },
  });
  closeAfter(() => gate.close());
  return {
    port: Number(new URL(gate.address).port),
    warnings,
    close: () => gate.close(),
  };
}
