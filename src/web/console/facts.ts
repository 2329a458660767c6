/** What the pages show, asked of the database for all of them together. */

import type { App } from '../../app.ts';
import { type Account, accountOf } from '../../broadcast/account.ts';
import { FINAL_STATES, STATES } from '../../broadcast/outcome.ts';
import { type ListedFreeze, listFrozen } from '../../guard/freeze.ts';
import { type GuardReport, guardReport } from '../../guard/report.ts';
import { type BroadcastRow, listBroadcasts } from '../../store/broadcasts.ts';
import {
  type HeldSummary,
  heldSummary,
  type MinuteCount,
  newestVerdicts,
  type ReplyGroup,
  replyGroups,
  settledOverTime,
  settledSoFar,
  type VerdictFilter,
  verdictsPerMinute,
} from '../../store/console-views.ts';
import { type HaltRow, listHalts } from '../../store/permits-and-halts.ts';
import type { VerdictRow } from '../../store/verdicts.ts';
import { cached, cachedBy } from './cached.ts';
import { WINDOW_MS } from './finish-time.ts';

export interface Settled {
  readonly settled: number;
  readonly firstAt: Date | null;
  readonly lastAt: Date | null;
  readonly lately: number;
  readonly widthMs: number;
  readonly buckets: readonly { readonly bucket: number; readonly settled: number }[];
}

export interface Facts {
  /** The last 24 hours; null while it is being counted for the first time. */
  report(): Promise<GuardReport | null>;
  /** The last hour. */
  perMinute(): Promise<readonly MinuteCount[]>;
  verdicts(filter: VerdictFilter): Promise<readonly VerdictRow[]>;
  held(): Promise<HeldSummary>;
  broadcasts(): Promise<readonly BroadcastRow[]>;
  /** Null while it is being counted for the first time. */
  account(id: string): Promise<Account | null>;
  settled(id: string): Promise<Settled>;
  replies(id: string): Promise<readonly ReplyGroup[]>;
  halts(): Promise<readonly HaltRow[]>;
  freezes(): Promise<readonly ListedFreeze[]>;
  /** After a deed: what it changed is asked again. */
  forget(): void;
}

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const VERDICTS_AT_ONCE = 100;
/** A page waits that long for what takes the database long over millions of rows; the figure comes with the stream. */
const SLOW_MS = 1500;
const REPLIES_MAX = 8;
const FINAL = FINAL_STATES.map((state) => STATES.indexOf(state));
/** The rate of a broadcast is drawn from at most this many counts. */
const BUCKETS_MAX = 90;
const WIDTHS_MS = [250, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000, 300_000, 900_000];

/** The least width by which a length of time is cut into few enough pieces. */
export function bucketWidth(spanMs: number): number {
  const fits = WIDTHS_MS.find((width) => spanMs / width <= BUCKETS_MAX);
  return fits ?? Math.ceil(spanMs / BUCKETS_MAX / 3_600_000) * 3_600_000;
}

async function settledOf({ db }: App, id: string): Promise<Settled> {
  const row = await settledSoFar(db, id, FINAL, WINDOW_MS);
  const { settled, lately, first_at: firstAt, last_at: lastAt } = row;
  if (firstAt === null || lastAt === null)
    return { settled, lately, firstAt, lastAt, widthMs: 0, buckets: [] };
  const widthMs = bucketWidth(lastAt.getTime() - firstAt.getTime());
  const buckets = await settledOverTime(db, id, FINAL, { firstAt, widthMs });
  return { settled, lately, firstAt, lastAt, widthMs, buckets };
}

function revived(filter: VerdictFilter): VerdictFilter {
  const { before } = filter;
  return before === null
    ? filter
    : { ...filter, before: { id: before.id, at: new Date(before.at) } };
}

export function createFacts(app: App): Facts {
  const { db } = app;
  const report = cached(() => guardReport(db, new Date(Date.now() - DAY_MS)), 5000);
  const perMinute = cached(() => verdictsPerMinute(db, new Date(Date.now() - HOUR_MS)), 2000);
  const verdicts = cachedBy(
    (key) => newestVerdicts(db, revived(JSON.parse(key)), VERDICTS_AT_ONCE),
    500,
  );
  const held = cached(() => heldSummary(db), 500);
  const broadcasts = cached(() => listBroadcasts(db), 500);
  const account = cachedBy((id) => accountOf(db, id), 500);
  const settled = cachedBy((id) => settledOf(app, id), 500);
  const replies = cachedBy(
    (id) => replyGroups(db, id, STATES.indexOf('accepted'), REPLIES_MAX),
    2000,
  );
  const halts = cached(() => listHalts(db), 500);
  const freezes = cached(() => listFrozen(db), 500);
  return {
    report: () => report.soon(SLOW_MS),
    perMinute,
    verdicts: (filter) => verdicts(JSON.stringify(filter)),
    held,
    broadcasts,
    account: (id) => account.soon(id, SLOW_MS),
    settled,
    replies,
    halts,
    freezes,
    forget: () => {
      for (const each of [held, broadcasts, account, halts, freezes]) each.forget();
    },
  };
}
