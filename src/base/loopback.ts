/** Which hosts are this machine: nothing that is said to them can be overheard on a network. */

import { isIPv4 } from 'node:net';

/** An address in 127.0.0.0/8, `::1`, or the name `localhost`; no other name, whatever it resolves to. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}
