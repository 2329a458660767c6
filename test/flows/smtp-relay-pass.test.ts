/** What passes reaches the next hop as it was submitted, and 250 is said only then. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createTransport } from 'nodemailer';
import { SMTPServer } from 'smtp-server';
import {
  closeAfter,
  decisionOf,
  RawClient,
  roadOf,
  startNextHop,
  startRelay,
} from './smtp-relay-next-hop.ts';

const MESSAGE = 'From: a@shop.test\r\nTo: b@y.test\r\nSubject: x\r\n\r\nhello\r\n';

/** The content without the one Received field that the relay puts before it. */
function withoutTrace(content: string | undefined): string {
  const match = /^Received: by gate\.test with ESMTPS? id m-\w+;\r\n [^\r]+\r\n/.exec(
    content ?? '',
  );
  assert.ok(match !== null, `a Received field of ours is first: ${content?.slice(0, 100)}`);
  return (content ?? '').slice(match[0].length);
}

test('a passed message reaches the next hop unchanged after one trace field, and its reply comes back', async () => {
  const next = await startNextHop();
  const relay = await startRelay(next);
  const client = new RawClient(relay.port);
  assert.match(await client.begin('a@shop.test', ['b@y.test']), /^354/);
  assert.equal(await client.say(`${MESSAGE}..dot\r\n.\r\n`), '250 2.0.0 queued as N1');
  assert.equal(withoutTrace(next.contents[0]), `${MESSAGE}..dot\r\n`);
  assert.ok(next.commands.includes('RCPT TO:<b@y.test>'));
  assert.doesNotMatch(next.contents[0] ?? '', /\bfor\b|127\.0\.0\.1/);
  client.close();
  await relay.close();
  await next.close();
});

test('without trace the bytes are exactly those submitted', async () => {
  const next = await startNextHop();
  const relay = await startRelay(next, { trace: false });
  const client = new RawClient(relay.port);
  await client.begin('a@shop.test', ['b@y.test']);
  await client.say(`${MESSAGE}.\r\n`);
  assert.equal(next.contents[0], MESSAGE);
  client.close();
  await relay.close();
  await next.close();
});

test('250 is not said before the next hop has said it', async () => {
  const next = await startNextHop({ final: () => '' });
  const relay = await startRelay(next, {
    nextHop: { host: '127.0.0.1', port: next.port, tls: 'none', timeouts: { finalMs: 400 } },
  });
  const client = new RawClient(relay.port);
  await client.begin('a@shop.test', ['b@y.test']);
  client.socket.write(`${MESSAGE}.\r\n`);
  assert.equal(await client.reply(200), 'silent');
  assert.equal(next.contents.length, 1);
  assert.match(await client.reply(), /^451 4\.4\.2/);
  client.close();
  await relay.close();
  await next.close();
});

test('nodemailer sends through the relay to an independent server: several recipients, 8-bit, SMTPUTF8, quoted', async () => {
  const got: { to: string[]; text: string }[] = [];
  const far = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    onData(stream, session, done) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        got.push({
          to: session.envelope.rcptTo.map((recipient) => recipient.address),
          text: Buffer.concat(chunks).toString(),
        });
        done();
      });
    },
  });
  await new Promise<void>((resolve) => far.listen(0, '127.0.0.1', () => resolve()));
  closeAfter(() => new Promise((resolve) => far.close(() => resolve())));
  const address = far.server.address();
  const relay = await startRelay({
    port: typeof address === 'object' && address ? address.port : 0,
  });
  const transport = createTransport({ host: '127.0.0.1', port: relay.port, secure: false });
  const raw = 'From: a@shop.test\r\nSubject: =?utf-8?Q?gr=C3=BC=C3=9Fe?=\r\n\r\n.dot\r\ngrüße\r\n';
  const envelope = { from: 'a@shop.test', to: ['jürgen@münchen.test', 'b@y.test'] };
  const sent = await transport.sendMail({ envelope, raw });
  assert.match(sent.response, /^250/);
  assert.equal(got.length, 1);
  assert.equal(got[0]?.to.length, 2);
  assert.equal(got[0]?.to[0], 'jürgen@münchen.test');
  assert.equal(withoutTrace(got[0]?.text), raw);
  transport.close();
  await relay.close();
});

