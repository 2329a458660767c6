/** The road without a database, for tests of a provider's door: what is kept waits in memory until the test has it delivered. */

import type { Carrier, DeliveryResult } from '../../src/guard/carrier.ts';
import type { Decision, GuardedCall, Road } from '../../src/guard/check.ts';
import { type Identity, policyOf } from '../../src/guard/identity.ts';
import { judgeCopies } from '../../src/guard/judge.ts';
import { needsPrivateCopies } from '../../src/policy/decide.ts';

export interface KeptInMemory {
  readonly id: string;
  readonly bytes: Buffer;
  readonly cut: 'private' | 'whole';
}

export interface MemoryRoad extends Road {
  readonly kept: readonly KeptInMemory[];
  readonly decisions: readonly Decision[];
  /** Cuts and delivers the last kept call, one delivery after the other. */
  deliverLast(carrier: Carrier): Promise<readonly DeliveryResult[]>;
}

export function createMemoryRoad(): MemoryRoad {
  const kept: KeptInMemory[] = [];
  const decisions: Decision[] = [];
  return {
    kept,
    decisions,
    decide: async (call, identity) => {
      const decision = decide(call, identity, `kept-${kept.length + 1}`);
      if (decision.kept !== null && decision.verdict.kind !== 'pass') {
        const cut = needsPrivateCopies(decision.verdict.reasons) ? 'private' : 'whole';
        kept.push({ id: decision.kept, bytes: call.keep(), cut });
      }
      decisions.push(decision);
      return decision;
    },
    deliverLast: async (carrier) => {
      const last = kept.at(-1);
      if (last === undefined) throw new Error('nothing was kept');
      const results: DeliveryResult[] = [];
      for (const delivery of carrier.cut(last.bytes, last.cut, 'k-1')) {
        results.push(await carrier.deliver(delivery));
      }
      return results;
    },
  };
}

function decide(call: GuardedCall, identity: Identity, id: string): Decision {
  const policy = policyOf(identity, { companyDomains: ['company.example'], roleAddresses: [] });
  const judgement = judgeCopies(call.copies, { policy });
  const { kind } = judgement.verdict;
  const keeps = kind === 'split' || (kind === 'hold' && identity.split);
  const stopped = kind === 'defer' ? 'defer' : keeps ? 'keep' : 'refuse';
  const lets = kind === 'pass' || (kind !== 'defer' && identity.mode !== 'enforce');
  const action = lets ? 'forward' : stopped;
  const kept = action === 'keep' ? id : null;
  return { ...judgement, entry: 'v-1', action, mode: identity.mode, kept };
}
