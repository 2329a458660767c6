/** The worker threads of one broadcast, with the keys they need. */

import { Fault } from '../base/errors.ts';
import type { Keyring } from '../keys/keyring.ts';
import type { Database } from '../store/database.ts';
import { audienceKey } from './audience.ts';
import type { BlockResult, BlockTask, BlockWorkerData } from './block-worker.ts';
import { type Broadcast, loadNotice } from './broadcast.ts';
import { type CompiledNotice, compileNotice } from './compile.ts';
import { WorkerPool } from './worker-pool.ts';

export type BlockPool = WorkerPool<BlockTask, BlockResult>;

export interface BlockSetup {
  readonly pool: BlockPool;
  readonly selector: string;
}

/** The stages as shipped; tests name a module of their own. */
export function shippedStages(): string {
  const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
  return new URL(`./stages${extension}`, import.meta.url).href;
}

export async function compiledNotice(
  db: Database,
  keyring: Keyring,
  broadcast: Broadcast,
): Promise<CompiledNotice> {
  const { notice } = await loadNotice(db, broadcast);
  return compileNotice(notice, { ...identityOf(keyring, broadcast) });
}

function identityOf(
  keyring: Keyring,
  broadcast: Broadcast,
): Pick<BlockWorkerData, 'broadcast' | 'messageIdDomain' | 'returnPathDomain' | 'tokenKey'> {
  const tokenKey = keyring.token.at(-1)?.key;
  if (tokenKey === undefined) throw new Fault('keys.malformed', 'the keyring holds no token key');
  const { messageIdDomain, returnPathDomain } = broadcast.settings;
  return { broadcast: broadcast.id, messageIdDomain, returnPathDomain, tokenKey };
}

export async function openBlockPool(
  db: Database,
  keyring: Keyring,
  broadcast: Broadcast,
  stagesModule: string,
): Promise<BlockSetup> {
  const { files } = await loadNotice(db, broadcast);
  const compiled = await compiledNotice(db, keyring, broadcast);
  const dkim = keyring.dkim(compiled.fromDomain);
  if (dkim === null)
    throw new Fault('keys.no-dkim', `the keyring holds no DKIM key for ${compiled.fromDomain}`, {
      remedy: `undisclosed keys rotate dkim --domain ${compiled.fromDomain}`,
    });
  const { key, version } = await audienceKey(db, keyring, broadcast.id);
  const data: BlockWorkerData = {
    ...identityOf(keyring, broadcast),
    files,
    companyDomains: [compiled.fromDomain],
    audienceKey: { key, version },
    dkim: { domain: dkim.domain, selector: dkim.selector, privateKey: dkim.privateKey },
    stagesModule,
  };
  const pool: BlockPool = new WorkerPool(new URL('./block-worker', import.meta.url), data);
  return { pool, selector: dkim.selector };
}

/** Collects a COPY into one buffer whose memory can be handed to a thread. */
export async function collect(stream: AsyncIterable<Buffer>): Promise<Uint8Array<ArrayBuffer>> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of stream) {
    pieces.push(piece);
    size += piece.length;
  }
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/** Runs `work` over items with `width` under way at once; the first failure ends it. */
export async function inParallel<T>(
  items: Iterable<T>,
  width: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const iterator = items[Symbol.iterator]();
  let failed = false;
  const lane = async (): Promise<void> => {
    for (let next = iterator.next(); next.done !== true && !failed; next = iterator.next()) {
      try {
        await work(next.value);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const results = await Promise.allSettled(Array.from({ length: width }, lane));
  const failure = results.find((result) => result.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
}
