/** What a fault means for a release: wait, hold, or stop. */

import { Fault } from '../base/errors.ts';

/** The database is away or full: the release waits and goes on by itself. */
export function isDatabaseFault(error: unknown): error is Fault {
  return error instanceof Fault && error.code.startsWith('database.');
}

/** What was stored is not what was approved, or receivers could not verify it: a person has to see why. */
export function needsPerson(error: unknown): boolean {
  const code = error instanceof Fault ? error.code : '';
  return (
    code === 'broadcast.altered' || code === 'release.key-not-in-dns' || code === 'keys.seal-broken'
  );
}

/** The fault in one line, with its place. */
export function describeEnd(error: unknown): string {
  if (error instanceof Fault && error.where !== undefined)
    return `${error.message} (${error.where})`;
  return error instanceof Error ? error.message : 'an unknown fault';
}
