/** Cancelling a broadcast: whoever was not reached gets the final state `cancelled`, and the signatures are destroyed. */

import { Fault } from '../base/errors.ts';
import type { Keyring } from '../keys/keyring.ts';
import { appendEntry } from '../ledger/ledger.ts';
import { destroySignatures } from '../store/blocks.ts';
import { setBroadcastState } from '../store/broadcasts.ts';
import { finishAllChunks, openPositions } from '../store/cancellations.ts';
import type { Database } from '../store/database.ts';
import { nextOutcomeBatch } from '../store/outcomes.ts';
import { audienceKey } from './audience.ts';
import { loadBroadcast, transition } from './broadcast.ts';
import { insertOutcomes } from './outcome-writer.ts';

export interface CancelReport {
  readonly broadcast: string;
  readonly cancelled: number;
}

/**
 * Cancels a broadcast that is not being released at this moment.
 * @throws Fault `broadcast.wrong-state`, `broadcast.no-reason`.
 */
export async function cancelBroadcast(
  db: Database,
  keyring: Keyring,
  id: string,
  request: { readonly operator: string; readonly reason: string; readonly releasing: boolean },
): Promise<CancelReport> {
  const { operator, reason, releasing } = request;
  if (releasing)
    throw new Fault('broadcast.wrong-state', 'the broadcast is being released', {
      where: id,
      remedy: `halt it first: undisclosed halt ${id}`,
    });
  if (reason.trim() === '')
    throw new Fault('broadcast.no-reason', 'a cancellation needs a reason', {
      remedy: '--reason TEXT',
    });
  const key = await audienceKey(db, keyring, id);
  return db.transaction(async (tx) => {
    const { state } = await loadBroadcast(tx, id, true);
    const next = transition(state, 'cancelled');
    const nowMs = Date.now();
    const open = await openPositions(tx, id);
    const batch = await nextOutcomeBatch(tx, id);
    if (open.length > 0)
      await insertOutcomes(
        tx,
        id,
        key,
        batch,
        open.map(({ position, attempt }) => ({
          position,
          attempt: attempt + 1,
          state: 'cancelled' as const,
          code: 0,
          enhanced: '',
          reply: '',
          rawReply: null,
          atMs: nowMs,
        })),
        nowMs,
      );
    await finishAllChunks(tx, id);
    await destroySignatures(tx, id);
    await setBroadcastState(tx, id, next, reason);
    await appendEntry(tx, {
      kind: 'broadcast.cancelled',
      at: new Date(nowMs).toISOString(),
      by: operator,
      subject: id,
      data: { broadcast: id, reason, cancelled: open.length },
    });
    return { broadcast: id, cancelled: open.length };
  });
}
