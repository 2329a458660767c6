/**
 * What a reader of HTML sees as running text: tags gone, so that `ali<b>ce</b>@x.test` is one word again. Good enough to find
 * addresses and placeholders in, not to display; character references stay as they are. Linear in the source.
 */

/** Elements that do not interrupt a word. */
const INLINE = new Set(
  'a abbr acronym b bdi bdo big cite code del dfn em font i ins kbd label mark nobr o:p q s samp small span strike strong sub sup tt u var wbr bold italic underline fixed smaller bigger'.split(
    ' ',
  ),
);

/** Elements whose content is no text of the author's to the reader. */
const CODE = new Set(['code', 'pre', 'samp', 'kbd', 'script', 'style', 'textarea']);

/** The source without its tags and comments; tags that break a line become a line feed. */
function htmlText(source: string): string {
  return readHtml(source, false).text;
}

/** How far around a place words are put together. */
const NEAR = 256;
/** From this many places on it is cheaper to read the whole. */
const PLACES_MAX = 16;

/** `htmlText` of what lies around these places, which are in order; pieces are joined by a line feed. */
export function htmlTextNear(source: string, places: readonly number[]): string {
  if (places.length > PLACES_MAX) return htmlText(source);
  const texts: string[] = [];
  let done = 0;
  for (const place of places) {
    if (place < done) continue;
    // Begins and ends at a tag, so that no attribute is taken for text.
    const open = source.lastIndexOf('<', Math.max(done, place - NEAR));
    const close = source.indexOf('>', place + NEAR);
    done = close === -1 ? source.length : close + 1;
    texts.push(htmlText(source.slice(Math.max(0, open), done)));
  }
  return texts.join('\n');
}

/** What is written for the reader: running text and tags (for their attributes), without what stands in code, pre, script and style. */
export function htmlWithoutCode(source: string): { readonly text: string; readonly tags: string } {
  return readHtml(source, true);
}

function readHtml(source: string, withoutCode: boolean): { text: string; tags: string } {
  const texts: string[] = [];
  const tags: string[] = [];
  const unclosed = new Set<string>();
  let from = 0;
  for (;;) {
    const open = source.indexOf('<', from);
    const close = open === -1 ? -1 : tagEnd(source, open);
    if (close === -1) break;
    texts.push(source.slice(from, open));
    const name = tagName(source, open + 1);
    if (!INLINE.has(name) && name !== '!') texts.push('\n');
    if (withoutCode) tags.push(source.slice(open, close));
    from = withoutCode && CODE.has(name) ? elementEnd(source, name, close, unclosed) : close;
  }
  texts.push(source.slice(from));
  return { text: texts.join(''), tags: tags.join('\n') };
}

/** Where the closing tag begins; `from` where there is none, looked for once per name. */
function elementEnd(source: string, name: string, from: number, unclosed: Set<string>): number {
  if (unclosed.has(name)) return from;
  const end = source.indexOf(`</${name}`, from);
  if (end !== -1) return end;
  unclosed.add(name);
  return from;
}

/** Behind the tag or comment that begins at `open`; -1 where nothing closes it. */
function tagEnd(source: string, open: number): number {
  if (source.startsWith('<!--', open)) {
    const end = source.indexOf('-->', open + 4);
    return end === -1 ? -1 : end + 3;
  }
  const end = source.indexOf('>', open);
  return end === -1 ? -1 : end + 1;
}

function tagName(source: string, from: number): string {
  const mark = source.charCodeAt(from);
  if (mark === 0x21) return '!';
  const start = mark === 0x2f ? from + 1 : from;
  let end = start;
  while (end < start + 12 && isNameCode(source.charCodeAt(end))) end++;
  const name = source.slice(start, end).toLowerCase();
  // A closing tag opens no element, but </b> interrupts a word as little as <b> does.
  return start > from && !INLINE.has(name) ? '' : name;
}

function isNameCode(code: number): boolean {
  const lower = code | 0x20;
  return (lower >= 0x61 && lower <= 0x7a) || (code >= 0x30 && code <= 0x3a);
}

const TAG_LENGTH_MAX = 4096;

/** Where in HTML source an index lies: 'html', 'html comment', 'html tag' or 'html attribute NAME'. */
export function htmlPlace(source: string, index: number): string {
  const before = source.slice(Math.max(0, index - TAG_LENGTH_MAX), index);
  const commented = before.includes('<!--');
  if (commented && before.lastIndexOf('<!--') > before.lastIndexOf('-->')) return 'html comment';
  const inside = before.slice(before.lastIndexOf('<') + 1);
  if (inside.length === before.length || inside.includes('>')) return 'html';
  const value = /[=][^=]*$/.exec(inside.replace(/=[^"'<>\s]*["'][^"']*$/, '='));
  const name = /([A-Za-z][A-Za-z0-9-]{0,40})\s*$/.exec(inside.slice(0, value?.index ?? 0))?.[1];
  return name === undefined ? 'html tag' : `html attribute ${name.toLowerCase()}`;
}
