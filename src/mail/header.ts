/**
 * The header section of a message or part: where its fields begin and end, and what they say
 * (RFC 5322 section 2.2, RFC 6532).
 *
 * Invariant: where clients disagree about the end of a line or of the section, the fields of every
 * reading are in the result, those of the most common one first.
 */
import { isUtf8 } from 'node:buffer';
import { decodeEncodedWords } from './encoded-word.ts';
import { kept } from './kept.ts';
import { DEFAULT_LIMITS, type Limits } from './limits.ts';
import { scanLines } from './lines.ts';
import type { DefectId } from './message.ts';
import { readParameters } from './parameters.ts';

/** One field of a header section (RFC 5322 section 2.2). Its texts are read when first asked for. */
export interface HeaderField {
  /** As written, up to the colon, without trailing white space; '' for a line without a colon. */
  readonly name: string;
  /** The name in lower case. */
  readonly lower: string;
  /** The value's bytes as a latin1 string, still folded, without its final line break. */
  readonly raw: string;
  /** Unfolded; bytes read as UTF-8, or latin1 where they are not; outer white space trimmed. */
  readonly value: string;
  /** The value with encoded words (RFC 2047) and parameters (RFC 2231) decoded. */
  readonly decoded: string;
  /** Byte offsets of the whole field in the message. */
  readonly start: number;
  readonly end: number;
}

/** A field that remembers what it read, and what it found wrong. */
export interface ReadField extends HeaderField {
  /** What is wrong with this field alone; asking decodes it. */
  problems(): readonly DefectId[];
}

export interface HeaderSection {
  readonly fields: readonly ReadField[];
  /** Where the body begins; `end` where there is none. */
  readonly bodyStart: number;
  /** Where a client that ends the header at its first line without a colon begins the body; or -1. */
  readonly otherBodyStart: number;
  readonly defects: readonly DefectId[];
}

const NONE: readonly DefectId[] = [];
const CONTROLS = /[\r\n\0]/;
const EIGHT_BIT = /[\x80-\xff]/;
/** RFC 5322 section 2.2: printable US-ASCII except the colon. */
const FIELD_NAME = /^[!-9;-~]+$/;
const BLANK_LINE = /\n[ \t]+(?:\r?\n|$)/;
const MAY_BE_EXTENDED = /\*\d*\*?=/;

/**
 * Reads the header section that begins at `start` of `text`, the message's bytes as latin1, and
 * ends at its first empty line or at `end`. Never throws.
 */
export function readHeaderSection(
  text: string,
  start: number,
  end: number,
  limits: Limits,
): HeaderSection {
  const defects: DefectId[] = [];
  const available = text.slice(start, Math.min(end, start + limits.headerBytes));
  const fields: Field[] = [];
  const { length, otherBodyStart, ended } = readFields(available, start, fields, limits);
  const isCut = !ended && start + length < end;
  if (isCut) defects.push(fields.length >= limits.headerFields ? 'too-many-headers' : 'too-large');
  const lines = scanLines(available.slice(0, length), limits.lineBytes);
  if (lines.bareCr || lines.bareLf || lines.nul) {
    addOtherReadings(available, length, start, fields, limits);
  }
  if (lines.bareCr) defects.push('bare-cr');
  if (lines.bareLf) defects.push('bare-lf');
  if (lines.nul) defects.push('nul-byte');
  if (lines.tooLong) defects.push('line-too-long');
  return { fields, bodyStart: isCut ? end : start + length, otherBodyStart, defects };
}

/** The first field of this lower-case name, or undefined. */
export function findField<Field extends HeaderField>(
  fields: readonly Field[],
  lower: string,
): Field | undefined {
  for (const field of fields) if (field.lower === lower) return field;
  return undefined;
}

