/** What can be done on the page. Each deed is that of the API, with the operator of the session for its signature. */

import { Fault } from '../../base/errors.ts';
import { type HaltScope, halt, resume } from '../../broadcast/halt.ts';
import { liftFreeze } from '../../guard/freeze.ts';
import { type HoldDeed, type HoldTarget, refuse, release, showHeld } from '../../guard/hold.ts';
import { haltedPage } from './halts.ts';
import { heldContent } from './held-content.ts';
import type { Markup } from './html.ts';
import type { Desk } from './view.ts';

export interface DeedRequest {
  readonly operator: string;
  readonly params: Readonly<Record<string, string>>;
  readonly fields: Readonly<Record<string, string>>;
}

/** Where to go on, or what to show; a shown answer may be put into the page as it is. */
export type DeedAnswer =
  | { readonly kind: 'go'; readonly to: string }
  | { readonly kind: 'show'; readonly title: string; readonly body: Markup };

export type Deed = (desk: Desk, request: DeedRequest) => Promise<DeedAnswer>;

function holdDeed({ operator, fields }: DeedRequest): HoldDeed {
  return { operator, reason: fields.reason ?? '', now: new Date() };
}

const look: Deed = async ({ app }, request) => {
  const shown = await showHeld(app.desk, request.params.id ?? '', holdDeed(request));
  await app.sequencer.flush();
  return { kind: 'show', title: 'The message', body: heldContent(shown) };
};

function targetOf({ params, fields }: DeedRequest): HoldTarget {
  const { campaign } = fields;
  if (campaign === undefined) return { id: params.id ?? '' };
  if (/^\d{1,15}$/.test(campaign)) return { campaign: Number(campaign) };
  throw new Fault('hold.unknown', 'a campaign is named by its number');
}

const decide: Deed = async ({ app }, request) => {
  const { deed } = request.fields;
  if (deed !== 'release' && deed !== 'refuse')
    throw new Fault('console.malformed', 'release it, or refuse it?');
  const target = targetOf(request);
  if (deed === 'release') await release(app.db, target, holdDeed(request));
  else await refuse(app.db, target, holdDeed(request));
  await app.sequencer.flush();
  return { kind: 'go', to: `/held/${encodeURIComponent(request.params.id ?? '')}` };
};

const isScope = (text: string | undefined): text is HaltScope =>
  text === 'bulk' || text === 'everything' || text === 'broadcast';

/** The one deed that needs no database. */
const stop: Deed = async ({ app }, { operator, fields }) => {
  const { scope = 'bulk', broadcast } = fields;
  if (!isScope(scope) || (scope === 'broadcast' && broadcast === undefined))
    throw new Fault('console.malformed', 'what is to stop: bulk, everything, or which broadcast?');
  const reason = fields.reason?.trim() ?? '';
  const report = await halt(app.db, app.config.dataDir, app.sender, app.brake, {
    ...{ scope, operator },
    broadcast: scope === 'broadcast' ? (broadcast ?? null) : null,
    reason: reason === '' ? 'not given' : reason,
  });
  void app.sequencer.flush().catch(() => {});
  return { kind: 'show', title: 'Halted', body: haltedPage(report) };
};

const goOn: Deed = async ({ app }, { operator, fields }) => {
  const report = await resume(app.db, app.brake, fields.halt ?? '', operator);
  await app.sequencer.flush();
  if (report.kind === 'lifted') await app.releases.takeUp();
  return { kind: 'go', to: '/halts' };
};

const lift: Deed = async ({ app }, { operator, params, fields }) => {
  const { id = '' } = params;
  await liftFreeze(app.db, { freeze: id, reason: fields.reason ?? '', by: operator });
  await app.sequencer.flush();
  return { kind: 'go', to: '/halts#frozen' };
};

export const HALT_PATH = '/halt';

/** By path. */
export const DEEDS: Readonly<Record<string, Deed>> = {
  [HALT_PATH]: stop,
  '/resume': goOn,
  '/held/:id/look': look,
  '/held/:id/decide': decide,
  '/freezes/:id/lift': lift,
};
