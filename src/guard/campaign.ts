/**
 * What a message says, in 64 bits that differ little where texts differ little (Charikar 2002), so that one text sent in many
 * calls is known again although names, numbers and addresses in it are others.
 *
 * Invariant: pure; the same words give the same bits under one seed, whoever they are sent to.
 */

import { createHmac, type KeyObject } from 'node:crypto';
import { htmlWithoutCode } from '../detect/html-text.ts';
import type { ParsedMessage, Part } from '../mail/message.ts';
import { undoCharacterReferences } from '../mail/undo-coding.ts';

/** Two messages of one identity are one campaign up to this many different bits. */
export const CAMPAIGN_BITS = 6;

/** Beyond this nothing more is told of a text. */
const TEXT_MAX = 65_536;
/** A text of fewer words is known by all of them: a few common ones do not make a campaign. */
const WORDS_MIN = 20;
const SUBJECT_WEIGHT = 2;
/** A salutation stands in one of the first lines and is short. */
const SALUTATION_LINES = 6;
const SALUTATION_CHARS = 80;

export interface CampaignSeed {
  readonly one: number;
  readonly two: number;
}

/** From a secret key, so that nobody can try texts against what is stored. */
export function campaignSeed(key: KeyObject): CampaignSeed {
  const bytes = createHmac('sha256', key).update('campaign\0').digest();
  return { one: bytes.readInt32LE(0), two: bytes.readInt32LE(4) };
}

/** The fingerprint, signed as PostgreSQL's bigint. */
export function simhash(message: ParsedMessage, seed: CampaignSeed): bigint {
  const weights = wordsOf(message, true);
  if (weights.size >= WORDS_MIN) return nearly(weights, seed);
  // Of a few words a line such as `Thanks for the plan!` may be all there is: it is no salutation by its shape alone.
  return exact(message, wordsOf(message, false), seed);
}

/** How many of 64 bits differ. */
export function differentBits(one: bigint, other: bigint): number {
  const difference = BigInt.asUintN(64, one ^ other);
  return ones(Number(difference >> 32n)) + ones(Number(difference & 0xffff_ffffn));
}

