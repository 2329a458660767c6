/**
 * One message: whom it shows, and who reads it.
 *
 * certain: in a field or a text that a mail program shows, for a reader whom the envelope or the header names. possible: what
 * only some see (Bcc in a delivered copy) or only some read (Bcc, a list). Where an address may be nobody's (other header
 * fields, codings, the sender's own domain, other readings) it counts only if some message has that reader.
 */

import { type Mention, mentionsIn } from '../../detect/mentions.ts';
import { unreadableAttachment } from '../../detect/unreadable-attachment.ts';
import { readAddressList } from '../../mail/address-list.ts';
import type { HeaderField } from '../../mail/header.ts';
import { type ParsedMessage, parseMessage } from '../../mail/message.ts';
import type { Submission } from '../judge.ts';
import type { PeopleTable } from './people-table.ts';
import { liftPlainLists } from './plain-list.ts';

/** Numbers of the people table, each once in its list. */
export interface MessagePeople {
  readonly shown: Int32Array;
  readonly shownIfKnown: Int32Array;
  readonly perhapsShown: Int32Array;
  readonly perhapsShownIfKnown: Int32Array;
  readonly readers: Int32Array;
  /** None of them is in `readers`. */
  readonly perhapsReaders: Int32Array;
  readonly senders: Int32Array;
  /** '' for none. */
  readonly id: string;
  /** The ids of the messages this one answers. */
  readonly answers: readonly string[];
  /** ms since 1970, from the Date field; null where it has none that can be read. */
  readonly date: number | null;
  /** Whether an attachment was not read in full. */
  readonly unread: boolean;
}

interface Gathering {
  readonly table: PeopleTable;
  /** People of plain To and Cc fields, each once: shown, and readers, beside those in the two sets. */
  readonly lifted: Int32Array;
  readonly marks: Marks;
  readonly shown: Set<number>;
  readonly shownIfKnown: Set<number>;
  readonly perhapsShown: Set<number>;
  readonly perhapsShownIfKnown: Set<number>;
  readonly readers: Set<number>;
  readonly perhapsReaders: Set<number>;
  readonly senders: Set<number>;
  readonly senderDomains: Set<string>;
  readonly lists: Set<number>;
}

const READER_FIELDS = new Set(['to', 'cc', 'resent-to', 'resent-cc', 'apparently-to']);
const BCC_FIELDS = new Set(['bcc', 'resent-bcc', 'apparently-bcc']);
/** Written by the server of the reader whose copy this is. */
const DELIVERY_FIELDS = new Set([
  'delivered-to',
  'x-delivered-to',
  'x-original-to',
  'envelope-to',
  'x-envelope-to',
]);
/** Mail programs show these; whatever else stands in a header is seen by those who look at the source. */
const SEEN_FIELD =
  /^(?:nested )*header (?:from|sender|reply-to|to|cc|resent-(?:from|sender|to|cc)|apparently-to|subject|comments|keywords|thread-topic)$/i;

/** Who is marked in the message being read: a thousand people without a set of their own. */
export class Marks {
  #marked = new Uint32Array(1024);
  #message = 0;

  /** Unmarks all. */
  begin(): void {
    this.#message++;
  }

