/** What can be wrong at every door: texts, HTML, attachments, merged values, names; and what only a provider's call can do wrong. */

import {
  encryptedZip,
  pdf,
  textDocument,
  tnef,
  workbook,
  zipOf,
} from '../support/attached-files.ts';
import type { Attached } from './generator-mime.ts';
import type { Person } from './generator-people.ts';
import {
  ALL_POLICIES,
  BATCH_DOORS,
  type Door,
  MIME_DOORS,
  PROGRAMS,
  slot,
  TEXT_DOORS,
  type Trap,
} from './generator-plan.ts';
import type { Random } from './generator-random.ts';
import { inHtml, inText } from './generator-spellings.ts';

function trap(
  name: string,
  detector: string,
  apply: Trap['apply'],
  more: Partial<Trap> = {},
): Trap {
  return {
    ...{ name, detector, doors: (door: Door) => !TEXT_DOORS.has(door), policies: ALL_POLICIES },
    ...{ audience: 'any', fault: false, apply },
    ...more,
  } as Trap;
}

const TEXT_TRAPS: readonly Trap[] = [
  trap('text', 'foreign-address', (plan, { victim }, random) => {
    plan.text = `${plan.text}\n\nAsk ${inText(random, victim.address)} about it.`;
  }),
  trap('html', 'foreign-address', (plan, { victim }, random) => {
    plan.html = `${plan.html ?? '<p>Hello</p>'}${inHtml(random, victim.address)}`;
  }),
  trap('html-many', 'foreign-address', (plan, { victim, customers }, random) => {
    const all = [victim, ...customers.slice(0, 3)];
    plan.html = `${plan.html ?? ''}${all.map(({ address }) => inHtml(random, address)).join('\n')}`;
  }),
  trap('subject', 'foreign-address', (plan, { victim }) => {
    plan.subject = `For ${victim.address}`;
  }),
  trap('quoted-reply', 'foreign-address', (plan, { victim }) => {
    plan.text = `${plan.text}\n\nOn Mon, 2 Feb 2026, ${victim.name} <${victim.address}> wrote:\n> hello`;
  }),
];

function csv(people: readonly Person[]): string {
  return `name;email\r\n${people.map(({ name, address }) => `${name};${address}`).join('\r\n')}\r\n`;
}

type FileMaker = (people: readonly Person[], random: Random) => Attached;

const text = (name: string, type: string, content: string): Attached => ({
  ...{ name, type },
  content: Buffer.from(content),
});

const SEEN_FILES: Readonly<Record<string, FileMaker>> = {
  csv: (all) => text('list.csv', 'text/csv', csv(all)),
  text: (all) => text('note.txt', 'text/plain', `See ${all[0]?.address}\r\n`),
  octets: (all) => text('data.bin', 'application/octet-stream', csv(all)),
  card: (all) =>
    text(
      'card.vcf',
      'text/vcard',
      all
        .map(
          ({ name, address }) =>
            `BEGIN:VCARD\r\nVERSION:3.0\r\nFN:${name}\r\nEMAIL:${address}\r\nEND:VCARD`,
        )
        .join('\r\n'),
    ),
  json: (all) => text('data.json', 'application/json', JSON.stringify(all)),
  html: (all, random) =>
    text('page.html', 'text/html', `<html>${inHtml(random, all[0]?.address ?? '')}</html>`),
  nameOfFile: (all) =>
    text(`${(all[0]?.address ?? '').replaceAll('"', '')}.txt`, 'text/plain', 'note\r\n'),
};

/** The parsers do not open these: that one of them has left at all is the violation. */
const OPENED_FILES: Readonly<Record<string, FileMaker>> = {
  zip: (all) => ({
    ...{ name: 'list.zip', type: 'application/zip' },
    content: zipOf({ 'list.csv': csv(all) }),
  }),
  zipInZip: (all) => ({
    ...{ name: 'list.zip', type: 'application/zip' },
    content: zipOf({ 'inner.zip': zipOf({ 'list.csv': csv(all) }) }),
  }),
  workbook: (all) => ({
    ...{
      name: 'list.xlsx',
      type: 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
    },
    content: workbook({ hiddenSheet: all[0]?.address ?? '', cells: ['Total'] }),
  }),
  document: (all) => ({
    ...{
      name: 'list.docx',
      type: 'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
    },
    content: textDocument(`Please ask ${all[0]?.address}`),
  }),
  pdf: (all) => ({
    ...{ name: 'list.pdf', type: 'application/pdf' },
    content: pdf(`Please ask ${all[0]?.address}`),
  }),
};

