/**
 * The milter door: a Postfix or Sendmail asks about each message at its end, and this says accept, refuse, later or discard.
 * Invariants: a message goes on as it came, or with nobody in To and Cc, never with other recipients; discard is said only after
 * what is split or held is stored; a fault is never `accept`.
 *
 * A milter cannot make many messages of one. With `handOver` what is to be split or held is kept for the SMTP carrier, whose next
 * hop has to be a door without this milter; without it, it is refused.
 */

import { lstat, unlink } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { Fault } from '../base/errors.ts';
import { isLoopback } from '../base/loopback.ts';
import type { Decision, GuardedCall, Road } from '../guard/check.ts';
import type { Identity } from '../guard/identity.ts';
import { type JudgeSettings, judge } from '../guard/judge.ts';
import type { Gate } from './gate.ts';
import { GUARD_FAULT, NO_IDENTITY, OVERRUNS, stoppedReply } from './milter/answer.ts';
import type { Masked, MilterMessage } from './milter/message.ts';
import { type Abilities, type Macros, MilterSession } from './milter/session.ts';
import {
  ACCEPT,
  addHeader,
  COMMAND,
  changeHeader,
  DISCARD,
  PacketReader,
  PROGRESS,
} from './milter/wire.ts';
import { encodeKept } from './smtp-carrier.ts';

export type { Macros } from './milter/session.ts';

/** Told of faults and of what is done to messages: stable codes and numbers, never an address. */
export interface MilterLog {
  warn(event: string, fields: Readonly<Record<string, string | number>>): void;
}

export interface MilterLimits {
  /** Header and body together; default 26,214,400 (25 MiB). */
  readonly sizeBytesMax: number;
  /** Default 10,000. */
  readonly recipientsMax: number;
  /** One packet; default 1 MiB, which is ten times the largest header Postfix sends. */
  readonly packetBytesMax: number;
  /** Default 500. */
  readonly connectionsMax: number;
  /** Between commands; default 7,210 s as in libmilter: the mail server has its own, shorter limits. */
  readonly idleMs: number;
  /** Within a packet; default 60 s. */
  readonly packetMs: number;
  /** How often a mail server that waits is told that we are at work; default 10 s. */
  readonly progressMs: number;
  /** How long `close` lets messages come to their end; default 10 s. */
  readonly closeMs: number;
}

const LIMITS: MilterLimits = {
  sizeBytesMax: 26_214_400,
  recipientsMax: 10_000,
  packetBytesMax: 1_048_576,
  connectionsMax: 500,
  idleMs: 7_210_000,
  packetMs: 60_000,
  progressMs: 10_000,
  closeMs: 10_000,
};

export interface MilterOptions {
  /** Port 0: any free one. A Unix socket's folder decides who may speak to it. */
  readonly listen: { readonly host: string; readonly port: number } | { readonly path: string };
  /** The road of the gate `smtp`: what it keeps is the SMTP carrier's. */
  readonly road: Road;
  /** Whose mail it is, by what the mail server says of the client: `{auth_authen}` for one who authenticated. Null: refused. */
  readonly identityFor: (macros: Macros) => Identity | null;
  /** Whether an SMTP carrier brings on what is split or held. Without one both are refused. */
  readonly handOver: boolean;
  /**
   * Has To and Cc emptied where they would show people to each other and the message would be refused for that; `settings` are
   * the guard's own, to look before anything is recorded.
   */
  readonly mask?: { readonly settings: (identity: Identity) => JudgeSettings };
  /** Whether mode `warn` adds the field X-Undisclosed-Warning, which readers get too. Default false: the log alone is told. */
  readonly warnHeader?: boolean;
  readonly log: MilterLog;
  readonly limits?: Partial<MilterLimits>;
}

/** Starts the gate. @throws Fault `milter.not-loopback`, `milter.listen-failed`. */
export async function startMilter(options: MilterOptions): Promise<Gate> {
  checkOpen(options);
  const limits = { ...LIMITS, ...options.limits };
  const connections = new Map<Socket, MilterSession>();
  const state = { closing: false };
  const server = createServer((socket) => {
    if (connections.size >= limits.connectionsMax || state.closing) {
      socket.destroy();
      return;
    }
    const session = new MilterSession(limits, (message, macros, abilities) =>
      answerFor(message, macros, abilities, options),
    );
    connections.set(socket, session);
    socket.once('close', () => connections.delete(socket));
    // A mail server that goes away has said all it had to.
    socket.on('error', () => {});
    void serve(socket, session, limits, state).catch((error) => {
      report(options.log, 'milter.connection', error);
      socket.destroy();
    });
  });
  const address = await listen(server, options.listen);
  server.on('error', (error) => report(options.log, 'milter.accept', error));
  return {
    name: 'milter',
    address,
    async close() {
      state.closing = true;
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const [socket, session] of connections) if (!session.inMessage) socket.destroy();
      const timer = setTimeout(() => {
        for (const socket of connections.keys()) socket.destroy();
      }, limits.closeMs);
      await closed;
      clearTimeout(timer);
    },
  };
}

/** The protocol knows no passwords: who can speak to a milter that hands over can have mail sent. */
function checkOpen({ listen: place, handOver }: MilterOptions): void {
  if ('path' in place || !handOver || isLoopback(place.host)) return;
  throw new Fault('milter.not-loopback', 'anyone could send through this milter', {
    where: `${place.host}:${place.port}`,
    remedy: 'listen on 127.0.0.1 or on a Unix socket, or without gates.smtp',
  });
}

