/** What quoted-printable promises to the parts that join and hash it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeQuotedPrintable } from './transfer-encoding.ts';

/** Decodes strictly by RFC 2045, written apart from the encoder. */
function decode(encoded: string): string {
  const joined = encoded.replaceAll('=\r\n', '');
  const bytes = joined.replace(/=([0-9A-F]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

const withCrlf = (text: string): string => text.replace(/\r?\n/g, '\r\n');

const examples: readonly (readonly [string, string, string])[] = [
  ['plain text stays', 'Dear Ann,', 'Dear Ann,'],
  ['nothing stays nothing', '', ''],
  ['the equals sign', 'a=b', 'a=3Db'],
  ['UTF-8', 'Größe €', 'Gr=C3=B6=C3=9Fe =E2=82=AC'],
  ['LF becomes CRLF', 'a\nb\r\nc\n', 'a\r\nb\r\nc\r\n'],
  ['a CR alone is a control character', 'a\rb\r\r\n', 'a=0Db=0D\r\n'],
  ['NUL and DEL', 'a\0b\x7f', 'a=00b=7F'],
  ['space at the end of a line', 'a \nb\t\r\nc ', 'a=20\r\nb=09\r\nc=20'],
  ['only the last of several spaces', 'a   \n', 'a  =20\r\n'],
  ['space and tab inside a line', 'a \t b', 'a \t b'],
  ['a dot at the start of a line', '.\n..a\n.', '=2E\r\n=2E.a\r\n=2E'],
  [
    'From at the start of a line',
    'From me\nFrom: x\nFromage\n',
    '=46rom me\r\nFrom: x\r\nFromage\r\n',
  ],
  ['From not at the start', 'a From b', 'a From b'],
];
for (const [name, text, expected] of examples) {
  test(`quoted-printable: ${name}`, () => {
    assert.equal(encodeQuotedPrintable(text), expected);
  });
}

test('a line of 75 characters is left whole and one of 76 is broken after 75', () => {
  assert.equal(encodeQuotedPrintable('x'.repeat(75)), 'x'.repeat(75));
  assert.equal(encodeQuotedPrintable('x'.repeat(76)), `${'x'.repeat(75)}=\r\nx`);
});

test('a dot or From that a soft break brings to the start of a line is encoded', () => {
  assert.equal(encodeQuotedPrintable(`${'x'.repeat(75)}.y`), `${'x'.repeat(75)}=\r\n=2Ey`);
  assert.equal(encodeQuotedPrintable(`${'x'.repeat(75)}From y`), `${'x'.repeat(75)}=\r\n=46rom y`);
});

test('a character is never divided between two lines', () => {
  for (let before = 60; before <= 76; before++) {
    const encoded = encodeQuotedPrintable(`${'x'.repeat(before)}😀é`);
    for (const line of encoded.split('=\r\n')) {
      assert.doesNotThrow(() => new TextDecoder('utf-8', { fatal: true }).decode(lineBytes(line)));
    }
  }
});

function lineBytes(line: string): Buffer {
  return Buffer.from(decodeURIComponent(line.replaceAll('=', '%')), 'utf8');
}

test('half of a surrogate pair is refused and not replaced', () => {
  assert.throws(() => encodeQuotedPrintable('a\ud800b'), { code: 'text-malformed' });
});

const awkward = fc.string({
  unit: fc.oneof(
    fc.constantFrom(
      'a',
      ' ',
      '\t',
      '=',
      '.',
      '\n',
      '\r\n',
      '\r',
      'From ',
      'é',
      '😀',
      '\0',
      'word ',
    ),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
  ),
  maxLength: 300,
});

test('whatever the text: it comes back, in short 7-bit lines that no transport touches', () => {
  fc.assert(
    fc.property(awkward, (text) => {
      const encoded = encodeQuotedPrintable(text);
      assert.equal(decode(encoded), withCrlf(text));
      assert.match(encoded, /^[\t\r\n\x20-\x7e]*$/);
      for (const line of encoded.split('\r\n')) {
        assert.ok(line.replace(/=$/, '').length <= 75);
        assert.doesNotMatch(line, /^\.|^From |[ \t]$|[\r\n]/);
        assert.doesNotMatch(line, /=(?![0-9A-F]{2}|$)/);
      }
      assert.doesNotMatch(encoded, /=$/);
    }),
    { numRuns: 2000 },
  );
});

test('pieces may be encoded apart and joined by soft breaks', () => {
  fc.assert(
    fc.property(fc.array(awkward, { maxLength: 5 }), (pieces) => {
      // A CR at the end of one piece and an LF at the start of the next are two characters.
      const joined = pieces.map(encodeQuotedPrintable).join('=\r\n');
      assert.equal(decode(joined), pieces.map(withCrlf).join(''));
      assert.ok(joined.split('\r\n').every((line) => line.length <= 76));
    }),
    { numRuns: 500 },
  );
});
