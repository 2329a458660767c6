/**
 * What template engines, shop software and mail merge leave behind, beside the dialects with marks of their own: control words,
 * format strings, fields in single braces and brackets, special elements.
 *
 * A mark that also stands in ordinary text counts only around what cannot be a word of it: two words joined by an underscore, a
 * variable, a field of a record. Patterns are tried at their mark alone, so a text without it costs one search.
 */

interface Leftover {
  /** Where a pattern may begin. */
  readonly mark: string;
  readonly pattern: RegExp;
}

const FIELD_END =
  '(?:NAME|E?MAIL|ID|DATE|TIME|URL|LINK|CODE|NUMBER|NO|AMOUNT|ADDRESS|PHONE|TOTAL|PRICE|TITLE|CITY)';
const WORDS = '[A-Za-z]+(?:_[A-Za-z]+){1,6}';

function at(mark: string, ...patterns: readonly (RegExp | string)[]): Leftover {
  const sources = patterns.map((one) => (typeof one === 'string' ? one : one.source));
  return { mark, pattern: new RegExp(`(?:${sources.join('|')})`, 'y') };
}

/** All linear: every repetition is bounded and stops at its own closing mark. */
const LEFTOVERS: readonly Leftover[] = [
  at(
    '{',
    /\{\/(?:if|foreach|section|literal|block)\}/,
    /\{(?:foreach|section|if|elseif|assign)[ \t][^{}\n]{0,100}\$[^{}\n]{1,100}\}/,
    /\{#[ \t][^{}\n]{1,120}#\}/,
    /\{\w{1,40},[ \t]?(?:plural|select|selectordinal|number|date|time)[ ,}]/,
    /\{\d:[A-Za-z0-9#.,-]{1,12}\}/,
    /\{ MERGEFIELD /,
    /(?<![\w$#%\\{}])\{(?:[a-z]+(?:_[A-Za-z]+){1,6}|(?:user|customer|order|contact|account|recipient|event|company)\.\w{1,60}|[A-Z]{1,30}(?:_[A-Z]+){1,6}|[A-Z]{5,30})(?::\w{1,40})?\}(?!\})/,
    /(?<=(?<!\w)!)\{[A-Za-z_][\w.]{0,60}\}/,
  ),
  at(
    '$',
    /\$!\{?[a-z]\w{0,40}(?:\.\w{1,40}){0,4}\}?/,
    /(?<=(?:^|[^\w&])[#@](?:if|elseif|foreach|for|set|isset|unless)[ \t]?\([ \t]?)\$/,
    /(?<=%\d)\$[sd]\b/,
  ),
  at(
    '@',
    /(?<![\w.])@end(?:if|foreach|for|section|unless|isset)\b/,
    /(?<![\w.])@(?:Model\.[A-Z]|ViewBag\.)\w{1,60}/,
  ),
  at('##', /#{3}[A-Z][A-Z_]{2,40}#{3}/, `(?<![\\w#])##${WORDS}##(?![\\w#])`),
  at('~', /~[A-Z]\w{1,30}\._?[A-Z]\w{1,40}~/),
  at('«', `«${WORDS}»`),
  at('<<', `<<${WORDS}>>`),
  at('&l', `&laquo;${WORDS}&raquo;`, `&lt;&lt;${WORDS}&gt;&gt;`, elements('&lt;', '&gt;')),
  at('::', `(?<![\\w:])::${WORDS}::(?![\\w:])`),
  at(
    '%',
    /%\([A-Za-z_]\w{0,40}\)[sdif]\b/,
    /%<[a-z_]{1,40}>[-+.\d]{0,5}[sdf]/,
    /%&lt;[a-z_]{1,40}&gt;[-+.\d]{0,5}[sdf]/,
    /%IF [^%\n]{1,60}%/,
    `(?<![\\w%])%${WORDS}%(?![\\w%])`,
    /(?<![\w%])%[A-Z]+(?:-[A-Z]+){1,4}%(?![\w%])/,
  ),
  at(
    '[',
    `\\[(?:[A-Z]+_){1,5}${FIELD_END}\\]`,
    /\[(?:[Ii]nsert|INSERT|[Ee]nter) [^[\]\n]{1,40}\]/,
    /\[(?:[Yy]our|YOUR)[ _-](?:company|name|title|city|address|phone|date|e-?mail|logo|signature|Company|Name|NAME)\b[^[\]\n]{0,20}\]/,
    /\[\w{1,60},fallback=[^[\]\n]{0,60}\]/,
    /\[(?:current-user|user|site|node|order|commerce_order|term)(?::[a-z][\w-]{0,40}){1,4}\]/,
    /\[\[[A-Za-z]\w{1,40} (?:OR "|mode=")[^[\]\n]{0,60}\]\]/,
  ),
  at('Lorem ipsum', /Lorem ipsum dolor\b/),
  at('Notice: Undef', /Notice: Undefined (?:variable|index|property|offset)\b/),
];

/** Elements that are no HTML: FreeMarker's directives, and what mailing systems replace. */
function elements(open: string, close: string): string {
  return `${open}(?:/?#(?:if|list)\\b|ctrl:field\\b|custom name=|(?:unsubscribe|webversion|OTRS_[A-Z_]{2,60})${close}|span class="?eloquaemail\\b)`;
}
const ELEMENT = new RegExp(elements('<', '>'), 'y');
/** What follows `<` in one of them. */
const ELEMENT_LETTERS = '#/cuwOs';

/** Where the first leftover stands; -1 where there is none. */
export function firstLeftover(text: string): number {
  for (const { mark, pattern } of LEFTOVERS) {
    const found = firstAt(text, mark, pattern);
    if (found !== -1) return found;
  }
  return firstElement(text);
}

function firstAt(text: string, mark: string, pattern: RegExp): number {
  for (let place = text.indexOf(mark); place !== -1; place = text.indexOf(mark, place + 1)) {
    pattern.lastIndex = place;
    if (pattern.test(text)) return place;
  }
  return -1;
}

function firstElement(text: string): number {
  for (let place = text.indexOf('<'); place !== -1; place = text.indexOf('<', place + 1)) {
    if (!ELEMENT_LETTERS.includes(text[place + 1] ?? ' ')) continue;
    ELEMENT.lastIndex = place;
    if (ELEMENT.test(text)) return place;
  }
  return -1;
}
