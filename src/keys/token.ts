/** Tokens (unsubscribe, return path, view): derived, never stored, bound to one broadcast and one position. */

import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';

export type TokenPurpose = 'unsubscribe' | 'return-path' | 'message-id' | 'boundary';

/** 20 characters of base 36 (about 103 bits) of HMAC-SHA256(token key, purpose, broadcast, position). */
export function token(
  key: KeyObject,
  purpose: TokenPurpose,
  broadcast: string,
  position: number,
): string {
  const mac = createHmac('sha256', key).update(`${purpose}\0${broadcast}\0${position}`).digest();
  return BigInt(`0x${mac.toString('hex', 0, 16)}`)
    .toString(36)
    .padStart(20, '0')
    .slice(-20);
}

/** Whether a token that came back is the one derived for this place; in constant time. */
export function tokenMatches(
  given: string,
  key: KeyObject,
  purpose: TokenPurpose,
  broadcast: string,
  position: number,
): boolean {
  const wanted = Buffer.from(token(key, purpose, broadcast, position));
  const candidate = Buffer.from(given);
  return candidate.length === wanted.length && timingSafeEqual(candidate, wanted);
}
