/**
 * What is held: listed, looked at, released by two people or refused by one, and given up loudly when nobody decides.
 *
 * Invariant: nothing held leaves without two different operators, and looking at it is an entry of its own before anything is
 * shown.
 */

import { Fault } from '../base/errors.ts';
import { appendEntry } from '../ledger/ledger.ts';
import type { Database, Transaction } from '../store/database.ts';
import {
  expireHeld,
  findKept,
  type KeptRow,
  listHeld as listHeldRows,
  lockKept,
  notifyKept,
  setAsked,
  setDecided,
} from '../store/kept.ts';
import { type ShownContent, shownContent } from './hold/shown-content.ts';
import type { JudgeSettings, Submission } from './judge.ts';

export interface HeldCall {
  readonly kept: string;
  /** ISO 8601. */
  readonly at: string;
  readonly gate: string;
  readonly identity: string;
  readonly reasons: readonly string[];
  readonly campaign: number | null;
  readonly readers: number;
  readonly disclosures: number;
  /** How it would leave: one copy for each reader, or as it came. */
  readonly cut: 'private' | 'whole';
  readonly expires: string | null;
  /** Who has asked for its release. */
  readonly askedBy: string | null;
}

/** One call, or everything that is held of a campaign. */
export type HoldTarget = { readonly id: string } | { readonly campaign: number };

export interface HoldDeed {
  readonly operator: string;
  /** Kept in the ledger. */
  readonly reason: string;
  readonly now: Date;
}

export interface ReleaseReport {
  /** Ids that wait for a second operator, asked for just now. */
  readonly asked: readonly string[];
  /** Ids on their way. */
  readonly released: readonly string[];
}

export interface LookDesk {
  readonly db: Database;
  /** The bytes of a kept call. */
  readonly openKept: (id: string) => Promise<Buffer>;
  /** The messages in what a gate kept, as their readers would get them; null where that gate cannot say. */
  readonly copiesOf: (gate: string, kept: Buffer) => readonly Submission[] | null;
  readonly settingsOf: (identity: string) => JudgeSettings;
}

export interface ShownCall extends HeldCall {
  readonly content: ShownContent;
}

function heldCall(row: KeptRow): HeldCall {
  const { id, at, gate, identity, reasons, campaign, readers, disclosures, cut } = row;
  return {
    ...{ kept: id, at: at.toISOString(), gate, identity, reasons, campaign, readers },
    ...{ disclosures, cut, expires: row.expires_at?.toISOString() ?? null },
    askedBy: row.asked_by,
  };
}

/** Oldest first. */
export async function listHeld(db: Database): Promise<HeldCall[]> {
  return (await listHeldRows(db)).map(heldCall);
}

function needReason({ reason }: HoldDeed): void {
  if (reason.trim() === '')
    throw new Fault('hold.no-reason', 'a reason is wanted: it is kept in the ledger', {
      remedy: 'say why: --reason TEXT',
    });
}

/**
 * The message with its findings marked and its addresses masked; who looked, and why, is entered first.
 * @throws Fault `hold.no-reason`, `hold.unknown`, `hold.not-held`.
 */
export async function showHeld(desk: LookDesk, id: string, deed: HoldDeed): Promise<ShownCall> {
  needReason(deed);
  const row = await desk.db.transaction(async (tx) => {
    const held = stillHeld(await findKept(tx, id), id);
    await enter(tx, 'kept.looked', deed, [id]);
    return held;
  });
  const bytes = await desk.openKept(id);
  const copies = desk.copiesOf(row.gate, bytes);
  const content = shownContent(copies ?? [], desk.settingsOf(row.identity));
  return { ...heldCall(row), content };
}

function stillHeld(row: KeptRow | null | undefined, id: string): KeptRow {
  if (row === null || row === undefined)
    throw new Fault('hold.unknown', 'there is no such call', {
      where: id,
      remedy: 'undisclosed hold list',
    });
  if (row.state !== 'held')
    throw new Fault('hold.not-held', `the call is ${row.state}, no longer held`, { where: id });
  return row;
}

/** Held calls of a target, locked. @throws Fault `hold.unknown`, `hold.not-held`. */
async function lockHeld(tx: Transaction, target: HoldTarget): Promise<readonly KeptRow[]> {
  const rows = await lockKept(tx, target);
  if ('id' in target) return [stillHeld(rows[0], target.id)];
  if (rows.length === 0)
    throw new Fault('hold.unknown', 'nothing is held of this campaign', {
      where: `campaign ${target.campaign}`,
      remedy: 'undisclosed hold list',
    });
  return rows;
}

