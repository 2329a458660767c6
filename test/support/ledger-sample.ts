/** A small ledger with one broadcast that was approved, sent and adds up, and its bundle. */

import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { canonicalJson } from '../../src/base/canonical-json.ts';
import { verifierKey } from '../../src/ledger/checkpoint.ts';
import type { LedgerEntry } from '../../src/ledger/entry.ts';
import { type BundleOptions, exportBundle } from '../../src/ledger/export.ts';
import { appendBatch, appendEntry } from '../../src/ledger/ledger.ts';
import { startSequencer } from '../../src/ledger/sequencer.ts';
import { leafHash, merkleRoot } from '../../src/ledger/tree.ts';
import type { Database } from '../../src/store/database.ts';

export interface KeyPair {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

export const ORIGIN = 'ledger.example/test';
export const BROADCAST = 'b-1';
export const PEOPLE = 21;

const AT = '2026-11-21T08:00:00.000Z';

export const newKeyPair = (): KeyPair => generateKeyPairSync('ed25519');

export function entry(kind: string, subject: string, data: LedgerEntry['data']): LedgerEntry {
  return { kind, at: AT, by: 'system', subject, data };
}

export const spki = (pair: KeyPair): string =>
  pair.publicKey.export({ format: 'der', type: 'spki' }).toString('base64');

export const manifestLeaves: readonly Buffer[] = Array.from({ length: PEOPLE }, (_, i) =>
  createHash('sha256').update(`message ${i}`).digest(),
);

const outcome = (position: number, attempt: number, state: string, code: number): string =>
  `${position},${attempt},${state},${code},,${AT}`;

/** In order of their batches; the last row of each position gives its state. */
export const outcomeBatches: readonly (readonly string[])[] = [
  Array.from({ length: 12 }, (_, i) =>
    outcome(i, 1, i === 3 ? 'deferred' : 'accepted', i === 3 ? 451 : 250),
  ),
  [
    outcome(3, 2, 'accepted', 250),
    ...Array.from({ length: PEOPLE - 12 }, (_, i) =>
      outcome(12 + i, 1, i === 0 ? 'refused' : 'accepted', i === 0 ? 550 : 250),
    ),
  ],
];

export interface ApprovalChoice {
  readonly approver?: string;
  readonly authors?: readonly string[];
  readonly signer?: KeyPair;
  readonly count?: number;
}

export function approval(
  keys: { readonly bob: KeyPair },
  choice: ApprovalChoice = {},
): LedgerEntry {
  const operator = choice.approver ?? 'bob';
  const document = {
    document: 'undisclosed/approval/1',
    broadcast: BROADCAST,
    count: choice.count ?? PEOPLE,
    manifestRoot: merkleRoot(manifestLeaves).toString('base64'),
    authors: [...(choice.authors ?? ['alice'])],
  };
  const signer = choice.signer ?? keys.bob;
  const signature = sign(null, Buffer.from(canonicalJson(document)), signer.privateKey);
  const envelope = {
    kind: 'ed25519',
    operator,
    publicKey: spki(signer),
    signature: signature.toString('base64'),
  };
  return { ...entry('broadcast.approved', BROADCAST, { document, envelope }), by: operator };
}

/** Writes the whole story, each deed in a transaction of its own with a checkpoint, and returns the bundle's lines. */
export async function sampleBundle(
  db: Database,
  key: KeyPair,
  anchor?: string,
  choice?: ApprovalChoice,
): Promise<string[]> {
  const keys = { alice: newKeyPair(), bob: newKeyPair() };
  const sequencer = await startSequencer({
    db,
    key,
    origin: ORIGIN,
    anchors: anchor === undefined ? [] : [{ kind: 'file', path: anchor }],
    log: () => {},
  });
  const deeds: LedgerEntry[] = [
    entry('operator.added', 'alice', { operator: 'alice', publicKey: spki(keys.alice) }),
    entry('operator.added', 'bob', { operator: 'bob', publicKey: spki(keys.bob) }),
    entry('broadcast.prepared', BROADCAST, { note: 'Ünïcode, "quotes" and \u2028' }),
    approval(keys, choice),
  ];
  for (const deed of deeds) {
    await db.transaction((tx) => appendEntry(tx, deed));
    await sequencer.flush();
  }
  for (const [batch, rows] of outcomeBatches.entries()) {
    await db.transaction((tx) =>
      appendBatch(
        tx,
        { ...entry('outcomes.recorded', BROADCAST, {}), data: { broadcast: BROADCAST, batch } },
        rows.map((row) => Buffer.from(row)),
      ),
    );
    await sequencer.flush();
  }
  await db.transaction((tx) => appendEntry(tx, entry('broadcast.finished', BROADCAST, {})));
  await sequencer.flush();
  await sequencer.anchored();
  await sequencer.close();
  return bundleLines(db, key);
}

export async function bundleLines(
  db: Database,
  key: KeyPair,
  options: Partial<BundleOptions> = {},
): Promise<string[]> {
  const lines: string[] = [];
  const bundle = exportBundle(db, {
    vkey: verifierKey(ORIGIN, key.publicKey),
    exportedAt: new Date(AT),
    extra: {
      rows: async ({ data }) => outcomeBatches[(data as { batch?: number }).batch ?? -1] ?? null,
      leaves: () => [
        { first: 0, leaves: manifestLeaves.slice(0, 8) },
        { first: 8, leaves: manifestLeaves.slice(8) },
      ],
    },
    ...options,
  });
  for await (const line of bundle) lines.push(line.trimEnd());
  return lines;
}

/** Leaf hashes of the entries in a bundle. */
export function entryLeaves(lines: readonly string[]): Buffer[] {
  return lines
    .map((line) => JSON.parse(line))
    .filter(({ type }) => type === 'entry')
    .map(({ bytes }) => leafHash(Buffer.from(bytes)));
}
