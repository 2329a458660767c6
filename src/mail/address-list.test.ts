import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { quickestMs } from '../../test/support/quickest-ms.ts';
import { type AddressListReading, readAddressList } from './address-list.ts';
import { readHeaderSection } from './header.ts';
import { DEFAULT_LIMITS } from './limits.ts';

function read(value: string): AddressListReading {
  const text = Buffer.from(`To: ${value}\r\n\r\n`).toString('latin1');
  const field = readHeaderSection(text, 0, text.length, DEFAULT_LIMITS).fields[0];
  return field === undefined ? assert.fail('no field') : readAddressList(field);
}

interface Row {
  readonly value: string;
  /** Display name, address, group. */
  readonly mailboxes?: readonly (readonly [string, string, string?])[];
  /** Must all be there; nothing else may be, unless `more`. */
  readonly sightings: readonly string[];
  readonly more?: boolean;
  readonly defect?: boolean;
}

const ROWS: readonly Row[] = [
  { value: 'a@x.test', mailboxes: [['', 'a@x.test']], sightings: ['a@x.test'] },
  {
    value: '"Anna" <a@x.test>, Bob B. <b@y.test>',
    mailboxes: [
      ['Anna', 'a@x.test'],
      ['Bob B.', 'b@y.test'],
    ],
    sightings: ['a@x.test', 'b@y.test'],
  },
  // One address, three readings: comments inside a domain.
  {
    value: 'user@good.test(x)evil.test',
    sightings: ['user@good.test', 'user@good.testevil.test'],
    defect: true,
  },
  { value: 'user@good(x).test', sightings: ['user@good', 'user@good.test'], defect: true },
  // A quoted local part, of which some readers lose the quotes.
  {
    value: '"evil@ext.test x"@good.test',
    mailboxes: [['', '"evil@ext.test x"@good.test']],
    sightings: ['"evil@ext.test x"@good.test', 'evil@ext.test', 'x@good.test'],
  },
  // A space for a comma: parsers see one, readers two.
  {
    value: 'a@x.test b@y.test',
    mailboxes: [
      ['', 'a@x.test'],
      ['', 'b@y.test'],
    ],
    sightings: ['a@x.test', 'b@y.test'],
    defect: true,
  },
  {
    value: 'a@x.test (b@y.test)',
    mailboxes: [['b@y.test', 'a@x.test']],
    sightings: ['a@x.test', 'b@y.test'],
  },
  {
    value: '"a@x, b@y, c@z" <list@z.test>',
    mailboxes: [['a@x, b@y, c@z', 'list@z.test']],
    sightings: ['list@z.test', 'a@x', 'b@y', 'c@z'],
  },
  {
    value: '=?utf-8?Q?a=40x=2C_b=40y?= <real@z.test>',
    mailboxes: [['a@x, b@y', 'real@z.test']],
    sightings: ['real@z.test', 'a@x', 'b@y'],
  },
  {
    value: '=?utf-8?Q?a=40x.test=2C_b=40y.test?=',
    mailboxes: [],
    sightings: ['a@x.test', 'b@y.test'],
    defect: true,
  },
  {
    value: 'a@x.test; b@y.test; c@z.test',
    mailboxes: [
      ['', 'a@x.test'],
      ['', 'b@y.test'],
      ['', 'c@z.test'],
    ],
    sightings: ['a@x.test', 'b@y.test', 'c@z.test'],
  },
  {
    value: '<@relay.test,@r2.test:a@x.test>',
    mailboxes: [['', 'a@x.test']],
    sightings: ['a@x.test'],
  },
  {
    value: '<a@x.test, b@y.test',
    mailboxes: [
      ['', 'a@x.test'],
      ['', 'b@y.test'],
    ],
    sightings: ['a@x.test', 'b@y.test'],
    defect: true,
  },
  { value: '<a@x.test, b@y.test>', sightings: ['a@x.test', 'b@y.test'], defect: true },
  // Groups.
  {
    value: 'Team: a@x.test, "B" <b@y.test>;, c@z.test',
    mailboxes: [
      ['', 'a@x.test', 'Team'],
      ['B', 'b@y.test', 'Team'],
      ['', 'c@z.test', ''],
    ],
    sightings: ['a@x.test', 'b@y.test', 'c@z.test'],
  },
  { value: 'undisclosed-recipients:;', mailboxes: [], sightings: [] },
  { value: '"Team one": ;', mailboxes: [], sightings: [] },
  { value: 'Team: a@x.test', sightings: ['a@x.test'], defect: true },
  { value: 'mailto:a@x.test', sightings: ['a@x.test'], defect: true },
  // Obsolete white space and folding.
  { value: 'a @ x . test', mailboxes: [['', 'a@x.test']], sightings: ['a@x.test'] },
  { value: 'a@x.\r\n test', mailboxes: [['', 'a@x.test']], sightings: ['a@x.test', 'a@x'] },
  { value: ',, a@x.test ,,', mailboxes: [['', 'a@x.test']], sightings: ['a@x.test'] },
  // Marks around addresses are not part of them.
  { value: "'a@x.test' <a@x.test>", sightings: ['a@x.test'] },
  { value: '"\'b@y.test\'" <a@x.test>', sightings: ['a@x.test', 'b@y.test'] },
  // More than one thing where one should be.
  { value: '<a@x.test><b@y.test>', sightings: ['a@x.test', 'b@y.test'], defect: true },
  { value: 'b@y.test <a@x.test>', sightings: ['a@x.test', 'b@y.test'] },
  { value: 'a@b@c.test', sightings: ['a@b', 'b@c.test'], more: true, defect: true },
  { value: 'Anna', mailboxes: [], sightings: [], defect: true },
  { value: 'MAILER-DAEMON <>', mailboxes: [], sightings: [] },
  // What is opened and never closed hides nothing.
  { value: '"a <b@c.test>, d@e.test', sightings: ['b@c.test', 'd@e.test'], defect: true },
  { value: '((a@b.test', sightings: ['a@b.test'], defect: true },
  { value: 'a@b.test) <c@d.test>', sightings: ['a@b.test', 'c@d.test'], defect: true },
  { value: '"\\"a@x.test\\"" <b@y.test>', sightings: ['a@x.test', 'b@y.test'] },
  // Internationalised addresses.
  { value: 'a＠x.test', mailboxes: [], sightings: ['a@x.test'], defect: true },
  { value: '=?utf-8?Q?b=EF=BC=A0y.test?= <a@x.test>', sightings: ['a@x.test', 'b@y.test'] },
  { value: '用户@例え.test', mailboxes: [['', '用户@例え.test']], sightings: ['用户@例え.test'] },
  { value: 'a@bücher.test', sightings: ['a@bücher.test'] },
  { value: 'Jo\u0308rg <jo\u0308rg@x.test>', sightings: ['jörg@x.test'] },
  {
    value: '"联系a@x.test谢谢" <b@y.test>',
    sightings: ['b@y.test', 'a@x.test', '联系a@x.test谢谢'],
    more: true,
  },
  { value: '"（a@x.test）" <b@y.test>', sightings: ['b@y.test', 'a@x.test'] },
  { value: '"a\u200b@x\u00ad.test" <b@y.test>', sightings: ['a@x.test', 'b@y.test'], more: true },
  { value: 'a@xn--bcher-kva.test', sightings: ['a@xn--bcher-kva.test'] },
  { value: 'a@[192.0.2.1]', mailboxes: [['', 'a@[192.0.2.1]']], sightings: ['a@[192.0.2.1]'] },
  { value: 'a@[IPv6:2001:db8::1]', sightings: ['a@[IPv6:2001:db8::1]'] },
  { value: 'a..b@x.test', mailboxes: [['', 'a..b@x.test']], sightings: ['a..b@x.test'] },
];