const PLAIN_ADDRESS = /^[\w.+-]+@[\w.-]+$/;

const FILE_TRAPS: readonly Trap[] = [
  ...Object.entries(SEEN_FILES).map(([name, make]) =>
    trap(`file-${name}`, 'foreign-address', (plan, { victim, customers }, random) => {
      plan.attached.push(make([victim, ...customers.slice(0, 2)], random));
    }),
  ),
  ...Object.entries(OPENED_FILES).map(([name, make]) =>
    trap(
      `file-${name}`,
      'foreign-address',
      (plan, { customers }, random) => {
        const plain = customers.filter(({ address }) => PLAIN_ADDRESS.test(address));
        plan.attached.push(make(plain, random));
      },
      { fault: true },
    ),
  ),
];

function calendar(all: readonly Person[], random: Random): string {
  const lines = all.map(({ name, address }) => {
    const whole = `ATTENDEE;CN="${name}";RSVP=TRUE:mailto:${address}`;
    return random.chance(0.4) && whole.length > 50
      ? `${whole.slice(0, 44)}\r\n ${whole.slice(44)}`
      : whole;
  });
  return `BEGIN:VCALENDAR\r\nVERSION:2.0\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:${random.int(1, 1e9)}\r\nSUMMARY:Meeting\r\nORGANIZER:mailto:news@northwind.example\r\n${lines.join('\r\n')}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n`;
}

const PEOPLE_TRAPS: readonly Trap[] = [
  trap('invited-attached', 'invited-people', (plan, { victim, customers }, random) => {
    const content = calendar([victim, ...customers.slice(0, 9)], random);
    plan.attached.push(text('invite.ics', 'text/calendar', content));
  }),
  trap(
    'invited-inline',
    'invited-people',
    (plan, { victim, customers }, random) => {
      const content = calendar([victim, ...customers.slice(0, 9)], random);
      plan.parts.push(
        `Content-Type: text/calendar; method=REQUEST; charset=utf-8\r\n\r\n${content}`,
      );
    },
    { doors: (door) => MIME_DOORS.has(door) },
  ),
  trap(
    'winmail',
    'invited-people',
    (plan, { customers }) => {
      const recipients = customers.slice(0, 9).map(({ address }) => address);
      const content = tnef({ recipients });
      plan.attached.push({ name: 'winmail.dat', type: 'application/ms-tnef', content });
    },
    { fault: true, doors: (door) => MIME_DOORS.has(door) },
  ),
  trap(
    'staff-listed',
    'company-address',
    (plan, _, random) => {
      const staff = Array.from(
        { length: 6 },
        (_, i) => `staff${random.int(1, 99)}.${i}@northwind.example`,
      );
      plan.text = `${plan.text}\n\nOur team: ${staff.join(', ')}`;
    },
    { fault: true, policies: PROGRAMS },
  ),
];

const PLACEHOLDERS = [
  'Dear *|FNAME|*,',
  'Dear [[first_name]],',
  'Hello ${customer.name},',
  'Hello <%= name %>,',
  'Dear #{first_name},',
  'Dear [FIRST_NAME],',
  'Dear undefined,',
  'Hello [object Object],',
  'Dear ,',
];

