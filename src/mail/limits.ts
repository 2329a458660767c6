/**
 * How much of a message is read before the rest is reported instead of read.
 *
 * Invariant: every limit is a positive safe integer. A limit that is no number would switch its own
 * check off, so such a one is refused where it is made.
 */
import { Fault } from '../base/errors.ts';

export interface Limits {
  /** Bytes of the whole message. What follows is not read; defect `too-large`. */
  readonly messageBytes: number;
  /** Bytes of one header section. What follows is not read; defect `too-large`. */
  readonly headerBytes: number;
  /** Fields in one header section; defect `too-many-headers`. */
  readonly headerFields: number;
  /** Encoded words decoded in one field; defect `malformed-encoded-word`. */
  readonly encodedWords: number;
  /** Parameters read in one field; defect `malformed-content-type`. */
  readonly parameters: number;
  /** Parts of the whole message, nested messages and second readings included; `too-many-parts`. */
  readonly parts: number;
  /** Multiparts and messages inside each other; defect `too-deep`. */
  readonly nesting: number;
  /** Bytes in a line without its line break (RFC 5322 section 2.1.1); `line-too-long`. */
  readonly lineBytes: number;
  /** How many times the size of the message may be read in all; defect `too-large`. */
  readonly rereads: number;
}

/** The limits in force unless a caller names others. */
export const DEFAULT_LIMITS: Limits = Object.freeze({
  messageBytes: 64 * 1024 * 1024,
  headerBytes: 2 * 1024 * 1024,
  headerFields: 2_000,
  encodedWords: 10_000,
  parameters: 200,
  parts: 1_000,
  nesting: 20,
  lineBytes: 998,
  rereads: 40,
});

/**
 * The default limits with some replaced.
 *
 * @throws Fault `invalid-limit` where a value is not a positive safe integer.
 */
export function limitsWith(changes: Partial<Limits>): Limits {
  for (const [name, value] of Object.entries(changes)) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new Fault('invalid-limit', `the limit ${name} is not a positive whole number`, {
        where: `limit ${name}`,
        remedy: 'give a whole number of at least 1',
      });
    }
  }
  return Object.freeze({ ...DEFAULT_LIMITS, ...changes });
}