test('every address a client might show is sighted, and in which mailbox', () => {
  for (const row of ROWS) {
    const reading = read(row.value);
    for (const sighting of row.sightings) {
      assert.ok(reading.sightings.includes(sighting), `${row.value}: ${reading.sightings}`);
    }
    if (row.more !== true) {
      assert.deepEqual(reading.sightings.toSorted(), row.sightings.toSorted(), row.value);
    }
    assert.deepEqual(reading.defects, row.defect ? ['malformed-address'] : [], row.value);
    if (row.mailboxes === undefined) continue;
    const mailboxes = reading.mailboxes.map((box) => [box.displayName, box.address, box.group]);
    const expected = row.mailboxes.map(([name, address, group]) => [name, address, group ?? '']);
    assert.deepEqual(mailboxes, expected, row.value);
  }
});

test('an encoded word inside angle brackets is read, and one address alone in them as it stands', () => {
  const coded = read('<=?utf-8?Q?bob=40y.test?=@x.test>').sightings;
  assert.ok(coded.includes('bob@y.test'), coded.join());
  assert.deepEqual(read('<a.b+c@x.test>'), {
    mailboxes: [{ displayName: '', address: 'a.b+c@x.test', group: '' }],
    sightings: ['a.b+c@x.test'],
    defects: [],
  });
  for (const value of ['<a..b@-x.test>', '<a@x.test.>', '<a@x..test>']) {
    const direct = read(value);
    const listed = read(`${value},`);
    assert.deepEqual(direct.sightings, listed.sightings, value);
    assert.deepEqual(direct.mailboxes, listed.mailboxes, value);
  }
});

