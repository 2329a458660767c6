/** Recipients over whose messages the far side ends its connections without an answer: what is known of them. */

import type { Queryable } from '../store/database.ts';
import { positionsWithoutReply } from '../store/outcomes.ts';
import { type OutcomeState, STATES } from './outcome.ts';

export interface HungUpOn {
  readonly position: number;
  /** To be tried again, or given up at the deadline. */
  readonly state: OutcomeState;
  readonly because: string;
}

const LISTED_MAX = 1000;
const UNANSWERED = [STATES.indexOf('deferred'), STATES.indexOf('expired')];

/** In the order of their positions, at most 1,000. */
export async function hungUpOn(db: Queryable, id: string): Promise<HungUpOn[]> {
  const rows = await positionsWithoutReply(db, id, UNANSWERED, LISTED_MAX);
  return rows.map(({ position, state, reply }) => ({
    position,
    state: STATES[state] ?? 'deferred',
    because: reply,
  }));
}
