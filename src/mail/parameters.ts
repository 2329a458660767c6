/**
 * A field value with parameters: Content-Type and Content-Disposition (RFC 2045 section 5.1), with
 * continuations and charsets (RFC 2231).
 *
 * Invariant: time linear in the value; a parameter given twice keeps all its values.
 */
import { decodeCharset } from './charset.ts';
import { decodeEncodedWords } from './encoded-word.ts';
import type { DefectId } from './message.ts';

export interface ParameterizedValue {
  /** What stands before the first semicolon, in lower case, comments gone. */
  readonly value: string;
  /** Names in lower case; the reading that most clients prefer. */
  readonly parameters: ReadonlyMap<string, string>;
  /** Values of the same names that another client may prefer. */
  readonly others: readonly (readonly [name: string, value: string])[];
  readonly defects: readonly DefectId[];
}

interface Segment {
  readonly index: number;
  readonly encoded: boolean;
  readonly value: string;
}

/** What has been read of a field so far. */
interface Collection {
  readonly plain: Map<string, string>;
  readonly segments: Map<string, Segment[]>;
  readonly others: (readonly [name: string, value: string])[];
  readonly defects: Set<DefectId>;
}

/** A parameter's name in three parts (RFC 2231 section 7): attribute, section, extended mark. */
const EXTENDED_NAME = /^([^*]+)(?:\*(\d{1,4}))?(\*)?$/;

/** Reads the value of one field, unfolded; at most `limit` parameters. Never throws. */
export function readParameters(text: string, limit: number): ParameterizedValue {
  const scanner = new Scanner(text);
  const value = scanner.until(';').trim().toLowerCase();
  const collection: Collection = {
    plain: new Map(),
    segments: new Map(),
    others: [],
    defects: new Set(),
  };
  for (let count = 0; !scanner.atEnd(); count++) {
    if (count === limit) {
      collection.defects.add('malformed-content-type');
      break;
    }
    readParameter(scanner, collection, limit);
  }
  const { plain, segments, others, defects } = collection;
  for (const [name, list] of segments) {
    const unextended = plain.get(name);
    if (unextended !== undefined) others.push([name, unextended]);
    // RFC 2231 sections 3 and 4; RFC 6266 section 4.3 prefers the extended form, as clients do.
    plain.set(name, joinSegments(list, defects));
  }
  return { value, parameters: plain, others, defects: [...defects] };
}

function readParameter(scanner: Scanner, collection: Collection, limit: number): void {
  const { plain, segments, others, defects } = collection;
  const name = scanner.until('=;').trim().toLowerCase();
  const written = scanner.last === '=' ? scanner.value() : '';
  if (name === '' && written === '') return;
  if (name === '' || scanner.broken) defects.add('malformed-content-type');
  if (scanner.whole !== '' && scanner.whole !== written) others.push([name, scanner.whole]);
  const parts = name.includes('*') ? EXTENDED_NAME.exec(name) : null;
  if (parts !== null) {
    addSegment(segments, parts, written);
    return;
  }
  const decoded = decodeEncodedWords(written, limit).text;
  const known = plain.get(name);
  if (known === undefined) plain.set(name, decoded);
  else if (known !== decoded) {
    others.push([name, decoded]);
    defects.add('duplicate-parameter');
  }
}

function addSegment(segments: Map<string, Segment[]>, parts: RegExpExecArray, value: string): void {
  const name = parts[1] ?? '';
  const list = segments.get(name) ?? [];
  list.push({ index: Number(parts[2] ?? '0'), encoded: parts[3] !== undefined, value });
  segments.set(name, list);
}

