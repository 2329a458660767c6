/**
 * Another person's address anywhere but in To and Cc: any other header field, subject, text, HTML and its attributes, links in
 * every coding, attachments and messages inside the message.
 */

import type { ParsedMessage } from '../mail/message.ts';
import { findAddresses } from '../mail/sightings.ts';
import type { DetectContext } from './detector.ts';
import type { Finding } from './finding.ts';
import { peopleIn, personOf } from './people.ts';
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
  const found = others ? SHOWN.flatMap((shown) => peopleShown(message, context, shown)) : [];
  return /[=%]/.test(context.envelope.from) ? [...found, ...inReturnPath(message, context)] : found;
}

/** The return path becomes a field at delivery (RFC 5321 section 4.4): an address folded into it (VERP) is shown to the reader. */
function inReturnPath(message: ParsedMessage, context: DetectContext): readonly Finding[] {
  const [sighting] = findAddresses(context.envelope.from);
  if (sighting === undefined) return [];
  const mention = { ...sighting, surface: 'header', part: '', field: 'envelope' } as const;
  const { standing, address } = personOf(message, context, mention);
  if (standing !== 'other') return [];
  const where = { part: '', field: 'envelope', start: 0, end: 0 };
  const id = 'foreign-address-header';
  return [{ id, severity: 'exposure', where, addresses: [address], count: 1 }];
}
