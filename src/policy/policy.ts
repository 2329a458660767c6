/** What one kind of mail may show its readers beside themselves. Plain data; `decide` applies it. */

import { canonicalAddress } from '../mail/address.ts';

export interface Policy {
  /** bulk: one message to many. transactional: a program writes to one person. person: people write to people. */
  readonly name: 'bulk' | 'transactional' | 'person';
  /** Domains of the company, lower-case A-labels. */
  readonly companyDomains: readonly string[];
  /** Canonical addresses of the company's roles (support, complaints), which any reader may see. */
  readonly roleAddresses: readonly string[];
  /** person: how many outsiders To and Cc may show together. */
  readonly visibleOutsidersMax: number;
  /** How many distinct addresses of the sender's own domain a body may name. */
  readonly ownDomainMentionsMax: number;
  /** Whether the gate can send each reader a copy of its own instead of refusing. */
  readonly canSplit: boolean;
}

export type PolicyName = Policy['name'];

function preset(name: PolicyName, visibleOutsidersMax: number): Policy {
  return {
    name,
    companyDomains: [],
    roleAddresses: [],
    visibleOutsidersMax,
    ownDomainMentionsMax: 3,
    canSplit: false,
  };
}

export const POLICIES: Readonly<Record<PolicyName, Policy>> = {
  bulk: preset('bulk', 0),
  transactional: preset('transactional', 0),
  // Of 2,500 real messages between people none showed more than 8 in To and Cc.
  person: preset('person', 8),
};

export interface PolicyOptions {
  readonly companyDomains?: readonly string[];
  readonly roleAddresses?: readonly string[];
  readonly visibleOutsidersMax?: number;
  readonly ownDomainMentionsMax?: number;
  readonly canSplit?: boolean;
}

/**
 * A policy from a preset and a company's own settings: domains to lower-case A-labels, role addresses to canonical form.
 * Throws RangeError naming the entry by its position, never by its text.
 */
export function policyFrom(name: PolicyName, options: PolicyOptions = {}): Policy {
  const base = POLICIES[name];
  return {
    name,
    companyDomains: (options.companyDomains ?? []).map(canonicalDomain),
    roleAddresses: (options.roleAddresses ?? []).map((text, index) => {
      const canonical = canonicalAddress(text);
      if (canonical !== null) return canonical;
      throw new RangeError(`role address ${index + 1} is not an e-mail address`);
    }),
    visibleOutsidersMax: wholeNumber(options.visibleOutsidersMax ?? base.visibleOutsidersMax),
    ownDomainMentionsMax: wholeNumber(options.ownDomainMentionsMax ?? base.ownDomainMentionsMax),
    canSplit: options.canSplit ?? base.canSplit,
  };
}

function canonicalDomain(text: string, index: number): string {
  const canonical = canonicalAddress(`x@${text}`);
  if (canonical !== null) return canonical.slice(2);
  throw new RangeError(`company domain ${index + 1} is not a domain name`);
}

function wholeNumber(value: number): number {
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new RangeError('a policy limit is a whole number, 0 or more');
}
