/** The thread that prepares and signs blocks: rows come and go in PostgreSQL's binary COPY form, opened one at a time. */

import type { KeyObject } from 'node:crypto';
import { randomFillSync } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { Fault } from '../base/errors.ts';
import { open, type SealingKey, seal } from '../keys/seal.ts';
import { merkleRoot } from '../ledger/tree.ts';
import { policyFrom } from '../policy/policy.ts';
import { BinaryCopy, decodeBinaryCopy } from '../store/copy-binary.ts';
import { audienceLeaf, openFrozenRow, rowName } from './audience.ts';
import { type CompiledNotice, compileNotice } from './compile.ts';
import { type NoticeFiles, readNotice } from './notice.ts';
import { prepareMessage } from './prepare-message.ts';
import {
  assemble,
  leafOf,
  packPrepared,
  packSigned,
  SLOT,
  sha256,
  signedSlots,
  unpackPrepared,
} from './prepared-message.ts';
import type { Stages } from './stages.ts';

export interface BlockWorkerData {
  readonly broadcast: string;
  readonly files: NoticeFiles;
  readonly messageIdDomain: string;
  readonly returnPathDomain: string;
  readonly companyDomains: readonly string[];
  readonly tokenKey: KeyObject;
  readonly audienceKey: { readonly version: number; readonly key: KeyObject };
  readonly dkim: {
    readonly domain: string;
    readonly selector: string;
    readonly privateKey: KeyObject;
  };
  /** Module that exports `stages`. */
  readonly stagesModule: string;
}

export type BlockTask =
  | { readonly kind: 'prepare'; readonly rows: Uint8Array }
  | {
      readonly kind: 'sign';
      readonly rows: Uint8Array;
      readonly run: number;
      readonly atMs: number;
    };

export interface BlockedRow {
  readonly position: number;
  readonly record: string;
  readonly language: string;
  readonly reason: string;
  readonly where: string;
}

/** Microseconds spent in each step, summed over the block. */
export type StepTimes = Readonly<Record<string, number>>;

export interface BlockResult {
  readonly rows: Uint8Array;
  readonly count: number;
  /** Root over the block's leaves. */
  readonly root: Uint8Array;
  /** Root over the audience rows as they were read (prepare only). */
  readonly audienceRoot: Uint8Array;
  readonly blocked: readonly BlockedRow[];
  readonly blockedCount: number;
}

const BLOCKED_LISTED_MAX = 20;
const SIGNED_HEADERS = [
  'From',
  'Reply-To',
  'To',
  'Subject',
  'Date',
  'Message-ID',
  'MIME-Version',
  'Content-Type',
  'Content-Language',
  'Auto-Submitted',
  'List-Unsubscribe',
  'List-Unsubscribe-Post',
];

const data = workerData as BlockWorkerData;
const { stages } = (await import(data.stagesModule)) as { stages: Stages };
const notice = readNotice(data.files);
const compiled: CompiledNotice = compileNotice(notice, data);
const key: SealingKey = data.audienceKey;
const policy = policyFrom('bulk', {
  roleAddresses: compiled.allowed.addresses,
  companyDomains: data.companyDomains,
});
const languageIndex = new Map(compiled.languages.map((each, index) => [each.language, index]));

function nonces(count: number): Buffer {
  return randomFillSync(Buffer.allocUnsafe(count * 16));
}

