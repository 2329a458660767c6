/** `serve` that cannot start: the keyring, the database or the place is wrong. Nothing is left running or half made. */

import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { CommandLine, type Said } from '../support/command-line.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';

const NOWHERE = 'postgresql://nobody@127.0.0.1:9/nothing';
const line = new CommandLine();
let database: TestDatabase;

before(async () => {
  database = await testDatabase({ migrated: false });
  await line.must(['init', '--domain', 'northwind.example']);
});
after(async () => {
  await line.close();
  await database?.drop();
});

function assertRefused(said: Said, wanted: RegExp): void {
  assert.equal(said.status, 2, said.stderr);
  assert.match(said.stderr, wanted);
  assert.match(said.stderr, /^undisclosed: [^\n]+\n$/, 'one line');
  assert.doesNotMatch(said.stderr, /^\s+at |node:internal/m);
  assert.equal(said.stdout, '');
}

const serve = (env: Readonly<Record<string, string>> = {}): Promise<Said> =>
  line.run(['serve'], { DATABASE_URL: database.url, ...env }, 30_000);

async function isEmpty(): Promise<boolean> {
  const rows = await database.db.query("SELECT 1 FROM pg_class WHERE relname = 'customer'");
  return rows.length === 0;
}

describe('the keyring', () => {
  const copy = (name: string, mode: number): string => {
    const target = path.join(line.folder, name);
    mkdirSync(path.dirname(target), { recursive: true });
    copyFileSync(path.join(line.folder, 'keyring.json'), target);
    chmodSync(target, mode);
    return target;
  };

  test('is refused when others can read it', async () => {
    for (const mode of [0o644, 0o640, 0o620])
      assertRefused(
        await serve({ UNDISCLOSED_KEYRING: copy('open.json', mode) }),
        /open\.json: the keyring can be read by others \(chmod 600 /,
      );
  });

  test('is refused inside the data directory', async () => {
    assertRefused(
      await serve({ UNDISCLOSED_KEYRING: copy('data/keyring.json', 0o600) }),
      /keyring\.json: the keyring lies in the data directory \(move it elsewhere/,
    );
  });

  test('is named when it is missing or damaged', async () => {
    assertRefused(
      await serve({ UNDISCLOSED_KEYRING: path.join(line.folder, 'none.json') }),
      /none\.json: the keyring cannot be read \(make one with `undisclosed init`/,
    );
    const broken = line.file('broken.json', '{"keyring":1,"kek":[{"secret":"SECRET-WORD');
    chmodSync(broken, 0o600);
    const said = await serve({ UNDISCLOSED_KEYRING: broken });
    assertRefused(said, /broken\.json: the keyring is damaged \(restore it/);
    assert.doesNotMatch(said.stderr, /SECRET/);
    assert.ok(await isEmpty(), 'the database was not touched');
  });
});

/** As much of a server as says that it is PostgreSQL 14 (protocol 3.0, chapter 55 of its documentation). */
function oldPostgres(): Promise<Server> {
  const message = (type: string, body: Buffer): Buffer => {
    const head = Buffer.alloc(5);
    head.write(type, 'latin1');
    head.writeInt32BE(body.length + 4, 1);
    return Buffer.concat([head, body]);
  };
  const int16 = (value: number): Buffer => Buffer.from([value >> 8, value & 255]);
  const int32 = (value: number): Buffer => Buffer.from([0, 0, value >> 8, value & 255]);
  const ready = message('Z', Buffer.from('I'));
  const fields: readonly (readonly [name: string, type: number, value: string])[] = [
    ['version', 23, '140011'],
    ['release', 25, '14.11'],
    ['encoding', 25, 'UTF8'],
  ];
  const answer = Buffer.concat([
    message(
      'T',
      Buffer.concat([
        int16(fields.length),
        ...fields.map(([name, type]) =>
          Buffer.concat([
            Buffer.from(`${name}\0`),
            ...[int32(0), int16(0), int32(type), int16(4), int32(0), int16(0)],
          ]),
        ),
      ]),
    ),
    message(
      'D',
      Buffer.concat([
        int16(fields.length),
        ...fields.map(([, , value]) => Buffer.concat([int32(value.length), Buffer.from(value)])),
      ]),
    ),
    message('C', Buffer.from('SELECT 1\0')),
    ready,
  ]);
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.write(Buffer.concat([message('R', int32(0)), ready]));
      socket.on('data', (bytes) => {
        if (bytes.toString('latin1').startsWith('Q')) socket.write(answer);
      });
    });
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

describe('the database', () => {
  test('is said to be out of reach', async () => {
    assertRefused(
      await serve({ DATABASE_URL: NOWHERE }),
      /^undisclosed: (DATABASE_URL: )?PostgreSQL cannot be reached \(ECONNREFUSED\) \(check that the server runs/,
    );
  });

  test('is said to be wrong when the URL is none, names no database there is, or a password that is not right', async () => {
    const missing = new URL(database.url);
    missing.pathname = '/no_such_database';
    for (const url of ['postgresql://[', 'rubbish', missing.href]) {
      const said = await serve({ DATABASE_URL: url });
      assertRefused(said, /PostgreSQL cannot be reached \(\w+\) \(check that/);
    }
    const secret = await serve({ DATABASE_URL: 'postgresql://me:TopSecret@127.0.0.1:9/x' });
    assert.doesNotMatch(secret.stderr, /TopSecret/);
  });

  test('is refused when it is older than PostgreSQL 15', async () => {
    const server = await oldPostgres();
    const { port } = server.address() as { port: number };
    try {
      assertRefused(
        await serve({ DATABASE_URL: `postgresql://me@127.0.0.1:${port}/x?sslmode=disable` }),
        /the server is PostgreSQL 14\.11 \(PostgreSQL 15 or later is needed\)/,
      );
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });
});

describe('the place', () => {
  test('of the socket has to be short and in a folder that is there', async () => {
    assertRefused(
      await serve({ UNDISCLOSED_SOCKET: `/tmp/${'x'.repeat(120)}` }),
      /UNDISCLOSED_SOCKET: the path of the API socket has more than 107 bytes/,
    );
    assertRefused(
      await serve({ UNDISCLOSED_SOCKET: path.join(line.folder, 'no/api.sock') }),
      /no\/api\.sock: the API cannot listen here \(\w+\) \(name a place/,
    );
  });

  test('of the data has to be a folder', async () => {
    const file = line.file('file', '');
    assertRefused(
      await serve({ UNDISCLOSED_DATA: file }),
      /file: the data directory cannot be used \(\w+\) \(/,
    );
    writeFileSync(file, '');
  });
});

describe('the relay', () => {
  const config = (smtp: object): Readonly<Record<string, string>> => {
    const gates = { smtp: { nextHop: '127.0.0.1:25', ...smtp } };
    return { UNDISCLOSED_CONFIG: line.file('gates.json', JSON.stringify({ gates })) };
  };

  test('needs its certificate and its key, and a file that can be read', async () => {
    const certificate = path.join(line.folder, 'none.pem');
    assertRefused(
      await serve(config({ listen: '127.0.0.1:0', certificate })),
      /gates\.smtp\.key: the path of a PEM file is wanted \(a certificate and its key/,
    );
    assertRefused(
      await serve(config({ listen: '127.0.0.1:0', certificate, key: certificate })),
      /none\.pem: the file cannot be read \(ENOENT\) \(the user of `serve`/,
    );
    const key = line.file('key.pem', 'SECRET-WORD');
    const said = await serve(config({ listen: '127.0.0.1:0', certificate: key, key }));
    assertRefused(said, /key\.pem: these are no certificate and its key \(give both as PEM/);
    assert.doesNotMatch(said.stderr, /SECRET/);
  });

  test('needs them beyond this machine', async () => {
    assertRefused(
      await serve(config({ listen: '0.0.0.0:0' })),
      /0\.0\.0\.0:0: nobody could authenticate here without TLS \(name gates\.smtp\.certificate/,
    );
  });
});

describe('a second server', () => {
  test('on the same data directory is refused, and the first one keeps its database', async () => {
    const own = new CommandLine();
    try {
      // The embedded database belongs to another user when we are root.
      chmodSync(own.folder, 0o711);
      await own.must(['init', '--domain', 'northwind.example']);
      await own.serve();
      const same = await own.run(['serve'], {}, 30_000);
      assertRefused(same, /api\.sock: another server listens here \(stop it/);
      const socket = { UNDISCLOSED_SOCKET: path.join(own.folder, 'other.sock') };
      const beside = await own.run(['serve'], socket, 30_000);
      assertRefused(beside, /data: another server works with this data directory \(stop it/);
      assert.ok(!existsSync(socket.UNDISCLOSED_SOCKET));
      for (const name of ['alice', 'bob']) await own.must(['operator', 'add', name]);
      await own.must(['operator', 'list', '--as', 'alice']);
    } finally {
      await own.close();
    }
  });
});
