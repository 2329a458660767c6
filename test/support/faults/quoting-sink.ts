/** A far side that refuses and quotes the recipient in the spellings that far sides use, at RCPT or after the final dot. */

import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';

const SPELLINGS: readonly ((address: string) => string)[] = [
  (address) => address,
  (address) => encodeURIComponent(address),
  (address) => Buffer.from(address).toString('base64'),
  (address) => Buffer.from(address.split('@')[0] ?? '').toString('base64url'),
  (address) => Buffer.from(address).toString('hex'),
  (address) => address.toUpperCase(),
  (address) => address.split('@')[0] ?? '',
  (address) => `"${address.split('@')[0] ?? ''}"@${address.split('@')[1] ?? ''}`,
  (address) => address.replace('@', '=').replace(/^/, 'bounce+'),
  (address) => (address.split('@')[0] ?? '').split('.').join(' '),
];

export interface QuotingSink {
  readonly port: number;
  /** Refusals by reply code. */
  readonly refusals: ReadonlyMap<number, number>;
  /** The recipients quoted in a refusal. */
  readonly quoted: ReadonlySet<string>;
  stop(): Promise<void>;
}

/** Of each ten recipients, in the order they come: three are refused at RCPT, three after the dot, four accepted. */
export async function startQuotingSink(): Promise<QuotingSink> {
  const refusals = new Map<number, number>();
  const quoted = new Set<string>();
  const sockets = new Set<Socket>();
  let count = 0;
  const refuse = (code: number, enhanced: string, address: string): string => {
    refusals.set(code, (refusals.get(code) ?? 0) + 1);
    quoted.add(address);
    const spelled = SPELLINGS[(refusals.get(code) as number) % SPELLINGS.length] ?? SPELLINGS[0];
    const text = SPELLINGS[count % SPELLINGS.length]?.(address) ?? address;
    return `${code}-${enhanced} <${text}>: recipient ${spelled?.(address) ?? ''} rejected\r\n${code} ${enhanced} no mailbox ${text} here\r\n`;
  };
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    let pending = '';
    let data = false;
    let reader = '';
    let number = 0;
    let refused = false;
    const command = (line: string): string => {
      if (/^EHLO/i.test(line)) return '250-sink.example\r\n250-PIPELINING\r\n250 SMTPUTF8\r\n';
      if (/^MAIL/i.test(line)) {
        refused = false;
        return '250 2.1.0 ok\r\n';
      }
      if (/^RCPT/i.test(line)) {
        reader = Buffer.from(/<(.*)>/.exec(line)?.[1] ?? '', 'latin1').toString('utf8');
        number = count++;
        refused = number % 10 < 3;
        if (!refused) return '250 2.1.5 ok\r\n';
        return number % 2 === 0 ? refuse(550, '5.1.1', reader) : refuse(450, '4.2.1', reader);
      }
      if (/^DATA/i.test(line)) {
        if (refused) return '503 5.5.1 no recipient\r\n';
        data = true;
        return '354 go on\r\n';
      }
      if (/^QUIT/i.test(line)) return '221 2.0.0 bye\r\n';
      return '250 2.0.0 ok\r\n';
    };
    socket.on('data', (chunk) => {
      pending += chunk.toString('latin1');
      for (;;) {
        const end = pending.indexOf(data ? '\r\n.\r\n' : '\r\n');
        if (end < 0) return;
        if (!data) {
          const line = pending.slice(0, end);
          pending = pending.slice(end + 2);
          socket.write(command(line));
          continue;
        }
        pending = pending.slice(end + 5);
        data = false;
        if (number % 10 >= 6) socket.write('250 2.0.0 kept\r\n');
        else
          socket.write(
            number % 2 === 0 ? refuse(552, '5.2.2', reader) : refuse(451, '4.7.1', reader),
          );
      }
    });
    socket.write('220 sink.example ESMTP\r\n');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    refusals,
    quoted,
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
