/** Every detector, in the order findings are given. */

import type { ParsedMessage } from '../mail/message.ts';
import { bccHeader } from './bcc-header.ts';
import { companyAddress } from './company-address.ts';
import { customerList } from './customer-list.ts';
import type { DetectContext, Detector } from './detector.ts';
import { encryptedReaders } from './encrypted-readers.ts';
import type { Finding } from './finding.ts';
import { foreignAddress } from './foreign-address.ts';
import { headerInjection } from './header-injection.ts';
import { invitedPeople } from './invited-people.ts';
import { mergeMistake } from './merge-mistake.ts';
import { personalRecord } from './personal-record.ts';
import { placeholder } from './placeholder.ts';
import { providerCommand } from './provider-command.ts';
import { readerNotShown } from './reader-not-shown.ts';
import { unreadableAttachment } from './unreadable-attachment.ts';
import { visibleRecipients } from './visible-recipients.ts';

export const DETECTORS: readonly { readonly name: string; readonly detect: Detector }[] = [
  { name: 'header-injection', detect: headerInjection },
  { name: 'visible-recipients', detect: visibleRecipients },
  { name: 'bcc-header', detect: bccHeader },
  { name: 'provider-command', detect: providerCommand },
  { name: 'foreign-address', detect: foreignAddress },
  { name: 'company-address', detect: companyAddress },
  { name: 'placeholder', detect: placeholder },
  { name: 'reader-not-shown', detect: readerNotShown },
  { name: 'invited-people', detect: invitedPeople },
  { name: 'unreadable-attachment', detect: unreadableAttachment },
  { name: 'encrypted-readers', detect: encryptedReaders },
  { name: 'customer-list', detect: customerList },
  { name: 'personal-record', detect: personalRecord },
  { name: 'merge-mistake', detect: mergeMistake },
];

/** `off`: names of detectors left out, so that a test can show what each of them is needed for. */
export function detectAll(
  message: ParsedMessage,
  context: DetectContext,
  off?: ReadonlySet<string>,
): readonly Finding[] {
  const findings: Finding[] = [];
  for (const { name, detect } of DETECTORS) {
    if (off?.has(name)) continue;
    for (const finding of detect(message, context)) findings.push(finding);
  }
  return findings;
}
