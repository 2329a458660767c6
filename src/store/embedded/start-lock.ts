/** One start at a time for a cluster, whichever processes ask for it. */

import { Fault } from '../../base/errors.ts';
import { takeProcessLock } from '../../base/process-lock.ts';

/**
 * Runs `work` while no other process does for the same cluster.
 * @throws Fault `embedded.start` when another holds it for longer than `limitMs`.
 */
export async function alone<T>(
  cluster: string,
  limitMs: number,
  work: () => Promise<T>,
): Promise<T> {
  const lock = await takeProcessLock('undisclosed-start', cluster, limitMs);
  if (lock === null)
    throw new Fault('embedded.start', 'another process has been starting PostgreSQL for long', {
      where: cluster,
      remedy: 'look at postgres.log beside the data',
    });
  try {
    return await work();
  } finally {
    await lock.release();
  }
}
