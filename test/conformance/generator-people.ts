/** The people of generated submissions: names and addresses, every one of them in a domain that is nobody's. */

import type { Random } from './generator-random.ts';

export interface Person {
  readonly name: string;
  readonly address: string;
}

export const COMPANY_DOMAIN = 'northwind.example';
export const ROLES: readonly string[] = [
  'support@northwind.example',
  'billing@northwind.example',
  'privacy@northwind.example',
];
/** How many customers stand in the register beside those written to. */
export const CUSTOMERS = 400;

const FIRST =
  'Ada Bruno Chiara Deniz Elif Farid Greta Hugo Ines Jonas Katja Levin Mira Nils Olga Pavel Quirin Rosa Samir Tilda Umar Vera Wanda Xenia Yusuf Zora Anouk Bela Carlo Dunja Emre Fenja'.split(
    ' ',
  );
const LAST =
  'Abel Brandt Castel Doran Ekholm Farkas Grieco Haas Ivers Janssen Kowal Lindt Moreau Novak Oduya Petrov Quist Rossi Sander Tamm Ulrich Vance Weiss Yilmaz Zeman Albers Bianchi Cermak Dreyer Engel'.split(
    ' ',
  );
const ASCII_DOMAINS = [
  'home.example',
  'mail.test',
  'post.example',
  'students.university.example',
  'xn--bcher-kva.example',
  'a-b.example',
  'mx1.sub.mail.test',
];
const UNICODE_DOMAINS = ['bücher.example', 'пример.example', 'straße.example'];
const WORDS =
  'harbour lantern meadow copper violin orchard glacier pepper saddle timber velvet walnut anchor basket candle dragon ember falcon garden hammer island jungle kettle ladder marble needle oyster pebble quartz ribbon silver tunnel umbrella valley window yellow zephyr almond breeze canyon desert engine feather granite horizon indigo jacket kernel lemon mirror nectar olive pocket quiver rocket spiral temple urchin vessel wagon yonder acorn bamboo cactus dune elbow fossil goblet hazel ivory jasmine kelp lilac moss nutmeg opal plume quill reed sable thistle upland vine willow yarrow zinc amber birch cedar dahlia elm fern ginger heather iris juniper kiwi laurel maple nettle oak pine quince rose sage tulip violet wheat aspen balsam clover daisy'.split(
    ' ',
  );

export interface AddressKinds {
  /** Domains in their own script. */
  readonly unicodeDomains: boolean;
  /** Local parts that are not ASCII, or quoted. */
  readonly oddLocals: boolean;
  /** Quoted local parts with a space, which mail programs show as two words. */
  readonly spaces: boolean;
  /** People of the company itself. */
  readonly company: boolean;
}

export const PLAIN_KINDS: AddressKinds = {
  unicodeDomains: false,
  oddLocals: false,
  spaces: false,
  company: false,
};

/** Nobody else in a run has the tag, so that an address tells whose it is. */
export function personOf(random: Random, tag: string, kinds: AddressKinds): Person {
  const first = random.pick(FIRST);
  const last = random.pick(LAST);
  return { name: `${first} ${last}`, address: addressOf(random, first, tag, kinds) };
}

function addressOf(random: Random, first: string, tag: string, kinds: AddressKinds): string {
  const lower = first.toLowerCase();
  const domain = domainOf(random, kinds);
  if (kinds.spaces && random.chance(0.06)) return `"${lower} ${tag}"@${domain}`;
  if (kinds.oddLocals && random.chance(0.06)) return `"${lower}.${tag}"@${domain}`;
  if (kinds.oddLocals && random.chance(0.05)) return `ü${lower}.${tag}@${domain}`;
  if (random.chance(0.06)) return `${lower}+news.${tag}@${domain}`;
  if (random.chance(0.04)) return `o'${lower}.${tag}@${domain}`;
  if (random.chance(0.05)) return `${first}.${tag.toUpperCase()}@${domain}`;
  return `${lower}.${tag}@${domain}`;
}

function domainOf(random: Random, kinds: AddressKinds): string {
  if (kinds.company && random.chance(0.08)) return COMPANY_DOMAIN;
  if (kinds.unicodeDomains && random.chance(0.08)) return random.pick(UNICODE_DOMAINS);
  return random.pick(ASCII_DOMAINS);
}

/** A person of the register whom nobody writes to. */
export function customer(number: number): Person {
  const first = FIRST[number % FIRST.length] ?? 'Ada';
  const last = LAST[(number * 7) % LAST.length] ?? 'Abel';
  return {
    name: `${first} ${last}`,
    address: `${first.toLowerCase()}.cust${number}@${ASCII_DOMAINS[number % 4] ?? 'home.example'}`,
  };
}

export function sentence(random: Random, words: number): string {
  const text = Array.from({ length: words }, () => random.pick(WORDS)).join(' ');
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

/** A text of a few paragraphs that no other submission has. */
export function paragraphs(random: Random): string {
  const count = random.int(1, 3);
  const all = Array.from({ length: count }, () =>
    Array.from({ length: random.int(2, 4) }, () => sentence(random, random.int(6, 14))).join(' '),
  );
  return all.join('\n\n');
}