  /** Whether this person was not marked yet. */
  mark(person: number): boolean {
    if (person >= this.#marked.length) {
      const larger = new Uint32Array(Math.max(person + 1, 2 * this.#marked.length));
      larger.set(this.#marked);
      this.#marked = larger;
    }
    if (this.#marked[person] === this.#message) return false;
    this.#marked[person] = this.#message;
    return true;
  }

  has(person: number): boolean {
    return this.#marked[person] === this.#message;
  }
}

/** One copy without its plain lists, and who was in them. */
export interface LiftedCopy {
  readonly people: readonly number[];
  readonly rest: Submission;
}

export function liftCopy(copy: Submission, table: PeopleTable): LiftedCopy {
  const { people, rest } = liftPlainLists(copy.bytes, table);
  return { people, rest: { envelope: copy.envelope, bytes: rest } };
}

/** Reads one copy; `isCompany` says of a canonical address that it is nobody who could be exposed or to whom. */
export function readMessagePeople(
  { people: lifted, rest: { bytes, envelope, message: read } }: LiftedCopy,
  table: PeopleTable,
  marks: Marks,
  isCompany: ((canonical: string) => boolean) | null,
): MessagePeople {
  const message = read ?? parseMessage(bytes);
  marks.begin();
  const gathering: Gathering = {
    table,
    lifted: Int32Array.from(lifted).filter((person) => marks.mark(person)),
    marks,
    shown: new Set(),
    shownIfKnown: new Set(),
    perhapsShown: new Set(),
    perhapsShownIfKnown: new Set(),
    readers: new Set(),
    perhapsReaders: new Set(),
    senders: new Set(),
    senderDomains: new Set(),
    lists: new Set(),
  };
  for (const recipient of envelope.recipients) addTo(gathering.readers, table.number(recipient));
  addTo(gathering.senders, table.number(envelope.from));
  for (const field of message.headers) readField(field, gathering);
  const delivered = message.headers.some(
    ({ lower }) => lower === 'received' || DELIVERY_FIELDS.has(lower),
  );
  for (const mention of mentionsIn(message)) readMention(mention, delivered, gathering);
  return settle(gathering, message, isCompany);
}

function addTo(set: Set<number>, number: number): void {
  if (number >= 0) set.add(number);
}

function readField(field: HeaderField, gathering: Gathering): void {
  const { lower, value } = field;
  const { table } = gathering;
  if (READER_FIELDS.has(lower)) addMailboxes(field, gathering.readers, table);
  else if (BCC_FIELDS.has(lower)) addMailboxes(field, gathering.perhapsReaders, table);
  else if (DELIVERY_FIELDS.has(lower)) addTo(gathering.readers, table.number(bare(value)));
  else if (lower === 'received') {
    const reader = /\bfor\s+<([^<>\s]+)>/i.exec(value)?.[1];
    if (reader !== undefined) addTo(gathering.readers, table.number(reader));
  } else if (lower === 'list-post') {
    const list = /<mailto:([^<>?\s]+)/i.exec(value)?.[1];
    if (list !== undefined) addTo(gathering.lists, table.number(list));
  } else readSender(field, gathering);
}

/** Several in one field are no sender, but people shown. */
function readSender(field: HeaderField, { senders, senderDomains, table }: Gathering): void {
  if (field.lower === 'return-path') addTo(senders, table.number(bare(field.value)));
  if (!/^(?:from|sender|reply-to)$/.test(field.lower)) return;
  const [mailbox, second] = readAddressList(field).mailboxes;
  const number = mailbox === undefined ? -1 : table.number(mailbox.address);
  if (number < 0 || second !== undefined) return;
  senders.add(number);
  if (field.lower === 'from') senderDomains.add(domainOf(table.address(number)));
}

function addMailboxes(field: HeaderField, set: Set<number>, table: PeopleTable): void {
  for (const { address } of readAddressList(field).mailboxes) addTo(set, table.number(address));
}

function bare(value: string): string {
  return value.replace(/^<|>$/g, '');
}

function domainOf(canonical: string): string {
  return canonical.slice(canonical.lastIndexOf('@') + 1);
}

function readMention(mention: Mention, delivered: boolean, gathering: Gathering): void {
  const { surface, field, weak, address } = mention;
  if (surface === 'bcc') {
    // Without a trace of delivery this is the sender's own copy, whose Bcc nobody else got.
    if (delivered) addAddress(gathering.perhapsShown, address, gathering);
    return;
  }
  const inHeader = field.includes('header ');
  if (inHeader && (weak || /header (?:list-|return-path$)/i.test(field))) return;
  const seen = surface !== 'encoded' && (!inHeader || SEEN_FIELD.test(field));
  const ifKnown = seen ? gathering.shownIfKnown : gathering.perhapsShownIfKnown;
  const own = surface !== 'recipients' && gathering.senderDomains.has(domainOf(address));
  const target = seen && !weak && !own ? gathering.shown : ifKnown;
  addAddress(target, address, gathering);
  for (const reading of mention.readings) addAddress(ifKnown, reading, gathering);
  for (const embedded of mention.embedded) {
    addAddress(gathering.perhapsShownIfKnown, embedded, gathering);
  }
}

function addAddress(set: Set<number>, address: string, { table }: Gathering): void {
  addTo(set, table.number(address));
}

function settle(
  gathering: Gathering,
  message: ParsedMessage,
  isCompany: ((canonical: string) => boolean) | null,
): MessagePeople {
  const { table, lifted, marks, senders, lists, readers, perhapsReaders } = gathering;
  const isPerson = (number: number): boolean =>
    !senders.has(number) && (isCompany === null || !isCompany(table.address(number)));
  const people = (set: ReadonlySet<number>, ...without: ReadonlySet<number>[]): number[] =>
    set.size === 0
      ? []
      : Array.from(set).filter(
          (each) => isPerson(each) && !marks.has(each) && !without.some((it) => it.has(each)),
        );
  // A list's own address is nobody, and stands for readers nobody knows.
  for (const list of lists) {
    if (readers.delete(list) || marks.has(list)) perhapsReaders.add(list);
  }
  const { shown, shownIfKnown, perhapsShown, perhapsShownIfKnown } = gathering;
  const both = lifted.filter((person) => isPerson(person) && !lists.has(person));
  const shownPeople = withMore(both, people(shown, lists));
  const readingPeople = withMore(both, people(readers, lists));
  return {
    shown: shownPeople,
    shownIfKnown: Int32Array.from(people(shownIfKnown, lists, shown)),
    perhapsShown: Int32Array.from(people(perhapsShown, lists, shown)),
    perhapsShownIfKnown: Int32Array.from(
      people(perhapsShownIfKnown, lists, shown, shownIfKnown, perhapsShown),
    ),
    readers: isSame(shownPeople, readingPeople) ? shownPeople : readingPeople,
    perhapsReaders: Int32Array.from(listsAnd(people(perhapsReaders, readers), gathering, isPerson)),
    senders: Int32Array.from(senders).filter(
      (it) => isCompany === null || !isCompany(table.address(it)),
    ),
    id: idsIn(message, 'message-id')[0] ?? '',
    answers: [...new Set([...idsIn(message, 'references'), ...idsIn(message, 'in-reply-to')])],
    date: dateOf(message),
    unread: unreadableAttachment(message).length > 0,
  };
}

/** A list that was lifted is marked, and a possible reader all the same. */
function listsAnd(
  people: number[],
  { lists, marks, perhapsReaders }: Gathering,
  isPerson: (number: number) => boolean,
): number[] {
  for (const list of lists) {
    if (marks.has(list) && perhapsReaders.has(list) && isPerson(list)) people.push(list);
  }
  return people;
}

function withMore(one: Int32Array, more: readonly number[]): Int32Array {
  if (more.length === 0) return one;
  const all = new Int32Array(one.length + more.length);
  all.set(one);
  all.set(more, one.length);
  return all;
}

/** To and Cc alone: one list in memory for both. */
function isSame(one: Int32Array, other: Int32Array): boolean {
  return (
    one === other ||
    (one.length === other.length && one.every((person, index) => person === other[index]))
  );
}

function idsIn(message: ParsedMessage, lower: string): readonly string[] {
  const field = message.headers.find((each) => each.lower === lower);
  return field?.value.match(/<[^<>\s]{1,500}>/g) ?? [];
}

function dateOf(message: ParsedMessage): number | null {
  const value = message.headers.find(({ lower }) => lower === 'date')?.value ?? '';
  const time = Date.parse(value.replace(/\([^()]*\)/g, '').trim());
  return Number.isNaN(time) ? null : time;
}
