/** Identifiers: sortable by time, unguessable, safe in URLs and file names. */

import { randomBytes } from 'node:crypto';

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

/** `prefix-` + 7 characters of time (seconds, base 32) + 10 random characters. */
export function newId(prefix: string, nowMs: number = Date.now()): string {
  let time = '';
  let rest = Math.floor(nowMs / 1000);
  for (let i = 0; i < 7; i++) {
    time = ALPHABET[rest % 32] + time;
    rest = Math.floor(rest / 32);
  }
  let tail = '';
  for (const byte of randomBytes(10)) tail += ALPHABET[byte % 32];
  return `${prefix}-${time}${tail}`;
}
