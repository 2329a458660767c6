/** The last look: what it must stop wherever it stands and however it is spelled, and what it must let through. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  type Allowed,
  inspectPrepared,
  type LookReason,
  type LookResult,
  lookBeforeWrite,
} from './last-look.ts';

const READER = 'alice.doe+news@shop.example';
const FOREIGN = 'bob.roe+mail@other.example';
const ALLOWED: Allowed = { addresses: ['Notices@northwind.example', 'support@northwind.example'] };
const OWN = ['4gmcspzubyyp7xa41nbm@northwind.example', 'r-5-chpit9u3@bounce.northwind.example'];

interface Draft {
  readonly to?: string;
  readonly headers?: readonly string[];
  readonly contentType?: string;
  readonly encoding?: string;
  readonly body?: string;
}

/** A message as prepare writes it, one text part; `headers` are whole fields without their line break. */
function message(draft: Draft = {}): Buffer {
  const lines = [
    'From: Northwind <notices@northwind.example>',
    `To: ${draft.to ?? `<${READER}>`}`,
    'Subject: New weights',
    `Message-ID: <${OWN[0]}>`,
    ...(draft.headers ?? []),
    'MIME-Version: 1.0',
    `Content-Type: ${draft.contentType ?? 'text/plain; charset=utf-8'}`,
    `Content-Transfer-Encoding: ${draft.encoding ?? '7bit'}`,
    '',
    draft.body ?? 'Nothing is required.\r\nWrite to support@northwind.example.',
    '',
  ];
  return Buffer.from(lines.join('\r\n'), 'utf8');
}

function inspect(bytes: Buffer, reader: string = READER): LookResult {
  return inspectPrepared(bytes, reader, ALLOWED, OWN);
}

function commandsFor(...readers: readonly string[]): Buffer {
  const rcpt = readers.map((reader) => `RCPT TO:<${reader}>\r\n`).join('');
  return Buffer.from(`MAIL FROM:<${OWN[1]}>\r\n${rcpt}DATA\r\n`, 'utf8');
}

/** The message as a signing run leaves it. */
function signed(bytes: Buffer, more = ''): Buffer {
  const h = 'h=from:from:reply-to:to:subject:date:message-id:\r\n mime-version:content-type;';
  const tail = `t=1700000000; bh= ${base64('x'.repeat(32))};\r\n b= ${'Ab+/'.repeat(86)}`;
  const field = `DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=northwind.example;\r\n s=u1; ${h}\r\n ${tail}\r\n`;
  return Buffer.concat([
    Buffer.from(`${field}${more}Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n`),
    bytes,
  ]);
}

function write(
  unsigned: Buffer,
  given: { reader?: string; commands?: Buffer; more?: string } = {},
): LookResult {
  const bytes = signed(unsigned, given.more);
  const reader = given.reader ?? READER;
  const digest = createHash('sha256').update(bytes).digest();
  const commands = given.commands ?? commandsFor(reader);
  return lookBeforeWrite(bytes, commands, { reader, digest, own: OWN }, ALLOWED);
}

function stopped(result: LookResult, why?: LookReason): void {
  assert.equal(result.kind, 'stop');
  if (why !== undefined && result.kind === 'stop') assert.equal(result.why, why);
  assert.doesNotMatch(JSON.stringify(result), /bob|other\.example/);
}

function clear(result: LookResult): void {
  assert.deepEqual(result, { kind: 'clear' });
}

const base64 = (text: string): string => Buffer.from(text, 'utf8').toString('base64');
const base64url = (text: string): string => Buffer.from(text, 'utf8').toString('base64url');
const hex = (text: string): string => Buffer.from(text, 'utf8').toString('hex');
/** Every byte as =XX, a soft line break after each 20. */
const quoted = (text: string): string =>
  (Buffer.from(text, 'utf8').toString('hex').toUpperCase().match(/../g) ?? [])
    .map((pair, index) => (index > 0 && index % 20 === 0 ? `=\r\n=${pair}` : `=${pair}`))
    .join('');
