/** The guard's road with a real outbox and a real SMTP carrier, for one process of a test. */

import { createSmtpCarrier, encodeKept, type SmtpCarrier } from '../../src/gates/smtp-carrier.ts';
import { createGuard, type Guard, type GuardedCall } from '../../src/guard/check.ts';
import { type Identity, identityOf, policyOf } from '../../src/guard/identity.ts';
import type { JudgeSettings, Submission } from '../../src/guard/judge.ts';
import { createOutbox, type Outbox, type OutboxOptions } from '../../src/guard/outbox.ts';
import type { Keyring } from '../../src/keys/keyring.ts';
import type { Database } from '../../src/store/database.ts';

export interface KeptRoad {
  readonly guard: Guard;
  readonly outbox: Outbox;
  readonly carrier: SmtpCarrier;
  readonly log: readonly string[];
  close(): Promise<void>;
}

export const SENDER: Identity = identityOf('news', 'bulk', { split: true });

export function settingsOf(identity: Identity): JudgeSettings {
  return { policy: policyOf(identity, { companyDomains: [], roleAddresses: [] }) };
}

export async function openKeptRoad(
  db: Database,
  keyring: Keyring,
  port: number,
  options: Partial<OutboxOptions> = {},
): Promise<KeptRoad> {
  const log: string[] = [];
  const outbox = createOutbox({
    ...{ db, keyring, sender: `s-${process.pid}`, tickMs: 50, log: (line) => log.push(line) },
    ...options,
  });
  const carrier = createSmtpCarrier({
    nextHop: { host: '127.0.0.1', port, tls: 'none' },
    name: 'gate.test',
  });
  outbox.carry(carrier);
  await outbox.start();
  const guard = createGuard({
    db,
    settings: settingsOf,
    halted: () => false,
    circumstances: { assess: async () => ({ reasons: [], campaign: 7 }) },
    // As where each reader is a customer and greeted by name: the road waits for their records.
    greetings: (copies) => ({ copies, records: Promise.resolve(() => null) }),
    keeper: outbox,
  });
  return {
    ...{ guard, outbox, carrier, log },
    async close() {
      await guard.close();
      await outbox.close();
      await carrier.close();
    },
  };
}

/** A message to these readers, as the relay would hand it to the road. */
export function callOf(content: string, readers: readonly string[]): GuardedCall {
  const envelope = { from: 'office@northwind.example', recipients: readers, smtpUtf8: false };
  const bytes = Buffer.from(content.replace(/\r?\n/g, '\r\n'));
  const copy: Submission = { envelope, bytes };
  return { copies: [copy], keep: () => encodeKept(envelope, null, bytes) };
}

/** The word has the guard look for PDF files, so that it waits there too. */
const TEXT = 'hello, this is about %PDF';

/** One that is split: it shows its three readers to each other. */
export function splitCall(mark: string): GuardedCall {
  const readers = ['ann', 'bob', 'cyd'].map((name) => `${name}.${mark}@home.example`);
  const header = `From: office@northwind.example\nTo: ${readers.join(', ')}\nSubject: ${mark}\n`;
  return callOf(`${header}\n${TEXT}\n`, readers);
}

/** One that is held: a placeholder was not filled in. */
export function holdCall(mark: string): GuardedCall {
  const reader = `ann.${mark}@home.example`;
  const header = `From: office@northwind.example\nTo: ${reader}\nSubject: ${mark}\n`;
  return callOf(`${header}\nDear {{ first_name }},\n${TEXT}\n`, [reader]);
}

/** Looks every 20 ms until it holds. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  timeoutMs = 10_000,
): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
