/**
 * A real Sendmail asks our milter. Debian's package may not stand beside Postfix, so it is fetched and unpacked into a folder of its own,
 * never installed, and runs there with a configuration made by its own m4 files. Needs `apt-get` and root.
 */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createTransport } from 'nodemailer';
import type { Gate } from '../../src/gates/gate.ts';
import { type Macros, type MilterOptions, startMilter } from '../../src/gates/milter.ts';
import { identityOf, policyOf } from '../../src/guard/identity.ts';
import { freePort } from '../support/interop/programs.ts';
import { createMemoryRoad, type MemoryRoad } from '../support/provider-road.ts';

export const name = 'milter-sendmail';

const PACKAGES = ['sendmail-bin', 'sendmail-cf', 'm4', 'liblockfile1', 'libwrap0', 'libsasl2-2'];
const FROM = 'news@company.example';
const READERS = ['ann@x.test', 'bob@y.test', 'cem@z.test'];
const COMPANY = { companyDomains: ['company.example'], roleAddresses: [] };

function mustRun(program: string, args: readonly string[], cwd: string, env = process.env): string {
  const { status, stdout, stderr } = spawnSync(program, args, { cwd, env, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} ended with ${status}: ${stderr.slice(-300)}`);
  return stdout;
}

interface Unpacked {
  readonly folder: string;
  readonly program: string;
  readonly env: NodeJS.ProcessEnv;
}

function unpack(): Unpacked {
  const folder = mkdtempSync(path.join(tmpdir(), 'undisclosed-sendmail-'));
  // Sendmail trusts no path that others may not even enter.
  chmodSync(folder, 0o755);
  try {
    mustRun('apt-get', ['download', '-q', ...PACKAGES], folder);
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
  const root = path.join(folder, 'root');
  for (const file of readdirSync(folder).filter((one) => one.endsWith('.deb')))
    mustRun('dpkg', ['-x', file, root], folder);
  // Without its set-group-id bit, which would have the loader ignore where its libraries are.
  const program = path.join(folder, 'sendmail');
  copyFileSync(path.join(root, 'usr/libexec/sendmail/sendmail'), program);
  chmodSync(program, 0o755);
  mkdirSync(path.join(folder, 'queue'), { mode: 0o700 });
  const libraries = ['usr/lib', 'lib'].flatMap((place) =>
    ['x86_64-linux-gnu', 'aarch64-linux-gnu'].map((kind) => path.join(root, place, kind)),
  );
  return { folder, program, env: { ...process.env, LD_LIBRARY_PATH: libraries.join(':') } };
}

/** What was unpacked, or why this machine cannot have it. */
function unpackOrSay(): Unpacked | string {
  if (process.getuid?.() !== 0) return 'it needs root, for a host name of its own';
  try {
    return unpack();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

interface Ports {
  readonly sendmail: number;
  readonly milter: number;
  readonly next: number;
}

function configure({ folder, env }: Unpacked, ports: Ports): string {
  const define = (what: string, value: string): string => `define(\`${what}',\`${value}')dnl`;
  const lines = [
    "OSTYPE(`linux')dnl",
    define('confPID_FILE', path.join(folder, 'pid')),
    define('QUEUE_DIR', path.join(folder, 'queue')),
    define('STATUS_FILE', path.join(folder, 'statistics')),
    define('ALIAS_FILE', ''),
    define('HELP_FILE', ''),
    define('confDONT_BLAME_SENDMAIL', 'GroupWritableDirPathSafe'),
    // The answer of the next hop before the answer to the client.
    define('confDELIVERY_MODE', 'interactive'),
    define('confTO_IDENT', '0'),
    define('confDOMAIN_NAME', 'mail.company.example'),
    define('SMART_HOST', 'relay:[127.0.0.1]'),
    define('RELAY_MAILER_ARGS', `TCP $h ${ports.next}`),
    "FEATURE(`no_default_msa')dnl",
    "FEATURE(`nocanonify')dnl",
    "FEATURE(`accept_unresolvable_domains')dnl",
    "FEATURE(`promiscuous_relay')dnl",
    `DAEMON_OPTIONS(\`Name=MTA, Addr=127.0.0.1, Port=${ports.sendmail}')dnl`,
    `INPUT_MAIL_FILTER(\`undisclosed',\`S=inet:${ports.milter}@127.0.0.1, F=T, T=C:5s;S:20s;R:20s;E:60s')dnl`,
    "MAILER(`smtp')dnl",
  ];
  writeFileSync(path.join(folder, 'test.mc'), `${lines.join('\n')}\n`);
  const root = path.join(folder, 'root');
  const cf = path.join(root, 'usr/share/sendmail/cf/');
  const m4 = path.join(root, 'usr/bin/m4');
  const text = mustRun(m4, [`-D_CF_DIR_=${cf}`, `${cf}m4/cf.m4`, 'test.mc'], folder, env);
  const file = path.join(folder, 'test.cf');
  writeFileSync(file, text);
  return file;
}

/** A server of its own making: takes everything, and keeps contents. */
function startNextHop(contents: string[]): Promise<Server> {
  const server = createServer((socket: Socket) => {
    let text = '';
    let inContent = false;
    socket.write('220 next.test ESMTP\r\n');
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      for (;;) {
        const mark = inContent ? '\r\n.\r\n' : '\r\n';
        const end = text.indexOf(mark);
        if (end < 0) return;
        const taken = text.slice(0, end);
        text = text.slice(end + mark.length);
        if (inContent) contents.push(taken);
        const isData = !inContent && /^data$/i.test(taken);
        inContent = isData;
        socket.write(isData ? '354 go\r\n' : '250 2.0.0 ok\r\n');
        if (/^quit$/i.test(taken)) socket.end();
      }
    });
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

async function send(port: number, to: readonly string[], shown = to): Promise<string> {
  const transport = createTransport({ host: '127.0.0.1', port, ignoreTLS: true });
  const raw = `From: ${FROM}\r\nTo: ${shown.join(', ')}\r\nSubject: News\r\n\r\nHello.\r\n`;
  try {
    const { response } = await transport.sendMail({ envelope: { from: FROM, to: [...to] }, raw });
    return response;
  } catch (error) {
    return (error as { response?: string }).response ?? String(error);
  } finally {
    transport.close();
  }
}

async function until(isSo: () => Promise<boolean>, timeoutMs: number): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!(await isSo())) {
    if (performance.now() > end) throw new Error('Sendmail did not answer in time');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

interface Proof {
  readonly port: number;
  readonly contents: string[];
  readonly macros: Set<string>;
  /** The milter anew, with a road of its own. */
  open(options?: Partial<MilterOptions>): Promise<MemoryRoad>;
  close(): Promise<void>;
}

async function check({ port, contents, macros, open, close }: Proof): Promise<void> {
  await open();
  assert.match(await send(port, READERS.slice(0, 1)), /^250 /);
  assert.equal(contents.length, 1, 'what passes is at the next hop');
  assert.match(await send(port, READERS), /^550[ -]5\.7\.1 /);
  const split = await open({
    handOver: true,
    identityFor: () => identityOf('news', 'bulk', { split: true }),
  });
  assert.match(await send(port, READERS), /^250 /);
  assert.equal(split.kept.length, 1, 'kept by us, discarded by Sendmail');
  await open({ road: { decide: () => Promise.reject(new Error('broken')) } });
  assert.match(await send(port, READERS.slice(0, 1)), /^4\d\d[ -]/, 'a broken guard');
  assert.equal(contents.length, 1, 'nothing else has left');
  await open({ mask: { settings: (identity) => ({ policy: policyOf(identity, COMPANY) }) } });
  assert.match(await send(port, READERS), /^250 /);
  assert.equal(contents.length, 2);
  assert.doesNotMatch(contents[1] ?? '', /^(?:to|cc):.*@[xyz]\.test/im, 'To is emptied');
  await close();
  assert.match(await send(port, READERS.slice(0, 1)), /^4\d\d[ -]/, 'no milter: try later (F=T)');
  assert.equal(contents.length, 2);
  for (const wanted of ['i', 'j', '{mail_addr}', '{daemon_name}'])
    assert.ok(macros.has(wanted), `${wanted} among ${[...macros].join(' ')}`);
}

export async function run(options: {
  readonly log: (line: string) => void;
}): Promise<Record<string, number | string>> {
  const unpacked = unpackOrSay();
  if (typeof unpacked === 'string') {
    options.log(`not run: ${unpacked}`);
    return { notRun: unpacked };
  }
  const contents: string[] = [];
  const macros = new Set<string>();
  const next = await startNextHop(contents);
  const address = next.address();
  const ports = {
    sendmail: await freePort(),
    milter: await freePort(),
    next: typeof address === 'object' && address !== null ? address.port : 0,
  };
  const config = configure(unpacked, ports);
  let milter: Gate | null = null;
  let sendmail: ChildProcess | null = null;
  const close = async (): Promise<void> => {
    await milter?.close();
    milter = null;
  };
  const open = async (change: Partial<MilterOptions> = {}): Promise<MemoryRoad> => {
    await close();
    const road = createMemoryRoad();
    const { identityFor = () => identityOf('news', 'bulk'), ...rest } = change;
    milter = await startMilter({
      ...{ listen: { host: '127.0.0.1', port: ports.milter }, road, handOver: false },
      log: { warn: () => {} },
      limits: { closeMs: 500 },
      ...rest,
      identityFor: (given: Macros) => {
        for (const macro of given.keys()) macros.add(macro);
        return identityFor(given);
      },
    });
    return road;
  };
  try {
    // Under a host name without a dot Sendmail sleeps for a minute, so it has one to itself.
    const named = 'hostname mail.company.example && exec "$0" -C "$1" -bD -q30m';
    sendmail = spawn('unshare', ['-u', 'sh', '-c', named, unpacked.program, config], {
      env: unpacked.env,
      stdio: 'ignore',
    });
    await open();
    await until(async () => /^250 /.test(await send(ports.sendmail, [READERS[0] ?? ''])), 20_000);
    contents.length = 0;
    await check({ port: ports.sendmail, contents, macros, open, close });
    const [, version = ''] =
      /Version (\S+)/.exec(
        mustRun(unpacked.program, ['-C', config, '-d0.1', '-bt'], unpacked.folder, unpacked.env),
      ) ?? [];
    options.log(`Sendmail ${version}: passed, refused, split, masked, deferred as it should be`);
    return { sendmail: version, macros: [...macros].sort().join(' ') };
  } finally {
    sendmail?.kill();
    await close();
    next.close();
    rmSync(unpacked.folder, { recursive: true, force: true });
  }
}