async function listen(server: Server, place: MilterOptions['listen']): Promise<string> {
  const where = 'path' in place ? place.path : `${place.host}:${place.port}`;
  try {
    if ('path' in place) await removeStaleSocket(place.path);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(place, () => {
        server.off('error', reject);
        resolve();
      });
    });
  } catch (cause) {
    throw new Fault('milter.listen-failed', 'the milter cannot listen there', {
      where,
      remedy: 'name a free port, or a socket in a folder this user may write to',
      cause,
    });
  }
  const address = server.address();
  if (address === null || typeof address === 'string') return `unix:${where}`;
  return `inet:${address.port}@${address.address}`;
}

/** What a killed process left behind; anything but a socket stays and is in the way. */
async function removeStaleSocket(path: string): Promise<void> {
  const found = await lstat(path).catch(() => null);
  if (found?.isSocket() === true) await unlink(path);
}

async function serve(
  socket: Socket,
  session: MilterSession,
  limits: MilterLimits,
  state: { readonly closing: boolean },
): Promise<void> {
  const reader = new PacketReader(limits.packetBytesMax);
  socket.setNoDelay(true);
  socket.on('timeout', () => socket.destroy());
  socket.setTimeout(limits.idleMs);
  for await (const chunk of socket) {
    socket.setTimeout(0);
    for (const packet of reader.push(chunk as Buffer)) {
      const working = packet.command === COMMAND.endOfMessage;
      const progress = working
        ? setInterval(() => socket.write(PROGRESS), limits.progressMs)
        : null;
      const step = await session.take(packet).finally(() => {
        if (progress !== null) clearInterval(progress);
      });
      if (step.kind === 'end') {
        socket.end();
        return;
      }
      if (step.packets.length > 0) await written(socket, Buffer.concat(step.packets));
    }
    if (state.closing && !session.inMessage) {
      await new Promise<void>((resolve) => socket.end(() => resolve()));
      return;
    }
    socket.setTimeout(reader.inPacket ? limits.packetMs : limits.idleMs);
  }
}

async function written(socket: Socket, bytes: Buffer): Promise<void> {
  if (socket.destroyed || socket.write(bytes)) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      socket.off('drain', done);
      socket.off('close', done);
      resolve();
    };
    socket.once('drain', done);
    socket.once('close', done);
  });
}

/** The answer to one message. Resolves for every fault, with a temporary failure. */
async function answerFor(
  message: MilterMessage,
  macros: Macros,
  abilities: Abilities,
  options: MilterOptions,
): Promise<readonly Buffer[]> {
  if (message.overrun !== null) return [OVERRUNS[message.overrun]];
  try {
    const given = options.identityFor(macros);
    if (given === null) return [NO_IDENTITY];
    const identity = options.handOver ? given : { ...given, split: false };
    const masked = abilities.changeHeaders ? maskFor(message, identity, options) : null;
    const call = callOf(message, masked?.bytes ?? message.bytes(), options.handOver);
    const decision = await options.road.decide(call, identity);
    return packetsFor(decision, masked, abilities, options);
  } catch (error) {
    report(options.log, 'milter.check', error);
    return [GUARD_FAULT];
  }
}

function callOf(message: MilterMessage, bytes: Buffer, handOver: boolean): GuardedCall {
  const { envelope, dsn } = message;
  return {
    copies: [{ envelope, bytes }],
    keep: () => {
      if (handOver) return encodeKept(envelope, dsn, bytes);
      throw new Fault('guard.cannot-cut', 'a milter alone can neither split nor hold', {
        remedy: 'name gates.smtp, so that the relay brings on what is kept',
      });
    },
  };
}

/** The message with nobody in To and Cc, where it would else be refused for showing people to each other. */
function maskFor(
  message: MilterMessage,
  identity: Identity,
  { mask, log }: MilterOptions,
): Masked | null {
  if (mask === undefined || identity.mode !== 'enforce') return null;
  const { envelope } = message;
  const judged = judge({ envelope, bytes: message.bytes() }, mask.settings(identity));
  const { verdict, disclosures, readers } = judged;
  if (verdict.kind !== 'refuse') return null;
  if (!verdict.reasons.some((id) => id === 'visible-recipients' || id === 'too-many-visible'))
    return null;
  const masked = message.masked();
  if (masked !== null) log.warn('milter.masked', { identity: identity.name, readers, disclosures });
  return masked;
}

function packetsFor(
  decision: Decision,
  masked: Masked | null,
  abilities: Abilities,
  options: MilterOptions,
): readonly Buffer[] {
  const { action, mode, verdict, kept, entry } = decision;
  // A road that keeps says where; without that nobody knows whether it is stored.
  if (action === 'keep') return [kept !== null && options.handOver ? DISCARD : GUARD_FAULT];
  if (action !== 'forward' || (mode === 'enforce' && verdict.kind !== 'pass'))
    return [stoppedReply(decision, options.handOver)];
  const packets = (masked?.changes ?? []).map(({ index, name, value }) =>
    changeHeader(index, name, value),
  );
  if (mode === 'warn' && verdict.kind !== 'pass') {
    const reasons = verdict.reasons.join(',');
    options.log.warn('milter.warning', { reasons, entry });
    if (options.warnHeader === true && abilities.addHeaders)
      packets.push(addHeader('X-Undisclosed-Warning', ` ${reasons}`));
  }
  return [...packets, ACCEPT];
}

function report(log: MilterLog, event: string, error: unknown): void {
  if (error instanceof Fault)
    log.warn(event, { code: error.code, message: error.message, where: error.where ?? '' });
  else log.warn(event, { code: 'fault', message: error instanceof Error ? error.name : 'unknown' });
}
