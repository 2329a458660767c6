/**
 * Which reader had which personal link or token in earlier calls of one process: by SMTP and by single API calls each reader's
 * message is a call of its own, and what `copies-compared` sees within one call is seen here from call to call.
 *
 * Invariants: pure and deterministic under one key; no token, link or address is kept, only keyed hashes; never more than
 * 2 * TOKENS_MAX tokens and SLOTS_MAX slots, 25 MB in all, nor a token unused for two weeks; what is forgotten is found no more.
 */

import { createSecretKey, randomBytes } from 'node:crypto';
import { systemClock } from '../base/clock.ts';
import { setNewest } from '../base/newest-last.ts';
import type { LinkTokens } from '../detect/link-tokens.ts';
import { kept } from '../mail/kept.ts';
import { hash32 } from './campaign.ts';
import { campaignTypes } from './campaign-type.ts';
import type { GuardedCall } from './check.ts';
import type { Identity } from './identity.ts';

/** So many readers in a row with tokens of their own make a slot personal: of twelve landing pages ten differ in 1 of 250 cases. */
const READERS_MIN = 10;
/** Couples and families share a link now and then. Pages and products do so again and again. */
const REPEATS_PER_TOKENS = 20;
/** Before a slot that was personal is taken for one of pages, so many must have been found. */
const REPEATS_MIN = 5;
/** Found between others that were fine it may be a page; where rows have shifted, one follows the other. */
const FINE_MIN = 3;

/**
 * After so long the younger of two generations becomes the older. A reader whose address has changed keeps their link to leave:
 * longer, and each campaign would be held for them until the next start.
 */
const GENERATION_MS = 7 * 86_400_000;
/** Two generations of 8 MB: a power of two of entries, filled to three quarters. Emptying one takes 5 ms. */
const ENTRIES = 2 ** 19;
const TOKENS_MAX = ENTRIES * 0.75;
/** Measured: 380 bytes each. */
const SLOTS_MAX = 20_000;

/** What is known of one slot. */
interface Slot {
  /** The first READERS_MIN different readers. */
  readonly readers: number[];
  tokens: number;
  /** Tokens that passed with a second reader. */
  repeats: number;
  /** Tokens that were found with a second reader as pages are. */
  found: number;
  /** Readers with a token of their own since one was found. */
  fine: number;
}

/** One call: asked copy by copy, then taught. */
export interface TokenLook {
  /** Whether another reader had one of these tokens, in a slot where each has their own. */
  hadByOther(reader: string, tokens: LinkTokens): boolean;
  /** What was asked about is its readers' own. To be called in the turn of the question: the next reader's may come in the next. */
  learn(): void;
  /** The call did not go on: what it taught is nobody's. */
  unlearn(): void;
}

export type LookAtTokens = (call: GuardedCall, identity: Identity) => TokenLook;

interface Asked {
  readonly slot: string;
  readonly high: number;
  readonly low: number;
  readonly reader: number;
}

export class TokenOwners {
  readonly #one: number;
  readonly #two: number;
  readonly #slotOf = kept((text: string) => `${this.#high(text)} ${this.#low(text)}`);
  readonly #slots = new Map<string, Slot>();
  #young: Generation | null = null;
  #old: Generation | null = null;
  #bornMs = Number.NEGATIVE_INFINITY;

  /** At least eight random bytes, of this process alone. */
  constructor(key: Buffer) {
    this.#one = key.readInt32LE(0);
    this.#two = key.readInt32LE(4);
  }

