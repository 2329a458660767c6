/** Reads customer files: CSV and JSON Lines, streamed, every fault with its line. */

import { parse } from 'csv-parse';
import { Fault } from '../base/errors.ts';

export interface ColumnNames {
  readonly key: string;
  readonly address: string;
  readonly language: string;
  readonly kind: string;
}

export const DEFAULT_COLUMNS: ColumnNames = {
  key: 'id',
  address: 'email',
  language: 'language',
  kind: 'kind',
};

/** One line of the file, as text, before it is judged. */
export interface RawRecord {
  readonly line: number;
  readonly values: Readonly<Record<string, string>>;
}

export const LINE_BYTES_MAX: number = 1 << 20;

/** Checks UTF-8 strictly while decoding. Names the line of the first wrong byte. */
async function* decoded(bytes: AsyncIterable<Uint8Array>, file: string): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let line = 1;
  for await (const chunk of bytes) {
    let text: string;
    try {
      text = decoder.decode(chunk, { stream: true });
    } catch (cause) {
      throw notUtf8(chunk, file, line, cause);
    }
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) line++;
    yield text;
  }
  try {
    yield decoder.decode();
  } catch (cause) {
    throw notUtf8(new Uint8Array(), file, line, cause);
  }
}

function notUtf8(chunk: Uint8Array, file: string, firstLine: number, cause: unknown): Fault {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let line = firstLine;
  let start = 0;
  try {
    for (let at = chunk.indexOf(0x0a); at >= 0; at = chunk.indexOf(0x0a, start)) {
      // The first piece may begin inside a character of the chunk before: a lenient start.
      if (start > 0) decoder.decode(chunk.subarray(start, at));
      start = at + 1;
      line++;
    }
  } catch {
    // `line` is the line that holds the wrong byte.
  }
  return new Fault('customers.not-utf8', 'the file is not UTF-8', {
    where: `${file} line ${line}`,
    remedy: 'save it as UTF-8; in a spreadsheet: CSV UTF-8',
    cause,
  });
}

/** Refuses a line beyond 1 MiB before it fills the memory. */
async function* bounded(texts: AsyncIterable<string>, file: string): AsyncGenerator<string> {
  let line = 1;
  let since = 0;
  for await (const text of texts) {
    let start = 0;
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', start)) {
      if (since + at - start > LINE_BYTES_MAX) throw tooLong(file, line);
      since = 0;
      line++;
      start = at + 1;
    }
    since += text.length - start;
    if (since > LINE_BYTES_MAX) throw tooLong(file, line);
    yield text;
  }
}

function tooLong(file: string, line: number): Fault {
  return new Fault('customers.line-too-long', 'the line is longer than 1 MiB', {
    where: `${file} line ${line}`,
    remedy: 'check the file’s line breaks and quotes',
  });
}

function missingColumn(name: string, there: readonly string[], file: string): Fault {
  return new Fault('customers.no-such-column', `there is no column "${name}"`, {
    where: `${file} line 1`,
    remedy: `the file has ${there.map((column) => `"${column}"`).join(', ')}; name yours with --column-id, --column-email, --column-language`,
  });
}

/** Comma, semicolon or tab: whichever the first line has most of. */
function delimiterOf(firstLine: string): string {
  const counts = [',', ';', '\t'].map((mark) => firstLine.split(mark).length);
  return [',', ';', '\t'][counts.indexOf(Math.max(...counts))] ?? ',';
}

function csvFault(cause: unknown, file: string): unknown {
  const error = cause as { code?: string; lines?: number; message?: string };
  if (typeof error.code !== 'string' || !error.code.startsWith('CSV_')) return cause;
  const columns = error.code.includes('INCONSISTENT');
  return new Fault(
    'customers.malformed-csv',
    columns
      ? 'the row has another number of cells than the first line'
      : 'the row is not CSV: check its quotes',
    {
      where: `${file} line ${error.lines ?? '?'}`,
      remedy: columns
        ? 'a missing or extra cell shifts all that follow: mend the row'
        : 'mend the row; quotes inside a quoted cell are doubled',
      cause: error.code,
    },
  );
}