const FAULT_TRAPS: readonly Trap[] = [
  trap(
    'placeholder',
    'placeholder',
    (plan, _, random) => {
      plan.text = `${random.pick(PLACEHOLDERS)}\n\n${plan.text}`;
    },
    { fault: true, policies: PROGRAMS },
  ),
  trap(
    'locked-archive',
    'unreadable-attachment',
    (plan, { customers }) => {
      const content = encryptedZip(zipOf({ 'list.csv': csv(customers) }));
      plan.attached.push({ name: 'list.zip', type: 'application/zip', content });
    },
    { fault: true, policies: ['bulk'] },
  ),
  trap(
    'two-keys',
    'encrypted-readers',
    (plan) => {
      plan.html = null;
      plan.text =
        '-----BEGIN PGP MESSAGE-----\n\nhAwDAQIDBAUGBwgBAACEDAMBAgMEBQYHCQEAANIEAQEBAQ==\n-----END PGP MESSAGE-----';
    },
    { fault: true, policies: PROGRAMS, audience: 'blind', doors: (door) => MIME_DOORS.has(door) },
  ),
  trap(
    'telephones',
    'customer-list',
    (plan, _, random) => {
      const rows = Array.from(
        { length: 30 },
        (_, i) => `Customer ${i};+49 170 ${random.int(1_000_000, 9_999_999)}`,
      );
      plan.attached.push(text('numbers.csv', 'text/csv', `name;phone\r\n${rows.join('\r\n')}\r\n`));
    },
    { fault: true, policies: PROGRAMS },
  ),
  trap(
    'passport',
    'personal-record',
    (plan) => {
      const lines =
        'P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\r\nL898902C36UTO7408122F1204159ZE184226B<<<<<10\r\n';
      plan.attached.push(text('scan.txt', 'text/plain', lines));
    },
    { fault: true },
  ),
  trap(
    'cards',
    'personal-record',
    (plan) => {
      const rows = '5105105105105100\r\n4012888888881881\r\n4111111111111111\r\n';
      plan.attached.push(text('cards.csv', 'text/csv', rows));
    },
    { fault: true },
  ),
];

/** The name of nobody whom these submissions write to. */
const STRANGERS = ['Theodora Kingsley', 'Maximilian Obermeyer', 'Guadalupe Fernandez'];

/** Calls that make many messages, each with values of its own reader, or of another. */
const BATCH_TRAPS: readonly Trap[] = [
  trap(
    'wrong-salutation',
    'merge-mistake',
    (plan, _, random) => {
      plan.html = null;
      plan.text = `Dear ${random.pick(STRANGERS)},\n\n${plan.text}`;
    },
    { fault: true, audience: 'one', policies: PROGRAMS },
  ),
  trap(
    'shifted-names',
    'copies-compared',
    (plan) => {
      const { copies } = plan;
      // Names of their own, so that nobody is called as the one beside them.
      const names = ['Anna Berg', 'Boris Clausen', 'Cora Dietz', 'David Esser', 'Emma Fuchs'];
      for (const [i, copy] of copies.entries()) {
        const name = names[i % names.length] ?? '';
        copy.to = copy.to.map(({ address }) => ({ name, address }));
        copy.values.name = names[(i + 1) % names.length] ?? '';
      }
      plan.text = `Dear ${slot('name')},\n\n${plan.text}`;
      plan.html = null;
    },
    { fault: true, audience: 'copies', policies: PROGRAMS, doors: (door) => BATCH_DOORS.has(door) },
  ),
  trap(
    'shared-token',
    'copies-compared',
    (plan, _, random) => {
      const token = (): string => `${random.int(1e9, 9e9)}a${random.int(1e9, 9e9)}`;
      for (const copy of plan.copies) copy.values.token = token();
      const [one, two] = plan.copies;
      if (one !== undefined && two !== undefined) one.values.token = two.values.token ?? '';
      plan.text = `${plan.text}\n\nhttps://northwind.example/unsubscribe/${slot('token')}`;
      plan.html = null;
    },
    { fault: true, audience: 'copies', policies: PROGRAMS, doors: (door) => BATCH_DOORS.has(door) },
  ),
  trap(
    'value-of-another',
    'foreign-address',
    (plan, { victim }, random) => {
      for (const copy of plan.copies) copy.values.mail = copy.to[0]?.address ?? '';
      const own = random.pick(plan.copies);
      own.values.mail = victim.address;
      plan.text = `${plan.text}\n\nYou are registered as ${slot('mail')}`;
      if (random.chance(0.5)) plan.html = `<p>${slot('mail')}</p>`;
    },
    { audience: 'copies', policies: PROGRAMS, doors: (door) => BATCH_DOORS.has(door) },
  ),
];

const JSON_DOORS = (door: Door): boolean => !MIME_DOORS.has(door);

const JSON_FIELDS = [
  'X-Envelope-To',
  'X-Odoo-Bcc',
  'References',
  'In-Reply-To',
  'Comments',
  'X-Note',
  'X-Forwarded-To',
  'X-SMTPAPI',
];

