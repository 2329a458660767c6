/** What encoded header fields promise: nothing escapes its field, and every reader gets the text back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeHeaderText, encodeMailbox, headerField } from './encode-header.ts';

const SUBJECT = 'Subject: '.length;
const FROM = 'From: '.length;

/** Unfolds and decodes by RFC 2047, written apart from the encoder. */
function decode(encoded: string): string {
  const unfolded = encoded.replace(/^\r\n /, '').replaceAll('\r\n', '');
  const adjacent = unfolded.replace(/(\?=)[ \t]+(?==\?)/g, '$1');
  return adjacent.replace(/=\?UTF-8\?([BQ])\?([^?]*)\?=/g, (_, kind: string, text: string) => {
    if (kind === 'B') return Buffer.from(text, 'base64').toString('utf8');
    const bytes = text
      .replaceAll('_', ' ')
      .replace(/=([0-9A-F]{2})/g, (_, hex: string) =>
        String.fromCharCode(Number.parseInt(hex, 16)),
      );
    return Buffer.from(bytes, 'latin1').toString('utf8');
  });
}

function assertShortLines(encoded: string, firstColumn: number): void {
  for (const line of ('x'.repeat(firstColumn) + encoded).split('\r\n')) {
    assert.ok(Buffer.byteLength(line) <= 76, `a line has ${Buffer.byteLength(line)} bytes`);
    assert.match(line, /[^ \t]/);
  }
}

test('short ASCII text stays as it is', () => {
  assert.equal(encodeHeaderText('Important: your account', SUBJECT), 'Important: your account');
  assert.equal(encodeHeaderText('', SUBJECT), '');
});

test('long ASCII text is folded before a space and keeps its spaces', () => {
  const text = `${'word '.repeat(20)} two  spaces\there`;
  const encoded = encodeHeaderText(text, SUBJECT);
  assert.ok(encoded.includes('\r\n word'));
  assert.equal(encoded.replaceAll('\r\n', ''), text);
  assertShortLines(encoded, SUBJECT);
});

test('mostly ASCII text takes Q and other text takes Base64', () => {
  assert.equal(encodeHeaderText('Größe', SUBJECT), '=?UTF-8?B?R3LDtsOfZQ==?=');
  assert.equal(encodeHeaderText('A café in town', SUBJECT), '=?UTF-8?Q?A_caf=C3=A9_in_town?=');
  assert.equal(
    encodeHeaderText('Уведомление', SUBJECT),
    '=?UTF-8?B?0KPQstC10LTQvtC80LvQtdC90LjQtQ==?=',
  );
});

for (const [what, text] of [
  ['an encoded word already', 'see =?UTF-8?Q?x?='],
  ['outer white space', ' x '],
  ['a control character', 'a\x07b'],
  ['a word longer than a line', 'x'.repeat(200)],
] as const) {
  test(`${what} is encoded and comes back`, () => {
    const encoded = encodeHeaderText(text, SUBJECT);
    assert.match(encoded, /^=\?UTF-8\?/);
    assert.equal(decode(encoded), text);
    assertShortLines(encoded, SUBJECT);
  });
}

for (const bad of ['\r', '\n', '\r\n', '\0']) {
  test(`text with ${JSON.stringify(bad)} is refused`, () => {
    assert.throws(() => encodeHeaderText(`a${bad}Bcc: x`, SUBJECT), {
      code: 'header-text-forbidden',
    });
    assert.throws(() => encodeMailbox(`a${bad}b`, 'a@b.example', FROM), {
      code: 'header-text-forbidden',
    });
    assert.throws(() => encodeMailbox('a', `a@b.example${bad}`, FROM), {
      code: 'header-address-malformed',
    });
    assert.throws(() => encodeHeaderText(`é${bad}`, SUBJECT, { utf8: true }), {
      code: 'header-text-forbidden',
    });
  });
}

const headerText = fc.string({
  unit: fc.oneof(
    fc.constantFrom(
      'a',
      'word',
      ' ',
      ' ',
      '  ',
      '\t',
      '=?',
      '?=',
      '_',
      '"',
      '\\',
      'é',
      '😀',
      '\x01',
      '\u2028',
    ),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }).filter((c) => !/[\0\r\n]/.test(c)),
  ),
  maxLength: 150,
});

test('whatever the text and wherever it starts: it comes back, in 7-bit lines of at most 76', () => {
  fc.assert(
    fc.property(headerText, fc.integer({ min: 4, max: 74 }), (text, column) => {
      const encoded = encodeHeaderText(text, column);
      assert.equal(decode(encoded), text);
      assert.match(encoded, /^[\t\r\n\x20-\x7e]*$/);
      for (const word of encoded.match(/=\?\S*\?=/g) ?? []) assert.ok(word.length <= 75);
      if (encoded !== '') assertShortLines(encoded, column);
      headerField('Subject', encoded);
    }),
    { numRuns: 2000 },
  );
});

