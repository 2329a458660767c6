/**
 * Forms as HTTP carries them: `multipart/form-data` (RFC 7578) and `application/x-www-form-urlencoded`,
 * read into their fields in order and written again.
 *
 * Invariants: content is handed out byte for byte; a body that two parsers could divide differently,
 * or that goes beyond the limits, is invalid. Never throws for bad input.
 */

import { randomBytes } from 'node:crypto';

/** One field; several may have one name. */
export interface FormField {
  readonly name: string;
  /** Null where the field is no file. */
  readonly fileName: string | null;
  /** As given; null where there is none. */
  readonly contentType: string | null;
  readonly content: Buffer;
}

export type FormReading =
  | { readonly kind: 'form'; readonly fields: readonly FormField[] }
  /** The reason is a sentence without content in it. */
  | { readonly kind: 'invalid'; readonly reason: string };

interface FormLimits {
  readonly fieldsMax: number;
  /** The header of one part. */
  readonly headerBytesMax: number;
  readonly nameLengthMax: number;
}

const LIMITS: FormLimits = { fieldsMax: 5000, headerBytesMax: 8192, nameLengthMax: 500 };
/** RFC 2046 section 5.1.1; a space at its end would be lost. */
const BOUNDARY = /^[A-Za-z0-9'()+_,\-./:=? ]{0,69}[A-Za-z0-9'()+_,\-./:=?]$/;
const CRLFCRLF = Buffer.from('\r\n\r\n');

class Malformed extends Error {}

/** The boundary in a Content-Type; null where it is no `multipart/form-data` with exactly one. */
function formBoundary(contentType: string): string | null {
  const match =
    /^multipart\/form-data *; *boundary=(?:"([^"\\]{1,70})"|([^\s";,]{1,70})) *(?:; *charset="?utf-8"? *)?$/i.exec(
      contentType.trim(),
    );
  const boundary = match?.[1] ?? match?.[2] ?? '';
  return BOUNDARY.test(boundary) ? boundary : null;
}

/** Reads a form by its Content-Type. */
export function readForm(
  contentType: string,
  body: Buffer,
  limits: Partial<FormLimits> = {},
): FormReading {
  const all = { ...LIMITS, ...limits };
  try {
    if (isUrlencoded(contentType)) return { kind: 'form', fields: readUrlencoded(body, all) };
    const boundary = formBoundary(contentType);
    if (boundary === null) throw new Malformed('The Content-Type names no readable form.');
    return { kind: 'form', fields: readMultipart(body, boundary, all) };
  } catch (error) {
    if (error instanceof Malformed) return { kind: 'invalid', reason: error.message };
    throw error;
  }
}

function isUrlencoded(contentType: string): boolean {
  return /^application\/x-www-form-urlencoded *(?:; *charset="?utf-8"? *)?$/i.test(
    contentType.trim(),
  );
}

function readMultipart(body: Buffer, boundary: string, limits: FormLimits): readonly FormField[] {
  const dashes = Buffer.from(`--${boundary}`, 'latin1');
  const fields: FormField[] = [];
  if (body.indexOf(dashes) !== 0) throw new Malformed('The form does not begin with its boundary.');
  let at = dashes.length;
  for (;;) {
    if (body[at] === 0x2d && body[at + 1] === 0x2d) return endOf(body, at + 2, fields);
    if (body[at] !== 0x0d || body[at + 1] !== 0x0a) {
      throw new Malformed('Something follows a boundary on its line.');
    }
    if (fields.length === limits.fieldsMax) throw new Malformed('The form has too many fields.');
    const headerEnd = body.indexOf(CRLFCRLF, at);
    if (headerEnd < 0 || headerEnd - at > limits.headerBytesMax) {
      throw new Malformed('A field of the form has no end of its header, or too long a one.');
    }
    const start = headerEnd + CRLFCRLF.length;
    // Any other occurrence of the boundary is one that some parsers take for a delimiter.
    const next = body.indexOf(dashes, start);
    if (next < start + 2 || body[next - 2] !== 0x0d || body[next - 1] !== 0x0a) {
      throw new Malformed('A field of the form has no end, or its boundary in the content.');
    }
    const header = readPartHeader(body.subarray(at + 2, headerEnd), limits);
    fields.push({ ...header, content: body.subarray(start, next - 2) });
    at = next + dashes.length;
  }
}

function endOf(body: Buffer, from: number, fields: readonly FormField[]): readonly FormField[] {
  const rest = body.toString('latin1', from);
  if (rest !== '' && rest !== '\r\n') throw new Malformed('Something follows the end of the form.');
  return fields;
}

