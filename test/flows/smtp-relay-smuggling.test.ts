/** SMTP smuggling: whatever stands for an end of data or of a line elsewhere is none here, and never goes on. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FALSE_ENDINGS } from '../support/false-endings.ts';
import { RawClient, startNextHop, startRelay } from './smtp-relay-next-hop.ts';

const SMUGGLED =
  'MAIL FROM:<ceo@shop.test>\r\nRCPT TO:<victim@y.test>\r\nDATA\r\nSubject: evil\r\n\r\nevil';

for (const ending of FALSE_ENDINGS) {
  const name = JSON.stringify(ending);

  test(`${name} in data ends nothing and is refused after the real end`, async () => {
    const next = await startNextHop();
    const relay = await startRelay(next);
    const client = new RawClient(relay.port);
    await client.begin('a@shop.test', ['b@y.test']);
    client.socket.write(`Subject: x\r\n\r\nhello${ending}${SMUGGLED}`, 'latin1');
    assert.equal(await client.reply(30), 'silent');
    assert.match(await client.say('\r\n.\r\n'), /^550 5\.6\.0/);
    assert.equal(next.commands.length, 0);
    await client.again('a@shop.test', ['b@y.test']);
    assert.match(await client.say('Subject: y\r\n\r\nhello\r\n.\r\n'), /^250/);
    assert.equal(next.contents.length, 1);
    client.close();
    await relay.close();
    await next.close();
  });

  test(`${name} in a command is refused and ends the connection`, async () => {
    const next = await startNextHop();
    const relay = await startRelay(next);
    const client = new RawClient(relay.port);
    await client.reply();
    await client.say('EHLO client.test\r\n');
    const replies = [await client.say(`MAIL FROM:<a@shop.test>${ending}${SMUGGLED}\r\n.\r\n`)];
    while (replies.at(-1) !== 'closed') replies.push(await client.reply());
    // Some endings begin with a CRLF, which ends a good MAIL.
    const refusal = replies.at(-2) ?? '';
    assert.match(refusal, /^500 5\.5\.2/);
    assert.ok(
      replies.slice(0, -2).every((reply) => reply.startsWith('250') || reply.startsWith('500')),
    );
    assert.ok(!replies.some((reply) => reply.startsWith('354')));
    assert.equal(next.commands.length, 0);
    client.close();
    await relay.close();
    await next.close();
  });
}
