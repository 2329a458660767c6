/** The account of a broadcast: everyone in exactly one state, and the sum is the audience. */

import { KINDS } from '../customers/record.ts';
import type { Database } from '../store/database.ts';
import { countStates, positionsIn } from '../store/outcomes.ts';
import { type Broadcast, loadBroadcast } from './broadcast.ts';
import { type HungUpOn, hungUpOn } from './hung-up.ts';
import { FINAL_STATES, type OutcomeState, STATES } from './outcome.ts';

export type AccountState = OutcomeState | 'waiting';

export interface Account {
  readonly broadcast: string;
  readonly audience: number;
  readonly states: Readonly<Partial<Record<AccountState, number>>>;
  /** People in a final state. */
  readonly settled: number;
  /** True when every one of the audience is in a final state: nothing is open or uncertain. */
  readonly addsUp: boolean;
  readonly byLanguage: Readonly<Record<string, number>>;
  readonly byKind: Readonly<Record<string, number>>;
  /** Rows whose content may have been accepted, at most 1,000. */
  readonly uncertain: readonly number[];
  /** Rows over which the far side ended its connections without an answer, with the reason, at most 1,000. */
  readonly hungUpOn: readonly HungUpOn[];
}

/** Counts the stored outcomes; nothing is taken from memory. */
export async function accountOf(db: Database, id: string): Promise<Account> {
  const broadcast: Broadcast = await loadBroadcast(db, id);
  const states: Partial<Record<AccountState, number>> = {};
  const byLanguage: Record<string, number> = {};
  const byKind: Record<string, number> = {};
  let total = 0;
  let settled = 0;
  for (const row of await countStates(db, id)) {
    const state: AccountState = STATES[row.state] ?? 'waiting';
    states[state] = (states[state] ?? 0) + row.count;
    byLanguage[row.language] = (byLanguage[row.language] ?? 0) + row.count;
    const kind = KINDS[row.kind] ?? 'customer';
    byKind[kind] = (byKind[kind] ?? 0) + row.count;
    total += row.count;
    if (state !== 'waiting' && FINAL_STATES.includes(state)) settled += row.count;
  }
  const uncertain = await positionsIn(db, id, STATES.indexOf('uncertain'), 1000);
  return {
    broadcast: id,
    audience: broadcast.count,
    states,
    settled,
    addsUp: total === broadcast.count && settled === broadcast.count,
    byLanguage,
    byKind,
    uncertain: uncertain.map((row) => row.position),
    hungUpOn: await hungUpOn(db, id),
  };
}
