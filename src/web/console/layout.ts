/** The frame of every page: its head, the navigation, Halt, and what is in force. */

import type { HaltScope } from '../../broadcast/halt.ts';
import type { HeldSummary } from '../../store/console-views.ts';
import type { HaltRow } from '../../store/permits-and-halts.ts';
import { type Assets, STYLES } from './assets.ts';
import { type Content, html, type Markup, NOTHING } from './html.ts';
import { ICONS } from './icons.ts';
import type { Session } from './session.ts';
import { csrfField, type Page } from './view.ts';
import { counted, figure } from './words.ts';

/** htmx evaluates nothing, keeps no copies of pages, and writes no style of its own. */
const HTMX = JSON.stringify({
  includeIndicatorCSS: false,
  history: false,
  historyCache: { disable: true },
  extensions: 'sse',
  defaultSwap: 'innerMorph',
});

const TABS: readonly (readonly [tab: Page['tab'], name: string, path: string])[] = [
  ['overview', 'Overview', '/'],
  ['verdicts', 'Verdicts', '/verdicts'],
  ['held', 'Held', '/held'],
  ['broadcasts', 'Broadcasts', '/broadcasts'],
  ['halts', 'Halts', '/halts'],
];

const SCOPES: Readonly<Record<HaltScope, string>> = {
  bulk: 'all bulk mail',
  everything: 'everything',
  broadcast: 'one broadcast',
};

/** What is known of the whole system, on every page; null where the database does not answer. */
export interface Standing {
  readonly held: HeldSummary;
  readonly halts: readonly HaltRow[];
  readonly freezes: number;
}

/**
 * htmx itself is not deferred: a deferred one looks over the page in its next task, before its extension is there if that comes a
 * little later, and the page then never renews itself. This way it waits for DOMContentLoaded, and that for every deferred script.
 */