test('a quoted local part reaches the next hop exactly as it came', async () => {
  const next = await startNextHop();
  const relay = await startRelay(next);
  const client = new RawClient(relay.port);
  await client.begin('a@shop.test', ['"b  c\\"d"@y.test']);
  await client.say(`${MESSAGE}.\r\n`);
  assert.ok(next.commands.includes('RCPT TO:<"b  c\\"d"@y.test>'));
  client.close();
  await relay.close();
  await next.close();
});

test('DSN wishes go on where the next hop offers DSN, and only there', async () => {
  for (const extensions of [['PIPELINING', 'DSN'], ['PIPELINING']]) {
    const next = await startNextHop({ extensions });
    const relay = await startRelay(next);
    const client = new RawClient(relay.port);
    await client.reply();
    await client.say('EHLO client.test\r\n');
    await client.say('MAIL FROM:<a@shop.test> RET=HDRS ENVID=E1\r\n');
    await client.say('RCPT TO:<b@y.test> NOTIFY=FAILURE ORCPT=rfc822;b+40y.test\r\n');
    await client.say('DATA\r\n');
    assert.match(await client.say(`${MESSAGE}.\r\n`), /^250/);
    const offered = extensions.includes('DSN');
    const rcpt = `RCPT TO:<b@y.test>${offered ? ' NOTIFY=FAILURE ORCPT=rfc822;b+40y.test' : ''}`;
    assert.ok(next.commands.includes(rcpt));
    assert.ok(
      next.commands.includes(`MAIL FROM:<a@shop.test>${offered ? ' RET=HDRS ENVID=E1' : ''}`),
    );
    client.close();
    await relay.close();
    await next.close();
  }
});

test('connections to the next hop are reused, and one that went away costs no message', async () => {
  const next = await startNextHop({
    reply: (line, session) =>
      session === 1 && line === 'MAIL FROM:<third@shop.test>' ? null : undefined,
  });
  const relay = await startRelay(next);
  const client = new RawClient(relay.port);
  await client.begin('first@shop.test', ['b@y.test']);
  assert.match(await client.say(`${MESSAGE}.\r\n`), /^250/);
  await client.again('second@shop.test', ['b@y.test']);
  assert.match(await client.say(`${MESSAGE}.\r\n`), /^250/);
  assert.equal(next.sessions(), 1);
  await client.again('third@shop.test', ['b@y.test']);
  assert.match(await client.say(`${MESSAGE}.\r\n`), /^250/);
  assert.equal(next.sessions(), 2);
  assert.equal(next.contents.length, 3);
  client.close();
  await relay.close();
  await next.close();
});

test('a message that has gone round many servers is refused', async () => {
  const next = await startNextHop();
  const relay = await startRelay(next);
  const client = new RawClient(relay.port);
  await client.begin('a@shop.test', ['b@y.test']);
  const loop = 'Received: by x.test; Thu, 1 Jan 2026 00:00:00 +0000\r\n'.repeat(51);
  assert.match(await client.say(`${loop}${MESSAGE}.\r\n`), /^554 5\.4\.6/);
  assert.equal(next.contents.length, 0);
  client.close();
  await relay.close();
  await next.close();
});

test('closing lets a message under way get its reply', async () => {
  let answer: (text: string) => void = () => {};
  const held = new Promise<string>((resolve) => {
    answer = resolve;
  });
  const next = await startNextHop();
  const relay = await startRelay(next, {
    road: roadOf(async () => {
      await held;
      return decisionOf({ kind: 'pass', allowedBecause: [] });
    }),
  });
  const client = new RawClient(relay.port);
  await client.begin('a@shop.test', ['b@y.test']);
  client.socket.write(`${MESSAGE}.\r\n`);
  await sleep(50);
  const closed = relay.close();
  answer('go');
  assert.match(await client.reply(), /^250/);
  assert.match(await client.reply(), /^421 4\.3\.2/);
  await closed;
  assert.equal(next.contents.length, 1);
  await next.close();
});
