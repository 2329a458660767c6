/** Who may speak: two enrol a third, and a request is its operator's own, whole, once, and for five minutes. */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type App, startApp } from '../../src/app.ts';
import { run as init } from '../../src/cli/init.ts';
import { toConfig } from '../../src/config.ts';
import { enrol } from '../../src/operators/enrolment.ts';
import {
  newOperatorKey,
  type OperatorKey,
  operatorKeyOf,
} from '../../src/operators/operator-key.ts';
import {
  authenticate,
  authorization,
  bodyDigest,
  type RequestFacts,
} from '../../src/operators/signed-request.ts';
import type { Database } from '../../src/store/database.ts';
import { findOperatorRequest } from '../../src/store/operators.ts';
import { type Api, startApi } from '../../src/web/api.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';

const keyOf = (name: string): OperatorKey => operatorKeyOf(newOperatorKey(name));
const [alice, bob, carol, dave, erin] = ['alice', 'bob', 'carol', 'dave', 'erin'].map(keyOf) as [
  OperatorKey,
  OperatorKey,
  OperatorKey,
  OperatorKey,
  OperatorKey,
];
const NOT_AUTHENTICATED = { code: 'operator.not-authenticated' };
const MINUTES_5 = 5 * 60_000;

const add = (db: Database, key: OperatorKey, by: string | null): Promise<{ kind: string }> =>
  enrol(db, { deed: 'add', operator: key.operator, publicKey: key.publicKey, by, now: new Date() });
const remove = (db: Database, operator: string, by: string | null): Promise<{ kind: string }> =>
  enrol(db, { deed: 'remove', operator, publicKey: Buffer.alloc(0), by, now: new Date() });

interface Entry {
  readonly by: string;
  readonly data: { readonly agreedBy: readonly string[] };
}

async function entriesOf(db: Database, kind: string, subject: string): Promise<Entry[]> {
  const rows = await db.query<{ bytes: string }>(
    'SELECT bytes FROM ledger_entry WHERE kind = $1 AND subject = $2 ORDER BY id',
    [kind, subject],
  );
  return rows.map(({ bytes }) => JSON.parse(bytes) as Entry);
}

describe('enrolment', () => {
  let database: TestDatabase;
  let db: Database;
  before(async () => {
    database = await testDatabase();
    db = database.db;
  });
  after(() => database.drop());

  test('the first two enrol themselves, and never three of them, however fast they are', async () => {
    const results = await Promise.allSettled([alice, bob, erin].map((key) => add(db, key, null)));
    assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 2);
    // From here on the two are alice and bob.
    await db.query("UPDATE operator SET id = 'other', public_key = '' WHERE id = 'erin'");
    await db.query('DELETE FROM operator');
    for (const key of [alice, bob]) assert.equal((await add(db, key, null)).kind, 'done');
  });

  test('a third needs two different ones, who mean the same key', async () => {
    await assert.rejects(add(db, carol, null), NOT_AUTHENTICATED);
    assert.equal((await add(db, carol, 'alice')).kind, 'waits-for-second');
    assert.equal((await add(db, carol, 'alice')).kind, 'waits-for-second');
    // Another key under the name that was agreed to is another request.
    const other = { ...dave, operator: 'carol' };
    assert.equal((await add(db, other, 'bob')).kind, 'waits-for-second');
    assert.equal((await add(db, carol, 'alice')).kind, 'waits-for-second');
    assert.equal((await add(db, carol, 'bob')).kind, 'done');
    await assert.rejects(add(db, carol, 'bob'), { code: 'operator.exists' });
    assert.equal(await findOperatorRequest(db, 'carol', 'add'), null, 'nothing is left waiting');
    const [entry, ...more] = await entriesOf(db, 'operator.added', 'carol');
    assert.deepEqual(entry?.data.agreedBy, ['alice', 'bob']);
    assert.deepEqual(more, []);
  });

  test('two who agree at the same moment enrol one, once', async () => {
    const kinds = await Promise.all([add(db, dave, 'alice'), add(db, dave, 'bob')]);
    assert.deepEqual(kinds.map(({ kind }) => kind).sort(), ['done', 'waits-for-second']);
    assert.equal((await entriesOf(db, 'operator.added', 'dave')).length, 1);
  });

  test('removing takes two as well, and the word of one who was removed since counts no more', async () => {
    assert.equal((await add(db, erin, 'dave')).kind, 'waits-for-second');
    assert.equal((await remove(db, 'carol', 'dave')).kind, 'waits-for-second');
    assert.equal((await remove(db, 'dave', 'alice')).kind, 'waits-for-second');
    assert.equal((await remove(db, 'dave', 'bob')).kind, 'done');
    assert.equal((await add(db, erin, 'alice')).kind, 'waits-for-second');
    assert.equal((await remove(db, 'carol', 'alice')).kind, 'waits-for-second');
    assert.equal((await remove(db, 'carol', 'bob')).kind, 'done');
    assert.deepEqual((await entriesOf(db, 'operator.removed', 'carol'))[0]?.data.agreedBy, [
      'alice',
      'bob',
    ]);
  });

  test('two remain, and a name is used once', async () => {
    await assert.rejects(remove(db, 'bob', 'alice'), { code: 'operator.too-few' });
    await assert.rejects(remove(db, 'carol', 'bob'), { code: 'operator.unknown' });
    await assert.rejects(remove(db, 'nobody', 'bob'), { code: 'operator.unknown' });
    await assert.rejects(add(db, carol, 'bob'), { code: 'operator.exists' });
  });
});

