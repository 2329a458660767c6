import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Finding } from '../detect/finding.ts';
import { decide } from './decide.ts';
import { POLICIES, policyFrom } from './policy.ts';
import { REASON_IDS, REASONS } from './reasons.ts';

const context = {
  readers: new Set(['a@x.test']),
  visible: new Set(['a@x.test']),
  isCustomer: null,
};

describe('policyFrom', () => {
  it('brings addresses and domains to the form they are compared in', () => {
    const policy = policyFrom('bulk', {
      roleAddresses: ['"Care"@SHOP.example'],
      companyDomains: ['Bücher.example'],
    });
    assert.deepEqual(policy.roleAddresses, ['care@shop.example']);
    assert.deepEqual(policy.companyDomains, ['xn--bcher-kva.example']);
    assert.equal(policy.canSplit, false);
  });

  it('refuses what it cannot read, by position and without repeating it', () => {
    const wrong = (): unknown => policyFrom('bulk', { roleAddresses: ['a@x.test', 'secret@@x'] });
    assert.throws(
      wrong,
      (error: Error) => /role address 2/.test(error.message) && !error.message.includes('secret'),
    );
    assert.throws(() => policyFrom('bulk', { companyDomains: ['a b'] }), /company domain 1/);
    assert.throws(() => policyFrom('person', { visibleOutsidersMax: Number.NaN }), RangeError);
  });
});

describe('decide', () => {
  it('passes a message nothing was found in', () => {
    for (const policy of Object.values(POLICIES)) {
      assert.deepEqual(decide([], [], context, policy).kind, 'pass');
    }
  });

  it('counts the addresses of the own domain over all places', () => {
    const place = { part: '', field: 'text', start: 0, end: 0 };
    const own = (addresses: readonly string[]): Finding => {
      return { id: 'own-domain-address', severity: 'note', where: place, addresses, count: 2 };
    };
    const two = own(['b@shop.example', 'c@shop.example']);
    const more = own(['d@shop.example', 'e@shop.example']);
    assert.equal(decide([two, two], [], context, POLICIES.bulk).kind, 'pass');
    assert.notEqual(decide([two, more], [], context, POLICIES.bulk).kind, 'pass');
  });

  it('holds in bulk what mail programs read differently, and under every policy what nobody could inspect', () => {
    const ambiguous = [{ id: 'malformed-address', where: 'header To' } as const];
    assert.deepEqual(decide([], ambiguous, context, POLICIES.bulk), {
      kind: 'hold',
      reasons: ['ambiguous'],
    });
    assert.equal(decide([], ambiguous, context, POLICIES.person).kind, 'pass');
    const deep = [{ id: 'too-deep', where: 'part 1' } as const];
    for (const policy of Object.values(POLICIES)) {
      assert.deepEqual(decide([], deep, context, policy), {
        kind: 'hold',
        reasons: ['unreadable'],
      });
    }
  });

  it('knows a reason for every finding that is no note', () => {
    const where = { part: '', field: 'text', start: 0, end: 0 };
    for (const id of ['placeholder', 'nul-byte', 'bcc-header', 'foreign-address-nested'] as const) {
      const finding = { id, severity: 'risk', where, addresses: [], count: 1 } as const;
      const verdict = decide([finding], [], context, POLICIES.bulk);
      assert.ok(
        verdict.kind !== 'pass' && verdict.reasons.every((reason) => REASON_IDS.includes(reason)),
      );
      assert.equal(verdict.kind, REASONS[id].verdict);
    }
  });
});
