/**
 * Line breaks and control characters where none may stand: the way a value typed by somebody becomes a header field of its
 * own, and the way two mail programs come to read two different messages (RFC 5321 section 2.3.8, CVE-2023-51764).
 */

import type { HeaderField } from '../mail/header.ts';
import type { DefectId, ParsedMessage } from '../mail/message.ts';
import type { Finding, FindingId } from './finding.ts';
import { headerLabel } from './header-label.ts';

const FINDING_OF: Readonly<Partial<Record<DefectId, FindingId>>> = {
  'bare-cr': 'bare-line-break',
  'bare-lf': 'bare-line-break',
  'nul-byte': 'nul-byte',
};

/**
 * A fold is undone by the time a field is decoded, so what is left was put there by an encoded word or as a raw byte. The tab is
 * white space, and 0x80 to 0x9f are letters and quotes to programs that write Windows-1252.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const INJECTED = /[\0-\x08\x0a-\x1f\x7f\u2028\u2029]/;

export function headerInjection(message: ParsedMessage): readonly Finding[] {
  const findings: Finding[] = [];
  for (const field of message.headers) {
    if (INJECTED.test(field.decoded)) findings.push(injected(field));
  }
  if (message.defects.length === 0) return findings;
  const counts = new Map<FindingId, { count: number; where: string }>();
  for (const defect of message.defects) {
    const id = FINDING_OF[defect.id];
    if (id === undefined) continue;
    const before = counts.get(id);
    counts.set(id, { count: (before?.count ?? 0) + 1, where: before?.where ?? defect.where });
  }
  for (const [id, { count, where: field }] of counts) {
    const where = { part: '', field, start: 0, end: 0 };
    findings.push({ id, severity: 'risk', where, addresses: [], count });
  }
  return findings;
}

function injected(field: HeaderField): Finding {
  return {
    id: 'header-injection',
    severity: 'risk',
    where: { part: '', field: headerLabel(field), start: field.start, end: field.end },
    addresses: [],
    count: 1,
  };
}
