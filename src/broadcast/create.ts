/** Making a broadcast: the notice is kept, the audience frozen, the rings planned, in one transaction. */

import { Fault } from '../base/errors.ts';
import { newId } from '../base/id.ts';
import type { Keyring } from '../keys/keyring.ts';
import { appendEntry } from '../ledger/ledger.ts';
import { type AudienceCount, countAudience } from '../store/audiences.ts';
import { insertBroadcast, insertNotice, setAudience } from '../store/broadcasts.ts';
import type { Database } from '../store/database.ts';
import { freezeAudience } from './audience.ts';
import type { BroadcastSettings } from './broadcast.ts';
import { checkMessages } from './check-messages.ts';
import { compileNotice } from './compile.ts';
import { type NoticeFiles, readNotice } from './notice.ts';
import type { RingPlan } from './rings.ts';

export interface CreateRequest {
  readonly name: string;
  readonly operator: string;
  readonly files: NoticeFiles;
  readonly folder: string;
  readonly settings: BroadcastSettings;
  progress(done: number): void;
}

export interface CreateReport {
  readonly broadcast: string;
  readonly count: number;
  readonly counts: readonly AudienceCount[];
  readonly rings: readonly RingPlan[];
}

function planRings(counts: readonly AudienceCount[], refusedShareMax: number): RingPlan[] {
  const rings = new Map<number, { first: number; count: number }>();
  for (const { ring, first, count } of counts) {
    const known = rings.get(ring);
    rings.set(ring, {
      first: Math.min(known?.first ?? first, first),
      count: (known?.count ?? 0) + count,
    });
  }
  return [...rings.entries()]
    .sort(([a], [b]) => a - b)
    .map(([ring, { first, count }]) => ({ ring, first, count, refusedShareMax }));
}

const isCount = (value: unknown, least: number): boolean =>
  typeof value === 'number' && Number.isFinite(value) && value >= least;

/** What the plan is made of, said by the name of its option. */
function checkSettings({ rings, deadlineHours, retrySeconds }: BroadcastSettings): void {
  const bad = (where: string, message: string, remedy: string): Fault =>
    new Fault('broadcast.bad-setting', message, { where, remedy });
  const shares = rings.perThousand;
  if (shares.some((share) => !isCount(share, 1) || !Number.isInteger(share)))
    throw bad('--rings', 'each share is a whole number of thousandths', 'write such as 10,100');
  if (shares.reduce((sum, share) => sum + share, 0) > 1000)
    throw bad('--rings', 'the shares are more than 1000 thousandths', 'write such as 10,100');
  if (!isCount(deadlineHours, 0) || deadlineHours === 0)
    throw bad('--deadline-hours', 'it is a number of hours above 0', 'write such as 24');
  if (retrySeconds.length === 0 || retrySeconds.some((seconds) => !isCount(seconds, 0.001)))
    throw bad('--retry-seconds', 'it is a list of seconds above 0', 'write such as 60,300,900');
}

/** Compiles the notice with the very keys of the broadcast: what is wrong with it is said now, with file and line. */
function checkNotice(request: CreateRequest, keyring: Keyring, id: string): void {
  const notice = readNotice(request.files);
  checkMessages(notice, request.files);
  const tokenKey = keyring.token.at(-1)?.key;
  if (tokenKey === undefined) throw new Fault('keys.malformed', 'the keyring holds no token key');
  const { messageIdDomain, returnPathDomain } = request.settings;
  const compiled = compileNotice(notice, {
    broadcast: id,
    messageIdDomain,
    returnPathDomain,
    tokenKey,
  });
  if (keyring.dkim(compiled.fromDomain) === null)
    throw new Fault('keys.no-dkim', `the keyring holds no DKIM key for ${compiled.fromDomain}`, {
      where: 'notice.json from.address',
      remedy: `undisclosed keys rotate dkim --domain ${compiled.fromDomain}`,
    });
}

/** @throws Fault of the notice, the audience or the keyring; nothing is kept then. */
export async function createBroadcast(
  db: Database,
  keyring: Keyring,
  request: CreateRequest,
  now: Date,
): Promise<CreateReport> {
  const id = newId('b');
  checkSettings(request.settings);
  checkNotice(request, keyring, id);
  const notice = readNotice(request.files);
  const { settings } = request;
  return db.transaction(async (tx) => {
    await insertNotice(tx, notice.digest, request.files);
    await insertBroadcast(tx, {
      id,
      name: request.name,
      created_by: request.operator,
      notice_digest: notice.digest,
      notice_folder: request.folder,
      state: 'frozen',
      settings,
    });
    const { count, digest } = await freezeAudience(db, tx, keyring, {
      broadcast: id,
      selection: settings.selection,
      sameAddress: settings.sameAddress,
      languages: notice.settings.languages,
      defaultLanguage: notice.settings.defaultLanguage,
      ringsPerThousand: settings.rings.perThousand,
      progress: request.progress,
    });
    const counts = await countAudience(tx, id);
    const rings = planRings(counts, settings.rings.refusedShareMax);
    await setAudience(tx, id, { count, digest, plan: { rings } });
    await appendEntry(tx, {
      kind: 'broadcast.frozen',
      at: now.toISOString(),
      by: request.operator,
      subject: id,
      data: {
        broadcast: id,
        name: request.name,
        notice: notice.digest.toString('base64'),
        count,
        audience: digest.toString('base64'),
      },
    });
    return { broadcast: id, count, counts, rings };
  });
}
