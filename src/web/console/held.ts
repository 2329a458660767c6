/** What is held: the list, and one call with what was decided of it. Its content is shown by a deed only; see held-content.ts. */

import { Fault } from '../../base/errors.ts';
import { type HeldCall, listHeld } from '../../guard/hold.ts';
import { type DecidedRow, deliveryGroups, latelyDecided } from '../../store/console-views.ts';
import { findKept, type KeptRow } from '../../store/kept.ts';
import { html, type Markup } from './html.ts';
import { ICONS } from './icons.ts';
import { reasonList, sentenceOf } from './verdict-rows.ts';
import { csrfField, type Desk, type LoadedPage, type Page, type Request } from './view.ts';
import { counted, empty, figure, lengthOf, moment } from './words.ts';

const LISTED_MAX = 100;
const DECIDED_MAX = 20;

function heldItem(held: HeldCall, operator: string, now: Date): Markup {
  const { kept, at, gate, identity, reasons, readers, disclosures, campaign, expires, askedBy } =
    held;
  const left = expires === null ? null : new Date(expires).getTime() - now.getTime();
  const asked =
    askedBy !== null &&
    html`<span class="tag tag-asked">${askedBy === operator ? 'you asked: another confirms' : `${askedBy} asked: you can confirm`}</span>`;
  return html`<li class="held" id="${kept}"><a class="held-link" href="/held/${kept}">
<span class="held-who"><b>${identity}</b> <span class="soft">${gate}</span></span>
<span class="held-why">${reasons.map((reason) => html`<span>${sentenceOf(reason)}</span>`)}</span>
<span class="held-many">${moment(at)} · ${counted(readers, 'reader')}${disclosures > 0 && html` · <b>${counted(disclosures, 'disclosure')}</b>`}${campaign !== null && html` · campaign ${campaign}`}</span>
<span class="held-until">${asked} ${left !== null && html`<span class="soft">runs out in ${lengthOf(left)}</span>`}</span></a></li>`;
}

function decidedItem({ id, gate, identity, state, decided_by, decided_at }: DecidedRow): Markup {
  return html`<li><a href="/held/${id}"><b>${identity}</b> <span class="soft">${gate}</span></a>${stateTag(state)}<span class="soft">${decided_by} · ${decided_at !== null && moment(decided_at)}</span></li>`;
}

const STATES: Readonly<Record<KeptRow['state'], string>> = {
  held: 'held',
  sending: 'released, on its way',
  done: 'released, delivered',
  refused: 'refused',
  expired: 'ran out',
};

function stateTag(state: KeptRow['state']): Markup {
  return html`<span class="tag tag-${state}">${STATES[state]}</span>`;
}

async function loadList({ app }: Desk, { session, now }: Request): Promise<LoadedPage> {
  const [held, decided] = await Promise.all([listHeld(app.db), latelyDecided(app.db, DECIDED_MAX)]);
  const list =
    held.length === 0
      ? empty('Nothing is held', 'What a person has to look at before it may leave waits here.')
      : html`<ol class="helds">${held.slice(0, LISTED_MAX).map((each) => heldItem(each, session.operator, now))}</ol>${held.length > LISTED_MAX && html`<p class="soft">and ${figure(held.length - LISTED_MAX)} more, newer ones</p>`}`;
  const lately =
    decided.length === 0
      ? html`<p class="soft">Nothing in the last seven days.</p>`
      : html`<ul class="decided">${decided.map(decidedItem)}</ul>`;
  return {
    title: 'Held',
    isLive: true,
    parts: { html: { 'held-list': list, decided: lately }, plots: {} },
    body: (part) => html`<h1>Held <small>two people release, one refuses</small></h1>
<div class="card"><div class="card-body">${part('held-list')}</div></div>
<section class="card"><div class="card-body"><h2>Lately decided</h2>${part('decided')}</div></section>`,
  };
}

export const heldPage: Page = { path: '/held', tab: 'held', load: loadList };

/** @throws Fault `hold.unknown`. */
export async function keptOf({ app }: Desk, id: string): Promise<KeptRow> {
  const row = await findKept(app.db, id);
  if (row === null || row.kind !== 'hold')
    throw new Fault('hold.unknown', 'there is no such call', {
      where: id,
      remedy: 'the page Held lists what waits',
    });
  return row;
}

