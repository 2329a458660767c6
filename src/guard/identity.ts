/** Who hands mail to a gate, and what was decided for their mail: policy, mode, and what else they are held to. */

import { type Policy, type PolicyName, policyFrom } from '../policy/policy.ts';

/**
 * shadow: everything goes on as it came; what would have happened is recorded.
 * warn: the same, and the caller is told. enforce: the verdict is what happens.
 */
export type Mode = 'shadow' | 'warn' | 'enforce';

export interface Identity {
  readonly name: string;
  readonly policy: PolicyName;
  readonly mode: Mode;
  /** Whether each reader is sent a copy of their own where that cures what is wrong. */
  readonly split: boolean;
  /** person: how many outsiders To and Cc may show; null for the policy's own number. */
  readonly visibleOutsidersMax: number | null;
  /** Environment lock: domains (lower-case A-labels) that may be written to; null for all. */
  readonly recipientDomains: readonly string[] | null;
  /** The declared audience that every reader must be in, or `customers`; null for anybody. */
  readonly audience: string | null;
  /** More readers in one call than this are held; null for ten times the most of what was usual. */
  readonly readersMax: number | null;
}

/** An identity with everything but its name and policy as usual. */
export function identityOf(
  name: string,
  policy: PolicyName,
  settings: Partial<Omit<Identity, 'name' | 'policy'>> = {},
): Identity {
  return {
    name,
    policy,
    mode: 'enforce',
    split: false,
    visibleOutsidersMax: null,
    recipientDomains: null,
    audience: null,
    readersMax: null,
    ...settings,
  };
}

/** The company's policy with what this identity may do beside it. */
export function policyOf(
  identity: Identity,
  company: {
    readonly companyDomains: readonly string[];
    readonly roleAddresses: readonly string[];
  },
): Policy {
  const { visibleOutsidersMax, split } = identity;
  return policyFrom(identity.policy, {
    companyDomains: company.companyDomains,
    roleAddresses: company.roleAddresses,
    canSplit: split,
    ...(visibleOutsidersMax === null ? {} : { visibleOutsidersMax }),
  });
}
