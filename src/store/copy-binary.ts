/** Rows to and from PostgreSQL's binary COPY format (PostgreSQL manual, COPY, "Binary Format"). */

import { Fault } from '../base/errors.ts';

export type CopyColumn = 'int2' | 'int4' | 'int8' | 'text' | 'bytea' | 'timestamptz';
export type CopyValue = Uint8Array | string | number | bigint | null;

const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1');
const HEADER_BYTES = SIGNATURE.length + 8;
const FIRST_CAPACITY = 256 * 1024;
/** 2000-01-01 UTC, where PostgreSQL's time begins. */
const POSTGRES_EPOCH_MS = 946_684_800_000;
const TWO_32 = 4_294_967_296;

/**
 * Collects rows for `COPY … FROM STDIN (FORMAT BINARY)`. The first `take()` carries the format's header, so take at
 * least once. timestamptz is milliseconds since 1970; text and bytea take bytes, text a string too.
 */
export class BinaryCopy {
  readonly #columns: readonly CopyColumn[];
  #buffer: Buffer = Buffer.allocUnsafe(FIRST_CAPACITY);
  #length: number;

  constructor(columns: readonly CopyColumn[]) {
    this.#columns = columns;
    SIGNATURE.copy(this.#buffer);
    this.#buffer.fill(0, SIGNATURE.length, HEADER_BYTES);
    this.#length = HEADER_BYTES;
  }

  /** Bytes that the next `take()` gives. */
  get length(): number {
    return this.#length;
  }

  /** @throws Fault `copy.row` when the number of values or the type of one does not fit the columns. */
  row(...values: readonly CopyValue[]): void {
    const columns = this.#columns;
    if (values.length !== columns.length)
      throw new Fault('copy.row', `${values.length} values for ${columns.length} columns`);
    const start = this.#length;
    this.#reserve(2);
    this.#buffer.writeInt16BE(columns.length, this.#length);
    this.#length += 2;
    try {
      for (let i = 0; i < columns.length; i++)
        this.#value(columns[i] as CopyColumn, values[i] as CopyValue);
    } catch (error) {
      this.#length = start;
      throw error;
    }
  }

  /** The bytes collected since the last call. */
  take(): Buffer {
    const taken = this.#buffer.subarray(0, this.#length);
    this.#buffer = Buffer.allocUnsafe(this.#buffer.length);
    this.#length = 0;
    return taken;
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }

  #value(column: CopyColumn, value: CopyValue): void {
    if (value === null) {
      this.#reserve(4);
      this.#length = this.#buffer.writeInt32BE(-1, this.#length);
    } else if (typeof value === 'string') this.#text(column, value);
    else if (value instanceof Uint8Array) this.#bytes(column, value);
    else this.#integer(column, value);
  }