test('with utf8 the text stays raw, folded by bytes', () => {
  const text = 'Важное уведомление о вашем счёте '.repeat(4).trim();
  const encoded = encodeHeaderText(text, SUBJECT, { utf8: true });
  assert.equal(encoded.replaceAll('\r\n', ''), text);
  assertShortLines(encoded, SUBJECT);
  assert.equal(headerField('Subject', encoded, { utf8: true }), `Subject: ${encoded}\r\n`);
});

test('with utf8 whatever the text, it comes back in lines of at most 76 bytes', () => {
  fc.assert(
    fc.property(headerText, fc.integer({ min: 4, max: 74 }), (text, column) => {
      const encoded = encodeHeaderText(text, column, { utf8: true });
      assert.equal(decode(encoded), text);
      if (encoded !== '') assertShortLines(encoded, column);
      headerField('Subject', encoded, { utf8: true });
    }),
    { numRuns: 1000 },
  );
});

const mailboxes: readonly (readonly [string, string, string])[] = [
  ['', 'ann@shop.example', 'ann@shop.example'],
  ['Ann Lee', 'ann@shop.example', 'Ann Lee <ann@shop.example>'],
  ['Lee, Ann', 'ann@shop.example', '"Lee, Ann" <ann@shop.example>'],
  ['The "Shop" \\ Co.', 'a@shop.example', '"The \\"Shop\\" \\\\ Co." <a@shop.example>'],
  ['Zoë', 'z@shop.example', '=?UTF-8?Q?Zo=C3=AB?= <z@shop.example>'],
  ['a@b.example', 'z@shop.example', '"a@b.example" <z@shop.example>'],
  ['', '"a b"@shop.example', '"a b"@shop.example'],
  ['Lit', 'a@[192.0.2.1]', 'Lit <a@[192.0.2.1]>'],
];
for (const [name, address, expected] of mailboxes) {
  test(`a mailbox is written as ${expected}`, () => {
    assert.equal(encodeMailbox(name, address, FROM), expected);
  });
}

test('with utf8 a display name and an address stay raw', () => {
  assert.equal(
    encodeMailbox('Zoë Ä', 'zoë@bücher.example', FROM, { utf8: true }),
    'Zoë Ä <zoë@bücher.example>',
  );
});

for (const address of [
  'zoë@shop.example',
  'a@bücher.example',
  'a b@c.example',
  'a@b@c.example',
  'a',
  '',
  '<a@b.example>',
  'a@b.example, c@d.example',
  'a(c)@b.example',
  'g:a@b.example;',
]) {
  test(`${JSON.stringify(address)} is no address for an ASCII header`, () => {
    assert.throws(
      () => encodeMailbox('x', address, FROM),
      (error: Error) => {
        assert.equal((error as Error & { code?: string }).code, 'header-address-malformed');
        assert.ok(address === '' || address === 'a' || !error.message.includes(address));
        return true;
      },
    );
  });
}

test('whatever the display name: it comes back, and the address stands alone in its brackets', () => {
  fc.assert(
    fc.property(headerText, fc.boolean(), (name, utf8) => {
      const encoded = encodeMailbox(name, 'ann@shop.example', FROM, { utf8 });
      headerField('From', encoded, { utf8 });
      assertShortLines(encoded, FROM);
      const phrase = /^([\s\S]*?)(?: |\r\n )<ann@shop\.example>$/.exec(encoded)?.[1];
      if (name === '') assert.equal(encoded, 'ann@shop.example');
      else if (phrase?.startsWith('"')) {
        assert.equal(phrase.slice(1, -1).replace(/\\(.)/gu, '$1'), name);
      } else assert.equal(decode(phrase ?? ''), name);
    }),
    { numRuns: 1000 },
  );
});

test('a finished field is a name, a value and one line break', () => {
  assert.equal(headerField('X-One', 'two\r\n three'), 'X-One: two\r\n three\r\n');
});

for (const name of ['', 'a b', 'a:', 'é', 'a\r\nb']) {
  test(`${JSON.stringify(name)} is no field name`, () => {
    assert.throws(() => headerField(name, 'x'), { code: 'header-name-malformed' });
  });
}

for (const value of [
  'a\r\n',
  'a\r\nb',
  'a\r\n \r\n b',
  'a\nb',
  'a\r b',
  '\0',
  'é',
  'x'.repeat(999),
]) {
  test(`${JSON.stringify(value.slice(0, 12))} is no finished value`, () => {
    assert.throws(() => headerField('X', value), { code: 'header-value-malformed' });
  });
}
