/** Messages through a pool of one connection to a scripted far side, as a release sends them. */

import type { Outgoing, SendResult } from '../../src/broadcast/delivery/outgoing.ts';
import { SendPool } from '../../src/broadcast/delivery/send-pool.ts';
import { ROUTE_DEFAULTS, type Route } from '../../src/broadcast/route.ts';
import { type Script, type ScriptedSink, startScriptedSink } from './scripted-sink.ts';

export interface Settled {
  readonly position: number;
  readonly kind: SendResult['kind'];
  readonly code: number;
}

export function message(
  position: number,
  options: { utf8?: boolean; bytes?: number } = {},
): Outgoing {
  const body = 'x'
    .repeat(70)
    .concat('\r\n')
    .repeat(Math.ceil((options.bytes ?? 200) / 72));
  return {
    position,
    attempt: 1,
    chunk: 0,
    bytes: Buffer.from(`Subject: row ${position}\r\n\r\n${body}`),
    returnPath: 'b@bounce.example',
    reader: `reader${position}@mail.example`,
    smtpUtf8: options.utf8 ?? false,
    leaf: { reader: '', digest: Buffer.alloc(32), own: [] },
  };
}

export interface SendOptions {
  readonly during?: (pool: SendPool, settled: readonly Settled[]) => void;
  /** How long to wait for the last word. */
  readonly ms?: number;
  readonly tls?: Route['tls'];
}

export interface Sent extends Pick<ScriptedSink, 'told' | 'contents'> {
  /** Every result, those after which a message was tried again too. */
  readonly settled: readonly Settled[];
  readonly last: readonly Settled[];
  /** What was said of connections that failed. */
  readonly faults: readonly string[];
  /** Messages that wait still. */
  readonly left: number;
}

/** Sends messages until each has a last word, or the time is up. */
export async function sendTo(
  script: Script,
  messages: readonly Outgoing[],
  options: SendOptions = {},
): Promise<Sent> {
  const sink = await startScriptedSink(script);
  const queue = [...messages];
  const settled: Settled[] = [];
  const faults: string[] = [];
  let mayWrite = true;
  const pool: SendPool = new SendPool({
    route: {
      ...ROUTE_DEFAULTS,
      host: '127.0.0.1',
      port: sink.port,
      tls: options.tls ?? 'none',
      connections: 1,
      timeoutsMs: { connect: 400, command: 400, afterDot: 400 },
    },
    allowed: { addresses: [] } as never,
    look: () => ({ kind: 'clear' }),
    intents: { intend: () => {}, abandon: () => {}, flush: () => true },
    mayWrite: () => mayWrite,
    waiting: () => queue.length,
    next: () => queue.shift() ?? null,
    settled: (each, result) => {
      const code = result.kind === 'replied' ? result.reply.code : 0;
      settled.push({ position: each.position, kind: result.kind, code });
      if (result.kind === 'returned' || result.kind === 'abandoned') queue.unshift(each);
    },
    stopped: () => {},
    reachable: () => {},
    unreachable: (fault) => faults.push(fault.message),
  });
  const last = (): Settled[] =>
    settled.filter(({ kind }) => kind !== 'returned' && kind !== 'abandoned');
  try {
    pool.kick();
    const end = performance.now() + (options.ms ?? 2000);
    while (last().length < messages.length && performance.now() < end) {
      options.during?.(pool, settled);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    mayWrite = false;
    return {
      settled,
      last: last(),
      faults,
      left: queue.length,
      told: sink.told,
      contents: sink.contents,
    };
  } finally {
    await pool.close(0);
    await sink.close();
  }
}

export const codes = (list: readonly Settled[]): string[] =>
  list.map(({ position, kind, code }) => `${position} ${kind} ${code}`);
