/** What people and programs do wrong with whole messages: address fields in every odd syntax, other fields, ambiguous MIME. */

import { encodedWord } from './generator-mime.ts';
import type { Person } from './generator-people.ts';
import { ALL_POLICIES, MIME_DOORS, PROGRAMS, readersOf, type Trap } from './generator-plan.ts';
import type { Random } from './generator-random.ts';
import { mailbox, respelled } from './generator-spellings.ts';

const isMime: Trap['doors'] = (door) => MIME_DOORS.has(door);

type ListWriter = (random: Random, people: readonly Person[]) => string;

/** Address fields that show several people, in the syntaxes that programs write and read differently. */
const LISTS: Readonly<Record<string, ListWriter>> = {
  commas: (random, all) => all.map((one) => mailbox(random, one)).join(', '),
  folded: (random, all) => all.map((one) => mailbox(random, one)).join(',\r\n\t'),
  foldedInside: (_, all) =>
    all.map(({ name, address }) => `"${name}"\r\n <${address}>`).join(',\r\n '),
  semicolons: (random, all) => all.map((one) => mailbox(random, one)).join('; '),
  spaces: (_, all) => all.map(({ address }) => address).join(' '),
  comment: (_, all) =>
    `${all[0]?.address} (${all
      .slice(1)
      .map((one) => one.address)
      .join(' ')})`,
  commentInside: (_, all) =>
    all.map(({ address }) => address.replace('@', '(home)@(now)')).join(', '),
  obsoleteSpaces: (_, all) => all.map(({ address }) => address.replace('@', ' @ ')).join(', '),
  group: (random, all) => `Customers: ${all.map((one) => mailbox(random, one)).join(', ')};`,
  groupUnclosed: (random, all) => `Customers: ${all.map((one) => mailbox(random, one)).join(', ')}`,
  route: (_, all) => all.map(({ address }) => `<@relay.test,@hop.test:${address}>`).join(', '),
  unclosed: (_, all) => `<${all.map(({ address }) => address).join(', ')}`,
  displayName: (_, all) =>
    `"${all.map(({ address }) => address.replaceAll('"', '')).join(', ')}" <news@northwind.example>`,
  encodedName: (random, all) =>
    `${encodedWord(random, all.map(({ address }) => address).join(', '))} <news@northwind.example>`,
  encodedWhole: (random, all) => encodedWord(random, all.map(({ address }) => address).join(', ')),
  emptyPlaces: (_, all) => `, ,${all.map(({ address }) => address).join(',,')},`,
  respelled: (random, all) => all.map(({ address }) => respelled(random, address)).join(', '),
  quotedLocals: (_, all) =>
    all
      .map(({ address }) =>
        address.startsWith('"') ? address : address.replace(/^(.*)@/, '"$1"@'),
      )
      .join(', '),
  fullWidthComma: (_, all) => all.map(({ address }) => address).join('\uff0c'),
};

function listTrap(name: string, write: ListWriter, field: string): Trap {
  return {
    name: `${field.toLowerCase()}-${name}`,
    detector: 'visible-recipients',
    doors: isMime,
    policies: PROGRAMS,
    audience: 'several',
    fault: false,
    apply(plan, _, random) {
      const value = write(random, readersOf(plan));
      if (field === 'To') plan.toValue = value;
      else {
        plan.toValue = random.pick(['undisclosed-recipients:;', 'news@northwind.example']);
        plan.fields.push([field, value]);
      }
    },
  };
}

const LIST_TRAPS: readonly Trap[] = Object.entries(LISTS).flatMap(([name, write]) => [
  listTrap(name, write, 'To'),
  listTrap(name, write, 'Cc'),
]);

const LIST_FIELDS: readonly Trap[] = [
  'Resent-To',
  'Resent-Cc',
  'Apparently-To',
  'Reply-To',
  'resent-to',
  'TO',
  'cC',
].map((field) => listTrap('field', LISTS.commas ?? mailboxList, field));

function mailboxList(random: Random, all: readonly Person[]): string {
  return all.map((one) => mailbox(random, one)).join(', ');
}

const DUPLICATE_TO: Trap = {
  ...listTrap('duplicate', mailboxList, 'To'),
  apply(plan, _, random) {
    const [first, ...others] = readersOf(plan);
    if (first === undefined) return;
    plan.toValue = mailbox(random, first);
    for (const other of others) plan.fields.push(['To', mailbox(random, other)]);
  },
};

