/** A lost machine: with the keyring's backup and the database everything still opens; without it nothing does. */

import assert from 'node:assert/strict';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type App, startApp } from '../../src/app.ts';
import type { CommandIo, ExitStatus } from '../../src/cli/command.ts';
import { toConfig } from '../../src/config.ts';
import { startApi } from '../../src/web/api.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { customersCsv, NOTICE } from '../support/faults/places.ts';
import { openTap, type Tap } from '../support/faults/tap.ts';

const PASSPHRASE = 'correct horse battery';

type Command = (args: readonly string[], io: CommandIo) => Promise<ExitStatus>;

const COMMANDS: Readonly<Record<string, () => Promise<{ run: Command }>>> = {
  broadcast: () => import('../../src/cli/broadcast.ts'),
  customers: () => import('../../src/cli/customers.ts'),
  init: () => import('../../src/cli/init.ts'),
  keys: () => import('../../src/cli/keys.ts'),
  operator: () => import('../../src/cli/operator.ts'),
};

/** One machine: its folder, its environment, its server. */
class Machine {
  readonly env: Record<string, string>;
  #app: App | null = null;
  #api: { close(): Promise<void> } | null = null;

  constructor(folder: string, name: string, databaseUrl: string) {
    this.env = {
      UNDISCLOSED_DATA: join(folder, name, 'data'),
      UNDISCLOSED_KEYRING: join(folder, name, 'keyring.json'),
      UNDISCLOSED_OPERATORS: join(folder, 'operators'),
      UNDISCLOSED_SOCKET: join(folder, `${name}.sock`),
      UNDISCLOSED_PASSPHRASE: PASSPHRASE,
      DATABASE_URL: databaseUrl,
    };
  }

  async run<T>(command: string, ...args: readonly string[]): Promise<T> {
    let out = '';
    const io: CommandIo = {
      stdout: (text) => {
        out += text;
      },
      stderr: () => {},
      isTerminal: false,
      errorIsTerminal: false,
      columns: 80,
      env: this.env,
    };
    const { run } = (await COMMANDS[command]?.()) ?? {};
    if (run === undefined) throw new Error(`no command ${command}`);
    await run([...args, '--json'], io);
    const line = out.trim().split('\n').at(-1) ?? 'null';
    return (line.startsWith('{') ? JSON.parse(line) : line) as T;
  }

  async serve(): Promise<void> {
    const config = toConfig(this.env);
    this.#app = await startApp({ config, env: {}, log: () => {} });
    this.#api = await startApi(this.#app, () => {});
  }

  async stop(): Promise<void> {
    await this.#api?.close();
    await this.#app?.close();
    this.#api = null;
    this.#app = null;
  }
}

describe('keys backup, keys restore and keys rotate', () => {
  let folder = '';
  let database: TestDatabase;
  let tap: Tap;
  let first: Machine;
  let second: Machine;
  let backup = '';
  let broadcast = '';
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'undisclosed-keys-'));
    database = await testDatabase();
    tap = await openTap(join(folder, 'sink'));
    first = new Machine(folder, 'first', database.url);
    second = new Machine(folder, 'second', database.url);
    backup = join(folder, 'keyring.backup');
    await writeFile(join(folder, 'customers.csv'), customersCsv(6));
    await mkdir(join(folder, 'notice', 'messages'), { recursive: true });
    for (const [name, text] of Object.entries(NOTICE))
      await writeFile(join(folder, 'notice', name), text);
    await first.run('init', '--domain', 'northwind.example');
    await first.serve();
    for (const name of ['alice', 'bob']) await first.run('operator', 'add', name);
    await first.run('customers', 'import', join(folder, 'customers.csv'), '--as', 'alice');
    const route = `smtp://127.0.0.1:${tap.port}?tls=none`;
    const notice = join(folder, 'notice');
    const made = await first.run<{ broadcast: string }>(
      ...(['broadcast', 'create', notice, '--route', route] as const),
      ...(['--where', 'group=a', '--rings', '1000', '--as', 'alice'] as const),
    );
    broadcast = made.broadcast;
    await first.run('broadcast', 'prepare', broadcast, '--as', 'alice');
    await first.run('broadcast', 'approve', broadcast, '--as', 'bob');
  });
  after(async () => {
    await first.stop();
    await second.stop();
    await tap.stop();
    await database.drop();
    await rm(folder, { recursive: true, force: true });
  });

  test('a rotated kek rewraps every data key, and a backup is made of all versions', async () => {
    const wrapped = async (): Promise<string> =>
      JSON.stringify(
        await database.db.query('SELECT name, kek_version, wrapped FROM data_key ORDER BY 1'),
      );
    const before = await wrapped();
    const answer = await first.run<{ rewrapped: number }>('keys', 'rotate', 'kek', '--as', 'alice');
    assert.equal(answer.rewrapped, 3);
    assert.notEqual(await wrapped(), before);
    const rows = await database.db.query<{ kek_version: number }>(
      'SELECT kek_version FROM data_key',
    );
    assert.deepEqual(
      rows.map(({ kek_version }) => kek_version),
      [2, 2, 2],
    );
    await first.run('keys', 'backup', backup, '--as', 'alice');
    await assert.rejects(first.run('keys', 'backup', backup, '--as', 'alice'), {
      code: 'cli.unreadable',
      message: /already/,
    });
    const text = await readFile(backup, 'utf8');
    const ring = JSON.parse(await readFile(first.env.UNDISCLOSED_KEYRING ?? '', 'utf8'));
    assert.equal(ring.kek.length, 2);
    assert.equal(text.includes(ring.kek[0].secret) || text.includes('PRIVATE KEY'), false);
  });

  test('a keyring is never written over', async () => {
    await assert.rejects(first.run('keys', 'restore', backup), { code: 'keys.exists' });
  });

  test('a machine with another keyring opens nothing and sends nothing', async () => {
    await first.stop();
    const stranger = new Machine(folder, 'stranger', database.url);
    await stranger.run('init', '--domain', 'northwind.example');
    try {
      await assert.rejects(
        (async () => {
          await stranger.serve();
          await stranger.run('broadcast', 'release', broadcast, '--as', 'alice');
        })(),
        (error: { code?: string }) => /^(?:keys|ledger)\./.test(error.code ?? ''),
      );
    } finally {
      await stranger.stop();
    }
    assert.deepEqual(tap.take(), []);
  });

  test('an empty machine with the backup and its passphrase goes on where the first one was', async () => {
    await mkdir(join(folder, 'second'), { recursive: true });
    await copyFile(backup, join(folder, 'second', 'copy'));
    const wrong = { ...second.env, UNDISCLOSED_PASSPHRASE: 'another passphrase' };
    const mistaken = new Machine(folder, 'second', database.url);
    Object.assign(mistaken.env, wrong);
    await assert.rejects(mistaken.run('keys', 'restore', join(folder, 'second', 'copy')), {
      code: 'keys.backup-unreadable',
    });
    await second.run('keys', 'restore', join(folder, 'second', 'copy'));
    const keyringOf = (machine: Machine): Promise<string> =>
      readFile(machine.env.UNDISCLOSED_KEYRING ?? '', 'utf8');
    assert.equal(await keyringOf(second), await keyringOf(first));
    await second.serve();
    const end = await second.run<{ kind: string; progress: { accepted: number } }>(
      ...(['broadcast', 'release', broadcast, '--as', 'alice'] as const),
    );
    assert.equal(end.kind, 'complete');
    assert.equal(end.progress.accepted, 15);
    const readers = tap.take().flatMap((each) => each.readers);
    assert.equal(new Set(readers).size, 15);
  });
});
