/**
 * The PDF files of a call read without a promise, for the library, whose `check` gives its answer at once: a thread reads them
 * and this one waits.
 *
 * Invariants: never throws; never waits longer than the time for all files of a call and a start; a file that was not read in
 * that time is found as unreadable. The thread keeps no process alive.
 */

import { extname } from 'node:path';
import {
  MessageChannel,
  type MessagePort,
  receiveMessageOnPort,
  Worker,
} from 'node:worker_threads';
import type { PdfReading } from '../detect/pdf-reading.ts';
import { LIMIT_MS, openPdfs } from './attachments.ts';
import type { Submission } from './judge.ts';
import type { PdfThreadData } from './pdf-thread.ts';

/** A start takes 0.3 s; on a busy machine ten times that. */
const START_MS = 5_000;

interface PdfThread {
  readonly worker: Worker;
  readonly port: MessagePort;
  /** How many calls are answered. */
  readonly answered: Int32Array;
}

/** Kept for the next call: most of a reading is the start. */
let thread: PdfThread | null = null;

/** As `withAttachments`, at once. */
export function withAttachmentsAtOnce(copies: readonly Submission[]): readonly Submission[] {
  const opened = openPdfs(copies);
  if (opened === null) return copies;
  if (opened.pdfs.length === 0) return opened.give([]);
  return opened.give(readAtOnce(opened.pdfs) ?? []);
}

/** Null where the thread did not answer in time, or could not be had. */
function readAtOnce(pdfs: readonly Uint8Array[]): readonly PdfReading[] | null {
  try {
    thread ??= startThread();
    const { worker, port, answered } = thread;
    const before = Atomics.load(answered, 0);
    // Copies of these bytes alone: a view takes all of its buffer along.
    const own = pdfs.map((pdf) => new Uint8Array(pdf));
    port.postMessage(
      own,
      own.map(({ buffer }) => buffer),
    );
    if (Atomics.wait(answered, 0, before, LIMIT_MS + START_MS) !== 'timed-out') {
      return receiveMessageOnPort(port)?.message ?? null;
    }
    thread = null;
    void worker.terminate();
    return null;
  } catch {
    return null;
  }
}

function startThread(): PdfThread {
  const answered = new Int32Array(new SharedArrayBuffer(4));
  const { port1: port, port2 } = new MessageChannel();
  // Sources and build differ in the ending.
  const file = new URL(`./pdf-thread${extname(import.meta.url)}`, import.meta.url);
  const workerData: PdfThreadData = { port: port2, answered };
  const worker = new Worker(file, { workerData, transferList: [port2] });
  // Not heard while this thread waits: then the time runs out, and the files are unread.
  worker.on('error', () => {
    thread = null;
  });
  worker.unref();
  port.unref();
  return { worker, port, answered };
}
