/** The numbers of people in the attachments of a message, found once for the detectors that count them. */

import type { ParsedMessage } from '../mail/message.ts';
import { attachedTexts } from './documents.ts';
import { gatherNumbers, noNumbers, type RecordNumbers } from './record-numbers.ts';

const known = new WeakMap<ParsedMessage, RecordNumbers>();

/** Null where nothing with text is attached, as with most messages. */
export function attachedNumbers(message: ParsedMessage): RecordNumbers | null {
  const before = known.get(message);
  if (before !== undefined) return before;
  const texts = attachedTexts(message);
  if (texts.length === 0) return null;
  const numbers = noNumbers();
  for (const { text } of texts) gatherNumbers(text, numbers);
  known.set(message, numbers);
  return numbers;
}
