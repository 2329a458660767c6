/**
 * The structure of a message: entities, multiparts, nested messages (RFC 2045, 2046).
 *
 * Invariant: the work is bounded by the limits, whatever the bytes are, and a part that one client
 * shows is in the tree, even if most clients would not show it.
 */
import { asBuffer } from './charset.ts';
import { findField, type HeaderSection, type ReadField, readHeaderSection } from './header.ts';
import { kept } from './kept.ts';
import { DEFAULT_LIMITS, type Limits } from './limits.ts';
import type { DefectId, ParsedMessage } from './message.ts';
import { type Entity, MessageReading, MimePart, type Source } from './mime-part.ts';
import { type ByteRange, splitMultipart } from './multipart.ts';
import { type ParameterizedValue, readParameters } from './parameters.ts';
import { decodeTransfer, transferEncodingName } from './transfer-decoding.ts';

/** What all entities of one message share, those of messages nested in it included. */
interface Allowance {
  readonly limits: Limits;
  parts: number;
  bytes: number;
}

const NO_BOUNDARIES: readonly string[] = [];
const NO_PARAMETERS: ReadonlyMap<string, string> = new Map();
/** How many contradicting Content-Type fields, encodings or boundaries of one entity are followed. */
const READINGS_MAX = 4;
const TYPE = /^[!#-'*+\-.0-9A-Z^-~]+\/[!#-'*+\-.0-9A-Z^-~]+$/i;
const NESTED_TYPES = new Set([
  'message/rfc822',
  'message/global',
  'message/news',
  'message/rfc822-headers',
  'message/global-headers',
  'text/rfc822-headers',
  'text/rfc822',
]);
const MESSAGE_FILE = /\.(?:eml|mht|mhtml|nws|mime)$/i;
/** The first line that looks like a delimiter, where no boundary is named. */
const LIKE_A_DELIMITER = /(?:^|[\r\n])--([^\r\n]{1,200})/;
/** Fields that may stand once only (RFC 5322 section 3.6, RFC 2045 section 3, RFC 2183), each with a bit of its own. */
const SINGLE_FIELDS: ReadonlyMap<string, number> = new Map(
  [
    'from',
    'sender',
    'reply-to',
    'to',
    'cc',
    'bcc',
    'message-id',
    'in-reply-to',
    'references',
    'subject',
    'date',
    'mime-version',
    'content-type',
    'content-transfer-encoding',
    'content-disposition',
    'content-id',
    'content-description',
  ].map((name, index) => [name, 1 << index]),
);

/** Reads a whole message. Never throws. */
export function readMessage(bytes: Uint8Array, limits: Limits): ParsedMessage {
  const length = Math.min(bytes.length, limits.messageBytes);
  const allowance: Allowance = { limits, parts: 0, bytes: limits.rereads * length + 1_000_000 };
  return readMessageAt(bytes, '', 0, allowance);
}

function readMessageAt(
  bytes: Uint8Array,
  path: string,
  depth: number,
  allowance: Allowance,
): MessageReading {
  const buffer = asBuffer(bytes);
  const end = Math.min(buffer.length, allowance.limits.messageBytes);
  const source = { bytes: buffer, text: buffer.toString('latin1', 0, end) };
  const root = readEntity(
    { source, start: 0, end, path, depth, defaultType: 'text/plain', boundaries: NO_BOUNDARIES },
    allowance,
  );
  return new MessageReading(bytes, root, allowance.limits);
}

function readEntity(entity: Entity, allowance: Allowance): MimePart {
  allowance.parts++;
  allowance.bytes -= entity.end - entity.start;
  const { limits } = allowance;
  const section = readHeaderSection(entity.source.text, entity.start, entity.end, limits);
  const part = readPart(entity, section, limits);
  reportDuplicates(part, section.fields);
  if (entity.depth >= limits.nesting && part.types.some(isComposite)) {
    part.report(['too-deep']);
    part.addSurrounding(part.rawBody());
    return part;
  }
  const tried = new Set<string>();
  for (const type of part.types) {
    if (type.value.startsWith('multipart/')) readMultipart(part, type, tried, allowance);
    else if (NESTED_TYPES.has(type.value) || MESSAGE_FILE.test(part.fileName)) {
      readNested(part, type, allowance);
    }
  }
  return part;
}

/** Reads the fields that say what the entity is. */
function readPart(entity: Entity, section: HeaderSection, limits: Limits): MimePart {
  const typeDefects: DefectId[] = [];
  const types = fieldsNamed(section, 'content-type').map((field) =>
    readType(field, limits, typeDefects),
  );
  if (types.length === 0) types.push(typeOf(entity.defaultType));
  const encodings = fieldsNamed(section, 'content-transfer-encoding').map((field) =>
    transferEncodingName(field.value),
  );
  const field = findField(section.fields, 'content-disposition');
  const disposition = field && parametersOf(field, limits);
  const part = new MimePart(entity, {
    headers: section.fields,
    bodyStart: section.bodyStart,
    otherBodyStart: section.otherBodyStart,
    types,
    encodings: encodings.length > 1 ? [...new Set(encodings)] : encodings,
    disposition: disposition?.value ?? '',
    fileName: disposition?.parameters.get('filename') ?? types[0]?.parameters.get('name') ?? '',
  });
  part.reportHeader(section.defects);
  part.reportHeader(typeDefects, 'Content-Type');
  if (disposition !== undefined) part.reportHeader(disposition.defects, 'Content-Disposition');
  return part;
}

function fieldsNamed(section: HeaderSection, lower: string): readonly ReadField[] {
  const named: ReadField[] = [];
  for (const field of section.fields) {
    if (field.lower === lower && named.length < READINGS_MAX) named.push(field);
  }
  return named;
}

function readType(field: ReadField, limits: Limits, defects: DefectId[]): ParameterizedValue {
  const read = parametersOf(field, limits);
  defects.push(...read.defects);
  if (TYPE.test(read.value)) return read;
  defects.push('malformed-content-type');
  return { ...read, value: 'text/plain' };
}

function parametersOf(field: ReadField, limits: Limits): ParameterizedValue {
  return limits === DEFAULT_LIMITS
    ? keptParameters(field.value)
    : readParameters(field.value, limits.parameters);
}

const keptParameters = kept((value) => readParameters(value, DEFAULT_LIMITS.parameters));

function typeOf(value: string): ParameterizedValue {
  return { value, parameters: NO_PARAMETERS, others: [], defects: [] };
}

function isComposite(type: ParameterizedValue): boolean {
  return type.value.startsWith('multipart/') || NESTED_TYPES.has(type.value);
}

function reportDuplicates(part: MimePart, fields: readonly ReadField[]): void {
  let seen = 0;
  for (const field of fields) {
    const bit = SINGLE_FIELDS.get(field.lower) ?? 0;
    if ((seen & bit) !== 0) part.reportHeader(['duplicate-header'], field.name);
    seen |= bit;
  }
}

function readNested(part: MimePart, type: ParameterizedValue, allowance: Allowance): void {
  if (part.nested !== null || isExhausted(part, allowance)) return;
  if (part.entity.depth >= allowance.limits.nesting) {
    part.report(['too-deep']);
    return;
  }
  const encoding = compositeEncoding(part);
  // RFC 2046 section 5.2.1; RFC 6532 section 3.7 lifts it for message/global.
  if (encoding !== '' && type.value === 'message/rfc822') part.report(['encoded-composite']);
  const bytes = encoding === '' ? part.rawBody() : decodeTransfer(part.rawBody(), encoding).content;
  const { path, depth } = part.entity;
  part.nested = readMessageAt(bytes, `${path}.m`, depth + 1, allowance);
}

/** Reads the parts by each boundary that was not `tried` for another Content-Type field. */
function readMultipart(
  part: MimePart,
  type: ParameterizedValue,
  tried: Set<string>,
  allowance: Allowance,
): void {
  const { source, end, boundaries } = part.entity;
  const candidates = boundariesOf(part, type).filter((boundary) => !tried.has(boundary));
  for (const boundary of candidates) {
    tried.add(boundary);
    if (boundaries.includes(boundary)) part.report(['boundary-clash']);
    readWithBoundary(part, source, { start: part.bodyStart, end }, boundary, allowance);
  }
  if (tried.size === 0) part.addSurrounding(part.rawBody());
  const encoding = compositeEncoding(part);
  if (encoding === '') return;
  // RFC 2045 section 6.4 forbids it; clients differ in whether they decode the body all the same.
  part.report(['encoded-composite']);
  const bytes = asBuffer(decodeTransfer(part.rawBody(), encoding).content);
  const decoded = { bytes, text: bytes.toString('latin1') };
  for (const boundary of candidates) {
    if (!decoded.text.includes(`--${boundary.slice(0, 70)}`)) continue;
    readWithBoundary(part, decoded, { start: 0, end: bytes.length }, boundary, allowance);
  }
}

function readWithBoundary(
  part: MimePart,
  source: Source,
  body: ByteRange,
  boundary: string,
  allowance: Allowance,
): void {
  allowance.bytes -= body.end - body.start;
  if (isExhausted(part, allowance)) return;
  const split = splitMultipart(source.text, body.start, body.end, boundary, allowance.limits.parts);
  part.report(split.defects);
  for (const { start, end } of split.between)
    part.addSurrounding(source.bytes.subarray(start, end));
  const { path, depth } = part.entity;
  const boundaries = [...part.entity.boundaries, boundary];
  const defaultType = part.contentType === 'multipart/digest' ? 'message/rfc822' : 'text/plain';
  const children = [...part.children];
  for (const { start, end } of split.parts) {
    if (isExhausted(part, allowance)) break;
    const number = children.length + 1;
    const childPath = path === '' ? `${number}` : `${path}.${number}`;
    const child = {
      source,
      start,
      end,
      path: childPath,
      depth: depth + 1,
      defaultType,
      boundaries,
    };
    children.push(readEntity(child, allowance));
  }
  part.children = children;
}

/** Whether nothing more of this message may be read; reports which limit it was. */
function isExhausted(part: MimePart, allowance: Allowance): boolean {
  if (allowance.parts >= allowance.limits.parts) part.report(['too-many-parts']);
  else if (allowance.bytes < 0) part.report(['too-large']);
  else return false;
  part.addSurrounding(part.rawBody());
  return true;
}

/** The encoding of a multipart or message that changes its bytes; '' for none. */
function compositeEncoding(part: MimePart): string {
  return part.encodings.find((name) => name === 'base64' || name === 'quoted-printable') ?? '';
}

/** Every boundary some client would use; guessed from the body where none is named. */
function boundariesOf(part: MimePart, type: ParameterizedValue): readonly string[] {
  const first = type.parameters.get('boundary') ?? '';
  if (first !== '' && type.others.length === 0 && first === first.trim()) return [first];
  const named = new Set<string>();
  if (first !== '') named.add(first).add(first.trim());
  for (const [name, value] of type.others) {
    if (name === 'boundary' && named.size < READINGS_MAX) named.add(value);
  }
  named.delete('');
  if (named.size > 0) return [...named];
  part.report(['missing-boundary']);
  const { source, end } = part.entity;
  const body = source.text.slice(part.bodyStart, Math.min(end, part.bodyStart + 10_000));
  const guess = LIKE_A_DELIMITER.exec(body)?.[1]?.trimEnd() ?? '';
  return guess === '' ? NO_BOUNDARIES : [guess];
}
