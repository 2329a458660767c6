/**
 * Messages of docs/who-catches-what.md: mistakes in outgoing mail in the forms they are made in, and ordinary mail that looks
 * like them. Built here byte by byte, the same at each run; nobody in them exists.
 */

import { workbook, zipOf } from '../support/attached-files.ts';

export interface Fixture {
  readonly name: string;
  /** What it is, as the table says it. */
  readonly what: string;
  /** Whether somebody would be shown to somebody, or it would go out broken. */
  readonly isMistake: boolean;
  /** Who sends: people, a program to one customer, one text to many. */
  readonly policy: 'person' | 'transactional' | 'bulk';
  readonly from: string;
  readonly readers: readonly string[];
  readonly bytes: Buffer;
}

export const COMPANY = 'northwind.example';
const OFFICE = `office@${COMPANY}`;
const NEWS = `notices@${COMPANY}`;

/** A customer's address. All that end so are in the customer index of the table. */
const customer = (n: number): string => `customer.${n}@mail${n % 7}.example`;
export const isCustomer = (canonical: string): boolean => /^customer\.\d+@/.test(canonical);

const customers = (count: number, first = 0): string[] =>
  Array.from({ length: count }, (_, n) => customer(first + n));
const colleagues = (count: number): string[] =>
  Array.from({ length: count }, (_, n) => `colleague.${n}@${COMPANY}`);
const partners = (count: number): string[] =>
  Array.from({ length: count }, (_, n) => `partner${n}@firm${n}.example`);

const list = (all: readonly string[]): string => all.join(',\r\n ');

interface Part {
  readonly type: string;
  readonly body: string | Uint8Array;
  readonly file?: string;
}

interface Draft {
  readonly from?: string;
  /** Lines of the header between From and Subject. */
  readonly head: string;
  readonly subject?: string;
  readonly text?: string;
  readonly parts?: readonly Part[];
}

function part({ type, body, file }: Part): string {
  const disposition =
    file === undefined ? '' : `Content-Disposition: attachment; filename="${file}"\r\n`;
  if (typeof body === 'string' && file === undefined)
    return `Content-Type: ${type}\r\n${disposition}\r\n${body}`;
  const base64 = Buffer.from(body).toString('base64').replace(/.{76}/g, '$&\r\n');
  return `Content-Type: ${type}\r\n${disposition}Content-Transfer-Encoding: base64\r\n\r\n${base64}`;
}

function draft({ from = OFFICE, head, subject, text = 'Hello.', parts }: Draft): Buffer {
  const start = [
    `From: ${from}\r\n`,
    head === '' ? '' : `${head}\r\n`,
    `Subject: ${subject ?? 'Our new opening hours'}\r\n`,
    'Date: Mon, 23 Nov 2026 09:00:00 +0000\r\n',
    `Message-ID: <notice.1@${COMPANY}>\r\n`,
    'MIME-Version: 1.0\r\n',
  ].join('');
  if (parts === undefined)
    return Buffer.from(`${start}Content-Type: text/plain; charset=utf-8\r\n\r\n${text}\r\n`);
  const all = [{ type: 'text/plain; charset=utf-8', body: text }, ...parts];
  const body = all.map((one) => `--b1\r\n${part(one)}\r\n`).join('');
  return Buffer.from(`${start}Content-Type: multipart/mixed; boundary=b1\r\n\r\n${body}--b1--\r\n`);
}

type Kind = Pick<Fixture, 'isMistake' | 'policy' | 'from'>;
const MISTAKE: Kind = { isMistake: true, policy: 'person', from: OFFICE };
const BULK_MISTAKE: Kind = { isMistake: true, policy: 'bulk', from: NEWS };
const ORDINARY: Kind = { isMistake: false, policy: 'person', from: OFFICE };
const BULK: Kind = { isMistake: false, policy: 'bulk', from: NEWS };
const TO_ONE: Kind = { isMistake: false, policy: 'transactional', from: NEWS };

