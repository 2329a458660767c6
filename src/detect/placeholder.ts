/**
 * Placeholders of a template that nobody filled in, in the dialects of the providers and template languages, and what programs write
 * where a value is missing. Code shown in a newsletter is not looked at: pre and code in HTML, indented lines and backticks in text.
 */

import { kept } from '../mail/kept.ts';
import type { ParsedMessage, Part } from '../mail/message.ts';
import type { Finding } from './finding.ts';
import { headerLabel } from './header-label.ts';
import { htmlWithoutCode } from './html-text.ts';
import {
  hasMissingWord,
  leadsNowhere,
  mayLeadNowhere,
  missingInFileName,
  missingInSubject,
  missingValue,
} from './missing-value.ts';
import { firstLeftover } from './template-leftovers.ts';

interface Dialect {
  /** What must be in the text for the pattern to be worth trying. */
  readonly marker: string;
  readonly pattern: RegExp;
}

const FIELD =
  '(?:(?:first|last|f|l|full|given|family|sur|user|nick|customer|client|contact|company)?[-_ ]?(?:name|email|id|address)|company|salutation|(?:unsubscribe|unsub)[-_ ]?(?:url|link)?)';

/** Marks that also stand in ordinary text: only around what a field of a person's record is called. */
const FIELDS_IN_MARKS: readonly Dialect[] = [
  { marker: '[', pattern: new RegExp(`\\[(?:your[-_ ])?${FIELD}\\]`, 'iy') },
  { marker: '::', pattern: new RegExp(`(?<![\\w:])::${FIELD}::(?![\\w:])`, 'iy') },
  { marker: '-', pattern: new RegExp(`(?<![\\w-])-${FIELD}-(?![\\w-])`, 'iy') },
  { marker: '{', pattern: new RegExp(`\\{${FIELD}\\}`, 'iy') },
  { marker: '%', pattern: new RegExp(`(?<![\\w%])%${FIELD}%(?![\\w%])`, 'iy') },
  { marker: '$', pattern: new RegExp(`(?<![\\w$])\\$${FIELD}\\$(?![\\w$])`, 'iy') },
  { marker: '##', pattern: new RegExp(`(?<![\\w#])##${FIELD}##(?![\\w#])`, 'iy') },
  { marker: '@@', pattern: new RegExp(`(?<![\\w@])@@${FIELD}@@(?![\\w@])`, 'iy') },
  { marker: '__', pattern: new RegExp(`(?<!\\w)__${FIELD}__(?!\\w)`, 'iy') },
  { marker: '«', pattern: new RegExp(`«${FIELD}»`, 'iy') },
  { marker: '&laquo;', pattern: new RegExp(`&laquo;${FIELD}&raquo;`, 'iy') },
  { marker: '<<', pattern: new RegExp(`<<${FIELD}>>`, 'iy') },
  { marker: '&lt;&lt;', pattern: new RegExp(`&lt;&lt;${FIELD}&gt;&gt;`, 'iy') },
];

/** Nothing else looks like these. */
const UNMISTAKABLE = /(?:<|&lt;)\?(?:=[ $]|php )/;

