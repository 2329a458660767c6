/** The relays that ours is measured beside, each forwarding to the same sink without inspection. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { cp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startPostfix } from '../test/support/interop/postfix.ts';
import { answers, freePort } from './far-side.ts';

const HARAKA = fileURLToPath(new URL('./node_modules/Haraka', import.meta.url));
const START_TRIES = 200;

export interface Relay {
  readonly name: string;
  readonly port: number;
  /** Of its one process; null where there are many. */
  readonly pid: number | null;
  stop(): Promise<void>;
}

/** Haraka with `queue/smtp_forward` and its defaults: one process, and since version 3 a connection to the sink for each message. */
export async function startHaraka(work: string, sinkPort: number): Promise<Relay> {
  if (!existsSync(HARAKA))
    throw new Error('Haraka is missing: node scripts/prepare.cjs proof installs it');
  const folder = join(work, 'haraka');
  const config = join(folder, 'config');
  const port = await freePort();
  // Without its own defaults beside ours it ends at the first connection.
  await cp(join(HARAKA, 'config'), config, { recursive: true });
  const files: Record<string, string> = {
    'smtp.ini': `listen=127.0.0.1:${port}\nnodes=0\n`,
    plugins: 'rcpt_to.in_host_list\nqueue/smtp_forward\n',
    host_list: '',
    host_list_regex: '.+[.](example|test)\n',
    'smtp_forward.ini': `host=127.0.0.1\nport=${sinkPort}\n`,
    loglevel: 'LOGERROR\n',
    me: 'haraka.northwind.example\n',
  };
  for (const [name, text] of Object.entries(files)) await writeFile(join(config, name), text);
  const child: ChildProcess = spawn(process.execPath, [join(HARAKA, 'bin/haraka'), '-c', folder], {
    stdio: 'ignore',
  });
  const exited = once(child, 'exit');
  for (let i = 0; i < START_TRIES && !(await answers(port)); i++)
    await new Promise((resolve) => setTimeout(resolve, 50));
  return {
    name: 'Haraka',
    port,
    pid: child.pid ?? null,
    stop: async () => {
      child.kill('SIGTERM');
      await exited;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Debian's Postfix as an instance of its own, its usual queue, everything on to the sink. */
export async function startPostfixRelay(sinkPort: number): Promise<Relay> {
  const postfix = await startPostfix({ mailboxes: [], relayPort: sinkPort });
  return { name: 'Postfix', port: postfix.port, pid: null, stop: () => postfix.close() };
}
