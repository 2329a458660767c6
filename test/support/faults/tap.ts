/** A far side whose every received byte is kept: a recording relay before `demo/sink.mjs`, which is a process of its own. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const SINK = fileURLToPath(new URL('../../../demo/sink.mjs', import.meta.url));

/** One message as it came over the wire; `content` is empty where none was handed over. */
export interface Transaction {
  readonly from: string;
  readonly readers: readonly string[];
  readonly content: Buffer;
  /** Whether its final dot came. */
  readonly whole: boolean;
}

export interface Tap {
  readonly port: number;
  /** Everything that came since the last `take`, message by message. */
  take(): readonly Transaction[];
  stop(): Promise<void>;
}

/** Takes a client's half of SMTP conversations apart; knows nothing of the sender. */
export function transactionsOf(stream: Buffer): Transaction[] {
  const found: Transaction[] = [];
  let from = '';
  let readers: string[] = [];
  for (let at = 0; at < stream.length; ) {
    const end = stream.indexOf('\r\n', at);
    const line = stream.toString('utf8', at, end < 0 ? stream.length : end);
    at = end < 0 ? stream.length : end + 2;
    if (/^MAIL FROM:/i.test(line)) [from, readers] = [/<(.*?)>/.exec(line)?.[1] ?? '', []];
    else if (/^RCPT TO:/i.test(line)) readers.push(/<(.*?)>/.exec(line)?.[1] ?? '');
    else if (/^DATA$/i.test(line)) {
      const dot = stream.indexOf('\r\n.\r\n', at);
      const stop = dot < 0 ? stream.length : dot + 2;
      found.push({ from, readers, content: stream.subarray(at, stop), whole: dot >= 0 });
      at = dot < 0 ? stop : dot + 5;
    }
  }
  return found;
}

export async function openTap(folder: string): Promise<Tap> {
  const child: ChildProcess = spawn(process.execPath, [SINK, folder], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const sinkPort = await new Promise<number>((resolve, reject) => {
    child.once('exit', () => reject(new Error('the sink did not start')));
    if (child.stdout === null) return;
    createInterface({ input: child.stdout }).once('line', (line) =>
      resolve(Number(line.split(' ')[1])),
    );
  });
  let streams: Buffer[][] = [];
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const pieces: Buffer[] = [];
    streams.push(pieces);
    const sink = connect(sinkPort, '127.0.0.1');
    for (const socket of [client, sink]) {
      sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        client.end();
        sink.end();
      });
    }
    client.on('data', (chunk) => {
      pieces.push(chunk);
      sink.write(chunk);
    });
    sink.on('data', (chunk) => client.write(chunk));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    take: () => {
      const taken = streams.flatMap((pieces) => transactionsOf(Buffer.concat(pieces)));
      streams = [];
      return taken;
    },
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.stdin?.end();
      await once(child, 'exit');
    },
  };
}