async function statusPart({ app }: Desk, row: KeptRow, now: Date): Promise<Markup> {
  const { id, state, asked_by, decided_by, decided_at, expires_at } = row;
  if (state === 'held')
    return html`<dl class="lines">
<div><dt>State</dt><dd>${stateTag(state)}</dd></div>
<div><dt>Runs out in</dt><dd>${expires_at === null ? 'never' : lengthOf(expires_at.getTime() - now.getTime())}</dd></div>
<div><dt>Release asked for by</dt><dd>${asked_by ?? 'nobody yet'}</dd></div></dl>`;
  const groups = await deliveryGroups(app.db, id);
  return html`<dl class="lines"><div><dt>State</dt><dd>${stateTag(state)}</dd></div>
${decided_by !== null && html`<div><dt>Decided by</dt><dd>${decided_by}${decided_at !== null && html` · ${moment(decided_at)}`}</dd></div>`}
${state !== 'refused' && asked_by !== null && html`<div><dt>Asked for by</dt><dd>${asked_by}</dd></div>`}</dl>
<h3>Deliveries</h3><div class="scroll"><table class="table table-sm"><thead><tr><th>State</th><th>Far side</th><th class="num">Deliveries</th><th class="num">Readers</th></tr></thead><tbody>${groups.map(
    (group) =>
      html`<tr><td>${group.state}</td><td>${group.answer ?? ''}${group.upstream_id !== null && html` <code>${group.upstream_id}</code>`}</td><td class="num">${figure(group.deliveries)}</td><td class="num">${figure(group.readers)}</td></tr>`,
  )}</tbody></table></div>`;
}

function reasonField(id: string): Markup {
  return html`<label class="form-label" for="${id}">Why <span class="optional">kept in the ledger; no addresses</span></label><input class="form-control" id="${id}" name="reason" required maxlength="500" autocomplete="off">`;
}

function decisionPart(row: KeptRow, { session }: Request): Markup {
  const { id, campaign, asked_by } = row;
  const mine = asked_by === session.operator;
  const release = mine
    ? html`<p class="notice">You asked for its release. <b>Another operator has to confirm it</b>: send them this page.</p>`
    : html`<button class="btn btn-success" name="deed" value="release">${asked_by === null ? 'Ask for its release' : 'Confirm the release'}</button>`;
  const whole =
    campaign !== null &&
    html`<label class="form-check"><input class="form-check-input" type="checkbox" name="campaign" value="${campaign}"><span class="form-check-label">Everything held of campaign ${campaign}</span></label>`;
  const said =
    asked_by === null
      ? 'You ask, another operator confirms. One is enough to refuse.'
      : mine
        ? 'One is enough to refuse.'
        : `${asked_by} asked for its release. If you confirm, it leaves.`;
  return html`<p class="soft">${said}</p><form method="post" action="/held/${id}/decide" class="stack">${csrfField(session)}
<div>${reasonField('decide-reason')}</div>${whole}${mine && release}
<div class="actions">${!mine && release}<button class="btn btn-outline-danger" name="deed" value="refuse">Refuse</button></div></form>`;
}

async function loadOne(desk: Desk, request: Request): Promise<LoadedPage> {
  const row = await keptOf(desk, request.params.id ?? '');
  const { id, at, gate, identity, reasons, readers, disclosures, campaign, cut, state } = row;
  const held = state === 'held';
  const status = await statusPart(desk, row, request.now);
  const look = html`<form method="post" action="/held/${id}/look" class="look" hx-post="/held/${id}/look" hx-target="#message" hx-swap="innerHTML">${csrfField(request.session)}<div class="grow">${reasonField('look-reason')}</div><button class="btn btn-primary">${ICONS.eye} Show the message</button></form>`;
  return {
    title: `Held call of ${identity}`,
    isLive: true,
    parts: {
      html: {
        'held-status': status,
        // Renewed when the state changes, so that nobody decides what has been decided.
        'held-decision': held
          ? decisionPart(row, request)
          : html`<p class="soft">It has been decided.</p>`,
      },
      plots: {},
    },
    body: (
      part,
    ) => html`<p class="back"><a href="/held">Held</a></p><h1>${identity} <small>by ${gate}, ${moment(at)}</small></h1>
<div class="columns"><div class="column-wide">
<section class="card"><div class="card-body"><h2>Why it waits</h2>${reasonList(reasons)}</div></section>
${held && html`<section class="card"><div class="card-body"><h2>The message</h2><p class="soft">Addresses are masked and what was found is marked. Looking is an entry of the ledger, with your reason.</p>${look}<div id="message" aria-live="polite"></div></div></section>`}
</div><div class="column-narrow">
<section class="card"><div class="card-body"><h2>Decide</h2>${part('held-decision')}</div></section>
<section class="card"><div class="card-body"><h2>What it is</h2><dl class="lines">
<div><dt>Call</dt><dd><code>${id}</code></dd></div>
<div><dt>Readers</dt><dd>${figure(readers)}</dd></div>
<div><dt>Disclosures it would make</dt><dd>${figure(disclosures)}</dd></div>
<div><dt>Would leave</dt><dd>${cut === 'private' ? 'as one copy for each reader' : 'as it came'}</dd></div>
<div><dt>Campaign</dt><dd>${campaign ?? 'none'}</dd></div></dl>${part('held-status')}</div></section>
</div></div>`,
  };
}

export const heldCallPage: Page = { path: '/held/:id', tab: 'held', load: loadOne };
