/** Through a real relay with a register behind it: a customer who is greeted by somebody else's name gets nothing before people have looked. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { GuardHouse, type ServeProcess } from '../support/guard-house.ts';
import { type ScriptedSink, startScriptedSink } from '../support/scripted-sink.ts';
import { SubmissionClient } from '../support/submission-client.ts';

const KEYS = { shop: 'key-of-the-shop', staff: 'key-of-the-staff' };
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const FROM = 'shop@company.example';
const FIRST = 'Alice Bob Carla Dmitri Emine Farid Greta Hamid Ingrid Jonas'.split(' ');
const LAST = 'Archer Baker Castro Dorsey Ekstrom Fuchs Garcia Hoang Ibsen Jensen'.split(' ');
const addressOf = (row: number): string => `${FIRST[row]?.toLowerCase()}.${row}@home.example`;

let house: GuardHouse;
let sink: ScriptedSink;
let serving: ServeProcess;
let client: SubmissionClient;

before(async () => {
  sink = await startScriptedSink({});
  house = await GuardHouse.make();
  serving = await house.serve('relay', {
    gates: {
      smtp: { listen: '127.0.0.1:0', nextHop: `127.0.0.1:${sink.port}`, tls: 'none' },
      callers: [
        { name: 'shop', policy: 'transactional', keySha256: sha256(KEYS.shop) },
        { name: 'staff', policy: 'person', keySha256: sha256(KEYS.staff) },
      ],
    },
  });
  await house.enrol(serving);
  const rows = FIRST.map((first, row) => `c${row},${addressOf(row)},${first},${LAST[row]},Oslo`);
  const csv = await house.file(
    'customers.csv',
    `id,email,first_name,last_name,city\n${rows.join('\n')}\nc90,nameless@home.example,,,Rome\n`,
  );
  await house.must(['customers', 'import', csv, '--as', 'alice'], serving.env);
  client = new SubmissionClient(serving.port('smtp'), KEYS.shop);
  // The index follows the import; a greeting that is wrong shows that it has.
  for (let waited = 0; waited < 10_000; waited += 50) {
    if (/held/.test(await send(1, 'Dear Zoltan'))) return;
    await sleep(50);
  }
  throw new Error('the customer index did not follow');
});
after(async () => {
  client?.close();
  await house?.close();
  await sink?.close();
});

let orders = 0;

function mail(to: string, greeting: string): string {
  return `From: ${FROM}\r\nTo: ${to}\r\nSubject: Your order ${++orders}\r\n\r\n${greeting},\r\n\r\nyour order has left.\r\n`;
}

function send(row: number, greeting: string): Promise<string> {
  return client.send(FROM, [addressOf(row)], mail(addressOf(row), greeting));
}

test('"Dear Bob" to Alice is held, "Dear Alice" passes, and so does a reader whom nobody knows', async () => {
  assert.match(await send(0, 'Dear Bob'), /^250 .*held/);
  assert.match(await send(0, 'Dear Mr Baker'), /^250 .*held/);
  const left = sink.contents.length;
  for (const greeting of ['Dear Alice', 'Dear Mrs Archer', 'Hi A. Archer', 'Dear customer'])
    assert.match(await send(0, greeting), /taken/, greeting);
  for (const to of ['stranger@other.example', 'nameless@home.example'])
    assert.match(await client.send(FROM, [to], mail(to, 'Dear Bob')), /taken/, to);
  assert.equal(sink.contents.length, left + 6);
  const wrong = /To: alice[\s\S]*Dear (?:Bob|Mr Baker),/;
  assert.match(mail(addressOf(0), 'Dear Bob'), wrong);
  assert.ok(sink.contents.every((content) => !wrong.test(content)));
  const held = JSON.parse(
    await house.must(['hold', 'list', '--as', 'alice', '--json'], serving.env),
  ) as readonly { readonly reasons: readonly string[] }[];
  assert.ok(held.length >= 2);
  for (const { reasons } of held) assert.deepEqual(reasons, ['merge-mistake']);
});

test('rows that have shifted are held one message after another: reader n is greeted as reader n+1', async () => {
  const left = sink.contents.length;
  for (let row = 0; row + 1 < FIRST.length; row++)
    assert.match(
      await send(row, `Dear ${FIRST[row + 1]} ${LAST[row + 1]}`),
      /^250 .*held/,
      `${row}`,
    );
  assert.equal(sink.contents.length, left);
  for (let row = 0; row < FIRST.length; row++)
    assert.match(await send(row, `Dear ${FIRST[row]} ${LAST[row]}`), /taken/, `${row}`);
  assert.equal(sink.contents.length, left + FIRST.length);
});

test('people greet as they like', async () => {
  const staff = new SubmissionClient(serving.port('smtp'), KEYS.staff);
  assert.match(await staff.send(FROM, [addressOf(0)], mail(addressOf(0), 'Dear Bob')), /taken/);
  staff.close();
});

test('a register that does not answer defers who is greeted, never lets them pass; others go on', async () => {
  await house.db.query('ALTER TABLE customer RENAME TO customer_elsewhere');
  try {
    for (const greeting of ['Dear Alice', 'Dear Bob'])
      assert.match(await send(0, greeting), /^451 4\.3\.0/, greeting);
    assert.match(await send(0, 'Dear customer'), /taken/);
  } finally {
    await house.db.query('ALTER TABLE customer_elsewhere RENAME TO customer');
  }
  assert.match(await send(0, 'Dear Alice'), /taken/);
});
