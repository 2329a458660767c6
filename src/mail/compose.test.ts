/** What composing and joining promise: valid MIME whatever a slot holds, and the same bytes every time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { composeAlternative, joinSegments, type Segments, splitSegments } from './compose.ts';
import { encodeQuotedPrintable } from './transfer-encoding.ts';

const boundary = 'part=_7f3a';
const headers = 'From: a@shop.example\r\nSubject: Hello\r\n';

function build(text: Segments, html: Segments, values: readonly string[]): string {
  const { literals, slotOrder } = splitSegments(
    composeAlternative({ headers, boundary, text, html }),
  );
  const slots = values.map((value) => Buffer.from(encodeQuotedPrintable(value), 'latin1'));
  return joinSegments(literals, slotOrder, slots).toString('latin1');
}

/** Takes a composed message apart by RFC 2046 and 2045, written apart from the composer. */
function bodies(message: string): string[] {
  const start = message.indexOf('\r\n\r\n');
  return message
    .slice(start + 2)
    .split(`\r\n--${boundary}`)
    .slice(1, -1)
    .map((part) => {
      const encoded = part.slice(part.indexOf('\r\n\r\n') + 4).replaceAll('=\r\n', '');
      const bytes = encoded.replace(/=([0-9A-F]{2})/g, (_, hex: string) =>
        String.fromCharCode(Number.parseInt(hex, 16)),
      );
      return Buffer.from(bytes, 'latin1').toString('utf8');
    });
}

test('a message has its header, two quoted-printable parts and a closing boundary', () => {
  const segments = composeAlternative({
    headers,
    boundary,
    text: ['Dear ', { slot: 0 }, ',\nbye'],
    html: ['<p>', { slot: 1 }, { slot: 0 }, '</p>\n'],
  });
  assert.deepEqual(segments, [
    'From: a@shop.example\r\nSubject: Hello\r\nMIME-Version: 1.0\r\n' +
      'Content-Type: multipart/alternative;\r\n boundary="part=_7f3a"\r\n\r\n' +
      '--part=_7f3a\r\nContent-Type: text/plain; charset=utf-8\r\n' +
      'Content-Transfer-Encoding: quoted-printable\r\n\r\nDear=20=\r\n',
    { slot: 0 },
    '=\r\n,\r\nbye\r\n\r\n--part=_7f3a\r\nContent-Type: text/html; charset=utf-8\r\n' +
      'Content-Transfer-Encoding: quoted-printable\r\n\r\n<p>=\r\n',
    { slot: 1 },
    '=\r\n',
    { slot: 0 },
    '=\r\n</p>\r\n\r\n--part=_7f3a--\r\n',
  ]);
});

test('a slot that opens a line needs no soft break before it, and one that ends a body gets a line break', () => {
  const message = build([{ slot: 0 }], ['x\n', { slot: 0 }], ['Ann']);
  assert.deepEqual(bodies(message), ['Ann\r\n', 'x\r\nAnn\r\n']);
  assert.ok(message.includes('\r\n\r\nAnn=\r\n\r\n\r\n--'));
});

test('a header may have slots, which stand as they are', () => {
  const { literals, slotOrder } = splitSegments(
    composeAlternative({
      headers: ['To: ', { slot: 0 }, '\r\nFrom: a@shop.example\r\n'],
      boundary,
      text: ['t'],
      html: ['h'],
    }),
  );
  const message = joinSegments(literals, slotOrder, [Buffer.from('b@home.example')]);
  assert.match(message.toString(), /^To: b@home\.example\r\nFrom: a@shop\.example\r\nMIME-Version/);
});

const piece = fc.string({
  unit: fc.oneof(
    fc.constantFrom(
      'word ',
      '\n',
      '\r\n',
      '=',
      '.',
      'From ',
      ' ',
      '--',
      boundary,
      `\r\n--${boundary}--\r\n`,
      'é',
      '😀',
    ),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
  ),
  maxLength: 100,
});
const body = fc.array(fc.oneof(piece, fc.record({ slot: fc.integer({ min: 0, max: 2 }) })), {
  maxLength: 8,
});

test('whatever literals and slots hold, both bodies come back and every line is short and 7-bit', () => {
  fc.assert(
    fc.property(body, body, fc.tuple(piece, piece, piece), (text, html, values) => {
      const message = build(text, html, values);
      const expected = [text, html].map((segments) => expectedBody(segments, values));
      assert.deepEqual(bodies(message), expected);
      for (const line of message.split('\r\n')) {
        assert.match(line, /^[\t\x20-\x7e]{0,76}$/);
        assert.doesNotMatch(line, /^\.|^From |[ \t]$/);
      }
    }),
    { numRuns: 500 },
  );
});

/** Pieces are normalised apart: a CR in one and an LF in the next are not one line break. */
function expectedBody(segments: Segments, values: readonly string[]): string {
  const runs: string[] = [''];
  for (const segment of segments) {
    if (typeof segment === 'string') runs[runs.length - 1] += segment;
    else runs.push(values[segment.slot] ?? '', '');
  }
  const open = !(runs.at(-1) ?? '').endsWith('\n');
  if (open) runs[runs.length - 1] += '\r\n';
  return runs.map((run) => run.replace(/\r?\n/g, '\r\n')).join('');
}

for (const wrong of ['simple', '=_ space', '', `=_${'x'.repeat(70)}`, '=_"', '=_\r\n']) {
  test(`the boundary ${JSON.stringify(wrong.slice(0, 12))} is refused`, () => {
    assert.throws(() => composeAlternative({ headers, boundary: wrong, text: [], html: [] }), {
      code: 'compose-boundary-malformed',
    });
  });
}

for (const wrong of [
  '',
  'From: a',
  'From: a\r\n\r\n',
  '\r\nFrom: a\r\n',
  'From: a\nTo: b\r\n',
  'From: a\r\nMIME-Version: 1.0\r\n',
  'From: a\r\nContent-Type : text/plain\r\n',
]) {
  test(`the header ${JSON.stringify(wrong)} is refused`, () => {
    assert.throws(() => composeAlternative({ headers: wrong, boundary, text: [], html: [] }), {
      code: 'compose-header-malformed',
    });
  });
}

test('joining puts each value at its place, whatever their lengths', () => {
  const bytes = fc.uint8Array({ maxLength: 200 });
  fc.assert(
    fc.property(
      fc.array(bytes, { minLength: 1, maxLength: 10 }),
      fc.array(bytes, { minLength: 1 }),
      (parts, slots) => {
        const literals = parts.map((part) => Buffer.from(part));
        const order = literals.slice(1).map((_, index) => index % slots.length);
        const expected = literals.flatMap((literal, index) => {
          const slot = index === 0 ? undefined : slots[order[index - 1] ?? 0];
          return slot === undefined ? [literal] : [slot, literal];
        });
        assert.deepEqual(joinSegments(literals, order, slots), Buffer.concat(expected));
      },
    ),
  );
});

test('a slot without a value and a wrong count of literals are refused, never left empty', () => {
  const literal = Buffer.from('x');
  assert.throws(() => joinSegments([literal, literal], [1], [literal]), {
    code: 'compose-slots-mismatched',
  });
  assert.throws(() => joinSegments([literal], [0], [literal]), {
    code: 'compose-slots-mismatched',
  });
});
