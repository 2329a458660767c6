/** One start at a time for a cluster, whichever processes ask for it. */

import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Fault } from '../../base/errors.ts';

const POLL_MS = 20;

function tryLock(name: string): Promise<Server | null> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(null);
      else reject(error);
    });
    server.listen(name, () => resolve(server));
  });
}

/**
 * Runs `work` while no other process does for the same cluster. The lock is an address in the abstract socket
 * namespace (unix(7)): the kernel releases it with the process, however that ends.
 * @throws Fault `embedded.start` when another holds it for longer than `limitMs`.
 */
export async function alone<T>(
  cluster: string,
  limitMs: number,
  work: () => Promise<T>,
): Promise<T> {
  const digest = createHash('sha256').update(cluster).digest('hex').slice(0, 32);
  const deadline = performance.now() + limitMs;
  let lock = await tryLock(`\0undisclosed-start-${digest}`);
  while (lock === null) {
    if (performance.now() > deadline)
      throw new Fault('embedded.start', 'another process has been starting PostgreSQL for long', {
        where: cluster,
        remedy: 'look at postgres.log beside the data',
      });
    await sleep(POLL_MS);
    lock = await tryLock(`\0undisclosed-start-${digest}`);
  }
  const held = lock;
  try {
    return await work();
  } finally {
    await new Promise((resolve) => held.close(resolve));
  }
}
