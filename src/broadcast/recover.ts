/** After a sender's death: what its intent log and permit say becomes outcomes, and nobody is lost or sent twice unknowingly. */

import type { SealingKey } from '../keys/seal.ts';
import { addListChunk, type ChunkRow, finishChunks, listChunks } from '../store/chunks.ts';
import type { Database } from '../store/database.ts';
import { lastStates, nextOutcomeBatch } from '../store/outcomes.ts';
import type { PermitRow } from '../store/permits-and-halts.ts';
import { type IntentReading, type IntentRecord, readIntents } from './intent-log.ts';
import { type OutcomeState, STATES } from './outcome.ts';
import { addRetryChunks, insertOutcomes, type RecordedOutcome } from './outcome-writer.ts';

export interface RecoveryReport {
  /** Chunks that were under way. */
  readonly chunks: number;
  /** Outcomes that stood in the intent log alone. */
  readonly recovered: number;
  /** Positions whose content may have been accepted without our having seen the reply. */
  readonly uncertain: readonly number[];
  /** Positions that had not been begun. */
  readonly remaining: number;
}

export interface RecoveryOptions {
  readonly db: Database;
  readonly dataDir: string;
  readonly broadcast: string;
  readonly key: SealingKey;
  /** The permit as the dead sender left it. */
  readonly permit: PermitRow | null;
  /** Whether uncertain recipients are sent to again. */
  readonly resendUncertain: boolean;
  readonly retryDelayMs: number;
  readonly nowMs: number;
}

interface Sorted {
  readonly outcomes: RecordedOutcome[];
  readonly remaining: number[];
  readonly again: number[];
}

function covers(covered: readonly number[], position: number): boolean {
  for (let i = 0; i + 1 < covered.length; i += 2)
    if (position >= (covered[i] as number) && position <= (covered[i + 1] as number)) return true;
  return false;
}

function positionsOf(chunk: ChunkRow): readonly number[] {
  return chunk.positions ?? Array.from({ length: chunk.count }, (_, i) => chunk.first + i);
}

function sortChunk(
  chunk: ChunkRow,
  stored: ReadonlyMap<number, number>,
  intents: ReadonlyMap<string, IntentRecord>,
  reading: IntentReading,
  options: RecoveryOptions,
): Sorted {
  const sorted: Sorted = { outcomes: [], remaining: [], again: [] };
  const { attempt } = chunk;
  const covered = options.permit?.covered ?? [];
  for (const position of positionsOf(chunk)) {
    const known = stored.get(position);
    if (known !== undefined) {
      if (triedAgain(STATES[known], options)) sorted.again.push(position);
      continue;
    }
    const end = intents.get(`${position} ${attempt}`)?.end;
    const base = { position, attempt, reply: '', rawReply: null, atMs: options.nowMs };
    if (end?.kind === 'replied') {
      sorted.outcomes.push({ ...base, state: end.state, code: end.code, enhanced: end.enhanced });
      if (triedAgain(end.state, options)) sorted.again.push(position);
    } else if (end?.kind === 'unknown' || (!logsAreWhole(reading) && covers(covered, position))) {
      sorted.outcomes.push({ ...base, state: 'uncertain', code: 0, enhanced: '' });
      if (options.resendUncertain) sorted.again.push(position);
    } else sorted.remaining.push(position);
  }
  return sorted;
}

function triedAgain(state: OutcomeState | undefined, options: RecoveryOptions): boolean {
  return state === 'deferred' || (state === 'uncertain' && options.resendUncertain);
}

/** The logs tell everything only when they are there and the machine has been up since. */
function logsAreWhole(reading: IntentReading): boolean {
  return reading.whole && reading.logs > 0;
}

/** Settles every chunk that a dead sender had claimed, each in one transaction. */
export async function recover(options: RecoveryOptions): Promise<RecoveryReport> {
  const { db, broadcast, key } = options;
  const chunks = await listChunks(db, broadcast, 'claimed');
  if (chunks.length === 0) return { chunks: 0, recovered: 0, uncertain: [], remaining: 0 };
  const reading = await readIntents(options.dataDir, broadcast);
  const intents = new Map(reading.records.map((r) => [`${r.position} ${r.attempt}`, r]));
  const uncertain: number[] = [];
  let recovered = 0;
  let remaining = 0;
  for (const chunk of chunks) {
    const positions = positionsOf(chunk);
    const stored = await lastStates(
      db,
      broadcast,
      chunk.attempt,
      Math.min(...positions),
      Math.max(...positions),
    );
    const sorted = sortChunk(chunk, stored, intents, reading, options);
    await db.transaction(async (tx) => {
      const batch = await nextOutcomeBatch(tx, broadcast);
      if (sorted.outcomes.length > 0)
        await insertOutcomes(tx, broadcast, key, batch, sorted.outcomes, options.nowMs);
      const { ring, provider, attempt } = chunk;
      if (sorted.remaining.length > 0)
        await addListChunk(tx, broadcast, {
          ring,
          provider,
          positions: sorted.remaining,
          attempt,
          delayMs: 0,
        });
      await addRetryChunks(
        tx,
        broadcast,
        ring,
        sorted.again.map((position) => ({
          position,
          attempt: attempt + 1,
          delayMs: options.retryDelayMs,
        })),
      );
      await finishChunks(tx, broadcast, [chunk.chunk]);
    });
    recovered += sorted.outcomes.length;
    remaining += sorted.remaining.length;
    for (const outcome of sorted.outcomes)
      if (outcome.state === 'uncertain') uncertain.push(outcome.position);
  }
  return { chunks: chunks.length, recovered, uncertain, remaining };
}
