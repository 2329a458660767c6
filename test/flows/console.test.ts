/** The operators' page without a browser: who gets in, what gets through, and that Halt works when nothing else does. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createTransport } from 'nodemailer';
import type { HeldCall } from '../../src/guard/hold.ts';
import type { HaltRow } from '../../src/store/permits-and-halts.ts';
import { selfSigned } from '../support/certificate.ts';
import { CommandLine } from '../support/command-line.ts';
import { ConsoleClient, type PageAnswer } from '../support/console-client.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { Installation, postgresPid } from '../support/serve-process.ts';
import { type Sink, startSink } from '../support/sink-process.ts';

const KEY = 'a key of the test';
const LINK = /\/sign-in\/[A-Za-z0-9_-]{43}$/;

const config = (port: number): object => ({
  companyDomains: ['northwind.example'],
  gates: {
    smtp: { listen: '127.0.0.1:0', nextHop: `127.0.0.1:${port}`, tls: 'none' },
    callers: [
      {
        ...{ name: 'news', policy: 'bulk', split: true },
        keySha256: createHash('sha256').update(KEY).digest('hex'),
      },
    ],
  },
});

function originOf(at: Installation): string {
  const line = at.serving.lines.find((each) => each.startsWith('console '));
  return line?.slice('console '.length) ?? '';
}

async function linkFor(at: Installation, operator: string): Promise<string> {
  const answer = await at.api<{ url: string }>(operator, 'POST', '/v1/console/links', {});
  assert.match(answer.url, LINK);
  return answer.url;
}

async function signedIn(at: Installation, operator: string): Promise<ConsoleClient> {
  const client = new ConsoleClient(originOf(at));
  const { status } = await client.signIn(await linkFor(at, operator));
  assert.equal(status, 303);
  return client;
}

async function holdOne(at: Installation, mark: string): Promise<string> {
  const before = new Set((await held(at)).map(({ kept }) => kept));
  const line = at.serving.lines.find((each) => each.startsWith('gate smtp-relay '));
  const transport = createTransport({
    ...{ host: '127.0.0.1', port: Number(line?.split(':').at(-1)), ignoreTLS: true },
    auth: { user: 'news', pass: KEY },
  });
  await transport.sendMail({
    ...{ from: 'news@northwind.example', to: 'ann.lee@home.example', subject: `Hello ${mark}` },
    text: `Dear {{ first_name }},\n\n${mark} and ann.lee@home.example\n`,
  });
  transport.close();
  const made = (await held(at)).find(({ kept }) => !before.has(kept));
  assert.ok(made !== undefined, 'it is held');
  return made.kept;
}

const held = (at: Installation): Promise<HeldCall[]> => at.api('alice', 'GET', '/v1/guard/held');

async function kindsOf({ db }: TestDatabase, kind: string): Promise<number> {
  const rows = await db.query('SELECT 1 FROM ledger_entry WHERE kind = $1', [kind]);
  return rows.length;
}

/** Everything that a request may change. */
async function everything({ db }: TestDatabase): Promise<string> {
  const tables = ['kept', 'halt', 'mail_freeze', 'ledger_entry', 'console_link', 'operator'];
  const rows = await Promise.all(
    tables.map((table) =>
      db.query(`SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM ${table} t`),
    ),
  );
  return JSON.stringify(rows);
}

const HEADERS = {
  'content-security-policy': /^default-src 'none'; script-src 'self';/,
  'x-content-type-options': /^nosniff$/,
  'referrer-policy': /^no-referrer$/,
  'cross-origin-opener-policy': /^same-origin$/,
};

function assertHeaders({ headers }: Pick<PageAnswer, 'headers'>, of: string): void {
  for (const [name, value] of Object.entries(HEADERS))
    assert.match(String(headers[name]), value, `${name} of ${of}`);
}

