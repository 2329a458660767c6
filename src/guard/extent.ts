/**
 * Who was shown to whom by messages that have left already.
 *
 * Invariant: exact counts of different pairs over all messages, from two sets for each message; a pair is never stored. The
 * company itself (its roles, its domains, a message's own sender) is neither exposed nor a reader.
 */

import type { Policy } from '../policy/policy.ts';
import { withAttachments } from './attachments.ts';
import {
  type LiftedCopy,
  liftCopy,
  Marks,
  type MessagePeople,
  readMessagePeople,
} from './extent/message-people.ts';
import { countSeen, countSeenBy, type Showing } from './extent/pairs.ts';
import { PeopleTable } from './extent/people-table.ts';
import type { Submission } from './judge.ts';

export interface ExtentCounts {
  readonly messages: number;
  /** People whose address somebody else was shown, certainly or possibly. */
  readonly exposed: number;
  /** People who were shown somebody else's address. */
  readonly saw: number;
  /** Different pairs (person shown, other person who saw): certain and possible ones. */
  readonly pairs: number;
  readonly certain: number;
  readonly possible: number;
}

export interface ExposedPerson {
  readonly address: string;
  /** ms since 1970: the earliest Date of a message that showed them; null where none has one. */
  readonly firstExposed: number | null;
  /** How many others saw the address. */
  readonly seenBy: number;
  /** How many messages showed it. */
  readonly messages: number;
}

export interface PersonExtent {
  /** Canonical addresses, sorted. Personal data. */
  readonly saw: readonly string[];
  readonly seenBy: readonly string[];
}

export interface Extent {
  /** Takes one message in. Linear in the message. @throws whatever reading it throws, with nothing taken in. */
  add(copy: Submission): void;
  /** As `add`, with its PDF files read first. */
  addWithFiles(copy: Submission): Promise<void>;
  count(): ExtentCounts;
  /** Messages with an attachment that was not read, or not in full: whom it shows is in no count. */
  messagesWithUnread(): number;
  /** Everybody exposed, in the order of their first meeting. */
  exposed(): Generator<ExposedPerson>;
  /** Null for somebody whom no message names. */
  person(address: string): PersonExtent | null;
}

/** An empty extent. The policy tells the company's domains and role addresses. */
export function createExtent(policy: Pick<Policy, 'companyDomains' | 'roleAddresses'>): Extent {
  const table = new PeopleTable();
  const marks = new Marks();
  const messages: MessagePeople[] = [];
  const isCompany = companyOf(policy);
  const take = (copy: LiftedCopy): void => {
    messages.push(readMessagePeople(copy, table, marks, isCompany));
  };
  return {
    add: (copy) => take(liftCopy(copy, table)),
    addWithFiles: async (copy) => {
      const lifted = liftCopy(copy, table);
      const [rest = lifted.rest] = await withAttachments([lifted.rest]);
      take({ ...lifted, rest });
    },
    count: () => counted(messages, table.size),
    messagesWithUnread: () => messages.filter(({ unread }) => unread).length,
    *exposed() {
      yield* exposedPeople(messages, table);
    },
    person: (address) => personIn(messages, table, address),
  };
}

function companyOf(
  policy: Pick<Policy, 'companyDomains' | 'roleAddresses'>,
): ((canonical: string) => boolean) | null {
  const roles = new Set(policy.roleAddresses);
  const domains = new Set(policy.companyDomains);
  if (roles.size === 0 && domains.size === 0) return null;
  return (canonical) =>
    roles.has(canonical) || domains.has(canonical.slice(canonical.lastIndexOf('@') + 1));
}

interface DatedShowing extends Showing {
  readonly date: number | null;
}

interface Showings {
  readonly certain: readonly Showing[];
  /** Certain and possible together. */
  readonly all: readonly DatedShowing[];
  readonly isAllCertain: boolean;
}

function showingsOf(messages: readonly MessagePeople[], people: number): Showings {
  const known = new Uint8Array(people);
  for (const { readers, perhapsReaders } of messages) {
    for (const reader of readers) known[reader] = 1;
    for (const reader of perhapsReaders) known[reader] = 1;
  }
  const certain: Showing[] = [];
  const all: DatedShowing[] = [];
  let isAllCertain = true;
  for (const message of messages) {
    const { date, readers } = message;
    const shown = joined(message.shown, knownOf(message.shownIfKnown, known));
    const perhaps = joined(message.perhapsShown, knownOf(message.perhapsShownIfKnown, known));
    const everybody = joined(shown, perhaps);
    const allReaders = joined(readers, message.perhapsReaders);
    if (makesPairs(shown, readers)) certain.push({ shown, readers });
    if (!makesPairs(everybody, allReaders)) continue;
    all.push({ shown: everybody, readers: allReaders, date });
    if (perhaps.length > 0 || message.perhapsReaders.length > 0) isAllCertain = false;
  }
  const later = laterReadings(messages, known);
  for (const showing of later) all.push(showing);
  return { certain, all, isAllCertain: isAllCertain && later.length === 0 };
}

