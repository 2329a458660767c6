/**
 * Undoes the codings in which an address hides from a plain search: HTML character references, percent coding,
 * quoted-printable, JavaScript escapes, full-width forms and invisible characters. Lenient and linear: what is no valid
 * code stays as it is. Works on short runs of text, not on whole messages.
 */

const NAMED: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: '\u00A0',
  commat: '@',
  period: '.',
  plus: '+',
  equals: '=',
  lowbar: '_',
  hyphen: '\u2010',
  dash: '\u2010',
  percnt: '%',
  num: '#',
  colon: ':',
  semi: ';',
  comma: ',',
  sol: '/',
  quest: '?',
  shy: '\u00AD',
  ZeroWidthSpace: '\u200B',
  zwj: '\u200D',
  zwnj: '\u200C',
  NoBreak: '\u2060',
};

/** Numeric references with or without the semicolon (as browsers read them), and those named ones that matter in addresses. */
export function undoCharacterReferences(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(
    /&(?:#[xX]([0-9a-fA-F]{1,8})|#([0-9]{1,8})|([A-Za-z]{2,14}));?/g,
    (whole: string, hex?: string, decimal?: string, name?: string) => {
      if (name !== undefined) return Object.hasOwn(NAMED, name) ? (NAMED[name] ?? whole) : whole;
      const code =
        hex === undefined ? Number.parseInt(decimal ?? '', 10) : Number.parseInt(hex, 16);
      return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
    },
  );
}

/** Percent coding (RFC 3986 section 2.1), bytes read as UTF-8 where valid, else as Latin-1. */
export function undoPercentCoding(text: string): string {
  return text.replace(/(?:%[0-9a-fA-F]{2})+/g, (codes) => bytesText(codes.replaceAll('%', '')));
}

/** Quoted-printable that nobody decoded (RFC 2045 section 6.7): =40, and soft line breaks. */
export function undoQuotedPrintable(text: string): string {
  return text
    .replace(/=\r?\n/g, '')
    .replace(/(?:=[0-9a-fA-F]{2})+/g, (codes) => bytesText(codes.replaceAll('=', '')));
}

/** \u0040, \x40 as in JSON and scripts. */
export function undoScriptEscapes(text: string): string {
  if (!text.includes('\\')) return text;
  return text.replace(
    /\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2}))/g,
    (_, long?: string, short?: string) =>
      String.fromCharCode(Number.parseInt(long ?? short ?? '', 16)),
  );
}

/** \40, \000040 as in style sheets (CSS Syntax section 4.3.7): up to six digits, and one white space that ends them. */
export function undoStyleEscapes(text: string): string {
  return text.replace(/\\([0-9a-fA-F]{1,6})(?:\r\n|[ \t\r\n\f])?/g, (whole, hex: string) => {
    const code = Number.parseInt(hex, 16);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}

/** Full-width and small forms to the plain ones; soft hyphens, zero-width and bidirectional marks removed. */
export function undoLookalikes(text: string): string {
  if (/^[\x20-\x7e]*$/.test(text)) return text;
  const bare = text.replace(
    /[\u00AD\u200B-\u200F\u202A-\u202E\u2060-\u2064\u2066-\u2069\uFEFF]/g,
    '',
  );
  return /[\uFE50-\uFE6B\uFF01-\uFF5E]/.test(bare) ? bare.normalize('NFKC') : bare;
}

function bytesText(hex: string): string {
  const bytes = Buffer.from(hex, 'hex');
  const text = bytes.toString('utf8');
  return text.includes('\uFFFD') ? bytes.toString('latin1') : text;
}