function joinSegments(list: readonly Segment[], defects: Set<DefectId>): string {
  const ordered = list.toSorted((one, other) => one.index - other.index);
  if (ordered.some((segment, place) => segment.index !== place)) {
    defects.add('duplicate-parameter');
  }
  let charset = '';
  const chunks: Buffer[] = [];
  // Neighbours are decoded together: programs join them first, and a cut may go through %XX.
  let coded = '';
  const flush = (): void => {
    if (coded !== '') chunks.push(percentDecode(coded));
    coded = '';
  };
  for (const [place, segment] of ordered.entries()) {
    let value = segment.value;
    if (place === 0 && segment.encoded) {
      const language = value.indexOf("'");
      const start = value.indexOf("'", language + 1);
      if (language !== -1 && start !== -1) {
        charset = value.slice(0, language);
        value = value.slice(start + 1);
      }
    }
    if (segment.encoded) coded += value;
    else {
      flush();
      chunks.push(Buffer.from(value, 'utf8'));
    }
  }
  flush();
  const reading = decodeCharset(Buffer.concat(chunks), charset);
  for (const defect of reading.defects) defects.add(defect);
  return reading.texts[0] ?? '';
}

function percentDecode(text: string): Buffer {
  if (!text.includes('%')) return Buffer.from(text, 'utf8');
  // Each %XX is one octet; latin1 holds octets one to one, and other characters go as UTF-8.
  const octets = Buffer.from(text, 'utf8')
    .toString('latin1')
    .replace(/%([0-9A-Fa-f]{2})/g, (_whole, digits: string) =>
      String.fromCharCode(Number.parseInt(digits, 16)),
    );
  return Buffer.from(octets, 'latin1');
}

/** Walks once over a value, skipping comments and undoing quoted strings. */
class Scanner {
  /** The character that ended the last piece; '' at the end. */
  last = '';
  /** Whether the last parameter's value was not a token or one closed quoted string. */
  broken = false;
  /** The last unquoted value with its comments, which some clients keep. */
  whole = '';
  readonly #text: string;
  #index = 0;

  constructor(text: string) {
    this.#text = text;
  }

  atEnd(): boolean {
    return this.#index >= this.#text.length;
  }

  /** The text up to one of the given characters, which is consumed, without comments. */
  until(stops: string): string {
    this.whole = '';
    const text = this.#text;
    let piece = '';
    let from = this.#index;
    for (; this.#index < text.length; this.#index++) {
      const character = text.charAt(this.#index);
      if (stops.includes(character)) {
        piece += text.slice(from, this.#index++);
        this.last = character;
        return piece;
      }
      if (character === '(') {
        piece += text.slice(from, this.#index);
        this.#skipComment();
        from = this.#index + 1;
      }
    }
    this.last = '';
    return piece + text.slice(from);
  }

  /** A parameter's value up to the next semicolon, which is consumed. */
  value(): string {
    this.broken = false;
    const text = this.#text;
    while (text[this.#index] === ' ' || text[this.#index] === '\t') this.#index++;
    if (text[this.#index] !== '"') {
      const start = this.#index;
      const token = this.until(';').trim();
      // A space inside an unquoted value is common ("name=my file.pdf") and read by all clients.
      if (/["<>,]/.test(token)) this.broken = true;
      const end = this.last === ';' ? this.#index - 1 : text.length;
      this.whole = text.slice(start, end).trim();
      return token;
    }
    this.#index++;
    let value = '';
    let from = this.#index;
    for (; this.#index < text.length && text[this.#index] !== '"'; this.#index++) {
      if (text[this.#index] !== '\\') continue;
      value += text.slice(from, this.#index);
      from = ++this.#index;
    }
    value += text.slice(from, this.#index);
    if (this.#index >= text.length) this.broken = true;
    this.#index++;
    if (this.until(';').trim() !== '') this.broken = true;
    return value;
  }

  #skipComment(): void {
    const text = this.#text;
    let depth = 0;
    for (; this.#index < text.length; this.#index++) {
      const character = text[this.#index];
      if (character === '\\') this.#index++;
      else if (character === '(') depth++;
      else if (character === ')' && --depth === 0) return;
    }
  }
}
