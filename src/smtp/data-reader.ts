/**
 * The content after DATA, from the wire (RFC 5321 section 4.5.2): found, checked and un-stuffed.
 * Invariant: only CRLF.CRLF ends it, and content with a bare CR, a bare LF or a NUL is never handed on, so that no
 * other server can find another end in it (SMTP smuggling, CVE-2023-51764 to 51766).
 */

export type DataReading =
  | { readonly kind: 'more' }
  /** `bytes`: un-stuffed, with the last CRLF; `rest`: what came after the end. */
  | { readonly kind: 'content'; readonly bytes: Buffer; readonly rest: Buffer }
  | {
      readonly kind: 'refused';
      readonly why: 'too-large' | 'bare-cr' | 'bare-lf' | 'nul-byte';
      readonly rest: Buffer;
    };

const CR = 13;
const LF = 10;
const DOT = 46;
const END: Buffer = Buffer.from('\r\n.\r\n');
const STUFFED: Buffer = Buffer.from('\r\n.');
const MORE: DataReading = { kind: 'more' };

/** Takes the chunks after 354 until the end has come. One reader reads one content. */
export class DataReader {
  readonly #sizeBytesMax: number;
  /** Grown by doubling and filled up to `#size`: any number of small chunks costs one copy of each byte on average twice. */
  #held: Buffer = Buffer.alloc(0);
  #size = 0;
  /** The last four bytes seen; content begins as if a CRLF had come before it. */
  #tail: Buffer = Buffer.from('\r\n');
  #tooLarge = false;

  /** `sizeBytesMax`: the largest content, counted as on the wire. More is read to its end and dropped. */
  constructor(sizeBytesMax: number) {
    this.#sizeBytesMax = sizeBytesMax;
  }

  push(chunk: Buffer): DataReading {
    const end = this.#endIn(chunk);
    if (end < 0) {
      this.#keep(chunk);
      this.#tail = lastFour(this.#tail, chunk);
      return MORE;
    }
    const rest = chunk.subarray(end);
    const wire = this.#whole(chunk.subarray(0, end));
    if (wire === null) return { kind: 'refused', why: 'too-large', rest };
    const content = wire.subarray(0, wire.length - 3);
    const why = forbiddenByte(content);
    if (why !== '') return { kind: 'refused', why, rest };
    return { kind: 'content', bytes: unstuff(content), rest };
  }

  /** Index in the chunk after CRLF.CRLF, or -1. The end may have begun in earlier chunks. */
  #endIn(chunk: Buffer): number {
    const seam = Buffer.concat([this.#tail, chunk.subarray(0, 4)]);
    const atSeam = seam.indexOf(END);
    if (atSeam >= 0) return atSeam + END.length - this.#tail.length;
    const inside = chunk.indexOf(END);
    return inside < 0 ? -1 : inside + END.length;
  }

  /** Everything up to the end; null where it is more than the limit. Content of one chunk is not copied. */
  #whole(last: Buffer): Buffer | null {
    if (this.#size === 0) return last.length > this.#sizeBytesMax + 3 ? null : last;
    this.#keep(last);
    const wire = this.#held.subarray(0, this.#size);
    this.#held = Buffer.alloc(0);
    return this.#tooLarge ? null : wire;
  }

  #keep(chunk: Buffer): void {
    const size = this.#size + chunk.length;
    this.#tooLarge ||= size > this.#sizeBytesMax + 3;
    if (this.#tooLarge) {
      this.#held = Buffer.alloc(0);
    } else {
      if (size > this.#held.length) {
        const grown = Buffer.allocUnsafe(Math.max(size, this.#held.length * 2, 16_384));
        this.#held.copy(grown, 0, 0, this.#size);
        this.#held = grown;
      }
      chunk.copy(this.#held, this.#size);
    }
    this.#size = size;
  }
}

/** The first byte that may not stand in a message: a CR or LF outside CRLF, or NUL; '' where there is none. */
export function forbiddenByte(bytes: Uint8Array): '' | 'bare-cr' | 'bare-lf' | 'nul-byte' {
  const length = bytes.length;
  for (let i = 0; i < length; i++) {
    const byte = bytes[i] ?? 0;
    if (byte > CR) continue;
    if (byte === CR) {
      if (bytes[i + 1] !== LF) return 'bare-cr';
      i++;
    } else if (byte === LF) return 'bare-lf';
    else if (byte === 0) return 'nul-byte';
  }
  return '';
}

/** Content as it goes on the wire: dots at line starts doubled, ended by CRLF.CRLF. `bytes` has no forbidden byte. */
export function stuffed(bytes: Uint8Array): Buffer {
  const source = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const pieces: Buffer[] = [];
  let from = 0;
  if (source[0] === DOT) pieces.push(Buffer.from('.'));
  for (let at = source.indexOf(STUFFED); at >= 0; at = source.indexOf(STUFFED, at + 2)) {
    pieces.push(source.subarray(from, at + 3));
    from = at + 2;
  }
  pieces.push(source.subarray(from));
  const ended = source.length === 0 || source[source.length - 1] === LF;
  pieces.push(ended ? Buffer.from('.\r\n') : END);
  return Buffer.concat(pieces);
}

/** Without the dots that were doubled. */
function unstuff(content: Buffer): Buffer {
  let at = content.indexOf(STUFFED);
  if (at < 0) return content[0] === DOT ? content.subarray(1) : content;
  const pieces: Buffer[] = [];
  let from = content[0] === DOT ? 1 : 0;
  for (; at >= 0; at = content.indexOf(STUFFED, at + 2)) {
    pieces.push(content.subarray(from, at + 2));
    from = at + 3;
  }
  pieces.push(content.subarray(from));
  return Buffer.concat(pieces);
}

function lastFour(tail: Buffer, chunk: Buffer): Buffer {
  const both = chunk.length >= 4 ? chunk : Buffer.concat([tail, chunk]);
  return Buffer.from(both.subarray(Math.max(0, both.length - 4)));
}
