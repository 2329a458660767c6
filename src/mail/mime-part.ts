/**
 * One entity of a message, with what is read of it only when it is asked for.
 *
 * Invariant: what a part says does not depend on the order in which it is asked.
 */
import { readAddressList } from './address-list.ts';
import { readText, type TextReadings } from './charset.ts';
import type { ReadField } from './header.ts';
import type { Limits } from './limits.ts';
import { scanLines } from './lines.ts';
import type { Defect, DefectId, ParsedMessage, Part } from './message.ts';
import type { ParameterizedValue } from './parameters.ts';
import { type DecodedContent, decodeTransfer } from './transfer-decoding.ts';

/** The bytes that an entity's offsets count in, and the same bytes as a latin1 string. */
export interface Source {
  readonly bytes: Buffer;
  readonly text: string;
}

/** One entity yet to be read. */
export interface Entity {
  readonly source: Source;
  readonly start: number;
  readonly end: number;
  readonly path: string;
  readonly depth: number;
  /** Its type where it names none: message/rfc822 in multipart/digest (RFC 2046 section 5.1.5). */
  readonly defaultType: string;
  /** The boundaries of the multiparts around it. */
  readonly boundaries: readonly string[];
}

const NO_BYTES = new Uint8Array();
const NO_TEXTS: readonly string[] = [];
const NO_PARTS: readonly MimePart[] = [];
const NO_DEFECTS: readonly DefectId[] = [];
/** The header fields that hold address lists (RFC 5322 sections 3.6.2, 3.6.3 and 3.6.6). */
const ADDRESS_FIELDS = new Set([
  'from',
  'sender',
  'reply-to',
  'to',
  'cc',
  'bcc',
  'resent-from',
  'resent-sender',
  'resent-to',
  'resent-cc',
  'resent-bcc',
]);

/** Kept a class for its memory: a leaf is decoded when it is first asked for, and only then. */
export class MimePart implements Part {
  readonly entity: Entity;
  readonly headers: readonly ReadField[];
  readonly bodyStart: number;
  readonly types: readonly ParameterizedValue[];
  /** The transfer encodings named, in order, distinct; often none. */
  readonly encodings: readonly string[];
  readonly disposition: string;
  readonly fileName: string;
  children: readonly MimePart[] = NO_PARTS;
  nested: MessageReading | null = null;
  readonly #otherBodyStart: number;
  readonly #defects: Defect[] = [];
  readonly #surrounding: Uint8Array[] = [];
  #decoded: DecodedContent | undefined;
  #texts: readonly string[] | undefined;
  #textDefects: readonly DefectId[] = NO_DEFECTS;

  constructor(
    entity: Entity,
    read: {
      readonly headers: readonly ReadField[];
      readonly bodyStart: number;
      readonly otherBodyStart: number;
      readonly types: readonly ParameterizedValue[];
      readonly encodings: readonly string[];
      readonly disposition: string;
      readonly fileName: string;
    },
  ) {
    this.entity = entity;
    this.headers = read.headers;
    this.bodyStart = read.bodyStart;
    this.#otherBodyStart = read.otherBodyStart;
    this.types = read.types;
    this.encodings = read.encodings;
    this.disposition = read.disposition;
    this.fileName = read.fileName;
  }

  get path(): string {
    return this.entity.path;
  }

  get contentType(): string {
    return this.types[0]?.value ?? this.entity.defaultType;
  }

  get parameters(): ReadonlyMap<string, string> {
    return this.types[0]?.parameters ?? new Map();
  }

  get content(): Uint8Array {
    return this.contentType.startsWith('multipart/') ? NO_BYTES : this.#decode().content;
  }

  get texts(): readonly string[] {
    this.#texts ??= this.#readTexts();
    return this.#texts;
  }

  /** The body's bytes as they stand in the source. */
  rawBody(): Uint8Array {
    return this.entity.source.bytes.subarray(this.bodyStart, this.entity.end);
  }

  /** Text of a multipart that stands around its parts. */
  addSurrounding(bytes: Uint8Array): void {
    this.#surrounding.push(bytes);
  }

  /** Notes what is wrong with this entity as a whole. */
  report(ids: readonly DefectId[]): void {
    for (const id of ids) this.#defects.push({ id, where: this.#place('body') });
  }

  /** Notes what is wrong with its header section, or with one field of it. */
  reportHeader(ids: readonly DefectId[], name = ''): void {
    for (const id of ids) this.#defects.push({ id, where: this.#headerPlace(name) });
  }

