import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { quickestMs } from '../../test/support/quickest-ms.ts';
import { scanLines } from './lines.ts';

test('bare CR, bare LF, NUL and long lines are found exactly where they are', () => {
  const piece = fc.constantFrom('\r\n', '\r', '\n', '\0', 'a', 'bb', 'cccccc');
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const text = pieces.join('');
      const seen = scanLines(text, 5);
      assert.equal(seen.bareCr, /\r(?!\n)/.test(text));
      assert.equal(seen.bareLf, /(?<!\r)\n/.test(text));
      assert.equal(seen.nul, text.includes('\0'));
      assert.equal(
        seen.tooLong,
        text.split('\n').some((line, index, all) => {
          const isLast = index === all.length - 1;
          return (isLast ? line : line.replace(/\r$/, '')).length > 5;
        }),
      );
    }),
    { numRuns: 2_000 },
  );
});

test('ten megabytes with one kind of line break only take well under a second', () => {
  for (const piece of ['a\n', '\n', '\r', 'a\r\n', '\n\r']) {
    const text = piece.repeat(10_000_000 / piece.length);
    const elapsed = quickestMs(1_000, () => scanLines(text, 998));
    assert.ok(elapsed < 1_000, JSON.stringify(piece));
  }
});
