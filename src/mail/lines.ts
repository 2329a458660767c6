/** The line breaks of a message: only CRLF is one on the wire (RFC 5321 section 2.3.8). */

export interface LineScan {
  readonly bareCr: boolean;
  readonly bareLf: boolean;
  readonly nul: boolean;
  /** Whether a line has more bytes than allowed, its line break not counted. */
  readonly tooLong: boolean;
}

const CR = 0x0d;

/** Looks at all lines of `text`, bytes as latin1, in time linear in its length. */
export function scanLines(text: string, lineBytes: number): LineScan {
  const length = text.length;
  let bareCr = false;
  let bareLf = false;
  let tooLong = false;
  let carriageReturn = -1;
  let position = 0;
  while (position < length) {
    const found = text.indexOf('\n', position);
    const lineFeed = found === -1 ? length : found;
    const closed = found !== -1 && lineFeed > position && text.charCodeAt(lineFeed - 1) === CR;
    const lineEnd = closed ? lineFeed - 1 : lineFeed;
    if (found !== -1 && !closed) bareLf = true;
    if (!bareCr) {
      if (carriageReturn < position) {
        const next = text.indexOf('\r', position);
        carriageReturn = next === -1 ? length : next;
      }
      bareCr = carriageReturn < lineEnd;
    }
    if (lineEnd - position > lineBytes) tooLong = true;
    position = lineFeed + 1;
  }
  return { bareCr, bareLf, nul: text.includes('\0'), tooLong };
}
