/**
 * A message as literal segments and numbered slots, and the joining of the two.
 *
 * Invariant: a slot's value can neither move a line limit nor end a part. It stands on lines of its
 * own between soft line breaks, and the boundary contains `=_`, which quoted-printable never does.
 */
import { Fault } from '../base/errors.ts';
import { encodeQuotedPrintable } from './transfer-encoding.ts';

/** Text with numbered gaps. In a body the literals are plain text; a composed message's are finished. */
export type Segments = readonly (string | { readonly slot: number })[];

/** What a message with a text and an HTML form is made of. */
export interface AlternativeParts {
  /** Finished fields, each ending in CRLF, without MIME-Version and Content-* (but Content-Language); slots stand for finished text. */
  readonly headers: string | Segments;
  /** 1 to 70 characters (RFC 2046 section 5.1.1) with `=_` among them. */
  readonly boundary: string;
  /** Plain text; a slot's value is joined later as `encodeQuotedPrintable` gives it. */
  readonly text: Segments;
  readonly html: Segments;
}

/** The form `joinSegments` takes: `slotOrder[i]` stands between `literals[i]` and `literals[i + 1]`. */
export interface SplitSegments {
  readonly literals: readonly Buffer[];
  readonly slotOrder: readonly number[];
}

/** Characters RFC 2046 allows in a boundary, without the space. */
const BOUNDARY = /^[A-Za-z0-9'()+_,\-./:=?]{1,70}$/;
const OWN_FIELDS = /^(?:mime-version|content-(?!language)[^:]*?)[ \t]*:/im;

/**
 * Composes a multipart/alternative message: the header, a text/plain and a text/html part, both
 * quoted-printable UTF-8. Each body ends in a line break. Adjacent literals are merged; the same
 * input always gives the same segments.
 *
 * @throws Fault `compose-header-malformed` or `compose-boundary-malformed`
 */
export function composeAlternative(options: AlternativeParts): Segments {
  const { boundary } = options;
  checkBoundary(boundary);
  const headers = typeof options.headers === 'string' ? [options.headers] : options.headers;
  checkHeaders(headers);
  return merge([
    ...headers,
    'MIME-Version: 1.0\r\n',
    `Content-Type: multipart/alternative;\r\n boundary="${boundary}"\r\n\r\n`,
    ...composePart('text/plain', boundary, options.text),
    ...composePart('text/html', boundary, options.html),
    `--${boundary}--\r\n`,
  ]);
}

/** Splits composed segments into what `joinSegments` takes, literals as UTF-8. */
export function splitSegments(segments: Segments): SplitSegments {
  const literals: Buffer[] = [];
  const slotOrder: number[] = [];
  let pending = '';
  for (const segment of segments) {
    if (typeof segment === 'string') {
      pending += segment;
      continue;
    }
    literals.push(Buffer.from(pending, 'utf8'));
    slotOrder.push(segment.slot);
    pending = '';
  }
  literals.push(Buffer.from(pending, 'utf8'));
  return { literals, slotOrder };
}

/**
 * Joins literals and slot values into one message, in one allocation: 1.5 µs for 10 KB and 12 slots.
 *
 * @param literals one more than `slotOrder` has entries
 * @param slots the values by slot number
 * @throws Fault `compose-slots-mismatched` where a slot has no value or the counts do not fit
 */
export function joinSegments(
  literals: readonly Buffer[],
  slotOrder: readonly number[],
  slots: readonly Uint8Array[],
): Buffer {
  if (literals.length !== slotOrder.length + 1) throw mismatch('The literals do not fit the slots');
  let size = 0;
  for (const literal of literals) size += literal.length;
  for (const slot of slotOrder) size += slotValue(slots, slot).length;
  const message = Buffer.allocUnsafe(size);
  let offset = 0;
  for (let index = 0; index < literals.length; index++) {
    if (index > 0) offset = put(message, slotValue(slots, slotOrder[index - 1]), offset);
    offset = put(message, literals[index], offset);
  }
  return message;
}

function slotValue(slots: readonly Uint8Array[], slot: number | undefined): Uint8Array {
  const value = slot === undefined ? undefined : slots[slot];
  if (value === undefined) throw mismatch(`Slot ${slot} has no value`);
  return value;
}

function put(message: Buffer, bytes: Uint8Array | undefined, offset: number): number {
  if (bytes === undefined) return offset;
  message.set(bytes, offset);
  return offset + bytes.length;
}

function mismatch(message: string): Fault {
  return new Fault('compose-slots-mismatched', message, {
    remedy: 'Join with the segments and slots of the same notice version',
  });
}

function composePart(contentType: string, boundary: string, body: Segments): Segments {
  return [
    `--${boundary}\r\nContent-Type: ${contentType}; charset=utf-8\r\n`,
    'Content-Transfer-Encoding: quoted-printable\r\n\r\n',
    ...encodeBody(body),
    '\r\n',
  ];
}

/** Encodes the literals, with a soft line break before and after each slot where a line is open. */
function encodeBody(body: Segments): Segments {
  const encoded: (string | { readonly slot: number })[] = [];
  let openLine = false;
  for (const segment of merge([...body, ...(endsInLineBreak(body) ? [] : ['\r\n'])])) {
    if (typeof segment === 'string') {
      encoded.push(encodeQuotedPrintable(segment));
      openLine = !segment.endsWith('\n');
      continue;
    }
    if (openLine) encoded.push('=\r\n');
    encoded.push({ slot: segment.slot }, '=\r\n');
    openLine = false;
  }
  return encoded;
}

function endsInLineBreak(body: Segments): boolean {
  const last = body.findLast((segment) => segment !== '');
  return typeof last === 'string' && last.endsWith('\n');
}

function merge(segments: Segments): Segments {
  const merged: (string | { readonly slot: number })[] = [];
  for (const segment of segments) {
    const last = merged.at(-1);
    if (segment === '') continue;
    if (typeof segment === 'string' && typeof last === 'string') {
      merged[merged.length - 1] = last + segment;
    } else merged.push(segment);
  }
  return merged;
}

function checkBoundary(boundary: string): void {
  if (BOUNDARY.test(boundary) && boundary.includes('=_')) return;
  throw new Fault('compose-boundary-malformed', 'The boundary could occur in a part', {
    remedy: 'Use 1 to 70 of the characters RFC 2046 allows, with "=_" among them',
  });
}

/** A slot stands for some text here: the fields' ends are looked for in the literals. */
function checkHeaders(headers: Segments): void {
  const text = headers.map((segment) => (typeof segment === 'string' ? segment : 'slot')).join('');
  const problem = headerProblem(text);
  if (problem === null) return;
  throw new Fault('compose-header-malformed', problem, {
    remedy: 'Make each field with headerField, and leave MIME-Version and Content-* to composing',
  });
}

function headerProblem(text: string): string | null {
  if (!text.endsWith('\r\n')) return 'The header does not end in a line break';
  if (text.startsWith('\r\n') || text.includes('\r\n\r\n')) return 'The header has an empty line';
  if (/\r(?!\n)|(?<!\r)\n/.test(text)) return 'The header has a bare CR or LF';
  return OWN_FIELDS.test(text) ? 'The header has a field that composing writes itself' : null;
}
