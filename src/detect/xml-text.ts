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

/** What a reader may be shown of this XML, hidden or not; elements but runs of one word become line feeds. */
export function xmlText(source: string): string {
  const texts: string[] = [];
  let from = 0;
  for (;;) {
    const open = source.indexOf('<', from);
    if (open === -1) break;
    const close = tagEnd(source, open);
    if (close === -1) break;
    texts.push(source.slice(from, open));
    if (!INSIDE_WORDS.has(localName(source, open + 1))) texts.push('\n');
    const tag = source.slice(open + 1, close - 1);
    if (MARK_IN_TAG.test(tag)) texts.push('\n', tag, '\n');
    from = close;
  }
  texts.push(source.slice(from));
  return texts.join('');
}

function tagEnd(source: string, open: number): number {
  if (source.startsWith('<![CDATA[', open)) return open + 9;
  const mark = source.startsWith('<!--', open) ? '-->' : '>';
  const end = source.indexOf(mark, open);
  return end === -1 ? -1 : end + mark.length;
}

function localName(source: string, from: number): string {
  const tag = source.slice(from, from + 48);
  return (/^\/?(?:[A-Za-z_][\w.-]*:)?([A-Za-z]+)/.exec(tag)?.[1] ?? '').toLowerCase();
}
