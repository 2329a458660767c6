/**
 * What an asynchronous reader made of the PDF files of a message, handed over before the message is judged.
 * Invariant: a file nobody has read is `unread`, never empty.
 */

export type PdfReading =
  /** whole: whether all of it was read; pictures do not count. */
  | { readonly kind: 'read'; readonly text: string; readonly whole: boolean }
  | { readonly kind: 'encrypted' | 'broken' | 'unread' };

const UNREAD: PdfReading = { kind: 'unread' };
const readings = new WeakMap<Uint8Array, PdfReading>();

/** Notes the reading of these very bytes, not of others like them. */
export function givePdfReading(content: Uint8Array, reading: PdfReading): void {
  readings.set(content, reading);
}

export function pdfReadingOf(content: Uint8Array): PdfReading {
  return readings.get(content) ?? UNREAD;
}
