/**
 * What programs write where a value is missing: a greeting without a name, `undefined` and its like where a person's or an amount's
 * would stand, and links that lead nowhere.
 *
 * Each is looked for from the mark that is rare, backwards to what it must stand behind: most texts cost a few searches.
 */

const GREETING =
  'dear|hi|hello|hey|good (?:morning|afternoon|evening)|hallo|liebe[r]?|sehr geehrte[r]?|guten tag|hola|estimad[oa]|querid[oa]|bonjour|cher|chère|ciao|gentile|caro|cara|olá|prezad[oa]|уважаемый|здравствуйте';
const TITLE = '(?:\\s+(?:mr|mrs|ms|miss|dr|prof|herr|frau)\\.?)?';
/** At the end of what stands before a name; tags are line feeds by then. */
const GREETED = new RegExp(`(?:^|\\n)[ \\t]*(?:${GREETING})${TITLE}\\s+$`, 'iu');
/** French puts a space before the mark, too. */
const GREETED_IN_ENGLISH = /(?:^|\n)[ \t]*(?:hi|hello|hey|dear)\s+$/i;
const THANKED = /(?:^|\n)[ \t]*(?:thank you|thanks|welcome|congratulations),?\s+$/i;
const GREETING_LENGTH_MAX = 160;

/** Whether what stands before this place is a greeting, tags aside. */
function isGreeted(text: string, at: number, greetings: readonly RegExp[]): boolean {
  const start = Math.max(0, at - GREETING_LENGTH_MAX);
  const before = text
    .slice(start, at)
    .replace(/<[^<>]*>?/g, '\n')
    .replaceAll('&nbsp;', ' ');
  // In the middle of a text the beginning of the piece is none of a line.
  const piece = start === 0 ? before : `.${before}`;
  return greetings.some((greeting) => greeting.test(piece));
}

/** A space, a no-break space, the end of a tag or of `&nbsp;`. */
function isGap(code: number): boolean {
  return code === 0x20 || code === 0xa0 || code === 0x3e || code === 0x3b || code === 0x0a;
}

