/**
 * Addresses of the sending side beside the reader: the sender's own, named roles, and others at the sender's domain. Notes, so that
 * a verdict can say why something was allowed, and policy can count the last kind.
 */

import type { ParsedMessage } from '../mail/message.ts';
import type { DetectContext } from './detector.ts';
import type { Finding } from './finding.ts';
import type { Surface } from './mentions.ts';
import { peopleShown, type Shown } from './people-shown.ts';

const BESIDE: readonly Surface[] = ['recipients', 'body', 'encoded', 'attachment', 'nested'];
const OWN: readonly Surface[] = ['header', 'body', 'encoded', 'attachment', 'nested'];

const NOTES: readonly Shown[] = [
  { id: 'own-domain-address', severity: 'note', surfaces: OWN, standings: ['own-domain'] },
  { id: 'role-address', severity: 'note', surfaces: BESIDE, standings: ['role'] },
  { id: 'sender-address', severity: 'note', surfaces: BESIDE, standings: ['sender'] },
];

export function companyAddress(message: ParsedMessage, context: DetectContext): readonly Finding[] {
  return NOTES.flatMap((shown) => peopleShown(message, context, shown));
}
