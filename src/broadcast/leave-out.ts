/** Leaving people out: suppressed for every broadcast, or withdrawn from one by name. Nobody is ever added. */

import { Fault } from '../base/errors.ts';
import { addressIndex } from '../customers/record.ts';
import type { Keyring } from '../keys/keyring.ts';
import { appendEntry } from '../ledger/ledger.ts';
import type { Database } from '../store/database.ts';
import { deleteSuppressions, insertLeftOut, insertSuppressions } from '../store/suppressions.ts';
import { loadBroadcast } from './broadcast.ts';
import type { NoticeClass } from './notice.ts';

/** `unsubscribed` counts for notices of the class subscribed alone; the others for every class but legal. */
export const SUPPRESSION_REASONS = [
  'bounced',
  'complained',
  'unsubscribed',
  'asked',
  'erased',
] as const;
export type SuppressionReason = (typeof SUPPRESSION_REASONS)[number];

/** Blind indexes of addresses given by a person. Throws Fault `suppression.no-address` naming the line. */
function indexesOf(keyring: Keyring, addresses: readonly string[]): Buffer[] {
  return addresses.map((address, i) => {
    const index = addressIndex(keyring.blindIndex, address.trim());
    if (index === null)
      throw new Fault('suppression.no-address', 'this is no address', {
        where: `line ${i + 1}`,
        remedy: 'one address on each line',
      });
    return index;
  });
}

export interface SuppressionRequest {
  readonly deed: 'add' | 'remove';
  readonly addresses: readonly string[];
  readonly reason: SuppressionReason;
  readonly operator: string;
}

/** Changes the list of those who are not written to; in force from the next chunk of every release. */
export function changeSuppressions(
  db: Database,
  keyring: Keyring,
  request: SuppressionRequest,
): Promise<{ readonly changed: number; readonly given: number }> {
  const indexes = indexesOf(keyring, request.addresses);
  const { deed, reason, operator } = request;
  if (!SUPPRESSION_REASONS.includes(reason))
    throw new Fault('suppression.reason', `the reason is one of ${SUPPRESSION_REASONS.join(', ')}`);
  return db.transaction(async (tx) => {
    const changed =
      deed === 'add'
        ? await insertSuppressions(tx, indexes, reason, operator)
        : await deleteSuppressions(tx, indexes);
    await appendEntry(tx, {
      kind: 'suppression.changed',
      at: new Date().toISOString(),
      by: operator,
      subject: 'suppression',
      data: { deed, reason, changed },
    });
    return { changed, given: indexes.length };
  });
}

/** Withdraws people from one broadcast, with a reason; shown in its sum as `withdrawn`. */
export function withdraw(
  db: Database,
  keyring: Keyring,
  id: string,
  request: {
    readonly addresses: readonly string[];
    readonly reason: string;
    readonly operator: string;
  },
): Promise<{ readonly withdrawn: number; readonly given: number }> {
  const { addresses, reason, operator } = request;
  const indexes = indexesOf(keyring, addresses);
  if (reason.trim() === '')
    throw new Fault('broadcast.no-reason', 'a withdrawal needs a reason', {
      remedy: '--reason TEXT',
    });
  return db.transaction(async (tx) => {
    const broadcast = await loadBroadcast(tx, id, true);
    if (broadcast.state === 'complete' || broadcast.state === 'cancelled')
      throw new Fault('broadcast.wrong-state', `the broadcast is ${broadcast.state}`, {
        where: id,
      });
    const withdrawn = await insertLeftOut(tx, id, indexes, reason, operator);
    await appendEntry(tx, {
      kind: 'broadcast.withdrawn',
      at: new Date().toISOString(),
      by: operator,
      subject: id,
      data: { broadcast: id, reason, withdrawn },
    });
    return { withdrawn, given: indexes.length };
  });
}

/** Reasons that count for a class of notice: a legal notice goes to everybody whose data still exists. */
export function suppressionsFor(noticeClass: NoticeClass): readonly SuppressionReason[] {
  if (noticeClass === 'legal') return ['erased'];
  if (noticeClass === 'subscribed') return SUPPRESSION_REASONS;
  return SUPPRESSION_REASONS.filter((reason) => reason !== 'unsubscribed');
}
