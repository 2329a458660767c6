/**
 * Invented customers for the demo and the tests: name-like addresses on reserved domains (RFC 2606, RFC 6761).
 * Invariant: the same count and seed give the same people, and no two share an address in canonical form.
 */

import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { domainToASCII } from 'node:url';
import { type SampleLanguage, type SampleName, sampleNames } from './sample-names.ts';

export interface SampleCustomer {
  /** Record key and customer number, e.g. `NX-480213-7`. */
  readonly id: string;
  readonly email: string;
  readonly name: string;
  readonly language: SampleLanguage;
  /** Open positions in the products that the notice is about. */
  readonly positions: number;
}

type Weighted<T> = readonly (readonly [weight: number, value: T])[];

const LANGUAGES: Weighted<SampleLanguage> = [
  [46, 'en'],
  [14, 'zh-Hans'],
  [13, 'es'],
  [11, 'de'],
  [10, 'ru'],
  [6, 'ar'],
];

/** The mailbox providers of this world; what is left of 100 goes to the long tail of small domains. */
const SHARED_DOMAINS: Weighted<string> = [
  [27, 'mail.example'],
  [14, 'post.example'],
  [11, 'inbox.test'],
  [8, 'webmail.example'],
  [6, 'letters.example'],
  [5, 'fastpost.test'],
  [4, 'brief.example'],
  [4, 'yopost.example'],
  [3, 'box163.example'],
];
const TAIL_WEIGHT = 18;

const IDN_DOMAINS: Readonly<Record<SampleLanguage, readonly string[]>> = {
  en: ['café.example', 'naïve.example', 'bücher.example'],
  es: ['español.example', 'mañana.example', 'correo-rápido.example'],
  de: ['bücher.example', 'müller.example', 'straßenpost.example', 'öl-und-gas.example'],
  'zh-Hans': ['邮件.example', '信箱.test', '例子.example'],
  ar: ['بريد.example', 'مثال.example'],
  ru: ['почта.example', 'письмо.test', 'пример.example'],
};
const IDN_SHARE = 0.01;
const UTF8_LOCAL_SHARE = 0.005;

const TAIL_FIRST =
  'amber ash birch bright cedar clear coral crown delta eagle early elm fern field flint forest glen gold granite green harbour hazel heather high hill holly iron juniper lake larch laurel lime linden maple marsh meadow mill moor north oak ocean olive park pine pond poplar quarry red reed ridge river rock rose rowan sand silver sky slate snow south spring star stone sun thistle vale valley violet walnut west white wild willow wind wood'.split(
    ' ',
  );
const TAIL_LAST =
  'advisors analytics bakery books bridge build capital care clinic college consulting craft data design dental energy estate films foods foundry garden group guild health house institute invest kitchen lab legal library lighting logistics makers marine media mills motors museum music optics partners paper pharma photo physics press print school security software solar sound sports studio supply systems tech theatre tools trade transport travel university ventures works yard'.split(
    ' ',
  );
const TAIL_ENDINGS: Weighted<string> = [
  [70, '.example'],
  [12, '.test'],
  [8, '.org.example'],
  [6, '.co.example'],
  [4, '.edu.example'],
];

/** Mulberry32, a 32-bit generator: small, and the same on every machine. Gives 0 <= x < 1. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

type Random = () => number;

function pick<T>(random: Random, values: readonly T[]): T {
  const value = values[Math.floor(random() * values.length)];
  if (value === undefined) throw new RangeError('nothing to pick from');
  return value;
}

function pickWeighted<T>(random: Random, values: Weighted<T>): T {
  let left = random() * values.reduce((sum, [weight]) => sum + weight, 0);
  for (const [weight, value] of values) {
    left -= weight;
    if (left < 0) return value;
  }
  return pick(
    random,
    values.map(([, value]) => value),
  );
}

function digits(random: Random, max: number): string {
  return String(Math.floor(random() * max));
}

/** As people choose them; the weights are a guess at a public mailbox provider's. */
function latinLocalPart(random: Random, given: string, family: string): string {
  const initial = given.slice(0, 1);
  const forms: Weighted<() => string> = [
    [30, () => `${given}.${family}`],
    [9, () => `${given}${family}`],
    [9, () => `${initial}.${family}`],
    [8, () => `${initial}${family}`],
    [5, () => `${given}_${family}`],
    [5, () => `${family}.${given}`],
    [3, () => `${given}-${family}`],
    [12, () => `${given}.${family}${digits(random, 100)}`],
    [8, () => `${given}${1950 + Math.floor(random() * 58)}`],
    [6, () => `${initial}${family}${digits(random, 1000)}`],
    [5, () => `${given}.${family}+${pick(random, ['nx', 'exchange', 'trading', 'news', 'fin'])}`],
  ];
  const local = pickWeighted(random, forms)();
  return random() < 0.02 ? local.replace(/(^|[._-])[a-z]/g, (start) => start.toUpperCase()) : local;
}

