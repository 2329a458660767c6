/** Writes messages as mail programs of many kinds would: all encodings, odd and obsolete syntax where it is asked for. */

import type { Random } from './generator-random.ts';

export interface Attached {
  readonly name: string;
  readonly type: string;
  readonly content: Buffer;
}

export interface Mail {
  /** Name and value as they are written, already folded where they should be; values are UTF-8. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly text: string;
  readonly html: string | null;
  readonly attached: readonly Attached[];
  /** Parts as they are, headers included, after the text. */
  readonly parts?: readonly string[];
}

const CRLF = '\r\n';

/** An RFC 2047 word, or two with the text cut between them. */
export function encodedWord(random: Random, text: string): string {
  if (text.length > 12 && random.chance(0.5)) {
    const at = random.int(3, text.length - 3);
    return `${oneWord(random, text.slice(0, at))}${CRLF} ${oneWord(random, text.slice(at))}`;
  }
  return oneWord(random, text);
}

function oneWord(random: Random, text: string): string {
  const bytes = Buffer.from(text);
  if (random.chance(0.5)) return `=?utf-8?B?${bytes.toString('base64')}?=`;
  const coded = [...bytes].map((byte) => {
    const letter = String.fromCharCode(byte);
    if (/[A-Za-z0-9]/.test(letter)) return letter;
    return letter === ' ' ? '_' : `=${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  });
  return `=?UTF-8?${random.chance(0.5) ? 'q' : 'Q'}?${coded.join('')}?=`;
}

/** A text for a header: as it is where it is ASCII, else encoded. */
export function headerText(random: Random, text: string): string {
  return /^[\x20-\x7e]*$/.test(text) ? text : encodedWord(random, text);
}

function quotedPrintable(text: string): string {
  return text
    .split('\n')
    .map((line) => {
      let out = '';
      let width = 0;
      for (const byte of Buffer.from(line)) {
        const letter = String.fromCharCode(byte);
        const plain = byte >= 32 && byte < 127 && letter !== '=';
        const piece = plain ? letter : `=${byte.toString(16).toUpperCase().padStart(2, '0')}`;
        if (width + piece.length > 73) {
          out += `=${CRLF}`;
          width = 0;
        }
        out += piece;
        width += piece.length;
      }
      return out.replace(/ $/, '=20');
    })
    .join(CRLF);
}

function base64(content: Buffer): string {
  return content.toString('base64').replace(/.{76}/g, `$&${CRLF}`);
}

const LATIN = /^[\0-\xff]*$/;

/** One text part with its header, in an encoding that can hold it. */
export function textPart(random: Random, type: string, text: string): string {
  const ascii = /^[\t\n\x20-\x7e]*$/.test(text);
  const longest = Math.max(...text.split('\n').map((line) => line.length));
  const kind = random.int(0, 5);
  const head = (charset: string, encoding: string, parameter = ''): string =>
    `Content-Type: ${type}; charset=${charset}${parameter}${CRLF}Content-Transfer-Encoding: ${encoding}${CRLF}${CRLF}`;
  const lines = text.replaceAll('\n', CRLF);
  if (ascii && longest < 900 && kind < 2)
    return `${head(random.pick(['us-ascii', 'utf-8', '"UTF-8"']), random.pick(['7bit', '7BIT', '8bit']))}${lines}`;
  if (longest < 900 && kind === 2 && !ascii) return `${head('utf-8', '8bit')}${lines}`;
  if (kind === 3) return `${head('utf-8', 'base64')}${base64(Buffer.from(lines))}`;
  if (kind === 4 && LATIN.test(text))
    return `${head('iso-8859-1', 'BASE64')}${base64(Buffer.from(lines, 'latin1'))}`;
  return `${head('utf-8', random.pick(['quoted-printable', 'Quoted-Printable']))}${quotedPrintable(text)}`;
}

export function filePart({ name, type, content }: Attached): string {
  const ascii = /^[\x20-\x7e]*$/.test(name) && !/["\\]/.test(name);
  const parameter = ascii
    ? `filename="${name}"`
    : `filename*=utf-8''${encodeURIComponent(name).replaceAll("'", '%27')}`;
  return `Content-Type: ${type}${CRLF}Content-Transfer-Encoding: base64${CRLF}Content-Disposition: attachment; ${parameter}${CRLF}${CRLF}${base64(content)}`;
}

export function multipart(random: Random, type: string, parts: readonly string[]): string {
  const boundary = `=_${random.int(1e8, 9e8)}_${random.int(1e8, 9e8)}`;
  const preamble = random.chance(0.2) ? `This is a multi-part message in MIME format.${CRLF}` : '';
  const body = parts.map((part) => `--${boundary}${CRLF}${part}${CRLF}`).join('');
  return `Content-Type: ${type}; boundary="${boundary}"${CRLF}${CRLF}${preamble}${body}--${boundary}--${CRLF}`;
}

/** The whole message in UTF-8. */
export function writeMail(random: Random, mail: Mail): Buffer {
  const { fields, text, html, attached, parts = [] } = mail;
  let body = textPart(random, 'text/plain', text);
  if (html !== null)
    body = multipart(random, 'multipart/alternative', [body, textPart(random, 'text/html', html)]);
  const more = [...parts, ...attached.map(filePart)];
  if (more.length > 0) body = multipart(random, 'multipart/mixed', [body, ...more]);
  else if (random.chance(0.08)) body = multipart(random, 'multipart/mixed', [body]);
  const header = fields.map(([name, value]) => `${name}: ${value}${CRLF}`).join('');
  return Buffer.from(`${header}MIME-Version: 1.0${CRLF}${body}${body.endsWith(CRLF) ? '' : CRLF}`);
}
