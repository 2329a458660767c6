/** Reads ASN.1 values as S/MIME writes them: DER, and BER with indefinite lengths (X.690). */

export interface DerValue {
  /** The identifier octet. */
  readonly tag: number;
  readonly content: Buffer;
  /** Behind the value, in the bytes it was read from. */
  readonly end: number;
}

const DEPTH_MAX = 32;

/** The value at `at`; null where there is none. An indefinite length ends at its end-of-contents. */
export function derAt(bytes: Buffer, at: number, depth = 0): DerValue | null {
  const tag = bytes[at];
  const first = bytes[at + 1];
  if (tag === undefined || first === undefined || (tag & 0x1f) === 0x1f || depth > DEPTH_MAX) {
    return null;
  }
  if (first === 0x80) return indefinite(bytes, tag, at + 2, depth);
  let length = first;
  let start = at + 2;
  if (first > 0x80) {
    const octets = first & 0x7f;
    if (octets > 6 || start + octets > bytes.length) return null;
    length = bytes.readUIntBE(start, octets);
    start += octets;
  }
  const end = start + length;
  return end > bytes.length ? null : { tag, content: bytes.subarray(start, end), end };
}

function indefinite(bytes: Buffer, tag: number, start: number, depth: number): DerValue | null {
  let at = start;
  while (!(bytes[at] === 0 && bytes[at + 1] === 0)) {
    const inner = derAt(bytes, at, depth + 1);
    if (inner === null) return null;
    at = inner.end;
  }
  return { tag, content: bytes.subarray(start, at), end: at + 2 };
}

/** The values one after another in `bytes`, up to the first that is none. */
export function derValues(bytes: Buffer): readonly DerValue[] {
  const values: DerValue[] = [];
  for (let at = 0; at < bytes.length; ) {
    const value = derAt(bytes, at);
    if (value === null) break;
    values.push(value);
    at = value.end;
  }
  return values;
}
