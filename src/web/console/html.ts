/**
 * The page's one way to write HTML: a tagged template that escapes whatever is put into it.
 * Invariant: a text can become markup in no other way than by standing in a template of this program.
 */

const SPECIAL: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/**
 * Control and format characters (among them all that turn the direction of writing), lone surrogates, separators of lines and
 * paragraphs, and what has no width: each can make a text look like another.
 */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;
/** Tab, line feed, and what chooses between two pictures of the same emoji. */
const HARMLESS: ReadonlySet<string> = new Set(['\t', '\n', '\ufe0e', '\ufe0f']);

function codePoint(char: string): string {
  if (HARMLESS.has(char)) return char;
  return `[U+${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}]`;
}

/** Each unseen character as its code point, such as [U+202E]; everything else as it is. */
export function visible(text: string): string {
  return text.replace(UNSEEN, codePoint);
}

export function escapeHtml(text: string): string {
  return visible(text).replace(/[&<>"']/g, (char) => SPECIAL[char] ?? char);
}

/** Markup that this program has written. Only `html` makes it. */
export class Markup {
  readonly #text: string;

  private constructor(text: string) {
    this.#text = text;
  }

  static of(strings: TemplateStringsArray, values: readonly Content[]): Markup {
    let text = strings[0] ?? '';
    for (const [i, value] of values.entries()) text += Markup.#written(value) + strings[i + 1];
    return new Markup(text);
  }

  static #written(value: Content): string {
    if (value instanceof Markup) return value.#text;
    if (value === null || value === undefined || value === false) return '';
    if (typeof value === 'object') return value.map(Markup.#written).join('');
    return escapeHtml(String(value));
  }

  toString(): string {
    return this.#text;
  }
}

/** What a template takes: texts and numbers are escaped, nothing (null, undefined, false) is written as nothing. */
export type Content = Markup | string | number | null | undefined | false | readonly Content[];

/**
 * A piece of HTML. Values go into element content and into attributes between double quotes; nowhere else (no event handler, no
 * style, no script, no URL but one that begins with a literal path).
 */
export function html(strings: TemplateStringsArray, ...values: readonly Content[]): Markup {
  return Markup.of(strings, values);
}

export const NOTHING: Markup = html``;
