/**
 * Addresses of the sending side beside the reader: the sender's own, named roles, and others at the sender's domain. Notes, so that
 * a verdict can say why something was allowed, and policy can count the last kind.
 */

import type { ParsedMessage } from '../mail/message.ts';
import type { DetectContext } from './detector.ts';
import type { Finding, FindingId } from './finding.ts';
import { mentionsIn, type Surface } from './mentions.ts';
import type { Standing } from './people.ts';
import { peopleShown } from './people-shown.ts';

const NOTES: readonly (readonly [Standing, FindingId, readonly Surface[]])[] = [
  ['own-domain', 'own-domain-address', ['header', 'body', 'encoded', 'attachment', 'nested']],
  ['role', 'role-address', ['recipients', 'body', 'encoded', 'attachment', 'nested']],
  ['sender', 'sender-address', ['recipients', 'body', 'encoded', 'attachment', 'nested']],
];

export function companyAddress(message: ParsedMessage, context: DetectContext): readonly Finding[] {
  if (mentionsIn(message).length === 0) return [];
  return NOTES.flatMap(([standing, id, surfaces]) =>
    peopleShown(message, context, { id, severity: 'note', surfaces, standings: [standing] }),
  );
}
