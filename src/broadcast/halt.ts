/** Halt: any operator, one action. Three scopes, two people to resume, a plain file when the database is down. */

import { existsSync } from 'node:fs';
import { appendFile, readFile, rename, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '../base/errors.ts';
import { newId } from '../base/id.ts';
import { appendEntry } from '../ledger/ledger.ts';
import type { Database } from '../store/database.ts';
import {
  type HaltRow,
  insertHalt,
  liftHalt,
  listHalts,
  permitAges,
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

/** In force in this process, before the database knows: read before every write. */
export class HaltSwitch {
  readonly #standing = new Map<string, { scope: HaltScope; broadcast: string | null }>();
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
    this.#standing.set(id, { scope, broadcast });
    for (const listener of this.#listeners) listener();
  }

  lift(id: string): void {
    this.#standing.delete(id);
  }

  onThrow(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

async function record(db: Database, id: string, request: HaltRequest, at: Date): Promise<void> {
  await db.transaction(async (tx) => {
    const { scope, broadcast, operator, reason } = request;
    await insertHalt(tx, { id, scope, broadcast_id: broadcast, by: operator, reason });
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
 * Halts. When it returns, every sender has confirmed that it hands over nothing more in this scope, or its permit has run
 * out: at once in this process, within half a second on other machines.
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
    () => true,
    () => false,
  );
  const inTime = await Promise.race([recorded, wait(RECORD_MS_MAX).then(() => null)]);
  if (inTime !== true) {
    // The one deed that may come before its record: the journal is entered when the database is back.
    await writeFile(haltFile(dataDir), `${JSON.stringify(journal)}\n`, { mode: 0o600 });
    await appendFile(join(dataDir, JOURNAL), `${JSON.stringify(journal)}\n`, { mode: 0o600 });
  } else {
    for (
      let ages = await permitAges(db, sender);
      ages.some(young);
      ages = await permitAges(db, sender)
    ) {
      if (performance.now() - started > PERMIT_MS_MAX) break;
      await wait(25);
    }
  }
  return { halt: id, recorded: inTime === true, milliseconds: performance.now() - started };
}

function young(ageMs: number): boolean {
  return ageMs < PERMIT_MS_MAX;
}

/** Puts the halts in force that the database and the journal know of; enters what the journal is ahead with. */
export async function restoreHalts(
  db: Database,
  dataDir: string,
  brake: HaltSwitch,
): Promise<void> {
  const path = join(dataDir, JOURNAL);
  const lines = existsSync(path) ? (await readFile(path, 'utf8')).split('\n') : [];
  const known = new Set((await listHalts(db)).map((row) => row.id));
  for (const line of lines) {
    if (line.trim() === '') continue;
    const entry = JSON.parse(line) as HaltRequest & { halt: string; at: string };
    if (!known.has(entry.halt)) await record(db, entry.halt, entry, new Date(entry.at));
  }
  if (lines.length > 0) await rename(path, `${path}.entered`);
  const file = haltFile(dataDir);
  if (existsSync(file)) {
    const entry = readHaltFile(await readFile(file, 'utf8'));
    if (entry !== null && !(await listHalts(db)).some((row) => row.id === entry.halt))
      await record(db, entry.halt, entry, new Date(entry.at));
    await unlink(file);
  }
  for (const row of await listHalts(db)) brake.throw(row.id, row.scope, row.broadcast_id);
}

/** A halt file may be empty (`touch HALT`): it then means everything in bulk. */
function readHaltFile(text: string): (HaltRequest & { halt: string; at: string }) | null {
  try {
    const entry = JSON.parse(text) as HaltRequest & { halt: string; at: string };
    return typeof entry.halt === 'string' ? entry : null;
  } catch {
    return {
      halt: newId('h'),
      at: new Date().toISOString(),
      scope: 'bulk',
      broadcast: null,
      operator: 'halt-file',
      reason: 'the file HALT was found in the data directory',
    };
  }
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
        remedy: 'undisclosed broadcast status lists the halts in force',
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