/** The reader in To, another in Bcc on the envelope sees them. */
const BLIND_SEES_TO: Trap = {
  ...listTrap('seen-by-blind', mailboxList, 'To'),
  apply(plan, _, random) {
    const [first] = readersOf(plan);
    if (first !== undefined) plan.toValue = mailbox(random, first);
  },
};

function bccTrap(field: string): Trap {
  return {
    name: field.toLowerCase(),
    detector: 'bcc-header',
    doors: (door) => MIME_DOORS.has(door),
    policies: ALL_POLICIES,
    audience: 'blind',
    fault: false,
    apply(plan, _, random) {
      plan.fields.push([field, mailboxList(random, readersOf(plan))]);
    },
  };
}

type FieldWriter = (address: string, random: Random) => string;

const FIELDS: readonly (readonly [string, FieldWriter])[] = [
  ['X-Envelope-To', (a) => `<${a}>`],
  ['Delivered-To', (a) => a],
  ['X-Original-To', (a) => a],
  ['X-RcptTo', (a) => a],
  ['X-Odoo-Bcc', (a) => `Somebody <${a}>`],
  ['X-Forwarded-To', (a) => a],
  ['Errors-To', (a) => a],
  ['Disposition-Notification-To', (a) => a],
  [
    'Received',
    (a) =>
      `from app (127.0.0.1) by mx.northwind.example\r\n\tfor <${a}>; Mon, 2 Feb 2026 10:00:00 +0000`,
  ],
  ['References', (a) => `<${a}>`],
  ['In-Reply-To', (a) => `<4711.${a}>`.replace('4711.', '')],
  ['List-Unsubscribe', (a) => `<mailto:leave@northwind.example?subject=${a}>`],
  ['List-Unsubscribe', (a) => `<https://northwind.example/leave?e=${encodeURIComponent(a)}>`],
  ['X-SMTPAPI', (a) => JSON.stringify({ to: [a] })],
  ['X-Mailgun-Variables', (a) => JSON.stringify({ email: a })],
  ['X-Report', (a, random) => encodedWord(random, `for ${a}`)],
  ['Comments', (a) => `sent for ${a}`],
  ['Keywords', (a) => `a, ${a}`],
  ['Thread-Topic', (a) => `Order of ${a}`],
  ['X-Original-Recipient', (a) => `rfc822;${a}`],
  ['X-Long', (a) => `a note that is\r\n folded before ${a}\r\n and after it`],
];

const FIELD_TRAPS: readonly Trap[] = FIELDS.map(([field, write], index) => ({
  name: `field-${index}-${field.toLowerCase()}`,
  detector: 'foreign-address',
  doors: isMime,
  policies: ALL_POLICIES,
  audience: 'any',
  fault: false,
  apply(plan, { victim }, random) {
    const plain = victim.address.replaceAll('"', '');
    const address = /[^\x20-\x7e]/.test(plain) || random.chance(0.7) ? victim.address : plain;
    plan.fields.push([field, write(respelled(random, address), random)]);
  },
}));

function mimeTrap(name: string, detector: string, apply: Trap['apply']): Trap {
  return {
    ...{ name, detector, doors: isMime, policies: PROGRAMS, audience: 'any', fault: false },
    apply,
  };
}

const NESTED = (to: string, type = 'message/rfc822'): string =>
  `Content-Type: ${type}\r\n\r\nFrom: news@northwind.example\r\nTo: ${to}\r\nSubject: earlier\r\n\r\nAs said before.\r\n`;

