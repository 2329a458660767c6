/**
 * Addresses of the sending side beside the reader: the sender's own, named roles, and others at the sender's domain. Notes, so that
 * a verdict can say why something was allowed, and policy can count the last kind.
 */

import type { ParsedMessage } from '../mail/message.ts';
import type { DetectContext } from './detector.ts';
import type { Finding } from './finding.ts';
import type { Surface } from './mentions.ts';
import { peopleShown, type Shown } from './people-shown.ts';

const IN_CONTENT: readonly Surface[] = ['body', 'encoded', 'attachment', 'organizer', 'nested'];
const BESIDE: readonly Surface[] = ['recipients', 'invited', ...IN_CONTENT];
const OWN: readonly Surface[] = ['header', ...IN_CONTENT];

const NOTES: readonly Shown[] = [
  { id: 'own-domain-address', severity: 'note', surfaces: OWN, standings: ['own-domain'] },
  { id: 'role-address', severity: 'note', surfaces: BESIDE, standings: ['role'] },
  { id: 'sender-address', severity: 'note', surfaces: BESIDE, standings: ['sender'] },
];

export function companyAddress(message: ParsedMessage, context: DetectContext): readonly Finding[] {
  return NOTES.flatMap((shown) => peopleShown(message, context, shown));
}