function readFields(
  text: string,
  base: number,
  fields: Field[],
  limits: Limits,
): { length: number; otherBodyStart: number; ended: boolean } {
  let otherBodyStart = -1;
  let position = 0;
  while (position < text.length && fields.length < limits.headerFields) {
    const first = text.charCodeAt(position);
    const blank =
      first === 0x0a ? 1 : first === 0x0d && text.charCodeAt(position + 1) === 0x0a ? 2 : 0;
    if (blank !== 0) return { length: position + blank, otherBodyStart, ended: true };
    const next = endOfField(text, position);
    const field = new Field(text, position, next, base, limits);
    fields.push(field);
    const isEnvelopeLine = position === 0 && text.startsWith('From ');
    if (field.lower === '' && otherBodyStart === -1 && !isEnvelopeLine) {
      otherBodyStart = base + position;
    }
    position = next;
  }
  return { length: position, otherBodyStart, ended: false };
}

/** The end of the field at `start`: after the first line break that no white space follows. */
function endOfField(text: string, start: number): number {
  let position = start;
  for (;;) {
    const lineFeed = text.indexOf('\n', position);
    if (lineFeed === -1) return text.length;
    position = lineFeed + 1;
    const next = text.charCodeAt(position);
    if (next !== 0x20 && next !== 0x09) return position;
  }
}

/**
 * Adds the fields of readers that take a bare CR for a line break, drop CR or NUL, or end lines and
 * the section at CRLF only.
 */
function addOtherReadings(
  available: string,
  length: number,
  base: number,
  fields: Field[],
  limits: Limits,
): void {
  const section = available.slice(0, length);
  const strict = strictSection(available, section);
  const broken = section.replace(/\r(?!\n)/g, '\n');
  const variants = [
    section.replace(/\r(?!\n)/g, ''),
    section.replaceAll('\0', ''),
    broken.replaceAll('\0', ''),
    strict,
    strict.replace(/\r(?!\n)|(?<!\r)\n/g, ' '),
  ];
  const known = new Set(fields.map((field) => `${field.lower}:${field.raw}`));
  const tried = new Set([section]);
  for (const variant of variants) {
    if (tried.has(variant)) continue;
    tried.add(variant);
    for (const field of splitLeniently(variant, limits)) {
      const key = `${field.lower}:${field.raw}`;
      if (field.lower === '' || known.has(key)) continue;
      if (fields.length >= 2 * limits.headerFields) return;
      known.add(key);
      field.place(base, base + length);
      fields.push(field);
    }
  }
}

/**
 * The section as a reader has it that ends lines at CRLF only; '' where most line breaks are others,
 * as in a file that never went over a wire: such a reader would find no header in it at all.
 */
function strictSection(available: string, section: string): string {
  const lines = section.split('\n');
  const closed = lines.filter((line) => line.endsWith('\r')).length;
  if (2 * closed < lines.length - 1) return '';
  const end = available.indexOf('\r\n\r\n');
  return end === -1 ? section : available.slice(0, end + 2);
}

/** Fields of a section in which an empty line does not end it. */
function splitLeniently(section: string, limits: Limits): Field[] {
  const fields: Field[] = [];
  let position = 0;
  while (position < section.length && fields.length < limits.headerFields) {
    const next = endOfField(section, position);
    if (section.slice(position, next).trim() !== '') {
      fields.push(new Field(section, position, next, 0, limits));
    }
    position = next;
  }
  return fields;
}

/** One field in one message: its line, and where that stands. */
class Field implements ReadField {
  readonly name: string;
  readonly lower: string;
  readonly raw: string;
  start: number;
  end: number;
  readonly #line: FieldLine;

  constructor(text: string, start: number, end: number, base: number, limits: Limits) {
    let last = end;
    if (text.charCodeAt(last - 1) === 0x0a) last--;
    if (text.charCodeAt(last - 1) === 0x0d && last > start) last--;
    const written = text.slice(start, last);
    const repeats = limits === DEFAULT_LIMITS && !OF_ONE_MESSAGE.test(written);
    const line = repeats ? keptLine(written) : new FieldLine(written, limits);
    this.#line = line;
    this.name = line.name;
    this.lower = line.lower;
    this.raw = line.raw;
    this.start = base + start;
    this.end = base + end;
  }

  get value(): string {
    return this.#line.value;
  }

  get decoded(): string {
    return this.#line.decoded;
  }

