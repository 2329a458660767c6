/** The line breaks of a message: only CRLF is one on the wire (RFC 5321 section 2.3.8). */

export interface LineScan {
  readonly bareCr: boolean;
  readonly bareLf: boolean;
  readonly nul: boolean;
  /** Whether a line has more bytes than allowed, its line break not counted. */
  readonly tooLong: boolean;
}

const LF = 0x0a;
const CR = 0x0d;

/** Looks at all lines of `text`, bytes as latin1, in time linear in its length. */
export function scanLines(text: string, lineBytes: number): LineScan {
  let bareLf = false;
  let tooLong = false;
  let position = 0;
  while (position < text.length) {
    const found = text.indexOf('\n', position);
    const lineFeed = found === -1 ? text.length : found;
    const closed = found > position && text.charCodeAt(found - 1) === CR;
    if (!closed && found !== -1) bareLf = true;
    if (lineFeed - position - (closed ? 1 : 0) > lineBytes) tooLong = true;
    position = lineFeed + 1;
  }
  return { bareCr: hasBareCr(text), bareLf, nul: text.includes('\0'), tooLong };
}

function hasBareCr(text: string): boolean {
  let found = text.indexOf('\r');
  while (found !== -1) {
    if (text.charCodeAt(found + 1) !== LF) return true;
    found = text.indexOf('\r', found + 2);
  }
  return false;
}
