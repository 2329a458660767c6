/** Every fault in every place, run three times: as shipped, without detection, and without any look, when it must leak. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SendConnection } from '../../../src/broadcast/delivery/send-connection.ts';
import type { Connect } from '../../../src/broadcast/delivery/send-pool.ts';
import { withdraw } from '../../../src/broadcast/leave-out.ts';
import { letOn } from '../../../src/broadcast/let-on.ts';
import type { Release, ReleaseEnd } from '../../../src/broadcast/release.ts';
import type { ReleaseEnvironment } from '../../../src/broadcast/release-start.ts';
import { addressIndex } from '../../../src/customers/record.ts';
import { testDatabase } from '../database.ts';
import { type House, openHouse } from '../house.ts';
import {
  canLeak,
  customersCsv,
  FAULTS,
  type FaultPart,
  NOTICE,
  noWay,
  PLACES,
  type Place,
  placeOf,
  readerOf,
  victimOf,
} from './places.ts';
import { plantInBytes } from './plant.ts';
import { shows } from './spellings.ts';
import { brokenStages } from './stages.ts';
import { openTap, type Tap, type Transaction } from './tap.ts';

const RELEASE_MS_MAX = 30_000;

export const RUNS = ['as shipped', 'detect off', 'both off'] as const;
export type RunName = (typeof RUNS)[number];

/** What became of one fault in one place in one run. */
export interface Cell {
  readonly run: RunName;
  readonly fault: FaultPart;
  readonly place: Place;
  /** Bytes of this reader's message that came to the far side. */
  readonly bytes: number;
  /** Whether the second customer's address, or the reader's to the second customer, came to the far side. */
  readonly leaked: boolean;
  /** What stopped it, '' where nothing did; `–` and the reason where there is no way to this place. */
  readonly by: string;
}

export interface Matrix {
  readonly cells: readonly Cell[];
  /** Messages of readers without a fault that came, and how many should have. */
  readonly clean: number;
  readonly cleanWanted: number;
}

/** A client that changes what it was given, between taking a message and writing it. */
const brokenClient: Connect = (id, owner) =>
  new SendConnection(id, {
    route: owner.route,
    take: (behind) => {
      const message = owner.take(behind);
      const place = message === null ? null : placeOf(message.reader);
      if (message === null || place === null) return message;
      const victim = victimOf(place);
      if (place === 'envelope, instead') return { ...message, reader: victim };
      if (place === 'envelope, beside')
        return { ...message, reader: `${message.reader}>\r\nRCPT TO:<${victim}` };
      return { ...message, bytes: plantInBytes(place, message.bytes, message.reader, victim) };
    },
    ready: (connection, message, commands) => owner.ready(connection, message, commands),
    outOfStep: (message, commands) => owner.outOfStep(message, commands),
    settled: (message, result) => owner.settled(message, result),
    closed: (connection, error) => owner.closed(connection, error),
  });

interface Circumstances {
  readonly house: House;
  readonly tap: Tap;
  readonly run: RunName;
  readonly fault: FaultPart;
  readonly clean: number;
}

/** Content for this reader, or for the second customer instead of it. */
function contentOf(transactions: readonly Transaction[], place: Place): readonly Transaction[] {
  const people = [readerOf(place), victimOf(place)];
  return transactions.filter(
    ({ readers, content }) =>
      content.length > 0 && readers.some((reader) => people.includes(reader)),
  );
}

function discloses(transaction: Transaction, place: Place): boolean {
  const { readers, content } = transaction;
  const others = [readerOf(place), victimOf(place)];
  return readers.some((reader) =>
    others.some((other) => other !== reader && shows(content, other)),
  );
}

function cellOf(
  given: Circumstances,
  place: Place,
  came: readonly Transaction[],
  by: string,
): Cell {
  const { run, fault } = given;
  const contents = contentOf(came, place);
  return {
    run,
    fault,
    place,
    bytes: contents.reduce((sum, { content }) => sum + content.length, 0),
    leaked: contents.some((content) => discloses(content, place)),
    by,
  };
}

/** Readers without a fault whose message came whole. */
function cleanReaders(transactions: readonly Transaction[]): number {
  const whole = transactions.filter(({ whole, readers }) => whole && readers.length === 1);
  const readers = new Set(whole.map(({ readers }) => readers[0] ?? ''));
  return [...readers].filter((reader) => reader.startsWith('vera.')).length;
}

async function approved(given: Circumstances, places: readonly Place[]): Promise<string | Cell[]> {
  const { house, tap, run, fault } = given;
  const id = await house.create(NOTICE, tap.port, {
    selection: { where: [{ field: 'group', equals: 'a' }] },
  });
  const unwanted = PLACES.filter((place) => !places.includes(place)).map(readerOf);
  if (unwanted.length > 0) {
    const request = { addresses: unwanted, reason: 'not part of this run', operator: 'bob' };
    await withdraw(house.db, house.keyring, id, request);
  }
  const off = { detect: run !== 'as shipped', look: run === 'both off' };
  const report = await house.prepare(id, 'alice', brokenStages(fault, off));
  if (report.kind === 'prepared') {
    await house.approve(id);
    return id;
  }
  const refused = await house.start(id).then(
    () => 'released all the same',
    (error: { code?: string }) => error.code ?? 'no code',
  );
  const came = tap.take();
  return places.map((place) => {
    const row = report.rows.find(({ record }) => record === `cell-${PLACES.indexOf(place)}`);
    const by = row === undefined ? '' : `prepare: ${row.reason}`;
    return cellOf(given, place, came, refused === 'broadcast.wrong-state' ? by : refused);
  });
}

