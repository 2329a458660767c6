/**
 * People shown to each other as the ones written to: To, Cc, Resent-To, Resent-Cc, Apparently-To and a Reply-To with several,
 * every field of one name, groups, comments and display names included.
 */

import type { ParsedMessage } from '../mail/message.ts';
import type { DetectContext } from './detector.ts';
import type { Finding } from './finding.ts';
import { peopleShown } from './people-shown.ts';

/** In these fields the sender's own domain is no excuse: a university's students share one. */
export function visibleRecipients(
  message: ParsedMessage,
  context: DetectContext,
): readonly Finding[] {
  return peopleShown(message, context, {
    id: 'visible-recipients',
    severity: 'exposure',
    surfaces: ['recipients'],
    standings: ['other', 'own-domain'],
  });
}