function ones(word: number): number {
  let x = word - ((word >>> 1) & 0x5555_5555);
  x = (x & 0x3333_3333) + ((x >>> 2) & 0x3333_3333);
  return Math.imul((x + (x >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}

function nearly(weights: ReadonlyMap<string, number>, seed: CampaignSeed): bigint {
  const sums = new Int32Array(64);
  for (const [word, weight] of weights) {
    addBits(sums, 0, hash32(word, seed.one), weight);
    addBits(sums, 32, hash32(word, seed.two), weight);
  }
  let bits = 0n;
  for (let i = 0; i < 64; i++) if ((sums[i] as number) > 0) bits |= 1n << BigInt(i);
  return BigInt.asIntN(64, bits);
}

function addBits(sums: Int32Array, from: number, hash: number, weight: number): void {
  for (let i = 0; i < 32; i++)
    sums[from + i] = (sums[from + i] as number) + ((hash >>> i) & 1 ? weight : -weight);
}

/** All words together, and what is attached, mixed: one other word makes half of the bits others. */
function exact(
  message: ParsedMessage,
  weights: ReadonlyMap<string, number>,
  seed: CampaignSeed,
): bigint {
  const hash = createHmac('sha256', `${seed.one},${seed.two}`);
  for (const word of [...weights.keys()].sort()) hash.update(`${word}\0`);
  for (const part of leaves(message.root))
    if (part.texts.length === 0 || isAttached(part)) hash.update(part.content);
  return hash.digest().readBigInt64LE(0);
}

/** FNV-1a over UTF-16 units with a final mix (MurmurHash3). */
export function hash32(word: string, seed: number): number {
  let hash = seed ^ 0x811c_9dc5;
  for (let i = 0; i < word.length; i++) hash = Math.imul(hash ^ word.charCodeAt(i), 0x0100_0193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return hash ^ (hash >>> 16);
}

function wordsOf(message: ParsedMessage, byShape: boolean): ReadonlyMap<string, number> {
  const weights = new Map<string, number>();
  for (const part of leaves(message.root)) {
    const [text] = part.texts;
    if (text === undefined || isAttached(part)) continue;
    const shown = part.contentType === 'text/html' ? shownOf(text.slice(0, TEXT_MAX)) : text;
    addWords(withoutSalutation(shown.slice(0, TEXT_MAX), byShape), 1, weights);
  }
  for (const field of message.headers)
    if (field.lower === 'subject') addWords(field.decoded, SUBJECT_WEIGHT, weights);
  return weights;
}

/** A part's own leaves; what is inside a forwarded message is a part of what it says. */
function leaves(root: Part): readonly Part[] {
  const found: Part[] = [];
  const waiting: Part[] = [root];
  for (let part = waiting.pop(); part !== undefined; part = waiting.pop()) {
    if (part.children.length === 0 && part.nested === null) found.push(part);
    for (const child of part.children.toReversed()) waiting.push(child);
    if (part.nested !== null) waiting.push(part.nested.root);
  }
  return found;
}

function isAttached(part: Part): boolean {
  return part.disposition === 'attachment' || part.fileName !== '';
}

function shownOf(source: string): string {
  return undoCharacterReferences(htmlWithoutCode(source).text);
}

/** Links and addresses are made for one reader each; what holds a digit is a number, a date or an amount. */
const OF_ONE_READER = /\S*(?:@|:\/\/)\S*|[\p{L}\p{M}\p{N}]*\p{N}[\p{L}\p{M}\p{N}]*/gu;
const WORDS = /[\p{L}\p{M}]+/gu;
/** Written without spaces between words: each two characters stand for one. */
const WITHOUT_SPACES = /^[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]/u;

function addWords(text: string, weight: number, weights: Map<string, number>): void {
  for (const [word] of text.replace(OF_ONE_READER, ' ').toLowerCase().matchAll(WORDS)) {
    if (!WITHOUT_SPACES.test(word)) weights.set(word, weight);
    else for (let i = 0; i + 1 < word.length; i++) weights.set(word.slice(i, i + 2), weight);
  }
}

/** `Dear Jane Roe,` `Hola, Jane:` `Здравствуйте, Jane!` `Jane，您好：` */
const SALUTATION_END = /[,:!،，：！]\s*$/u;
const SALUTATION_WORD =
  /^\s*(?:[^，,\n]{1,20}[，,]\s*您好|dear|hello|hi|hey|good (?:morning|afternoon|evening|day)|hallo|guten (?:tag|morgen|abend)|liebe[rs]?|sehr geehrter?s?|moin|bonjour|ch(?:er|ère|ers)|madame|monsieur|hola|buen[oa]s? (?:d[ií]as?|tardes|noches)|estimad[oa]s?|querid[oa]s?|ciao|buongiorno|gentile|car[oaie]|olá|oi|prezad[oa]s?|здравствуйте|уважаем\S*|добрый день|привет|дорог\S*|تحية طيبة|مرحبا|عزيزي|السيد|السيدة|尊敬的|亲爱的)(?![\p{L}\p{M}])(?:,(?=[^,:!\n]{1,40}[:!]))?(?:[^,:!،，：！\n]{0,60}[,:!،，：！]|(?:\s+\S+){0,2}\s*$)/iu;

function withoutSalutation(text: string, byShape: boolean): string {
  const lines = text.split('\n');
  let looked = 0;
  const kept: string[] = [];
  for (const [i, line] of lines.entries()) {
    // What stands below the mark of a signature says who writes, not what (RFC 3676 section 4.3).
    if (line === '-- ' || line === '-- \r') break;
    if (line.trim() === '') continue;
    if (looked >= SALUTATION_LINES) {
      kept.push(...lines.slice(i, signatureAt(lines, i)));
      break;
    }
    looked++;
    if (byShape && line.trim().length <= SALUTATION_CHARS && SALUTATION_END.test(line)) continue;
    kept.push(line.replace(SALUTATION_WORD, ' '));
  }
  return kept.join('\n');
}

function signatureAt(lines: readonly string[], from: number): number {
  for (let i = from; i < lines.length; i++)
    if (lines[i] === '-- ' || lines[i] === '-- \r') return i;
  return lines.length;
}
