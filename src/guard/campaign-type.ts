/**
 * What kind of call this is, by its subject: `Your receipt 4711` and `Your receipt 4712` are of one type. Cheap enough for every
 * message (2 us), where the fingerprint of a campaign is not.
 *
 * Invariant: what is given is a keyed hash; subjects are stored nowhere.
 */

import type { KeyObject } from 'node:crypto';
import { blindIndex } from '../keys/blind-index.ts';
import { decodeEncodedWords } from '../mail/encoded-word.ts';
import { kept } from '../mail/kept.ts';

const SUBJECT_MAX = 300;
const HASH_CHARS = 16;
/** A number, a date or an amount is another in each message. */
const OF_ONE_MESSAGE = /\S*[\p{N}@]\S*/gu;
const NO_WORD = /[^\p{L}\p{M}]+/gu;

/** Gives the type of a message; null where its subject has no words. */
export function campaignTypes(key: KeyObject): (bytes: Uint8Array) => string | null {
  const hashed = kept((words: string) =>
    blindIndex(key, 'campaign-type', words).toString('hex').slice(0, HASH_CHARS),
  );
  return (bytes) => {
    const words = wordsIn(subjectOf(bytes));
    return words === '' ? null : hashed(words);
  };
}

function wordsIn(subject: string): string {
  const plain = subject.includes('=?') ? decodeEncodedWords(subject, SUBJECT_MAX).text : subject;
  return plain.toLowerCase().replace(OF_ONE_MESSAGE, ' ').replace(NO_WORD, ' ').trim();
}

/** As mail libraries write it; a message that writes it otherwise is of no type. */
const NAMES = ['\nSubject:', '\nsubject:', '\nSUBJECT:'].map((name) => Buffer.from(name));
const HEADER_MAX = 65_536;

/** The first Subject as it is written, its continuation lines joined. */
function subjectOf(bytes: Uint8Array): string {
  const length = Math.min(bytes.byteLength, HEADER_MAX);
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, length);
  for (const name of NAMES) {
    const at = head.indexOf(name);
    if (at < 0) continue;
    const headerEnd = head.indexOf('\r\n\r\n');
    if (headerEnd >= 0 && headerEnd < at) return '';
    const from = at + name.length;
    let end = head.indexOf('\r\n', from);
    while (end >= 0 && (head[end + 2] === 0x20 || head[end + 2] === 0x09))
      end = head.indexOf('\r\n', end + 2);
    const value = head.toString('utf8', from, Math.min(end < 0 ? length : end, from + SUBJECT_MAX));
    return value.replace(/\r\n[ \t]+/g, ' ');
  }
  return '';
}