function of(
  kind: Kind,
  name: string,
  what: string,
  readers: readonly string[],
  message: Draft | Buffer,
): Fixture {
  const bytes = Buffer.isBuffer(message) ? message : draft({ from: kind.from, ...message });
  return { ...kind, name, what, readers, bytes };
}

const ONE = customer(0);
const OTHER = customer(77);
const CSV = `name,address\r\n${customers(200)
  .map((address, n) => `Name ${n},${address}\r\n`)
  .join('')}`;
const encodedWords = (text: string): string =>
  (text.match(/[\s\S]{1,40}/g) ?? [])
    .map((piece) => `=?utf-8?B?${Buffer.from(piece).toString('base64')}?=`)
    .join('\r\n ');
const calendar = (people: readonly string[]): Part => ({
  type: 'text/calendar; method=REQUEST; charset=utf-8',
  body: `BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART:20261201T090000Z\r\nORGANIZER:mailto:${OFFICE}\r\n${people
    .map((one) => `ATTENDEE:mailto:${one}\r\n`)
    .join('')}END:VEVENT\r\nEND:VCALENDAR`,
});
const ccForBcc = (count: number): Fixture =>
  of(
    MISTAKE,
    `cc-${count}`,
    `Cc in place of Bcc, ${count.toLocaleString('en-US')} customers`,
    customers(count),
    {
      head: `To: ${OFFICE}\r\nCc: ${list(customers(count))}`,
    },
  );

