/**
 * Every address met, once, as a number: 0, 1, 2, … in the order of their first meeting.
 *
 * Invariant: two addresses have one number exactly where `canonicalAddress` gives both the same form. Kept as bytes in one
 * arena, because a million strings in a Map need 200 MB more than a million entries here.
 */

import { canonicalAddress } from '../../mail/address.ts';
import { growBytes, growInts } from './grow.ts';

const FIRST_PEOPLE = 1024;
const FIRST_BYTES = 32_768;

export class PeopleTable {
  #bytes = Buffer.allocUnsafeSlow(FIRST_BYTES);
  /** Where each address begins; one more than there are addresses. */
  #starts: Int32Array<ArrayBuffer> = new Int32Array(FIRST_PEOPLE);
  #hashes: Int32Array<ArrayBuffer> = new Int32Array(FIRST_PEOPLE);
  /** Open addressing: number + 1, or 0 for an empty place. Never more than half full. */
  #places: Int32Array<ArrayBuffer> = new Int32Array(4 * FIRST_PEOPLE);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The number of an address as somebody wrote it; -1 where it is no address. */
  number(text: string): number {
    const canonical = canonicalAddress(text);
    return canonical === null ? -1 : this.numberOfCanonical(canonical);
  }

  /** The number of an address that is in canonical form already. */
  numberOfCanonical(canonical: string): number {
    const bytes = Buffer.from(canonical, 'utf8');
    return this.numberOfBytes(bytes, 0, bytes.length);
  }

  /** The number of an address that was met before; -1 for others. */
  find(text: string): number {
    const canonical = canonicalAddress(text);
    if (canonical === null) return -1;
    const bytes = Buffer.from(canonical, 'utf8');
    return (
      (this.#places[this.#placeOf(bytes, 0, bytes.length, hash(bytes, 0, bytes.length))] ?? 0) - 1
    );
  }

  /** The number of the address in canonical form in `source`, but for ASCII capitals, which count as small letters. */
  numberOfBytes(source: Uint8Array, start: number, end: number): number {
    return this.numberOfHashed(source, start, end, hash(source, start, end));
  }

  /** As `numberOfBytes`, for one whose hash is known: that of all its bytes as small letters. */
  numberOfHashed(source: Uint8Array, start: number, end: number, code: number): number {
    const place = this.#placeOf(source, start, end, code);
    const before = this.#places[place] ?? 0;
    return before === 0 ? this.#add(source, start, end, code, place) : before - 1;
  }

  /** The address in canonical form. */
  address(number: number): string {
    return this.#bytes.toString('utf8', this.#starts[number] ?? 0, this.#starts[number + 1] ?? 0);
  }

  #placeOf(source: Uint8Array, start: number, end: number, code: number): number {
    const mask = this.#places.length - 1;
    for (let place = code & mask; ; place = (place + 1) & mask) {
      const entry = this.#places[place] ?? 0;
      if (entry === 0) return place;
      if (this.#hashes[entry - 1] === code && this.#equals(entry - 1, source, start, end)) {
        return place;
      }
    }
  }

  #equals(number: number, source: Uint8Array, start: number, end: number): boolean {
    const own = this.#starts[number] ?? 0;
    if ((this.#starts[number + 1] ?? 0) - own !== end - start) return false;
    for (let index = start; index < end; index++) {
      if (this.#bytes[own + index - start] !== SMALL[source[index] ?? 0]) return false;
    }
    return true;
  }

  #add(source: Uint8Array, start: number, end: number, code: number, place: number): number {
    const number = this.#size++;
    if (number + 2 > this.#starts.length) {
      this.#starts = growInts(this.#starts);
      this.#hashes = growInts(this.#hashes);
    }
    const from = this.#starts[number] ?? 0;
    const to = from + end - start;
    if (to > this.#bytes.length) this.#bytes = growBytes(this.#bytes, to);
    for (let index = start; index < end; index++) {
      this.#bytes[from + index - start] = SMALL[source[index] ?? 0] ?? 0;
    }
    this.#starts[number + 1] = to;
    this.#hashes[number] = code;
    this.#places[place] = number + 1;
    if (2 * this.#size > this.#places.length) this.#rehash();
    return number;
  }

  #rehash(): void {
    const places = new Int32Array(2 * this.#places.length);
    const mask = places.length - 1;
    for (let number = 0; number < this.#size; number++) {
      let place = (this.#hashes[number] ?? 0) & mask;
      while (places[place] !== 0) place = (place + 1) & mask;
      places[place] = number + 1;
    }
    this.#places = places;
  }
}

/** ASCII capitals as small letters; everything else as it is. */
export const SMALL: Uint8Array = new Uint8Array(256);
for (let code = 0; code < 256; code++)
  SMALL[code] = code >= 0x41 && code <= 0x5a ? code + 32 : code;

// FNV-1a with a last mixing, so that the low bits differ. In steps, for a reader that goes over the bytes anyway.
export const FIRST = 0x811c9dc5;
export const FACTOR = 0x01000193;

export function lastOf(code: number): number {
  const mixed = code ^ (code >>> 15);
  return Math.imul(mixed, 0x2c1b3c6d) ^ (mixed >>> 12);
}

function hash(source: Uint8Array, start: number, end: number): number {
  let code = FIRST;
  for (let index = start; index < end; index++) {
    code = Math.imul(code ^ (SMALL[source[index] ?? 0] ?? 0), FACTOR);
  }
  return lastOf(code);
}