  /** All defects of this part, its children and its nested message; decodes everything. */
  collect(into: Defect[]): void {
    into.push(...this.#defects);
    for (const field of this.headers) this.#collectField(field, into);
    if (this.texts.some((text) => text.includes('\0'))) {
      into.push({ id: 'nul-byte', where: this.#place('body') });
    }
    const encoding = this.children.length > 0 ? NO_DEFECTS : this.#decode().defects;
    for (const id of encoding) into.push({ id, where: this.#place('body') });
    for (const id of this.#textDefects) into.push({ id, where: this.#place('body') });
    for (const child of this.children) child.collect(into);
    if (this.nested !== null) into.push(...this.nested.defects);
  }

  #collectField(field: ReadField, into: Defect[]): void {
    for (const id of field.problems()) into.push({ id, where: this.#headerPlace(field.name) });
    if (!ADDRESS_FIELDS.has(field.lower)) return;
    for (const id of readAddressList(field).defects) {
      into.push({ id, where: this.#headerPlace(field.name) });
    }
  }

  #decode(): DecodedContent {
    this.#decoded ??= decodeTransfer(this.rawBody(), this.encodings[0] ?? '');
    return this.#decoded;
  }

  #readTexts(): readonly string[] {
    const [type] = this.types;
    // Nearly every part has one reading, and to compare it with no other is a tenth of the time of reading it.
    if (this.types.length === 1 && type !== undefined && this.#surrounding.length === 0) {
      const readings = this.#readingsAs(type);
      const [only] = readings;
      if (only === undefined) return NO_TEXTS;
      if (readings.length === 1 && only.texts.length === 1) {
        this.#textDefects = only.defects;
        return only.texts;
      }
    }
    const texts = new Set<string>();
    const defects = new Set<DefectId>();
    for (const bytes of this.#surrounding) {
      for (const text of readText(bytes, '').texts) texts.add(text);
    }
    for (const reading of this.types.flatMap((type) => this.#readingsAs(type))) {
      for (const text of reading.texts) texts.add(text);
      for (const defect of reading.defects) defects.add(defect);
    }
    this.#textDefects = [...defects];
    return texts.size === 0 ? NO_TEXTS : [...texts];
  }

  #readingsAs(type: ParameterizedValue): readonly TextReadings[] {
    const isMessage = type.value.startsWith('message/') && this.nested === null;
    if (!isMessage && !type.value.startsWith('text/')) return [];
    const others = this.#decode().others.length > 0 || this.encodings.length > 1;
    if (!others && this.#otherBodyStart === -1 && type.others.length === 0) {
      const charset = type.parameters.get('charset') ?? '';
      return [readText(this.#decode().content, charset.toLowerCase())];
    }
    const charsets = charsetsOf(type);
    return this.#allContents().flatMap((content) =>
      charsets.map((charset) => readText(content, charset)),
    );
  }

  /** The content under each transfer encoding named, and from where other clients begin the body. */
  #allContents(): readonly Uint8Array[] {
    const { content, others } = this.#decode();
    const contents = [content, ...others];
    for (const encoding of this.encodings.slice(1)) {
      contents.push(decodeTransfer(this.rawBody(), encoding).content);
    }
    if (this.#otherBodyStart !== -1) {
      const { source, end } = this.entity;
      const body = source.bytes.subarray(this.#otherBodyStart, end);
      contents.push(decodeTransfer(body, this.encodings[0] ?? '').content);
    }
    return contents;
  }

  #place(ofRoot: string): string {
    return this.path === '' ? ofRoot : `part ${this.path}`;
  }

  #headerPlace(name: string): string {
    // A name is the sender's text too: only what looks like a field's name is repeated.
    const shown = /^[A-Za-z0-9-]{1,60}$/.test(name) ? ` ${name}` : '';
    return this.path === '' ? `header${shown}` : `part ${this.path} header${shown}`;
  }
}

/** A class for its defects alone, which are found when they are first asked for. */
export class MessageReading implements ParsedMessage {
  readonly bytes: Uint8Array;
  readonly root: MimePart;
  readonly #limits: Limits;
  #defects: readonly Defect[] | undefined;

  constructor(bytes: Uint8Array, root: MimePart, limits: Limits) {
    this.bytes = bytes;
    this.root = root;
    this.#limits = limits;
  }

  get headers(): readonly ReadField[] {
    return this.root.headers;
  }

  get bodyStart(): number {
    return this.root.bodyStart;
  }

  get defects(): readonly Defect[] {
    this.#defects ??= this.#collect();
    return this.#defects;
  }

  #collect(): readonly Defect[] {
    const { source, end } = this.root.entity;
    const defects: Defect[] = [];
    this.root.collect(defects);
    const where = this.root.path === '' ? 'body' : `part ${this.root.path}`;
    const lines = scanLines(source.text.slice(this.bodyStart, end), this.#limits.lineBytes);
    if (lines.bareCr) defects.push({ id: 'bare-cr', where });
    if (lines.bareLf) defects.push({ id: 'bare-lf', where });
    if (lines.nul) defects.push({ id: 'nul-byte', where });
    if (lines.tooLong) defects.push({ id: 'line-too-long', where });
    if (end < this.bytes.length) defects.push({ id: 'too-large', where });
    if (source.text.trim() === '') defects.push({ id: 'empty-message', where });
    return distinct(defects);
  }
}

/** The charset most clients take, and others that the same field names. */
function charsetsOf(type: ParameterizedValue): readonly string[] {
  const charsets = new Set([(type.parameters.get('charset') ?? '').toLowerCase()]);
  for (const [name, value] of type.others)
    if (name === 'charset') charsets.add(value.toLowerCase());
  return charsets.size > 4 ? [...charsets].slice(0, 4) : [...charsets];
}

function distinct(defects: readonly Defect[]): readonly Defect[] {
  if (defects.length < 2) return defects;
  const seen = new Map<string, Defect>();
  for (const defect of defects) {
    const key = `${defect.id} ${defect.where}`;
    if (!seen.has(key)) seen.set(key, defect);
  }
  return [...seen.values()];
}
