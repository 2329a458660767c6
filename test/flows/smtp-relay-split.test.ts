/** What the relay splits: one private copy for each reader, nobody twice, nobody shown; and nobody at all where it may not. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { identityOf } from '../../src/guard/identity.ts';
import { shownIn, startKeepingRelay } from './smtp-relay-keeping.ts';
import { RawClient, startNextHop } from './smtp-relay-next-hop.ts';

const OFFICE = 'office@northwind.example';
const CC = Array.from({ length: 1000 }, (_, n) => `customer.${n}@home.example`);
const PERSON = identityOf('desk', 'person', { split: true });

/** One transaction by hand; the reply to the content. */
async function hand(
  port: number,
  recipients: readonly string[],
  content: string,
  parameters = '',
): Promise<string> {
  const client = new RawClient(port);
  await client.reply();
  await client.say('EHLO client.test\r\n');
  await client.say(`MAIL FROM:<${OFFICE}>${parameters}\r\n`);
  for (const recipient of recipients) await client.say(`RCPT TO:${recipient}\r\n`);
  await client.say('DATA\r\n');
  return client.say(`${content}.\r\n`);
}

const TWO =
  'From: office@northwind.example\r\nTo: Ann <ann@x.test>\r\nCc: bob@y.test\r\nSubject: x\r\n\r\nhello\r\n';

test("each reader's own DSN wishes, the order and the return path go with their copy", async () => {
  const next = await startNextHop();
  const relay = await startKeepingRelay(next, identityOf('news', 'bulk', { split: true }), {
    carrier: {
      returnPath: { domain: 'bounces.northwind.example', token: (_, place) => `t${place}` },
    },
  });
  const wishes = [
    '<ann@x.test> NOTIFY=FAILURE,DELAY ORCPT=rfc822;ann+40x.test',
    '<bob@y.test> NOTIFY=NEVER',
    '<Ann@X.test>',
  ];
  const reply = await hand(relay.port, wishes, TWO, ' RET=HDRS ENVID=E1');
  assert.match(reply, /^250 .*Queued as k-0001/);
  await relay.settled();
  const lines = next.commands.filter((line) => /^(MAIL|RCPT)/.test(line));
  assert.deepEqual([...lines].sort(), [
    'MAIL FROM:<office+t0@bounces.northwind.example> RET=HDRS ENVID=E1',
    'MAIL FROM:<office+t1@bounces.northwind.example> RET=HDRS ENVID=E1',
    'RCPT TO:<ann@x.test> NOTIFY=FAILURE,DELAY ORCPT=rfc822;ann+40x.test',
    'RCPT TO:<bob@y.test> NOTIFY=NEVER',
  ]);
  assert.match(
    next.contents.find((text) => text.includes('ann@')) ?? '',
    /\r\nTo: Ann <ann@x\.test>\r\n/,
  );
});

test('a Bcc that a mail client left in is refused, or split off; it never leaves', async () => {
  const content =
    'From: office@northwind.example\r\nTo: ann@x.test\r\nBcc: bob@y.test\r\n\r\nhello\r\n';
  const recipients = ['<ann@x.test>', '<bob@y.test>'];
  for (const split of [false, true]) {
    const next = await startNextHop();
    const relay = await startKeepingRelay(next, identityOf('desk', 'person', { split }));
    const reply = await hand(relay.port, recipients, content);
    await relay.settled();
    assert.match(reply, split ? /^250 / : /^550-5\.7\.1 A Bcc header/);
    assert.equal(next.contents.length, split ? 2 : 0);
    for (const copy of next.contents) {
      assert.doesNotMatch(copy, /^bcc/im);
      assert.equal(shownIn(copy).length, 2);
    }
  }
});

test('what cannot be cut is refused, and nobody gets it', async () => {
  const next = await startNextHop();
  const relay = await startKeepingRelay(next, PERSON);
  const signed = `DKIM-Signature: v=1; a=rsa-sha256; h=from:to:cc; b=x\r\nFrom: ${OFFICE}\r\nCc: ${CC.slice(0, 20).join(',\r\n ')}\r\n\r\nhello\r\n`;
  const readers = CC.slice(0, 20).map((address) => `<${address}>`);
  assert.match(await hand(relay.port, readers, signed), /^550-5\.7\.1 .*\r\n.*Nobody got/s);
  assert.equal(next.commands.length, 0);
  assert.equal(relay.kept.length, 0);
});

test('of readers the next hop refuses the sender is told, by a report that names nobody else', async () => {
  const next = await startNextHop({
    reply: (line) => (line.includes('<bob@') ? '550 5.1.1 <bob@y.test> unknown' : undefined),
  });
  const relay = await startKeepingRelay(next, identityOf('news', 'bulk', { split: true }));
  assert.match(await hand(relay.port, ['<ann@x.test>', '<bob@y.test>'], TWO), /^250 /);
  await relay.settled();
  assert.equal(next.contents.length, 2);
  assert.deepEqual(relay.results.map(({ kind }) => kind).sort(), ['accepted', 'refused']);
  const report = next.contents.find((text) => text.includes('multipart/report')) ?? '';
  assert.ok(next.commands.includes('MAIL FROM:<>'));
  assert.ok(next.commands.includes(`RCPT TO:<${OFFICE}>`));
  assert.match(
    report,
    /\r\nFinal-Recipient: rfc822; bob@y\.test\r\nAction: failed\r\nStatus: 5\.1\.1\r\n/,
  );
  assert.doesNotMatch(report, /ann@/i);
});