const MISTAKES: readonly Fixture[] = [
  ...[9, 15, 100, 1000].map(ccForBcc),
  of(BULK_MISTAKE, 'bulk-to-2', 'A mailing with two customers in To', customers(2), {
    head: `To: ${list(customers(2))}`,
  }),
  of(BULK_MISTAKE, 'bulk-to-50', 'A mailing with 50 customers in To', customers(50), {
    head: `To: ${list(customers(50))}`,
  }),
  of(MISTAKE, 'encoded-list', 'To is encoded words that hold 30 addresses', customers(30), {
    head: `To: ${encodedWords(customers(30).join(', '))}`,
  }),
  of(MISTAKE, 'names-hold-addresses', '20 addresses inside one display name', customers(20), {
    head: `To: "${customers(20).join(', ')}" <${OFFICE}>`,
  }),
  of(MISTAKE, 'two-to', 'Two To headers of ten customers each', customers(20), {
    head: `To: ${list(customers(10))}\r\nTo: ${list(customers(10, 10))}`,
  }),
  of(MISTAKE, 'spread', '24 customers over To, Cc and Reply-To, eight in each', customers(24), {
    head: `To: ${list(customers(8))}\r\nCc: ${list(customers(8, 8))}\r\nReply-To: ${list(customers(8, 16))}`,
  }),
  of(MISTAKE, 'group', 'A named group with 20 customers', customers(20), {
    head: `To: Customers: ${list(customers(20))};`,
  }),
  of(MISTAKE, 'semicolons', '20 customers parted by semicolons', customers(20), {
    head: `To: ${customers(20).join(';\r\n ')}`,
  }),
  of(MISTAKE, 'comments', '12 customers, each in a comment behind a name', customers(12), {
    head: `To: ${list(customers(12).map((one, n) => `staff${n}@${COMPANY} (${one})`))}`,
  }),
  of(
    MISTAKE,
    'bare-cr',
    'A bare CR ends To early, and a Cc of 20 stands behind it',
    customers(20),
    {
      head: `To: ${OFFICE}\rCc: ${customers(20).join(', ')}`,
    },
  ),
  of(MISTAKE, 'resent-to', '20 customers in Resent-To', customers(20), {
    head: `To: ${OFFICE}\r\nResent-To: ${list(customers(20))}`,
  }),
  of(MISTAKE, 'bcc-left-in', 'A Bcc header of 20 that the program left in', customers(20), {
    head: `To: ${OFFICE}\r\nBcc: ${list(customers(20))}`,
  }),
  of(BULK_MISTAKE, 'x-header', '20 customers in a header of the program’s own', [ONE], {
    head: `To: ${ONE}\r\nX-Audience: ${list(customers(20))}`,
  }),
  of(BULK_MISTAKE, 'body-address', 'Another customer’s address in the text', [ONE], {
    head: `To: ${ONE}`,
    text: `Your order was made by ${OTHER}.`,
  }),
  of(BULK_MISTAKE, 'hidden-html', '30 customers in a hidden passage of the HTML', [ONE], {
    head: `To: ${ONE}`,
    parts: [
      {
        type: 'text/html; charset=utf-8',
        body: `<p>Hello.</p><div style="display:none">${customers(30).join(' ')}</div>`,
      },
    ],
  }),
  of(BULK_MISTAKE, 'other-unsubscribe', 'The unsubscribe link of another reader, base64', [ONE], {
    head: `To: ${ONE}`,
    text: `https://${COMPANY}/u?a=${Buffer.from(OTHER).toString('base64')}`,
  }),
  of(MISTAKE, 'csv', 'The customer list as CSV, to a partner', partners(1), {
    head: `To: ${list(partners(1))}`,
    parts: [{ type: 'text/csv', body: CSV, file: 'list.csv' }],
  }),
  of(MISTAKE, 'xlsx', 'The customer list as XLSX, on a hidden sheet', partners(1), {
    head: `To: ${list(partners(1))}`,
    parts: [
      {
        type: 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
        body: workbook({ cells: ['Figures'], hiddenSheet: customers(200).join(' ') }),
        file: 'figures.xlsx',
      },
    ],
  }),
  of(MISTAKE, 'zip', 'The customer list as CSV in a ZIP in a ZIP', partners(1), {
    head: `To: ${list(partners(1))}`,
    parts: [
      {
        type: 'application/zip',
        body: zipOf({ 'inner.zip': zipOf({ 'list.csv': CSV }) }),
        file: 'list.zip',
      },
    ],
  }),
  of(MISTAKE, 'calendar', 'An invitation that names 20 customers, to 20', customers(20), {
    head: `To: ${OFFICE}`,
    parts: [calendar(customers(20))],
  }),
  of(MISTAKE, 'nested', 'A forwarded message whose Cc names 30 customers', partners(1), {
    head: `To: ${list(partners(1))}`,
    parts: [
      {
        type: 'message/rfc822',
        body: `From: a@b.example\r\nTo: ${OFFICE}\r\nCc: ${list(customers(30))}\r\nSubject: x\r\n\r\nHello.`,
      },
    ],
  }),
  of(BULK_MISTAKE, 'unresolved-tag', 'A placeholder that was not filled in', [ONE], {
    head: `To: ${ONE}`,
    text: 'Dear {{first_name}}, our hours change.',
  }),
  of(BULK_MISTAKE, 'wrong-salutation', 'Written to Ann, addressed to Bob', [ONE], {
    head: `To: Ann Lee <${ONE}>`,
    text: 'Dear Bob Miller, our hours change.',
  }),
  of(BULK_MISTAKE, 'spelled-out', 'Another customer’s address, its signs as words', [ONE], {
    head: `To: ${ONE}`,
    text: `Your order was made by ${OTHER.replace('@', ' (at) ').replaceAll('.', ' (dot) ')}.`,
  }),
  of(MISTAKE, 'picture', 'The customer list as a picture, to a partner', partners(1), {
    head: `To: ${list(partners(1))}`,
    parts: [
      {
        type: 'image/png',
        body: Buffer.from(
          'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
          'base64',
        ),
        file: 'list.png',
      },
    ],
  }),
  of(
    MISTAKE,
    'smuggled',
    'A second message behind `LF . CR LF`, with 20 in its To',
    partners(1),
    Buffer.from(
      `${draft({ head: `To: ${list(partners(1))}` }).toString()}\n.\r\nMAIL FROM:<${OFFICE}>\r\nRCPT TO:<${ONE}>\r\nDATA\r\nTo: ${customers(20).join(', ')}\r\n\r\nHello.\r\n`,
    ),
  ),
  of(
    BULK_MISTAKE,
    'provider-call',
    'A SendGrid call with 1,000 in one `to`',
    customers(1000),
    Buffer.from(
      JSON.stringify({
        personalizations: [{ to: customers(1000).map((email) => ({ email })) }],
        from: { email: NEWS },
        subject: 'Our new opening hours',
        content: [{ type: 'text/plain', value: 'Hello.' }],
      }),
    ),
  ),
];

