/**
 * How many addresses in the attachments of one message are looked at. A list is found by its first thousand; 1,600,000 in an
 * archive of 32 MB took 12 s and 1.3 GB.
 *
 * Invariant: what is beyond the budget is cut off and said to be unread, never looked over.
 */

import type { Budget } from './inflate.ts';
import type { Opened } from './open-file.ts';

/** Every way to write an @ that is looked for; 40 counts behind what makes it a coding. */
const MARK = /@|(?:%|=|%25|\\u00|\\x)40|&(?:commat|#0*64(?!\d)|#[xX]0*40)|[\uFF20\uFE6B]/g;
const FEW_MARKS = ['@', '\uFF20', '\uFE6B', '&'];
const CODED_40 = /[%=0x5]/;

/** The text as far as the budget goes; `whole` where that is all of it. Counts the budget down. */
export function withinBudget(text: string, budget: Budget): { text: string; whole: boolean } {
  const marks = marksIn(text, budget.addresses);
  if (marks <= budget.addresses) {
    budget.addresses -= marks;
    return { text, whole: true };
  }
  for (const match of text.matchAll(MARK)) {
    if (budget.addresses-- > 0) continue;
    budget.addresses = 0;
    return { text: text.slice(0, match.index), whole: false };
  }
  return { text, whole: true };
}

/** At most how many marks there are: quick, and never too few. Stops beyond `enough`. */
function marksIn(text: string, enough: number): number {
  let count = 0;
  for (const mark of FEW_MARKS) {
    for (let at = text.indexOf(mark); at !== -1; at = text.indexOf(mark, at + 1)) {
      if (++count > enough) return count;
    }
  }
  for (let at = text.indexOf('40'); at !== -1; at = text.indexOf('40', at + 1)) {
    if (CODED_40.test(text.charAt(at - 1)) && ++count > enough) return count;
  }
  return count;
}

const AT = 0x40;

/** Bytes that are no text: an @ between two letters or digits counts, since every 256th byte is one. */
function bytesWithinBudget(bytes: Buffer, budget: Budget): boolean {
  let count = 0;
  for (let at = bytes.indexOf(AT); at !== -1; at = bytes.indexOf(AT, at + 1)) {
    if (isWord(bytes[at - 1]) && isWord(bytes[at + 1])) count++;
    // In two bytes a character.
    else if (bytes[at + 1] === 0 && isWord(bytes[at - 2]) && isWord(bytes[at + 2])) count++;
    if (count > budget.addresses) return false;
  }
  budget.addresses -= count;
  return true;
}

function isWord(code: number = 0): boolean {
  const small = code | 0x20;
  return (small >= 0x61 && small <= 0x7a) || (code >= 0x30 && code <= 0x39);
}

/** Cuts what was opened where the budget ends, and counts what was cut as unreadable. */
export function keepWithinBudget(opened: Opened, budget: Budget): void {
  const { pieces, binaries } = opened;
  for (const [index, piece] of pieces.entries()) {
    const { text, whole } = withinBudget(piece.text, budget);
    if (whole) continue;
    pieces[index] = { ...piece, text };
    opened.unreadable++;
  }
  for (let index = binaries.length - 1; index >= 0; index--) {
    const binary = binaries[index];
    if (binary === undefined || bytesWithinBudget(binary, budget)) continue;
    binaries.splice(index, 1);
    opened.unreadable++;
  }
}