  /** `scopeOf`: within what a slot is the same one; asked where there is a token at all. */
  look(scopeOf: () => string, nowMs: number): TokenLook {
    if (nowMs - this.#bornMs >= GENERATION_MS) this.#beginGeneration(nowMs);
    const asked: Asked[] = [];
    const taught: Asked[] = [];
    let scope: string | null = null;
    return {
      hadByOther: (reader, tokens) => {
        if (tokens.size === 0) return false;
        scope ??= scopeOf();
        const owner = this.#low(reader) || 1;
        let isFound = false;
        for (const [shape, token] of tokens) {
          const slot = this.#slotOf(`${scope}\n${shape}`);
          const text = `${slot}\n${token}`;
          const one = { slot, high: this.#high(text) || 1, low: this.#low(text), reader: owner };
          if (this.#isOthers(one)) isFound = true;
          asked.push(one);
        }
        return isFound;
      },
      learn: () => {
        for (const one of asked) if (this.#learn(one)) taught.push(one);
      },
      unlearn: () => {
        for (const { high, low, reader } of taught) this.#unlearn(high, low, reader);
      },
    };
  }

  #isOthers({ slot, high, low, reader }: Asked): boolean {
    const known = this.#slots.get(slot);
    if (known === undefined || !isPersonal(known)) return false;
    const generation = this.#holding(high, low);
    if (generation === null) return false;
    const owner = generation.owner();
    if (owner === 0 || owner === reader) return false;
    const other = generation.addOther(reader);
    if (other === 'second' || (other === 'first' && known.fine >= FINE_MIN)) known.found++;
    known.fine = 0;
    return true;
  }

  /** Whether this reader is the token's owner since now. */
  #learn({ slot, high, low, reader }: Asked): boolean {
    const known = this.#touched(slot);
    if (known.readers.length < READERS_MIN && !known.readers.includes(reader))
      known.readers.push(reader);
    const generation = this.#holding(high, low);
    const owner = generation?.owner() ?? 0;
    if (owner !== 0 && generation === this.#old) this.#add(high, low, owner);
    if (owner === reader) return false;
    if (owner !== 0) {
      known.repeats++;
      return false;
    }
    known.tokens++;
    known.fine++;
    if (generation === null) this.#add(high, low, reader);
    else generation.setOwner(reader);
    return true;
  }

  #unlearn(high: number, low: number, reader: number): void {
    const generation = this.#holding(high, low);
    if (generation?.owner() === reader) generation.setOwner(0);
  }

  #touched(slot: string): Slot {
    const known = this.#slots.get(slot) ?? {
      readers: [],
      tokens: 0,
      repeats: 0,
      found: 0,
      fine: 0,
    };
    setNewest(this.#slots, slot, known, SLOTS_MAX);
    return known;
  }

  /** The generation with this token, pointed at it. */
  #holding(high: number, low: number): Generation | null {
    if (this.#young?.find(high, low)) return this.#young;
    return this.#old?.find(high, low) ? this.#old : null;
  }

  #add(high: number, low: number, reader: number): void {
    this.#young ??= new Generation();
    if (this.#young.size === TOKENS_MAX) this.#beginGeneration(this.#bornMs);
    this.#young.find(high, low);
    this.#young.put(high, low, reader);
  }

  #beginGeneration(nowMs: number): void {
    this.#bornMs = nowMs;
    if (this.#young === null) return;
    const emptied = this.#old ?? new Generation();
    emptied.clear();
    this.#old = this.#young;
    this.#young = emptied;
  }

  #high(text: string): number {
    return hash32(text, this.#one);
  }

  #low(text: string): number {
    return hash32(text, this.#two);
  }
}

/**
 * The memory of one process, for all its gates. Under `bulk` a slot is the same in all mail of an identity: links to leave are the
 * same in the next campaign, where rows may have shifted. Under `transactional` it is the same in calls of one type: an order's
 * link goes to who bought, and in mail of another type to whom it is sent.
 */
export function openTokenOwners(): LookAtTokens {
  const owners = new TokenOwners(randomBytes(8));
  const typeOf = campaignTypes(createSecretKey(randomBytes(32)));
  return ({ copies: [first] }, { name, policy }) =>
    owners.look(() => {
      const type = policy === 'bulk' || first === undefined ? null : typeOf(first.bytes);
      return `${name}\n${type ?? ''}`;
    }, systemClock.monotonicMs());
}

/** Nearly all of its readers had tokens of their own: no language, variant, page or product. */
function isPersonal({ readers, tokens, repeats, found }: Slot): boolean {
  return (
    readers.length >= READERS_MIN &&
    repeats * REPEATS_PER_TOKENS <= tokens &&
    found <= Math.max(REPEATS_MIN, tokens / REPEATS_PER_TOKENS)
  );
}

const EMPTY = 0;
const FIELDS = 4;
const OWNER = 2;
const OTHER = 3;

/** Hashes of tokens, open addressing: high and low word, owner, and the other reader with whom it was found; the last bit says "and more". */
class Generation {
  readonly #entries = new Int32Array(ENTRIES * FIELDS);
  #at = 0;
  size = 0;

  /** Points at this token, or where it would be. */
  find(high: number, low: number): boolean {
    const entries = this.#entries;
    let at = (low & (ENTRIES - 1)) * FIELDS;
    while (entries[at] !== EMPTY && (entries[at] !== high || entries[at + 1] !== low))
      at = (at + FIELDS) % entries.length;
    this.#at = at;
    return entries[at] !== EMPTY;
  }

  put(high: number, low: number, owner: number): void {
    this.#entries.set([high, low, owner, 0], this.#at);
    this.size++;
  }

  owner(): number {
    return this.#entries[this.#at + OWNER] as number;
  }

  setOwner(owner: number): void {
    this.#entries[this.#at + OWNER] = owner;
  }

  /** Whether this is the first other reader, the second, or one more or the same again. */
  addOther(reader: number): 'first' | 'second' | 'known' {
    const before = this.#entries[this.#at + OTHER] as number;
    const other = reader & ~1 || 2;
    if (before === 0) this.#entries[this.#at + OTHER] = other;
    if (before === 0) return 'first';
    if ((before & 1) === 1 || before === other) return 'known';
    this.#entries[this.#at + OTHER] = before | 1;
    return 'second';
  }

  clear(): void {
    this.#entries.fill(EMPTY);
    this.size = 0;
  }
}
