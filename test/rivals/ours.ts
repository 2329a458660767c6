/** What the guard says of a fixture, as `serve` judges it: the sender's policy, the company's domain and the customer index. */

import { readSubmissions } from '../../src/gates/files.ts';
import { judgeCopies } from '../../src/guard/judge.ts';
import { policyFrom } from '../../src/policy/policy.ts';
import { COMPANY, type Fixture, isCustomer } from './fixtures.ts';

export interface OurVerdict {
  readonly verdict: string;
  readonly reasons: readonly string[];
}

export function ourVerdict({ name, policy, readers, bytes }: Fixture): OurVerdict {
  const [item, ...more] = readSubmissions(bytes, name, { readers });
  if (item === undefined || item.kind === 'unreadable' || more.length > 0)
    throw new Error(`${name} is not one message`);
  const settings = { policy: policyFrom(policy, { companyDomains: [COMPANY] }), isCustomer };
  const { verdict } = judgeCopies(item.copies, settings);
  return { verdict: verdict.kind, reasons: verdict.kind === 'pass' ? [] : verdict.reasons };
}
