/**
 * Undoes deflate within what one message may cost in all.
 * Invariant: never more bytes come out than the budget has left, whatever the compressed bytes say of themselves.
 */

import { Gunzip, Inflate } from 'fflate';

/** What opening the attachments of one message may still cost; counted down. */
export interface Budget {
  bytes: number;
  files: number;
}

/** 32 MB and 2,000 files take under a second and 256 MB to open and search. */
export function fullBudget(): Budget {
  return { bytes: 32 * 1024 * 1024, files: 2_000 };
}

/** Deflate makes at most 1,032 of one byte: a step of 8 KB goes no more than 8 MB beyond the budget. */
const STEP = 8192;

/** The content of a raw deflate or gzip stream; null where it is broken, cut off, or larger than the budget. */
export function inflated(
  bytes: Uint8Array,
  format: 'deflate' | 'gzip',
  budget: Budget,
): Buffer | null {
  const chunks: Uint8Array[] = [];
  let size = 0;
  let ended = false;
  const stream = format === 'gzip' ? new Gunzip() : new Inflate();
  stream.ondata = (chunk, final) => {
    chunks.push(chunk);
    size += chunk.length;
    ended = final;
  };
  try {
    for (let from = 0; from < bytes.length; from += STEP) {
      stream.push(bytes.subarray(from, from + STEP), from + STEP >= bytes.length);
      if (size > budget.bytes) return null;
    }
  } catch {
    return null;
  }
  if (!ended) return null;
  budget.bytes -= size;
  return Buffer.concat(chunks, size);
}
