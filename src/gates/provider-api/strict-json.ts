/**
 * JSON that has one reading only (RFC 8259 section 4 leaves a repeated member name open).
 *
 * Invariant: what is handed out is what every conforming parser makes of the bytes; bytes that two
 * parsers could take for different values are invalid.
 */

/** A value, or why there is none; `place` is a path such as `personalizations.0.to`. */
export type JsonReading =
  | { readonly kind: 'value'; readonly value: unknown }
  | { readonly kind: 'invalid'; readonly reason: string; readonly place: string | null };

const DEPTH_MAX = 32;
const QUOTE = 34;
const COMMA = 44;
const OPEN_ARRAY = 91;
const BACKSLASH = 92;
const CLOSE_ARRAY = 93;
const OPEN_OBJECT = 123;
const CLOSE_OBJECT = 125;

/** An open object with the names it has had, or an open array (names null) with its position. */
interface Level {
  readonly names: Set<string> | null;
  name: string;
  position: number;
}

/**
 * Reads bytes as UTF-8 JSON without a byte order mark. Never throws.
 * Invalid are: bytes that are no UTF-8, text that is no JSON, a member name given twice in one
 * object, and nesting deeper than 32.
 */
export function readStrictJson(bytes: Uint8Array): JsonReading {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return { kind: 'invalid', reason: 'Invalid UTF8 in request.', place: null };
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's own message quotes the text, which may hold an address.
    return { kind: 'invalid', reason: 'The request body is not valid JSON.', place: null };
  }
  return findAmbiguity(text) ?? { kind: 'value', value };
}

/** `JSON.parse` and `JSON.rawJSON` with the source text of numbers (ECMAScript 2026). */
interface ExactJson {
  parse(
    text: string,
    reviver: (name: string, value: unknown, context: { readonly source?: string }) => unknown,
  ): unknown;
  rawJSON(source: string): object;
}

/**
 * Reads text that {@link readStrictJson} has read, to be written again by `JSON.stringify`: a number
 * that would not be written as it was given stands as an object that is.
 */
export function readRewritableJson(bytes: Uint8Array): unknown {
  const { parse, rawJSON } = JSON as unknown as ExactJson;
  return parse(Buffer.from(bytes).toString('utf8'), (_, value, { source }) =>
    typeof value === 'number' && source !== undefined && String(value) !== source
      ? rawJSON(source)
      : value,
  );
}

/** The first repeated name or too deep nesting in a text that is known to be JSON. */
function findAmbiguity(text: string): JsonReading | null {
  const levels: Level[] = [];
  let nameComes = false;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    const level = levels.at(-1);
    if (unit === QUOTE) {
      const end = stringEnd(text, i);
      if (nameComes && level !== undefined && !takeName(level, text.slice(i, end))) {
        return ambiguous('A property is given twice in one object.', levels);
      }
      nameComes = false;
      i = end - 1;
    } else if (unit === COMMA) {
      if (level !== undefined) level.position++;
      nameComes = level?.names != null;
    } else if (unit === OPEN_OBJECT || unit === OPEN_ARRAY) {
      if (levels.length === DEPTH_MAX) return ambiguous('The JSON is nested too deeply.', levels);
      nameComes = unit === OPEN_OBJECT;
      levels.push({ names: nameComes ? new Set() : null, name: '', position: 0 });
    } else if (unit === CLOSE_OBJECT || unit === CLOSE_ARRAY) {
      levels.pop();
      nameComes = false;
    }
  }
  return null;
}

/** Enters a member name, still quoted; false where the object has had it. */
function takeName(level: Level, quoted: string): boolean {
  const name: string = quoted.includes('\\') ? JSON.parse(quoted) : quoted.slice(1, -1);
  level.name = name;
  if (level.names === null) return true;
  if (level.names.has(name)) return false;
  level.names.add(name);
  return true;
}

/** The index after the closing quote of the string that opens at `start`. */
function stringEnd(text: string, start: number): number {
  let end = text.indexOf('"', start + 1);
  while (end > 0 && isEscaped(text, end)) end = text.indexOf('"', end + 1);
  return end < 0 ? text.length : end + 1;
}

function isEscaped(text: string, quote: number): boolean {
  let backslashes = 0;
  while (text.charCodeAt(quote - 1 - backslashes) === BACKSLASH) backslashes++;
  return backslashes % 2 === 1;
}

function ambiguous(reason: string, levels: readonly Level[]): JsonReading {
  const place = levels
    .map((level) => (level.names === null ? String(level.position) : placeName(level.name)))
    .join('.');
  return { kind: 'invalid', reason, place };
}

/** A name fit for an error: one that could be somebody's data is left out. */
function placeName(name: string): string {
  return /^[A-Za-z0-9_-]{1,64}$/.test(name) ? name : '*';
}