describe('a signed request', () => {
  let database: TestDatabase;
  const facts: RequestFacts = { method: 'POST', path: '/v1/x', bodyDigest: bodyDigest('{}') };
  before(async () => {
    database = await testDatabase();
    const { db } = database;
    for (const key of [alice, bob]) await add(db, key, null);
    for (const by of ['alice', 'bob']) await add(db, carol, by);
    for (const by of ['alice', 'bob']) await remove(db, 'carol', by);
  });
  after(() => database.drop());

  const hear = (
    header: string | undefined,
    changed: Partial<RequestFacts> = {},
    atMs = Date.now(),
  ) => {
    const { method, path } = { ...facts, ...changed };
    return authenticate(database.db, header, method, path, atMs);
  };
  const refused = (heard: Promise<unknown>, why: RegExp): Promise<void> =>
    assert.rejects(heard, { ...NOT_AUTHENTICATED, message: why });

  test('says who speaks and which body it must have, once', async () => {
    const header = authorization(alice, facts);
    assert.deepEqual(await hear(header), { operator: 'alice', bodyDigest: facts.bodyDigest });
    await refused(hear(header), /made before/);
    assert.equal(
      (await hear(authorization(alice, facts)))?.operator,
      'alice',
      'said anew it is good',
    );
  });

  test('is heard once also where it comes many times at the same moment', async () => {
    const header = authorization(alice, facts);
    const heard = await Promise.allSettled(Array.from({ length: 8 }, () => hear(header)));
    assert.equal(heard.filter(({ status }) => status === 'fulfilled').length, 1);
  });

  test('is good for its own method and path alone', async () => {
    await refused(hear(authorization(alice, facts), { path: '/v1/y' }), /not alice’s/);
    await refused(hear(authorization(alice, facts), { path: '/v1/x?a=1' }), /not alice’s/);
    await refused(hear(authorization(alice, facts), { method: 'GET' }), /not alice’s/);
  });

  test('is good for five minutes, by a clock that is before or behind', async () => {
    const now = Date.now();
    const said = (atMs: number): string => authorization(alice, facts, new Date(atMs));
    await hear(said(now - MINUTES_5), {}, now);
    await hear(said(now + MINUTES_5), {}, now);
    await refused(hear(said(now - MINUTES_5 - 1), {}, now), /five minutes/);
    await refused(hear(said(now + MINUTES_5 + 1), {}, now), /five minutes/);
    const never = authorization(alice, facts).replace(/at="[^"]*"/, 'at="never"');
    await refused(hear(never), /five minutes/);
  });

  test('cannot be made younger, another’s, or one of another body', async () => {
    const old = authorization(alice, facts, new Date(Date.now() - 600_000));
    const younger = old.replace(/at="[^"]*"/, `at="${new Date().toISOString()}"`);
    await refused(hear(younger), /not alice’s/);
    await refused(hear(authorization(alice, facts).replace('"alice"', '"bob"')), /not bob’s/);
    const other = authorization(alice, facts).replace(
      /body="[0-9a-f]{64}"/,
      `body="${bodyDigest('{"a":1}')}"`,
    );
    await refused(hear(other), /not alice’s/);
    const again = authorization(alice, facts).replace(/nonce="./, (found) =>
      found.endsWith('0') ? 'nonce="1' : 'nonce="0',
    );
    await refused(hear(again), /not alice’s/);
  });

  test('needs an operator who is enrolled, and was not removed', async () => {
    await refused(hear(authorization(dave, facts)), /not an enrolled operator/);
    await refused(hear(authorization(carol, facts)), /not an enrolled operator/);
    const pretended = { ...dave, operator: 'alice' };
    await refused(hear(authorization(pretended, facts)), /not alice’s/);
  });

  test('that is refused uses up nothing: its nonce may still come with a good one', async () => {
    const header = authorization(alice, facts);
    await refused(hear(header, { path: '/v1/y' }), /not alice’s/);
    assert.equal((await hear(header)).operator, 'alice');
  });

  test('is nothing in another form', async () => {
    const header = authorization(alice, facts);
    for (const text of [
      undefined,
      '',
      'Bearer x',
      'Undisclosed-Ed25519 operator="alice"',
      ` ${header}`,
      `${header}, x="y"`,
      header.replace('Undisclosed', 'undisclosed'),
      header.replace(/signature="[^"]*"/, 'signature=""'),
    ])
      await assert.rejects(hear(text), NOT_AUTHENTICATED, text);
  });
});

