/** One server for a data directory and a socket: a second one is refused before it opens, starts or stops anything. */

import { createHash } from 'node:crypto';
import { mkdir, realpath } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { Fault } from '../base/errors.ts';

/** Whether some process answers on this socket. */
export function answers(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(socket, () => {
      probe.destroy();
      resolve(true);
    });
    probe.on('error', () => resolve(false));
  });
}

/** @throws Fault `api.in-use`. */
export async function refuseSecondServer(socket: string): Promise<void> {
  if (await answers(socket))
    throw new Fault('api.in-use', 'another server listens here', {
      where: socket,
      remedy: 'stop it (undisclosed stop), or name another UNDISCLOSED_SOCKET and UNDISCLOSED_DATA',
    });
}

function hold(name: string): Promise<Server | null> {
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
 * Makes a data directory where there is none, and holds it for this process. On Linux by an address in the abstract socket namespace (unix(7)), which the
 * kernel gives back with the process however that ends; elsewhere the API socket alone tells.
 * @returns gives it back.
 * @throws Fault `serve.in-use`, `serve.no-data-directory`.
 */
export async function claimDataDirectory(dataDir: string): Promise<() => Promise<void>> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 }).catch((cause: unknown) => {
    const { code } = cause as { code?: string };
    throw new Fault('serve.no-data-directory', `the data directory cannot be used (${code})`, {
      where: dataDir,
      remedy: 'name a folder that can be written with UNDISCLOSED_DATA',
      cause,
    });
  });
  if (process.platform !== 'linux') return async () => {};
  const real = await realpath(dataDir);
  const digest = createHash('sha256').update(real).digest('hex').slice(0, 32);
  const server = await hold(`\0undisclosed-serve-${digest}`);
  if (server === null)
    throw new Fault('serve.in-use', 'another server works with this data directory', {
      where: dataDir,
      remedy: 'stop it (undisclosed stop), or name another UNDISCLOSED_DATA',
    });
  server.unref();
  return () => new Promise((done) => server.close(() => done()));
}
