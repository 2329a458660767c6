/** What a cancellation touches: open positions and chunks. */

import type { Queryable } from './database.ts';
import { partition } from './partition.ts';

/** Positions without a final state: never begun, or deferred. What is uncertain stays uncertain. */
export function openPositions(
  tx: Queryable,
  id: string,
): Promise<{ position: number; attempt: number }[]> {
  return tx.query(
    `SELECT a.position, coalesce(o.attempt, 0)::int AS attempt FROM audience_row a
       LEFT JOIN (SELECT DISTINCT ON (position) position, attempt, state
                    FROM ${partition('outcome', id)}
                   ORDER BY position, attempt DESC, batch DESC, line DESC) o USING (position)
      WHERE a.broadcast_id = $1 AND (o.state IS NULL OR o.state = 7) ORDER BY a.position`,
    [id],
  );
}

export async function finishAllChunks(tx: Queryable, id: string): Promise<void> {
  await tx.query("UPDATE chunk SET state = 'done' WHERE broadcast_id = $1", [id]);
}