const STRUCTURE_TRAPS: readonly Trap[] = [
  mimeTrap('nested-message', 'foreign-address', (plan, { victim }) => {
    plan.parts.push(NESTED(victim.address));
  }),
  mimeTrap('nested-twice', 'foreign-address', (plan, { victim }) => {
    const inner = NESTED(victim.address);
    plan.parts.push(
      `Content-Type: message/rfc822\r\n\r\nFrom: news@northwind.example\r\nSubject: outer\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="in"\r\n\r\n--in\r\n${inner}\r\n--in--\r\n`,
    );
  }),
  mimeTrap('part-description', 'foreign-address', (plan, { victim }) => {
    plan.parts.push(
      `Content-Type: text/plain\r\nContent-Description: list of ${victim.address}\r\n\r\nsee above\r\n`,
    );
  }),
  mimeTrap('file-name-2231', 'foreign-address', (plan, { victim }) => {
    const coded = encodeURIComponent(`${victim.address}.txt`).replaceAll("'", '%27');
    const at =
      Math.floor(coded.length / 2) -
      (coded.charAt(Math.floor(coded.length / 2) - 1) === '%' ? 1 : 0);
    plan.parts.push(
      `Content-Type: text/plain\r\nContent-Disposition: attachment;\r\n filename*0*=utf-8''${coded.slice(0, at)};\r\n filename*1*=${coded.slice(at)}\r\n\r\nnote\r\n`,
    );
  }),
  mimeTrap('from-name', 'foreign-address', (plan, { victim }, random) => {
    const name = victim.address.replaceAll('"', '');
    const written = random.chance(0.5) ? `"${name}"` : encodedWord(random, name);
    plan.fromValue = `${written} <${plan.from.address}>`;
  }),
  mimeTrap('utf16-text', 'foreign-address', (plan, { victim }) => {
    const bytes = Buffer.from(`\ufeffwrite to ${victim.address}`, 'utf16le').toString('base64');
    plan.parts.push(
      `Content-Type: text/plain; charset=utf-16\r\nContent-Transfer-Encoding: base64\r\n\r\n${bytes}\r\n`,
    );
  }),
  mimeTrap('unknown-type-inline', 'foreign-address', (plan, { victim }) => {
    plan.parts.push(`Content-Type: text/x-notes\r\n\r\nwrite to ${victim.address}\r\n`);
  }),
  mimeTrap('epilogue-text', 'foreign-address', (plan, { victim }) => {
    plan.parts.push(
      `Content-Type: multipart/mixed; boundary=ep\r\n\r\n--ep\r\n\r\nhello\r\n--ep\r\nContent-Type: text/plain\r\n\r\n${victim.address}\r\n--ep--\r\n`,
    );
  }),
  mimeTrap('two-charsets', 'foreign-address', (plan, { victim }) => {
    plan.parts.push(
      `Content-Type: text/plain; charset=us-ascii; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nask ${victim.address.replaceAll('=', '=3D').replace('@', '=40')}\r\n`,
    );
  }),
  mimeTrap('boundary-of-prefix', 'foreign-address', (plan, { victim }) => {
    plan.parts.push(
      `Content-Type: multipart/mixed; boundary="bb"\r\n\r\n--bb\r\n\r\nhello\r\n--bbb\r\n\r\n${victim.address}\r\n--bb--\r\n`,
    );
  }),
  mimeTrap('two-encodings', 'defects', (plan, { victim }) => {
    const coded = Buffer.from(`ask ${victim.address}`).toString('base64');
    plan.parts.push(
      `Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: 7bit\r\n\r\n${coded}\r\n`,
    );
  }),
  {
    ...mimeTrap('injected-by-word', 'header-injection', (plan) => {
      plan.subject = 'Hello';
      plan.fields.push(['X-Note', '=?utf-8?Q?Hello=0D=0AX-Copy:_yes?=']);
    }),
    fault: true,
    policies: ALL_POLICIES,
  },
];

/** Orders to the provider that whoever sends may not give: a list for all, two documents of which one counts, one that is none. */
const COMMANDS: readonly (readonly (readonly [string, string])[])[] = [
  [['X-MC-PreserveRecipients', 'true']],
  [
    ['X-SMTPAPI', '{"category":"a"}'],
    ['x-smtpapi', '{"category":"b"}'],
  ],
  [['X-MSYS-API', '{"options":']],
  [['X-Mailgun-Recipient-Variables', '{{ variables }']],
];

const COMMAND_TRAPS: readonly Trap[] = COMMANDS.map((fields) => ({
  ...mimeTrap(`command-${fields[0]?.[0].toLowerCase()}`, 'provider-command', (plan) => {
    plan.fields.push(...fields.map(([name, value]): [string, string] => [name, value]));
  }),
  fault: true,
  policies: ALL_POLICIES,
}));

export const MIME_TRAPS: readonly Trap[] = [
  ...LIST_TRAPS,
  ...LIST_FIELDS,
  DUPLICATE_TO,
  BLIND_SEES_TO,
  bccTrap('Bcc'),
  bccTrap('Resent-Bcc'),
  ...FIELD_TRAPS,
  ...STRUCTURE_TRAPS,
  ...COMMAND_TRAPS,
];
