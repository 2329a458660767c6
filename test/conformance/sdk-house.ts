/**
 * One `undisclosed serve` with every door open, a database of its own, and a strict far side behind each door. Nothing in it
 * knows a call.
 */

import { createHash, randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SMTPServer } from 'smtp-server';
import { toConfig } from '../../src/config.ts';
import { type SigV4Key, sigv4Keys } from '../../src/gates/provider-api/sigv4.ts';
import { readKeyring } from '../../src/keys/keyring.ts';
import { MAILGUN_KEY, startMailgunUpstream } from '../flows/mailgun-upstream.ts';
import { startPostmarkUpstream, UPSTREAM_TOKEN } from '../flows/postmark-upstream.ts';
import { startSendgridUpstream, UPSTREAM_KEY } from '../flows/sendgrid-upstream.ts';
import { SES_KEY, startSesUpstream } from '../flows/ses-upstream.ts';
import { testDatabase } from '../support/database.ts';
import type { DeliveredCopy } from '../support/provider-message.ts';
import { Installation } from '../support/serve-process.ts';
import { SETTINGS, type Setting } from './sdk-call.ts';

export type FarSide = 'sendgrid' | 'ses' | 'mailgun' | 'postmark' | 'smtp';

export interface StrictFarSide {
  readonly copies: readonly DeliveredCopy[];
  /** What it refused, and why. */
  readonly rejected: readonly string[];
  close(): Promise<void>;
}

export interface ConformanceHouse {
  /** Where a program finds each provider. */
  readonly urls: Readonly<Record<Exclude<FarSide, 'smtp'>, string>>;
  readonly smtpPort: number;
  readonly keys: Readonly<Record<Setting, string>>;
  readonly sesKeys: Readonly<Record<Setting, SigV4Key>>;
  readonly farSides: Readonly<Record<FarSide, StrictFarSide>>;
  /** Resolves once nothing that was kept is on its way any more. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

const SETTLED_MS = 120_000;
const LINE_SIZE_MAX = 998;

/** A next hop that takes what RFC 5321 and RFC 5322 allow: whole lines, no longer than 998, a From, at most one To. */
export async function startMailSink(): Promise<StrictFarSide & { readonly port: number }> {
  const copies: DeliveredCopy[] = [];
  const rejected: string[] = [];
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    logger: false,
    // A client that keeps its connection open would hold up the end for 30 s.
    closeTimeout: 100,
    onData: (stream, session, done) => {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        const bytes = Buffer.concat(chunks);
        const problem = contentProblem(bytes);
        if (problem !== null) {
          rejected.push(problem);
          done(Object.assign(new Error(problem), { responseCode: 554 }));
          return;
        }
        const readers = session.envelope.rcptTo.map(({ address }) => address);
        copies.push({ readers, bytes });
        done(null, 'taken');
      });
    },
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.server.address() as AddressInfo;
  const close = () => new Promise<void>((resolve) => server.close(() => resolve()));
  return { port, copies, rejected, close };
}

function contentProblem(bytes: Buffer): string | null {
  const text = bytes.toString('latin1');
  if (/\r(?!\n)|(?<!\r)\n|\0/.test(text)) return 'a line that does not end in CRLF';
  if (text.split('\r\n').some((line) => line.length > LINE_SIZE_MAX)) return 'a line too long';
  const header = text.slice(0, text.indexOf('\r\n\r\n') + 2);
  const count = (name: string): number => header.match(new RegExp(`^${name}:`, 'gim'))?.length ?? 0;
  if (count('from') !== 1) return 'not one From';
  return count('to') > 1 || count('cc') > 1 ? 'two To or Cc' : null;
}

