/** Broadcasts: the list, and one with its account, its rate, what the far side says, and what it needs next. */

import type { Account } from '../../broadcast/account.ts';
import { type Broadcast, type BroadcastState, loadBroadcast } from '../../broadcast/broadcast.ts';
import { STATES } from '../../broadcast/outcome.ts';
import type { BroadcastRow } from '../../store/broadcasts.ts';
import { progressBar, ratePlot, sendingOf, sendingPart } from './broadcast-parts.ts';
import type { Settled } from './facts.ts';
import { html, type Markup, NOTHING } from './html.ts';
import { ICONS } from './icons.ts';
import { type Desk, type LoadedPage, type Page, plot, type Request } from './view.ts';
import { COUNTING, empty, figure, moment } from './words.ts';

function stateTag(state: string): Markup {
  return html`<span class="tag tag-${state}">${state}</span>`;
}

function item({ id, name, state, audience_count, created_at, created_by }: BroadcastRow): Markup {
  return html`<tr><td><a href="/broadcasts/${id}"><b>${name}</b></a></td><td>${stateTag(state)}</td><td class="num">${audience_count === null ? 'unknown' : figure(audience_count)}</td><td>${created_by}</td><td>${moment(created_at)}</td></tr>`;
}

async function loadList({ facts }: Desk): Promise<LoadedPage> {
  const rows = [...(await facts.broadcasts())].reverse();
  const list =
    rows.length === 0
      ? empty('No broadcast yet', html`One begins with <code>undisclosed broadcast create</code>.`)
      : html`<div class="scroll"><table class="table"><thead><tr><th>Name</th><th>State</th><th class="num">People</th><th>Made by</th><th>Made</th></tr></thead><tbody>${rows.map(item)}</tbody></table></div>`;
  return {
    title: 'Broadcasts',
    isLive: true,
    parts: { html: { broadcasts: list }, plots: {} },
    body: (part) =>
      html`<h1>Broadcasts</h1><div class="card"><div class="card-body">${part('broadcasts')}</div></div>`,
  };
}

export const broadcastsPage: Page = { path: '/broadcasts', tab: 'broadcasts', load: loadList };

/** What has to happen next, and the command for it: everything that is signed is signed where the key is. */
const NEXT: Readonly<Record<BroadcastState, readonly [text: string, command: string]>> = {
  frozen: ['Prepare every message.', 'prepare ID --as NAME'],
  prepared: ['Approve it. Not by who made, imported or prepared it.', 'approve ID --as NAME'],
  approved: ['Release it.', 'release ID --as NAME'],
  releasing: [
    'It is being sent. Leave single people out who have not been written to:',
    'withdraw ID ADDRESS --reason TEXT --as NAME',
  ],
  held: [
    'See why it is held; then let it go on, or give it up with cancel.',
    'release ID --reason TEXT --as NAME',
  ],
  complete: ['Write its proof.', 'prove ID --out FILE --as NAME'],
  cancelled: ['Nothing. Its proof can be written.', 'prove ID --out FILE --as NAME'],
};

function nextPart({ id, state, standsBecause }: Broadcast): Markup {
  const [text, command] = NEXT[state];
  return html`${standsBecause !== null && html`<p class="notice">${standsBecause}</p>`}<p>${text}</p><pre class="command"><code>undisclosed broadcast ${command.replace('ID', id)}</code></pre>`;
}

const STATE_ORDER = [...STATES, 'waiting'] as const;

function accountPart(account: Account | null): Markup {
  if (account === null) return COUNTING;
  const { states, audience, settled, addsUp, uncertain, hungUpOn } = account;
  const rows = STATE_ORDER.flatMap((state) => {
    const count = states[state] ?? 0;
    return count === 0
      ? []
      : [
          html`<tr><th scope="row">${state}</th><td class="wide-cell">${progressBar(count, audience, state, state)}</td><td class="num">${figure(count)}</td></tr>`,
        ];
  });
  return html`<table class="table table-sm account"><tbody>${rows}</tbody></table>
<p class="soft">${figure(settled)} of ${figure(audience)} in a final state${addsUp && ': it adds up'}.</p>
${uncertain.length > 0 && html`<p class="notice"><b>Uncertain rows</b> (content was handed over, no reply): ${uncertain.slice(0, 40).join(', ')}${uncertain.length > 40 && ' …'}</p>`}
${
  hungUpOn.length > 0 &&
  html`<p class="notice"><b>Hung up on</b>: rows ${hungUpOn
    .slice(0, 20)
    .map(({ position }) => position)
    .join(', ')}${hungUpOn.length > 20 && ' …'}</p>`
}`;
}

