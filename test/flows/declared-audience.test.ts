/** A caller with a declared audience reaches nobody else, at whatever process, from the commit of the declaration on. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { GuardHouse, type ServeProcess } from '../support/guard-house.ts';
import { type ScriptedSink, startScriptedSink } from '../support/scripted-sink.ts';
import { SubmissionClient } from '../support/submission-client.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const caller = (name: string, more: object): object => ({
  ...{ name, policy: 'transactional', keySha256: sha256(`key of ${name}`), ...more },
});
const FROM = 'news@company.example';

let house: GuardHouse;
let sink: ScriptedSink;
let one: ServeProcess;
let other: ServeProcess;
const clients: SubmissionClient[] = [];

before(async () => {
  sink = await startScriptedSink({});
  house = await GuardHouse.make();
  const config = {
    gates: {
      smtp: { listen: '127.0.0.1:0', nextHop: `127.0.0.1:${sink.port}`, tls: 'none' },
      callers: [
        caller('spring', { audience: 'spring' }),
        caller('bulk-spring', { audience: 'spring', policy: 'bulk' }),
        caller('shadow-spring', { audience: 'spring', mode: 'shadow' }),
        caller('buyers', { audience: 'customers' }),
        caller('anybody', {}),
      ],
    },
  };
  one = await house.serve('one', config);
  other = await house.serve('other', config);
  await house.enrol(one);
});
after(async () => {
  for (const client of clients) client.close();
  await house?.close();
  await sink?.close();
});

let letters = 0;

async function send(at: ServeProcess, name: string, ...to: readonly string[]): Promise<string> {
  const client = new SubmissionClient(at.port('smtp'), `key of ${name}`);
  clients.push(client);
  const first = to.length === 1 ? to[0] : FROM;
  const content = `From: ${FROM}\r\nTo: ${first}\r\nSubject: Letter ${++letters}\r\n\r\nThe harbour opens in spring.\r\n`;
  return client.send(FROM, to, content);
}

async function declare(name: string, lines: readonly string[]): Promise<string> {
  const file = await house.file('list.txt', lines.join('\n'));
  const { status, stdout, stderr } = await house.cli(
    ['guard', 'audience', 'declare', name, file, '--as', 'alice'],
    one.env,
  );
  return `${status} ${stdout}${stderr}`;
}

async function reasonsOf(reply: string): Promise<readonly string[]> {
  const id = /Queued as (k-[a-z0-9]+)/.exec(reply)?.[1];
  const [row] = await house.db.query<{ reasons: readonly string[] }>(
    'SELECT reasons FROM kept WHERE id = $1',
    [id],
  );
  return row?.reasons ?? [];
}

test('an audience that nobody has declared passes nobody, says so at the start, and stops no other caller', async () => {
  for (const at of [one, other]) {
    assert.match(await send(at, 'spring', 'ann@home.example'), /^451 4\.3\.0/);
    assert.match(await send(at, 'shadow-spring', 'ann@home.example'), /^451 4\.3\.0/);
    assert.match(await send(at, 'anybody', 'ann@home.example'), /taken/);
    const alarms = at.lines.filter((line) => line.startsWith('alarm guard.audience-unknown'));
    assert.equal(alarms.length, 3, at.lines.join('\n'));
    assert.match(alarms.join(), /"caller":"spring","audience":"spring"/);
  }
});

test('who is on the list passes at every process; one reader who is not holds the call, with a reason of its own', async () => {
  const said = await declare('spring', [
    '',
    'Ann@HOME.example',
    '  bob@home.example \r',
    'ann@home.example',
  ]);
  assert.match(said, /^0 spring has 2 readers; 0 lines were rejected/);
  const left = sink.contents.length;
  for (const at of [one, other]) {
    assert.match(await send(at, 'spring', 'ann@home.example'), /taken/);
    assert.match(await send(at, 'bulk-spring', 'bob@home.example'), /taken/);
    const reply = await send(at, 'spring', 'carol@home.example');
    assert.match(reply, /^250 .*held/);
    assert.deepEqual(await reasonsOf(reply), ['outside-audience']);
    const together = await send(at, 'spring', 'ann@home.example', 'carol@home.example');
    assert.match(together, /^250 .*held/);
    assert.ok((await reasonsOf(together)).includes('outside-audience'));
  }
  assert.equal(sink.contents.length, left + 4);
  assert.match(await send(one, 'shadow-spring', 'carol@home.example'), /taken/);
  const [row] = await house.db.query<{ reasons: readonly string[]; action: string }>(
    "SELECT reasons, action FROM verdict WHERE identity = 'shadow-spring' AND verdict = 'hold'",
  );
  assert.deepEqual(row, { reasons: ['outside-audience'], action: 'forward' });
});

test('a new list takes the place of the old one at once, everywhere, and a removed one passes nobody', async () => {
  assert.match(
    await declare('spring', ['carol@home.example', 'not an address', 'dan@']),
    /^1 spring has 1 readers; 2 lines were rejected\.\n.*line 2: rejected.*line 3: rejected/s,
  );
  assert.match(await send(other, 'spring', 'carol@home.example'), /taken/);
  assert.match(await send(other, 'spring', 'ann@home.example'), /^250 .*held/);
  const listed = await house.must(
    ['guard', 'audience', 'list', '--as', 'bob', '--json'],
    other.env,
  );
  assert.deepEqual(
    JSON.parse(listed).map(({ at, ...row }: { at: string }) => row),
    [{ audience: 'spring', readers: 1, by: 'alice' }],
  );
  await house.must(['guard', 'audience', 'remove', 'spring', '--as', 'bob'], other.env);
  for (const at of [one, other])
    assert.match(await send(at, 'spring', 'carol@home.example'), /^451 4\.3\.0/);
  const kinds = await house.db.query<{ row: string }>(
    "SELECT to_jsonb(e)::text AS row FROM ledger_entry e WHERE to_jsonb(e)::text LIKE '%guard.audience-%'",
  );
  assert.equal(kinds.length, 3);
  assert.ok(kinds.every(({ row }) => !row.includes('home.example')));
});

test('a list that cannot be taken changes nothing', async () => {
  await declare('spring', ['ann@home.example']);
  assert.match(await declare('spring', ['email', 'name']), /^2 .*declared-audience\.empty/s);
  assert.match(
    await declare('spring', ['ok@home.example', 'x'.repeat(5000)]),
    /declared-audience\.line-too-long/,
  );
  assert.match(await declare('customers', ['ann@home.example']), /declared-audience\.name/);
  assert.match(await declare('a b', ['ann@home.example']), /declared-audience\.name/);
  const { stderr } = await house.cli(
    ['guard', 'audience', 'remove', 'none', '--as', 'bob'],
    one.env,
  );
  assert.match(stderr, /declared-audience\.unknown/);
  assert.match(await send(other, 'spring', 'ann@home.example'), /taken/);
});

test('the audience customers is the register, of every kind, as it is now', async () => {
  assert.match(await send(other, 'buyers', 'ann@home.example'), /^250 .*held/);
  const csv = await house.file(
    'customers.csv',
    'id,email,kind\n1,ann@home.example,customer\n2,seed@company.example,seed\n',
  );
  await house.must(['customers', 'import', csv, '--as', 'alice'], one.env);
  assert.match(await send(other, 'buyers', 'ann@home.example'), /taken/);
  assert.match(await send(other, 'buyers', 'seed@company.example'), /taken/);
  assert.match(await send(other, 'buyers', 'stranger@home.example'), /^250 .*held/);
  await sleep(500);
  assert.match(await send(other, 'buyers', 'ann@home.example'), /taken/);
});

test('nothing of a declared list is stored but keyed hashes', async () => {
  await declare('spring', ['findable@home.example']);
  const [row] = await house.db.query<{ n: number }>(
    'SELECT count(*)::int AS n FROM declared_reader',
  );
  assert.equal(row?.n, 1, 'it can be found at all');
  const rows = await house.db.query<{ row: string }>(
    `SELECT to_jsonb(r)::text AS row FROM declared_reader r
      UNION ALL SELECT to_jsonb(a)::text FROM declared_audience a`,
  );
  assert.ok(rows.every(({ row: text }) => !/findable|home\.example/.test(text)));
  assert.ok(one.lines.every((line) => !/findable|home\.example/.test(line)));
});
