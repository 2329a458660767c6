/** Outcomes: what became of one attempt, and what may be kept of the far side's words. */

import type { Reply } from '../smtp/reply.ts';

/** Stored as its index; the order never changes. */
export const STATES = [
  'accepted',
  'refused',
  'expired',
  'undeliverable',
  'suppressed',
  'withdrawn',
  'cancelled',
  'deferred',
  'uncertain',
] as const;
export type OutcomeState = (typeof STATES)[number];

/** States that end a recipient's story; the others are open. */
export const FINAL_STATES: readonly OutcomeState[] = STATES.slice(0, 7);

export interface Outcome {
  readonly position: number;
  readonly attempt: number;
  readonly state: OutcomeState;
  /** SMTP reply code, 0 where there was none. */
  readonly code: number;
  /** RFC 3463, '' where there was none. */
  readonly enhanced: string;
  /** The reply's text with everything personal replaced by a mark; '' when accepted. */
  readonly reply: string;
  readonly atMs: number;
}

/** The text a proof carries for one outcome: `position,attempt,state,code,enhanced,at`. */
export function outcomeText(outcome: Outcome): string {
  const at = new Date(outcome.atMs).toISOString();
  return `${outcome.position},${outcome.attempt},${outcome.state},${outcome.code},${outcome.enhanced},${at}`;
}

/** 2xx accepted, 4xx to be tried again, anything else refused for good (RFC 5321 section 4.2.1). */
export function stateOf(reply: Pick<Reply, 'code'>): 'accepted' | 'deferred' | 'refused' {
  if (reply.code >= 200 && reply.code < 300) return 'accepted';
  return reply.code >= 400 && reply.code < 500 ? 'deferred' : 'refused';
}

/** Written as words are: base64 of a name can be letters alone, but then they change their case within. */
const PLAIN_WORD =
  /^[("'<]*(?:[A-Z]?[a-z]{1,14}|[A-Z]{1,15})(?:['’-](?:[A-Z]?[a-z]{1,14}|[A-Z]{1,15}))?[)"'>.,:;!?]*$/;
const REPLY_CHARS_MAX = 160;

/** Whether a word holds a part of the address, as it stands or in base64. */
function says(word: string, part: string): boolean {
  if (word.toLowerCase().includes(part)) return true;
  const decoded = Buffer.from(word.replace(/[^A-Za-z]/g, ''), 'base64').toString('utf8');
  const lower = decoded.toLowerCase();
  return lower.includes(part) || (lower.length > 2 && part.includes(lower));
}

/**
 * Keeps only plain words of a refusal: whatever has an at sign, a digit, a code or the recipient's own words in it
 * becomes a mark. Far sides quote the recipient in many spellings, so what is kept is listed, not what is dropped.
 */
export function maskReply(text: string, address: string): string {
  const own = address
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word.length > 1);
  const masked = text
    .split(/\s+/)
    .map((word) => {
      if (!PLAIN_WORD.test(word)) return '[…]';
      return own.some((part) => says(word, part)) ? '[…]' : word;
    })
    .join(' ')
    .replace(/(?:\[…\] ?){2,}/g, '[…] ');
  return masked.trim().slice(0, REPLY_CHARS_MAX);
}
