/** A house with sample customers, a sink as its far side, and a broadcast to them that bob has approved. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { csvOf, sampleCustomers } from '../../demo/sample-customers.ts';
import type { BroadcastSettings } from '../../src/broadcast/broadcast.ts';
import type { NoticeFiles } from '../../src/broadcast/notice.ts';
import { DEFAULT_RING_RULES } from '../../src/broadcast/rings.ts';
import type { Keyring } from '../../src/keys/keyring.ts';
import { testDatabase } from './database.ts';
import { type House, openHouse, sampleNotice } from './house.ts';
import { type Sink, type SinkSettings, startSink } from './sink-process.ts';

const SEED = 7;

export interface ApprovedOptions {
  readonly people: number;
  /** One with the key of northwind.example where it is not given. */
  readonly keyring?: Keyring;
  /** Changes the text of each file of the sample notice. */
  readonly edit?: (text: string) => string;
  readonly settings?: Partial<BroadcastSettings>;
  readonly sink?: SinkSettings;
}

export interface ApprovedBroadcast {
  readonly house: House;
  readonly sink: Sink;
  readonly broadcast: string;
  /** Of everybody in the audience, in the order of the import. */
  readonly addresses: readonly string[];
  close(): Promise<void>;
}

export async function approvedBroadcast(options: ApprovedOptions): Promise<ApprovedBroadcast> {
  const folder = await mkdtemp(join(tmpdir(), 'undisclosed-approved-'));
  const sink = await startSink(join(folder, 'sink.tsv'), options.sink);
  const { db, drop } = await testDatabase();
  const house = await openHouse(db, options.keyring);
  const close = async (): Promise<void> => {
    await house.close();
    await drop();
    await sink.stop();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const people = [...sampleCustomers(options.people, SEED)];
    await house.importCsv([...csvOf(people)].join(''));
    const { edit = (text) => text } = options;
    const files: NoticeFiles = Object.fromEntries(
      Object.entries(await sampleNotice()).map(([name, text]) => [name, edit(text)]),
    );
    const settings = { rings: DEFAULT_RING_RULES, ...options.settings };
    const broadcast = await house.create(files, sink.port, settings);
    await house.prepare(broadcast);
    await house.approve(broadcast);
    return { house, sink, broadcast, addresses: people.map(({ email }) => email), close };
  } catch (error) {
    await close();
    throw error;
  }
}
