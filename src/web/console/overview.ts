/** The overview: what was kept from happening, what comes in, what waits, what is being sent, and what stands. */

import type { GuardReport } from '../../guard/report.ts';
import type { HeldSummary, MinuteCount } from '../../store/console-views.ts';
import { sendingCards } from './broadcast-parts.ts';
import { html, type Markup } from './html.ts';
import { verdictItem } from './verdict-rows.ts';
import { type Desk, type LoadedPage, type Page, type PlotData, plot } from './view.ts';
import { COUNTING, counted, empty, figure, lengthOf } from './words.ts';

const NEWEST = 10;
const MINUTES = 60;
const NO_FILTER = { gate: null, identity: null, verdict: null, reason: null, before: null };
const ORDER = ['pass', 'split', 'hold', 'refuse', 'defer'] as const;

/** One number for each of the last 60 minutes and each verdict; a minute without any is a zero. */
export function minutePlot(rows: readonly MinuteCount[], now: Date): PlotData {
  const last = Math.floor(now.getTime() / 60_000);
  const first = last - MINUTES + 1;
  const x = Array.from({ length: MINUTES }, (_, i) => (first + i) * 60);
  const values = new Map<string, number[]>(ORDER.map((kind) => [kind, x.map(() => 0)]));
  for (const { minute, verdict, calls } of rows) {
    const line = values.get(verdict);
    if (line !== undefined && minute >= first && minute <= last) line[minute - first] = calls;
  }
  const series = ORDER.map((kind) => ({
    name: kind,
    colour: `--plot-${kind}`,
    values: values.get(kind) ?? [],
  }));
  return { x, series, unit: 'calls' };
}

function numbersPart(report: GuardReport | null): Markup {
  if (report === null) return COUNTING;
  const { nearMisses, refused, split, held, leaked, calls, passed } = report;
  const leak =
    leaked.calls > 0 &&
    html`<p class="leak"><b>${counted(leaked.calls, 'call')} leaked</b> in the modes shadow and warn, which only watch: ${counted(leaked.disclosures, 'disclosure')}.</p>`;
  return html`<div class="hero">
<div class="hero-main"><p class="hero-figure">${figure(nearMisses.disclosures)}</p><h1>disclosures kept from happening</h1>
<p class="soft">${counted(nearMisses.calls, 'near miss', 'near misses')} in the last 24 hours: calls that would have shown people to each other.</p>${leak}</div>
<dl class="figures">
<div><dt>Calls judged</dt><dd>${figure(calls)}</dd></div>
<div><dt>Passed</dt><dd>${figure(passed)}</dd></div>
<div class="is-split"><dt>Split into private copies</dt><dd>${figure(split.calls)}</dd></div>
<div class="is-hold"><dt>Held for people</dt><dd>${figure(held.calls)}</dd></div>
<div class="is-refuse"><dt>Refused</dt><dd>${figure(refused.calls)}</dd></div>
</dl></div>`;
}

function heldPart({ count, oldest, next_expiry, asked }: HeldSummary, now: Date): Markup {
  if (count === 0) return empty('Nothing waits', 'What a person has to look at appears here.');
  const line = (name: string, value: Markup | string): Markup =>
    html`<div><dt>${name}</dt><dd>${value}</dd></div>`;
  return html`<p class="big"><a href="/held">${counted(count, 'call')}</a> <span class="soft">waiting</span></p>
<dl class="lines">${[
    oldest !== null && line('Oldest', lengthOf(now.getTime() - oldest.getTime())),
    next_expiry !== null &&
      line('Next runs out in', lengthOf(next_expiry.getTime() - now.getTime())),
    line('Wait for a second person', figure(asked)),
  ]}</dl><a class="btn quiet wide" href="/held">Look at what is held</a>`;
}

async function standingPart({ app, facts }: Desk): Promise<Markup> {
  const [halts, freezes] = await Promise.all([facts.halts(), facts.freezes()]);
  const stands = (ok: boolean, name: string, value: Markup | string): Markup =>
    html`<div class="state ${ok ? 'ok' : 'not'}"><dt><i></i>${name}</dt><dd>${value}</dd></div>`;
  const gates = app.gates.map(({ name, address }) =>
    stands(true, name, html`<code>${address}</code>`),
  );
  const halted =
    halts.length === 0 ? 'none' : html`<a href="/halts">${counted(halts.length, 'halt')}</a>`;
  const frozen =
    freezes.length === 0
      ? 'none'
      : html`<a href="/halts#frozen">${counted(freezes.length, 'freeze')}</a>`;
  return html`<dl class="states">
${stands(halts.length === 0, 'Halts in force', halted)}
${stands(freezes.length === 0, 'Frozen', frozen)}
${gates.length === 0 ? stands(false, 'Gates', 'none in the configuration') : gates}
</dl>`;
}

async function load(desk: Desk, now: Date): Promise<LoadedPage> {
  const { facts } = desk;
  const [report, minutes, verdicts, held, sending, standing] = await Promise.all([
    facts.report(),
    facts.perMinute(),
    facts.verdicts(NO_FILTER),
    facts.held(),
    sendingCards(desk, now),
    standingPart(desk),
  ]);
  const data = minutePlot(minutes, now);
  const newest = verdicts.slice(0, NEWEST);
  const list =
    newest.length === 0
      ? empty('No mail yet', 'Verdicts appear here as mail comes to the gates.')
      : html`<ol class="verdicts">${newest.map((row) => verdictItem(row, now))}</ol>`;
  return {
    title: 'Overview',
    isLive: true,
    parts: {
      html: {
        numbers: numbersPart(report),
        newest: list,
        'held-now': heldPart(held, now),
        sending: sending.html,
        standing,
      },
      plots: { 'verdict-plot': data, ...sending.plots },
    },
    body: (part) => html`${part('numbers')}
<section aria-label="What is being sent">${part('sending')}</section>
<div class="columns"><div class="column-wide">
<section class="card"><div class="card-body"><h2>Verdicts per minute <small>the last hour</small></h2>${plot('verdict-plot', data, 'Verdicts per minute in the last hour, stacked by verdict')}</div></section>
<section class="card"><div class="card-body"><h2>As they come <a class="more" href="/verdicts">All verdicts</a></h2>${part('newest')}</div></section>
</div><div class="column-narrow">
<section class="card"><div class="card-body"><h2>Held</h2>${part('held-now')}</div></section>
<section class="card"><div class="card-body"><h2>What stands</h2>${part('standing')}</div></section>
</div></div>`,
  };
}

export const overviewPage: Page = {
  path: '/',
  tab: 'overview',
  load: (desk, { now }) => load(desk, now),
};