interface Answer {
  readonly status: number;
  readonly text: string;
}

describe('the API', () => {
  let database: TestDatabase;
  let folder = '';
  let app: App;
  let api: Api;
  let socket = '';

  before(async () => {
    database = await testDatabase();
    folder = await mkdtemp(join(tmpdir(), 'undisclosed-operators-'));
    const env = {
      UNDISCLOSED_DATA: join(folder, 'data'),
      UNDISCLOSED_KEYRING: join(folder, 'keyring.json'),
      UNDISCLOSED_SOCKET: join(folder, 'api.sock'),
      DATABASE_URL: database.url,
    };
    socket = env.UNDISCLOSED_SOCKET;
    const quiet = { isTerminal: false, errorIsTerminal: false, columns: 80 };
    const io = { ...quiet, env, stdout: () => {}, stderr: () => {} };
    await init(['--domain', 'northwind.example'], io);
    app = await startApp({ config: toConfig(env), env: {}, log: () => {} });
    api = await startApi(app, () => {});
    for (const key of [alice, bob]) await add(app.db, key, null);
  });
  after(async () => {
    await api?.close();
    await app?.close();
    await database.drop();
    await rm(folder, { recursive: true, force: true });
  });

  function call(
    method: string,
    path: string,
    headers: IncomingHttpHeaders,
    body = '',
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const outgoing = httpRequest({ socketPath: socket, method, path, headers }, (answer) => {
        let text = '';
        answer.on('data', (chunk) => {
          text += String(chunk);
        });
        answer.once('end', () => resolve({ status: answer.statusCode ?? 0, text }));
      });
      outgoing.once('error', reject);
      outgoing.end(body);
    });
  }

  const PATH = '/v1/suppressions';
  const JSON_TYPE = 'application/json';
  const STREAM_TYPE = 'application/octet-stream';
  const said = JSON.stringify({ deed: 'add', addresses: ['ann@home.example'], reason: 'asked' });
  const altered = said.replace('ann@', 'eve@');

  const signed = (path: string, body: string, method = 'POST'): string =>
    authorization(alice, { method, path, bodyDigest: bodyDigest(body) });

  async function suppressed(): Promise<number> {
    const [row] = await app.db.query<{ n: number }>('SELECT count(*)::int AS n FROM suppression');
    return row?.n ?? -1;
  }

  test('carries out a body that was signed, once', async () => {
    const headers = { 'content-type': JSON_TYPE, authorization: signed(PATH, said) };
    assert.equal((await call('POST', PATH, headers, said)).status, 200);
    assert.equal(await suppressed(), 1);
    const replay = await call('POST', PATH, headers, said);
    assert.equal(replay.status, 401);
    assert.match(replay.text, /made before/);
    await app.db.query('DELETE FROM suppression');
  });

  const BODIES: readonly (readonly [string, string, string | undefined])[] = [
    ['altered', altered, JSON_TYPE],
    ['altered in white space', ` ${said}`, JSON_TYPE],
    ['cut short', said.slice(0, -1), JSON_TYPE],
    ['left out', '', JSON_TYPE],
    ['left out, with its type', '', undefined],
    ['altered, and sent as a file', altered, STREAM_TYPE],
    ['sent as a file', said, STREAM_TYPE],
    ['of another type', altered, 'text/plain'],
  ];
  for (const [what, body, type] of BODIES)
    test(`does nothing for a body that was ${what}`, async () => {
      const headers = {
        ...(type === undefined ? {} : { 'content-type': type }),
        authorization: signed(PATH, said),
      };
      const answer = await call('POST', PATH, headers, body);
      assert.ok(answer.status >= 400 && answer.status < 500, `${answer.status}: ${answer.text}`);
      assert.equal(await suppressed(), 0);
    });

  test('imports nothing of a file that is not the one that was signed', async () => {
    const path = '/v1/customers/import?file=c.csv&format=csv';
    const file = 'id,email,name\n1,ann@home.example,Ann\n';
    const other = file.replace('ann@', 'eve@');
    const send = (body: string, type = STREAM_TYPE): Promise<Answer> =>
      call('POST', path, { 'content-type': type, authorization: signed(path, file) }, body);
    assert.match((await send(other)).text, /operator\.not-authenticated/);
    assert.match((await send('')).text, /"code":/);
    assert.match((await send(JSON.stringify({ file }), JSON_TYPE)).text, /"code":/);
    const count = async (): Promise<number | undefined> =>
      (await app.db.query<{ n: number }>('SELECT count(*)::int AS n FROM customer'))[0]?.n;
    assert.equal(await count(), 0);
    assert.match((await send(file)).text, /"added":1/);
    assert.equal(await count(), 1);
  });

  test('hears nobody without a signature, but for its health and the first two operators', async () => {
    assert.equal((await call('GET', '/v1/health', {})).status, 200);
    for (const [method, path] of [
      ['GET', '/v1/operators'],
      ['GET', '/v1/halts'],
      ['GET', '/v1/health?x=1'],
      ['POST', '/v1/stop'],
      ['POST', '/v1/halt'],
      ['POST', PATH],
      ['POST', '/v1/operators/'],
      ['GET', '/v1/nothing'],
    ] as const)
      assert.equal((await call(method, path, {})).status, 401, `${method} ${path}`);
    const third = { deed: 'add', operator: 'erin', publicKey: erin.publicKey.toString('base64') };
    const body = JSON.stringify(third);
    const asked = await call('POST', '/v1/operators', { 'content-type': JSON_TYPE }, body);
    assert.equal(asked.status, 401);
    assert.equal(await findOperatorRequest(app.db, 'erin', 'add'), null);
  });

  test('looks at a signature also where none is needed, and does not fall back to nobody', async () => {
    const enrolment = {
      deed: 'add',
      operator: 'erin',
      publicKey: erin.publicKey.toString('base64'),
    };
    const body = JSON.stringify(enrolment);
    const asked = (authorization: string): Promise<Answer> =>
      call('POST', '/v1/operators', { 'content-type': JSON_TYPE, authorization }, body);
    const good = await asked(signed('/v1/operators', body));
    assert.match(good.text, /"waits-for-second".*"alice"/);
    const forged = await asked(signed('/v1/operators', body).replace('"alice"', '"bob"'));
    assert.equal(forged.status, 401);
    assert.match(forged.text, /not bob/);
  });
});
