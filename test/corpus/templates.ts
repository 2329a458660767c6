/** Transactional messages of the usual kinds, as programs send them: ten kinds, five senders each in their own style and language. */

import { pdf, textDocument } from '../support/attached-files.ts';

export interface Template {
  readonly name: string;
  readonly from: string;
  readonly reader: string;
  readonly roles: readonly string[];
  readonly bytes: Buffer;
}

interface Sender {
  readonly name: string;
  readonly domain: string;
  /** Where its readers may turn to: at its own domain, at another of its own, at a help desk's. */
  readonly support: string;
  readonly roles: readonly string[];
  readonly reader: string;
  readonly person: string;
  readonly greeting: string;
  readonly headers: readonly string[];
  readonly style: 'text' | 'html' | 'both' | 'base64' | 'related';
}

const SENDERS: readonly Sender[] = [
  {
    name: 'Northwind',
    domain: 'northwind.example',
    support: 'support@northwind.example',
    roles: [],
    reader: 'ann.smith@mail.test',
    person: 'Ann Smith',
    greeting: 'Hi Ann,',
    headers: [
      'List-Unsubscribe: <mailto:leave+7f3a9c@northwind.example>, <https://northwind.example/u/7f3a9c41d2e8b605>',
      'List-Unsubscribe-Post: List-Unsubscribe=One-Click',
    ],
    style: 'both',
  },
  {
    name: 'Kaffeehaus Müller',
    domain: 'kaffee.example',
    support: 'hilfe@helpdesk.example',
    roles: ['hilfe@helpdesk.example'],
    reader: 'jürgen@post.test',
    person: 'Jürgen Weiß',
    greeting: 'Guten Tag Jürgen Weiß,',
    headers: ['Reply-To: hilfe@helpdesk.example', 'X-Mailer: Shopsystem 6.4'],
    style: 'html',
  },
  {
    name: 'Crédit du Lac',
    domain: 'lac.example',
    support: 'service.clients@lac.example',
    roles: ['mediateur@autorite.example'],
    reader: 'chloe@boite.test',
    person: 'Chloé Dubois',
    greeting: 'Bonjour Chloé,',
    headers: ['Feedback-ID: 17:42:tx:lac', 'X-Entity-Ref-ID: 8b1a9953-c461-4f3f-9f3e-0d6d3c2a1b77'],
    style: 'base64',
  },
  {
    name: 'git.example',
    domain: 'git.example',
    support: 'noreply@git.example',
    roles: [],
    reader: 'dev+git@lab.test',
    person: 'dev',
    greeting: 'Hey dev!',
    headers: ['X-Auto-Response-Suppress: All', 'References: <user/4711/reset@git.example>'],
    style: 'text',
  },
  {
    name: '旅行',
    domain: 'tabi.example',
    support: 'help@tabi.example',
    roles: [],
    reader: 'sato@yubin.test',
    person: '佐藤 花',
    greeting: '佐藤 花 様',
    headers: ['Message-ID: <01000192abcd-1f2e3d4c-0000@eu-west-1.provider.test>'],
    style: 'related',
  },
];

interface Kind {
  readonly name: string;
  readonly subject: (sender: Sender) => string;
  readonly lines: (sender: Sender) => readonly string[];
  readonly file?: (sender: Sender) => {
    readonly name: string;
    readonly type: string;
    readonly content: Buffer;
  };
}

const token = (sender: Sender, kind: string): string =>
  Buffer.from(`${kind}:${sender.name}:4711`).toString('base64url');
const link = (sender: Sender, kind: string): string =>
  `https://${sender.domain}/${kind}?token=${token(sender, kind)}&utm_source=mail`;

const KINDS: readonly Kind[] = [
  {
    name: 'reset',
    subject: () => 'Reset your password',
    lines: (s) => [
      `Somebody asked for a new password for ${s.reader}.`,
      link(s, 'reset'),
      'The link is good for 60 minutes. If it was not you, do nothing.',
    ],
  },
  {
    name: 'receipt',
    subject: () => 'Your receipt #2026-000471',
    lines: (s) => [
      'Thank you for your order of 21 November 2026.',
      '1 x Notebook ........ €12.90',
      '2 x Pencil @ €1.10 .. €2.20',
      'Total ............... €15.10',
      `Paid with card **** **** **** 4242. ${link(s, 'receipt')}`,
    ],
  },
  {
    name: 'shipping',
    subject: () => 'Your parcel is on its way',
    lines: (s) => [
      'Parcel 1Z999AA10123456784 leaves our house today.',
      'https://track.carrier.example/?n=1Z999AA10123456784&z=10115',
      `To: ${s.person}, Main Street 1, 10115 Berlin`,
      'Carrier: +49 30 1234567',
    ],
  },
  {
    name: 'invoice',
    subject: () => 'Invoice RE-2026-0815',
    lines: (s) => [
      'Please find your invoice attached.',
      'IBAN DE89 3704 0044 0532 0130 00, BIC COBADEFFXXX, VAT DE123456789',
      `Questions: ${s.support}`,
    ],
    file: (s) => ({
      name: 'RE-2026-0815.pdf',
      type: 'application/pdf',
      content: pdf(
        `Invoice RE-2026-0815 for ${s.reader}, pay to DE89370400440532013000, questions to ${s.support}`,
        { author: s.domain },
      ),
    }),
  },
  {
    name: 'security alert',
    subject: () => 'New sign-in to your account',
    lines: (s) => [
      'Device: Firefox 146 on Linux, IP address 203.0.113.7, near Zürich',
      `Account: ${s.reader}`,
      `Not you? ${link(s, 'secure')} or write to ${s.support}.`,
    ],
  },
  {
    name: 'code',
    subject: () => '482913 is your code',
    lines: () => ['482913', 'Good for ten minutes. We will never ask you for it.'],
  },
  {
    name: 'confirm address',
    subject: () => 'Please confirm your e-mail address',
    lines: (s) => [
      `You registered with ${s.reader}.`,
      `https://${s.domain}/confirm/${token(s, 'confirm')}?email=${encodeURIComponent(s.reader)}`,
    ],
  },
  {
    name: 'statement',
    subject: () => 'Your statement for October',
    lines: (s) => ['Your statement is attached.', `Data protection: ${s.support}`],
    file: () => ({
      name: 'statement.docx',
      type: 'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
      content: textDocument(
        'Statement October 2026, balance 1,204.11 EUR, account AT611904300234573201',
      ),
    }),
  },
  {
    name: 'appointment',
    subject: () => 'Your appointment on 3 December',
    lines: () => ['We look forward to seeing you at 10:30. See you @ our new place, room 4.'],
    file: (s) => ({
      name: 'invite.ics',
      type: 'text/calendar; charset=utf-8; method=REQUEST',
      content: Buffer.from(
        `BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:4711-20261203@calendar.${s.domain}\r\nORGANIZER;CN=Desk:mailto:${s.support}\r\nATTENDEE;RSVP=TRUE:mailto:${s.reader}\r\nSUMMARY:Appointment\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n`,
      ),
    }),
  },
  {
    name: 'subscription ends',
    subject: (s) => `Your subscription with ${s.name} ends soon`,
    lines: (s) => [
      'It ends on 31 December 2026 (null and void after that, as the terms say).',
      link(s, 'renew'),
      `${s.support} · © 2026 ${s.name}`,
    ],
  },
];