function head(assets: Assets, title: string): Markup {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="htmx-config" content="${HTMX}">
<title>${title} · Undisclosed</title>
<link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24'%3E%3Crect x='2' y='4' width='20' height='16' rx='4' fill='%230f766e'/%3E%3Cpath d='m4 7 8 6 8-6' fill='none' stroke='%23fff' stroke-width='2'/%3E%3C/svg%3E">
${STYLES.map(
  (name) => html`<link rel="stylesheet" href="${assets.path(name)}">
`,
)}<script src="${assets.path('theme.js')}"></script>
<script src="${assets.path('htmx.js')}"></script>
<script defer src="${assets.path('htmx-sse.js')}"></script>
<script defer src="${assets.path('uplot.js')}"></script>
<script defer src="${assets.path('plots.js')}"></script>
<script defer src="${assets.path('console.js')}"></script>
</head>`;
}

const themeButton: Markup = html`<button type="button" class="btn btn-icon quiet" id="theme" aria-label="Dark or light" title="Dark or light">${ICONS.theme}</button>`;

/** A page without a session: signing in, and what cannot be shown. */
export function barePage(assets: Assets, title: string, body: Content): Markup {
  return html`${head(assets, title)}
<body class="bare">
<header class="bare-top"><span class="brand">${ICONS.mark}<span>Undisclosed</span></span>${themeButton}</header>
<main id="content" class="bare-card card"><div class="card-body">${body}</div></main>
</body>
</html>`;
}

function haltForm(session: Session, broadcast: string | undefined): Markup {
  const choice = (value: HaltScope, title: string, note: string): Markup =>
    html`<label class="choice"><input class="form-check-input" type="radio" name="scope" value="${value}"${value === 'bulk' && html` checked`}><span><b>${title}</b><small>${note}</small></span></label>`;
  return html`<form method="post" action="/halt" class="stack">
${csrfField(session)}
<fieldset class="choices"><legend class="form-label">What stops</legend>
${choice('bulk', 'All bulk mail', 'Every broadcast, and what callers send under the policy bulk.')}
${choice('everything', 'Everything', 'All of it: receipts and people’s own mail at every gate as well.')}
${broadcast !== undefined && choice('broadcast', 'This broadcast', 'Nothing but the one on this page.')}
</fieldset>
${broadcast !== undefined && html`<input type="hidden" name="broadcast" value="${broadcast}">`}
<div><label class="form-label" for="halt-reason">Why <span class="optional">optional; kept in the ledger</span></label>
<input class="form-control" id="halt-reason" name="reason" maxlength="500" autocomplete="off"></div>
<div class="actions"><button class="btn btn-danger" autofocus>${ICONS.stop} Halt now</button>
<a class="btn quiet" href="/" data-close>Go on sending</a></div>
</form>`;
}

/** The question alone, for a browser without scripts. */
export function haltPage(session: Session, broadcast: string | undefined): Markup {
  return html`<div class="narrow card"><div class="card-body"><h1>Stop mail from leaving?</h1>
<p class="soft">It is at once, and one person is enough. Two are needed to go on.</p>${haltForm(session, broadcast)}</div></div>`;
}

function haltDialog(session: Session, broadcast: string | undefined): Markup {
  return html`<dialog id="halt-dialog" class="dialog" aria-labelledby="halt-title"><h2 id="halt-title">Stop mail from leaving?</h2>
<p class="soft">It is at once, and one person is enough. Two are needed to go on.</p>${haltForm(session, broadcast)}</dialog>`;
}

/** What stands still, said above everything else. */
export function bannerPart(standing: Standing | null, halted: boolean): Markup {
  if (standing === null)
    return html`<div class="banner bad" role="alert"><b>The database does not answer.</b> What is shown may be old; nothing is sent that cannot be recorded. Halt works.</div>`;
  const { halts, freezes } = standing;
  const [first] = halts;
  const halt =
    first === undefined
      ? halted &&
        html`<div class="banner bad" role="status"><b>Halted.</b> It is being entered in the ledger.</div>`
      : html`<div class="banner bad" role="status"><b>Halted: ${SCOPES[first.scope]}</b>${halts.length > 1 && ` and ${counted(halts.length - 1, 'more halt')}`} by ${first.by}. <a href="/halts">Resume takes two people</a></div>`;
  const frozen =
    freezes > 0 &&
    html`<div class="banner warn" role="status"><b>${counted(freezes, 'freeze')} in force.</b> <a href="/halts#frozen">See what waits</a></div>`;
  return html`${halt}${frozen}`;
}

export function heldBadgePart(standing: Standing | null): Markup {
  const count = standing?.held.count ?? 0;
  return count === 0
    ? NOTHING
    : html`<span class="count" aria-label="${counted(count, 'held call')}">${figure(count)}</span>`;
}

export interface Frame {
  readonly assets: Assets;
  readonly session: Session;
  readonly tab: Page['tab'] | null;
  readonly title: string;
  /** Where the page's parts are streamed from; null for a page that stays as it is. */
  readonly live: string | null;
  readonly standing: Standing | null;
  readonly halted: boolean;
  readonly broadcast: string | undefined;
  /** False on the page that asks the same. */
  readonly dialog: boolean;
}

function topBar({ session, tab, standing }: Frame): Markup {
  const tabs = TABS.map(
    ([name, title, path]) =>
      html`<a class="tab" href="${path}"${name === tab && html` aria-current="page"`}>${ICONS[name]}<span>${title}</span>${name === 'held' && html`<span id="held-count">${heldBadgePart(standing)}</span>`}</a>`,
  );
  return html`<header class="top">
<a class="brand" href="/">${ICONS.mark}<span>Undisclosed</span></a>
<nav class="tabs" aria-label="Pages">${tabs}</nav>
<div class="top-end">
<span class="who" title="Signed in">${session.operator}</span>
${themeButton}
<form method="post" action="/sign-out">${csrfField(session)}<button class="btn btn-icon quiet" aria-label="Sign out" title="Sign out">${ICONS.out}</button></form>
<a class="btn btn-danger halt" href="/halt" role="button" data-dialog="halt-dialog">${ICONS.stop} Halt</a>
</div>
</header>`;
}

export function framedPage(frame: Frame, body: Content): Markup {
  const { assets, session, title, live, standing, halted, broadcast, dialog } = frame;
  return html`${head(assets, title)}
<body>
<div class="skips"><a href="/halt" role="button" data-dialog="halt-dialog">Halt…</a><a href="#content">To the content</a></div>
${topBar(frame)}
<div id="banner" class="banners">${bannerPart(standing, halted)}</div>
<main id="content" tabindex="-1">${body}</main>
<footer class="foot"><span>Times are UTC, as in the ledger.</span>${live !== null && html`<span id="live" class="live" hx-sse:connect="${live}" hx-trigger="load, again" hx-swap="none" hx-config="sse.pauseOnBackground:true"><i></i><span>Live</span></span>`}</footer>
${dialog && haltDialog(session, broadcast)}
</body>
</html>`;
}