describe('the operators’ page', () => {
  let database: TestDatabase;
  let sink: Sink;
  let at: Installation;
  let folder: string;

  before(async () => {
    database = await testDatabase();
    folder = await mkdtemp(join(tmpdir(), 'undisclosed-console-'));
    sink = await startSink(join(folder, 'sink.tsv'));
    at = await Installation.make({
      ...{ people: 20, seed: 4, config: config(sink.port) },
      env: { DATABASE_URL: database.url },
    });
  });
  after(async () => {
    await at?.close();
    await sink?.stop();
    await database?.drop();
    await rm(folder, { recursive: true, force: true });
  });

  test('a link signs in once, by its button only, and whoever looks at it uses nothing up', async () => {
    const url = await linkFor(at, 'alice');
    const { pathname } = new URL(url);
    const client = new ConsoleClient(originOf(at));
    for (let i = 0; i < 2; i++) {
      const { status, body } = await client.ask(pathname);
      assert.equal(status, 200);
      assert.match(body, /Sign in as <b>alice<\/b>\?/);
    }
    assert.equal((await client.ask('/')).status, 401);
    const entries = await kindsOf(database, 'console.signed-in');
    const answer = await client.signIn(url);
    assert.equal(answer.status, 303);
    assert.match(
      String(answer.headers['set-cookie']),
      /^undisclosed-console=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=43200$/,
    );
    assert.equal(await kindsOf(database, 'console.signed-in'), entries + 1);
    assert.match((await client.ask('/')).body, /disclosures kept from happening/);
    const second = new ConsoleClient(originOf(at));
    const again = await second.signIn(url);
    assert.equal(again.status, 403);
    assert.match(again.body, /This sign-in link is used, too old or not ours\./);
    assert.equal((await second.ask('/')).status, 401);
  });

  test('neither a link nor a cookie stands in the database', async () => {
    const url = await linkFor(at, 'alice');
    const token = url.split('/').at(-1) ?? '';
    const client = new ConsoleClient(originOf(at));
    await client.signIn(url);
    const secret = client.cookie.split('=')[1] ?? '';
    const text = async (needle: string): Promise<boolean> => {
      const found = await database.db.query(
        `SELECT 1 FROM (SELECT t::text AS row FROM console_link t
           UNION ALL SELECT t::text FROM console_session t) r WHERE row LIKE '%' || $1 || '%'`,
        [needle],
      );
      return found.length > 0;
    };
    for (const hidden of [token, secret]) {
      assert.ok(hidden.length === 43);
      assert.equal(await text(createHash('sha256').update(hidden).digest('hex')), true, 'its hash');
      assert.equal(await text(hidden), false);
      assert.equal(await text(Buffer.from(hidden).toString('hex')), false);
    }
  });

  test('a link that has run out signs nobody in', async () => {
    const url = await linkFor(at, 'alice');
    await database.db.query(
      "UPDATE console_link SET expires_at = now() - interval '1 second' WHERE used_at IS NULL",
    );
    const client = new ConsoleClient(originOf(at));
    assert.equal((await client.ask(new URL(url).pathname)).status, 403);
    assert.equal((await client.signIn(url)).status, 403);
  });

  test('the command prints a link, and takes no length of time that is too long', async () => {
    const said = JSON.parse(
      await at.must(['console', '--json', '--minutes', '720', '--as', 'bob']),
    );
    assert.match(said.url, LINK);
    const good = Date.parse(said.expires) - Date.now();
    assert.ok(good > 719 * 60_000 && good < 721 * 60_000, said.expires);
    for (const minutes of ['0', '721', 'many']) {
      const { status, stderr } = await at.cli(['console', '--minutes', minutes, '--as', 'bob']);
      assert.equal(status, 2);
      assert.match(stderr, /console\.bad-minutes/);
    }
  });

  test('an idle session ends, one that is too old ends, and watching does not keep one alive', async () => {
    const client = await signedIn(at, 'alice');
    const { db } = database;
    const age = (sql: string): Promise<unknown> => db.query(`UPDATE console_session SET ${sql}`);
    await age("used_at = now() - interval '59 minutes'");
    const live = await client.stream('/live/', (text) => text.includes('#numbers'), 10_000);
    assert.match(live.text, /hx-target="#numbers"/);
    await age("used_at = used_at - interval '2 minutes'");
    assert.equal((await client.ask('/')).status, 401);
    await age("used_at = now(), opened_at = now() - interval '11 hours'");
    assert.equal((await client.ask('/')).status, 200);
    await age("used_at = now(), opened_at = now() - interval '13 hours'");
    assert.equal((await client.ask('/')).status, 401);
  });

  test('signing out ends the session, also for whoever has its cookie', async () => {
    const client = await signedIn(at, 'alice');
    const { cookie } = client;
    const answer = await client.post('/sign-out', { csrf: await client.csrf() });
    assert.equal(answer.status, 303);
    client.cookie = cookie;
    assert.equal((await client.ask('/')).status, 401);
  });

  test('a form without the token of its session, with another’s, or from another site does nothing', async () => {
    const [alice, bob] = [await signedIn(at, 'alice'), await signedIn(at, 'bob')];
    const csrf = await alice.csrf();
    const form = { scope: 'bulk', reason: 'forged', csrf };
    const before = await everything(database);
    const refused = [
      alice.post('/halt', { scope: 'bulk', reason: 'forged' }),
      alice.post('/halt', { ...form, csrf: await bob.csrf() }),
      alice.post('/halt', form, { origin: 'https://evil.example' }),
      alice.post('/halt', form, { origin: 'null' }),
      alice.post('/halt', form, { 'sec-fetch-site': 'cross-site' }),
      alice.post('/halt', form, { origin: 'null', 'sec-fetch-site': 'same-site' }),
      alice.ask('/halt', { method: 'POST', form }),
      alice.post('/sign-out', {}),
    ];
    for (const answer of await Promise.all(refused)) {
      assert.equal(answer.status, 403);
      assertHeaders(answer, 'a refused form');
    }
    assert.equal(await everything(database), before);
    assert.equal((await alice.ask('/')).status, 200);
    // The same form does what it says when it comes from where it should; so does what browsers send under no-referrer.
    const origin = { origin: 'null', 'sec-fetch-site': 'same-origin' };
    const done = await alice.post('/halt', { ...form, reason: 'meant' }, origin);
    assert.equal(done.status, 200);
    const [halt] = await at.api<HaltRow[]>('alice', 'GET', '/v1/halts');
    assert.deepEqual([halt?.by, halt?.scope, halt?.reason], ['alice', 'bulk', 'meant']);
  });

  test('a halt stands until a second operator says so on the page', async () => {
    const [alice, bob] = [await signedIn(at, 'alice'), await signedIn(at, 'bob')];
    const [halt] = await at.api<HaltRow[]>('alice', 'GET', '/v1/halts');
    assert.ok(halt !== undefined);
    assert.match((await bob.ask('/')).body, /Halted: all bulk mail/);
    await alice.post('/resume', { halt: halt.id, csrf: await alice.csrf() });
    const page = await alice.ask('/halts');
    assert.match(page.body, /Another operator has to say so too/);
    await alice.post('/resume', { halt: halt.id, csrf: await alice.csrf() });
    assert.equal((await at.api<HaltRow[]>('alice', 'GET', '/v1/halts')).length, 1, 'alice twice');
    await bob.post('/resume', { halt: halt.id, csrf: await bob.csrf() });
    assert.deepEqual(await at.api('alice', 'GET', '/v1/halts'), []);
    assert.match((await bob.ask('/halts')).body, /No halt is in force/);
  });

  test('under a name that is not its own it answers nothing', async () => {
    const client = await signedIn(at, 'alice');
    const port = new URL(client.origin).port;
    for (const host of [
      'evil.example',
      `evil.example:${port}`,
      '127.0.0.1',
      `127.0.0.1.evil.example:${port}`,
    ]) {
      const answer = await client.ask('/', { headers: { host } });
      assert.equal(answer.status, 421, host);
      assert.doesNotMatch(answer.body, /kept from happening/);
    }
    for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`])
      assert.equal((await client.ask('/', { headers: { host } })).status, 200, host);
  });

  test('the security headers are on every answer, and pages are not stored', async () => {
    const client = await signedIn(at, 'alice');
    const id = await holdOne(at, 'headers');
    const { body } = await client.ask('/');
    const assets = [...body.matchAll(/(?:href|src)="(\/assets\/[^"]+)"/g)].map(
      ([, path]) => path ?? '',
    );
    assert.ok(assets.length >= 10, `${assets.length} assets`);
    for (const path of assets) {
      const answer = await client.ask(path);
      assert.equal(answer.status, 200, path);
      assert.match(String(answer.headers['cache-control']), /max-age=31536000, immutable/);
      assert.ok(answer.body.length > 100, path);
      assertHeaders(answer, path);
      const again = await client.ask(path, {
        headers: { 'if-none-match': String(answer.headers.etag) },
      });
      assert.equal(again.status, 304);
      assertHeaders(again, `${path}, unchanged`);
    }
    const pages: readonly (readonly [string, number])[] = [
      ...(
        ['/', '/verdicts', '/held', `/held/${id}`, '/broadcasts', '/halts', '/halt'] as const
      ).map((path) => [path, 200] as const),
      ...[
        ['/signed-out', 200] as const,
        ['/nothing', 404] as const,
        ['/held/k-none', 404] as const,
      ],
      ...[['/broadcasts/b-none', 404] as const, ['/sign-in/x', 403] as const, ['/%', 404] as const],
      ...['/assets/../console.ts', '/assets/..%2f..%2fpackage.json', '/assets/console.js'].map(
        (path) => [path, 404] as const,
      ),
    ];
    for (const [path, status] of pages) {
      const answer = await client.ask(path);
      assert.equal(answer.status, status, path);
      assertHeaders(answer, path);
      assert.equal(answer.headers['cache-control'], 'no-store', path);
      assert.doesNotMatch(answer.body, / at .*\.ts:\d+/, 'no stack');
    }
    assertHeaders(await client.stream('/live/', () => true, 5000), 'the stream');
    assertHeaders(await client.ask('/', { method: 'PUT' }), 'PUT');
    const json = { 'content-type': 'application/json', origin: client.origin };
    assertHeaders(await client.ask('/halt', { method: 'POST', form: {}, headers: json }), 'JSON');
    assertHeaders(await client.post('/halt', { reason: 'x'.repeat(70_000) }), 'a form too large');
    assertHeaders(await new ConsoleClient(client.origin).ask('/'), 'a page without a session');
  });

  test('no GET changes anything', async () => {
    const client = await signedIn(at, 'alice');
    const id = await holdOne(at, 'get');
    const before = await everything(database);
    const paths = ['/', '/verdicts?reason=placeholder', '/held', `/held/${id}`, '/halts', '/halt'];
    const deeds = ['/resume', `/held/${id}/look`, `/held/${id}/decide`, '/sign-out', '/sign-in'];
    for (const path of [...paths, ...deeds, '/freezes/f-1/lift']) {
      for (const query of ['', '?deed=refuse&reason=x&scope=bulk'])
        await client.ask(`${path}${query}`);
      await client.ask(path, { method: 'HEAD' });
    }
    assert.equal(await everything(database), before);
    await client.post(`/held/${id}/decide`, {
      deed: 'refuse',
      reason: 'x',
      csrf: await client.csrf(),
    });
    assert.notEqual(await everything(database), before, 'the comparison sees a change');
  });

  test('looking takes a reason, is an entry, and shows no address', async () => {
    const client = await signedIn(at, 'alice');
    const id = await holdOne(at, 'look');
    const csrf = await client.csrf();
    const before = await kindsOf(database, 'kept.looked');
    const page = await client.ask(`/held/${id}`);
    assert.doesNotMatch(page.body, /first_name/, 'the page itself shows nothing of it');
    const silent = await client.post(`/held/${id}/look`, { reason: ' ', csrf });
    assert.equal(silent.status, 422);
    assert.equal(await kindsOf(database, 'kept.looked'), before);
    const shown = await client.post(`/held/${id}/look`, { reason: 'asked by support', csrf });
    assert.match(shown.body, /<mark[^>]*>\{\{ first_name \}\}/);
    assert.match(shown.body, /look and a…e@h…e\.example/);
    assert.doesNotMatch(shown.body, /ann\.lee/i);
    assert.equal(await kindsOf(database, 'kept.looked'), before + 1);
  });

  test('two operators release, one does not, and the page says so', async () => {
    const [alice, bob] = [await signedIn(at, 'alice'), await signedIn(at, 'bob')];
    const id = await holdOne(at, 'release');
    const path = `/held/${id}/decide`;
    const taken = sink.taken();
    const decide = async (client: ConsoleClient): Promise<PageAnswer> =>
      client.post(path, { deed: 'release', reason: 'agreed', csrf: await client.csrf() });
    assert.equal((await decide(alice)).status, 303);
    const mine = await alice.ask(`/held/${id}`);
    assert.match(mine.body, /Another operator has to confirm it/);
    assert.doesNotMatch(mine.body, /value="release"/);
    const again = await decide(alice);
    assert.equal(again.status, 422);
    assert.match(again.body, /Who asked for a release cannot confirm it\./);
    assert.match((await bob.ask(`/held/${id}`)).body, /alice asked for its release/);
    assert.equal((await decide(bob)).status, 303);
    assert.ok(await sink.reaches(taken + 1, 10_000));
    for (
      let i = 0;
      i < 100 && !/released, delivered/.test((await bob.ask(`/held/${id}`)).body);
      i++
    )
      await sleep(50);
    const { body } = await bob.ask(`/held/${id}`);
    assert.match(body, /released, delivered/);
    assert.match(body, /<td>accepted<\/td>/);
    assert.equal(sink.taken(), taken + 1);
  });

  test('wrong links are counted: after ten within a minute the right one has to wait too', async () => {
    const url = await linkFor(at, 'alice');
    const client = new ConsoleClient(originOf(at));
    const wrong = Buffer.alloc(32, 7).toString('base64url');
    const seen: number[] = [];
    for (let i = 0; i < 14; i++) seen.push((await client.ask(`/sign-in/${wrong}`)).status);
    assert.ok(seen.includes(403) && seen.at(-1) === 429, seen.join(' '));
    assert.equal((await client.signIn(url)).status, 429);
  });

  test('another process knows the session and its end, and an operator who is removed is out everywhere', async () => {
    const other = new CommandLine({
      ...at.env,
      UNDISCLOSED_DATA: join(at.folder, 'data-2'),
      UNDISCLOSED_SOCKET: join(at.folder, 'api-2.sock'),
    });
    try {
      const url = JSON.parse(await at.must(['console', '--as', 'carol', '--json'])).url as string;
      await other.serve();
      const said = (await other.must<{ url: string }>(['console', '--as', 'carol'])).url;
      const there = new ConsoleClient(new URL(said).origin);
      assert.equal((await there.signIn(url)).status, 303, 'a link made here opens a session there');
      const here = new ConsoleClient(originOf(at));
      here.cookie = there.cookie;
      assert.equal((await here.ask('/')).status, 200);
      const stream = here.stream('/live/', (text) => text.includes('signed-out'), 20_000);
      await sleep(1500);
      await at.must(['operator', 'remove', 'carol', '--as', 'alice']);
      await at.must(['operator', 'remove', 'carol', '--as', 'bob']);
      const { text } = await stream;
      assert.match(text, /event: signed-out\ndata: \/signed-out/);
      for (const client of [here, there]) {
        assert.equal((await client.ask('/')).status, 401);
        const answer = await client.post('/halt', { scope: 'bulk', csrf: 'x' });
        assert.equal(answer.status, 401);
      }
      assert.equal(
        (await there.signIn(said)).status,
        403,
        'nor does a link of theirs open another',
      );
    } finally {
      await other.close();
    }
  });
});

describe('the page with a certificate, and behind a proxy', () => {
  let at: Installation;
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'undisclosed-console-'));
    const { cert, key } = selfSigned();
    await writeFile(join(folder, 'page.pem'), cert);
    await writeFile(join(folder, 'page.key'), key);
    const page = {
      ...{ listen: '127.0.0.1:0', origin: 'https://mail.northwind.example' },
      ...{ certificate: join(folder, 'page.pem'), key: join(folder, 'page.key') },
    };
    at = await Installation.make({ people: 1, seed: 4, config: { console: page } });
  });
  after(async () => {
    await at?.close();
    await rm(folder, { recursive: true, force: true });
  });

  test('it speaks TLS, answers under its public name, and its cookie stays on it', async () => {
    const line = at.serving.lines.find((each) => each.startsWith('console ')) ?? '';
    assert.equal(
      line,
      'console https://mail.northwind.example, at https://127.0.0.1:'.concat(
        line.split(':').at(-1) ?? '',
      ),
    );
    const client = new ConsoleClient(line.split(', at ')[1] ?? '');
    const { url } = await at.api<{ url: string }>('alice', 'POST', '/v1/console/links', {});
    assert.match(url, /^https:\/\/mail\.northwind\.example\/sign-in\//);
    const headers = { host: 'mail.northwind.example', origin: 'https://mail.northwind.example' };
    const token = url.split('/').at(-1) ?? '';
    const answer = await client.post('/sign-in', { token }, headers);
    assert.equal(answer.status, 303);
    assert.match(
      String(answer.headers['set-cookie']),
      /^__Host-undisclosed=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=43200; Secure$/,
    );
    assert.equal((await client.ask('/', { headers: { host: headers.host } })).status, 200);
    assert.equal((await client.ask('/', { headers: { host: 'evil.example' } })).status, 421);
  });
});

describe('the page while the database does not answer', () => {
  let at: Installation;
  let sink: Sink;
  let folder: string;
  const stopped: number[] = [];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'undisclosed-console-'));
    sink = await startSink(join(folder, 'sink.tsv'), { delayMs: 40 });
    at = await Installation.make({ people: 400, seed: 5, config: config(sink.port) });
  });
  after(async () => {
    for (const pid of stopped)
      try {
        process.kill(pid, 'SIGCONT');
      } catch {
        // It has ended.
      }
    await sink?.stop();
    await at?.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** The whole database server stands still, as on a machine that is gone. */
  async function freeze(): Promise<void> {
    const postmaster = await postgresPid(at.dataDir);
    assert.ok(postmaster !== null);
    const family = readdirSync('/proc').filter((name) => {
      if (!/^\d+$/.test(name)) return false;
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === postmaster;
      } catch {
        return false;
      }
    });
    for (const pid of [postmaster, ...family.map(Number)]) {
      process.kill(pid, 'SIGSTOP');
      stopped.push(pid);
    }
  }

  test('says so, and Halt halts a broadcast under way all the same', async () => {
    const alice = await signedIn(at, 'alice');
    const csrf = await alice.csrf();
    const id = await at.approved(`smtp://127.0.0.1:${sink.port}?tls=none&connections=2`);
    void at.release(id);
    assert.ok(await sink.reaches(60, 30_000));
    const watching = alice.stream('/live/', (text) => text.includes('does not answer'), 30_000);
    await sleep(1500);
    await at.closeDb();
    await freeze();
    const answer = await alice.post('/halt', { scope: 'bulk', reason: 'the wrong text', csrf });
    assert.equal(answer.status, 200);
    assert.ok(answer.milliseconds < 1500, `${answer.milliseconds} ms`);
    assert.match(answer.body, /The database does not answer/);
    assert.ok(existsSync(join(at.dataDir, 'HALT')));
    await sleep(600);
    const taken = sink.taken();
    const page = await alice.ask('/');
    assert.equal(page.status, 503);
    assert.match(page.body, /The database does not answer/);
    assert.match(page.body, /data-dialog="halt-dialog"/, 'Halt is there');
    assertHeaders(page, 'a page without a database');
    const stranger = new ConsoleClient(alice.origin);
    stranger.cookie = `undisclosed-console=${Buffer.alloc(32, 9).toString('base64url')}`;
    const refused = await stranger.post('/halt', { scope: 'everything', csrf });
    assert.ok([401, 503].includes(refused.status), `${refused.status}`);
    const { text } = await watching;
    assert.match(
      text,
      /hx-target="#banner".*The database does not answer/,
      'an open page says so too',
    );
    for (const pid of stopped.splice(0)) process.kill(pid, 'SIGCONT');
    for (let i = 0; i < 200 && existsSync(join(at.dataDir, 'HALT')); i++) await sleep(50);
    const halts = await at.api<HaltRow[]>('bob', 'GET', '/v1/halts');
    assert.deepEqual(
      halts.map(({ by, scope, reason }) => [by, scope, reason]),
      [['alice', 'bulk', 'the wrong text']],
    );
    await sleep(500);
    assert.equal(sink.taken(), taken, 'nothing more has left');
    assert.equal((await alice.ask('/')).status, 200, 'the page is back');
  });
});