test('the same value decoded in another way is read anew', () => {
  const value = '=?x?q?other?= <a@x.test>';
  const first = readAddressList({ value, decoded: 'bob@y.test <a@x.test>' });
  const second = readAddressList({ value, decoded: 'cem@z.test <a@x.test>' });
  assert.deepEqual(first.sightings.toSorted(), ['a@x.test', 'bob@y.test']);
  assert.deepEqual(second.sightings.toSorted(), ['a@x.test', 'cem@z.test']);
});

test('control characters do not hide an address', () => {
  for (const value of [
    'a\0@x.test',
    'a@x\0.test',
    '"b\0@y.test" <a@x.test>',
    'a@x.test\rb@y.test',
  ]) {
    const field = { value, decoded: value };
    const { sightings } = readAddressList(field);
    assert.ok(sightings.includes('a@x.test'), JSON.stringify(value));
  }
});

const address = fc
  .tuple(fc.stringMatching(/^[a-z0-9]{1,8}$/), fc.stringMatching(/^[a-z]{2,8}\.test$/))
  .map(([local, domain]) => `${local}@${domain}`);
const encodedQ = (text: string): string =>
  `=?utf-8?Q?${[...Buffer.from(text)].map((byte) => `=${byte.toString(16).padStart(2, '0')}`).join('')}?=`;
const shape: fc.Arbitrary<(text: string) => string> = fc.constantFrom(
  (text: string) => text,
  (text: string) => `<${text}>`,
  (text: string) => `Anna <${text}>`,
  (text: string) => `"${text}" <>`,
  (text: string) => `(${text})`,
  (text: string) => `((x) ${text})`,
  (text: string) => `Team: ${text};`,
  (text: string) => `<@relay.test:${text}>`,
  (text: string) => `'${text}'`,
  (text: string) => `"\\"${text}"`,
  (text: string) => text.replace('@', ' @ '),
  (text: string) => text.replace('@', '＠'),
  (text: string) => text.replace('.', '(c).'),
  (text: string) => `<${text}`,
  (text: string) => `"${text}`,
  (text: string) => `${text}>`,
  // With words around them: two encoded words in a row are one text (RFC 2047 section 6.2).
  (text: string) => `x =?utf-8?B?${Buffer.from(text).toString('base64')}?= x`,
  (text: string) => `x ${encodedQ(text)} x`,
  (text: string) => `"${encodedQ(text)}" <>`,
);

test('an address planted in any shape among others is sighted', () => {
  const piece = fc.tuple(address, shape);
  const separator = fc.constantFrom(', ', '; ', ' ', ',\r\n ');
  fc.assert(
    fc.property(fc.array(piece, { minLength: 1, maxLength: 6 }), separator, (pieces, between) => {
      const value = pieces.map(([text, wrap]) => wrap(text)).join(between);
      const { sightings } = read(value);
      for (const [text] of pieces) assert.ok(sightings.includes(text), JSON.stringify(value));
    }),
    { numRuns: 2_000 },
  );
});

test('no value makes reading throw', () => {
  const hostile = fc.array(
    fc.constantFrom(
      '"',
      '(',
      ')',
      '<',
      '>',
      '@',
      ',',
      ';',
      ':',
      '\\',
      '[',
      ']',
      '.',
      ' ',
      'a',
      '\0',
      '\r',
      '=?utf-8?q?',
      '?=',
      '＠',
      '\ud800',
      'é',
    ),
    { maxLength: 30 },
  );
  fc.assert(
    fc.property(
      fc.oneof(
        hostile.map((list) => list.join('')),
        fc.string({ unit: 'binary' }),
      ),
      (value) => {
        readAddressList({ value, decoded: value });
      },
    ),
    { numRuns: 3_000 },
  );
});

test('a hostile megabyte takes under a second', () => {
  const pieces = [
    'a',
    '@',
    'a@',
    'a@b,',
    '"',
    '\\',
    '"\\',
    '(',
    ')',
    '<',
    '>',
    '<a',
    '<"',
    '"@"',
    '[',
    'a@[',
    ',',
    ';',
    ':',
    'a:',
    '.',
    ' ',
    'a ',
    'é',
    '＠',
    'é＠',
    '\\"@',
    "'a@b'",
    '(a@b.test)',
    '=?a?q?b?=',
    '"a@b.test" <c@d.test>, ',
  ];
  for (const piece of pieces) {
    const value = piece.repeat(1_000_000 / piece.length);
    const elapsed = quickestMs(1_000, () => readAddressList({ value, decoded: value }));
    assert.ok(elapsed < 1_000, `${piece}: ${elapsed} ms`);
  }
});
