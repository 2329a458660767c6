/**
 * SMTP replies (RFC 5321 section 4.2): read from bytes as they come, and written as bytes.
 * Invariant: whatever the far side sends, memory stays within the limits below, and no text handed out holds CR, LF, NUL
 * or another control character, so that it can be logged or relayed.
 */

import { Fault } from '../base/errors.ts';

export interface Reply {
  /** 200 to 599. */
  readonly code: number;
  /** RFC 3463 status of the first line ('5.6.7') where its class agrees with the code, or ''. */
  readonly enhanced: string;
  /** The text of each line after code and separator, as sent; control characters are '?'. */
  readonly lines: readonly string[];
  /** All lines as one, joined by a space, each without the enhanced status. */
  readonly text: string;
}

/** RFC 5321 section 4.5.3.1.5 says 512; real servers send more, and none needs 4,096. */
const LINE_BYTES_MAX = 4096;
const LINES_MAX = 200;

const CR = 13;
const LF = 10;
const SPACE = 32;
const HYPHEN = 45;
const DOT = 46;
const ZERO = 48;
const NO_BYTES: Buffer = Buffer.alloc(0);

/**
 * Takes the bytes of one connection in any cuts and gives the replies that are complete.
 * Lines may end in LF alone; everything else of RFC 5321 section 4.2 is required.
 */
export class ReplyReader {
  #rest: Buffer = NO_BYTES;
  #lines: string[] = [];
  #code = 0;

  /** Whether bytes of an unfinished reply are held. */
  get partial(): boolean {
    return this.#rest.length > 0 || this.#lines.length > 0;
  }

  /**
   * The replies completed by this chunk, in order.
   * @throws Fault `smtp.bad-reply` where the bytes are no SMTP reply or pass a limit; the connection must then be closed.
   */
  push(chunk: Buffer): Reply[] {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const replies: Reply[] = [];
    let scanned = this.#rest.length;
    let start = 0;
    for (;;) {
      const end = bytes.indexOf(LF, scanned);
      if (end < 0) break;
      if (end - start > LINE_BYTES_MAX) throw badReply('a line is too long');
      const reply = this.#line(bytes, start, bytes[end - 1] === CR && end > start ? end - 1 : end);
      if (reply !== null) replies.push(reply);
      start = end + 1;
      scanned = start;
    }
    if (bytes.length - start > LINE_BYTES_MAX) throw badReply('a line is too long');
    this.#rest = start === bytes.length ? NO_BYTES : Buffer.from(bytes.subarray(start));
    return replies;
  }

  /** Reads one line without its end; null while the reply goes on. */
  #line(bytes: Buffer, start: number, end: number): Reply | null {
    const code = codeAt(bytes, start, end);
    const more = end > start + 3 && bytes[start + 3] === HYPHEN;
    const text = textOf(bytes, start + 4, end);
    if (this.#lines.length === 0) {
      if (!more) return oneLine(code, text);
      this.#code = code;
    } else if (code !== this.#code) {
      throw badReply('the lines of one reply have different codes');
    }
    if (this.#lines.length === LINES_MAX) throw badReply('a reply has too many lines');
    this.#lines.push(text);
    if (more) return null;
    const lines = this.#lines;
    this.#lines = [];
    return manyLines(code, lines);
  }
}

/** One reply for outcomes that come from ourselves. `text` must be printable; it may hold no line break. */
export function makeReply(code: number, enhanced: string, text: string): Reply {
  return { code, enhanced, lines: [enhanced === '' ? text : `${enhanced} ${text}`], text };
}

/** The bytes of replies that are said again and again: most of those of a session. */
const fixedBytes = new WeakMap<Reply, Buffer>();

/** A reply that is the same in every session. */
export function fixedReply(code: number, enhanced: string, text: string): Reply {
  const reply = makeReply(code, enhanced, text);
  fixedBytes.set(reply, replyBytes(reply));
  return reply;
}

/** The bytes of a reply, each line CRLF-ended. Control characters are written as '?'. */
export function replyBytes(reply: Reply): Buffer {
  const fixed = fixedBytes.get(reply);
  if (fixed !== undefined) return fixed;
  const last = reply.lines.length - 1;
  if (last <= 0) return Buffer.from(`${reply.code} ${printable(reply.lines[0] ?? '')}\r\n`);
  return Buffer.from(
    reply.lines
      .map((line, index) => `${reply.code}${index === last ? ' ' : '-'}${printable(line)}\r\n`)
      .join(''),
  );
}

function codeAt(bytes: Buffer, start: number, end: number): number {
  if (end - start < 3) throw badReply('a line has no code');
  const hundreds = (bytes[start] ?? 0) - ZERO;
  const tens = (bytes[start + 1] ?? 0) - ZERO;
  const ones = (bytes[start + 2] ?? 0) - ZERO;
  const digits = tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9;
  if (hundreds < 2 || hundreds > 5 || !digits) throw badReply('a line has no code');
  const separator = end - start === 3 ? SPACE : bytes[start + 3];
  if (separator !== SPACE && separator !== HYPHEN) throw badReply('a line has no code');
  return hundreds * 100 + tens * 10 + ones;
}

function textOf(bytes: Buffer, start: number, end: number): string {
  if (start >= end) return '';
  let plain = true;
  for (let i = start; i < end; i++) {
    const byte = bytes[i] ?? 0;
    if (byte < SPACE || byte === 127) plain = false;
  }
  const text = bytes.toString('utf8', start, end);
  return plain ? text : printable(text);
}

/** Every C0, DEL and C1 control character as '?'. */
function printable(text: string): string {
  let out = '';
  let from = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit >= SPACE && (unit < 127 || unit > 159)) continue;
    out += `${text.slice(from, i)}?`;
    from = i + 1;
  }
  return from === 0 ? text : out + text.slice(from);
}

function oneLine(code: number, text: string): Reply {
  const length = enhancedLength(code, text);
  if (length === 0) return { code, enhanced: '', lines: [text], text };
  return { code, enhanced: text.slice(0, length), lines: [text], text: text.slice(length + 1) };
}

function manyLines(code: number, lines: readonly string[]): Reply {
  const first = lines[0] ?? '';
  const texts = lines.map((line) => {
    const length = enhancedLength(code, line);
    return length === 0 ? line : line.slice(length + 1);
  });
  return {
    code,
    enhanced: first.slice(0, enhancedLength(code, first)),
    lines,
    text: texts.join(' '),
  };
}

/** Length of `class.subject.detail` (RFC 2034 section 4) at the start of a text, 0 where there is none or its class disagrees. */
function enhancedLength(code: number, text: string): number {
  const hundreds = Math.floor(code / 100);
  if (text.charCodeAt(0) - ZERO !== hundreds || hundreds === 3) return 0;
  const subjectEnd = digitsEnd(text, 1);
  const detailEnd = subjectEnd === 0 ? 0 : digitsEnd(text, subjectEnd);
  if (detailEnd === 0) return 0;
  return detailEnd === text.length || text.charCodeAt(detailEnd) === SPACE ? detailEnd : 0;
}

/** Where '.' and one to three digits at `from` end; 0 where they are not there. */
function digitsEnd(text: string, from: number): number {
  if (text.charCodeAt(from) !== DOT) return 0;
  let end = from + 1;
  while (end < from + 4 && isDigit(text.charCodeAt(end))) end++;
  return end === from + 1 ? 0 : end;
}

function isDigit(unit: number): boolean {
  return unit >= ZERO && unit <= 57;
}

function badReply(what: string): Fault {
  return new Fault('smtp.bad-reply', `the far side sent something that is no SMTP reply: ${what}`);
}
