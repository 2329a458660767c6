import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { findEncodedAddresses } from '../mail/encoded-sightings.ts';
import { findAddresses } from '../mail/sightings.ts';
import { withinBudget } from './address-budget.ts';
import { fullBudget } from './inflate.ts';

const SPELLINGS = [
  '@',
  '%40',
  '=40',
  '%2540',
  '&#64;',
  '&#x40;',
  '&#0064;',
  '&commat;',
  '\\u0040',
  '\\x40',
  '＠',
  '﹫',
];

describe('the budget of addresses', () => {
  it('counts every spelling of an @ that is looked for, and cuts right before the first one too many', () => {
    for (const spelling of SPELLINGS) {
      const text = `one${spelling}x.test two${spelling}x.test three${spelling}x.test`;
      const all = findAddresses(text).length + findEncodedAddresses(text).length;
      assert.ok(all >= 3, `${spelling}: ${all} found without a budget`);
      const budget = { ...fullBudget(), addresses: 2 };
      const { text: kept, whole } = withinBudget(text, budget);
      assert.deepEqual([kept, whole], [`one${spelling}x.test two${spelling}x.test three`, false]);
      assert.equal(budget.addresses, 0);
      const enough = { ...fullBudget(), addresses: 3 };
      assert.deepEqual(withinBudget(text, enough), { text, whole: true });
      assert.deepEqual([enough.addresses, withinBudget('a@b.test', enough).whole], [0, false]);
    }
  });

  it('leaves a text whole that only looks as if it had many', () => {
    const text = 'Smith & Sons, room 1040, a=5&b=6, '.repeat(1_000);
    const budget = { ...fullBudget(), addresses: 5 };
    assert.deepEqual(withinBudget(text, budget), { text, whole: true });
    assert.equal(budget.addresses, 5);
  });
});
