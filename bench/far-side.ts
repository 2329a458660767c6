/** The far side of every measurement: Postfix's smtp-sink on this machine, and Postfix's own smtp-source against it. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';

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
  stop(): Promise<void>;
}

/** Starts smtp-sink, as nobody when we are root. */
export async function startSink(): Promise<Sink> {
  const port = await freePort();
  const user = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
  const child: ChildProcess = spawn(
    program('smtp-sink'),
    [...user, `inet:127.0.0.1:${port}`, '1000'],
    { stdio: 'ignore' },
  );
  const exited = once(child, 'exit');
  for (let i = 0; i < 100 && !(await answers(port)); i++)
    await new Promise((resolve) => setTimeout(resolve, 50));
  return {
    port,
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
