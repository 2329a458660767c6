/** Types of verify.mjs, which is plain JavaScript so that a stranger can run it with nothing but Node. */

export interface BroadcastVerification {
  readonly id: string;
  readonly count: number;
  /** Base64. */
  readonly manifestRoot: string;
  readonly approvedBy: string;
  readonly authors: readonly string[];
  /** How many recipients ended in each final state. */
  readonly final: Readonly<Record<string, number>>;
  /** Sum of `final`; the broadcast adds up when it is `count`. */
  readonly sum: number;
  /** Those that have not ended; `no outcome` were never attempted. */
  readonly open: Readonly<Record<string, number>>;
}

export interface Verification {
  readonly verified: boolean;
  readonly conclusion: string;
  readonly origin: string;
  /** SHA-256 of the ledger's public key in hexadecimal. */
  readonly key: string;
  readonly entries: number;
  /** Base64. */
  readonly root: string | null;
  readonly checkpoints: number;
  /** Entries that an anchor has seen; null without one. */
  readonly anchoredEntries: number | null;
  readonly rowBatches: number;
  readonly rows: number;
  readonly rowBatchesNotIncluded: number;
  readonly linesNotChecked: Readonly<Record<string, number>>;
  readonly broadcasts: readonly BroadcastVerification[];
  /** The first 20 of `problemCount`. */
  readonly problems: readonly string[];
  readonly problemCount: number;
}

export function verifyBundle(request: {
  readonly bundle: string;
  readonly anchor?: string;
  readonly key?: string;
}): Promise<Verification>;

export function describeVerification(result: Verification): string[];

export function runVerify(
  args: readonly string[],
  io: { stdout(text: string): void; stderr(text: string): void },
): Promise<number>;
