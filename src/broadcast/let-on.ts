/** What lets a held broadcast go on: one operator who is not its author, with a reason. */

import { Fault } from '../base/errors.ts';
import { appendEntry } from '../ledger/ledger.ts';
import { acceptUncertain, setBroadcastState } from '../store/broadcasts.ts';
import { addListChunk } from '../store/chunks.ts';
import type { Database, Transaction } from '../store/database.ts';
import { positionsIn } from '../store/outcomes.ts';
import { type Broadcast, loadBroadcast, transition } from './broadcast.ts';
import { STATES } from './outcome.ts';

const CHUNK_ROWS = 1000;

/** Uncertain recipients become chunks of one more attempt. Each may then have two copies; the account says so. */
async function requeueUncertain(tx: Transaction, broadcast: Broadcast): Promise<number> {
  const all = await positionsIn(tx, broadcast.id, STATES.indexOf('uncertain'), 1_000_000);
  // Each in its own ring: that ring's signing run is the one that covers it.
  for (const { ring, first, count } of broadcast.plan.rings) {
    const rows = all.filter(({ position }) => position >= first && position < first + count);
    for (let at = 0; at < rows.length; at += CHUNK_ROWS) {
      const part = rows.slice(at, at + CHUNK_ROWS);
      await addListChunk(tx, broadcast.id, {
        ring,
        provider: 'retry',
        positions: part.map((row) => row.position),
        attempt: Math.max(...part.map((row) => row.attempt)) + 1,
        delayMs: 0,
      });
    }
  }
  return all.length;
}

/**
 * Lets a held broadcast go on. What is uncertain is sent to once more, or may stay uncertain: then the operator has said so.
 * @throws Fault `broadcast.own-work`, `broadcast.no-reason`, `broadcast.wrong-state`.
 */
export function letOn(
  db: Database,
  id: string,
  operator: string,
  reason: string,
  resend: boolean,
): Promise<void> {
  return db.transaction(async (tx) => {
    const broadcast = await loadBroadcast(tx, id, true);
    const next = transition(broadcast.state, 'let-on');
    if (operator === broadcast.createdBy)
      throw new Fault('broadcast.own-work', `${operator} made this broadcast`, {
        remedy: 'another operator lets it go on',
      });
    if (reason.trim() === '')
      throw new Fault('broadcast.no-reason', `it is held: ${broadcast.standsBecause ?? ''}`, {
        where: id,
        remedy: 'say why it may go on: --reason TEXT',
      });
    const resent = resend ? await requeueUncertain(tx, broadcast) : 0;
    if (!resend && heldForUncertain(broadcast)) await acceptUncertain(tx, id, operator);
    await setBroadcastState(tx, id, next, null);
    await appendEntry(tx, {
      kind: 'broadcast.let-on',
      at: new Date().toISOString(),
      by: operator,
      subject: id,
      data: { broadcast: id, because: broadcast.standsBecause, reason, resent },
    });
  });
}

/** Nothing else is left of it: whoever lets it go on without sending again settles it. */
function heldForUncertain(broadcast: Broadcast): boolean {
  return /^\d+ uncertain/.test(broadcast.standsBecause ?? '');
}

/** Sends once more to those whose content may have been accepted, while the release is under way. */
export function resendUncertain(db: Database, id: string, operator: string): Promise<void> {
  return db.transaction(async (tx) => {
    const broadcast = await loadBroadcast(tx, id, true);
    const resent = await requeueUncertain(tx, broadcast);
    await appendEntry(tx, {
      kind: 'broadcast.let-on',
      at: new Date().toISOString(),
      by: operator,
      subject: id,
      data: { broadcast: id, because: 'uncertain', reason: 'resend', resent },
    });
  });
}
