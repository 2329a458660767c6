/** A TCP link with a constant one-way delay, and the lateness that this machine adds to it. */

import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface DelayProxy {
  readonly port: number;
  close(): Promise<void>;
}

/** Passes bytes on in order, each `delayMs` after it came; what was under way when a side closes still arrives. */
function pass(from: Socket, to: Socket, delayMs: number): void {
  const queue: { at: number; bytes: Buffer | null }[] = [];
  let timer: NodeJS.Timeout | null = null;
  const step = (): void => {
    timer = null;
    const now = performance.now();
    for (let next = queue[0]; next !== undefined; next = queue[0]) {
      if (next.at > now) {
        timer = setTimeout(step, next.at - now);
        return;
      }
      queue.shift();
      if (to.destroyed) continue;
      if (next.bytes === null) to.end();
      else to.write(next.bytes);
    }
  };
  const put = (bytes: Buffer | null): void => {
    queue.push({ at: performance.now() + delayMs, bytes });
    if (timer === null) timer = setTimeout(step, delayMs);
  };
  from.on('data', (bytes: Buffer) => put(bytes));
  from.once('close', () => put(null));
}

export async function startDelayProxy(target: number, delayMs: number): Promise<DelayProxy> {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect({ host: '127.0.0.1', port: target, noDelay: true });
    near.setNoDelay(true);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => sockets.delete(socket));
    }
    pass(near, far, delayMs);
    pass(far, near, delayMs);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    port: address.port,
    close: async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close').catch(() => {});
    },
  };
}

export interface Control {
  stop(): Promise<void>;
}

/** An otherwise idle connection that writes the time through the link every few ms; the sink notes when it comes. */
export async function startControl(port: number, everyMs: number): Promise<Control> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  socket.on('error', () => {});
  socket.resume();
  await once(socket, 'connect');
  const timer = setInterval(() => {
    socket.write(`NOOP ${process.hrtime.bigint() / 1000n}\r\n`);
  }, everyMs);
  return {
    stop: async () => {
      clearInterval(timer);
      await sleep(20);
      socket.destroy();
    },
  };
}
