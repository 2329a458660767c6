/**
 * Files that uuencode has written into a text, as mail carried them before MIME: mail programs still show them as attachments, so
 * what is in them is looked at as in any other file.
 */

/** At the beginning of a line; the name may be anything. Linear: nothing repeats but characters of one line. */
const BEGIN = /(?:^|\n)begin(?:-base64)? [0-7]{3,4} [^\r\n]{1,255}\r?\n/g;

/** Whether a file may begin in the text: one search, which most texts do not survive. */
export function mayHoldUuencoded(text: string): boolean {
  return text.startsWith('begin') || text.includes('\nbegin');
}

/** The files of a text, in order; what only begins like one is none. */
export function uuencodedFiles(text: string): readonly Buffer[] {
  const files: Buffer[] = [];
  for (const match of text.matchAll(BEGIN)) {
    const lines = text.slice(match.index + match[0].length).split(/\r?\n/, LINES_MAX);
    const file = match[0].includes('begin-base64') ? base64Lines(lines) : uuLines(lines);
    if (file.length > 0) files.push(file);
    if (files.length === FILES_MAX) break;
  }
  return files;
}

const LINES_MAX = 500_000;
const FILES_MAX = 20;

function base64Lines(lines: readonly string[]): Buffer {
  const end = lines.findIndex((line) => !/^[A-Za-z0-9+/]+={0,2}$/.test(line));
  return Buffer.from(lines.slice(0, end === -1 ? lines.length : end).join(''), 'base64');
}

function uuLines(lines: readonly string[]): Buffer {
  const pieces: Buffer[] = [];
  for (const line of lines) {
    const piece = uuLine(line);
    if (piece === null || piece.length === 0) break;
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

/** One character says how many bytes follow, four for each three; spaces at the end may have been lost. */
function uuLine(line: string): Buffer | null {
  const length = sextet(line, 0);
  const groups = Math.ceil(length / 3);
  if (line.length > 1 + groups * 4 + 1 || /[^\x20-\x60]/.test(line)) return null;
  const bytes = Buffer.alloc(groups * 3);
  for (let group = 0; group < groups; group++) {
    const at = 1 + group * 4;
    const value =
      (sextet(line, at) << 18) |
      (sextet(line, at + 1) << 12) |
      (sextet(line, at + 2) << 6) |
      sextet(line, at + 3);
    bytes.writeUIntBE(value, group * 3, 3);
  }
  return bytes.subarray(0, length);
}

function sextet(line: string, at: number): number {
  return at < line.length ? (line.charCodeAt(at) - 0x20) & 0x3f : 0;
}
