/** Three doors on one guard with a real outbox: the relay, the milter that hands over, and an API; what they keep is delivered. */

import { connect } from 'node:net';
import type { Gate } from '../../src/gates/gate.ts';
import { startMilter } from '../../src/gates/milter.ts';
import { createProviderCarrier } from '../../src/gates/provider-api/carrier.ts';
import { createSendgridAdapter } from '../../src/gates/provider-api/sendgrid.ts';
import { startProviderApi } from '../../src/gates/provider-api.ts';
import { createSmtpCarrier } from '../../src/gates/smtp-carrier.ts';
import { startSmtpRelay } from '../../src/gates/smtp-relay.ts';
import { createGuard } from '../../src/guard/check.ts';
import { createCircumstances } from '../../src/guard/circumstances.ts';
import { createOutbox } from '../../src/guard/outbox.ts';
import type { Keyring } from '../../src/keys/keyring.ts';
import type { Database } from '../../src/store/database.ts';
import { milterMessage, milterNegotiation, type PlainMessage } from './doors.ts';
import { SENDER, settingsOf } from './kept-road.ts';

export const KEPT_DOORS = ['relay', 'milter', 'sendgrid'] as const;
export type KeptDoor = (typeof KEPT_DOORS)[number];

export interface KeptDoors {
  /** Hands in a call that is split or held; the first word of the answer. */
  send(door: KeptDoor, kind: 'split' | 'hold', mark: string): Promise<string>;
  close(): Promise<void>;
}

export function readersOf(door: KeptDoor, mark: string): readonly string[] {
  return ['ann', 'bob', 'cyd'].map((name) => `${name}.${mark}.${door}@home.example`);
}

function messageOf(door: KeptDoor, kind: 'split' | 'hold', mark: string): PlainMessage {
  const readers = readersOf(door, mark);
  return {
    from: 'office@northwind.example',
    to: kind === 'split' ? readers : readers.slice(0, 1),
    subject: `News ${mark}`,
    // The word has the guard look for PDF files, so that it waits there too.
    text: `${kind === 'hold' ? 'Dear {{ first_name }}, h' : 'H'}ello, this is about %PDF`,
  };
}

const KEY = 'SG.key-issued-by-the-guard';

export async function openKeptDoors(
  db: Database,
  keyring: Keyring,
  nextHopPort: number,
  upstreamUrl: string,
): Promise<KeptDoors> {
  const nextHop = { host: '127.0.0.1', port: nextHopPort, tls: 'none' } as const;
  const adapter = createSendgridAdapter({ approvedTemplates: [] });
  const upstream = { baseUrl: upstreamUrl, credential: 'SG.theirs' };
  const log = { info: () => {}, warn: () => {} };
  const outbox = createOutbox({
    ...{ db, keyring, sender: `s-${process.pid}`, tickMs: 50, claimMs: 1500, log: () => {} },
  });
  const carriers = [
    createSmtpCarrier({ nextHop, name: 'gate.test' }),
    createProviderCarrier({ adapter, upstream, eventsUrl: null, log }),
  ];
  for (const carrier of carriers) outbox.carry(carrier);
  await outbox.start();
  const circumstances = await createCircumstances({ db, keyring });
  const guard = createGuard({
    ...{ db, settings: settingsOf, halted: () => false, circumstances, keeper: outbox },
  });
  const listen = { host: '127.0.0.1', port: 0 };
  const gates: Readonly<Record<KeptDoor, Gate>> = {
    relay: await startSmtpRelay({
      listen: { ...listen, tls: null },
      identities: () => null,
      anonymousIdentity: SENDER,
      ...{ road: guard.road('smtp'), nextHop, log },
    }),
    milter: await startMilter({
      ...{ listen, road: guard.road('smtp'), identityFor: () => SENDER, handOver: true, log },
    }),
    sendgrid: await startProviderApi({
      ...{ listen, callers: () => SENDER, road: guard.road('sendgrid'), adapter, upstream, log },
    }),
  };
  return {
    send: (door, kind, mark) => SEND[door](gates[door].address, messageOf(door, kind, mark)),
    async close() {
      for (const gate of Object.values(gates)) await gate.close();
      await guard.close();
      await outbox.close();
      await circumstances.close();
      for (const carrier of carriers) await carrier.close();
    },
  };
}

const SEND: Readonly<
  Record<KeptDoor, (address: string, message: PlainMessage) => Promise<string>>
> = {
  relay: (address, message) => sendBySmtp(Number(new URL(address).port), message),
  milter: async (address, message) => {
    const port = Number(/^inet:(\d+)@/.exec(address)?.[1] ?? 0);
    const bytes = Buffer.concat([milterNegotiation(), milterMessage(message)]);
    return exchange(port, bytes, (all) => {
      const letter = all.at(4 + all.lastIndexOf('\0\0\0\x01', undefined, 'latin1'));
      return letter === 0x64 || letter === 0x79 ? String.fromCharCode(letter) : null;
    });
  },
  sendgrid: async (address, { from, to, subject, text }) => {
    const response = await fetch(`${address}/v3/mail/send`, {
      method: 'POST',
      headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        from: { email: from },
        personalizations: [{ to: to.map((email) => ({ email })) }],
        subject,
        content: [{ type: 'text/plain', value: text }],
      }),
    });
    return `${response.status}`;
  },
};

/** Writes bytes and reads until `isEnd` finds the answer. */
function exchange(
  port: number,
  bytes: Buffer,
  isEnd: (all: Buffer) => string | null,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let all = Buffer.alloc(0);
    socket.on('error', reject);
    socket.on('data', (chunk) => {
      all = Buffer.concat([all, chunk]);
      const answer = isEnd(all);
      if (answer === null) return;
      socket.destroy();
      resolve(answer);
    });
    socket.write(bytes);
  });
}

async function sendBySmtp(port: number, message: PlainMessage): Promise<string> {
  const head = `From: ${message.from}\r\nTo: ${message.to.join(', ')}\r\nSubject: ${message.subject}\r\n`;
  const commands = [
    'EHLO client.test\r\n',
    `MAIL FROM:<${message.from}>\r\n`,
    ...message.to.map((to) => `RCPT TO:<${to}>\r\n`),
    'DATA\r\n',
    `${head}\r\n${message.text}\r\n.\r\n`,
  ];
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let text = '';
    socket.on('error', reject);
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      if (!/^\d{3}(?: .*)?\r\n$/m.test(text)) return;
      const next = commands.shift();
      if (next === undefined) {
        socket.destroy();
        resolve(text.slice(0, 3));
      } else {
        text = '';
        socket.write(next);
      }
    });
  });
}
