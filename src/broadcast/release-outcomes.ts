/** From what became of handing a message over to what is recorded of it. */

import type { BroadcastSettings } from './broadcast.ts';
import type { WaitingRow } from './chunk-loader.ts';
import type { Outgoing, SendResult } from './delivery/outgoing.ts';
import { maskReply, type OutcomeState, stateOf } from './outcome.ts';
import type { Again, RecordedOutcome } from './outcome-writer.ts';

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

/**
 * Of a message over which the far side ends one connection after the other, and never says why: as a temporary answer
 * (RFC 5321 section 3.8: a connection that is lost counts as 451).
 */
export function hungUpOutcome(
  message: Pick<Outgoing, 'position' | 'attempt'>,
  lost: string,
  nowMs: number,
  deadlineMs: number,
): RecordedOutcome {
  const { position, attempt } = message;
  const state: OutcomeState = nowMs > deadlineMs ? 'expired' : 'deferred';
  const reply = `${lost}, again and again at this message`;
  return { position, attempt, ...NO_REPLY, state, reply, atMs: nowMs };
}

/**
 * When somebody with this outcome is tried again; null for never.
 * @param resent who has been sent to once more since a reply was lost: a second loss is for a person to decide, or
 * somebody whose message a far side takes and never answers would get copies without end.
 */
export function againAfter(
  { position, attempt, state }: RecordedOutcome,
  { retrySeconds, uncertain }: BroadcastSettings,
  resent: Set<number>,
): Again | null {
  if (state === 'uncertain') {
    if (uncertain === 'hold' || resent.has(position)) return null;
    resent.add(position);
    return { position, attempt: attempt + 1, delayMs: 0 };
  }
  if (state !== 'deferred') return null;
  const seconds = retrySeconds[Math.min(attempt, retrySeconds.length) - 1] ?? 60;
  return { position, attempt: attempt + 1, delayMs: seconds * 1000 };
}

/** Of somebody who is left out: suppressed, or withdrawn by name. */
export function leftOutOutcome(row: WaitingRow, reason: string, nowMs: number): RecordedOutcome {
  const state: OutcomeState = reason.startsWith('suppressed') ? 'suppressed' : 'withdrawn';
  const { position, attempt } = row;
  return { position, attempt, ...NO_REPLY, state, reply: maskReply(reason, ''), atMs: nowMs };
}