const word = (text: string): string =>
  /^[\x20-\x7e]*$/.test(text) ? text : `=?utf-8?B?${Buffer.from(text).toString('base64')}?=`;
const base64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes).toString('base64').replace(/.{76}/g, '$&\r\n');

function html(sender: Sender, lines: readonly string[]): string {
  const rows = lines.map((line) => {
    const linked = line.replace(
      /https:\S+/,
      (url) => `<a href="${url.replaceAll('&', '&amp;')}">Open</a>`,
    );
    return `<tr><td style="padding:4px;font:14px/1.5 sans-serif">${linked}</td></tr>`;
  });
  const logo = sender.style === 'related' ? '<img src="cid:logo@tabi.example" alt="logo">' : '';
  return `<!doctype html><html><head><style>@media (max-width:600px){.w{width:100%!important}} a{color:#06c}</style></head><body><div style="display:none">News &zwnj;&nbsp;&zwnj;</div>${logo}<table class="w"><tr><td>${sender.greeting}</td></tr>${rows.join('\r\n')}</table><p><a href="mailto:${sender.support}?subject=Help">${sender.support}</a></p></body></html>`;
}

function leaf(type: string, content: string, encode: boolean): string {
  const body = encode ? base64(Buffer.from(content)) : content;
  const encoding = encode ? 'base64' : '8bit';
  return `Content-Type: ${type}; charset=utf-8\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\n${body}`;
}

function bodyOf(sender: Sender, lines: readonly string[]): string {
  const plain = `${sender.greeting}\r\n\r\n${lines.join('\r\n')}\r\n\r\n${sender.name}\r\n${sender.support}\r\n`;
  const rich = html(sender, lines);
  if (sender.style === 'text') return leaf('text/plain', plain, false);
  if (sender.style === 'html') return leaf('text/html', rich, false);
  if (sender.style === 'related') {
    const logo =
      'Content-Type: image/png\r\nContent-ID: <logo@tabi.example>\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=';
    return multipart('related', 'r', [leaf('text/html', rich, true), logo]);
  }
  const encode = sender.style === 'base64';
  return multipart('alternative', 'a', [
    leaf('text/plain', plain, encode),
    leaf('text/html', rich, encode),
  ]);
}

function multipart(kind: string, boundary: string, parts: readonly string[]): string {
  const members = parts.map((part) => `--${boundary}=_1\r\n${part}\r\n`).join('');
  return `Content-Type: multipart/${kind}; boundary="${boundary}=_1"\r\n\r\n${members}--${boundary}=_1--\r\n`;
}

function templateOf(sender: Sender, kind: Kind): Template {
  let body = bodyOf(sender, kind.lines(sender));
  const file = kind.file?.(sender);
  if (file !== undefined) {
    const part = `Content-Type: ${file.type}; name="${file.name}"\r\nContent-Disposition: attachment; filename="${file.name}"\r\nContent-Transfer-Encoding: base64\r\n\r\n${base64(file.content)}`;
    body = multipart('mixed', 'm', [body, part]);
  }
  const head = [
    `From: ${word(sender.name)} <no-reply@${sender.domain}>`,
    `To: ${word(sender.person)} <${sender.reader}>`,
    `Subject: ${word(kind.subject(sender))}`,
    'Date: Sat, 21 Nov 2026 10:00:00 +0000',
    ...sender.headers,
    'MIME-Version: 1.0',
  ];
  return {
    name: `${kind.name} by ${sender.domain}`,
    from: `bounce+4711@${sender.domain}`,
    reader: sender.reader,
    roles: sender.roles,
    bytes: Buffer.from(`${head.join('\r\n')}\r\n${body}`),
  };
}

/** Fifty messages, each alone on its envelope. */
export function templates(): readonly Template[] {
  return KINDS.flatMap((kind) => SENDERS.map((sender) => templateOf(sender, kind)));
}
