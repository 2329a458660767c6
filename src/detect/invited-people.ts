/**
 * People a calendar shows as invited, or winmail.dat as written to: to the reader that is the same as a list in To, but a copy of one's
 * own does not cure it.
 */

import type { ParsedMessage } from '../mail/message.ts';
import type { DetectContext } from './detector.ts';
import type { Finding } from './finding.ts';
import { peopleShown, type Shown } from './people-shown.ts';

/** As in To, the sender's own domain is no excuse for attendees; an organizer at that domain is the sender's business. */
const SHOWN: readonly Shown[] = [
  {
    id: 'invited-people',
    severity: 'exposure',
    surfaces: ['invited'],
    standings: ['other', 'own-domain'],
  },
  { id: 'invited-people', severity: 'exposure', surfaces: ['organizer'], standings: ['other'] },
];

export function invitedPeople(message: ParsedMessage, context: DetectContext): readonly Finding[] {
  return SHOWN.flatMap((shown) => peopleShown(message, context, shown));
}
