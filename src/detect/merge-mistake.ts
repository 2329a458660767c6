/** A greeting that does not fit the reader: rows of a merge have shifted, or the wrong file was merged. */

import type { ParsedMessage } from '../mail/message.ts';
import type { DetectContext } from './detector.ts';
import type { Finding } from './finding.ts';
import { fits, greetedBy, nameOf } from './salutation.ts';

const NONE: readonly Finding[] = [];

/** Needs the reader's own record; without one, see `copies-compared.ts`. */
export function mergeMistake(message: ParsedMessage, context: DetectContext): readonly Finding[] {
  const { reader, recordOf } = context;
  if (reader === null || !recordOf) return NONE;
  const names = (recordOf(reader)?.names ?? []).map(nameOf).filter((name) => name.length > 0);
  if (names.length === 0) return NONE;
  const greeted = greetedBy(message);
  if (greeted.length === 0 || fits(greeted, names)) return NONE;
  return [wrongName()];
}

/** Somebody else is named where the reader should be. */
export function wrongName(): Finding {
  const where = { part: '', field: 'text', start: 0, end: 0 };
  return { id: 'merge-mistake', severity: 'risk', where, addresses: [], count: 1 };
}
