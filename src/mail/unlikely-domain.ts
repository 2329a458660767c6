/** Domains that are none: names of files, and what only stands behind an @. */

const FILE_ENDING =
  /\.(?:avif|bmp|css|gif|html?|ico|jpe?g|js|json|mjs|pdf|php|png|svg|webp|aspx?|jsp|tsx?)$/i;

const FILE_ENDINGS = new Set(
  'csv doc docx eml htm html ics jpeg jpg json log msg ods odt pdf png rtf tsv txt vcf xls xlsx xml zip'.split(
    ' ',
  ),
);

const FILE_ENDING_MAX = 4;

/** The domain in the name of a file that is called by somebody's address: `ann@home.test.csv`. */
export function withoutFileEnding(domain: string): string | null {
  const dot = domain.lastIndexOf('.');
  if (domain.length - dot > FILE_ENDING_MAX + 1 || domain.indexOf('.') === dot) return null;
  return FILE_ENDINGS.has(domain.slice(dot + 1).toLowerCase()) ? domain.slice(0, dot) : null;
}

/** No dot, a last label that is no top-level domain, or a file name. */
export function isWeakDomain(domain: string): boolean {
  if (domain.startsWith('[') || /^\d{1,3}(?:\.\d{1,3}){3}$/.test(domain)) return false;
  const last = domain.slice(domain.lastIndexOf('.') + 1);
  if (last.length === domain.length) return true;
  if (FILE_ENDING.test(domain)) return true;
  return !/^(?:[A-Za-z]{2,63}|xn--[A-Za-z0-9-]+|[^\x21-\x7e]+)$/i.test(last);
}