/** A local part outside ASCII (RFC 6531), from the name as written. */
function utf8LocalPart(
  random: Random,
  language: SampleLanguage,
  given: string,
  family: string,
): string {
  if (language === 'zh-Hans') return pick(random, [`${family}${given}`, '用户', '客户']);
  if (language === 'en') return pick(random, [`${given}.zoë`, `${given}.renée`]).toLowerCase();
  const local = `${given}.${family}`.toLowerCase();
  return /[^\0-\x7f]/.test(local) ? local : `${local}.${language === 'es' ? 'ñ' : 'ö'}`;
}

function domainFor(random: Random, language: SampleLanguage): string {
  if (random() < IDN_SHARE) return pick(random, IDN_DOMAINS[language]);
  const tail = Symbol('tail');
  const domain = pickWeighted<string | typeof tail>(random, [
    ...SHARED_DOMAINS,
    [TAIL_WEIGHT, tail],
  ]);
  if (typeof domain === 'string') return domain;
  const joint = pick(random, ['', '', '-']);
  return `${pick(random, TAIL_FIRST)}${joint}${pick(random, TAIL_LAST)}${pickWeighted(random, TAIL_ENDINGS)}`;
}

/** Equality of addresses: NFC, local part case-folded (ß is ss), domain as A-labels. */
export function sampleCanonical(address: string): string {
  const at = address.lastIndexOf('@');
  const local = address.slice(0, at).normalize('NFC').toLowerCase().replaceAll('ß', 'ss');
  return `${local}@${domainToASCII(address.slice(at + 1))}`;
}

/** The first spelling that nobody has yet: a number is added to the local part, before any tag. */
function distinct(taken: Set<string>, local: string, domain: string): string {
  for (let number = 1; ; number++) {
    const numbered = number === 1 ? local : local.replace(/(?=\+)|$/, String(number));
    const address = `${numbered}@${domain}`;
    const canonical = sampleCanonical(address);
    if (taken.has(canonical)) continue;
    taken.add(canonical);
    return address;
  }
}

/** Customer number: six digits in an order that looks like none, and a check digit. Distinct below 900,000 people. */
function customerNumber(index: number): string {
  const number = 100_000 + ((index * 472_019 + 380_113) % 900_000);
  const block = Math.floor(index / 900_000);
  const sum = [...String(number)].reduce((total, digit, at) => total + Number(digit) * (7 - at), 0);
  return `NX-${block === 0 ? '' : block}${number}-${sum % 10}`;
}

function positionsOf(random: Random): number {
  const chance = random();
  if (chance < 0.22) return 0;
  if (chance < 0.42) return 1;
  if (chance < 0.55) return 2;
  return 3 + Math.floor(random() ** 3 * 60);
}

function nameOf(order: string, given: SampleName, family: SampleName): string {
  return order === 'family-given-joined' ? `${family[0]}${given[0]}` : `${given[0]} ${family[0]}`;
}

/**
 * People in the order of their making, one at a time; a longer run begins with the shorter one's people.
 * About 1 % have an IDN domain (U-labels) and 0.5 % a local part that needs SMTPUTF8.
 */
export function* sampleCustomers(count: number, seed: number): Generator<SampleCustomer> {
  const random = seeded(seed);
  const taken = new Set<string>();
  for (let index = 0; index < count; index++) {
    const language = pickWeighted(random, LANGUAGES);
    const names = sampleNames[language];
    const given = pick(random, names.given);
    const family = pick(random, names.family);
    const local =
      random() < UTF8_LOCAL_SHARE
        ? utf8LocalPart(random, language, given[0], family[0])
        : latinLocalPart(random, given[1], family[1]);
    yield {
      id: customerNumber(index),
      email: distinct(taken, local, domainFor(random, language)),
      name: nameOf(names.order, given, family),
      language,
      positions: positionsOf(random),
    };
  }
}

/** RFC 4180: quoted where a comma, a quote or a line end stands in it. */
function csvField(value: string): string {
  return /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}

/** UTF-8 CSV with the columns id, email, name, language, positions, in pieces of about 64 KiB. */
export function* csvOf(customers: Iterable<SampleCustomer>): Generator<string> {
  let chunk = 'id,email,name,language,positions\n';
  for (const { id, email, name, language, positions } of customers) {
    chunk += `${csvField(id)},${csvField(email)},${csvField(name)},${language},${positions}\n`;
    if (chunk.length < 65_536) continue;
    yield chunk;
    chunk = '';
  }
  yield chunk;
}

/** Writes `count` people as CSV. */
export async function writeCustomersCsv(path: string, count: number, seed: number): Promise<void> {
  await pipeline(
    Readable.from(csvOf(sampleCustomers(count, seed))),
    createWriteStream(path, { encoding: 'utf8' }),
  );
}
