/** The far side of every measurement: Postfix's smtp-sink on this machine, and Postfix's own smtp-source against it. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, existsSync, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const FOLDERS = ['/usr/sbin', '/usr/libexec/postfix', '/usr/lib/postfix/sbin'];

function program(name: string): string {
  const found = FOLDERS.map((folder) => `${folder}/${name}`).find((path) => existsSync(path));
  if (found === undefined)
    throw new Error(`${name} is missing: apt-get install --no-install-recommends postfix`);
  return found;
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

export async function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  const ok = await Promise.race([
    once(socket, 'data').then(() => true),
    once(socket, 'error').then(() => false),
  ]).catch(() => false);
  socket.destroy();
  return ok;
}

export interface Sink {
  readonly port: number;
  readonly pid: number;
  stop(): Promise<void>;
}

/** Starts smtp-sink, as nobody when we are root. */
export function startSink(): Promise<Sink> {
  return sinkWith([], 'ignore');
}

export interface CountingSink extends Sink {
  /** Messages whose content has come to its end here, so far. */
  count(): number;
}

/**
 * The same, which tells how many messages came: `smtp-sink -c` writes its counters at every one, and they are read from a pipe
 * twenty times a second, so that counting costs one write a message.
 */
export async function startCountingSink(): Promise<CountingSink> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-sink-'));
  const fifo = join(folder, 'counters');
  execFileSync('/usr/bin/mkfifo', [fifo]);
  const reading = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
  const writing = openSync(fifo, constants.O_WRONLY);
  const bytes = Buffer.alloc(65_536);
  let count = 0;
  const read = (): number => {
    for (let size = take(reading, bytes); size > 0; size = take(reading, bytes)) {
      const counters = [...bytes.toString('latin1', 0, size).matchAll(/mesg=(\d+)\r/g)];
      count = Number(counters.at(-1)?.[1] ?? count);
    }
    return count;
  };
  const timer = setInterval(read, 50);
  const sink = await sinkWith(['-c'], writing);
  closeSync(writing);
  return {
    ...sink,
    count: read,
    stop: async () => {
      clearInterval(timer);
      await sink.stop();
      closeSync(reading);
      rmSync(folder, { recursive: true });
    },
  };
}

function take(file: number, into: Buffer): number {
  try {
    return readSync(file, into);
  } catch (error) {
    if ((error as { code?: string }).code === 'EAGAIN') return 0;
    throw error;
  }
}

async function sinkWith(options: readonly string[], stdout: 'ignore' | number): Promise<Sink> {
  const port = await freePort();
  const user = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
  const child: ChildProcess = spawn(
    program('smtp-sink'),
    [...options, ...user, `inet:127.0.0.1:${port}`, '1000'],
    { stdio: ['ignore', stdout, 'ignore'] },
  );
  const exited = once(child, 'exit');
  for (let i = 0; i < 100 && !(await answers(port)); i++)
    await new Promise((resolve) => setTimeout(resolve, 50));
  return {
    port,
    pid: child.pid ?? 0,
    stop: async () => {
      child.kill('SIGTERM');
      await exited;
    },
  };
}

/** Messages per second of `smtp-source -d` with 20 sessions: no database, no signature, one fixed message. */
export async function smtpSource(sink: Sink, messages: number, bytes: number): Promise<number> {
  const started = performance.now();
  const child = spawn(
    program('smtp-source'),
    ['-d', '-s', '20', '-m', String(messages), '-l', String(bytes), `inet:127.0.0.1:${sink.port}`],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  const [status] = (await once(child, 'exit')) as [number | null];
  if (status !== 0) throw new Error(`smtp-source ended with ${status}`);
  return messages / ((performance.now() - started) / 1000);
}
