/**
 * A held call as it is shown to an operator: what its readers would read, with the findings marked.
 * Invariant: no address stands in it but masked, in whatever coding it is written.
 */

import type { Finding } from '../../detect/finding.ts';
import { canonicalAddress } from '../../mail/address.ts';
import { allParts, type ParsedMessage, type Part, parseMessage } from '../../mail/message.ts';
import { type JudgeSettings, judgeCopies, type Submission } from '../judge.ts';
import { maskAddresses } from './mask.ts';

export interface Piece {
  readonly text: string;
  /** Id of the finding that is here; null for everything else. */
  readonly finding: string | null;
}

export interface ShownSection {
  /** '' the message itself, '1.2' a part; see Part.path. */
  readonly part: string;
  /** 'header', a type such as 'text/html', or 'attachment'. */
  readonly what: string;
  readonly pieces: readonly Piece[];
  /** Whether there is more than is shown. */
  readonly isCut: boolean;
}

export interface ShownFinding {
  readonly id: string;
  readonly severity: string;
  readonly field: string;
  readonly part: string;
  readonly count: number;
  /** At most ten, masked. */
  readonly addresses: readonly string[];
}

export interface ShownCopy {
  /** At most ten, masked. */
  readonly readers: readonly string[];
  readonly readersInAll: number;
  readonly findings: readonly ShownFinding[];
  readonly sections: readonly ShownSection[];
}

export interface ShownContent {
  /** The copies with findings first; at most three are shown. */
  readonly copies: readonly ShownCopy[];
  readonly copiesInAll: number;
}

const COPIES_MAX = 3;
const ADDRESSES_MAX = 10;
const SECTION_MAX = 64 * 1024;
const SECTIONS_MAX = 60;
const MARK_MAX = 400;

/** The copies of one call, as judged under these settings. */
export function shownContent(copies: readonly Submission[], settings: JudgeSettings): ShownContent {
  const readers = new Set(copies.flatMap(({ envelope }) => envelope.recipients.map(canonical)));
  // Judged one by one, so that a finding has its copy; readers of the others are known as customers are.
  const isCustomer = (address: string): boolean =>
    readers.has(address) || (settings.isCustomer?.(address) ?? false);
  const judged = copies.map((copy) => {
    const { findings } = judgeCopies([copy], { ...settings, isCustomer });
    return { copy, findings: findings.filter(({ severity }) => severity !== 'note') };
  });
  const first = judged.filter(({ findings }) => findings.length > 0);
  const rest = judged.filter(({ findings }) => findings.length === 0);
  const shown = [...first, ...rest].slice(0, COPIES_MAX);
  return {
    copies: shown.map(({ copy, findings }) => shownCopy(copy, findings)),
    copiesInAll: copies.length,
  };
}

function canonical(address: string): string {
  return canonicalAddress(address) ?? address.toLowerCase();
}

function maskedSome(addresses: readonly string[]): string[] {
  return addresses.slice(0, ADDRESSES_MAX).map((address) => maskAddresses(address).text);
}

function shownCopy({ envelope, bytes }: Submission, findings: readonly Finding[]): ShownCopy {
  return {
    readers: maskedSome(envelope.recipients),
    readersInAll: envelope.recipients.length,
    findings: findings.map(({ id, severity, where, count, addresses }) => ({
      ...{ id, severity, count, addresses: maskedSome(addresses) },
      ...{ field: maskAddresses(where.field).text, part: where.part },
    })),
    sections: sectionsOf(parseMessage(bytes), findings).slice(0, SECTIONS_MAX),
  };
}

function sectionsOf(message: ParsedMessage, findings: readonly Finding[]): ShownSection[] {
  return allParts(message).flatMap((part) => {
    const here = findings.filter(({ where }) => where.part === part.path);
    const sections = [headerSection(part, here)];
    const [text] = part.texts;
    if (text !== undefined && text !== '')
      sections.push(sectionOf(part.path, part.contentType, text, marksIn(text, here)));
    else if (part.content.length > 0) {
      const name = part.fileName === '' ? 'without a name' : part.fileName;
      const said = `${name}, ${part.contentType}, ${part.content.length} bytes`;
      sections.push(sectionOf(part.path, 'attachment', said, wholeMark(said, here)));
    }
    return sections.filter(({ pieces }) => pieces.length > 0);
  });
}

interface Mark {
  readonly start: number;
  readonly end: number;
  readonly finding: string;
}

const inHeader = ({ where }: Finding): boolean => /\bheader\b/.test(where.field);

function headerSection(part: Part, findings: readonly Finding[]): ShownSection {
  const marks: Mark[] = [];
  let text = '';
  for (const field of part.headers) {
    const line = `${field.name}: ${field.decoded.replace(/[\r\n]+/g, ' ')}`;
    const found = findings.find(
      (finding) =>
        inHeader(finding) && finding.where.start < field.end && finding.where.end > field.start,
    );
    if (found !== undefined)
      marks.push({ start: text.length, end: text.length + line.length, finding: found.id });
    text += `${line}\n`;
  }
  return sectionOf(part.path, 'header', text, marks);
}

/** Offsets that lie in this reading of the text; where only a beginning is known, to the end of its line. */
function marksIn(text: string, findings: readonly Finding[]): Mark[] {
  return findings.flatMap((finding) => {
    const { start, end } = finding.where;
    if (inHeader(finding) || end > text.length || start >= end) return [];
    const line = start + text.slice(start, start + MARK_MAX).search(/\r?\n|$/);
    const known = end - start > 1 ? end : Math.max(end, line);
    return [{ start, end: Math.min(known, start + MARK_MAX), finding: finding.id }];
  });
}

function wholeMark(text: string, findings: readonly Finding[]): Mark[] {
  const found = findings.find((finding) => !inHeader(finding));
  return found === undefined ? [] : [{ start: 0, end: text.length, finding: found.id }];
}

function sectionOf(
  part: string,
  what: string,
  whole: string,
  marks: readonly Mark[],
): ShownSection {
  const isCut = whole.length > SECTION_MAX;
  const { text, place } = maskAddresses(isCut ? whole.slice(0, SECTION_MAX) : whole);
  const pieces: Piece[] = [];
  let at = 0;
  for (const { start, end, finding } of [...marks].sort((one, two) => one.start - two.start)) {
    const from = Math.max(at, place(start, 'start'));
    const to = place(end, 'end');
    if (to <= from) continue;
    if (from > at) pieces.push({ text: text.slice(at, from), finding: null });
    // What is coded may hold an address that nobody reading it would notice.
    const marked = finding === 'foreign-address-encoded' ? '[coded address]' : text.slice(from, to);
    pieces.push({ text: marked, finding });
    at = to;
  }
  if (at < text.length) pieces.push({ text: text.slice(at), finding: null });
  return { part, what, pieces, isCut };
}
