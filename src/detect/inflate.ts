/**
 * Undoes deflate within what one message may cost in all.
 * Invariant: never more bytes come out than the budget has left, whatever the compressed bytes say of themselves.
 */

import { type Inflation, inflateRaw } from './deflate.ts';

/** What opening the attachments of one message may still cost; counted down. */
export interface Budget {
  bytes: number;
  files: number;
  /** See `address-budget.ts`. */
  addresses: number;
}

/** 32 MB, 2,000 files and 100,000 addresses take about a second and less than 256 MB to open and search. */
export function fullBudget(): Budget {
  return { bytes: 32 * 1024 * 1024, files: 2_000, addresses: 100_000 };
}

/**
 * The content of a raw deflate stream; null where it is broken, cut off, or larger than the budget.
 *
 * @param expected how large the content is said to be
 */
export function inflated(bytes: Uint8Array, expected: number, budget: Budget): Buffer | null {
  const inflation = inflateRaw(bytes, 0, budget.bytes, expected);
  if (inflation === null) return null;
  budget.bytes -= inflation.content.length;
  return inflation.content;
}

/** The content of a gzip file (RFC 1952), all of its members; null as above, and where something else follows them. */
export function gunzipped(bytes: Uint8Array, budget: Budget): Buffer | null {
  const members: Buffer[] = [];
  let at = 0;
  do {
    const from = behindGzipHeader(bytes, at);
    const member: Inflation | null =
      from === null || budget.files-- <= 0
        ? null
        : inflateRaw(bytes, from, budget.bytes, 4 * (bytes.length - from));
    if (member === null || member.end + 8 > bytes.length) return null;
    budget.bytes -= member.content.length;
    members.push(member.content);
    at = member.end + 8;
  } while (bytes[at] === 0x1f);
  // Tapes fill their blocks up with zeros.
  for (; at < bytes.length; at++) if (bytes[at] !== 0) return null;
  return members.length === 1 ? (members[0] ?? null) : Buffer.concat(members);
}

const CHECKED = 2;
const EXTRA = 4;
const NAMED = 8;
const COMMENTED = 16;

function behindGzipHeader(bytes: Uint8Array, start: number): number | null {
  if (bytes[start] !== 0x1f || bytes[start + 1] !== 0x8b || bytes[start + 2] !== 8) return null;
  const flags = bytes[start + 3] ?? 0;
  let at = start + 10;
  if ((flags & EXTRA) !== 0) at += 2 + (bytes[at] ?? 0) + 256 * (bytes[at + 1] ?? 0);
  for (const flag of [NAMED, COMMENTED]) {
    if ((flags & flag) === 0) continue;
    const end = bytes.indexOf(0, at);
    if (end === -1) return null;
    at = end + 1;
  }
  if ((flags & CHECKED) !== 0) at += 2;
  return at < bytes.length ? at : null;
}