const percent = (text: string): string =>
  encodeURIComponent(text).replace(/['.]/g, (c) => `%${c.charCodeAt(0).toString(16)}`);
const entities = (text: string): string =>
  [...text].map((c) => `&#${c.codePointAt(0) ?? 0};`).join('');
const softBroken = (text: string): string =>
  text.replace('@', '=\r\n@=\r\n').replace('.', '.=\r\n');

/** Ways in which one address may stand in a message: each must be found for a stranger and clear for the reader. */
const SPELLINGS: Readonly<Record<string, (address: string) => Draft>> = {
  'in 7-bit text': (a) => ({ body: `Write to ${a} today` }),
  'at the end of a sentence': (a) => ({ body: `It went to ${a}. Nothing else.` }),
  'at the very end': (a) => ({ body: `It went to ${a}` }),
  'in upper case': (a) => ({ body: a.toUpperCase() }),
  'in quotation marks': (a) => ({ body: `It went to "${a}", '${a}' and (${a})` }),
  'in quoted-printable text': (a) => ({ encoding: 'quoted-printable', body: `An ${a} =3D` }),
  'in quoted-printable with soft line breaks': (a) => ({
    encoding: 'quoted-printable',
    body: `An ${softBroken(a)} ok`,
  }),
  'in quoted-printable, every byte': (a) => ({ encoding: 'quoted-printable', body: quoted(a) }),
  'in Arabic quoted-printable': (a) => ({
    encoding: 'quoted-printable',
    body: `${quoted('مرحبا')} ${a.replace('@', '=40')} ${quoted('أهلا')}`,
  }),
  'as text of HTML': (a) => html(`<p>${a}</p>`),
  'in an attribute': (a) => html(`<img alt="${a}">`),
  'in mailto:': (a) => html(`<a href="mailto:${a}">mail</a>`),
  'in a comment': (a) => html(`<!-- to ${a} -->`),
  'with &#64;': (a) => html(a.replace('@', '&#64;')),
  'with &#x40;': (a) => html(a.replace('@', '&#x40;')),
  'with &#X0040;': (a) => html(a.replace('@', '&#X0040;')),
  'with &commat;': (a) => html(a.replace('@', '&commat;')),
  'all in entities': (a) => html(entities(a)),
  'with dots in entities': (a) => html(a.replaceAll('.', '&#46;')),
  'in a URL as it is': (a) => html(`<a href="https://x.test/?e=${a}&b=1">x</a>`),
  'in a URL percent-coded': (a) => html(`<a href="https://x.test/?e=${percent(a)}&b=1">x</a>`),
  'in a URL percent-coded but for the @': (a) =>
    html(`<a href="https://x.test/?e=${percent(a).replace('%40', '@')}">x</a>`),
  'in a URL percent-coded twice': (a) => html(`https://x.test/?e=${percent(percent(a))}`),
  'in a URL percent-coded in quoted-printable': (a) => ({
    encoding: 'quoted-printable',
    body: `https://x.test/?e=3D${percent(a)}&b=3D1`,
  }),
  'in a URL as base64': (a) => html(`https://x.test/?e=${base64(a)}`),
  'in a URL as base64 after a path': (a) => html(`https://x.test/u/${base64url(a)}/c/1`),
  'in a URL as base64 after a longer path': (a) => html(`https://x.test/view/${base64url(a)}/x`),
  'in a URL as base64 after hyphens': (a) => html(`https://x.test/in-out_${base64url(a)}-9`),
  'in a URL as base64 with text around': (a) => html(`https://x.test/?e=${base64(`to=${a};`)}`),
  'in a URL as hexadecimal': (a) => html(`https://x.test/?e=${hex(a)}`),
  'in a URL as hexadecimal in a path': (a) => html(`https://x.test/u/${hex(a)}/c/1`),
  'in a URL as upper-case hexadecimal': (a) => html(`https://x.test/u-${hex(a).toUpperCase()}`),
  'with a full-width at': (a) => ({ ...html(a.replace('@', '＠')), encoding: '8bit' }),
  'with a full-width at, quoted-printable': (a) => ({
    encoding: 'quoted-printable',
    body: a.replace('@', '=EF=BC=A0'),
  }),
  'in the subject as an encoded word B': (a) => ({
    headers: [`X-Note: =?UTF-8?B?${base64(`An ${a} ok`)}?=`],
  }),
  'in the subject as an encoded word Q': (a) => ({
    headers: [`X-Note: =?utf-8?q?An_${quoted(a).replace(/=\r\n/g, '')}_ok?=`],
  }),
  'cut between two encoded words': (a) => ({
    headers: [`X-Note: =?UTF-8?B?${base64(a.slice(0, 9))}?=\r\n =?UTF-8?B?${base64(a.slice(9))}?=`],
  }),
  'in a folded header': (a) => ({ headers: [`X-Note: some\r\n ${a}\r\n more`] }),
  'in a header parameter': (a) => ({
    headers: [`Content-Disposition: inline; filename*=UTF-8''${percent(a)}`],
  }),
  'in a nested message': (a) => ({
    contentType: 'message/rfc822',
    body: `From: x\r\nX-Note: ${a.replace('@', '%40')}\r\n\r\n${a}`,
  }),
  'in a part of a multipart': (a) => multipart(`Content-Type: text/plain\r\n\r\n${a}`),
  'before the first part': (a) => multipart('\r\nhello', `see ${a}`),
  'after the last part': (a) => multipart('\r\nhello', '', `see ${a}`),
  'in the header of a part': (a) => multipart(`Content-Description: ${a}\r\n\r\nhello`),
};

function html(body: string): Draft {
  return { contentType: 'text/html; charset=utf-8', body };
}

function multipart(part: string, before = '', after = ''): Draft {
  return {
    contentType: 'multipart/mixed; boundary="=_b"',
    body: `${before}\r\n--=_b\r\n${part}\r\n--=_b--\r\n${after}`,
  };
}

/** What stops a message for its form although the address in it is the reader's own. */
const STOPPED_FOR_FORM = new Set(['with a full-width at']);

describe('inspectPrepared: an address of somebody else is found', () => {
  const foreign = [
    FOREIGN,
    "carol.o'neil@other.example",
    'jörg@other.example',
    '王芳@other.example',
    'bob@xn--bcher-kva.example',
    // Nearly the reader.
    'alice.doe+news@shop.example.other.example',
    'xalice.doe+news@shop.example',
    'mr-alice.doe+news@shop.example',
    'alice.doe@shop.example',
    'alice.doe+news@shop.examples',
    "d'alice.doe+news@shop.example",
  ];
  for (const [name, spell] of Object.entries(SPELLINGS))
    test(name, () => {
      for (const address of foreign) {
        const result = inspect(message(spell(address)));
        assert.equal(result.kind, 'stop', `${address} ${name} was let through`);
      }
    });

  test('in a base64 part with Chinese text', () => {
    const body = base64(`尊敬的客户 ${FOREIGN} 您好`);
    stopped(inspect(message({ encoding: 'base64', body })), 'transfer-encoding');
    for (const field of ['content-transfer-encoding', 'CONTENT-TRANSFER-ENCODING']) {
      const bytes = message({ body }).toString().replace('Content-Transfer-Encoding', field);
      stopped(inspect(Buffer.from(bytes.replace(': 7bit', ':\r\n base64'))), 'transfer-encoding');
    }
  });

  test('in quoted-printable text of a nested message', () => {
    const body = `Content-Transfer-Encoding: quoted-printable\r\n\r\n${FOREIGN.replace('@', '&=\r\n#64;')}`;
    stopped(inspect(message({ contentType: 'message/rfc822', body })), 'foreign-address');
  });

  test('as base64 before the first part and after the last', () => {
    clear(inspect(message(multipart('\r\nhello', base64(READER), base64(READER)))));
    stopped(inspect(message(multipart('\r\nhello', base64(FOREIGN)))), 'foreign-address');
    stopped(inspect(message(multipart('\r\nhello', '', base64(FOREIGN)))), 'foreign-address');
  });

  test('as base64 or hexadecimal at the very start or end of a text, after any number of digits', () => {
    for (let digits = 0; digits < 8; digits++)
      for (const spell of [base64url, hex]) {
        const token = `${'x'.repeat(digits)}${spell(FOREIGN)}`;
        stopped(inspect(message({ body: token })), 'foreign-address');
        stopped(inspect(message(multipart(`\r\n${token} `, `${token} `))), 'foreign-address');
      }
    const shortest = message({ body: base64url('a@b.co') });
    stopped(inspect(shortest.subarray(0, shortest.length - 2)), 'foreign-address');
  });

  test('as base64 in a field beside another that has encoded words', () => {
    const word = `X-Note: =?UTF-8?B?${base64('hello')}?=`;
    clear(inspect(message({ headers: [word, `X-Ref: ${base64url(READER)}`] })));
    stopped(inspect(message({ headers: [word, `X-Ref: ${base64url(FOREIGN)}`] })));
  });

  test('with soft line breaks through the middle of the entity that spells the at sign', () => {
    const body = FOREIGN.replace('@', '&=\r\n#6=\r\n4;');
    stopped(inspect(message({ encoding: 'quoted-printable', body })), 'foreign-address');
  });
});

describe('inspectPrepared: the reader’s own address is clear', () => {
  const readers = [READER, "o'brien@shop.example", 'a_b-c@mail.shop.example'];
  for (const [name, spell] of Object.entries(SPELLINGS)) {
    if (STOPPED_FOR_FORM.has(name)) continue;
    test(name, () => {
      for (const reader of readers) {
        const result = inspect(message({ to: `<${reader}>`, ...spell(reader) }), reader);
        assert.deepEqual(result, { kind: 'clear' }, `${reader} ${name} was stopped`);
      }
    });
  }

  test('as o&#39;brien, as templates escape it', () => {
    const reader = "o'brien@shop.example";
    const to = `<${reader}>`;
    for (const apostrophe of ['&#39;', '&#x27;', '&apos;', '%27'])
      clear(inspect(message({ to, ...html(`<p>${reader.replace("'", apostrophe)}</p>`) }), reader));
    clear(
      inspect(
        message({ to, encoding: 'quoted-printable', body: 'o&#3=\r\n9;brien@shop.example' }),
        reader,
      ),
    );
  });

  test('o’brien is another person than brien of the same domain, however the apostrophe is coded', () => {
    const reader = 'brien@shop.example';
    for (const name of ["o'brien", 'o&#39;brien', 'o&apos;brien', 'o%27brien', 'o&#46;brien'])
      stopped(
        inspect(message({ to: reader, ...html(`${name}@shop.example`) }), reader),
        'foreign-address',
      );
  });

  test('with a plus sign as %2B', () => {
    clear(inspect(message(html('https://x.test/?e=alice.doe%2Bnews%40shop.example'))));
    clear(inspect(message(html('https://x.test/?e=alice.doe%2bnews@shop.example&x=1'))));
  });

  test('in UTF-8, as an SMTPUTF8 message has it', () => {
    const reader = 'jörg.müller@shop.example';
    const draft = { to: `<${reader}>`, encoding: 'quoted-printable', body: quoted(reader) };
    clear(inspect(message(draft), reader));
    stopped(inspect(message({ ...draft, body: quoted(`x${reader}`) }), reader), 'foreign-address');
    stopped(inspect(message({ ...draft, body: quoted(`ß${reader}`) }), reader), 'foreign-address');
  });

  test('beside the company’s addresses and our own Message-ID, by exact value only', () => {
    clear(inspect(message({ headers: [`X-Own: <${OWN[1]}>`] })));
    stopped(inspect(message({ headers: ['Message-Id2: <other@northwind.example>'] })));
    stopped(inspect(message({ body: 'x4gmcspzubyyp7xa41nbm@northwind.example' })));
  });

  test('noise in tokens and signs that are no address let a message through', () => {
    const body = [
      'https://x.test/t/4gmcspzubyyp7xa41nbm/deadbeef00401234',
      'a 40% discount, 100%4 and &amp; =E2=80=93 x=3D40',
      Buffer.alloc(60, 0x40).toString('base64').slice(0, 60),
    ].join('\r\n');
    clear(inspect(message({ body, encoding: 'quoted-printable' })));
  });
});

/** What both entries must stop, with the reason. */
const RAW: readonly (readonly [name: string, draft: Draft, why: LookReason])[] = [
  ['To names somebody else', { to: `<${FOREIGN}>` }, 'to-is-not-the-reader'],
  ['To names two', { to: `${READER}, ${FOREIGN}` }, 'to-is-not-the-reader'],
  ['To has a display name', { to: `Bob <${READER}>` }, 'to-is-not-the-reader'],
  ['a second To', { headers: [`To: <${READER}>`] }, 'not-one-to'],
  ['a second To in lower case', { headers: [`to: <${READER}>`] }, 'not-one-to'],
  ['a second To with a space before its colon', { headers: [`To : <${READER}>`] }, 'not-one-to'],
  ...[
    'Cc',
    'BCC',
    'Resent-To',
    'Resent-Cc',
    'Resent-Bcc',
    'resent-from',
    'X-Original-To',
    'X-Rcpt',
    'X-Recipients',
    'Delivered-To',
    'Envelope-To',
    'Apparently-To',
    'Cc\t',
  ].map((name) => [`a ${name} field`, { headers: [`${name}: x`] }, 'forbidden-header'] as const),
  ['a header line without a name', { headers: ['hello'] }, 'forbidden-header'],
  ['a person in another field', { headers: [`X-Ref: ${FOREIGN}`] }, 'foreign-address'],
  ['a person in Reply-To', { headers: [`Reply-To: <${FOREIGN}>`] }, 'foreign-address'],
  ['a person as Message-ID', { headers: [`References: <${FOREIGN}>`] }, 'foreign-address'],
  ['a person in the text', { body: `see ${FOREIGN}` }, 'foreign-address'],
  ['a person cut by soft line breaks', { body: softBroken(FOREIGN) }, 'foreign-address'],
  ['a person with =40', { body: FOREIGN.replace('@', '=40') }, 'foreign-address'],
  ['a person with %40', { body: FOREIGN.replace('@', '%40') }, 'foreign-address'],
  ['a person with %2540', { body: FOREIGN.replace('@', '%2540') }, 'foreign-address'],
  ['a person with &#64;', { body: FOREIGN.replace('@', '&#64;') }, 'foreign-address'],
  ['a person with &#0064;', { body: FOREIGN.replace('@', '&#0064;') }, 'foreign-address'],
  ['a person with &#x40;', { body: FOREIGN.replace('@', '&#x40;') }, 'foreign-address'],
  ['a person with &#64', { body: FOREIGN.replace('@', '&#64 ') }, 'foreign-address'],
  ['a person with &commat;', { body: FOREIGN.replace('@', '&commat;') }, 'foreign-address'],
  ['a person with a full-width at', { body: FOREIGN.replace('@', '＠') }, 'foreign-address'],
  ['a person with =EF=BC=A0', { body: FOREIGN.replace('@', '=EF=BC=A0') }, 'foreign-address'],
  ...['=ef=b9=ab', '=EF=B9=AB', '﹫', '%EF%BC%A0', '&#65131;', '\\u0040', '\\x40'].map(
    (at) => [`a person with ${at}`, { body: FOREIGN.replace('@', at) }, 'foreign-address'] as const,
  ),
  ...[120, 900].flatMap((count) => {
    const far = '=\r\n'.repeat(count);
    const draft = (body: string): Draft => ({ encoding: 'quoted-printable', body });
    return [
      [`more name ${count} soft breaks away`, draft(`bob.${far}${READER} ok`), 'foreign-address'],
      [
        `more domain ${count} soft breaks away`,
        draft(`a ${READER}${far}.ab ok`),
        'foreign-address',
      ],
    ] as const;
  }),
  ['the reader’s with more domain', { body: `${READER}=\r\n.other.example` }, 'foreign-address'],
  ['the reader’s with more name', { body: `bob.=\r\n${READER}` }, 'foreign-address'],
  ['a base64 part', { encoding: 'base64' }, 'transfer-encoding'],
  ['an 8-bit part', { encoding: '8bit' }, 'transfer-encoding'],
  ['an encoding after a fold', { encoding: '\r\n base64' }, 'transfer-encoding'],
  [
    'an encoding in lower case',
    { headers: ['content-transfer-encoding: base64'] },
    'transfer-encoding',
  ],
  [
    'an encoding with a space before its colon',
    multipart('Content-Transfer-Encoding : base64\r\n\r\nx'),
    'transfer-encoding',
  ],
  ['a bare CR', { body: 'a\rb' }, 'line-breaks'],
  ['a bare LF', { body: 'a\nb' }, 'line-breaks'],
  ['a bare LF in the header', { headers: ['X-A: b\n c'] }, 'line-breaks'],
  ['a NUL', { body: 'a\0b' }, 'line-breaks'],
  ['a line that starts with a dot', { body: 'a\r\n.b' }, 'line-breaks'],
  ['a dot after a soft line break', { body: 'a=\r\n.b' }, 'line-breaks'],
  ['a final dot inside', { body: 'a\r\n.\r\nb' }, 'line-breaks'],
];

describe('both entries stop', () => {
  for (const [name, draft, why] of RAW)
    test(name, () => {
      stopped(inspect(message(draft)), why);
      stopped(write(message(draft)), why);
    });

  test('a To that is missing', () => {
    const bytes = Buffer.from(
      message()
        .toString()
        .replace(/To: .*\r\n/, ''),
    );
    stopped(inspect(bytes), 'not-one-to');
    stopped(write(bytes), 'not-one-to');
  });

  test('another encoding named in the very first line', () => {
    const bytes = Buffer.concat([Buffer.from('Content-Transfer-Encoding: base64\r\n'), message()]);
    stopped(inspect(bytes), 'transfer-encoding');
  });

  test('a line break in the body that lost its CR, or a CR that lost its line break, wherever it stands', () => {
    const whole = message({ body: 'a\r\nb\r\n\r\nc' }).toString('latin1');
    clear(inspect(Buffer.from(whole, 'latin1')));
    let broken = 0;
    for (let at = whole.indexOf('\r\n\r\n') + 4; at < whole.length; at++) {
      if (whole[at] !== '\r' && whole[at] !== '\n') continue;
      const bytes = Buffer.from(whole.slice(0, at) + whole.slice(at + 1), 'latin1');
      stopped(inspect(bytes), 'line-breaks');
      stopped(write(bytes), 'line-breaks');
      broken++;
    }
    assert.equal(broken, 8);
  });

  test('a message that ends in a CR, or begins with a line break', () => {
    const bytes = message();
    for (const broken of [
      Buffer.concat([bytes, Buffer.from('\r')]),
      Buffer.concat([Buffer.from('\n'), bytes]),
    ]) {
      assert.equal(inspect(broken).kind, 'stop');
      assert.equal(write(broken).kind, 'stop');
    }
  });
});

describe('lookBeforeWrite', () => {
  test('lets the message through that its signing run entered', () => clear(write(message())));

  test('stops an envelope with two readers, another reader, or none', () => {
    for (const commands of [
      commandsFor(READER, FOREIGN),
      commandsFor(READER, READER),
      commandsFor(FOREIGN),
      commandsFor(),
      Buffer.from(`MAIL FROM:<>\r\nMAIL FROM:<>\r\nRCPT TO:<${READER}>\r\n`),
      Buffer.from(`MAIL FROM:<>\r\nRCPT TO:<${READER}> \r\nrcpt to:<${FOREIGN}>\r\n`),
      Buffer.from(`MAIL FROM:<>\nRCPT TO:<${READER}>\nRCPT TO:<${FOREIGN}>\r\n`),
    ])
      stopped(write(message(), { commands }), 'envelope');
  });

  test('stops a message whose envelope and To differ', () => {
    const commands = commandsFor(FOREIGN);
    const foreignLeaf = write(message(), { reader: FOREIGN, commands });
    stopped(foreignLeaf, 'to-is-not-the-reader');
  });

  test('stops what a signing run may not add: a further field, another tag, a body of its own', () => {
    for (const more of [
      `X-Track: https://northwind.example/s?c=${base64url(FOREIGN)}\r\n`,
      `Subject: =?UTF-8?B?${base64(`王 ${FOREIGN}`)}?=\r\n`,
      'X-A: b\r\n',
    ])
      stopped(write(message(), { more }), 'signature');
    for (const [from, to] of [
      ['; bh=', `; i=${base64url(FOREIGN)}; bh=`],
      ['d=northwind.example', `d=${hex(FOREIGN)}`],
      ['s=u1', `s=${base64url(FOREIGN)}`],
      ['+0000', '+0000 (x)'],
      ['DKIM-Signature:', 'From:'],
    ] as const) {
      const bytes = Buffer.from(signed(message()).toString('latin1').replace(from, to), 'latin1');
      const digest = createHash('sha256').update(bytes).digest();
      const leaf = { reader: READER, digest, own: OWN };
      stopped(lookBeforeWrite(bytes, commandsFor(READER), leaf, ALLOWED), 'signature');
    }
    const unsigned = { reader: READER, digest: createHash('sha256').update(message()).digest() };
    stopped(
      lookBeforeWrite(message(), commandsFor(READER), { ...unsigned, own: OWN }, ALLOWED),
      'signature',
    );
  });

  test('stops one changed byte', () => {
    const bytes = signed(message());
    const digest = createHash('sha256').update(bytes).digest();
    const changed = Buffer.from(bytes.toString().replace('Nothing', 'Nothinh'));
    const leaf = { reader: READER, digest, own: OWN };
    clear(lookBeforeWrite(bytes, commandsFor(READER), leaf, ALLOWED));
    stopped(lookBeforeWrite(changed, commandsFor(READER), leaf, ALLOWED), 'digest');
  });

  test('takes the reader in every raw spelling', () => {
    for (const body of [
      READER,
      softBroken(READER),
      READER.replace('@', '=40'),
      READER.replace('@', '&#64;'),
      `https://x.test/?e=${percent(READER)}&b=1`,
      `It went to ${READER}.`,
    ])
      clear(write(message({ body })));
  });
});

/** Random places and spellings; whatever they are, a stranger is stopped. */
describe('for any address, place and spelling', () => {
  const letters = fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz0123456789');
  const word = fc.string({ unit: letters, minLength: 1, maxLength: 12 });
  const address = fc
    .tuple(word, fc.constantFrom('', '.', '+', '-', '_', "'"), word, word, word)
    .map(([a, mark, b, host, tld]) => `${a}${mark}${mark === '' ? '' : b}@${host}.ex${tld}`)
    // The last label of a host name is not all digits, and ours begins with two letters.
    .filter((text) => text.length >= 9);
  const filler = fc.string({ unit: fc.constantFrom(...'abc xyz,;é中 '), maxLength: 40 });

  test('a stranger’s is found', () => {
    const spellings = Object.values(SPELLINGS);
    fc.assert(
      fc.property(address, address, fc.nat(spellings.length - 1), (foreign, reader, index) => {
        fc.pre(foreign !== reader);
        const draft = (spellings[index] as (typeof spellings)[number])(foreign);
        const bytes = message({ to: `<${reader}>`, ...draft });
        assert.equal(inspect(bytes, reader).kind, 'stop');
        clear(inspect(message({ to: `<${reader}>` }), reader));
      }),
      { numRuns: 1500, seed: 20261121 },
    );
  });

  test('a stranger’s is found at any place of a line', () => {
    fc.assert(
      fc.property(address, filler, filler, fc.nat(3), (foreign, before, after, index) => {
        const spell = [quoted, entities, percent, (a: string) => a.replace('@', '=40')][index];
        const around = (text: string): string => quoted(text);
        const body = `${around(before)} ${(spell ?? quoted)(foreign)} ${around(after)}`;
        const bytes = message({ encoding: 'quoted-printable', body });
        assert.equal(inspect(bytes).kind, 'stop');
      }),
      { numRuns: 800, seed: 7 },
    );
  });

  test('the reader’s own is clear', () => {
    const names = Object.keys(SPELLINGS).filter((name) => !STOPPED_FOR_FORM.has(name));
    fc.assert(
      fc.property(address, fc.nat(names.length - 1), (reader, index) => {
        const draft = SPELLINGS[names[index] ?? '']?.(reader) ?? {};
        clear(inspect(message({ to: `<${reader}>`, ...draft }), reader));
      }),
      { numRuns: 1500, seed: 11 },
    );
  });
});
