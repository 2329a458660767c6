/**
 * Finds the parts of a multipart body (RFC 2046 section 5.1).
 *
 * Invariant: time linear in the body. A line that only some clients take for a delimiter (more
 * after the boundary, or after the closing one) gives a second reading and is a defect.
 */
import type { DefectId } from './message.ts';

/** From the first byte up to the byte after the last, in the whole source. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export interface MultipartSplit {
  readonly parts: readonly ByteRange[];
  /** What stands before the first delimiter and after closing ones; blank text left out. */
  readonly between: readonly ByteRange[];
  readonly defects: readonly DefectId[];
}

interface Delimiter {
  /** Without the line break before it, which belongs to the delimiter. */
  readonly start: number;
  readonly end: number;
  readonly closes: boolean;
  /** Whether more than white space follows the boundary on its line. */
  readonly loose: boolean;
}

/** RFC 2046 allows 70; a longer one is searched by its beginning, then compared. */
const SEARCHED_LENGTH = 72;
const LF = 0x0a;
const CR = 0x0d;

/** Splits the body between `start` and `end` of `text`, into not many more than `partsMax` parts. */
export function splitMultipart(
  text: string,
  start: number,
  end: number,
  boundary: string,
  partsMax: number,
): MultipartSplit {
  const body = text.slice(start, end);
  const delimiters = findDelimiters(body, boundary, 2 * partsMax);
  const exact = delimiters.filter((delimiter) => !delimiter.loose);
  const defects: DefectId[] = [];
  const parts: ByteRange[] = [];
  const between: ByteRange[] = [];
  readSequence(body, exact, parts, between);
  if (!exact.at(-1)?.closes) defects.push('unclosed-multipart');
  if (exact.slice(0, -1).some((delimiter) => delimiter.closes)) defects.push('boundary-clash');
  if (exact.length < delimiters.length) {
    defects.push('boundary-clash');
    readSequence(body, delimiters, parts, between);
  }
  return { parts: shifted(parts, start), between: shifted(between, start), defects };
}

function readSequence(
  body: string,
  delimiters: readonly Delimiter[],
  parts: ByteRange[],
  between: ByteRange[],
): void {
  // Of the first reading nothing is known.
  const known =
    parts.length + between.length === 0
      ? null
      : new Set([...parts, ...between].map((range) => `${range.start}-${range.end}`));
  let open = false;
  let start = 0;
  for (let index = 0; index <= delimiters.length; index++) {
    const next = delimiters[index];
    const range = { start, end: Math.max(start, next?.start ?? body.length) };
    const isNew = known === null || !known.has(`${range.start}-${range.end}`);
    if (isNew && open) parts.push(range);
    else if (isNew && body.slice(range.start, range.end).trim() !== '') between.push(range);
    if (next === undefined) return;
    open = !next.closes;
    start = next.end;
  }
}

function findDelimiters(body: string, boundary: string, countMax: number): Delimiter[] {
  const delimiter = `--${boundary}`;
  const searched = delimiter.slice(0, SEARCHED_LENGTH);
  const found: Delimiter[] = [];
  const breaks = new LineBreaks(body);
  let position = body.indexOf(searched);
  while (position !== -1 && found.length <= countMax) {
    const before = position === 0 ? LF : body.charCodeAt(position - 1);
    if ((before === LF || before === CR) && body.startsWith(delimiter, position)) {
      found.push(readDelimiter(body, position, position + delimiter.length));
    }
    // Only the beginning of another line can be the next: never two looks at one line.
    const next = breaks.after(position);
    position = next === -1 ? -1 : body.indexOf(searched, next);
  }
  return found;
}

function readDelimiter(body: string, position: number, afterBoundary: number): Delimiter {
  const closes = body.startsWith('--', afterBoundary);
  let end = closes ? afterBoundary + 2 : afterBoundary;
  while (body.charCodeAt(end) === 0x20 || body.charCodeAt(end) === 0x09) end++;
  let loose = false;
  let code = body.charCodeAt(end);
  while (end < body.length && code !== CR && code !== LF) {
    loose = true;
    code = body.charCodeAt(++end);
  }
  if (code === CR) code = body.charCodeAt(++end);
  if (code === LF) end++;
  let start = position;
  if (start > 0 && body.charCodeAt(start - 1) === LF) start--;
  if (start > 0 && body.charCodeAt(start - 1) === CR) start--;
  return { start, end, closes, loose };
}

function shifted(ranges: readonly ByteRange[], by: number): readonly ByteRange[] {
  return ranges.map((range) => ({ start: range.start + by, end: range.end + by }));
}

/** Remembers the next CR and LF, so that a body with only one kind is not searched to its end twice. */
class LineBreaks {
  readonly #text: string;
  #lineFeed = -1;
  #carriageReturn = -1;

  constructor(text: string) {
    this.#text = text;
  }

  /** The place after the first CR or LF at or after `position`; -1 where there is none. */
  after(position: number): number {
    if (this.#lineFeed < position) this.#lineFeed = this.#find('\n', position);
    if (this.#carriageReturn < position) this.#carriageReturn = this.#find('\r', position);
    const next = Math.min(this.#lineFeed, this.#carriageReturn);
    return next === Number.POSITIVE_INFINITY ? -1 : next + 1;
  }

  #find(character: string, position: number): number {
    const found = this.#text.indexOf(character, position);
    return found === -1 ? Number.POSITIVE_INFINITY : found;
  }
}
