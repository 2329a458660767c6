/** Halt: any operator, one action. Three scopes, two people to resume, a plain file when the database is down. */

import { existsSync } from 'node:fs';
import { appendFile, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '../base/errors.ts';
import { newId } from '../base/id.ts';
import { appendEntry } from '../ledger/ledger.ts';
import type { Database } from '../store/database.ts';
import {
  type HaltRow,
  insertHalt,
  KNOWN_MS_MAX,
  lateLooks,
  liftHalt,
  listHalts,
  permitAges,
  type StandingHalt,
  voteResume,
} from '../store/permits-and-halts.ts';
import { PERMIT_MS_MAX } from './permit.ts';

export type HaltScope = 'broadcast' | 'bulk' | 'everything';

export interface HaltRequest {
  readonly scope: HaltScope;
  readonly broadcast: string | null;
  readonly operator: string;
  readonly reason: string;
}

export interface HaltReport {
  readonly halt: string;
  /** False when the database was down and the halt stands in the local journal. */
  readonly recorded: boolean;
  readonly milliseconds: number;
}

const HALT_FILE = 'HALT';
const JOURNAL = 'halt-journal.jsonl';
const RECORD_MS_MAX = 150;

export function haltFile(dataDir: string): string {
  return join(dataDir, HALT_FILE);
}

interface InForce {
  readonly scope: HaltScope;
  readonly broadcast: string | null;
  /** Whether the database has it: from then on it is lifted where it is lifted there. */
  recorded: boolean;
}

/** In force in this process, before the database knows: read before every write. */
export class HaltSwitch {
  readonly #standing = new Map<string, InForce>();
  /** A look that began before they were lifted may still find them. */
  readonly #lifted = new Set<string>();
  readonly #listeners = new Set<() => void>();

  stands(broadcast: string | null): boolean {
    for (const halt of this.#standing.values())
      if (halt.scope !== 'broadcast' || halt.broadcast === broadcast) return true;
    return false;
  }

  /** Whether the gates and the transactional lane stand still too. */
  get everything(): boolean {
    return [...this.#standing.values()].some((halt) => halt.scope === 'everything');
  }

  /** Puts a halt in force: when this returns, no content is handed over in its scope by this process. */
  throw(id: string, scope: HaltScope, broadcast: string | null): void {
    this.#standing.set(id, { scope, broadcast, recorded: false });
    for (const listener of this.#listeners) listener();
  }

  knows(id: string): boolean {
    return this.#standing.has(id);
  }

  /** The database has this one now. */
  recorded(id: string): void {
    const halt = this.#standing.get(id);
    if (halt !== undefined) halt.recorded = true;
  }

  lift(id: string): void {
    this.#standing.delete(id);
    this.#lifted.add(id);
  }

  /**
   * Begins a look at what the database has. What it returns is called with that: it puts in force what was halted elsewhere, and
   * lifts what had been recorded before the look and stands no more.
   */
  begin(): (halts: readonly StandingHalt[]) => void {
    const recorded = [...this.#standing].filter(([, halt]) => halt.recorded).map(([id]) => id);
    return (halts) => {
      for (const { id, scope, broadcast_id } of halts) {
        if (!this.knows(id) && !this.#lifted.has(id)) this.throw(id, scope, broadcast_id);
        this.recorded(id);
      }
      const standing = new Set(halts.map(({ id }) => id));
      for (const id of recorded) if (!standing.has(id)) this.lift(id);
    };
  }

  onThrow(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

async function record(db: Database, id: string, request: HaltRequest, at: Date): Promise<void> {
  await db.transaction(async (tx) => {
    const { scope, broadcast, operator, reason } = request;
    if (!(await insertHalt(tx, { id, scope, broadcast_id: broadcast, by: operator, reason })))
      return;
    await appendEntry(tx, {
      kind: 'broadcast.halted',
      at: at.toISOString(),
      by: operator,
      subject: broadcast ?? scope,
      data: { halt: id, scope, broadcast, reason },
    });
  });
}

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Halts. When it returns, nothing more is handed over in this scope: by no sender, whose permit has run out, and at no gate, whose
 * process has taken the halt over, or has heard nothing of the database for so long that it lets nothing leave. At once in this
 * process, elsewhere as a rule within milliseconds at gates and half a second for a broadcast.
 */
export async function halt(
  db: Database,
  dataDir: string,
  sender: string,
  brake: HaltSwitch,
  request: HaltRequest,
): Promise<HaltReport> {
  const started = performance.now();
  const id = newId('h');
  const at = new Date();
  brake.throw(id, request.scope, request.broadcast);
  const journal = { halt: id, at: at.toISOString(), ...request };
  const recorded = record(db, id, request, at).then(
    () => {
      brake.recorded(id);
      return true;
    },
    () => false,
  );
  const inTime = await Promise.race([recorded, wait(RECORD_MS_MAX).then(() => null)]);
  if (inTime !== true) {
    // The one deed that may come before its record: the journal is entered when the database is back.
    await writeFile(haltFile(dataDir), `${JSON.stringify(journal)}\n`, { mode: 0o600 });
    await appendFile(join(dataDir, JOURNAL), `${JSON.stringify(journal)}\n`, { mode: 0o600 });
  } else await Promise.all([othersPermits(db, sender), othersLooks(db, sender)]);
  return { halt: id, recorded: inTime === true, milliseconds: performance.now() - started };
}

/** Until no other sender's permit holds any more: none that began before is renewed. */
async function othersPermits(db: Database, sender: string): Promise<void> {
  const started = performance.now();
  while ((await permitAges(db, sender)).some((ageMs) => ageMs < PERMIT_MS_MAX)) {
    if (performance.now() - started > PERMIT_MS_MAX) return;
    await wait(25);
  }
}

/** Until every other process lets mail leave by what stands now, or by nothing. */
async function othersLooks(db: Database, sender: string): Promise<void> {
  const started = performance.now();
  let { since, late } = await lateLooks(db, sender, null);
  while (late > 0 && performance.now() - started < KNOWN_MS_MAX) {
    await wait(5);
    ({ since, late } = await lateLooks(db, sender, since));
  }
}

interface PendingHalt extends HaltRequest {
  readonly halt: string;
  readonly at: string;
}

/** A halt file may be empty (`touch HALT`): it then means everything in bulk. */
async function readHaltFile(file: string): Promise<PendingHalt> {
  const text = await readFile(file, 'utf8');
  try {
    const entry = JSON.parse(text) as PendingHalt;
    if (typeof entry.halt === 'string') return entry;
  } catch {
    // Not ours, or not written to its end: its presence is what counts.
  }
  const entry: PendingHalt = {
    halt: newId('h'),
    at: new Date().toISOString(),
    scope: 'bulk',
    broadcast: null,
    operator: 'halt-file',
    reason: 'the file HALT was found in the data directory',
  };
  // Kept in the file, so that it is the same halt however often it is read.
  await writeFile(file, `${JSON.stringify(entry)}\n`, { mode: 0o600 });
  return entry;
}

async function pendingHalts(dataDir: string): Promise<PendingHalt[]> {
  const journal = join(dataDir, JOURNAL);
  const lines = existsSync(journal) ? (await readFile(journal, 'utf8')).split('\n') : [];
  const entries = lines
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as PendingHalt);
  const file = haltFile(dataDir);
  if (existsSync(file)) entries.push(await readHaltFile(file));
  return entries;
}

/**
 * Puts the halts in force that stand in the data directory alone, enters them, and takes the files away.
 * @throws Fault `database.*` when they cannot be entered now; they are in force all the same.
 */
async function enterPending(db: Database, dataDir: string, brake: HaltSwitch): Promise<void> {
  const entries = await pendingHalts(dataDir);
  for (const { halt, scope, broadcast } of entries)
    if (!brake.knows(halt)) brake.throw(halt, scope, broadcast);
  for (const entry of entries) {
    await record(db, entry.halt, entry, new Date(entry.at));
    brake.recorded(entry.halt);
  }
  const inForce = new Set((await listHalts(db)).map((row) => row.id));
  const journal = join(dataDir, JOURNAL);
  if (existsSync(journal)) await rename(journal, `${journal}.entered`);
  await rm(haltFile(dataDir), { force: true });
  // Entered earlier and lifted since.
  for (const { halt } of entries) if (!inForce.has(halt)) brake.lift(halt);
}

/** At the start: puts the halts in force that the database and the data directory know of. */
export async function restoreHalts(
  db: Database,
  dataDir: string,
  brake: HaltSwitch,
): Promise<void> {
  await enterPending(db, dataDir, brake);
  const take = brake.begin();
  take(await listHalts(db));
}

const WATCH_MS = 100;

/** From then on: obeys a halt file that appears, and enters what came before its record. Returns what ends it. */
export function watchHaltFile(db: Database, dataDir: string, brake: HaltSwitch): () => void {
  let busy = false;
  const timer = setInterval(() => {
    if (busy || !(existsSync(haltFile(dataDir)) || existsSync(join(dataDir, JOURNAL)))) return;
    busy = true;
    // With the database down it stays where it is and is tried again.
    enterPending(db, dataDir, brake)
      .catch(() => {})
      .finally(() => {
        busy = false;
      });
  }, WATCH_MS);
  return () => clearInterval(timer);
}

export type ResumeReport =
  | { readonly kind: 'lifted'; readonly halt: string }
  | { readonly kind: 'waits-for-second'; readonly halt: string; readonly by: readonly string[] };

/** One operator's word for resuming; the second different one lifts the halt. */
export async function resume(
  db: Database,
  brake: HaltSwitch,
  id: string,
  operator: string,
): Promise<ResumeReport> {
  const report = await db.transaction(async (tx): Promise<ResumeReport> => {
    const by = await voteResume(tx, id, operator);
    if (by.length === 0)
      throw new Fault('halt.unknown', `there is no halt ${id}`, {
        remedy: 'undisclosed resume --as NAME lists the halts in force',
      });
    if (by.length < 2) return { kind: 'waits-for-second', halt: id, by };
    await liftHalt(tx, id);
    await appendEntry(tx, {
      kind: 'broadcast.resumed',
      at: new Date().toISOString(),
      by: operator,
      subject: id,
      data: { halt: id, by },
    });
    return { kind: 'lifted', halt: id };
  });
  if (report.kind === 'lifted') brake.lift(id);
  return report;
}

export function haltsInForce(db: Database): Promise<HaltRow[]> {
  return listHalts(db);
}