function readPartHeader(header: Buffer, limits: FormLimits): Omit<FormField, 'content'> {
  const seen = new Map<string, string>();
  for (const line of utf8(header).split('\r\n')) {
    const match = /^([!-9;-~]{1,100}):[ \t]*(.*?)[ \t]*$/.exec(line);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
    if (match === null || /[\u0000-\u0008\u000a-\u001f\u007f\u2028\u2029]/.test(line)) {
      throw new Malformed('A field of the form has a malformed header.');
    }
    const name = (match[1] ?? '').toLowerCase();
    if (seen.has(name)) throw new Malformed('A field of the form has a header twice.');
    seen.set(name, match[2] ?? '');
  }
  const { name, fileName } = readDisposition(seen.get('content-disposition') ?? '', limits);
  const coding = seen.get('content-transfer-encoding') ?? 'binary';
  // RFC 7578 section 4.7: no longer used; parsers differ in whether they decode.
  if (!/^(?:binary|8bit|7bit)$/i.test(coding)) {
    throw new Malformed('A field of the form has a transfer encoding.');
  }
  return { name, fileName, contentType: seen.get('content-type') ?? null };
}

function readDisposition(
  value: string,
  limits: FormLimits,
): { readonly name: string; readonly fileName: string | null } {
  const parameters = /^form-data((?: *; *[a-z*]+="[^"]*")*)$/i.exec(value)?.[1];
  let name: string | null = null;
  let fileName: string | null = null;
  for (const [, key = '', text = ''] of (parameters ?? '').matchAll(/([a-z*]+)="([^"]*)"/gi)) {
    const known = key.toLowerCase();
    // A backslash ends nothing for browsers and escapes for others (WHATWG, "multipart form data").
    if (text.includes('\\') && known === 'name') throw new Malformed(AMBIGUOUS);
    if (known === 'name' && name === null) name = unescapeName(text);
    else if (known === 'filename' && fileName === null) fileName = unescapeName(text);
    else throw new Malformed(AMBIGUOUS);
  }
  if (parameters === undefined || name === null || name === '') throw new Malformed(AMBIGUOUS);
  if (name.length > limits.nameLengthMax) throw new Malformed('The name of a field is too long.');
  return { name, fileName };
}

const AMBIGUOUS = 'The Content-Disposition of a field of the form is malformed or ambiguous.';

/** What browsers write for a quote and a line break; a line break in a name is nobody's intent. */
function unescapeName(text: string): string {
  if (/%0[ad]/i.test(text)) throw new Malformed('A name in the form has a line break.');
  return text.replaceAll('%22', '"');
}

function readUrlencoded(body: Buffer, limits: FormLimits): readonly FormField[] {
  const text = body.toString('latin1');
  if (text === '') return [];
  const pairs = text.split('&');
  if (pairs.length > limits.fieldsMax) throw new Malformed('The form has too many fields.');
  return pairs.map((pair) => {
    const equals = pair.indexOf('=');
    if (equals <= 0) throw new Malformed('A field of the form has no name or no value.');
    const name = utf8(decodeForm(pair.slice(0, equals)));
    if (name.length > limits.nameLengthMax) throw new Malformed('The name of a field is too long.');
    const content = decodeForm(pair.slice(equals + 1));
    return { name, fileName: null, contentType: null, content };
  });
}

function decodeForm(text: string): Buffer {
  if (/%(?![0-9A-Fa-f]{2})/.test(text) || /[^\x21-\x7e]/.test(text) || text.includes(';')) {
    throw new Malformed('A field of the form is not percent-encoded as it should be.');
  }
  const bytes = text
    .replaceAll('+', ' ')
    .replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    );
  return Buffer.from(bytes, 'latin1');
}

/** Text that is UTF-8, as a field's value; null where it is none. */
export function textOf(field: FormField): string | null {
  try {
    return utf8(field.content);
  } catch {
    return null;
  }
}

function utf8(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Malformed('A field of the form is not UTF-8.');
  }
}

export interface WrittenForm {
  readonly contentType: string;
  readonly body: Buffer;
}

/**
 * Writes fields as `multipart/form-data`. The boundary occurs in no content: it is drawn, or, to
 * make the same bytes each time, given.
 * @throws RangeError for a boundary that occurs in a field
 */
export function writeForm(
  fields: readonly FormField[],
  boundary: string = `=_${randomBytes(18).toString('hex')}`,
): WrittenForm {
  const parts: Buffer[] = [];
  for (const { name, fileName, contentType, content } of fields) {
    if (content.includes(boundary)) throw new RangeError('the boundary occurs in a field');
    const file = fileName === null ? '' : `; filename="${escapeName(fileName)}"`;
    const type = contentType === null ? '' : `\r\nContent-Type: ${contentType}`;
    parts.push(
      Buffer.from(
        `--${boundary}\r\nContent-Disposition: form-data; name="${escapeName(name)}"${file}${type}\r\n\r\n`,
      ),
      content,
      Buffer.from('\r\n'),
    );
  }
  parts.push(Buffer.from(`--${boundary}--\r\n`));
  return {
    contentType: `multipart/form-data; boundary="${boundary}"`,
    body: Buffer.concat(parts),
  };
}

function escapeName(text: string): string {
  return text.replaceAll('"', '%22').replace(/[\r\n]/g, ' ');
}