  /** Where a second reading stands: nobody can say which of the section's bytes are its own. */
  place(start: number, end: number): void {
    this.start = start;
    this.end = end;
  }

  problems(): readonly DefectId[] {
    return this.#line.problems;
  }
}

/**
 * What a field's line says, whatever message it stands in. A class only for its memory: most fields of most messages are never
 * decoded, and at a million messages reading all of them costs more than everything else here.
 */
class FieldLine {
  readonly name: string;
  readonly lower: string;
  readonly raw: string;
  readonly #limits: Limits;
  readonly #misnamed: boolean;
  #value: string | undefined;
  #decoded: string | undefined;
  #decodingDefects: readonly DefectId[] = NONE;
  #problems: readonly DefectId[] | undefined;

  constructor(line: string, limits: Limits) {
    const colon = line.indexOf(':');
    const written = colon === -1 ? '' : line.slice(0, colon);
    this.name = endsBlank(written) ? written.trim() : written;
    this.lower = this.name.toLowerCase();
    this.raw = colon === -1 ? line : line.slice(colon + 1);
    this.#misnamed = !FIELD_NAME.test(written);
    this.#limits = limits;
  }

  get value(): string {
    this.#value ??= readValue(this.raw);
    return this.#value;
  }

  get decoded(): string {
    if (this.#decoded === undefined) {
      const words = decodeEncodedWords(this.value, this.#limits.encodedWords);
      this.#decodingDefects = words.defects;
      this.#decoded = this.#withParameters(words.text);
    }
    return this.#decoded;
  }

  get problems(): readonly DefectId[] {
    this.#problems ??= this.#findProblems();
    return this.#problems;
  }

  #findProblems(): readonly DefectId[] {
    const { decoded } = this;
    const plain = decoded === this.value && this.#decodingDefects.length === 0;
    if (plain && !this.#misnamed && !/[\n\r\0\x80-\xff]/.test(this.raw)) return NONE;
    const found = new Set<DefectId>(this.#decodingDefects);
    if (this.lower === '') found.add('header-without-colon');
    else if (this.#misnamed) found.add('malformed-header-name');
    if (BLANK_LINE.test(this.raw)) found.add('blank-header-line');
    if (EIGHT_BIT.test(this.raw) && !isUtf8(Buffer.from(this.raw, 'latin1'))) {
      found.add('eight-bit-header');
    }
    if (CONTROLS.test(decoded)) {
      if (decoded.includes('\0')) found.add('nul-byte');
      if (decoded.includes('\r')) found.add('bare-cr');
      if (decoded.includes('\n')) found.add('bare-lf');
    }
    return [...found];
  }

  /** RFC 2231 names stay beside their decoded form, so that no reading is lost. */
  #withParameters(text: string): string {
    if (!this.lower.startsWith('content-') || !MAY_BE_EXTENDED.test(text)) return text;
    const read = readParameters(this.value, this.#limits.parameters);
    this.#decodingDefects = [...this.#decodingDefects, ...read.defects];
    let all = text;
    for (const [name, value] of read.parameters) all += `; ${name}="${value}"`;
    return all;
  }
}

/** Lines that hardly any other message has: not worth keeping. */
const OF_ONE_MESSAGE =
  /^(?:to|cc|date|message-id|received|dkim-signature|content-type: multipart\/)/i;

const keptLine = kept((line) => new FieldLine(line, DEFAULT_LIMITS));

function readValue(raw: string): string {
  const unfolded = raw.includes('\n') ? raw.replace(/\r?\n(?=[ \t])/g, '') : raw;
  if (!EIGHT_BIT.test(unfolded)) return unfolded.trim();
  const bytes = Buffer.from(unfolded, 'latin1');
  return (isUtf8(bytes) ? bytes.toString('utf8') : unfolded).trim();
}

function endsBlank(text: string): boolean {
  const last = text.charCodeAt(text.length - 1);
  return last === 0x20 || last === 0x09 || text.charCodeAt(0) === 0x20 || text.charCodeAt(0) === 9;
}
