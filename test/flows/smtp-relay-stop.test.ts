/** What does not pass is one answer to the whole transaction, and nobody gets it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTransport } from 'nodemailer';
import { decodeKept } from '../../src/gates/smtp-carrier.ts';
import type { Decision } from '../../src/guard/check.ts';
import type { Mode } from '../../src/guard/identity.ts';
import {
  type Decide,
  decisionOf,
  RawClient,
  roadOf,
  startNextHop,
  startRelay,
} from './smtp-relay-next-hop.ts';

const MESSAGE = 'From: a@shop.test\r\nTo: b@y.test, c@y.test\r\n\r\nhello\r\n';

/** The reply to one message under a check, and how many messages the next hop then has. */
async function answerTo(check: Decide): Promise<{ reply: string; sent: number; warnings: string }> {
  const next = await startNextHop();
  const relay = await startRelay(next, { road: roadOf(check) });
  const client = new RawClient(relay.port);
  await client.begin('a@shop.test', ['b@y.test', 'c@y.test']);
  const reply = await client.say(`${MESSAGE}.\r\n`);
  const noop = await client.say('NOOP\r\n');
  assert.match(noop, /^250/);
  client.close();
  await relay.close();
  await next.close();
  return { reply, sent: next.contents.length, warnings: relay.warnings.join('\n') };
}

function always(verdict: Decision['verdict'], disclosures = 0, mode: Mode = 'enforce'): Decide {
  return async () => decisionOf(verdict, disclosures, mode);
}

test('pass is relayed, so that the others below are known to be stopped', async () => {
  const { reply, sent } = await answerTo(always({ kind: 'pass', allowedBecause: [] }));
  assert.match(reply, /^250/);
  assert.equal(sent, 1);
});

test('refuse is 550 5.7.1 with the reason, the number of disclosures and the record', async () => {
  const check = always({ kind: 'refuse', reasons: ['visible-recipients'] }, 999_000);
  const { reply, sent } = await answerTo(check);
  assert.equal(sent, 0);
  for (const line of reply.split('\r\n')) assert.match(line, /^550[- ]5\.7\.1 /);
  assert.match(reply, /The header would show recipients to each other\./);
  assert.match(reply, /It would have made 999,000 disclosures\./);
  assert.match(reply, /Nobody got this message\. Record v-0001\./);
  assert.doesNotMatch(reply, /@/);
});

test('hold and split are 250 once they are kept, and say what happens; nothing goes on before', async () => {
  const held = await answerTo(always({ kind: 'hold', reasons: ['placeholder'] }));
  assert.match(held.reply, /^250 2\.0\.0 Taken, and held .* Queued as k-0001\. Record v-0001\.$/);
  assert.equal(held.sent, 0);
  const split = await answerTo(always({ kind: 'split', reasons: ['visible-recipients'] }, 2));
  assert.match(split.reply, /^250 2\.0\.0 Taken: each recipient .* Queued as k-0001\./);
  assert.equal(split.sent, 0);
});

test('what a road says it keeps, without saying where, is 451', async () => {
  const { reply, sent } = await answerTo(async () => ({
    ...decisionOf({ kind: 'split', reasons: ['visible-recipients'] }),
    kept: null,
  }));
  assert.match(reply, /^451 4\./);
  assert.equal(sent, 0);
});

test('in warn the message goes on and 250 names the reasons; in shadow nothing is said', async () => {
  const verdict: Decision['verdict'] = {
    kind: 'refuse',
    reasons: ['visible-recipients', 'placeholder'],
  };
  const warned = await answerTo(always(verdict, 2, 'warn'));
  assert.equal(warned.sent, 1);
  assert.match(warned.reply, /^250-2\.0\.0 queued as N1\r\n250 2\.0\.0 Warning /);
  assert.match(warned.reply, /Warning visible-recipients,placeholder: .* been refused\./);
  const shadow = await answerTo(always(verdict, 2, 'shadow'));
  assert.equal(shadow.sent, 1);
  assert.equal(shadow.reply, '250 2.0.0 queued as N1');
});

test('a decision to forward what enforce does not pass is not believed', async () => {
  const decision = decisionOf({ kind: 'refuse', reasons: ['visible-recipients'] });
  const { reply, sent } = await answerTo(async () => ({ ...decision, action: 'forward' }));
  assert.match(reply, /^451 4\./);
  assert.equal(sent, 0);
});

test('defer is 451', async () => {
  const { reply, sent } = await answerTo(always({ kind: 'defer', reasons: ['halted'] }));
  assert.match(reply, /^451 4\.3\.2 Sending is halted/);
  assert.equal(sent, 0);
});

test('a halt that comes while the next hop answers to the envelope stops the message there, with 451', async () => {
  for (const extensions of [[], ['PIPELINING']]) {
    let halted = false;
    const next = await startNextHop({
      extensions,
      reply: (line) => {
        halted ||= line === 'DATA';
        return undefined;
      },
    });
    const check = always({ kind: 'pass', allowedBecause: [] });
    const relay = await startRelay(next, { road: roadOf(check), halted: () => halted });
    const client = new RawClient(relay.port);
    await client.begin('a@shop.test', ['b@y.test']);
    assert.match(await client.say(`${MESSAGE}.\r\n`), /^451 4\.3\.2 Sending is halted\./);
    assert.ok(next.commands.includes('DATA'));
    assert.equal(next.contents.length, 0);
    client.close();
    await relay.close();
  }
});

test('a check that throws, rejects, or answers nonsense is 451 4.x and never passes', async () => {
  const broken: readonly Decide[] = [
    async () => {
      throw new Error('secret@y.test is in this message');
    },
    () => {
      throw new TypeError('broken');
    },
    async () => undefined as unknown as Decision,
    async () => decisionOf({ kind: 'odd', reasons: [] } as unknown as Decision['verdict']),
    async () => decisionOf({ kind: 'refuse', reasons: [] }),
  ];
  for (const check of broken) {
    const { reply, sent, warnings } = await answerTo(check);
    assert.match(reply, /^451 4\./);
    assert.equal(sent, 0);
    assert.doesNotMatch(warnings, /@/);
  }
});

test('nodemailer gets the refusal as a permanent error, and delivers to nobody', async () => {
  const next = await startNextHop();
  const check = always({ kind: 'refuse', reasons: ['visible-recipients'] }, 2);
  const relay = await startRelay(next, { road: roadOf(check) });
  const transport = createTransport({ host: '127.0.0.1', port: relay.port });
  await assert.rejects(
    transport.sendMail({ from: 'a@shop.test', to: ['b@y.test', 'c@y.test'], text: 'x' }),
    (error: Error & { responseCode?: number }) => error.responseCode === 550,
  );
  assert.equal(next.contents.length, 0);
  transport.close();
  await relay.close();
  await next.close();
});

test('the road sees the envelope, the exact bytes, the identity, and what is to be kept', async () => {
  const seen: Parameters<Decide>[] = [];
  await answerTo(async (call, identity) => {
    seen.push([call, identity]);
    return decisionOf({ kind: 'refuse', reasons: ['visible-recipients'] });
  });
  const [call, identity] = seen[0] ?? [];
  const copy = call?.copies[0];
  assert.deepEqual(copy?.envelope.recipients, ['b@y.test', 'c@y.test']);
  assert.equal(Buffer.from(copy?.bytes ?? []).toString(), MESSAGE);
  assert.equal(identity?.name, 'demo');
  const kept = decodeKept(call?.keep() ?? Buffer.alloc(0));
  assert.deepEqual(kept.envelope, copy?.envelope);
  assert.equal(kept.content.toString(), MESSAGE);
});
