/**
 * Encrypted mail names each of its readers by a key from outside (RFC 5652, RFC 9580): blind copies are blind no more, and no gate can
 * give each reader a copy without the others' keys.
 */

import { allParts, type ParsedMessage } from '../mail/message.ts';
import { openedIn } from './documents.ts';
import type { Finding } from './finding.ts';
import { readPgp } from './sealed-mail.ts';

const ARMOR = 'BEGIN PGP MESSAGE-----';

/** One finding for each part that shows two keys or more; how many of them are too many is policy. */
export function encryptedReaders(message: ParsedMessage): readonly Finding[] {
  const findings: Finding[] = [];
  for (const [part, { keys }] of openedIn(message)) {
    if (keys > 1) findings.push(found(part.path, keys));
  }
  // In the decoded texts: a transfer encoding hides the line.
  for (const { path, texts } of allParts(message)) {
    const text = texts[0];
    const at = text?.indexOf(ARMOR) ?? -1;
    if (text === undefined || at === -1) continue;
    const keys = readPgp(Buffer.from(text.slice(Math.max(0, at - 5)), 'latin1'))?.keys ?? 0;
    if (keys > 1) findings.push(found(path, keys));
  }
  return findings;
}

function found(part: string, count: number): Finding {
  const where = { part, field: 'encrypted content', start: 0, end: 0 };
  return { id: 'encrypted-readers', severity: 'risk', where, addresses: [], count };
}
