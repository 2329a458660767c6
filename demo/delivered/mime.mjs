/**
 * A small MIME reading for the independent reader: header fields unfolded and decoded, every part's text.
 * Reads the common codings; a part it does not understand is given as it stands, so nothing is skipped.
 */

const NESTING_MAX = 20;
const LF = 10;
const CR = 13;
const EQUALS = 61;

function hexValue(byte) {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const upper = byte & 0xdf;
  return upper >= 65 && upper <= 70 ? upper - 55 : -1;
}

/** The end of a soft line break whose `=` is at `at`, white space before the line end allowed; -1 when it is none. */
function softBreakEnd(bytes, at) {
  let end = at + 1;
  while (bytes[end] === 32 || bytes[end] === 9) end++;
  if (bytes[end] === CR && bytes[end + 1] === LF) end++;
  return bytes[end] === LF ? end : -1;
}

/** The byte written `=XX` at `at`, or -1. */
function escapedByte(bytes, at) {
  const high = hexValue(bytes[at + 1] ?? 0);
  const low = hexValue(bytes[at + 2] ?? 0);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/** RFC 2045, 6.7; a wrong escape stays as it is. */
export function decodeQuotedPrintable(bytes) {
  if (bytes.indexOf(EQUALS) < 0) return bytes;
  const out = Buffer.allocUnsafe(bytes.length);
  let length = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte !== EQUALS) {
      out[length++] = byte;
      continue;
    }
    const escaped = escapedByte(bytes, at);
    const end = escaped >= 0 ? at + 2 : softBreakEnd(bytes, at);
    if (end < 0 || escaped >= 0) out[length++] = escaped >= 0 ? escaped : byte;
    if (end >= 0) at = end;
  }
  return out.subarray(0, length);
}

/** Text of bytes in a charset; bytes with NULs (UTF-16 without a name) are read without them. */
function textOf(bytes, charset) {
  let text;
  try {
    text =
      charset === undefined || /^(?:utf-8|us-ascii)$/i.test(charset)
        ? bytes.toString('utf8')
        : new TextDecoder(charset).decode(bytes);
  } catch {
    text = bytes.toString('utf8');
  }
  return text.includes('\0') ? text.replaceAll('\0', '') : text;
}

/** RFC 2047 words; white space between two of them is not part of the text. */
export function decodeWords(value) {
  if (!value.includes('=?')) return value;
  return value
    .replace(/\?=\s+(?==\?)/g, '?=')
    .replace(/=\?([^?\s*]+)(?:\*[^?\s]*)?\?([BQ])\?([^?]*)\?=/gi, (_, charset, kind, text) => {
      const bytes =
        kind.toUpperCase() === 'B'
          ? Buffer.from(text, 'base64')
          : decodeQuotedPrintable(Buffer.from(text.replaceAll('_', ' '), 'latin1'));
      return textOf(bytes, charset);
    });
}

/** Header fields with lower-case names, and where the body begins. */
function readHeader(bytes) {
  let bodyStart = bytes.length;
  let headEnd = bytes.length;
  if (bytes[0] === LF || (bytes[0] === CR && bytes[1] === LF)) {
    headEnd = 0;
    bodyStart = bytes[0] === LF ? 1 : 2;
  } else {
    const crlf = bytes.indexOf('\r\n\r\n');
    const lf = bytes.indexOf('\n\n');
    if (crlf >= 0 && (lf < 0 || crlf < lf)) [headEnd, bodyStart] = [crlf, crlf + 4];
    else if (lf >= 0) [headEnd, bodyStart] = [lf, lf + 2];
  }
  const fields = [];
  const head = bytes.toString('utf8', 0, headEnd).replace(/\r?\n(?=[ \t])/g, '');
  for (const line of head.split(/\r?\n/)) {
    const colon = line.indexOf(':');
    if (colon <= 0) continue;
    const name = line.slice(0, colon).trim().toLowerCase();
    fields.push({ name, value: decodeWords(line.slice(colon + 1).trim()) });
  }
  return { header: fields, body: bytes.subarray(bodyStart) };
}

/** The first field of that name, or undefined. */
export function headerValue(header, name) {
  return header.find((field) => field.name === name)?.value;
}

function parameter(value, name) {
  const match = new RegExp(`;\\s*${name}\\s*=\\s*(?:"([^"]*)"|([^;\\s]+))`, 'i').exec(value);
  return match?.[1] ?? match?.[2];
}

function decodeBody(body, coding) {
  if (coding === 'quoted-printable') return decodeQuotedPrintable(body);
  if (coding === 'base64')
    return Buffer.from(body.toString('latin1').replace(/[^A-Za-z0-9+/=]/g, ''), 'base64');
  return body;
}

/** Parts between the boundary's lines (RFC 2046, 5.1); a missing end is the end of the body. */
function* partsOf(body, boundary) {
  const mark = Buffer.from(`--${boundary}`);
  let start = -1;
  for (let at = body.indexOf(mark); at >= 0; at = body.indexOf(mark, at + mark.length)) {
    if (at > 0 && body[at - 1] !== LF) continue;
    if (start >= 0) yield body.subarray(start, at);
    const lineEnd = body.indexOf(LF, at);
    start = lineEnd < 0 ? body.length : lineEnd + 1;
    if (body.toString('latin1', at + mark.length, at + mark.length + 2) === '--') return;
  }
  if (start >= 0) yield body.subarray(start);
}

function collectTexts(bytes, texts, depth) {
  const { header, body } = readHeader(bytes);
  texts.push(header.map(({ name, value }) => `${name}: ${value}`).join('\n'));
  const type = headerValue(header, 'content-type') ?? 'text/plain';
  const coding = (headerValue(header, 'content-transfer-encoding') ?? '7bit').toLowerCase();
  const boundary = /^multipart\//i.test(type) ? parameter(type, 'boundary') : undefined;
  const decoded = decodeBody(body, coding);
  if (depth < NESTING_MAX && boundary !== undefined) {
    for (const part of partsOf(decoded, boundary)) collectTexts(part, texts, depth + 1);
  } else if (depth < NESTING_MAX && /^message\//i.test(type)) {
    collectTexts(decoded, texts, depth + 1);
  } else texts.push(textOf(decoded, parameter(type, 'charset')));
  return header;
}

/** The message's header fields, and the decoded text of all its headers and parts. */
export function openMessage(bytes) {
  const texts = [];
  const header = collectTexts(bytes, texts, 0);
  return { header, texts };
}
