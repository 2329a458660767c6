/**
 * Fields by which mail commands the provider it goes through: they name recipients whom no envelope names and the guard has judged
 * no copy for, or have the provider show them to each other. What they say of the reader alone (tags, categories) is let through.
 */

import type { HeaderField } from '../mail/header.ts';
import type { ParsedMessage } from '../mail/message.ts';
import type { DetectContext } from './detector.ts';
import type { Finding } from './finding.ts';
import { headerLabel } from './header-label.ts';
import { mentionsIn } from './mentions.ts';
import { personOf } from './people.ts';

/** SendGrid, SparkPost, Mailgun, Mandrill, Postmark, SES, Mailjet. */
const COMMAND_FIELD = /^x-(?:smtpapi$|msys-api$|mailgun-|mc-|pm-|ses-|mj-)/;
/** One JSON document each; providers differ in which of two they obey. */
const DOCUMENTS: ReadonlySet<string> = new Set([
  'x-smtpapi',
  'x-msys-api',
  'x-mailgun-recipient-variables',
]);

/** One finding for each field that names anybody but the reader, stands there twice, cannot be read, or asks for a list of all. */
export function providerCommand(
  message: ParsedMessage,
  context: DetectContext,
): readonly Finding[] {
  const fields = message.headers.filter(
    ({ lower }) => lower.startsWith('x-') && COMMAND_FIELD.test(lower),
  );
  const findings: Finding[] = [];
  for (const field of fields) {
    const addresses = othersNamed(message, context, field);
    if (addresses.length > 0 || isUnclear(field, fields) || asksForList(field))
      findings.push(found(field, addresses));
  }
  return findings;
}

function othersNamed(
  message: ParsedMessage,
  context: DetectContext,
  field: HeaderField,
): readonly string[] {
  const others = mentionsIn(message)
    .filter(({ surface, start }) => surface === 'header' && start === field.start)
    .map((mention) => personOf(message, context, mention))
    .filter(({ standing }) => standing === 'other');
  return [...new Set(others.map(({ address }) => address))];
}

function isUnclear(field: HeaderField, fields: readonly HeaderField[]): boolean {
  if (!DOCUMENTS.has(field.lower)) return false;
  if (fields.some((other) => other !== field && other.lower === field.lower)) return true;
  try {
    return typeof JSON.parse(field.decoded) !== 'object';
  } catch {
    return true;
  }
}

/** Mandrill shows all of To to everybody where this is set. */
function asksForList({ lower, decoded }: HeaderField): boolean {
  return lower === 'x-mc-preserverecipients' && !/^(?:false|no|0|)$/i.test(decoded.trim());
}

function found(field: HeaderField, addresses: readonly string[]): Finding {
  const { start, end } = field;
  return {
    id: 'provider-command',
    severity: 'risk',
    where: { part: '', field: headerLabel(field), start, end },
    addresses,
    count: Math.max(1, addresses.length),
  };
}
