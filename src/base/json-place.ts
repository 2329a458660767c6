/** Where a text stops being JSON: V8 says the place for some mistakes only, and quotes the text. */

/** RFC 8259 tokens; what lies between them is white space. */
const TOKEN =
  /[ \t\r\n]*(?:([{}[\],:])|("(?:[^"\\\n\r\t]|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null))/y;

/** What may come next: `value`, `key` (or an end), `colon`, or `comma` (or an end). */
type Wanted = 'value' | 'first-value' | 'key' | 'first-key' | 'colon' | 'comma';

interface Reading {
  readonly open: ('{' | '[')[];
  wanted: Wanted;
}

function afterValue(reading: Reading): boolean {
  reading.wanted = 'comma';
  return true;
}

function takeMark(reading: Reading, mark: string): boolean {
  const { open, wanted } = reading;
  const inside = open.at(-1);
  if (mark === '{' || mark === '[') {
    if (wanted !== 'value' && wanted !== 'first-value') return false;
    open.push(mark);
    reading.wanted = mark === '{' ? 'first-key' : 'first-value';
    return true;
  }
  if (mark === '}' || mark === ']') {
    const fits = mark === '}' ? inside === '{' : inside === '[';
    const empty = mark === '}' ? wanted === 'first-key' : wanted === 'first-value';
    if (!fits || !(empty || wanted === 'comma')) return false;
    open.pop();
    return afterValue(reading);
  }
  if (mark === ':') {
    if (wanted !== 'colon') return false;
    reading.wanted = 'value';
    return true;
  }
  if (wanted !== 'comma' || inside === undefined) return false;
  reading.wanted = inside === '{' ? 'key' : 'value';
  return true;
}

function takeScalar(reading: Reading, text: string): boolean {
  const { wanted } = reading;
  if (wanted === 'value' || wanted === 'first-value') return afterValue(reading);
  if ((wanted !== 'key' && wanted !== 'first-key') || !text.startsWith('"')) return false;
  reading.wanted = 'colon';
  return true;
}

/** 1-based line of the first token that cannot stand where it stands; the last line when something is missing. */
export function jsonFaultLine(text: string): number {
  const reading: Reading = { open: [], wanted: 'value' };
  TOKEN.lastIndex = 0;
  let end = 0;
  for (;;) {
    const match = TOKEN.exec(text);
    if (match === null) break;
    const [, mark, scalar = ''] = match;
    const fits = mark === undefined ? takeScalar(reading, scalar) : takeMark(reading, mark);
    if (!fits) break;
    end = TOKEN.lastIndex;
  }
  const rest = text.slice(end);
  const at = end + (rest.length - rest.trimStart().length);
  return text.slice(0, rest.trim() === '' ? text.trimEnd().length : at).split('\n').length;
}
