/** One server for a data directory and a socket: a second one is refused before it opens, starts or stops anything. */

import { mkdir, realpath } from 'node:fs/promises';
import { connect } from 'node:net';
import { Fault } from '../base/errors.ts';
import { takeProcessLock } from '../base/process-lock.ts';

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

/**
 * Makes a data directory where there is none, and holds it for this process. Elsewhere than on Linux the API socket alone
 * tells.
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
  const lock = await takeProcessLock('undisclosed-serve', await realpath(dataDir));
  if (lock === null)
    throw new Fault('serve.in-use', 'another server works with this data directory', {
      where: dataDir,
      remedy: 'stop it (undisclosed stop), or name another UNDISCLOSED_DATA',
    });
  return () => lock.release();
}
