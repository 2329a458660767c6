/**
 * Another person's address anywhere but in To and Cc: any other header field, subject, text, HTML and its attributes, links in
 * every coding, attachments and messages inside the message.
 */

import type { ParsedMessage } from '../mail/message.ts';
import type { DetectContext } from './detector.ts';
import type { Finding, FindingId } from './finding.ts';
import type { Surface } from './mentions.ts';
import { peopleShown } from './people-shown.ts';

const FINDING_OF: readonly (readonly [Surface, FindingId])[] = [
  ['header', 'foreign-address-header'],
  ['body', 'foreign-address-body'],
  ['encoded', 'foreign-address-encoded'],
  ['attachment', 'foreign-address-attachment'],
  ['nested', 'foreign-address-nested'],
];

export function foreignAddress(message: ParsedMessage, context: DetectContext): readonly Finding[] {
  return FINDING_OF.flatMap(([surface, id]) =>
    peopleShown(message, context, {
      id,
      severity: 'exposure',
      surfaces: [surface],
      standings: ['other'],
    }),
  );
}
