/** Every detector, in the order findings are given. */

import type { ParsedMessage } from '../mail/message.ts';
import { bccHeader } from './bcc-header.ts';
import { companyAddress } from './company-address.ts';
import type { DetectContext, Detector } from './detector.ts';
import type { Finding } from './finding.ts';
import { foreignAddress } from './foreign-address.ts';
import { headerInjection } from './header-injection.ts';
import { opaqueAttachment } from './opaque-attachment.ts';
import { placeholder } from './placeholder.ts';
import { readerNotShown } from './reader-not-shown.ts';
import { visibleRecipients } from './visible-recipients.ts';

export const DETECTORS: readonly { readonly name: string; readonly detect: Detector }[] = [
  { name: 'header-injection', detect: headerInjection },
  { name: 'visible-recipients', detect: visibleRecipients },
  { name: 'bcc-header', detect: bccHeader },
  { name: 'foreign-address', detect: foreignAddress },
  { name: 'company-address', detect: companyAddress },
  { name: 'placeholder', detect: placeholder },
  { name: 'reader-not-shown', detect: readerNotShown },
  { name: 'opaque-attachment', detect: opaqueAttachment },
];

export function detectAll(message: ParsedMessage, context: DetectContext): readonly Finding[] {
  const findings: Finding[] = [];
  for (const { detect } of DETECTORS) {
    for (const finding of detect(message, context)) findings.push(finding);
  }
  return findings;
}
