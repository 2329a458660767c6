/** Whom a text greets, and whether a greeting fits a name. */

import type { ParsedMessage, Part } from '../mail/message.ts';
import { htmlWithoutCode } from './html-text.ts';

/** A name as words: lower case, without accents; empty for no name. */
export type Name = readonly string[];

/** Where a greeting stands: near the beginning, behind a style sheet and a preheader at most. */
const TEXT_MAX = 60_000;
const NAME_MAX = 60;

const WORDS = [
  'dear|hi|hello|hey|good (?:morning|afternoon|evening)',
  'hallo|liebe[rs]?|sehr geehrte[rs]?|guten (?:tag|morgen|abend)',
  'hola|estimad[oa]s?|querid[oa]|buenos d[ií]as',
  'bonjour|ch[eè]re?|salut|ciao|gentile|caro|cara|buongiorno',
  'ol[aá]|prezad[oa]|car[oa]|beste|geachte|kære|kära|hej|szanown[ya]|drog[ia]',
].join('|');

const GREETING = new RegExp(
  `(?:^|\\n)[ \\t\\u00a0]*(?:${WORDS})[ \\t\\u00a0]+([^\\n,!:;<>?(]{2,${NAME_MAX}})[ \\t\\u00a0]*(?:[,!:;]|\\n|$)`,
  'iu',
);

const TITLES = new Set(
  'mr mrs ms mx miss dr prof professor sir dame herr herrn frau monsieur madame mme mlle m signor signora sig sig.ra sr sra senor senora don dona dott dottssa dhr mevr mevrouw heer pan pani hr fru'.split(
    ' ',
  ),
);
const NOBODY_IN_PARTICULAR = new Set(
  'customer customers client clients user users member members friend friends all team everyone everybody there sir madam valued colleague colleagues reader readers subscriber subscribers investor investors trader traders guest guests traveller traveler shopper partner partners applicant candidate student students parent parents patient patients supporter supporters community folks guys you again world neighbour neighbor resident residents homeowner tenant owner owners administrator admin sirs ladies gentlemen kunde kundin kunden kundinnen damen herren interessent nutzer nutzerin mitglied mitglieder leser leserin freund freunde zusammen alle cliente clientes clienti abonne abonnee membre utilisateur usuario usuaria suscriptor tutti todos todas amigo amigos amici monsieurmadame klant lezer kunder kund klient'.split(
    ' ',
  ),
);

/** What every greeting in HTML source begins with: behind a tag, a line break or a character reference. */
const GREETING_IN_HTML = new RegExp(
  `(?:^|[\\n>;])[ \\t\\u00a0]*(?:${WORDS})[ \\t\\u00a0\\r\\n&<]`,
  'iu',
);

/** The words of a name as they are compared. */
export function nameOf(text: string): Name {
  const plain = /^[A-Za-z0-9 ]*$/.test(text) ? text.toLowerCase() : withoutAccents(text);
  return plain.split(/[^\p{L}\p{N}]+/u).filter((word) => word !== '' && !TITLES.has(word));
}

function withoutAccents(text: string): string {
  return text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase().replaceAll('ß', 'ss');
}

/** The name greeted; empty where nobody in particular is. */
export function greetedIn(text: string): Name {
  const match = GREETING.exec(text.slice(0, TEXT_MAX));
  const written = match?.[1]?.trim() ?? '';
  // A name has capital letters, where its script has any: `Hi and welcome` greets nobody.
  if (!/^[\p{Lu}\p{Lt}\p{Lo}]/u.test(written)) return [];
  const words = written.split(/\s+/);
  if (words.length > 5 || words.some((word) => word.length > 3 && /^\p{Ll}/u.test(word))) return [];
  const name = nameOf(written);
  return name.some((word) => NOBODY_IN_PARTICULAR.has(word)) ? [] : name;
}

/** Whether somebody with one of these names may be greeted so: a word in common, an initial, a short form, one slip of the pen. */
export function fits(greeted: Name, names: readonly Name[]): boolean {
  return names.some((name) => greeted.some((word) => name.some((other) => isLike(word, other))));
}

function isLike(one: string, other: string): boolean {
  if (one === other) return true;
  const [short, long] = one.length < other.length ? [one, other] : [other, one];
  if (long.startsWith(short) && (short.length >= 3 || short.length === 1)) return true;
  return short.length >= 4 && long.length - short.length <= 1 && differByOne(short, long);
}

function differByOne(short: string, long: string): boolean {
  let start = 0;
  while (start < short.length && short[start] === long[start]) start++;
  const rest = short.slice(start);
  return long.slice(start + 1) === (short.length === long.length ? rest.slice(1) : rest);
}

/**
 * The name greeted in the text that a reader sees; empty where nobody in particular is. Most messages greet nobody: their HTML is
 * searched as it is (7 us for 10 KB), which costs less than taking its tags out first (18 us).
 */
export function greetedBy(message: ParsedMessage): Name {
  const { text, isHtml } = shownPart(message);
  if (!isHtml) return greetedIn(text.replaceAll('\r', ''));
  return GREETING_IN_HTML.test(text) ? greetedIn(htmlWithoutCode(text).text) : [];
}

/** What a reader sees as the text of the message itself: HTML without code, else the plain text. */
export function shownText(message: ParsedMessage): string {
  const { text, isHtml } = shownPart(message);
  return isHtml ? htmlWithoutCode(text).text : text.replaceAll('\r', '');
}

function shownPart(message: ParsedMessage): { readonly text: string; readonly isHtml: boolean } {
  let plain = '';
  const waiting: Part[] = [message.root];
  for (let part = waiting.pop(); part !== undefined; part = waiting.pop()) {
    const text = part.texts[0];
    if (text !== undefined && part.disposition !== 'attachment' && part.fileName === '') {
      if (part.contentType === 'text/html') return { text, isHtml: true };
      if (plain === '' && part.contentType === 'text/plain') plain = text;
    }
    waiting.push(...part.children.toReversed());
  }
  return { text: plain, isHtml: false };
}
