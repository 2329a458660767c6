/** Through a real relay, each message a call of its own: a personal link that another reader had before is held. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { createGuard } from '../../src/guard/check.ts';
import { identityOf } from '../../src/guard/identity.ts';
import { GuardHouse, type ServeProcess } from '../support/guard-house.ts';
import { callOf, settingsOf } from '../support/kept-road.ts';
import { type ScriptedSink, startScriptedSink } from '../support/scripted-sink.ts';
import { SubmissionClient } from '../support/submission-client.ts';

const NAMES = ['news', 'shop', 'tried', 'staff', 'leave', 'variants', 'locked'] as const;
type Name = (typeof NAMES)[number];
const POLICIES = { shop: 'transactional', staff: 'person' } as const;
const keyOf = (name: Name): string => `key-of-${name}`;
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const FROM = 'shop@company.example';
const readerOf = (row: number): string => `reader${row}@home.example`;
const tokenOf = (row: number): string => sha256(`token ${row}`).slice(0, 24);
const linkOf = (row: number): string => `https://company.example/u/${tokenOf(row)}`;

let house: GuardHouse;
let sink: ScriptedSink;
let serving: ServeProcess;
const clients = new Map<Name, SubmissionClient>();

async function start(): Promise<void> {
  serving = await house.serve('relay', {
    gates: {
      smtp: { listen: '127.0.0.1:0', nextHop: `127.0.0.1:${sink.port}`, tls: 'none' },
      callers: NAMES.map((name) => ({
        name,
        policy: name in POLICIES ? POLICIES[name as keyof typeof POLICIES] : 'bulk',
        ...(name === 'tried' ? { mode: 'shadow' } : {}),
        ...(name === 'locked' ? { recipientDomains: ['home.example'] } : {}),
        keySha256: sha256(keyOf(name)),
      })),
    },
  });
  for (const name of NAMES)
    clients.set(name, new SubmissionClient(serving.port('smtp'), keyOf(name)));
}

async function stop(): Promise<void> {
  for (const client of clients.values()) client.close();
  await serving?.stop();
}

before(async () => {
  sink = await startScriptedSink({});
  house = await GuardHouse.make();
  await start();
  await house.enrol(serving);
});
after(async () => {
  await stop();
  await house?.close();
  await sink?.close();
});

interface Text {
  readonly subject?: string;
  readonly link?: string;
  readonly more?: string;
}

async function send(name: Name, row: number, text: Text): Promise<string> {
  const { subject = 'News of the spring', link = linkOf(row), more = '' } = text;
  const to = readerOf(row);
  const content = `From: ${FROM}\r\nTo: ${to}\r\nSubject: ${subject}\r\n${more}\r\nHello,\r\n\r\nthe page is ${link}\r\n`;
  const client = clients.get(name);
  assert.ok(client);
  return client.send(FROM, [to], content);
}

async function heldReasons(): Promise<readonly (readonly string[])[]> {
  const list = JSON.parse(
    await house.must(['hold', 'list', '--as', 'alice', '--json'], serving.env),
  ) as readonly { readonly reasons: readonly string[] }[];
  return list.map(({ reasons }) => reasons);
}

test('ten readers with links of their own pass; the eleventh with the link of the third is held', async () => {
  for (let row = 0; row < 10; row++) assert.match(await send('news', row, {}), /taken/, `${row}`);
  const left = sink.contents.length;
  assert.match(await send('news', 10, { link: linkOf(2) }), /^250 .*held/);
  assert.equal(sink.contents.length, left);
  assert.deepEqual(await heldReasons(), [['shared-token']]);
  assert.match(await send('news', 10, {}), /taken/);
});

test('a reminder with the same link passes, and so does another campaign; there, too, a wrong row is held', async () => {
  for (let row = 0; row < 10; row++)
    assert.match(await send('news', row, { subject: `Reader ${row}, do not miss it` }), /taken/);
  for (let row = 0; row < 9; row++) {
    const wrong = { subject: 'News of the summer', link: linkOf(row + 1) };
    assert.match(await send('news', row, wrong), /^250 .*held/, `${row}`);
  }
});

test('two readers at the same moment are compared: one of them is kept', async () => {
  const guard = createGuard({
    db: house.db,
    settings: settingsOf,
    halted: () => false,
    circumstances: { assess: async () => ({ reasons: [], campaign: null }) },
    keeper: { seal: (request) => ({ request, store: async () => 'k-1' }), wake: () => {} },
  });
  const decide = async (row: number, token: number): Promise<string> => {
    const to = readerOf(row);
    const text = `From: ${FROM}\nTo: ${to}\nSubject: News\n\n${linkOf(token)}\n`;
    const sender = identityOf('shop', 'bulk');
    return (await guard.road('smtp').decide(callOf(text, [to]), sender)).action;
  };
  for (let row = 0; row < 10; row++) assert.equal(await decide(row, row), 'forward');
  assert.deepEqual(await Promise.all([decide(10, 10), decide(11, 10)]), ['forward', 'keep']);
  await guard.close();
});

test('a newsletter in two languages, with one number for all in every copy, passes for thirty readers', async () => {
  for (let row = 0; row < 30; row++) {
    const page = `https://company.example/spring/${tokenOf(900 + (row % 2))}`;
    const link = `${page} and https://company.example/go?ref=${tokenOf(999)} and ${linkOf(row)}`;
    assert.match(await send('variants', row, { link }), /taken/, `${row}`);
  }
  assert.match(await send('variants', 30, { link: linkOf(4) }), /^250 .*held/);
});

test('addresses and links of List-Unsubscribe are personal, too', async () => {
  const header = (row: number): Text => ({
    link: 'https://company.example/',
    more: `List-Unsubscribe: <mailto:leave-${tokenOf(row)}@company.example?subject=leave>\r\n`,
  });
  for (let row = 0; row < 10; row++) assert.match(await send('leave', row, header(row)), /taken/);
  assert.match(await send('leave', 10, header(6)), /^250 .*held/);
  assert.match(await send('leave', 10, header(10)), /taken/);
});

test('what was refused, or held for another reason, teaches nothing: the right reader still gets theirs', async () => {
  for (let row = 0; row < 12; row++) assert.match(await send('locked', row, {}), /taken/);
  const exposing = { link: linkOf(50), more: `Cc: ${readerOf(51)}\r\n` };
  assert.match(await send('locked', 60, exposing), /^550/);
  const elsewhere = 'reader51@elsewhere.example';
  const content = `From: ${FROM}\r\nTo: ${elsewhere}\r\nSubject: News\r\n\r\n${linkOf(51)}\r\n`;
  const answer = await clients.get('locked')?.send(FROM, [elsewhere], content);
  assert.match(answer ?? '', /^250 .*held/);
  for (const row of [50, 51]) assert.match(await send('locked', row, {}), /taken/, `${row}`);
  assert.match(await send('locked', 60, { link: linkOf(50) }), /^250 .*held/);
});

test('receipts are compared with those of their kind, not with what others are sent', async () => {
  const order = (row: number): string =>
    `https://company.example/orders/${5000 + row}?signature=${tokenOf(row)}`;
  for (let row = 0; row < 12; row++)
    assert.match(
      await send('shop', row, { subject: `Your order ${row}`, link: order(row) }),
      /taken/,
    );
  assert.match(
    await send('shop', 20, { subject: 'A present is on its way', link: order(3) }),
    /taken/,
  );
  const wrong = { subject: 'Your order 77', link: order(3) };
  assert.match(await send('shop', 20, wrong), /^250 .*held/);
});

test('what is only watched goes on and is recorded; people share links as they like', async () => {
  for (const name of ['tried', 'staff'] as const) {
    for (let row = 0; row < 12; row++) assert.match(await send(name, row, {}), /taken/);
    assert.match(await send(name, 20, { link: linkOf(3) }), /taken/);
  }
  const rows = await house.db.query<{ identity: string }>(
    `SELECT identity FROM verdict WHERE 'shared-token' = ANY(reasons) AND action = 'forward'`,
  );
  assert.deepEqual(
    rows.map(({ identity }) => identity),
    ['tried'],
  );
});

test('after a restart nothing is held wrongly: the memory begins anew', async () => {
  await stop();
  await start();
  for (let row = 0; row < 12; row++) assert.match(await send('news', row, {}), /taken/, `${row}`);
  assert.match(await send('news', 12, { link: linkOf(2) }), /^250 .*held/);
});
