/** What a milter answers for a message: its decision as one reply to the whole transaction. */

import type { Decision } from '../../guard/check.ts';
import { REASONS } from '../../policy/reasons.ts';
import type { Overrun } from './message.ts';
import { replyCode } from './wire.ts';

export const GUARD_FAULT: Buffer = replyCode([
  '451 4.7.0 The message could not be checked; try again later.',
]);
export const NO_IDENTITY: Buffer = replyCode(['550 5.7.1 No policy is set for this sender.']);

export const OVERRUNS: Readonly<Record<Overrun, Buffer>> = {
  size: replyCode(['552 5.3.4 The message is larger than what is checked here.']),
  recipients: replyCode(['550 5.5.3 The message has more recipients than are checked here.']),
  address: replyCode(['550 5.1.3 An address of the envelope is not UTF-8.']),
};

const ALONE =
  'A milter alone can neither split nor hold a message: hand mail over to the relay for that.';

/** The reply to a message that does not go on. @param handOver whether what is split or held has a way on. */
export function stoppedReply(
  { verdict, action, disclosures, entry }: Decision,
  handOver: boolean,
): Buffer {
  const ids = verdict.kind === 'pass' ? [] : verdict.reasons;
  const reasons = ids.map((id) => REASONS[id]);
  const temporary = reasons.find(({ smtpCode }) => smtpCode === 451);
  const permanent = reasons.find(({ smtpCode }) => smtpCode !== 451);
  if (action !== 'refuse' || permanent === undefined) {
    if (temporary === undefined) return GUARD_FAULT;
    return replyCode([`451 ${temporary.enhancedStatus} ${temporary.sentence}`]);
  }
  const { smtpCode, enhancedStatus, sentence, remedy } = permanent;
  const texts = [sentence];
  if (disclosures > 0)
    texts.push(
      `It would have made ${disclosures.toLocaleString('en-US')} ${disclosures === 1 ? 'disclosure' : 'disclosures'}.`,
    );
  texts.push(remedy);
  if (!handOver && reasons.some((reason) => reason.verdict === 'hold')) texts.push(ALONE);
  texts.push(`Nobody got this message. Record ${entry}.`);
  return replyCode(
    texts.map((text, place) => {
      const more = place < texts.length - 1 ? '-' : ' ';
      return `${smtpCode}${more}${enhancedStatus} ${text}`;
    }),
  );
}
