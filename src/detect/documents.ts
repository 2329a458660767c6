/**
 * The attached files of a message, opened once and shared by the detectors.
 *
 * Invariant: the files of one message share one budget, those inside messages inside archives included.
 */

import { allParts, type ParsedMessage, type Part } from '../mail/message.ts';
import { keepWithinBudget } from './address-budget.ts';
import { type Budget, fullBudget } from './inflate.ts';
import { nothingOpened, type Opened, openFile } from './open-file.ts';
import { pdfReadingOf } from './pdf-reading.ts';
import { mayHoldUuencoded, uuencodedFiles } from './uuencoded.ts';

const NOTHING: ReadonlyMap<Part, Opened> = new Map();
const MESSAGES_MAX = 100;

/** What a message has beside its own text, seen in one look at its parts. */
interface Overview {
  /** Whether a leaf is a file to be opened. */
  readonly files: boolean;
  /** Whether a text is attached. */
  readonly texts: boolean;
  /** Whether content lies elsewhere (RFC 2046 sections 5.2.2 and 5.2.3). */
  readonly elsewhere: boolean;
  opened: ReadonlyMap<Part, Opened> | null;
}

const known = new WeakMap<ParsedMessage, Overview>();
const ELSEWHERE = new Set(['message/external-body', 'message/partial']);

function overviewOf(message: ParsedMessage): Overview {
  const before = known.get(message);
  if (before !== undefined) return before;
  const overview = { files: false, texts: false, elsewhere: false, opened: null };
  lookAt(message.root, overview);
  known.set(message, overview);
  return overview;
}

function lookAt(part: Part, seen: { files: boolean; texts: boolean; elsewhere: boolean }): void {
  if (part.contentType.startsWith('message/') && isElsewhere(part)) seen.elsewhere = true;
  for (const child of part.children) lookAt(child, seen);
  if (part.nested !== null) lookAt(part.nested.root, seen);
  else if (isFile(part)) seen.files = true;
  else if (isAttachedText(part)) seen.texts = true;
}

function isElsewhere(part: Part): boolean {
  return ELSEWHERE.has(part.contentType);
}

function isAttachedText(part: Part): boolean {
  return (part.disposition === 'attachment' || part.fileName !== '') && part.texts.length > 0;
}

/** What each leaf that is no text to MIME holds; those of messages found in archives included. */
export function openedIn(message: ParsedMessage): ReadonlyMap<Part, Opened> {
  const overview = overviewOf(message);
  overview.opened ??= overview.files ? openAll(message) : NOTHING;
  return overview.opened;
}

/** Parts whose content lies elsewhere, or that are a piece of something larger. */
export function partsElsewhere(message: ParsedMessage): readonly Part[] {
  return overviewOf(message).elsewhere ? allParts(message).filter(isElsewhere) : [];
}

function isFile(part: Part): boolean {
  if (part.children.length > 0 || part.nested !== null || part.content.length === 0) return false;
  return part.texts.length === 0 || isContainer(part.content) || holdsFiles(part);
}

function holdsFiles({ contentType, texts }: Part): boolean {
  const [text] = texts;
  return contentType === 'text/plain' && text !== undefined && mayHoldUuencoded(text);
}

/** P, %, 1f, 7, R, d0, x, fd, B, (, M, {. */
const FIRST_BYTES = new Set([
  0x50, 0x25, 0x1f, 0x37, 0x52, 0xd0, 0x78, 0xfd, 0x42, 0x28, 0x4d, 0x7b,
]);
const CONTAINER =
  /^(?:504b0[35]0[46]|25504446|1f8b08|377abcaf|52617221|d0cf11e0|789f3e22|fd377a58|425a6839|28b52ffd|4d534346|7b5c7274)/;

/** A file that MIME calls text and that none is: what it is called does not hide what is in it. */
function isContainer(content: Uint8Array): boolean {
  if (!FIRST_BYTES.has(content[0] ?? 0)) return false;
  return CONTAINER.test(Buffer.from(content.subarray(0, 4)).toString('hex'));
}

function openAll(message: ParsedMessage): ReadonlyMap<Part, Opened> {
  const all = new Map<Part, Opened>();
  const budget: Budget = fullBudget();
  const waiting: ParsedMessage[] = [message];
  let messages = 0;
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    for (const part of allParts(next)) {
      if (!isFile(part)) continue;
      const opened = nothingOpened();
      const { content } = part;
      const bytes = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
      if (part.texts.length === 0 || isContainer(content)) openFile(bytes, part, opened, budget);
      for (const file of holdsFiles(part) ? uuencodedFiles(part.texts[0] ?? '') : []) {
        openFile(file, { contentType: '', fileName: '' }, opened, budget, 1);
      }
      keepWithinBudget(opened, budget);
      messages += opened.messages.length;
      if (messages > MESSAGES_MAX) {
        opened.unreadable += opened.messages.length;
        opened.messages.length = 0;
      }
      all.set(part, opened);
      waiting.push(...opened.messages);
    }
  }
  return all;
}

/** Every PDF file in the message, for a reader of them. */
export function pdfsIn(message: ParsedMessage): readonly Uint8Array[] {
  return [...openedIn(message).values()].flatMap(({ pdfs }) => pdfs);
}

/** The text of one attachment. */
export interface AttachedText {
  readonly part: string;
  readonly label: string;
  readonly text: string;
}

/** The text of all attachments, as far as they were read; not of messages inside. */
export function attachedTexts(message: ParsedMessage): readonly AttachedText[] {
  const texts: AttachedText[] = [];
  const overview = overviewOf(message);
  if (overview.texts) {
    for (const part of allParts(message).filter(isAttachedText)) {
      texts.push({ part: part.path, label: 'text', text: part.texts[0] ?? '' });
    }
  }
  if (!overview.files) return texts;
  for (const [{ path }, { pieces, pdfs }] of openedIn(message)) {
    for (const { kind, label, text } of pieces) {
      if (kind !== 'identifiers') texts.push({ part: path, label, text });
    }
    for (const pdf of pdfs) {
      const reading = pdfReadingOf(pdf);
      if (reading.kind === 'read') texts.push({ part: path, label: 'PDF', text: reading.text });
    }
  }
  return texts;
}