/** A release that neither ends nor stops is a failure of its own, not a test that hangs. */
async function endOf(release: Release): Promise<ReleaseEnd> {
  const limit = setTimeout(
    () => void release.stop('it did not end within its time'),
    RELEASE_MS_MAX,
  );
  try {
    return await release.done;
  } finally {
    clearTimeout(limit);
  }
}

/** Releases, and goes on without the reader whose message was stopped, until nothing stops it. */
async function releaseAll(
  given: Circumstances,
  id: string,
): Promise<{ readonly stops: ReadonlyMap<Place, string>; readonly came: readonly Transaction[] }> {
  const { house, tap, run, fault } = given;
  const off = { detect: run !== 'as shipped', look: run === 'both off' };
  const environment: Partial<ReleaseEnvironment> = {
    stagesModule: brokenStages(fault, off),
    ...(run === 'both off' ? { look: () => ({ kind: 'clear' }) } : {}),
    ...(fault === 'SMTP client' ? { connect: brokenClient } : {}),
  };
  const stops = new Map<Place, string>();
  const came: Transaction[] = [];
  for (let turn = 0; turn <= PLACES.length; turn++) {
    const end = await endOf(await house.start(id, environment));
    came.push(...tap.take());
    if (end.kind === 'complete') return { stops, came };
    const because = 'because' in end ? end.because : end.kind;
    const position = Number(/row (\d+)/.exec(because)?.[1] ?? -1);
    const place = await placeAt(house, id, position);
    if (place === null) throw new Error(`${run}, ${fault}: ${because}`);
    stops.set(place, because.replace(/ in the message of row \d+/, ''));
    const request = {
      addresses: [readerOf(place)],
      reason: 'its message is wrong',
      operator: 'bob',
    };
    await withdraw(house.db, house.keyring, id, request);
    await letOn(house.db, id, 'bob', 'the recipient with the fault is left out', false);
  }
  throw new Error(`${run}, ${fault}: it stops again and again`);
}

async function placeAt(house: House, id: string, position: number): Promise<Place | null> {
  const [row] = await house.db.query<{ address_index: Buffer }>(
    'SELECT address_index FROM audience_row WHERE broadcast_id = $1 AND position = $2',
    [id, position],
  );
  for (const place of PLACES) {
    const index = addressIndex(house.keyring.blindIndex, readerOf(place));
    if (row !== undefined && index?.equals(row.address_index) === true) return place;
  }
  return null;
}

async function runFault(given: Circumstances): Promise<Matrix> {
  const { run, fault, clean } = given;
  const has = (place: Place): boolean =>
    run === 'both off' ? canLeak(fault, place) : noWay(fault, place) === null;
  const places = PLACES.filter(has);
  const none: Cell[] = PLACES.filter((place) => !has(place)).map((place) => ({
    run,
    fault,
    place,
    bytes: 0,
    leaked: false,
    by: `– ${noWay(fault, place) ?? 'replies do not add up, so no content follows'}`,
  }));
  const ready = await approved(given, places);
  if (typeof ready !== 'string') return { cells: [...ready, ...none], clean: 0, cleanWanted: 0 };
  const { stops, came } = await releaseAll(given, ready);
  const cells = places.map((place) => cellOf(given, place, came, stops.get(place) ?? ''));
  return { cells: [...cells, ...none], clean: cleanReaders(came), cleanWanted: clean };
}

/** @param clean how many readers without a fault are in each audience. */
export async function runMatrix(
  clean: number,
  runs: readonly RunName[] = RUNS,
  faults: readonly FaultPart[] = FAULTS,
): Promise<Matrix> {
  const folder = await mkdtemp(join(tmpdir(), 'undisclosed-faults-'));
  const { db, drop } = await testDatabase();
  const tap = await openTap(folder);
  const house = await openHouse(db);
  const cells: Cell[] = [];
  let came = 0;
  let wanted = 0;
  try {
    await house.importCsv(customersCsv(clean));
    for (const run of runs)
      for (const fault of faults) {
        const part = await runFault({ house, tap, run, fault, clean });
        cells.push(...part.cells);
        came += part.clean;
        wanted += part.cleanWanted;
      }
  } finally {
    await house.close();
    await tap.stop();
    await drop();
    await rm(folder, { recursive: true, force: true });
  }
  return { cells, clean: came, cleanWanted: wanted };
}

const MARKS: readonly (readonly [RegExp, string])[] = [
  [/^–/, '–'],
  [/^prepare: last look: (.*)$/, 'look: $1'],
  [/^prepare: (.*)$/, '$1'],
  [/^last look: (.*)$/, 'socket: $1'],
];

function shortly(cell: Cell): string {
  if (cell.leaked) return 'LEAKED';
  if (cell.bytes > 0) return `${cell.bytes} bytes came`;
  for (const [pattern, text] of MARKS)
    if (pattern.test(cell.by)) return cell.by.replace(pattern, text).replace(/ ?\(.*\)$/, '');
  return cell.by === '' ? 'nothing stopped it' : cell.by;
}

/** The table of faults and places of one run: what stopped each, or LEAKED. */
export function tableOf(matrix: Matrix, run: RunName): string {
  const rows = PLACES.map((place) => [
    place as string,
    ...FAULTS.map((fault) => {
      const cell = matrix.cells.find(
        (each) => each.run === run && each.fault === fault && each.place === place,
      );
      return cell === undefined ? '' : shortly(cell);
    }),
  ]);
  const lines = [[run as string, ...FAULTS], ...rows];
  const widths =
    lines[0]?.map((_, i) => Math.max(...lines.map((line) => line[i]?.length ?? 0))) ?? [];
  return lines
    .map((line) =>
      line
        .map((text, i) => text.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
