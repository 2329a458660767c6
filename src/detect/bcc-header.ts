/** A Bcc or Resent-Bcc field that would leave with the message (RFC 5322 section 3.6.3 says it is removed). */

import type { HeaderField } from '../mail/header.ts';
import type { ParsedMessage } from '../mail/message.ts';
import type { DetectContext } from './detector.ts';
import type { Finding } from './finding.ts';
import { headerLabel } from './header-label.ts';
import { isBccField, mentionsIn } from './mentions.ts';
import { personOf } from './people.ts';

/**
 * An exposure wherever the field names anybody but its one reader, or holds what cannot be read as addresses; an empty
 * field, or one that names the reader alone, is a note.
 */
export function bccHeader(message: ParsedMessage, context: DetectContext): readonly Finding[] {
  return message.headers.filter(isBccField).map((field) => inField(message, context, field));
}

function inField(message: ParsedMessage, context: DetectContext, field: HeaderField): Finding {
  const { start, end } = field;
  const people = mentionsIn(message)
    .filter((mention) => mention.surface === 'bcc' && mention.start === start)
    .map((mention) => personOf(message, context, mention));
  const others = people.filter(({ standing }) => standing !== 'reader');
  const addresses = [...new Set(others.map(({ address }) => address))];
  const readable = people.length > 0 || /^[\s,;]*$/.test(field.value);
  return {
    id: 'bcc-header',
    severity: addresses.length === 0 && readable ? 'note' : 'exposure',
    where: { part: '', field: headerLabel(field), start, end },
    addresses,
    count: addresses.length,
  };
}