async function* csvRecords(
  texts: AsyncIterable<string>,
  file: string,
  columns: ColumnNames,
): AsyncGenerator<RawRecord> {
  const iterator = texts[Symbol.asyncIterator]();
  let head = '';
  while (!head.includes('\n')) {
    const next = await iterator.next();
    if (next.done === true) break;
    head += next.value;
  }
  const parser = parse({
    delimiter: delimiterOf(head.slice(0, head.indexOf('\n') + 1 || undefined)),
    bom: true,
    info: true,
    skip_empty_lines: true,
  });
  const fed = feed(parser, head, iterator);
  let names: readonly string[] | null = null;
  try {
    for await (const { record, info } of parser as AsyncIterable<{
      record: string[];
      info: { lines: number };
    }>) {
      if (names === null) {
        names = record.map((name) => name.trim());
        for (const wanted of [columns.key, columns.address])
          if (!names.includes(wanted)) throw missingColumn(wanted, names, file);
        continue;
      }
      const values: Record<string, string> = {};
      for (let i = 0; i < names.length; i++) values[names[i] as string] = record[i] as string;
      yield { line: info.lines, values };
    }
  } catch (cause) {
    const failed = await fed;
    throw failed ?? csvFault(cause, file);
  }
  const failed = await fed;
  if (failed !== null) throw failed;
}

/** Writes the text into the parser, waiting when it is full. Resolves to the source's own fault, if it had one. */
async function feed(
  parser: ReturnType<typeof parse>,
  head: string,
  rest: AsyncIterator<string>,
): Promise<unknown> {
  try {
    let text: string | undefined = head;
    while (text !== undefined) {
      if (parser.destroyed) return null;
      if (!parser.write(text))
        await new Promise<void>((resolve) => {
          parser.once('drain', resolve);
          parser.once('close', resolve);
        });
      const next = await rest.next();
      text = next.done === true ? undefined : next.value;
    }
    parser.end();
    return null;
  } catch (cause) {
    parser.destroy(cause instanceof Error ? cause : new Error('source failed'));
    return cause;
  }
}

async function* jsonRecords(texts: AsyncIterable<string>, file: string): AsyncGenerator<RawRecord> {
  let line = 0;
  let rest = '';
  const read = (text: string): RawRecord | null => {
    line++;
    if (text.trim() === '') return null;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (cause) {
      throw new Fault('customers.malformed-json', 'the line is not JSON', {
        where: `${file} line ${line}`,
        remedy: 'one JSON object on each line',
        cause,
      });
    }
    if (value === null || typeof value !== 'object' || Array.isArray(value))
      throw new Fault('customers.malformed-json', 'the line is not a JSON object', {
        where: `${file} line ${line}`,
        remedy: 'one JSON object on each line',
      });
    const values: Record<string, string> = {};
    for (const [name, cell] of Object.entries(value))
      if (cell !== null && cell !== undefined)
        values[name] = typeof cell === 'object' ? JSON.stringify(cell) : String(cell);
    return { line, values };
  };
  for await (const text of texts) {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const each of lines) {
      const record = read(each);
      if (record !== null) yield record;
    }
  }
  const record = rest === '' ? null : read(rest);
  if (record !== null) yield record;
}

/**
 * The records of a customer file in order, streamed in flat memory.
 * @throws Fault `customers.*`, naming file, line and remedy.
 */
export function readRecords(
  bytes: AsyncIterable<Uint8Array>,
  file: string,
  format: 'csv' | 'jsonl',
  columns: ColumnNames,
): AsyncGenerator<RawRecord> {
  const texts = bounded(decoded(bytes, file), file);
  return format === 'csv' ? csvRecords(texts, file, columns) : jsonRecords(texts, file);
}
