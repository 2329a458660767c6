/** Sockets to a next hop: plain, TLS from the start, and plain turned into TLS (RFC 3207). */

import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Route } from '../route.ts';

/** What a connection waits for, in the order of its life. */
export type Phase =
  | 'greeting'
  | 'ehlo'
  | 'starttls'
  | 'idle'
  | 'envelope'
  | 'reset'
  | 'content'
  | 'closed';

const READ_BYTES = 16_384;

/** Opens the connection of a route; `data` gets what arrives and keeps none of it. */
export function openSocket(route: Route, data: (chunk: Buffer) => void): Socket {
  const { host, port, tls } = route;
  if (tls === 'implicit') {
    const socket = connectTls({ host, port, ...serverName(host) });
    socket.setNoDelay(true);
    return socket.on('data', data);
  }
  const onread = {
    buffer: Buffer.allocUnsafeSlow(READ_BYTES),
    callback: (size: number, buffer: Uint8Array): boolean => {
      data(Buffer.from(buffer.buffer, buffer.byteOffset, size));
      return true;
    },
  };
  return connect({ host, port, noDelay: true, onread });
}

/** The same connection under TLS. Opportunistic TLS takes any certificate: it replaces no encryption at all. */
export function upgradeSocket(
  plain: Socket,
  route: Route,
  data: (chunk: Buffer) => void,
  secured: () => void,
): Socket {
  plain.removeAllListeners();
  const { host } = route;
  const rejectUnauthorized = route.tls === 'required';
  // The certificate is compared with `host`, which for an address has no server name to stand for it.
  const socket = connectTls(
    { socket: plain, host, rejectUnauthorized, ...serverName(host) },
    secured,
  );
  plain.on('error', (cause) => socket.destroy(cause));
  return socket.on('data', data);
}

/** RFC 6066 section 3: no address in place of a name. */
function serverName(host: string): { readonly servername?: string } {
  return isIP(host) === 0 ? { servername: host } : {};
}
