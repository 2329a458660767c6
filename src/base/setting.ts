/**
 * One setting read from a file: its type checked, its name known.
 * Invariant: what is not understood is an error that names place and remedy; nothing given is ever left unread.
 */

/** What is wrong with a setting, said with its name and, where it helps, the remedy. */
export class SettingError extends Error {
  readonly setting: string;
  readonly remedy: string | undefined;

  constructor(setting: string, message: string, remedy?: string) {
    super(`${setting}: ${message}`);
    this.name = 'SettingError';
    this.setting = setting;
    this.remedy = remedy;
  }
}

export type Json = Record<string, unknown>;

const NAMES_SAID_MAX = 12;

/**
 * A JSON object that holds no other names than these: a name that nobody reads would be a guard that is not there.
 * @param at its place, such as `gates.smtp`; empty for the file itself.
 */
export function settingsIn(value: unknown, at: string, names: readonly string[]): Json {
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    throw new SettingError(at, 'an object is wanted', 'write it in braces, or leave it out');
  for (const name of Object.keys(value)) {
    if (names.includes(name)) continue;
    const near = nearestName(name, names);
    throw new SettingError(
      at === '' ? name : `${at}.${name}`,
      'there is no such setting',
      near === null ? `there are ${some(names)}` : `${near} is meant?`,
    );
  }
  return value as Json;
}

function some(names: readonly string[]): string {
  const said = names.slice(0, NAMES_SAID_MAX).join(', ');
  return names.length > NAMES_SAID_MAX ? `${said} and others` : said;
}

/** The name with the fewest slips of the pen between; null where half of it would be another. */
function nearestName(given: string, names: readonly string[]): string | null {
  let best: string | null = null;
  let fewest = Number.POSITIVE_INFINITY;
  for (const name of names) {
    const slips = slipsBetween(given.toLowerCase(), name.toLowerCase());
    if (slips >= fewest) continue;
    fewest = slips;
    best = name;
  }
  return best !== null && fewest <= Math.max(1, best.length / 2) ? best : null;
}

/** Levenshtein's distance. */
function slipsBetween(one: string, other: string): number {
  let before = Array.from({ length: other.length + 1 }, (_, i) => i);
  for (let i = 1; i <= one.length; i++) {
    const row = [i];
    for (let j = 1; j <= other.length; j++) {
      const changed = (before[j - 1] ?? 0) + (one[i - 1] === other[j - 1] ? 0 : 1);
      row.push(Math.min(changed, (before[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    before = row;
  }
  return before[other.length] ?? 0;
}

export function texts(value: unknown, setting: string): readonly string[] {
  if (value === undefined) return [];
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value;
  throw new SettingError(setting, 'a list of texts is wanted');
}

/** A whole number; null where none is given. */
export function count(
  value: unknown,
  setting: string,
  { min = 0, max = Number.MAX_SAFE_INTEGER }: { readonly min?: number; readonly max?: number } = {},
): number | null {
  if (value === undefined || value === null) return null;
  const isWhole = typeof value === 'number' && Number.isSafeInteger(value);
  if (isWhole && value >= min && value <= max) return value;
  const range = max === Number.MAX_SAFE_INTEGER ? `${min} or more` : `${min} to ${max}`;
  throw new SettingError(setting, `a whole number is wanted, ${range}`);
}

export function yesOrNo(value: unknown, setting: string): boolean {
  if (value === undefined) return false;
  if (typeof value === 'boolean') return value;
  throw new SettingError(setting, 'true or false is wanted');
}

/** A domain in A-labels, as DNS has it; null where none is given. */
export function domain(value: unknown, setting: string): string | null {
  if (value === undefined) return null;
  const text = typeof value === 'string' ? value.toLowerCase() : '';
  const isDomain =
    text.length <= 253 &&
    /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]$/.test(text);
  if (isDomain) return text;
  throw new SettingError(
    setting,
    'a domain is wanted, such as bounces.northwind.example',
    'letters outside ASCII are written in A-labels (xn--…)',
  );
}
