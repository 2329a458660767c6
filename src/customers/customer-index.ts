/**
 * The customer index: whether an address is a customer's, from memory, by keyed hashes of 64 bits alone.
 *
 * Invariant: a customer whose import was committed and announced is found; while the table is read anew or grows the one
 * before answers. Of 10,000,000 customers one other address in 1.8 million million is taken for one of them.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';
import { blindIndex } from '../keys/blind-index.ts';
import type { Keyring } from '../keys/keyring.ts';
import {
  CUSTOMER_CHANNEL,
  countCustomers,
  HASH_BYTES,
  hashesStillThere,
  readCustomerHashes,
} from '../store/customer-hashes.ts';
import type { Database } from '../store/database.ts';

export interface CustomerIndex {
  /** One HMAC (1.7 us) and a look into memory; nothing but memory for recent ones. */
  has(canonical: string): boolean;
  /** Distinct addresses. */
  readonly size: number;
  /** Memory of the table. */
  readonly bytes: number;
  /** Resolves when everything announced until now is taken up. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

export interface CustomerIndexOptions {
  readonly db: Database;
  readonly keyring: Pick<Keyring, 'blindIndex'>;
  /** Lines without addresses. */
  readonly log?: (line: string) => void;
}

const SLOTS_MIN = 1024;
const SLOTS_PER_HASH = 1.4;
const LOAD_MAX = 0.8;
const TWO_32 = 4_294_967_296;
const SLICE_SLOTS = 65_536;
const RETRY_MS = 1000;
const RECENT_MAX = 8192;

/** A set of 64-bit hashes in one typed array: open addressing, linear probing, no tombstones. */
export class HashTable {
  readonly slots: number;
  readonly #words: Uint32Array;
  #size = 0;

  constructor(slots: number) {
    this.slots = Math.max(SLOTS_MIN, Math.ceil(slots));
    this.#words = new Uint32Array(this.slots * 2);
  }

  get size(): number {
    return this.#size;
  }

  get bytes(): number {
    return this.#words.byteLength;
  }

  get isFull(): boolean {
    return this.#size >= this.slots * LOAD_MAX;
  }

  has(high: number, low: number): boolean {
    return this.#words[this.#find(high, low) * 2 + 1] !== 0;
  }

  add(high: number, low: number): void {
    const at = this.#find(high, low) * 2;
    if (this.#words[at + 1] !== 0) return;
    this.#words[at] = high;
    this.#words[at + 1] = lowWord(low);
    this.#size++;
  }

  delete(high: number, low: number): void {
    let hole = this.#find(high, low);
    if (this.#words[hole * 2 + 1] === 0) return;
    this.#size--;
    // What was pushed past the hole moves back into it, so that no search ends too early.
    for (let slot = this.#after(hole); this.#words[slot * 2 + 1] !== 0; slot = this.#after(slot)) {
      const home = this.#home(this.#words[slot * 2] as number);
      const isBetween = hole < slot ? home > hole && home <= slot : home > hole || home <= slot;
      if (isBetween) continue;
      this.#words.copyWithin(hole * 2, slot * 2, slot * 2 + 2);
      hole = slot;
    }
    this.#words.fill(0, hole * 2, hole * 2 + 2);
  }

  /** A larger table with the same hashes, made in slices so that mail goes on in between. */
  async grown(): Promise<HashTable> {
    const larger = new HashTable(this.#size * SLOTS_PER_HASH * 1.25);
    for (let from = 0; from < this.slots; from += SLICE_SLOTS) {
      const end = Math.min(from + SLICE_SLOTS, this.slots) * 2;
      for (let at = from * 2; at < end; at += 2) {
        const low = this.#words[at + 1] as number;
        if (low !== 0) larger.add(this.#words[at] as number, low);
      }
      await nextTurn();
    }
    return larger;
  }

  /** The slot of this hash, or the free one where it would stand. */
  #find(high: number, low: number): number {
    const words = this.#words;
    const wanted = lowWord(low);
    let slot = this.#home(high);
    for (;;) {
      const found = words[slot * 2 + 1];
      if (found === 0 || (found === wanted && words[slot * 2] === high)) return slot;
      slot = this.#after(slot);
    }
  }

  #home(high: number): number {
    return Math.floor((high * this.slots) / TWO_32);
  }

  #after(slot: number): number {
    return slot + 1 === this.slots ? 0 : slot + 1;
  }
}

/** 0 marks a free slot. */
function lowWord(low: number): number {
  return low === 0 ? 1 : low;
}

/** The table of one moment. It grows while it is filled, so that a wrong count costs time alone. */
async function loadTable(db: Database): Promise<HashTable> {
  const expected = await countCustomers(db);
  const late: number[] = [];
  let table = new HashTable(expected * SLOTS_PER_HASH);
  await readCustomerHashes(db, (high, low) => {
    if (table.isFull) late.push(high, low);
    else table.add(high, low);
  });
  for (let at = 0; at < late.length; at += 2) {
    if (table.isFull) table = await table.grown();
    table.add(late[at] as number, late[at + 1] as number);
  }
  return table;
}

class LiveIndex implements CustomerIndex {
  readonly #options: CustomerIndexOptions;
  #table: HashTable = new HashTable(0);
  #recent = new Map<string, boolean>();
  #older = new Map<string, boolean>();
  #queue: Promise<void> = Promise.resolve();
  #reloadAsked = false;
  #retry: NodeJS.Timeout | null = null;
  #closed = false;
  #stopListening: () => Promise<void> = async () => {};

