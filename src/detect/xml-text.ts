/**
 * The text of office documents: of the XML files in .xlsx, .docx, .pptx, .odt, .ods and their like, whatever is hidden in them.
 * Linear in the source.
 */

/** Elements inside a word: runs and what formats them (ECMA-376 part 1, ODF 1.3). By local name, lower case. */
const INSIDE_WORDS = new Set(
  'r t rpr rfonts rfont rstyle sz szcs color b bcs i ics u strike vertalign lang highlight shd kern spacing noproof family scheme charset span a hyperlink ins del smarttag prooferr bookmarkstart bookmarkend softhyphen lastrenderedpagebreak'.split(
    ' ',
  ),
);
/** A tag worth reading for its attributes: mailto targets, authors, names of ranges. */
const MARK_IN_TAG = /@|%40|&#|&commat/;

/** A sheet of 100,000 rows has a million pieces: joined now and then, they are 10 MB and not 100. */
const PIECES_MAX = 4096;

/** What a reader may be shown of this XML, hidden or not; elements but runs of one word become line feeds. */
export function xmlText(source: string): string {
  const joined: string[] = [];
  let texts: string[] = [];
  let from = 0;
  for (;;) {
    const open = source.indexOf('<', from);
    if (open === -1) break;
    const close = tagEnd(source, open);
    if (close === -1) break;
    if (open > from) texts.push(source.slice(from, open));
    if (!INSIDE_WORDS.has(localName(source, open + 1))) texts.push('\n');
    if (close - open >= TAG_WITH_MARK_MIN) {
      const tag = source.slice(open + 1, close - 1);
      if (MARK_IN_TAG.test(tag)) texts.push('\n', tag, '\n');
    }
    from = close;
    if (texts.length < PIECES_MAX) continue;
    joined.push(texts.join(''));
    texts = [];
  }
  texts.push(source.slice(from));
  joined.push(texts.join(''));
  return joined.join('');
}

/** `<@x>`. */
const TAG_WITH_MARK_MIN = 4;

function tagEnd(source: string, open: number): number {
  if (source.startsWith('<![CDATA[', open)) return open + 9;
  const mark = source.startsWith('<!--', open) ? '-->' : '>';
  const end = source.indexOf(mark, open);
  return end === -1 ? -1 : end + mark.length;
}

/** The letters at the beginning of the name, behind its prefix where it has one. */
function localName(source: string, from: number): string {
  const start = source.charCodeAt(from) === SLASH ? from + 1 : from;
  let end = start;
  while (end < from + NAME_MAX && isNameCode(source.charCodeAt(end))) end++;
  const local = source.charCodeAt(end) === COLON ? letters(source, end + 1) : '';
  return local === '' ? letters(source, start) : local;
}

const NAME_MAX = 48;
const SLASH = 0x2f;
const COLON = 0x3a;

function letters(source: string, start: number): string {
  let end = start;
  while (end < start + NAME_MAX && isLetter(source.charCodeAt(end))) end++;
  return source.slice(start, end).toLowerCase();
}

function isLetter(code: number): boolean {
  const small = code | 0x20;
  return small >= 0x61 && small <= 0x7a;
}

/** In a prefix also digits, dot, hyphen and underscore. */
function isNameCode(code: number): boolean {
  return (
    isLetter(code) ||
    (code >= 0x30 && code <= 0x39) ||
    code === 0x2e ||
    code === 0x2d ||
    code === 0x5f
  );
}
