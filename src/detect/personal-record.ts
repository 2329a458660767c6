/**
 * Personal records in attachments. A line of a passport or the whole number of a payment card is one wherever it stands; an account or
 * identity number may be the reader's own or the company's, so of those the number counts.
 */

import type { ParsedMessage } from '../mail/message.ts';
import { attachedNumbers } from './attached-numbers.ts';
import type { Finding, FindingId } from './finding.ts';

export function personalRecord(message: ParsedMessage): readonly Finding[] {
  const numbers = attachedNumbers(message);
  if (numbers === null) return [];
  const { machineReadable, cards, accounts, identities } = numbers;
  const findings: Finding[] = [];
  const add = (id: FindingId, field: string, count: number): void => {
    const where = { part: '', field, start: 0, end: 0 };
    if (count > 0) findings.push({ id, severity: 'risk', where, addresses: [], count });
  };
  add('identity-record', 'attached passport or identity card', machineReadable.size);
  add('identity-record', 'attached card numbers', cards.size);
  add('personal-record', 'attached account and identity numbers', accounts.size + identities.size);
  return findings;
}
