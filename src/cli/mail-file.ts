/**
 * Mail from one file on disk: a mailbox, or a log with a call on each line, piece by piece, so that it may be larger than the
 * memory; anything else whole.
 *
 * Invariant: never rejects and never waits for ever: what cannot be read is an item that says why, and the rest is read all the
 * same.
 */

import { type FileHandle, open, stat } from 'node:fs/promises';
import { type FileItem, type FileOptions, readSubmissions } from '../gates/files.ts';

const READ_BYTES = 256 * 1024;
/** One message of a mailbox, or a file that is none. */
const PIECE_BYTES_MAX = 256 * 1024 * 1024;
/** RFC 4155: a line `From sender date`. */
const FROM_LINE = /^From \S* [^\n]*\d{1,2}:\d\d/;

/** How a file is cut: between messages, between lines, or not at all. */
type Form = 'mailbox' | 'lines' | 'whole';

/** Every item of the file, numbered from 0. Its bytes are good until the next one is asked for. */
export async function* readMailFile(file: string, options: FileOptions): AsyncGenerator<FileItem> {
  let handle: FileHandle | null = null;
  const reading: Reading = { file, options, count: 0 };
  try {
    const { problem, size } = await lookAt(file);
    if (problem !== null) {
      yield unreadable(reading, problem);
      return;
    }
    handle = await open(file);
    yield* readPieces(handle, size, reading);
  } catch (error) {
    yield unreadable(reading, whyUnreadable(error));
  } finally {
    await handle?.close();
  }
}

/** Where an item is, as people are told. */
export function placeOf(file: string, { index }: FileItem): string {
  return index === 0 ? file : `${file}, message ${index + 1}`;
}

interface Reading {
  readonly file: string;
  readonly options: FileOptions;
  /** Items so far. */
  count: number;
}

function unreadable({ count }: Reading, reason: string): FileItem {
  return { index: count, kind: 'unreadable', reason };
}

interface Look {
  readonly problem: string | null;
  /** 0 where it is not known. */
  readonly size: number;
}

/** What the shell hands over, `<(…)` and standard input, is a pipe that somebody writes to. */
const HANDED_OVER = /^\/(?:dev\/(?:fd\/\d+|stdin)|proc\/self\/fd\/\d+)$/;

async function lookAt(file: string): Promise<Look> {
  const stats = await stat(file);
  const { size } = stats;
  if (stats.isFile()) return { problem: null, size };
  if (stats.isDirectory()) return { problem: 'is a directory; name the files in it', size };
  // Opening a pipe that nobody writes to would wait for ever.
  if (stats.isFIFO() && !HANDED_OVER.test(file)) {
    return { problem: 'is a pipe; write what comes out of it to a file first', size: 0 };
  }
  if (stats.isFIFO()) return { problem: null, size: 0 };
  return { problem: 'is no file but a device or a socket', size: 0 };
}

async function* readPieces(
  handle: FileHandle,
  size: number,
  reading: Reading,
): AsyncGenerator<FileItem> {
  let bytes = Buffer.allocUnsafeSlow(2 * READ_BYTES);
  let length = 0;
  let form: Form | null = null;
  for (;;) {
    bytes = withRoom(bytes, length, form === 'whole' ? size : 0);
    const { bytesRead } = await handle.read(bytes, length, bytes.length - length);
    if (bytesRead === 0) break;
    const searched = length;
    length += bytesRead;
    form ??= formOf(bytes.subarray(0, length));
    if (length > PIECE_BYTES_MAX || (form === 'whole' && size > PIECE_BYTES_MAX)) {
      yield unreadable(reading, TOO_LARGE[form]);
      return;
    }
    const cut = cutIn(bytes.subarray(0, length), searched, form);
    if (cut === 0) continue;
    yield* itemsOf(bytes.subarray(0, cut), reading);
    bytes.copyWithin(0, cut, length);
    length -= cut;
  }
  if (length > 0 || reading.count === 0) yield* itemsOf(bytes.subarray(0, length), reading);
}

const TOO_LARGE: Readonly<Record<Form, string>> = {
  mailbox: 'a message is larger than 256 MiB; what is behind it is not read',
  lines: 'a line is larger than 256 MiB; what is behind it is not read',
  whole: 'is no mailbox, and larger than 256 MiB',
};

/** The bytes with room for more: for all of a file whose size is known, else for as much again. */
function withRoom(bytes: Buffer, length: number, size: number): Buffer<ArrayBuffer> {
  const needed = size >= length ? size + 1 : length + READ_BYTES;
  if (bytes.length >= needed && bytes.length > length) return bytes as Buffer<ArrayBuffer>;
  const twice = Math.min(2 * bytes.length, PIECE_BYTES_MAX + READ_BYTES);
  const larger = Buffer.allocUnsafeSlow(Math.max(needed, size > 0 ? 0 : twice));
  bytes.copy(larger, 0, 0, length);
  return larger;
}

function formOf(bytes: Buffer): Form {
  const start = bytes.toString('latin1', 0, 8).replace(/^\xef\xbb\xbf/, '');
  if (start.startsWith('From ')) return 'mailbox';
  const lineEnd = bytes.indexOf('\n');
  if (!start.startsWith('{') || lineEnd === -1) return 'whole';
  try {
    JSON.parse(bytes.toString('utf8', 0, lineEnd));
    return 'lines';
  } catch {
    return 'whole';
  }
}

/** A separator may have begun before what was searched. */
const OVERLAP = 2048;

/** Where the last message or line begins that may not be complete yet; 0 where there is one only. */
function cutIn(bytes: Buffer, searched: number, form: Form): number {
  if (form === 'whole') return 0;
  if (form === 'lines') return bytes.lastIndexOf('\n') + 1;
  // Not the whole of a large message again and again.
  const from = Math.max(0, searched - OVERLAP);
  const tail = bytes.subarray(from);
  for (let at = tail.lastIndexOf('\nFrom ', undefined, 'latin1'); at > 0; ) {
    const isEmptyBefore = tail[at - 1] === 0x0a || (tail[at - 1] === 0x0d && tail[at - 2] === 0x0a);
    const line = tail.toString('latin1', at + 1, at + OVERLAP);
    if (isEmptyBefore && FROM_LINE.test(line)) return from + at + 1;
    at = tail.lastIndexOf('\nFrom ', at - 1, 'latin1');
  }
  return 0;
}

function* itemsOf(bytes: Buffer, reading: Reading): Generator<FileItem> {
  for (const item of readSubmissions(bytes, reading.file, reading.options)) {
    yield { ...item, index: reading.count++ };
  }
}

const READ_ERRORS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EISDIR: 'is a directory; name the files in it',
  EACCES: 'may not be read by this user',
  EPERM: 'may not be read by this user',
  ELOOP: 'is a link that leads nowhere',
};

function whyUnreadable(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return READ_ERRORS[code] ?? `cannot be read${code === '' ? '' : ` (${code})`}`;
}