export async function openHouse(): Promise<ConformanceHouse> {
  const closers: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const one of closers.splice(0).reverse()) await one();
  };
  try {
    return { ...(await open(closers)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function open(closers: (() => Promise<void>)[]): Promise<Omit<ConformanceHouse, 'close'>> {
  const sendgrid = await startSendgridUpstream();
  const ses = await startSesUpstream();
  const mailgun = await startMailgunUpstream();
  const postmark = await startPostmarkUpstream();
  const smtp = await startMailSink();
  const farSides = { sendgrid, ses, mailgun, postmark, smtp };
  closers.push(...Object.values(farSides).map((side) => () => side.close()));
  const database = await testDatabase();
  closers.push(() => database.drop());
  const installation = await Installation.make({
    people: 1,
    seed: 1,
    env: {
      DATABASE_URL: database.url,
      SENDGRID_API_KEY: UPSTREAM_KEY,
      SES_KEY: `${SES_KEY.id}:${SES_KEY.secret}`,
      MAILGUN_API_KEY: MAILGUN_KEY,
      POSTMARK_SERVER_TOKEN: UPSTREAM_TOKEN,
    },
  });
  closers.push(() => installation.close());
  const { keys, sesKeys, callers } = await issueKeys(installation);
  const door = (baseUrl: string) => ({ listen: '127.0.0.1:0', baseUrl });
  const gates = {
    smtp: { listen: '127.0.0.1:0', nextHop: `127.0.0.1:${smtp.port}`, tls: 'none' },
    sendgrid: door(sendgrid.baseUrl),
    ses: door(ses.baseUrl),
    mailgun: door(mailgun.baseUrl),
    postmark: { ...door(`http://${postmark.host}`), approvedTemplates: ['welcome'] },
    callers,
  };
  const config = { companyDomains: ['company.example'], gates };
  await installation.stop();
  await writeFile(join(installation.folder, 'config.json'), JSON.stringify(config));
  const { lines } = await installation.serve();
  const address = (gate: string): string => {
    const line = lines.find((one) => one.startsWith(`gate ${gate} `));
    return line?.split(' ')[2] ?? '';
  };
  return {
    urls: {
      sendgrid: address('provider-api:sendgrid'),
      ses: address('provider-api:ses'),
      mailgun: address('provider-api:mailgun'),
      postmark: address('provider-api:postmark'),
    },
    smtpPort: Number(new URL(address('smtp-relay')).port),
    keys,
    sesKeys,
    farSides,
    settled: async () => {
      const end = performance.now() + SETTLED_MS;
      for (;;) {
        const open = await database.db.query("SELECT 1 FROM kept WHERE state = 'sending' LIMIT 1");
        if (open.length === 0) return;
        if (performance.now() > end) throw new Error('what was kept does not leave');
        await sleep(20);
      }
    },
  };
}

/** A caller for each setting; SES's secrets follow from the keyring. */
async function issueKeys(installation: Installation) {
  const { keyring } = toConfig(installation.env);
  const [token] = (await readKeyring(keyring, installation.dataDir)).token;
  if (token === undefined) throw new Error('the keyring has no token key');
  const issuer = sigv4Keys(token.key);
  const keys: Record<string, string> = {};
  const sesKeys: Record<string, SigV4Key> = {};
  const callers: object[] = [];
  for (const setting of SETTINGS) {
    const key = `SG.${randomBytes(24).toString('base64url')}`;
    const ses = issuer.issue(`ses-${setting}`);
    keys[setting] = key;
    sesKeys[setting] = ses;
    const how = {
      policy: 'bulk',
      mode: setting === 'shadow' ? 'shadow' : 'enforce',
      split: setting === 'split',
      // One key makes calls of one and of 1,000 here, which would be an unusual size.
      readersMax: 1000,
    };
    const keySha256 = createHash('sha256').update(key).digest('hex');
    callers.push({ name: setting, keySha256, ...how });
    callers.push({ name: `ses-${setting}`, keySha256: ses.keySha256, ...how });
  }
  return {
    keys: keys as Record<Setting, string>,
    sesKeys: sesKeys as Record<Setting, SigV4Key>,
    callers,
  };
}
