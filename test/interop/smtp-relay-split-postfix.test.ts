/** Between two real Postfixes: 1,000 names in Cc leave the one, and the other has 1,000 private copies. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createTransport } from 'nodemailer';
import { identityOf } from '../../src/guard/identity.ts';
import { shownIn, startKeepingRelay } from '../flows/smtp-relay-keeping.ts';
import { type Postfix, startPostfix } from '../support/interop/postfix.ts';
import { reasonToSkip } from '../support/interop/programs.ts';

const skip = reasonToSkip(['postfix']);
const OFFICE = 'office@northwind.example';
const CC = Array.from({ length: 1000 }, (_, n) => `customer.${n}@home.example`);
const WAIT_MS = 60_000;

let incoming: Postfix;
const closers: (() => Promise<void>)[] = [];

before(async () => {
  if (skip !== false) return;
  incoming = await startPostfix({
    mailboxes: CC.map((address) => ({ address, folder: 'customers' })),
  });
  closers.unshift(() => incoming.close());
});
after(async () => {
  for (const close of closers) await close();
});

test('1,000 names in Cc, sent by Postfix, split: each gets one copy that shows nobody else', {
  skip,
}, async () => {
  const identity = identityOf('desk', 'person', { split: true });
  const relay = await startKeepingRelay(incoming, identity);
  const outgoing = await startPostfix({
    mailboxes: [{ address: OFFICE, folder: 'office' }],
    relayPort: relay.port,
  });
  closers.unshift(() => outgoing.close());
  const transport = createTransport({ host: '127.0.0.1', port: outgoing.port, ignoreTLS: true });
  const envelope = { from: OFFICE, to: CC };
  await transport.sendMail({ from: OFFICE, to: OFFICE, cc: CC, envelope, text: 'Hello.\n' });
  transport.close();
  const end = performance.now() + WAIT_MS;
  while (incoming.messages('customers').length < CC.length && performance.now() < end)
    await sleep(500);
  await relay.settled();
  assert.ok(relay.results.every(({ kind }) => kind === 'accepted'));
  // Postfix hands over 50 recipients at a time: twenty calls, each split on its own.
  assert.equal(relay.kept.length, 20);
  const copies = incoming.messages('customers').map((bytes) => bytes.toString('latin1'));
  assert.equal(copies.length, CC.length);
  const readers = copies.map((copy) => {
    const shown = shownIn(
      copy.replaceAll('\n', '\r\n').replace(/^(?:Delivered-To|X-Original-To): .*\r\n/gm, ''),
    );
    const customers = shown.filter((address) => address.endsWith('@home.example'));
    assert.equal(customers.length, 1);
    return customers[0];
  });
  assert.deepEqual([...readers].sort(), [...CC].sort());
  assert.deepEqual(outgoing.messages('office'), []);
});
