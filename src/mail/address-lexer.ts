/**
 * Tokens of an address list (RFC 5322 section 3.2), tolerant: what is opened and never closed is
 * read as if it had not been opened, and reported.
 *
 * Invariant: every character is looked at a bounded number of times.
 */

export interface AddressToken {
  readonly kind: 'text' | 'quoted' | 'comment' | 'angle' | 'comma' | 'semicolon' | 'colon';
  /** Quoted strings with their quotes; comments and angles without what surrounds them. */
  readonly text: string;
  /** Whether white space stands before it. */
  readonly spaced: boolean;
}

const SEPARATORS: Readonly<Record<string, AddressToken['kind']>> = {
  ',': 'comma',
  ';': 'semicolon',
  ':': 'colon',
};
/** Ends of a run of text, found by one search that never goes back. */
const SPECIAL = /[\s,;:"()<>[\]]/g;

export class AddressLexer {
  /** Whether something was not closed, or closed without being open. */
  isMalformed = false;
  readonly #text: string;
  #index = 0;
  /** What has been found missing up to the end, so that it is not looked for again. */
  readonly #absent = new Set<string>();

  constructor(text: string) {
    this.#text = text;
  }

  /** The next token; null at the end. */
  next(): AddressToken | null {
    let spaced = false;
    while (this.#index < this.#text.length) {
      const character = this.#text.charAt(this.#index);
      if (character === ' ' || character.trim() === '') {
        spaced = true;
        this.#index++;
        continue;
      }
      const separator = SEPARATORS[character];
      if (separator !== undefined) {
        this.#index++;
        return { kind: separator, text: character, spaced };
      }
      const token = this.#read(character, spaced);
      if (token !== null) return token;
      this.isMalformed = true;
      this.#index++;
    }
    return null;
  }

  /** The token that begins here; null for a character that is to be skipped. */
  #read(character: string, spaced: boolean): AddressToken | null {
    if (character === '"') return this.#closed('quoted', this.#endOfQuoted(this.#index), spaced);
    if (character === '(') return this.#closed('comment', this.#endOfComment(), spaced);
    if (character === '<') return this.#closed('angle', this.#endOfAngle(), spaced);
    if (character === '[') return this.#literal(spaced);
    if (character === ')' || character === '>' || character === ']') return null;
    SPECIAL.lastIndex = this.#index;
    const end = SPECIAL.exec(this.#text)?.index ?? this.#text.length;
    const text = this.#text.slice(this.#index, end);
    this.#index = end;
    return { kind: 'text', text, spaced };
  }

  #closed(kind: 'quoted' | 'comment' | 'angle', end: number, spaced: boolean): AddressToken | null {
    if (end === -1) return null;
    const keep = kind === 'quoted' ? 0 : 1;
    const text = this.#text.slice(this.#index + keep, end - keep);
    this.#index = end;
    return { kind, text, spaced };
  }

  #literal(spaced: boolean): AddressToken | null {
    const end = this.#text.slice(this.#index, this.#index + 256).search(/[\],;<>"()]/);
    if (end === -1 || this.#text[this.#index + end] !== ']') return null;
    const text = this.#text.slice(this.#index, this.#index + end + 1);
    this.#index += end + 1;
    return { kind: 'text', text, spaced };
  }

  /** After the closing quote of the one at `start`; -1 where it is never closed. */
  #endOfQuoted(start: number): number {
    if (this.#absent.has('"')) return -1;
    for (let index = start + 1; index < this.#text.length; index++) {
      const code = this.#text.charCodeAt(index);
      if (code === 0x5c) index++;
      else if (code === 0x22) return index + 1;
    }
    this.#absent.add('"');
    return -1;
  }

  #endOfComment(): number {
    if (this.#absent.has(')')) return -1;
    let depth = 0;
    for (let index = this.#index; index < this.#text.length; index++) {
      const code = this.#text.charCodeAt(index);
      if (code === 0x5c) index++;
      else if (code === 0x28) depth++;
      else if (code === 0x29 && --depth === 0) return index + 1;
    }
    this.#absent.add(')');
    return -1;
  }

  #endOfAngle(): number {
    if (this.#absent.has('>')) return -1;
    let index = this.#index + 1;
    while (index < this.#text.length) {
      const code = this.#text.charCodeAt(index);
      if (code === 0x3e) return index + 1;
      if (code === 0x3c) return -1;
      const quoted = code === 0x22 ? this.#endOfQuoted(index) : -1;
      index = quoted === -1 ? index + 1 : quoted;
    }
    this.#absent.add('>');
    return -1;
  }
}