function prepareBlock(rows: Uint8Array): BlockResult {
  const decoded = decodeBinaryCopy(rows);
  const copy = new BinaryCopy(['text', 'int4', 'bytea', 'bytea']);
  const random = nonces(decoded.length);
  const leaves: Buffer[] = [];
  const audienceLeaves: Buffer[] = [];
  const blocked: BlockedRow[] = [];
  let blockedCount = 0;
  for (const [i, row] of decoded.entries()) {
    audienceLeaves.push(audienceLeaf(row));
    const position = (row[0] as Buffer).readInt32BE(0);
    const language = (row[2] as Buffer).toString('utf8');
    const frozen = openFrozenRow(key, data.broadcast, position, row[6] as Buffer);
    const index = languageIndex.get(language);
    const target = index === undefined ? undefined : compiled.languages[index];
    if (index === undefined || target === undefined)
      throw new Fault('broadcast.no-language', `the notice has no language ${language}`);
    const result = prepareMessage(
      stages,
      target,
      index,
      { position, address: frozen.address, fields: frozen.fields },
      { policy, allowed: compiled.allowed, nonce: random.subarray(i * 16, i * 16 + 16) },
    );
    if (result.kind === 'blocked') {
      blockedCount++;
      if (blocked.length < BLOCKED_LISTED_MAX)
        blocked.push({ position, record: frozen.key, language, ...pick(result) });
      continue;
    }
    leaves.push(result.leaf);
    const sealed = seal(
      key,
      'prepared',
      rowName(data.broadcast, position),
      packPrepared(result.record),
    );
    copy.row(data.broadcast, position, result.leaf, sealed);
  }
  return {
    rows: copy.take(),
    count: decoded.length,
    root: merkleRoot(leaves),
    audienceRoot: merkleRoot(audienceLeaves),
    blocked,
    blockedCount,
  };
}

function pick(result: { readonly reason: string; readonly where: string }): {
  reason: string;
  where: string;
} {
  return { reason: result.reason, where: result.where };
}

const sign = stages.signer({ ...data.dkim, signedHeaders: SIGNED_HEADERS, oversigned: ['From'] });

/** RFC 5322 date-time in UTC. */
function dateField(atMs: number): Buffer {
  return Buffer.from(`Date: ${new Date(atMs).toUTCString().replace('GMT', '+0000')}\r\n`);
}

function signBlock(rows: Uint8Array, run: number, atMs: number): BlockResult {
  const decoded = decodeBinaryCopy(rows);
  const copy = new BinaryCopy(['text', 'int4', 'int4', 'bytea', 'bytea']);
  const date = dateField(atMs);
  const seconds = Math.floor(atMs / 1000);
  const none = Buffer.alloc(0);
  const leaves: Buffer[] = [];
  for (const row of decoded) {
    const position = (row[0] as Buffer).readInt32BE(0);
    const name = rowName(data.broadcast, position);
    const record = unpackPrepared(open(key, 'prepared', name, row[2] as Buffer));
    const target = compiled.languages[record.language];
    if (target === undefined) throw altered(position);
    // Nothing else may differ from what was approved: the message without the two is hashed again.
    if (!sha256(assemble(target.layout, record.slots)).equals(record.digest))
      throw altered(position);
    if (!leafOf(record.nonce, record.digest).equals(row[1] as Buffer)) throw altered(position);
    const unsigned = stages.compose(
      target.layout,
      signedSlots(record, { digest: none, date, dkim: none }),
    );
    const dkim = Buffer.from(sign(unsigned, seconds), 'latin1');
    const signed = Buffer.concat([dkim, unsigned]);
    const digest = sha256(signed);
    const leaf = leafOf(record.nonce, digest);
    leaves.push(leaf);
    const sealed = seal(key, 'signed', `${name}/${run}`, packSigned({ digest, date, dkim }));
    copy.row(data.broadcast, position, run, leaf, sealed);
  }
  return {
    rows: copy.take(),
    count: decoded.length,
    root: merkleRoot(leaves),
    audienceRoot: none,
    blocked: [],
    blockedCount: 0,
  };
}

function altered(position: number): Fault {
  return new Fault('broadcast.altered', 'a prepared message is not the one that was approved', {
    where: `row ${position}`,
    remedy: 'the notice or the database was changed after the approval: nothing is released',
  });
}

/** SLOT.dkim must come first: the signed message is the field put before the rest. */
for (const { layout } of compiled.languages)
  if (layout.slots[0] !== SLOT.dkim || layout.literals[0]?.length !== 0)
    throw new Fault('broadcast.layout', 'the first slot is not the signature');

parentPort?.on('message', (task: BlockTask) => {
  try {
    const value =
      task.kind === 'prepare' ? prepareBlock(task.rows) : signBlock(task.rows, task.run, task.atMs);
    parentPort?.postMessage({ value });
  } catch (error) {
    const fault =
      error instanceof Fault
        ? { code: error.code, message: error.message, where: error.where, remedy: error.remedy }
        : { code: 'worker.failed', message: error instanceof Error ? error.message : 'unknown' };
    parentPort?.postMessage({ fault });
  }
});
