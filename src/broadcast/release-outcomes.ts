/** From what became of handing a message over to what is recorded of it. */

import type { WaitingRow } from './chunk-loader.ts';
import type { Outgoing, SendResult } from './delivery/outgoing.ts';
import { maskReply, type OutcomeState, stateOf } from './outcome.ts';
import type { RecordedOutcome } from './outcome-writer.ts';

/** Results that end an attempt; the others give the message back. */
export type FinalSendResult = Exclude<SendResult, { kind: 'returned' | 'abandoned' }>;

const NO_REPLY = { code: 0, enhanced: '', reply: '', rawReply: null } as const;

/** @param deadlineMs when a temporary answer becomes the last word. */
export function outcomeOf(
  message: Pick<Outgoing, 'position' | 'attempt' | 'reader'>,
  result: FinalSendResult,
  nowMs: number,
  deadlineMs: number,
): RecordedOutcome {
  const { position, attempt, reader } = message;
  const base = { position, attempt, atMs: nowMs };
  switch (result.kind) {
    case 'replied': {
      const { code, enhanced, text } = result.reply;
      const state = stateOf(result.reply);
      if (state === 'accepted') return { ...base, ...NO_REPLY, state, code, enhanced };
      return {
        ...base,
        state: state === 'deferred' && nowMs > deadlineMs ? 'expired' : state,
        code,
        enhanced,
        reply: maskReply(text, reader),
        rawReply: text,
      };
    }
    case 'undeliverable':
      return {
        ...base,
        ...NO_REPLY,
        state: 'undeliverable',
        enhanced: result.enhanced,
        reply: 'the next hop does not offer SMTPUTF8',
      };
    case 'unknown':
      return { ...base, ...NO_REPLY, state: 'uncertain' };
  }
}

/** Of somebody who is left out: suppressed, or withdrawn by name. */
export function leftOutOutcome(row: WaitingRow, reason: string, nowMs: number): RecordedOutcome {
  const state: OutcomeState = reason.startsWith('suppressed') ? 'suppressed' : 'withdrawn';
  const { position, attempt } = row;
  return { position, attempt, ...NO_REPLY, state, reply: maskReply(reason, ''), atMs: nowMs };
}