function enter(
  tx: Transaction,
  kind: string,
  deed: HoldDeed,
  ids: readonly string[],
): Promise<void> {
  const [subject = ''] = ids;
  const { operator, reason, now } = deed;
  const data = ids.length === 1 ? { reason } : { reason, calls: [...ids] };
  return appendEntry(tx, { kind, at: now.toISOString(), by: operator, subject, data });
}

async function ask(tx: Transaction, ids: readonly string[], deed: HoldDeed): Promise<void> {
  if (ids.length === 0) return;
  await setAsked(tx, ids, deed.operator);
  await enter(tx, 'kept.release-asked', deed, ids);
}

async function letGo(tx: Transaction, ids: readonly string[], deed: HoldDeed): Promise<void> {
  if (ids.length === 0) return;
  await setDecided(tx, ids, 'sending', deed.operator, deed.now);
  await enter(tx, 'kept.released', deed, ids);
  await notifyKept(tx, 'deliver');
}

const idsOf = (rows: readonly KeptRow[]): string[] => rows.map(({ id }) => id);

/**
 * The first of two: asks for the release of what nobody has asked for yet.
 * @throws Fault `hold.asked-already` where there is nothing of that kind.
 */
export function askRelease(db: Database, target: HoldTarget, deed: HoldDeed): Promise<string[]> {
  needReason(deed);
  return db.transaction(async (tx) => {
    const ids = idsOf((await lockHeld(tx, target)).filter((row) => row.asked_by === null));
    if (ids.length === 0)
      throw new Fault('hold.asked-already', 'the release has been asked for already', {
        remedy: 'another operator confirms it',
      });
    await ask(tx, ids, deed);
    return ids;
  });
}

/**
 * The second of two: what another operator asked for goes on its way.
 * @throws Fault `hold.same-operator`, `hold.not-asked`.
 */
export function confirmRelease(
  db: Database,
  target: HoldTarget,
  deed: HoldDeed,
): Promise<string[]> {
  needReason(deed);
  return db.transaction(async (tx) => {
    const rows = (await lockHeld(tx, target)).filter((row) => row.asked_by !== null);
    if (rows.length === 0)
      throw new Fault('hold.not-asked', 'nobody has asked for this release', {
        remedy: 'one operator asks, another confirms',
      });
    const ids = idsOf(rows.filter((row) => row.asked_by !== deed.operator));
    if (ids.length === 0) throw sameOperator();
    await letGo(tx, ids, deed);
    return ids;
  });
}

function sameOperator(): Fault {
  return new Fault('hold.same-operator', 'who asked for a release cannot confirm it', {
    remedy: 'another operator runs the same command',
  });
}

/**
 * Whichever of the two steps is next: confirms what another operator has asked for, asks for what nobody has.
 * @throws Fault `hold.same-operator` where only the same operator's own asking is left.
 */
export function release(db: Database, target: HoldTarget, deed: HoldDeed): Promise<ReleaseReport> {
  needReason(deed);
  return db.transaction(async (tx) => {
    const rows = await lockHeld(tx, target);
    const asked = idsOf(rows.filter((row) => row.asked_by === null));
    const released = idsOf(
      rows.filter((row) => row.asked_by !== null && row.asked_by !== deed.operator),
    );
    if (asked.length + released.length === 0) throw sameOperator();
    await letGo(tx, released, deed);
    await ask(tx, asked, deed);
    return { asked, released };
  });
}

/** One operator is enough: nothing of it leaves, and its sender is told. The ids. */
export function refuse(db: Database, target: HoldTarget, deed: HoldDeed): Promise<string[]> {
  needReason(deed);
  return db.transaction(async (tx) => {
    const ids = idsOf(await lockHeld(tx, target));
    await setDecided(tx, ids, 'refused', deed.operator, deed.now);
    await enter(tx, 'kept.refused', deed, ids);
    await notifyKept(tx, 'tell');
    return ids;
  });
}

/** Gives up what nobody decided in time, with an alarm for each; how many. */
export async function expireHolds(
  db: Database,
  now: Date,
  log: (line: string) => void,
): Promise<number> {
  const rows = await db.transaction(async (tx) => {
    const expired = await expireHeld(tx, now);
    for (const { id: subject, gate, identity, reasons, readers, asked_by: askedBy } of expired)
      await appendEntry(tx, {
        kind: 'kept.expired',
        at: now.toISOString(),
        by: 'system',
        subject,
        data: { gate, identity, reasons: [...reasons], readers, askedBy },
      });
    return expired;
  });
  for (const { id: kept, gate, identity, reasons, readers } of rows)
    log(`alarm hold.expired ${JSON.stringify({ kept, gate, identity, reasons, readers })}`);
  return rows.length;
}