  constructor(options: CustomerIndexOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#table.size;
  }

  get bytes(): number {
    return this.#table.bytes;
  }

  /** Listens first: what is committed while the table is read waits in the queue behind it. */
  async open(): Promise<void> {
    const { db } = this.#options;
    let loaded: () => void = () => {};
    this.#queue = new Promise((resolve) => {
      loaded = resolve;
    });
    this.#stopListening = await db.listen(CUSTOMER_CHANNEL, (payload) => this.#told(payload));
    try {
      this.#table = await loadTable(db);
    } catch (error) {
      this.#closed = true;
      await this.#stopListening();
      throw error;
    } finally {
      loaded();
    }
  }

  has(canonical: string): boolean {
    const known = this.#recent.get(canonical) ?? this.#older.get(canonical);
    if (known !== undefined) return known;
    const hash = blindIndex(this.#options.keyring.blindIndex.key, 'address', canonical);
    const answer = this.#table.has(hash.readUInt32BE(0), hash.readUInt32BE(4));
    if (this.#recent.size >= RECENT_MAX) {
      this.#older = this.#recent;
      this.#recent = new Map();
    }
    this.#recent.set(canonical, answer);
    return answer;
  }

  settled(): Promise<void> {
    return this.#queue;
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#retry !== null) clearTimeout(this.#retry);
    await this.#stopListening();
    await this.#queue;
  }

  /** One after another, as they were committed. */
  #told(payload: string): void {
    const isReload = payload === '' || payload === '*';
    if (isReload && this.#reloadAsked) return;
    if (isReload) this.#reloadAsked = true;
    this.#queue = this.#queue.then(() => this.#takeUp(payload)).catch(() => this.#later());
  }

  async #takeUp(payload: string): Promise<void> {
    if (this.#closed) return;
    if (payload === '' || payload === '*') {
      // Asked again from here on, it is a change that this reading may not see.
      this.#reloadAsked = false;
      this.#table = await loadTable(this.#options.db);
    } else {
      const packed = Buffer.from(payload.slice(1), 'base64');
      if (payload.startsWith('+')) await this.#add(packed);
      else await this.#remove(packed);
    }
    this.#recent.clear();
    this.#older.clear();
  }

  async #add(packed: Buffer): Promise<void> {
    for (let at = 0; at + HASH_BYTES <= packed.length; at += HASH_BYTES) {
      if (this.#table.isFull) this.#table = await this.#table.grown();
      this.#table.add(packed.readUInt32BE(at), packed.readUInt32BE(at + 4));
    }
  }

  /** Several records may share an address: only the register knows who is gone. */
  async #remove(packed: Buffer): Promise<void> {
    const hashes: Buffer[] = [];
    for (let at = 0; at + HASH_BYTES <= packed.length; at += HASH_BYTES)
      hashes.push(packed.subarray(at, at + HASH_BYTES));
    const there = await hashesStillThere(this.#options.db, hashes);
    const kept = new Set(there.map((hash) => hash.toString('hex')));
    for (const hash of hashes)
      if (!kept.has(hash.toString('hex')))
        this.#table.delete(hash.readUInt32BE(0), hash.readUInt32BE(4));
  }

  /** What could not be taken up is found by reading everything, as soon as that can be done. */
  #later(): void {
    if (this.#closed || this.#retry !== null) return;
    this.#options.log?.('customer-index.stale {"remedy":"read anew when the database answers"}');
    this.#retry = setTimeout(() => {
      this.#retry = null;
      this.#told('*');
    }, RETRY_MS);
  }
}

/**
 * Reads the register's hashes and follows it from then on.
 * @throws Fault `database.*`, or `copy.format` where the register is damaged.
 */
export async function openCustomerIndex(options: CustomerIndexOptions): Promise<CustomerIndex> {
  const index = new LiveIndex(options);
  await index.open();
  return index;
}
