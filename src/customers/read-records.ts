/** Reads customer files: CSV and JSON Lines, streamed, every fault with its line. */

import { CsvError, parse } from 'csv-parse';
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
  let begun: Uint8Array = new Uint8Array();
  for await (const chunk of bytes) {
    let text: string;
    try {
      text = decoder.decode(chunk, { stream: true });
    } catch (cause) {
      throw notUtf8(Buffer.concat([begun, chunk]), file, line, cause);
    }
    begun = begunCharacter(chunk.length < 3 ? Buffer.concat([begun, chunk]) : chunk);
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) line++;
    yield text;
  }
  try {
    yield decoder.decode();
  } catch (cause) {
    throw notUtf8(new Uint8Array(), file, line, cause);
  }
}

/** The bytes of a character that the chunk begins and the next one ends (RFC 3629 section 3). */
function begunCharacter(chunk: Uint8Array): Uint8Array {
  for (let back = 1; back <= Math.min(3, chunk.length); back++) {
    const byte = chunk[chunk.length - back] ?? 0;
    if (byte < 0x80) break;
    if (byte < 0xc0) continue;
    const length = byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
    return length > back ? chunk.subarray(chunk.length - back) : new Uint8Array();
  }
  return new Uint8Array();
}

function notUtf8(bytes: Uint8Array, file: string, firstLine: number, cause: unknown): Fault {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let line = firstLine;
  try {
    let start = 0;
    for (let at = bytes.indexOf(0x0a); at >= 0; at = bytes.indexOf(0x0a, start)) {
      decoder.decode(bytes.subarray(start, at));
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

function missingColumn(name: string, there: readonly string[], where: string): Fault {
  const some = there.slice(0, 20).map((column) => `"${column}"`);
  if (there.length > some.length) some.push(`and ${there.length - some.length} more`);
  return new Fault('customers.no-such-column', `there is no column "${name}"`, {
    where,
    remedy: `the file has ${some.join(', ')}; name yours with --column-id, --column-email, --column-language, --column-kind`,
  });
}

/** Columns that have to be there: the key, the address, and whatever was named other than by default. */
function requiredColumns(columns: ColumnNames): readonly string[] {
  const { key, address, language, kind } = columns;
  const named = [language, kind].filter(
    (name) => name !== DEFAULT_COLUMNS.language && name !== DEFAULT_COLUMNS.kind,
  );
  return [key, address, ...named];
}

function checkHead(names: readonly string[], columns: ColumnNames, file: string): void {
  const where = `${file} line 1`;
  for (const wanted of requiredColumns(columns))
    if (!names.includes(wanted)) throw missingColumn(wanted, names, where);
  const twice = names.find((name, i) => name !== '' && names.indexOf(name) !== i);
  if (twice !== undefined)
    throw new Fault('customers.column-twice', `the column "${twice}" stands there twice`, {
      where,
      remedy: 'it cannot be known which one is meant: rename or remove one',
    });
}

/** Comma, semicolon or tab: whichever the first line has most of. */
function delimiterOf(firstLine: string): string {
  const counts = [',', ';', '\t'].map((mark) => firstLine.split(mark).length);
  return [',', ';', '\t'][counts.indexOf(Math.max(...counts))] ?? ',';
}

/** @param line where the record begins that could not be read. */
function csvFault(cause: unknown, file: string, line: number): unknown {
  // What csv-parse says quotes the cell: only its code is kept.
  if (!(cause instanceof CsvError)) return cause;
  const { code } = cause;
  if (code === 'CSV_MAX_RECORD_SIZE')
    return new Fault('customers.line-too-long', 'the row is longer than 1 MiB', {
      where: `${file} line ${line}`,
      remedy: 'a quote that is not closed takes in all that follows: check the quotes of this row',
    });
  return new Fault('customers.malformed-csv', 'the row is not CSV: check its quotes', {
    where: `${file} line ${line}`,
    remedy: 'quotes stand around the whole cell, are closed, and are doubled inside it',
    cause: code,
  });
}

function cellsFault(cells: number, columns: number, where: string): Fault {
  const are = `${cells} ${cells === 1 ? 'cell' : 'cells'}`;
  return new Fault('customers.malformed-csv', `the row has ${are} and the first line ${columns}`, {
    where,
    remedy: 'a missing or extra cell shifts all that follow: mend the row',
  });
}

function valuesOf(
  names: readonly string[],
  record: readonly string[],
  where: () => string,
): Record<string, string> {
  if (record.length !== names.length) throw cellsFault(record.length, names.length, where());
  const values: Record<string, string> = {};
  for (let i = 0; i < names.length; i++) {
    const name = names[i] as string;
    const cell = record[i] as string;
    if (name !== '') values[name] = cell;
    else if (cell.trim() !== '')
      throw new Fault(
        'customers.malformed-csv',
        `cell ${i + 1} stands in a column without a name`,
        {
          where: where(),
          remedy: 'name the column in the first line, or mend the row if its cells are shifted',
        },
      );
  }
  return values;
}

interface Row {
  /** Where it begins. */
  readonly line: number;
  readonly cells: readonly string[];
}

/** Lines as an editor counts them: csv-parse takes CR LF inside quotes for two, and says where a row ends only. */
class LineCounter {
  /** The last line of the last row that was read. */
  last = 0;
  #tooMany = 0;

  row(cells: readonly string[], parserLines: number): Row {
    let breaks = 0;
    let pairs = 0;
    for (const cell of cells) {
      if (!/[\r\n]/.test(cell)) continue;
      breaks += cell.split(/[\r\n]/).length - 1;
      pairs += cell.split('\r\n').length - 1;
    }
    const line = parserLines - this.#tooMany - breaks;
    this.#tooMany += pairs;
    this.last = parserLines - this.#tooMany;
    return { line, cells };
  }
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
  const lines = new LineCounter();
  const parser = parse({
    delimiter: delimiterOf(head.slice(0, head.indexOf('\n') + 1 || undefined)),
    bom: true,
    skip_empty_lines: true,
    relax_column_count: true,
    max_record_size: LINE_BYTES_MAX,
    // Counted inside the parser: when it fails, rows that it has read already are not handed out any more.
    // (Its types know of no other rows than lists of cells.)
    on_record: (cells, context) => lines.row(cells, context.lines) as unknown as string[],
  });
  const fed = feed(parser, head, iterator);
  let names: readonly string[] | null = null;
  try {
    for await (const { line, cells } of parser as AsyncIterable<Row>) {
      if (names === null) {
        names = cells.map((name) => name.trim());
        checkHead(names, columns, file);
        continue;
      }
      yield { line, values: valuesOf(names, cells, () => `${file} line ${line}`) };
    }
  } catch (cause) {
    parser.destroy();
    const failed = await fed;
    throw csvFault(failed ?? cause, file, lines.last + 1);
  }
  const failed = await fed;
  if (failed !== null) throw csvFault(failed, file, lines.last + 1);
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
          const go = (): void => {
            parser.off('drain', go);
            parser.off('close', go);
            resolve();
          };
          parser.on('drain', go);
          parser.on('close', go);
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

async function* jsonRecords(
  texts: AsyncIterable<string>,
  file: string,
  columns: ColumnNames,
): AsyncGenerator<RawRecord> {
  let line = 0;
  let rest = '';
  let first = true;
  const read = (text: string): RawRecord | null => {
    line++;
    if (text.trim() === '') return null;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      // No cause: V8 quotes the line in its message.
      throw new Fault('customers.malformed-json', 'the line is not JSON', {
        where: `${file} line ${line}`,
        remedy: 'one JSON object on each line',
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
    for (const wanted of first ? [columns.key, columns.address] : [])
      if (!Object.hasOwn(value, wanted))
        throw missingColumn(wanted, Object.keys(value), `${file} line ${line}`);
    first = false;
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
  return format === 'csv' ? csvRecords(texts, file, columns) : jsonRecords(texts, file, columns);
}
