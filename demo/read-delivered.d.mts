/** Types of the independent reader, for programs that call it instead of running it. */

/** A numbered set of addresses, equal in canonical form. */
export declare class Addresses {
  static canonical(address: string): string;
  get size(): number;
  add(address: string): number;
  find(address: string): number | undefined;
  at(index: number): string | undefined;
}

/** What was delivered, counted. Ids are the customers' record keys; no address is in it. */
export interface DeliveredCounts {
  /** Planted addresses that had to be found before anything was counted. */
  readonly plantedAndFound: number;
  /** Distinct addresses of the CSV, and how many of them have at least one message. */
  readonly customers: number;
  readonly people: number;
  readonly missing: number;
  /** At most ten of those missing. */
  readonly missingIds: readonly string[];
  readonly messages: number;
  readonly withoutEnvelope: number;
  readonly withoutFile: number;
  /** By the envelope, and by To and Cc. */
  readonly moreThanOneRecipient: number;
  readonly moreThanOneVisible: number;
  readonly toIsNotTheReader: number;
  /** Recipients who are not in the CSV. */
  readonly strangers: number;
  /** Messages to a customer beyond the first. */
  readonly duplicates: number;
  /** By Content-Language; `none` where there is no such field. */
  readonly languages: Readonly<Record<string, number>>;
  /** Messages in which the reader's own address stands. */
  readonly ownAddressShown: number;
  /** Distinct ordered pairs (customer shown, other reader). */
  readonly disclosures: number;
}

export interface WouldBe {
  readonly files: number;
  readonly people: number;
  readonly disclosures: number;
}

export interface PairGroup {
  readonly shown: Iterable<number>;
  readonly readers: Iterable<number>;
}

export interface Customers {
  readonly customers: Addresses;
  readonly ids: readonly string[];
}

/** @throws Error when the CSV lacks the columns id and email. */
export declare function readCustomers(path: string): Customers;
/** @throws Error when envelopes.tsv is missing or a planted address is not found. */
export declare function readDelivered(directory: string, customersCsv: string): DeliveredCounts;
/** Mistaken submissions kept as .eml or as a provider's JSON (`personalizations`). */
export declare function countWouldBe(files: readonly string[], customers?: Addresses): WouldBe;
export declare function countPairs(groups: Iterable<PairGroup>): number;
export declare function shownIn(bytes: Buffer, customers: Addresses): Set<number>;
/** @returns how many were planted and found. */
export declare function provePlantedIsFound(sample: Buffer): number;
export declare function addressesIn(text: string): string[];
