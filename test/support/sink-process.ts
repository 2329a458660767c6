/** Starts `sink.mjs`, a far side in a process of its own, and reads its account. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const SINK = fileURLToPath(new URL('sink.mjs', import.meta.url));

export interface SinkSettings {
  readonly port?: number;
  readonly delayMs?: number;
  readonly refusePercent?: number;
  readonly deferFirst?: boolean;
  readonly deferAlways?: boolean;
  readonly dropPercent?: number;
  readonly stallPercent?: number;
  /** Drops and stalls hit further attempts too. */
  readonly always?: boolean;
  readonly trace?: boolean;
  readonly plain?: boolean;
}

export interface SinkEvent {
  /** Microseconds of this machine's monotonic clock. */
  readonly us: number;
  readonly connection: number;
  readonly event: string;
  readonly rcpt: string;
  readonly bytes: number;
}

export interface Sink {
  readonly port: number;
  /** Messages kept so far, answered or not. */
  taken(): number;
  /** Resolves once it has kept that many. */
  reaches(count: number, timeoutMs: number): Promise<boolean>;
  set(settings: SinkSettings): void;
  events(): Promise<SinkEvent[]>;
  openConnections(): Promise<number>;
  stop(): Promise<void>;
}

export async function startSink(log: string, settings: SinkSettings = {}): Promise<Sink> {
  const child: ChildProcess = spawn(process.execPath, [SINK, log, JSON.stringify(settings)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new Error('the sink has no pipes');
  let taken = 0;
  let asked = 0;
  const waiting = new Map<number, (open: number) => void>();
  const watchers = new Set<() => void>();
  const port = await new Promise<number>((resolve, reject) => {
    child.once('exit', () => reject(new Error('the sink did not start')));
    createInterface({ input: stdout }).on('line', (line) => {
      const [word, value, open] = line.split(' ');
      if (word === 'ready') resolve(Number(value));
      else if (word === 'flushed') waiting.get(Number(value))?.(Number(open));
      else if (word === 'count') {
        taken = Number(value);
        for (const watcher of watchers) watcher();
      }
    });
  });
  const flush = (): Promise<number> =>
    new Promise((resolve) => {
      const number = ++asked;
      waiting.set(number, resolve);
      stdin.write(`${JSON.stringify({ flush: number })}\n`);
    });
  return {
    port,
    taken: () => taken,
    reaches: (count, timeoutMs) =>
      new Promise((resolve) => {
        const done = (reached: boolean): void => {
          clearTimeout(timer);
          watchers.delete(look);
          resolve(reached);
        };
        const look = (): void => {
          if (taken >= count) done(true);
        };
        const timer = setTimeout(() => done(false), timeoutMs);
        watchers.add(look);
        look();
      }),
    set: (changes) => {
      stdin.write(`${JSON.stringify(changes)}\n`);
    },
    events: async () => {
      await flush();
      return (await readFile(log, 'utf8'))
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => {
          const [us, connection, event, rcpt, bytes] = line.split('\t') as string[];
          return {
            us: Number(us),
            connection: Number(connection),
            event: event ?? '',
            rcpt: rcpt ?? '',
            bytes: Number(bytes),
          };
        });
    },
    openConnections: flush,
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      stdin.end();
      await once(child, 'exit');
    },
  };
}

/** How often each recipient's message was kept. */
export function keptCounts(events: readonly SinkEvent[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { event, rcpt } of events)
    if (event.startsWith('kept')) counts.set(rcpt, (counts.get(rcpt) ?? 0) + 1);
  return counts;
}
