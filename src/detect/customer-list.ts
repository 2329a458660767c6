/**
 * A list of people attached: many addresses that are neither the reader's nor the sender's, many telephone or account numbers.
 * The finding says how many; how many are a list is policy.
 */

import type { ParsedMessage } from '../mail/message.ts';
import { attachedNumbers } from './attached-numbers.ts';
import type { DetectContext } from './detector.ts';
import type { Finding } from './finding.ts';
import type { Surface } from './mentions.ts';
import { peopleIn } from './people.ts';

/** Fewer than these are no list to anybody. */
const ADDRESSES_MIN = 3;
const PEOPLE_MIN = 20;

const COUNTED: ReadonlySet<Surface> = new Set(['attachment', 'nested']);

/** `addresses`: those of other people; `count`: with telephone and account numbers. */
export function customerList(message: ParsedMessage, context: DetectContext): readonly Finding[] {
  const addresses = new Set<string>();
  let attached = 0;
  let part = '';
  for (const { mention, person } of peopleIn(message, context)) {
    if (person.standing !== 'other' || !COUNTED.has(mention.surface)) continue;
    if (addresses.has(person.address)) continue;
    if (addresses.size === 0) part = mention.part;
    addresses.add(person.address);
    if (mention.surface === 'attachment') attached++;
  }
  const numbers = attachedNumbers(message);
  const others = numbers === null ? 0 : numbers.telephones.size + numbers.accounts.size;
  const count = addresses.size + others;
  // A forwarded message has a handful of people in it; a file with three is made of them.
  if (attached < ADDRESSES_MIN && count < PEOPLE_MIN) return [];
  const where = { part, field: 'attachment', start: 0, end: 0 };
  return [{ id: 'customer-list', severity: 'risk', where, addresses: [...addresses], count }];
}
