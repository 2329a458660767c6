/**
 * A lock between processes of one machine, by a name that each of them can make. Invariant: it never outlives its holder,
 * since it is an address in the abstract socket namespace of Linux (unix(7)), which the kernel takes back with the process.
 */

import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 20;

export interface ProcessLock {
  release(): Promise<void>;
}

/** Null when another socket has the address. Whoever connects to it is sent away. */
function listenOn(address: string): Promise<Server | null> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(null);
      else reject(error);
    });
    server.listen(address, () => resolve(server));
  });
}

/**
 * Takes the lock of a purpose on a subject, of which only a digest is public. It keeps no process running.
 * @param waitMs how long to ask again while another holds it.
 * @returns null when another still held it at the end.
 */
export async function takeProcessLock(
  purpose: string,
  subject: string,
  waitMs = 0,
): Promise<ProcessLock | null> {
  const digest = createHash('sha256').update(subject).digest('hex').slice(0, 32);
  const address = `\0${purpose}-${digest}`;
  const deadline = performance.now() + waitMs;
  let server = await listenOn(address);
  while (server === null && performance.now() < deadline) {
    await sleep(POLL_MS);
    server = await listenOn(address);
  }
  if (server === null) return null;
  const held = server.unref();
  return { release: () => new Promise((resolve) => held.close(() => resolve())) };
}