/** All linear: every repetition is bounded and stops at its own closing mark. */
const DIALECTS: readonly Dialect[] = [
  { marker: '{{', pattern: /\{\{\{?[^{}\p{L}\d_$\n]{0,20}[\p{L}\d_$][^{}<\n]{0,160}\}\}/u },
  { marker: '{%', pattern: /\{%-?[ \t]*[a-z_][a-z0-9_]{1,20}\b[^{}\n]{0,120}%\}/i },
  { marker: '%7B%7B', pattern: /%7B%7B(?:%20)*[\w.]{1,60}(?:%20)*%7D%7D/i },
  { marker: '%7b%7b', pattern: /%7B%7B(?:%20)*[\w.]{1,60}(?:%20)*%7D%7D/i },
  { marker: '%recipient', pattern: /%recipient(?:[._][\w-]{1,60})?%/i },
  {
    marker: '%%',
    pattern: /%%(?:[A-Za-z_][\w .:-]{0,60}|=[^%\n]{1,120}=|\[[^%\n]{1,120}\])%%/,
  },
  { marker: '*|', pattern: /\*\|[A-Z][^|*\n]{0,80}\|\*/i },
  { marker: '*%7C', pattern: /\*%7C[\w:]{1,60}%7C\*/i },
  // A name as programs write it: wikis link to pages in the same marks.
  {
    marker: '[[',
    pattern:
      /\[\[[ \t]*(?:[a-z_][\w.]{0,60}|[A-Z][A-Z0-9_.]{1,60}|(?:[A-Z][a-z]+ )?(?:[Nn]ame|[Ee]?mail)|(?:data|var|user|contact):[^[\]\n]{1,80})[ \t]*\]\]/,
  },
  { marker: '${', pattern: /\$\{[ \t]*[A-Za-z_!#][^{}<\n]{0,80}\}/ },
  { marker: '%>', pattern: /<%[=#@:!-]{0,2}[ \t]*[A-Za-z@_][^<>\n]{0,120}%>/ },
  { marker: '%&gt;', pattern: /&lt;%[=#@:!-]{0,2}[ \t]*[A-Za-z@_][^<>\n]{0,120}%&gt;/ },
  { marker: '#{', pattern: /#\{[ \t]*[A-Za-z@_][\w.@?! "'()-]{0,60}\}/ },
  { marker: '{!', pattern: /\{!(?:[A-Za-z_$][^{}<\n]{1,120}|![^{}\n]{1,120}!!)\}/ },
  { marker: '[%', pattern: /\[%[-+]?[ \t][^[\]%\n]{1,120}%\]/ },
  { marker: '{$', pattern: /\{\$[A-Za-z_][^{}<\n]{0,80}\}/ },
  { marker: '[object ', pattern: /\[object (?:Object|Array|Promise|Undefined|Null)\]/ },
];

/** For header fields, most of which are the same in every message of a broadcast. */
const hasDialect = kept((text) => firstDialect(text) !== -1);

/** One finding for each field or part with a placeholder. */
export function placeholder(message: ParsedMessage): readonly Finding[] {
  const findings: Finding[] = [];
  for (const field of message.headers) {
    if (!SHOWN_FIELDS.has(field.lower)) continue;
    const missing = field.lower === 'subject' && missingInSubject(field.decoded);
    const { decoded } = field;
    const has = field.lower === 'to' ? firstDialect(decoded) !== -1 : hasDialect(decoded);
    if (missing || has) findings.push(found('', headerLabel(field), field.start, field.end));
  }
  const waiting: Part[] = [message.root];
  for (let part = waiting.pop(); part !== undefined; part = waiting.pop()) {
    const finding = inPart(part);
    if (finding !== null) findings.push(finding);
    for (const child of part.children.toReversed()) waiting.push(child);
  }
  return findings;
}

const SHOWN_FIELDS = new Set([
  'subject',
  'from',
  'to',
  'cc',
  'reply-to',
  'sender',
  'list-unsubscribe',
  'thread-topic',
]);

function inPart(part: Part): Finding | null {
  const { fileName } = part;
  if (fileName !== '' && (firstDialect(fileName) !== -1 || missingInFileName(fileName))) {
    return found(part.path, 'file name', 0, fileName.length);
  }
  const text = part.texts[0];
  if (text === undefined || part.disposition === 'attachment') return null;
  const html = part.contentType === 'text/html';
  const at = html ? inHtml(text) : inText(text);
  return at === -1 ? null : found(part.path, html ? 'html' : 'text', at, at + 1);
}

function inHtml(source: string): number {
  if (!isSuspect(source)) return -1;
  // Only now is it worth taking the code out.
  const { text, tags } = htmlWithoutCode(source);
  if (leadsNowhere(tags, (value) => firstDialect(value) !== -1)) return 0;
  return Math.max(firstDialect(tags), firstDialect(text), missingValue(text));
}

/** Whether there is anything in the source, code included. */
function isSuspect(source: string): boolean {
  if (firstDialect(source) !== -1) return true;
  const words = hasMissingWord(source);
  return missingValue(source, words) !== -1 || mayLeadNowhere(source, words);
}

function inText(text: string): number {
  const at = Math.max(firstDialect(text), missingValue(text));
  if (at === -1) return -1;
  const prose = withoutCode(text);
  return Math.max(firstDialect(prose), missingValue(prose));
}

/** Text without what stands in fences, indented lines, quotations and backticks. */
function withoutCode(text: string): string {
  let fenced = false;
  const lines: string[] = [];
  for (const line of text.split('\n')) {
    if (/^ {0,3}```[^`]*$/.test(line)) fenced = !fenced;
    else if (!fenced && !/^(?: {4}|\t|>)/.test(line)) lines.push(line.replace(/`[^`]*`?/g, ''));
  }
  return lines.join('\n');
}

function firstDialect(text: string): number {
  const at = hasDialectMark(text) ? firstOfDialects(text) : -1;
  if (at !== -1) return at;
  if (text.includes('?= ') || text.includes('?=$') || text.includes('?php ')) {
    const found = UNMISTAKABLE.exec(text)?.index;
    if (found !== undefined) return found;
  }
  for (const { marker, pattern } of FIELDS_IN_MARKS) {
    // In HTML these are the beginnings of tags, of which there are hundreds.
    if (marker === '<<' && text.includes('</')) continue;
    const found = firstAtMarker(text, marker, pattern);
    if (found !== -1) return found;
  }
  return firstLeftover(text);
}

/** Whether any marker of a dialect may be in the text: each has a brace, a bracket, a star, or a percent sign before one of these. */
function hasDialectMark(text: string): boolean {
  if (text.includes('{') || text.includes('[') || text.includes('*')) return true;
  for (let at = text.indexOf('%'); at !== -1; at = text.indexOf('%', at + 1)) {
    if (AFTER_PERCENT.includes(text.charAt(at + 1))) return true;
  }
  return false;
}

/** What follows the percent sign in the markers that have no brace, bracket or star. At the end of a text: the empty text. */
const AFTER_PERCENT = '7r%>&';

function firstOfDialects(text: string): number {
  for (const { marker, pattern } of DIALECTS) {
    if (!text.includes(marker)) continue;
    const at = pattern.exec(text)?.index;
    if (at !== undefined) return at;
  }
  return -1;
}

/** Tries a sticky pattern at each marker that does not stand inside a word. */
function firstAtMarker(text: string, marker: string, pattern: RegExp): number {
  for (let at = text.indexOf(marker); at !== -1; at = text.indexOf(marker, at + 1)) {
    if (isWordCode(text.charCodeAt(at - 1)) || !isWordCode(text.charCodeAt(at + marker.length))) {
      continue;
    }
    pattern.lastIndex = at;
    if (pattern.test(text)) return at;
  }
  return -1;
}

function isWordCode(code: number): boolean {
  const lower = code | 0x20;
  return (lower >= 0x61 && lower <= 0x7a) || (code >= 0x30 && code <= 0x39) || code === 0x5f;
}

function found(part: string, field: string, start: number, end: number): Finding {
  return {
    id: 'placeholder',
    severity: 'risk',
    where: { part, field, start, end },
    addresses: [],
    count: 1,
  };
}
