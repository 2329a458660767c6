/**
 * Another person's address anywhere but in To and Cc: any other header field, subject, text, HTML and its attributes, links in
 * every coding, attachments and messages inside the message.
 */

import type { ParsedMessage } from '../mail/message.ts';
import type { DetectContext } from './detector.ts';
import type { Finding } from './finding.ts';
import { peopleIn } from './people.ts';
import { peopleShown, type Shown } from './people-shown.ts';

const SHOWN: readonly Shown[] = (
  [
    ['header', 'foreign-address-header'],
    ['body', 'foreign-address-body'],
    ['encoded', 'foreign-address-encoded'],
    ['attachment', 'foreign-address-attachment'],
    ['nested', 'foreign-address-nested'],
  ] as const
).map(([surface, id]) => ({
  id,
  severity: 'exposure',
  surfaces: [surface],
  standings: ['other'],
}));

export function foreignAddress(message: ParsedMessage, context: DetectContext): readonly Finding[] {
  const others = peopleIn(message, context).some(({ person }) => person.standing === 'other');
  return others ? SHOWN.flatMap((shown) => peopleShown(message, context, shown)) : [];
}
