/** The places of a message where a second customer's address can stand by a fault, and the people of the fault tests. */

import type { SampleCustomer } from '../../../demo/sample-customers.ts';

export const PLACES = [
  'To',
  'another header',
  'Subject, encoded word',
  'Chinese body, base64',
  'Arabic body, quoted-printable',
  'URL, percent-coded',
  'URL, base64',
  'envelope, instead',
  'envelope, beside',
] as const;
export type Place = (typeof PLACES)[number];

export const FAULTS = ['audience', 'renderer', 'composer', 'signer', 'SMTP client'] as const;
export type FaultPart = (typeof FAULTS)[number];

/** What has no way from a part to a place, and why: such a cell is not run. */
export function noWay(fault: FaultPart, place: Place): string | null {
  if (fault === 'audience' && place === 'another header')
    return 'no field of a customer goes there';
  if (fault === 'audience' && place === 'envelope, beside') return 'one cell of a row, one address';
  if (fault === 'composer' && place === 'envelope, beside') return 'it has no envelope';
  if (fault === 'signer' && place.startsWith('envelope')) return 'it has no envelope';
  return null;
}

/** A second RCPT breaks the count of replies, so no content follows even where nothing looks. */
export function canLeak(fault: FaultPart, place: Place): boolean {
  return noWay(fault, place) === null && place !== 'envelope, beside';
}

const LANGUAGE_OF: Partial<Record<Place, SampleCustomer['language']>> = {
  'Chinese body, base64': 'zh-Hans',
  'Arabic body, quoted-printable': 'ar',
};

export function readerOf(place: Place): string {
  return `mira.cell${PLACES.indexOf(place)}@mail.example`;
}

export function victimOf(place: Place): string {
  return `jonas.other${PLACES.indexOf(place)}@post.example`;
}

/** The place that is planted in the message of this reader; null for everybody without a fault. */
export function placeOf(reader: string): Place | null {
  const index = /^mira\.cell(\d)@mail\.example$/.exec(reader)?.[1];
  return index === undefined ? null : (PLACES[Number(index)] ?? null);
}

/** CSV of the readers with a fault, `clean` readers without one (group a), and the second customers (group b). */
export function customersCsv(clean: number): string {
  const lines = ['id,email,name,language,group,note,link,own'];
  const row = (id: string, email: string, language: string, group: string): void => {
    lines.push([id, email, 'Mira', language, group, 'a note', `k${id}`, email].join(','));
  };
  for (const [index, place] of PLACES.entries()) {
    row(`cell-${index}`, readerOf(place), LANGUAGE_OF[place] ?? 'en', 'a');
    row(`other-${index}`, victimOf(place), 'en', 'b');
  }
  const languages = ['en', 'zh-Hans', 'ar'];
  for (let i = 0; i < clean; i++)
    row(`clean-${i}`, `vera.clean${i}@inbox.test`, languages[i % 3] ?? 'en', 'a');
  return `${lines.join('\n')}\n`;
}

/** A small notice in three languages whose subject, text and link depend on the customer. */
export const NOTICE: Readonly<Record<string, string>> = {
  'notice.json': JSON.stringify({
    name: 'weights',
    class: 'subscribed',
    from: { name: 'Northwind', address: 'notices@northwind.example' },
    subject: "{{ 'subject' | t: name: customer.name }}",
    languages: ['en', 'zh-Hans', 'ar'],
    defaultLanguage: 'en',
    roleAddresses: ['support@northwind.example'],
    fields: { name: 'text', note: 'text', link: 'text', own: 'text' },
    unsubscribeUrl: 'https://northwind.example/u',
  }),
  'notice.txt': [
    "{{ 'greeting' | t: name: customer.name }}",
    '{{ customer.note }}',
    '{{ customer.own }}',
    'https://northwind.example/s?k={{ customer.link }}',
    '',
  ].join('\n'),
  'notice.html': [
    '<!DOCTYPE html>',
    '<html lang="{{ language }}" dir="{{ direction }}">',
    '<head><meta charset="utf-8"><title>Northwind</title></head><body>',
    "<p>{{ 'greeting' | t: name: customer.name }}</p>",
    '<p>{{ customer.note }}</p>',
    '<p>{{ customer.own }}</p>',
    '<p><a href="https://northwind.example/s?k={{ customer.link }}">Northwind</a></p>',
    '</body></html>',
    '',
  ].join('\n'),
  'messages/en.json': JSON.stringify({
    subject: '{name}, new weights',
    greeting: 'Dear {name}, the weights of the index change.',
  }),
  'messages/zh-Hans.json': JSON.stringify({
    subject: '{name}，指数权重变更',
    greeting: '尊敬的{name}：指数权重将会变更。',
  }),
  'messages/ar.json': JSON.stringify({
    subject: '{name}، أوزان جديدة',
    greeting: 'عزيزنا {name}، تتغير أوزان المؤشر.',
  }),
};
