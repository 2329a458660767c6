/** The register is asked only about customers whom a text greets by name. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createGreetings, type Greetings } from './greetings.ts';
import type { Submission } from './judge.ts';

const customers = new Set(['alice@home.example', 'bob@home.example']);

function counted(): { readonly greetings: Greetings; readonly asked: string[] } {
  const asked: string[] = [];
  const greetings = createGreetings({
    isCustomer: (canonical) => customers.has(canonical),
    namesOf: async (canonicals) => {
      asked.push(...canonicals);
      return new Map([['alice@home.example', ['Alice Archer']]]);
    },
  });
  return { greetings, asked };
}

function copy(text: string, ...recipients: readonly string[]): Submission {
  return {
    envelope: { from: 'shop@company.example', recipients, smtpUtf8: false },
    bytes: Buffer.from(`From: shop@company.example\r\nSubject: Order\r\n\r\n${text}\r\n`),
  };
}

test('nobody is looked up who is no customer, or whom nobody greets, or who reads with others', async () => {
  const { greetings, asked } = counted();
  const alice = 'alice@home.example';
  assert.equal(greetings([copy('Dear Bob,', 'carol@home.example')]).records, null);
  assert.equal(greetings([copy('Your order has left.', alice)]).records, null);
  assert.equal(greetings([copy('Dear customer,', alice)]).records, null);
  assert.equal(greetings([copy('Dear Bob,', alice, 'bob@home.example')]).records, null);
  assert.equal(greetings([copy('Dear Bob,')]).records, null);
  assert.deepEqual(asked, []);
  // The same counter counts where there is somebody.
  const found = greetings([
    copy('Dear Bob,', 'Alice@HOME.example', alice),
    copy('Dear Bob,', 'x@y.example'),
  ]);
  const recordOf = await found.records;
  assert.deepEqual(asked, [alice]);
  assert.deepEqual(recordOf?.(alice), { names: ['Alice Archer'] });
  assert.equal(recordOf?.('x@y.example'), null);
  // What was read is not read again.
  assert.ok(found.copies[0]?.message !== undefined);
  assert.equal(found.copies[1]?.message, undefined);
});

test('a lookup that fails rejects, so that nobody takes it for an unknown reader', async () => {
  const greetings = createGreetings({
    isCustomer: () => true,
    namesOf: () => Promise.reject(new Error('gone')),
  });
  const found = greetings([copy('Dear Bob,', 'alice@home.example')]);
  assert.ok(found.records !== null);
  await assert.rejects(found.records, /gone/);
});
