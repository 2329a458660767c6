/**
 * Encrypted mail names each of its readers by a key from outside (RFC 5652, RFC 9580): blind copies are blind no more, and no gate can
 * give each reader a copy without the others' keys.
 */

import { allParts, type ParsedMessage } from '../mail/message.ts';
import { openedIn } from './documents.ts';
import type { Finding } from './finding.ts';
import { readPgp } from './sealed-mail.ts';

const ARMOR = 'BEGIN PGP MESSAGE-----';

/** One finding where all parts together show two keys or more; how many of them are too many is policy. */
export function encryptedReaders(message: ParsedMessage): readonly Finding[] {
  const keys = new Set<string>();
  let path = '';
  const add = (part: string, found: Iterable<string>): void => {
    for (const key of found) {
      if (keys.size < 2) path = part;
      keys.add(key);
    }
  };
  for (const [part, opened] of openedIn(message)) add(part.path, opened.keys);
  // In the decoded texts: a transfer encoding hides the line.
  for (const { path: part, texts } of allParts(message)) {
    const text = texts[0];
    if (text?.includes(ARMOR)) add(part, readPgp(Buffer.from(text, 'latin1'))?.keys ?? []);
  }
  if (keys.size < 2) return [];
  const where = { part: path, field: 'encrypted content', start: 0, end: 0 };
  return [
    {
      id: 'encrypted-readers',
      severity: 'risk',
      where,
      addresses: [],
      count: keys.size,
    },
  ];
}
