/** Every part of "wrong audience", as the configuration sets it and a relay does it: held, with a reason of its own each. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { GuardHouse, type ServeProcess } from '../support/guard-house.ts';
import { type ScriptedSink, startScriptedSink } from '../support/scripted-sink.ts';
import { SubmissionClient } from '../support/submission-client.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const FROM = 'news@company.example';

let house: GuardHouse;
let sink: ScriptedSink;
let serving: ServeProcess;
const clients = new Map<string, SubmissionClient>();

before(async () => {
  sink = await startScriptedSink({});
  house = await GuardHouse.make();
  serving = await start();
  await house.enrol(serving);
});
after(async () => {
  for (const client of clients.values()) client.close();
  await house?.close();
  await sink?.close();
});

function start(): Promise<ServeProcess> {
  const caller = (name: string, policy: string, more: object = {}): object => ({
    ...{ name, policy, keySha256: sha256(`key of ${name}`), ...more },
  });
  return house.serve('relay', {
    gates: {
      smtp: { listen: '127.0.0.1:0', nextHop: `127.0.0.1:${sink.port}`, tls: 'none' },
      callers: [
        caller('staging', 'transactional', { recipientDomains: ['company.example'] }),
        caller('small', 'transactional', { readersMax: 3 }),
        caller('usual', 'transactional'),
        caller('mixed', 'transactional'),
        caller('news', 'bulk'),
        caller('shop', 'transactional'),
      ],
    },
  });
}

let letters = 0;

/** `left`, or the reasons for which it is held. */
async function send(
  name: string,
  to: readonly string[],
  subject = `Letter ${'abcdefghijklmnopqrstuvwxyz'[++letters % 26]} ${letters}`,
): Promise<string> {
  const client = clients.get(name) ?? new SubmissionClient(serving.port('smtp'), `key of ${name}`);
  clients.set(name, client);
  const shown = to.length === 1 ? to[0] : FROM;
  const content = `From: ${FROM}\r\nTo: ${shown}\r\nSubject: ${subject}\r\n\r\nThe harbour opens in spring.\r\n`;
  const reply = await client.send(FROM, to, content);
  if (/taken/.test(reply)) return 'left';
  const id = /held .*Queued as (k-[a-z0-9]+)/.exec(reply)?.[1];
  if (id === undefined) return reply;
  const [row] = await house.db.query<{ reasons: readonly string[] }>(
    'SELECT reasons FROM kept WHERE id = $1',
    [id],
  );
  return row?.reasons.join() ?? 'not kept';
}

const people = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => `person${i}@home.example`);

test('environment lock: a caller that may write to named domains alone writes to no other', async () => {
  assert.equal(await send('staging', ['tester@company.example']), 'left');
  assert.equal(await send('staging', ['tester@COMPANY.example']), 'left');
  assert.equal(await send('staging', ['ann@home.example']), 'wrong-environment');
  assert.equal(await send('staging', ['tester@sub.company.example']), 'wrong-environment');
  assert.equal(
    await send('staging', ['tester@company.example', 'ann@home.example']),
    'wrong-environment',
  );
  assert.equal(await send('shop', ['ann@home.example']), 'left');
});

test('size: more readers than are set, or ten times what was usual, are too many', async () => {
  assert.equal(await send('small', people(3)), 'left');
  assert.equal(await send('small', people(4)), 'unusual-size');
  // Before anything is usual nothing is unusual; then 100 readers and more are, where there was one.
  for (let call = 0; call < 20; call++) assert.equal(await send('usual', people(1)), 'left');
  assert.equal(await send('usual', people(99)), 'left');
  assert.equal(await send('usual', people(990)), 'left');
  assert.equal(await send('usual', people(101)), 'left');
  for (let call = 0; call < 20; call++) assert.equal(await send('shop', people(1)), 'left');
  assert.equal(await send('shop', people(100)), 'unusual-size');
  assert.equal(await send('shop', people(100)), 'unusual-size', 'what was held is not learnt');
});

test('size by type: what is usual for a newsletter is not for a receipt of the same caller', async () => {
  for (let call = 0; call < 20; call++) {
    assert.equal(await send('mixed', people(1), `Your receipt ${4000 + call}`), 'left');
    assert.equal(await send('mixed', people(90), 'News of the week'), 'left');
  }
  assert.equal(await send('mixed', people(300), 'News of the week'), 'left');
  assert.equal(
    await send('mixed', people(300), 'Something new'),
    'left',
    'as usual for the caller',
  );
  assert.equal(await send('mixed', people(300), 'Your receipt 4711'), 'unusual-size');
  assert.equal(await send('mixed', people(99), 'Your receipt 4712'), 'left');
  // Learnt by one process, known to the next.
  for (const client of clients.values()) client.close();
  clients.clear();
  await serving.stop();
  serving = await start();
  assert.equal(await send('mixed', people(300), 'News of the week'), 'left');
  assert.equal(await send('mixed', people(1000), 'Your receipt 4713'), 'unusual-size');
  const rows = await house.db.query<{ row: string }>(
    'SELECT to_jsonb(u)::text AS row FROM usual_size u',
  );
  assert.ok(rows.some(({ row }) => row.includes('mixed')));
  assert.ok(
    rows.every(({ row }) => !/receipt|news of/i.test(row)),
    'no subject is stored',
  );
});

test('suppressed: bulk mail to somebody on the list is held, a receipt is not', async () => {
  assert.equal(await send('news', ['gone@home.example']), 'left');
  await house.must(
    ['suppression', 'add', 'Gone@home.example', '--reason', 'asked', '--as', 'alice'],
    serving.env,
  );
  assert.equal(await send('news', ['gone@HOME.example']), 'suppressed-reader');
  assert.equal(await send('news', ['ann@home.example']), 'left');
  assert.equal(await send('shop', ['gone@home.example']), 'left');
});
