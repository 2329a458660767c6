import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '../base/errors.ts';
import { DEFAULT_LIMITS, limitsWith } from './limits.ts';

test('a limit can be replaced and the others stay', () => {
  const limits = limitsWith({ parts: 5 });
  assert.equal(limits.parts, 5);
  assert.equal(limits.nesting, DEFAULT_LIMITS.nesting);
});

test('a limit that would switch its check off is refused', () => {
  for (const value of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]) {
    assert.throws(
      () => limitsWith({ parts: value }),
      (error) => error instanceof Fault && error.code === 'invalid-limit',
    );
  }
});