const ORDINARIES: readonly Fixture[] = [
  of(ORDINARY, 'to-one', 'One person writes to one', [ONE], { head: `To: ${ONE}` }),
  of(ORDINARY, 'project', 'Eight people of eight firms in Cc', partners(8), {
    head: `To: ${OFFICE}\r\nCc: ${list(partners(8))}`,
  }),
  of(ORDINARY, 'reply-all', 'Reply all to 60 colleagues', colleagues(60), {
    head: `To: ${list(colleagues(60))}\r\nIn-Reply-To: <x@${COMPANY}>`,
    subject: 'Re: Summer party',
  }),
  of(ORDINARY, 'minutes', 'Minutes of a meeting to 12 colleagues', colleagues(12), {
    head: `To: ${list(colleagues(12))}`,
    subject: 'Minutes',
  }),
  of(ORDINARY, 'blind', 'To the sender, 100 customers in Bcc', customers(100), {
    head: `To: ${OFFICE}`,
  }),
  of(ORDINARY, 'undisclosed', '`undisclosed-recipients:;`, 100 customers in Bcc', customers(100), {
    head: 'To: undisclosed-recipients:;',
  }),
  of(ORDINARY, 'mailing-list', 'A post to a mailing list', ['list@lists.example'], {
    head: 'To: list@lists.example\r\nList-Id: <list.lists.example>',
  }),
  of(ORDINARY, 'meeting', 'An invitation to three partners', partners(3), {
    head: `To: ${list(partners(3))}`,
    parts: [calendar(partners(3))],
  }),
  of(ORDINARY, 'forward', 'A forwarded message between four partners', partners(1), {
    head: `To: ${list(partners(1))}`,
    parts: [
      {
        type: 'message/rfc822',
        body: `From: ${partners(4)[3]}\r\nTo: ${OFFICE}\r\nCc: ${list(partners(3))}\r\nSubject: x\r\n\r\nHello.`,
      },
    ],
  }),
  of(ORDINARY, 'template-code', 'Two developers about `{{ first_name }}`', colleagues(1), {
    head: `To: ${list(colleagues(1))}`,
    text: 'The template says {{ first_name }} where it should say {{ name }}.',
  }),
  of(ORDINARY, 'long-names', 'Six partners with long names of commas and quotes', partners(6), {
    head: `To: ${list(partners(6).map((one, n) => `"Doe, John ""JD"" (${n})" <${one}>`.replaceAll('""', '\\"')))}`,
  }),
  of(BULK, 'newsletter', 'A newsletter to one, with its unsubscribe link', [ONE], {
    head: `To: ${ONE}\r\nList-Unsubscribe: <https://${COMPANY}/u/8f14e45fceea167a>\r\nPrecedence: bulk`,
    text: `News. Not for ${ONE}? https://${COMPANY}/u/8f14e45fceea167a`,
  }),
  of(BULK, 'support-address', 'A notice that names the company’s own addresses', [ONE], {
    head: `To: ${ONE}`,
    text: `Questions: support@${COMPANY} or privacy@${COMPANY}.`,
  }),
  of(TO_ONE, 'reset', 'A password reset with a token', [ONE], {
    head: `To: ${ONE}`,
    text: `https://${COMPANY}/reset?token=0b1c2d3e4f5a6b7c8d9e0f1a2b3c4d5e`,
  }),
  of(TO_ONE, 'own-data', 'The reader’s own data as CSV', [ONE], {
    head: `To: ${ONE}`,
    parts: [
      { type: 'text/csv', body: `name,address,date\r\nAnn,${ONE},2026-11-23\r\n`, file: 'my.csv' },
    ],
  }),
];

export const FIXTURES: readonly Fixture[] = [...MISTAKES, ...ORDINARIES];