const BEFORE_COMMA = [GREETED];
const BEFORE_MARK = [GREETED_IN_ENGLISH];
const BEFORE_VALUE = [GREETED, THANKED];
/** What stands for a name that was not filled in. */
const NO_NAME =
  /(?:(?:undefined|null|NULL|NaN|None|nil)\b|\(null\)|%[sd]\b|[%#!]?\{\w{1,60}\}|\$\{?[a-z_][\w.]*|\[object )/y;
const STARTS = ['NULL', 'NaN', 'None', '(null)', '%', '{', '$', '[object '];

function emptyGreeting(text: string, words: boolean): number {
  for (let at = text.indexOf(','); at !== -1; at = text.indexOf(',', at + 1)) {
    const before = text.charCodeAt(at - 1);
    if (isGap(before) && isGreeted(text, at, BEFORE_COMMA)) return at;
    if (before === 0x6c && text.endsWith('nil', at) && isNoName(text, at - 3)) return at;
  }
  for (let at = text.indexOf('!'); at !== -1; at = text.indexOf('!', at + 1)) {
    if (isGap(text.charCodeAt(at - 1)) && isGreeted(text, at, BEFORE_MARK)) return at;
  }
  for (const start of STARTS) {
    for (let at = text.indexOf(start); at !== -1; at = text.indexOf(start, at + 1)) {
      if (isNoName(text, at)) return at;
    }
  }
  return words ? emptyGreetingByWord(text) : -1;
}

function emptyGreetingByWord(text: string): number {
  for (const match of text.matchAll(/\b(?:undefined|null)\b/g)) {
    if (isNoName(text, match.index)) return match.index;
  }
  return -1;
}

function isNoName(text: string, at: number): boolean {
  if (!isGap(text.charCodeAt(at - 1))) return false;
  NO_NAME.lastIndex = at;
  return NO_NAME.test(text) && isGreeted(text, at, BEFORE_VALUE);
}

/** `null`: its last letters are rarer than the first. */
function hasNull(text: string): boolean {
  for (let at = text.indexOf('ull', 1); at !== -1; at = text.indexOf('ull', at + 1)) {
    if (text[at - 1] === 'n') return true;
  }
  return false;
}

/** Values that no program wanted to write, where a person's or an amount's would stand. */
const MISSING_VALUE =
  /(?:[$€£#№][ \t]?|\b(?:order|invoice|account|customer|number|no\.?|id)[ \t]*[:#]?[ \t]+)(?:undefined|null|NaN)(?![\w-])|\bInvalid Date\b|\bNaN[ \t]?(?:%|€|(?:EUR|USD|GBP|CHF|days?|hours?|minutes?|items?)\b)|(?:^|\n)[A-Z][\w .]{0,30}:[ \t]+(?:undefined|null|NaN)[ \t]*(?=[\r\n,]|$)/;

/** Whether any word for what is missing is there at all; asked once for what asks for it twice. */
export function hasMissingWord(text: string): boolean {
  if (text.includes('NaN') || text.includes('Invalid Date') || hasNull(text)) return true;
  return text.includes('undefined');
}

/** Where the first missing value stands in a text, or in the source of HTML; -1 where there is none. */
export function missingValue(text: string, words: boolean = hasMissingWord(text)): number {
  const at = emptyGreeting(text, words);
  if (at !== -1 || !words) return at;
  return MISSING_VALUE.exec(text)?.index ?? -1;
}

const MISSING_IN_SUBJECT =
  /(?<![\w-])(?:undefined|NaN|null)(?![\w-])|(?<![\w%])%[sd](?![\w%])|\{\d\}|\b(?:[Hh]i|[Hh]ello|[Hh]ey|[Dd]ear) \$[a-z]\w+/;
const MISSING_IN_FILE_NAME = /(?:^|[-_ .])(?:undefined|null|NaN|%[sd])(?=[-_ .]|$)/;

export function missingInSubject(subject: string): boolean {
  return MISSING_IN_SUBJECT.test(subject);
}

export function missingInFileName(fileName: string): boolean {
  return MISSING_IN_FILE_NAME.test(fileName);
}

const ATTRIBUTE =
  /[\s"'](?:href|src)[ \t]*=[ \t]*(?:"([^"]{0,2000})"|'([^']{0,2000})'|([^\s"'>]{1,2000}))/gi;
const NOWHERE = /^(?:|https?:\/\/|mailto:|tel:)$/i;
const MISSING_PIECE = /(?:^|[/=])(?:undefined|null|NaN)(?=[/?&#]|$)/;
const CODED = /%(?:7[bc]|25|3c|5b)/i;

/** What ends an attribute in which nothing stands, or nothing but a scheme. */
const EMPTY_ENDS: readonly (readonly [end: string, before: RegExp])[] = [
  ['""', /(?:href|src) ?= ?$/i],
  ['//"', /https?:$/i],
  [':"', /(?:mailto|tel)$/i],
];

/** Whether any link may lead nowhere or to a missing value; without that nobody reads the tags. */
export function mayLeadNowhere(source: string, words: boolean): boolean {
  if (words || source.includes('[object')) return true;
  for (const [end, before] of EMPTY_ENDS) {
    for (let at = source.indexOf(end); at !== -1; at = source.indexOf(end, at + 2)) {
      // Most empty attributes are an alt.
      if (source[at - 1] === '=' && source[at - 2] === 't' && source[at - 3] === 'l') continue;
      if (before.test(source.slice(Math.max(0, at - 8), at))) return true;
    }
  }
  for (let at = source.indexOf('%'); at !== -1; at = source.indexOf('%', at + 1)) {
    if (CODED_FIRST.includes(source.charAt(at + 1)) && CODED.test(source.slice(at, at + 3)))
      return true;
  }
  return false;
}

/** What follows the percent sign in those. At the end of a text: the empty text. */
const CODED_FIRST = '7235';

/** Whether a link leads nowhere, or holds what `isTag` knows once its coding is undone. */
export function leadsNowhere(tags: string, isTag: (text: string) => boolean): boolean {
  for (const [, double, single, bare] of tags.matchAll(ATTRIBUTE)) {
    const value = (double ?? single ?? bare ?? '').trim();
    if (NOWHERE.test(value) || MISSING_PIECE.test(value) || value.includes('[object')) return true;
    if (CODED.test(value) && isTag(decoded(value))) return true;
  }
  return false;
}

function decoded(value: string): string {
  return value.replace(/%(2[045]|3[ce]|5[bd]|7[bcd])/gi, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}
