/** Envelope and header disagree: To and Cc name none of the people on the envelope, or nobody is on the envelope. */

import { canonicalAddress } from '../mail/address.ts';
import type { ParsedMessage } from '../mail/message.ts';
import type { DetectContext } from './detector.ts';
import type { Finding } from './finding.ts';
import { mentionsIn } from './mentions.ts';

/** Notes only: blind copies and `undisclosed-recipients:;` look like this, and what is visible is judged on its own. */
export function readerNotShown(message: ParsedMessage, context: DetectContext): readonly Finding[] {
  const where = { part: '', field: 'envelope', start: 0, end: 0 };
  const { recipients } = context.envelope;
  if (recipients.length === 0) {
    return [{ id: 'no-reader', severity: 'note', where, addresses: [], count: 0 }];
  }
  const visible = new Set<string>();
  for (const mention of mentionsIn(message)) {
    if (mention.surface === 'recipients') visible.add(mention.address);
  }
  const shown = recipients.some((text) => visible.has(canonicalAddress(text) ?? text));
  return shown
    ? []
    : [
        {
          id: 'reader-not-shown',
          severity: 'note',
          where,
          addresses: [],
          count: recipients.length,
        },
      ];
}
