/**
 * Every `await` between the moment a kept call is taken and the moment its caller is answered, read from the sources, and the
 * same sources with a call before and after each of them.
 */

import { readFileSync } from 'node:fs';
import path from 'node:path';

const ROOT = path.join(import.meta.dirname, '../..');

export interface RoadFile {
  readonly file: string;
  readonly on: readonly string[];
  readonly off: readonly string[] | 'all others';
}

/** The files of that road, and the functions that are on it; every other function with an `await` must be named as off it. */
export const ROAD: readonly RoadFile[] = [
  {
    file: 'src/guard/check.ts',
    on: ['decide', '#decide', '#assess', '#enter'],
    // Of what passes, after its verdict is recorded: nothing of it is kept.
    off: ['#unlessHalted'],
  },
  {
    file: 'src/guard/verdict-book.ts',
    on: ['#writeAll', '#write', '#writeKept'],
    off: ['close', '#gather', '#writeRows'],
  },
  { file: 'src/guard/outbox.ts', on: ['storeKept'], off: 'all others' },
  {
    file: 'src/store/kept.ts',
    on: ['findSameCall', 'insertKept', 'notifyKept'],
    off: 'all others',
  },
];

/** The same before the road begins and after it has ended: in each door, and in what stands around a call. */
export const DOORS: readonly RoadFile[] = [
  {
    file: 'src/smtp/server-connection.ts',
    on: ['#finish'],
    off: ['#authenticate', '#checkPassword'],
  },
  { file: 'src/gates/smtp-relay.ts', on: ['relay'], off: ['startSmtpRelay', 'close'] },
  {
    file: 'src/gates/milter.ts',
    on: ['answerFor'],
    // serve: the loop over packets; what it awaits for a message is the session's #finish.
    off: ['startMilter', 'listen', 'removeStaleSocket', 'serve', 'written', 'close'],
  },
  { file: 'src/gates/milter/session.ts', on: ['#finish'], off: [] },
  {
    file: 'src/gates/provider-api.ts',
    on: ['serve', 'handle', 'decideAndAct'],
    // act and forward: what passes, of which nothing is kept.
    off: ['startProviderApi', 'closeServer', 'act', 'forward'],
  },
  {
    file: 'src/guard/circumstances.ts',
    on: ['#look', '#nameCampaign', '#hasSuppressed'],
    // assess: where what is known of halts and freezes is too old, before anything has been kept.
    off: 'all others',
  },
];

export interface AwaitPoint {
  /** `check.ts #write 2`: the second one of that function. */
  readonly name: string;
  readonly file: string;
  readonly inFunction: string;
  /** Offsets of the whole `await` expression. */
  readonly start: number;
  readonly end: number;
}

const AWAIT = /\bawait\b/g;
/** A method, or a function of the file, by its first line. */
const HEAD =
  /^(?: {2}(?:async )?(#?\w+)(?:<[^>]*>)?\((?!.*;$)|(?:export )?(?:async )?function (\w+))/gm;

/** The source without what only looks like code, at the same offsets. */
function blanked(source: string): string {
  return source.replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, (comment) =>
    comment.replace(/[^\n]/g, ' '),
  );
}

/** Where the member and call chain that begins at `from` ends. */
function endOfChain(text: string, from: number): number {
  let at = from;
  while (/\s/.test(text.charAt(at))) at++;
  let depth = 0;
  let quote = '';
  for (; at < text.length; at++) {
    const char = text.charAt(at);
    if (quote !== '') {
      if (char === '\\') at++;
      else if (char === quote) quote = '';
    } else if (`'"\``.includes(char)) quote = char;
    else if ('([{'.includes(char)) depth++;
    else if (depth > 0 && ')]}'.includes(char)) depth--;
    else if (depth === 0 && char === '<' && /^<\w+>\(/.test(text.slice(at, at + 80)))
      at = text.indexOf('>', at);
    else if (depth === 0 && !/[\w.#?]/.test(char)) break;
  }
  return at;
}

/** All of one source, in order. */
export function awaitsIn(file: string, source: string): AwaitPoint[] {
  const text = blanked(source);
  const heads = [...text.matchAll(HEAD)].map((match) => ({
    at: match.index,
    name: match[1] ?? match[2] ?? '',
  }));
  const counts = new Map<string, number>();
  return [...text.matchAll(AWAIT)].map(({ index: start }) => {
    const inFunction = heads.findLast(({ at }) => at < start)?.name ?? '';
    const count = (counts.get(inFunction) ?? 0) + 1;
    counts.set(inFunction, count);
    const name = `${path.basename(file)} ${inFunction} ${count}`;
    return { name, file, inFunction, start, end: endOfChain(text, start + 'await'.length) };
  });
}

/** The points of the road. @throws where a file has an `await` in a function that nobody has placed. */
export function awaitPoints(road: readonly RoadFile[] = ROAD): AwaitPoint[] {
  return road.flatMap(({ file, on, off }) => {
    const points = awaitsIn(file, readFileSync(path.join(ROOT, file), 'utf8'));
    const unplaced = points.filter(
      ({ inFunction }) =>
        !on.includes(inFunction) && off !== 'all others' && !off.includes(inFunction),
    );
    if (unplaced.length > 0)
      throw new Error(`neither on the road nor off it: ${unplaced.map(({ name }) => name)}`);
    return points.filter(({ inFunction }) => on.includes(inFunction));
  });
}

/** The source of a file of the road, calling `globalThis.pointReached(name)` before and after each of its points. */
export function instrumented(file: string, source: string): string {
  const on = [...ROAD, ...DOORS].find((one) => one.file === file)?.on ?? [];
  const inserts = awaitsIn(file, source)
    .filter(({ inFunction }) => on.includes(inFunction))
    .flatMap(({ name, start, end }) => {
      const call = (side: string): string =>
        `globalThis.pointReached(${JSON.stringify(`${name} ${side}`)})`;
      return [
        { at: start, text: `(${call('before')}, globalThis.passOn(` },
        { at: end, text: `, () => ${call('after')}))` },
      ];
    });
  inserts.sort((one, other) => other.at - one.at);
  let text = source;
  for (const insert of inserts)
    text = `${text.slice(0, insert.at)}${insert.text}${text.slice(insert.at)}`;
  return text;
}
