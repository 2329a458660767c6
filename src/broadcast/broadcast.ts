/** A broadcast: its settings, its states, and what may follow what. */

import { Fault } from '../base/errors.ts';
import { type BroadcastRow, findBroadcast, findNoticeFiles } from '../store/broadcasts.ts';
import type { Queryable } from '../store/database.ts';
import type { SameAddress, Selection } from './audience.ts';
import { type Notice, type NoticeFiles, noticeDigest, readNotice } from './notice.ts';
import type { RingPlan, RingRules } from './rings.ts';
import type { Route } from './route.ts';

export type BroadcastState =
  | 'frozen'
  | 'prepared'
  | 'approved'
  | 'releasing'
  | 'held'
  | 'complete'
  | 'cancelled';

/** What becomes of a recipient whose content was handed over without a reply. */
export type UncertainPolicy = 'resend' | 'hold';

export interface BroadcastSettings {
  readonly selection: Selection;
  readonly sameAddress: SameAddress;
  readonly route: Route;
  readonly rings: RingRules;
  readonly uncertain: UncertainPolicy;
  readonly deadlineHours: number;
  /** Waits before the 2nd, 3rd … attempt of a deferred recipient; the last one repeats. */
  readonly retrySeconds: readonly number[];
  readonly messageIdDomain: string;
  readonly returnPathDomain: string;
}

export interface BroadcastPlan {
  readonly rings: readonly RingPlan[];
}

export interface Broadcast {
  readonly id: string;
  readonly name: string;
  readonly state: BroadcastState;
  readonly createdBy: string;
  readonly preparedBy: readonly string[];
  readonly noticeDigest: Buffer;
  readonly noticeFolder: string;
  readonly settings: BroadcastSettings;
  readonly count: number;
  readonly audienceDigest: Buffer;
  readonly plan: BroadcastPlan;
  readonly manifestRoot: Buffer | null;
  readonly standsBecause: string | null;
  /** Who let it go on without sending again to those whose reply was lost. */
  readonly uncertainAcceptedBy: string | null;
}

export type BroadcastEvent =
  | 'prepared'
  | 'approved'
  | 'released'
  | 'held'
  | 'let-on'
  | 'completed'
  | 'cancelled';

const NEXT: Readonly<Record<BroadcastState, Partial<Record<BroadcastEvent, BroadcastState>>>> = {
  frozen: { prepared: 'prepared', cancelled: 'cancelled' },
  prepared: { approved: 'approved', cancelled: 'cancelled' },
  approved: { released: 'releasing', cancelled: 'cancelled' },
  releasing: { held: 'held', completed: 'complete' },
  held: { 'let-on': 'releasing', cancelled: 'cancelled' },
  complete: {},
  cancelled: {},
};

const REMEDIES: Readonly<Record<BroadcastState, string>> = {
  frozen: 'prepare it: undisclosed broadcast prepare ID',
  prepared: 'a second person approves it: undisclosed broadcast approve ID --as NAME',
  approved: 'release it: undisclosed broadcast release ID',
  releasing: 'it is being released: undisclosed broadcast status ID',
  held: 'see why it is held: undisclosed broadcast status ID',
  complete: 'it is complete: undisclosed broadcast prove ID',
  cancelled: 'it was cancelled; make another',
};

/**
 * The state after an event.
 * @throws Fault `broadcast.wrong-state`, saying what comes first.
 */
export function transition(state: BroadcastState, event: BroadcastEvent): BroadcastState {
  const next = NEXT[state][event];
  if (next === undefined)
    throw new Fault('broadcast.wrong-state', `the broadcast is ${state}: it cannot be ${event}`, {
      remedy: REMEDIES[state],
    });
  return next;
}

function fromRow(row: BroadcastRow): Broadcast {
  return {
    id: row.id,
    name: row.name,
    state: row.state as BroadcastState,
    createdBy: row.created_by,
    preparedBy: row.prepared_by,
    noticeDigest: row.notice_digest,
    noticeFolder: row.notice_folder,
    settings: row.settings as BroadcastSettings,
    count: row.audience_count ?? 0,
    audienceDigest: row.audience_digest ?? Buffer.alloc(0),
    plan: (row.plan ?? { rings: [] }) as BroadcastPlan,
    manifestRoot: row.manifest_root,
    standsBecause: row.stands_because,
    uncertainAcceptedBy: row.uncertain_accepted_by,
  };
}

/** @throws Fault `broadcast.unknown`. */
export async function loadBroadcast(db: Queryable, id: string, lock = false): Promise<Broadcast> {
  const row = await findBroadcast(db, id, lock);
  if (row === null)
    throw new Fault('broadcast.unknown', `there is no broadcast ${id}`, {
      remedy: 'undisclosed broadcast status lists them',
    });
  return fromRow(row);
}

export async function loadNotice(
  db: Queryable,
  broadcast: Broadcast,
): Promise<{ readonly files: NoticeFiles; readonly notice: Notice }> {
  const files = (await findNoticeFiles(db, broadcast.noticeDigest)) as NoticeFiles | null;
  if (files === null || !noticeDigest(files).equals(broadcast.noticeDigest))
    throw new Fault(
      'broadcast.altered',
      'the stored notice is not the one this broadcast was made with',
      {
        where: broadcast.id,
        remedy: 'the database was changed: nothing is prepared or released from it',
      },
    );
  return { files, notice: readNotice(files) };
}
