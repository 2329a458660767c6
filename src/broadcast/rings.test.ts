import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { afterRing, shareLowerBound } from './rings.ts';

const plan = { ring: 1, first: 0, count: 100, refusedShareMax: 0.05 };

test('a few refusals in a small ring are no proof', () => {
  assert.equal(afterRing(plan, { refused: 1, sent: 12 }).kind, 'open-next');
  assert.equal(afterRing(plan, { refused: 0, sent: 0 }).kind, 'open-next');
});

test('many refusals hold the next ring, and the reason gives both numbers', () => {
  const decision = afterRing(plan, { refused: 20, sent: 100 });
  assert.equal(decision.kind, 'hold');
  assert.match(
    'because' in decision ? decision.because : '',
    /ring 1: 20 of 100 refused, at least 13\.\d % where 5\.0 % is allowed/,
  );
});

test('the lower bound is Wilson’s: known values', () => {
  const near = (hits: number, of: number, wanted: number): void =>
    assert.ok(Math.abs(shareLowerBound(hits, of) - wanted) < 0.001, `${hits} of ${of}`);
  near(2, 3, 0.2077);
  near(10, 100, 0.0552);
  near(50, 100, 0.4038);
  near(3, 3, 0.4385);
});

test('the bound never exceeds the share, never falls as evidence grows, and stays a share', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1000 }), fc.nat(1000), (of, some) => {
      const hits = some % (of + 1);
      const bound = shareLowerBound(hits, of);
      assert.ok(bound >= 0 && bound <= hits / of + 1e-12);
      assert.ok(shareLowerBound(hits * 10, of * 10) >= bound - 1e-12);
    }),
  );
});