/** Providers' side doors. */
const CALL_TRAPS: readonly Trap[] = [
  trap(
    'call-header',
    'foreign-address',
    (plan, { victim }, random) => {
      const name = random.pick(JSON_FIELDS);
      plan.fields.push([name, name === 'References' ? `<${victim.address}>` : victim.address]);
    },
    { doors: JSON_DOORS },
  ),
  trap(
    'call-data',
    'foreign-address',
    (plan, { victim }, random) => {
      plan.data[random.pick(['contact', 'email', 'previousOwner'])] = victim.address;
    },
    {
      doors: (door) => ['sendgrid', 'ses-template', 'mailgun', 'postmark-template'].includes(door),
      policies: PROGRAMS,
    },
  ),
  trap(
    'name-of-reader',
    'foreign-address',
    (plan, { victim }) => {
      const [first] = plan.copies;
      const own = first?.to[0];
      if (first === undefined || own === undefined) return;
      first.to[0] = { name: victim.address.replaceAll('"', ''), address: own.address };
    },
    { doors: JSON_DOORS, policies: PROGRAMS },
  ),
  trap(
    'name-of-sender',
    'foreign-address',
    (plan, { victim }) => {
      plan.from = { name: victim.address.replaceAll('"', ''), address: plan.from.address };
    },
    { doors: JSON_DOORS },
  ),
  trap(
    'call-tag',
    'foreign-address',
    (plan, { victim }) => {
      plan.tags.push(victim.address);
    },
    { doors: (door) => ['sendgrid', 'mailgun', 'postmark', 'postmark-batch'].includes(door) },
  ),
  trap(
    'call-section',
    'foreign-address',
    (plan, { victim }) => {
      plan.sections['-office-'] = `our office, ${victim.address}`;
      for (const copy of plan.copies) copy.values.office = '-office-';
      plan.text = `${plan.text}\n\nAsk ${slot('office')}.`;
    },
    { doors: (door) => door === 'sendgrid', audience: 'copies', policies: PROGRAMS },
  ),
  trap(
    'variables-missing',
    'visible-recipients',
    (plan) => {
      plan.variables = 'but-one';
    },
    { doors: (door) => door === 'mailgun', audience: 'copies', policies: PROGRAMS },
  ),
  trap(
    'variables-of-another',
    'adapter',
    (plan, { customers }) => {
      plan.variables = customers[0] ?? 'each';
      plan.text = `${plan.text}\n\n${slot('mail')}`;
    },
    { doors: (door) => door === 'mailgun', audience: 'copies', policies: PROGRAMS },
  ),
  trap('call-list', 'visible-recipients', () => {}, {
    audience: 'several',
    doors: JSON_DOORS,
    policies: PROGRAMS,
  }),
  trap(
    'call-cc-everywhere',
    'visible-recipients',
    (plan) => {
      const [last] = plan.copies.splice(-1);
      const common = last?.to[0];
      if (common === undefined) return;
      for (const copy of plan.copies) copy.cc.push(common);
    },
    { audience: 'copies', doors: (door) => door === 'sendgrid', policies: PROGRAMS },
  ),
  trap(
    'reply-to-list',
    'visible-recipients',
    (plan, { victim, customers }) => {
      plan.replyTo = [victim, ...customers.slice(0, 2)];
    },
    { doors: (door) => JSON_DOORS(door), policies: PROGRAMS },
  ),
];

export const CONTENT_TRAPS: readonly Trap[] = [
  ...TEXT_TRAPS,
  ...FILE_TRAPS,
  ...PEOPLE_TRAPS,
  ...FAULT_TRAPS,
  ...BATCH_TRAPS,
  ...CALL_TRAPS,
];

/** For a plan that is to hold nothing wrong. */
export function harmlessFiles(random: Random): Attached {
  return random.pick([
    () => text('terms.txt', 'text/plain', 'Terms of use. Questions: support@northwind.example\r\n'),
    () => text('prices.csv', 'text/csv', 'article;price\r\nlamp;12.50\r\nchair;49.00\r\n'),
    () => ({
      ...{ name: 'photo.png', type: 'image/png' },
      content: Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'),
    }),
    () => ({
      name: 'bill.pdf',
      type: 'application/pdf',
      content: pdf('Invoice 2026-117 over 49.00 EUR'),
    }),
    () => ({
      name: 'prices.zip',
      type: 'application/zip',
      content: zipOf({ 'a.csv': 'lamp;12.50' }),
    }),
  ])();
}
