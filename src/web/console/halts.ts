/** Halts in force and what is frozen: two people resume, one named person lifts. */

import type { HaltReport } from '../../broadcast/halt.ts';
import type { ListedFreeze } from '../../guard/freeze.ts';
import type { HaltRow } from '../../store/permits-and-halts.ts';
import { html, type Markup } from './html.ts';
import type { Session } from './session.ts';
import { csrfField, type Desk, type LoadedPage, type Page, type Request } from './view.ts';
import { empty, moment } from './words.ts';

const SCOPES: Readonly<Record<HaltRow['scope'], string>> = {
  bulk: 'All bulk mail',
  everything: 'Everything',
  broadcast: 'One broadcast',
};

function haltItem(
  { id, scope, broadcast_id, by, reason, at, resume_by }: HaltRow,
  session: Session,
): Markup {
  const mine = resume_by.includes(session.operator);
  const action = mine
    ? html`<p class="notice">You would resume. <b>Another operator has to say so too.</b></p>`
    : html`<form method="post" action="/resume">${csrfField(session)}<input type="hidden" name="halt" value="${id}"><button class="btn btn-outline-primary">${resume_by.length === 0 ? 'Ask to resume' : `Resume, as ${resume_by.join(', ')} asks`}</button></form>`;
  return html`<li class="stop" id="${id}"><div><b>${SCOPES[scope]}</b>${broadcast_id !== null && html` <a href="/broadcasts/${broadcast_id}"><code>${broadcast_id}</code></a>`}<p class="soft">${by}, ${moment(at)}: ${reason}</p></div>${action}</li>`;
}

function freezeItem(
  { freeze, identity, campaign, reason, by, at }: ListedFreeze,
  session: Session,
): Markup {
  return html`<li class="stop" id="${freeze}"><div><b>${identity}</b> <span class="soft">${campaign === null ? 'everything' : `campaign ${campaign}`}</span><p class="soft">${by}, ${moment(at)}: ${reason}</p></div>
<form method="post" action="/freezes/${freeze}/lift" class="lift">${csrfField(session)}<label class="form-label" for="lift-${freeze}">Why it may go on <span class="optional">kept in the ledger</span></label><div class="look"><input class="form-control grow" id="lift-${freeze}" name="reason" required maxlength="500" autocomplete="off"><button class="btn btn-outline-primary">Lift</button></div></form></li>`;
}

async function load({ facts }: Desk, { session }: Request): Promise<LoadedPage> {
  const [halts, freezes] = await Promise.all([facts.halts(), facts.freezes()]);
  const halted =
    halts.length === 0
      ? empty('No halt is in force', 'Halt is at the top of every page: one person, one action.')
      : html`<ul class="stops">${halts.map((row) => haltItem(row, session))}</ul>`;
  const frozen =
    freezes.length === 0
      ? empty('Nothing is frozen', 'An exposure freezes its campaign by itself.')
      : html`<ul class="stops">${freezes.map((row) => freezeItem(row, session))}</ul>`;
  return {
    title: 'Halts',
    isLive: true,
    parts: { html: { halts: halted, freezes: frozen }, plots: {} },
    body: (part) => html`<h1>Halts</h1>
<section class="card"><div class="card-body"><h2>In force <small>two people resume</small></h2>${part('halts')}</div></section>
<section class="card" id="frozen"><div class="card-body"><h2>Frozen <small>one named person lifts</small></h2>${part('freezes')}</div></section>`,
  };
}

export const haltsPage: Page = { path: '/halts', tab: 'halts', load };

/** What a halt has come to; needs no database. */
export function haltedPage({ halt, recorded, milliseconds }: HaltReport): Markup {
  return html`<div class="narrow card"><div class="card-body"><h1>Halted</h1>
<p>In ${Math.ceil(milliseconds)} ms: no message content is handed to any socket in its scope any more.</p>
${!recorded && html`<p class="notice"><b>The database does not answer.</b> The halt is in force by the journal in the data directory, and is entered in the ledger as soon as the database takes it.</p>`}
<dl class="lines"><div><dt>Halt</dt><dd><code>${halt}</code></dd></div></dl>
<div class="actions"><a class="btn btn-primary" href="/halts">Halts in force</a><a class="btn quiet" href="/">Overview</a></div></div></div>`;
}
