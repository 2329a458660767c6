/** What a next hop refuses, delays, cannot do or leaves open, and what the client of the relay is told. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type FakeNextHop,
  type NextHopScript,
  RawClient,
  startNextHop,
  startRelay,
} from './smtp-relay-next-hop.ts';

const MESSAGE = 'From: a@shop.test\r\n\r\nhello\r\n';
const SHORT = { commandMs: 300, greetingMs: 300, finalMs: 300, dataMs: 300, connectMs: 300 };

async function answerFrom(
  script: NextHopScript,
  recipients: readonly string[] = ['b@y.test'],
  content = MESSAGE,
  parameters = '',
): Promise<{ reply: string; next: FakeNextHop; warnings: string }> {
  const next = await startNextHop(script);
  const hop = { host: '127.0.0.1', port: next.port, tls: 'none', timeouts: SHORT } as const;
  const relay = await startRelay(next, { nextHop: hop });
  const client = new RawClient(relay.port);
  await client.begin('a@shop.test', recipients, parameters);
  const reply = await client.say(`${content}.\r\n`);
  client.close();
  await relay.close();
  await next.close();
  return { reply, next, warnings: relay.warnings.join('\n') };
}

test('the reply to the content is handed on as it is', async () => {
  for (const said of [
    '250 2.6.0 taken',
    '550 5.7.1 spam',
    '452 4.3.1 disk full',
    '554-5.6.0 a\r\n554 5.6.0 b',
  ]) {
    const { reply } = await answerFrom({ final: () => said });
    assert.equal(reply, said);
  }
});

test('421 of the next hop does not close the connection of our client', async () => {
  const { reply } = await answerFrom({ final: () => '421 4.3.2 going down' });
  assert.equal(reply, '451 4.3.2 going down');
});

test('one recipient refused by the next hop: nobody gets the message, and the count is said', async () => {
  for (const extensions of [['PIPELINING'], []]) {
    const script: NextHopScript = {
      extensions,
      reply: (line) => (line.includes('<no@') ? '550 5.1.1 <no@y.test> unknown' : undefined),
    };
    const { reply, next } = await answerFrom(script, ['b@y.test', 'no@y.test', 'c@y.test']);
    assert.match(reply, /^550 5\.1\.1 The next hop does not take 1 of 3 recipients/);
    assert.match(reply, /Nobody got this message/);
    assert.equal(next.contents.length, 0);
    assert.ok(next.commands.includes('RSET'));
    assert.ok(!next.commands.includes('DATA'));
  }
});

test('a recipient the next hop delays makes the whole transaction temporary', async () => {
  const script: NextHopScript = {
    reply: (line) => (line.includes('<slow@') ? '450 4.2.1 later' : undefined),
  };
  const { reply, next } = await answerFrom(script, ['b@y.test', 'slow@y.test']);
  assert.match(reply, /^450 4\.2\.1 The next hop does not take 1 of 2 recipients/);
  assert.equal(next.contents.length, 0);
});

test("a single recipient gets the next hop's own words", async () => {
  const script: NextHopScript = {
    reply: (line) => (/^RCPT/.test(line) ? '550 5.1.1 unknown' : undefined),
  };
  const { reply, next } = await answerFrom(script);
  assert.equal(reply, '550 5.1.1 unknown');
  assert.equal(next.contents.length, 0);
});

test('a refused sender refuses the message', async () => {
  const script: NextHopScript = {
    reply: (line) =>
      /^MAIL/.test(line) ? '553 5.1.8 not you' : /^RCPT/.test(line) ? '503 x' : undefined,
  };
  const { reply } = await answerFrom(script, ['b@y.test', 'c@y.test']);
  assert.equal(reply, '553 5.1.8 not you');
});

test('a next hop that cannot be reached, is silent, or talks nonsense is 451', async () => {
  const closed = await startNextHop();
  await closed.close();
  const relay = await startRelay(closed);
  const client = new RawClient(relay.port);
  await client.begin('a@shop.test', ['b@y.test']);
  assert.match(await client.say(`${MESSAGE}.\r\n`), /^451 4\.4\.1/);
  client.close();
  await relay.close();
  const scripts: readonly NextHopScript[] = [
    { greeting: '554 5.3.2 no' },
    { greeting: '' },
    { greeting: 'SSH-2.0-OpenSSH' },
    { greeting: '220 x\r\n250 unasked' },
    { reply: (line) => (/^MAIL/.test(line) ? null : undefined) },
    { reply: (line) => (/^MAIL/.test(line) ? '' : undefined) },
    { reply: (line) => (/^MAIL/.test(line) ? '421 4.3.2 down' : undefined) },
    { reply: (line) => (/^DATA/.test(line) ? '450 4.3.2 down' : undefined) },
    { reply: (line) => (/^DATA/.test(line) ? '354 go\r\n250 2.0.0 taken already' : undefined) },
  ];
  for (const script of scripts) {
    const { reply, next } = await answerFrom(script);
    assert.match(reply, /^45[01] 4\./, JSON.stringify(script));
    assert.doesNotMatch(reply, /may have been sent/, JSON.stringify(script));
    assert.equal(next.contents.length, 0);
  }
});

test('content written and no reply is 451 and says that it may have been sent', async () => {
  for (const final of [() => null, () => '']) {
    const { reply, next } = await answerFrom({ final });
    assert.match(reply, /^451 4\.4\.2 .*may have been sent/);
    assert.equal(next.contents.length, 1);
    assert.equal(next.sessions(), 1);
  }
});

test('a next hop without 8BITMIME or SMTPUTF8 is a permanent refusal, and nothing is re-coded', async () => {
  const plain: NextHopScript = { extensions: ['PIPELINING'] };
  const eight = await answerFrom(plain, ['b@y.test'], 'Subject: x\r\n\r\ngr\xfc\xdfe\r\n');
  assert.match(eight.reply, /^554 5\.6\.3/);
  assert.equal(eight.next.contents.length, 0);
  const utf8 = await answerFrom(plain, ['\xc3\xbc@y.test'], MESSAGE, ' SMTPUTF8');
  assert.match(utf8.reply, /^550 5\.6\.7/);
  assert.ok(!utf8.next.commands.some((line) => line.startsWith('MAIL')));
  const needless = await answerFrom(plain, ['b@y.test'], MESSAGE, ' SMTPUTF8');
  assert.match(needless.reply, /^250/);
});

test('SIZE of the next hop is respected before anything is sent', async () => {
  const { reply, next } = await answerFrom({ extensions: ['PIPELINING', 'SIZE 20'] });
  assert.match(reply, /^552 5\.3\.4/);
  assert.equal(next.contents.length, 0);
});

test("no address of the next hop's answers is logged", async () => {
  const script: NextHopScript = {
    reply: (line) => (/^MAIL/.test(line) ? null : undefined),
    greeting: '220 b@y.test',
  };
  const { warnings } = await answerFrom(script);
  assert.match(warnings, /relay\.next-hop/);
  assert.doesNotMatch(warnings, /@/);
});

test('a server that knows only HELO is spoken to one command at a time', async () => {
  const { reply, next } = await answerFrom({
    reply: (line) => (/^EHLO/.test(line) ? '502 no' : undefined),
  });
  assert.match(reply, /^250/);
  assert.deepEqual(
    next.commands
      .filter((line) => /^(HELO|MAIL|RCPT|DATA)/.test(line))
      .map((line) => line.slice(0, 4)),
    ['HELO', 'MAIL', 'RCPT', 'DATA'],
  );
});