/** Lists without a person in common. */
function joined(one: Int32Array, other: Int32Array): Int32Array {
  if (other.length === 0) return one;
  if (one.length === 0) return other;
  const both = new Int32Array(one.length + other.length);
  both.set(one);
  both.set(other, one.length);
  return both;
}

function knownOf(people: Int32Array, known: Uint8Array): Int32Array {
  return people.length === 0 ? people : people.filter((person) => known[person] === 1);
}

function makesPairs(shown: Int32Array, readers: Int32Array): boolean {
  if (shown.length === 0 || readers.length === 0) return false;
  return shown.length > 1 || readers.length > 1 || shown[0] !== readers[0];
}

/**
 * What an answer may have passed on of the messages it answers, as quoted text that was cut off or is an image: to its own
 * readers; and to whoever wrote it, since that person has read what was answered. Writers show themselves, and know whom they
 * wrote to.
 */
function laterReadings(
  messages: readonly MessagePeople[],
  known: Uint8Array,
): readonly DatedShowing[] {
  const later: DatedShowing[] = [];
  if (!messages.some(({ answers }) => answers.length > 0)) return later;
  const byId = new Map<string, MessagePeople>();
  for (const message of messages) if (message.id !== '') byId.set(message.id, message);
  const push = (shown: Int32Array, readers: Int32Array, date: number | null): void => {
    if (makesPairs(shown, readers)) later.push({ shown, readers, date });
  };
  for (const { answers, senders, readers, perhapsReaders, date } of messages) {
    for (const id of answers) {
      const answered = byId.get(id);
      if (answered === undefined) continue;
      const shown = joined(
        joined(answered.shown, knownOf(answered.shownIfKnown, known)),
        answered.perhapsShown,
      );
      const others = without(joined(readers, perhapsReaders), answered.senders);
      push(without(shown, senders), others, date);
      push(shown, without(senders, answered.senders), date);
    }
  }
  return later;
}

function without(people: Int32Array, others: Int32Array): Int32Array {
  return people.some((person) => others.includes(person))
    ? people.filter((person) => !others.includes(person))
    : people;
}

function counted(messages: readonly MessagePeople[], people: number): ExtentCounts {
  const { certain, all, isAllCertain } = showingsOf(messages, people);
  const seenCertain = countSeen(certain, people);
  const seen = isAllCertain ? seenCertain : countSeen(all, people);
  const certainPairs = sum(seenCertain);
  const pairs = sum(seen);
  let saw = 0;
  for (const count of seen) if (count > 0) saw++;
  return {
    messages: messages.length,
    exposed: ones(exposedIn(all, people)),
    saw,
    pairs,
    certain: certainPairs,
    possible: pairs - certainPairs,
  };
}

function sum(counts: Uint32Array): number {
  let total = 0;
  for (const count of counts) total += count;
  return total;
}

function ones(flags: Uint8Array): number {
  let total = 0;
  for (const flag of flags) total += flag;
  return total;
}

/** 1 for everybody whom somebody else was shown. */
function exposedIn(showings: readonly Showing[], people: number): Uint8Array {
  const exposed = new Uint8Array(people);
  for (const { shown, readers } of showings) {
    for (const person of shown) {
      if (readers.length > 1 || readers[0] !== person) exposed[person] = 1;
    }
  }
  return exposed;
}

function* exposedPeople(
  messages: readonly MessagePeople[],
  table: PeopleTable,
): Generator<ExposedPerson> {
  const { all } = showingsOf(messages, table.size);
  const seenBy = countSeenBy(all, table.size);
  const first = new Float64Array(table.size).fill(Number.POSITIVE_INFINITY);
  const times = new Uint32Array(table.size);
  for (const { shown, readers, date } of all) {
    for (const person of shown) {
      if (readers.length === 1 && readers[0] === person) continue;
      times[person] = (times[person] ?? 0) + 1;
      if (date !== null) first[person] = Math.min(first[person] ?? date, date);
    }
  }
  for (let person = 0; person < table.size; person++) {
    const count = seenBy[person] ?? 0;
    if (count === 0) continue;
    const earliest = first[person] ?? Number.POSITIVE_INFINITY;
    yield {
      address: table.address(person),
      firstExposed: Number.isFinite(earliest) ? earliest : null,
      seenBy: count,
      messages: times[person] ?? 0,
    };
  }
}

function personIn(
  messages: readonly MessagePeople[],
  table: PeopleTable,
  address: string,
): PersonExtent | null {
  const person = table.find(address);
  if (person < 0) return null;
  const { all } = showingsOf(messages, table.size);
  const saw = new Set<number>();
  const seenBy = new Set<number>();
  for (const { shown, readers } of all) {
    if (readers.includes(person)) for (const each of shown) saw.add(each);
    if (shown.includes(person)) for (const each of readers) seenBy.add(each);
  }
  saw.delete(person);
  seenBy.delete(person);
  const addresses = (people: ReadonlySet<number>): readonly string[] =>
    [...people].map((each) => table.address(each)).sort();
  return { saw: addresses(saw), seenBy: addresses(seenBy) };
}