function ringsPart({ plan }: Broadcast, ring: number | null): Markup {
  return html`<ol class="rings">${plan.rings.map(
    (each) =>
      html`<li${each.ring === ring && html` aria-current="step"`}><b>Ring ${each.ring}</b><span>${figure(each.count)} people</span></li>`,
  )}</ol>`;
}

const NO_OUTCOMES: readonly BroadcastState[] = ['frozen', 'prepared'];

async function repliesPart({ facts }: Desk, id: string): Promise<Markup> {
  const rows = await facts.replies(id);
  if (rows.length === 0) return html`<p class="soft">No other word than “accepted”.</p>`;
  return html`<div class="scroll"><table class="table table-sm"><tbody>${rows.map(
    ({ state, code, enhanced, reply, count }) =>
      html`<tr><td>${STATES[state] ?? 'unknown'}</td><td><code>${code === 0 ? '' : code} ${enhanced}</code> ${reply}</td><td class="num">${figure(count)}</td></tr>`,
  )}</tbody></table></div>`;
}

const EMPTY: Settled = {
  settled: 0,
  lately: 0,
  firstAt: null,
  lastAt: null,
  widthMs: 0,
  buckets: [],
};

async function loadOne(desk: Desk, { params, now }: Request): Promise<LoadedPage> {
  const { facts, app } = desk;
  const id = params.id ?? '';
  const broadcast = await loadBroadcast(app.db, id);
  const row = (await facts.broadcasts()).find((each) => each.id === id);
  const begun = !NO_OUTCOMES.includes(broadcast.state);
  const releasing = broadcast.state === 'releasing' && row !== undefined;
  const sending = releasing ? await sendingOf(desk, row, now) : null;
  const settled = sending?.settled ?? (begun ? await facts.settled(id) : EMPTY);
  const data = ratePlot(settled, releasing);
  const ring = sending?.progress?.ring ?? null;
  const parts: Record<string, Markup> = {
    state: stateTag(app.brake.stands(id) && releasing ? 'halted' : broadcast.state),
    progress: sending === null ? NOTHING : sendingPart(sending, now),
    next: nextPart(broadcast),
    rings: ringsPart(broadcast, ring),
    account: begun
      ? accountPart(await facts.account(id))
      : html`<p class="soft">${figure(broadcast.count)} people; nobody has been written to.</p>`,
    replies: begun ? await repliesPart(desk, id) : html`<p class="soft">Nothing yet.</p>`,
  };
  return {
    title: broadcast.name,
    isLive: true,
    broadcast: id,
    parts: { html: parts, plots: { 'rate-plot': data } },
    body: (part) => html`<p class="back"><a href="/broadcasts">Broadcasts</a></p>
<h1 class="with-action"><span>${broadcast.name} ${part('state')}</span><a class="btn btn-outline-danger" href="/halt?broadcast=${id}" role="button" data-dialog="halt-dialog" data-scope="broadcast">${ICONS.stop} Halt this broadcast</a></h1>
<p class="soft">${id} · made by ${broadcast.createdBy}${broadcast.preparedBy.length > 0 && html` · prepared by ${broadcast.preparedBy.join(', ')}`}</p>
<section class="card sending"><div class="card-body"><h2>Sending</h2>${part('progress')}${plot('rate-plot', data, 'People settled a second, over time')}</div></section>
<div class="columns"><div class="column-wide">
<section class="card"><div class="card-body"><h2>Account</h2>${part('account')}</div></section>
<section class="card"><div class="card-body"><h2>What the far side said</h2>${part('replies')}</div></section>
</div><div class="column-narrow">
<section class="card"><div class="card-body"><h2>What it needs next</h2>${part('next')}</div></section>
<section class="card"><div class="card-body"><h2>Rings</h2>${part('rings')}</div></section>
</div></div>`,
  };
}

export const broadcastPage: Page = { path: '/broadcasts/:id', tab: 'broadcasts', load: loadOne };