  #text(column: CopyColumn, value: string): void {
    if (column !== 'text') throw misfit(column);
    this.#reserve(4 + value.length * 3);
    const written = this.#buffer.write(value, this.#length + 4, 'utf8');
    this.#buffer.writeInt32BE(written, this.#length);
    this.#length += 4 + written;
  }

  #bytes(column: CopyColumn, value: Uint8Array): void {
    if (column !== 'bytea' && column !== 'text') throw misfit(column);
    this.#reserve(4 + value.length);
    this.#length = this.#buffer.writeInt32BE(value.length, this.#length);
    this.#buffer.set(value, this.#length);
    this.#length += value.length;
  }

  #integer(column: CopyColumn, value: number | bigint): void {
    this.#reserve(12);
    const buffer = this.#buffer;
    if (column === 'int4' && isInt(value, 32)) {
      buffer.writeInt32BE(4, this.#length);
      this.#length = buffer.writeInt32BE(value, this.#length + 4);
    } else if (column === 'int2' && isInt(value, 16)) {
      buffer.writeInt32BE(2, this.#length);
      this.#length = buffer.writeInt16BE(value, this.#length + 4);
    } else if (column === 'int8') this.#int8(column, value);
    else if (column === 'timestamptz' && typeof value === 'number')
      this.#int8(column, Math.round((value - POSTGRES_EPOCH_MS) * 1000));
    else throw misfit(column);
  }

  #int8(column: CopyColumn, value: number | bigint): void {
    const buffer = this.#buffer;
    buffer.writeInt32BE(8, this.#length);
    if (typeof value === 'bigint') {
      if (BigInt.asIntN(64, value) !== value) throw misfit(column);
      this.#length = buffer.writeBigInt64BE(value, this.#length + 4);
      return;
    }
    if (!Number.isSafeInteger(value)) throw misfit(column);
    const high = Math.floor(value / TWO_32);
    buffer.writeInt32BE(high, this.#length + 4);
    this.#length = buffer.writeUInt32BE(value - high * TWO_32, this.#length + 8);
  }
}

function isInt(value: number | bigint, bits: 16 | 32): value is number {
  const limit = 2 ** (bits - 1);
  return Number.isInteger(value) && value >= -limit && value < limit;
}

function misfit(column: CopyColumn): Fault {
  return new Fault('copy.row', `a value does not fit its column of type ${column}`);
}

type Row = (Buffer | null)[];

/**
 * Rows of `COPY … TO STDOUT (FORMAT BINARY)`, one batch for each chunk that arrives. The buffers look into the chunks:
 * copy what is kept for long.
 * @throws Fault `copy.format` when the bytes are not that format or end too early.
 */
export async function* readBinaryCopy(stream: AsyncIterable<Buffer>): AsyncIterable<Row[]> {
  const pieces: Buffer[] = [];
  let held = 0;
  let needed = HEADER_BYTES;
  let isFirst = true;
  let ended = false;
  for await (const chunk of stream) {
    pieces.push(chunk);
    held += chunk.length;
    if (ended || held < needed) continue;
    const bytes = pieces.length === 1 ? chunk : Buffer.concat(pieces, held);
    const parsed = parseRows(bytes, isFirst ? headerEnd(bytes) : 0);
    isFirst = false;
    ({ ended, needed } = parsed);
    if (parsed.rows.length > 0) yield parsed.rows;
    const rest = bytes.subarray(parsed.next);
    pieces.splice(0, pieces.length, rest);
    held = rest.length;
  }
  if (!ended) throw new Fault('copy.format', 'the COPY ended before its trailer');
}

/**
 * All rows of one whole binary COPY held in memory; its trailer may be missing, as `BinaryCopy` writes none.
 * @throws Fault `copy.format` when the bytes are not that format or end inside a row.
 */
export function decodeBinaryCopy(bytes: Uint8Array): (Buffer | null)[][] {
  const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const parsed = parseRows(whole, headerEnd(whole));
  if (parsed.next !== whole.length)
    throw new Fault('copy.format', 'the COPY ends in the middle of a row');
  return parsed.rows;
}

function headerEnd(bytes: Buffer): number {
  if (bytes.length < HEADER_BYTES || !bytes.subarray(0, SIGNATURE.length).equals(SIGNATURE))
    throw new Fault('copy.format', 'the stream is not a binary COPY');
  return HEADER_BYTES + bytes.readInt32BE(SIGNATURE.length + 4);
}

interface Parsed {
  readonly rows: Row[];
  /** Where the first incomplete row begins. */
  readonly next: number;
  /** Bytes from there on that are needed before it is worth looking again. */
  readonly needed: number;
  readonly ended: boolean;
}

function parseRows(bytes: Buffer, from: number): Parsed {
  const rows: Row[] = [];
  let start = from;
  while (start + 2 <= bytes.length) {
    const count = bytes.readInt16BE(start);
    if (count === -1) return { rows, next: bytes.length, needed: 0, ended: true };
    const row: Row = new Array(count);
    let at = start + 2;
    for (let i = 0; i < count; i++) {
      if (at + 4 > bytes.length) return { rows, next: start, needed: at + 4 - start, ended: false };
      const length = bytes.readInt32BE(at);
      at += 4;
      if (length < 0) {
        row[i] = null;
        continue;
      }
      if (at + length > bytes.length)
        return { rows, next: start, needed: at + length - start, ended: false };
      row[i] = bytes.subarray(at, at + length);
      at += length;
    }
    rows.push(row);
    start = at;
  }
  return { rows, next: start, needed: 2, ended: false };
}
