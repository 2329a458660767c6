/**
 * Encoded words in header fields (RFC 2047), wherever they stand: clients decode them in places
 * where the standard does not allow them, and so must whoever asks what a reader sees.
 *
 * Invariant: time linear in the value; what is not decoded stays as it is written.
 */
import { decodeCharset } from './charset.ts';
import type { DefectId } from './message.ts';
import { decodeBase64, decodeQuotedPrintable } from './transfer-decoding.ts';

export interface DecodedValue {
  readonly text: string;
  readonly defects: readonly DefectId[];
}

interface EncodedWord {
  readonly charset: string;
  readonly bytes: Uint8Array;
  readonly end: number;
  readonly defect: DefectId | null;
}

/** Longest charset name with language that is taken for one; the registered ones end at 45. */
const CHARSET_LENGTH_MAX = 80;
/** How far a malformed word is followed to its end; a well-formed one has at most 75 characters. */
const WORD_LENGTH_MAX = 1_000;

/** Decodes all encoded words of an unfolded value, at most `limit` of them. */
export function decodeEncodedWords(value: string, limit: number): DecodedValue {
  let next = value.indexOf('=?');
  if (next === -1) return { text: value, defects: [] };
  const defects = new Set<DefectId>();
  let text = '';
  let copied = 0;
  let words = 0;
  while (next !== -1) {
    const first = readWord(value, next);
    if (first === null) {
      next = value.indexOf('=?', next + 2);
      continue;
    }
    if (++words > limit) {
      defects.add('malformed-encoded-word');
      break;
    }
    text += value.slice(copied, next);
    const run = readRun(value, first, defects, limit - words);
    words += run.words;
    text += run.text;
    copied = run.end;
    next = value.indexOf('=?', run.end);
  }
  return { text: text + value.slice(copied), defects: [...defects] };
}

/**
 * Decodes a word and those that follow it with nothing but white space between. Neighbours of one
 * charset are joined as bytes, since senders split characters between words against section 5.
 */
function readRun(
  value: string,
  first: EncodedWord,
  defects: Set<DefectId>,
  limit: number,
): { text: string; end: number; words: number } {
  let text = '';
  let charset = first.charset;
  let chunks: Uint8Array[] = [];
  let word: EncodedWord | null = first;
  let end = first.end;
  let words = 0;
  while (word !== null) {
    if (word.charset.toLowerCase() !== charset.toLowerCase()) {
      text += decodeChunks(chunks, charset, defects);
      chunks = [];
      charset = word.charset;
    }
    if (word.defect !== null) defects.add(word.defect);
    chunks.push(word.bytes);
    end = word.end;
    const next = skipBlanks(value, end);
    word = words < limit && value.startsWith('=?', next) ? readWord(value, next) : null;
    if (word !== null) words++;
  }
  return { text: text + decodeChunks(chunks, charset, defects), end, words };
}

function decodeChunks(
  chunks: readonly Uint8Array[],
  charset: string,
  defects: Set<DefectId>,
): string {
  const reading = decodeCharset(
    chunks.length === 1 ? (chunks[0] ?? new Uint8Array()) : Buffer.concat(chunks),
    charset,
  );
  for (const defect of reading.defects) defects.add(defect);
  return reading.texts[0] ?? '';
}

/** The encoded word at `start`, which holds `=?`; null where no client would see one. */
function readWord(value: string, start: number): EncodedWord | null {
  const charsetEnd = value.indexOf('?', start + 2);
  if (charsetEnd === -1 || charsetEnd - start - 2 > CHARSET_LENGTH_MAX) return null;
  const charset = value.slice(start + 2, charsetEnd);
  const encoding = value[charsetEnd + 1]?.toLowerCase();
  if (charset === '' || /[\s"<>@,;()]/.test(charset)) return null;
  if ((encoding !== 'q' && encoding !== 'b') || value[charsetEnd + 2] !== '?') return null;
  const textStart = charsetEnd + 3;
  const { textEnd, end } = endOfWord(value, textStart);
  const encoded = value.slice(textStart, textEnd);
  const decoded =
    encoding === 'b' ? decodeBase64(Buffer.from(encoded, 'latin1')) : decodeQ(encoded);
  const wellFormed = end !== textEnd && !/[\s?]/.test(encoded) && decoded.defects.length === 0;
  return {
    charset,
    bytes: decoded.content,
    end,
    defect: wellFormed ? null : 'malformed-encoded-word',
  };
}

/** Its `?=`; where there is none, the word goes to the next white space or the end. */
function endOfWord(value: string, textStart: number): { textEnd: number; end: number } {
  const mark = value.indexOf('?', textStart);
  if (mark !== -1 && value[mark + 1] === '=') return { textEnd: mark, end: mark + 2 };
  const space = value.slice(textStart).search(/[\s?]/);
  const blank = space === -1 ? value.length : textStart + space;
  // Spaces and question marks inside a word are common; a new word before its end is not one.
  const rest = value.slice(blank, blank + WORD_LENGTH_MAX);
  const later = rest.indexOf('?=');
  const again = rest.indexOf('=?');
  if (later === -1 || (again !== -1 && again < later)) return { textEnd: blank, end: blank };
  return { textEnd: blank + later, end: blank + later + 2 };
}

function decodeQ(encoded: string): { content: Uint8Array; defects: readonly DefectId[] } {
  const text = encoded.includes('_') ? encoded.replaceAll('_', '=20') : encoded;
  return decodeQuotedPrintable(Buffer.from(text, 'utf8'));
}

function skipBlanks(value: string, from: number): number {
  let index = from;
  for (;;) {
    const code = value.charCodeAt(index);
    if (code !== 0x20 && code !== 0x09 && code !== 0x0d && code !== 0x0a) return index;
    index++;
  }
}
