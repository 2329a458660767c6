/** Leaked messages from files: a mailbox piece by piece, so that it may be larger than the memory, anything else whole. */

import { type FileHandle, open } from 'node:fs/promises';
import { readSubmissions } from '../gates/files.ts';
import type { Submission } from '../guard/judge.ts';

const READ_BYTES = 256 * 1024;
/** A message of a mailbox, or a file that is none. */
const PIECE_BYTES_MAX = 256 * 1024 * 1024;
/** RFC 4155: a line `From sender date` after an empty line. */
const SEPARATOR = /\n\r?\nFrom (?=\S* [^\n]*\d{1,2}:\d\d)/g;

type Complain = (place: string, reason: string) => void;
type Take = (copy: Submission) => void;

interface Reading {
  readonly file: string;
  readonly readers: readonly string[];
  readonly take: Take;
  readonly complain: Complain;
  /** Messages so far. */
  count: number;
}

/** Gives every copy in the file to `take`; what cannot be read goes to `complain`, and the rest is read all the same. */
export async function readLeakedFile(
  file: string,
  readers: readonly string[],
  take: Take,
  complain: Complain,
): Promise<void> {
  let handle: FileHandle | null = null;
  try {
    handle = await open(file);
    await readPieces(handle, { file, readers, take, complain, count: 0 });
  } catch (error) {
    complain(file, whyUnreadable(error));
  } finally {
    await handle?.close();
  }
}

async function readPieces(handle: FileHandle, reading: Reading): Promise<void> {
  let waiting: Buffer = Buffer.alloc(0);
  let isMailbox = false;
  for (;;) {
    const chunk = Buffer.allocUnsafe(READ_BYTES);
    const { bytesRead } = await handle.read(chunk, 0, READ_BYTES);
    const fresh = chunk.subarray(0, bytesRead);
    waiting = waiting.length === 0 ? fresh : Buffer.concat([waiting, fresh]);
    isMailbox ||= waiting
      .subarray(0, 8)
      .toString('latin1')
      .replace(/^\xef\xbb\xbf/, '')
      .startsWith('From ');
    if (bytesRead === 0) break;
    if (isMailbox) {
      const cut = lastSeparator(waiting);
      if (cut > 0) {
        readPiece(waiting.subarray(0, cut), reading);
        waiting = Buffer.from(waiting.subarray(cut));
      }
    }
    if (waiting.length > PIECE_BYTES_MAX) {
      reading.complain(place(reading), 'a message is larger than 256 MiB');
      return;
    }
  }
  if (waiting.length > 0 || reading.count === 0) readPiece(waiting, reading);
}

/** Where the last message begins that may not be complete yet; 0 where there is one only. */
function lastSeparator(bytes: Buffer): number {
  // Nearly always in the last piece of a mailbox of small messages.
  for (let reach = 65_536; ; reach *= 8) {
    const from = Math.max(0, bytes.length - reach);
    let cut = 0;
    for (const match of bytes.toString('latin1', from).matchAll(SEPARATOR)) {
      cut = from + match.index + match[0].length - 'From '.length;
    }
    if (cut > 0 || from === 0) return cut;
  }
}

function readPiece(bytes: Buffer, reading: Reading): void {
  for (const item of readSubmissions(bytes, reading.file, { readers: reading.readers })) {
    reading.count++;
    if (item.kind === 'unreadable') {
      reading.complain(place(reading), item.reason);
      continue;
    }
    try {
      for (const copy of item.copies) reading.take(copy);
    } catch {
      reading.complain(place(reading), 'the message could not be read');
    }
  }
}

function place({ file, count }: Reading): string {
  return count <= 1 ? file : `${file}, message ${count}`;
}

const READ_ERRORS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EISDIR: 'is a directory; name the files in it',
  EACCES: 'may not be read by this user',
  EPERM: 'may not be read by this user',
};

function whyUnreadable(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return READ_ERRORS[code] ?? `cannot be read${code === '' ? '' : ` (${code})`}`;
}
