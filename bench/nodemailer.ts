/** nodemailer against the same sink: the best connection count of a short sweep, then the measure. */

import { execFile } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const SENDER = fileURLToPath(new URL('./nodemailer-sender.mjs', import.meta.url));
const SWEEP = [5, 10, 20, 40] as const;
const run = promisify(execFile);

export interface NodemailerRun {
  readonly connections: number;
  readonly sent: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly perSecond: number;
}

export interface NodemailerOptions {
  readonly work: string;
  readonly csv: string;
  readonly port: number;
  readonly people: number;
  readonly log: (line: string) => void;
}

async function once(
  options: NodemailerOptions,
  connections: number,
  people: number,
  key: string,
): Promise<NodemailerRun> {
  const args = [SENDER, options.port, connections, people, options.csv, key, 9000].map(String);
  const { stdout } = await run(process.execPath, args, { maxBuffer: 1 << 20 });
  const result = JSON.parse(stdout) as { sent: number; seconds: number; cpuSeconds: number };
  return { connections, ...result, perSecond: result.sent / result.seconds };
}

/** RSA-2048 as on our side. */
export async function measureNodemailer(options: NodemailerOptions): Promise<NodemailerRun> {
  const key = join(options.work, 'nodemailer.pem');
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  await writeFile(key, privateKey.export({ type: 'pkcs8', format: 'pem' }));
  let best: NodemailerRun | null = null;
  for (const connections of SWEEP) {
    const tried = await once(options, connections, Math.min(1000, options.people), key);
    options.log(`nodemailer with ${connections} connections: ${Math.round(tried.perSecond)}/s`);
    if (best === null || tried.perSecond > best.perSecond) best = tried;
  }
  return once(options, best?.connections ?? 20, options.people, key);
}
