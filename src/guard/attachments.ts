/**
 * Reads the PDF files of a call before it is judged: the one kind of attachment that cannot be read at once.
 *
 * Invariants: never rejects; a file that could not be read in full says so, and is found as unreadable; a call without PDF files
 * costs four searches of its bytes, and no promise.
 */

import { createHash } from 'node:crypto';
import { withinBudget } from '../detect/address-budget.ts';
import { pdfsIn } from '../detect/documents.ts';
import { fullBudget } from '../detect/inflate.ts';
import { nothingOpened, openFile } from '../detect/open-file.ts';
import { givePdfReading, type PdfReading } from '../detect/pdf-reading.ts';
import { parseMessage } from '../mail/message.ts';
import type { Submission } from './judge.ts';

/** How PDF, ZIP and TNEF files begin, as they are and in base64. */
const MARKS = ['%PDF', 'JVBERi', 'PK\x03\x04', 'UEsDB', 'eJ8+I'];
const PAGES_MAX = 500;
const TEXT_MAX = 16 * 1024 * 1024;
const FILES_MAX = 50;
/** Time for all PDF files of one call. */
export const LIMIT_MS = 5_000;

/** The copies, those with PDF files read. To be judged at once: the files' texts live as long as what is given back. */
export function withAttachments(
  copies: readonly Submission[],
): readonly Submission[] | Promise<readonly Submission[]> {
  const opened = openPdfs(copies);
  if (opened === null) return copies;
  return readPdfs(opened.pdfs).then((readings) => opened.give(readings));
}

/** Copies that may hold PDF files, read so far that the files lie bare. */
export interface OpenedPdfs {
  /** Different files: the same one goes to every reader of a call. */
  readonly pdfs: readonly Uint8Array[];
  /** The copies, with a reading for each of `pdfs`. */
  give(readings: readonly PdfReading[]): readonly Submission[];
}

/** Null where no copy can hold a PDF file. */
export function openPdfs(copies: readonly Submission[]): OpenedPdfs | null {
  if (!copies.some(({ bytes }) => mayHoldPdf(bytes))) return null;
  const pdfs = new Map<string, Uint8Array>();
  const places: { readonly pdf: Uint8Array; readonly key: string }[] = [];
  const read = copies.map((copy) => {
    if (!mayHoldPdf(copy.bytes)) return copy;
    try {
      const message = parseMessage(copy.bytes);
      for (const pdf of pdfsIn(message).slice(0, FILES_MAX)) {
        const key = createHash('sha256').update(pdf).digest('base64');
        if (!pdfs.has(key)) pdfs.set(key, pdf);
        places.push({ pdf, key });
      }
      return { ...copy, message };
    } catch {
      // What fails here fails in the judge too, and there it is told and deferred.
      return copy;
    }
  });
  return {
    pdfs: [...pdfs.values()],
    give: (readings) => {
      const byKey = new Map([...pdfs.keys()].map((key, index) => [key, readings[index]]));
      for (const { pdf, key } of places) {
        const reading = byKey.get(key);
        if (reading !== undefined) givePdfReading(pdf, reading);
      }
      return read;
    },
  };
}

function mayHoldPdf(bytes: Uint8Array): boolean {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return MARKS.some((mark) => buffer.includes(mark, 0, 'latin1'));
}

/** One reading for each file, in order, within the time for all of one call. Never rejects. */
export async function readPdfs(pdfs: readonly Uint8Array[]): Promise<readonly PdfReading[]> {
  const until = performance.now() + LIMIT_MS;
  const readings: PdfReading[] = [];
  for (const pdf of pdfs) readings.push(await readPdf(pdf, until));
  return readings;
}

/** Text, links, notes, fields, properties and attached files of one PDF. Never rejects. */
export async function readPdf(
  content: Uint8Array,
  until: number = Number.POSITIVE_INFINITY,
): Promise<PdfReading> {
  if (performance.now() > until) return { kind: 'unread' };
  let pdf: PdfDocument;
  try {
    const { getDocumentProxy } = await import('unpdf');
    // A copy: the reader takes the bytes for itself.
    pdf = (await getDocumentProxy(new Uint8Array(content), {
      stopAtErrors: true,
      verbosity: 0,
    })) as unknown as PdfDocument;
  } catch (error) {
    const locked = error instanceof Error && error.name === 'PasswordException';
    return { kind: locked ? 'encrypted' : 'broken' };
  }
  try {
    return await readDocument(pdf, until);
  } catch {
    return { kind: 'broken' };
  } finally {
    await pdf.loadingTask.destroy().catch(() => undefined);
  }
}

/** What is used of a document of pdf.js. */
interface PdfDocument {
  readonly numPages: number;
  getPage(number: number): Promise<PdfPage>;
  getMetadata(): Promise<{ readonly info: unknown; readonly metadata: unknown }>;
  getAttachments(): Promise<Record<
    string,
    { readonly filename: string; readonly content: Uint8Array }
  > | null>;
  readonly loadingTask: { destroy(): Promise<void> };
}

interface PdfPage {
  getTextContent(): Promise<{
    readonly items: readonly { readonly str?: string; readonly hasEOL?: boolean }[];
  }>;
  getAnnotations(): Promise<readonly unknown[]>;
  cleanup(): boolean;
}

async function readDocument(pdf: PdfDocument, until: number): Promise<PdfReading> {
  const texts: string[] = [];
  let size = 0;
  let whole = pdf.numPages <= PAGES_MAX;
  for (let number = 1; number <= Math.min(pdf.numPages, PAGES_MAX); number++) {
    if (performance.now() > until || size > TEXT_MAX) {
      whole = false;
      break;
    }
    const page = await pdf.getPage(number);
    const { items } = await page.getTextContent();
    const text = items.map(({ str = '', hasEOL }) => (hasEOL ? `${str}\n` : str)).join('');
    const notes = stringsIn(await page.getAnnotations());
    page.cleanup();
    texts.push(text, ...notes);
    size += text.length;
  }
  const { info, metadata } = await pdf.getMetadata();
  texts.push(...stringsIn([info, metadata]));
  const attached = Object.values((await pdf.getAttachments()) ?? {});
  const opened = nothingOpened();
  const budget = fullBudget();
  for (const { filename, content } of attached.slice(0, FILES_MAX)) {
    texts.push(filename);
    openFile(Buffer.from(content), { contentType: '', fileName: filename }, opened, budget, 1);
  }
  texts.push(...opened.pieces.map(({ text }) => text));
  const unread = opened.unreadable + opened.pdfs.length + opened.messages.length;
  const kept = withinBudget(texts.join('\n'), budget);
  whole &&= kept.whole && unread === 0 && attached.length <= FILES_MAX;
  return { kind: 'read', text: kept.text, whole };
}

const STRINGS_MAX = 20_000;

/** Every string in a value, however deep; each once. */
function stringsIn(value: unknown): readonly string[] {
  const strings = new Set<string>();
  const seen = new Set<unknown>();
  const waiting: unknown[] = [value];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (typeof next === 'string') strings.add(next);
    if (typeof next !== 'object' || next === null || ArrayBuffer.isView(next) || seen.has(next))
      continue;
    seen.add(next);
    if (strings.size > STRINGS_MAX) break;
    const inner: readonly unknown[] =
      next instanceof Map ? [...next.values()] : Object.values(next);
    waiting.push(...inner.filter((one) => one !== undefined && one !== null));
  }
  return [...strings];
}
