/** Attached files that nobody has read, or not in full: encrypted, broken, too large or too deep, of a kind that is not read here. */

import type { ParsedMessage } from '../mail/message.ts';
import { openedIn, partsElsewhere } from './documents.ts';
import type { Finding } from './finding.ts';
import type { Opened } from './open-file.ts';
import { pdfReadingOf } from './pdf-reading.ts';

/** One finding for each such part. Pictures, sound and fonts are none: they are not searched for addresses. */
export function unreadableAttachment(message: ParsedMessage): readonly Finding[] {
  const findings: Finding[] = [];
  for (const [part, opened] of openedIn(message)) {
    const count = unreadIn(opened);
    if (count > 0) findings.push(found(part.path, count));
  }
  for (const { path } of partsElsewhere(message)) findings.push(found(path, 1));
  return findings;
}

function unreadIn({ unreadable, pdfs }: Opened): number {
  const unread = pdfs.filter((pdf) => {
    const reading = pdfReadingOf(pdf);
    return reading.kind !== 'read' || !reading.whole;
  });
  return unreadable + unread.length;
}

function found(part: string, count: number): Finding {
  const where = { part, field: 'attachment', start: 0, end: 0 };
  return { id: 'unreadable-attachment', severity: 'risk', where, addresses: [], count };
}
