/**
 * The tags `{{name}}` that SES fills in from template data.
 *
 * Invariant: the result stays within the limit below, whatever text and data are given.
 */

export type TemplateData = Readonly<Record<string, unknown>>;

const TEXT_LENGTH_MAX = 32 * 1024 * 1024;
const TAG = /\{\{\{?[ \t]*([A-Za-z_$][\w$.-]{0,127})[ \t]*\}?\}\}/g;

/** A text with the tags that have a value filled in; null where it grows too large. */
export function renderTags(text: string, filledBy: (name: string) => string | null): string | null {
  return replaceTags(text, TAG, ([, name = '']) => filledBy(name));
}

/** A text with what a global pattern finds replaced, null leaving it; null where it grows too large. */
export function replaceTags(
  text: string,
  pattern: RegExp,
  filledBy: (match: RegExpExecArray) => string | null,
): string | null {
  const pieces: string[] = [];
  let length = 0;
  let from = 0;
  for (const match of text.matchAll(pattern)) {
    const value = filledBy(match);
    if (value === null) continue;
    pieces.push(text.slice(from, match.index), value);
    length += match.index - from + value.length;
    from = match.index + match[0].length;
    if (length > TEXT_LENGTH_MAX) return null;
  }
  pieces.push(text.slice(from));
  return length + text.length - from > TEXT_LENGTH_MAX ? null : pieces.join('');
}

/** The value of a name, or of a dotted path, in the first data that has it. */
export function lookUp(all: readonly TemplateData[], name: string): string | null {
  for (const data of all) {
    let at: unknown = data;
    const steps = Object.hasOwn(data, name) ? [name] : name.split('.');
    for (const step of steps) {
      at =
        typeof at === 'object' && at !== null && Object.hasOwn(at, step)
          ? memberOf(at, step)
          : undefined;
    }
    if (typeof at === 'string') return at;
    if (typeof at === 'number' || typeof at === 'boolean') return String(at);
  }
  return null;
}

function memberOf(value: object, name: string): unknown {
  return (value as Readonly<Record<string, unknown>>)[name];
}

/** Every string of free data with its name, since a template stored at the provider can show both. */
export function stringsOf(data: unknown): readonly string[] {
  const found: string[] = [];
  const waiting: unknown[] = [data];
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    if (typeof at === 'string') found.push(at);
    if (typeof at !== 'object' || at === null) continue;
    for (const [name, member] of Object.entries(at)) {
      if (typeof member === 'string') found.push(Array.isArray(at) ? member : `${name}: ${member}`);
      else {
        if (!Array.isArray(at)) found.push(name);
        waiting.push(member);
      }
    }
  }
  return found;
}
