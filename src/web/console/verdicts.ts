/** All verdicts, newest first: by gate, identity, verdict and reason, a hundred at a time. */

import { REASON_IDS } from '../../policy/reasons.ts';
import type { VerdictFilter } from '../../store/console-views.ts';
import type { VerdictRow } from '../../store/verdicts.ts';
import { html, type Markup, NOTHING } from './html.ts';
import { verdictItem } from './verdict-rows.ts';
import type { Desk, LoadedPage, Page, Request } from './view.ts';
import { empty } from './words.ts';

const FULL = 100;
const KINDS = ['pass', 'split', 'hold', 'refuse', 'defer'];

/** What a query asks for; what it does not say, or says wrongly, is not asked for. */
export function filterOf(query: Readonly<Record<string, string>>): VerdictFilter {
  const text = (name: string): string | null => {
    const value = query[name]?.trim() ?? '';
    return value === '' ? null : value.slice(0, 200);
  };
  const [, moment, id] = /^(\d{13})-([\w-]{1,40})$/.exec(query.before ?? '') ?? [];
  return {
    gate: text('gate'),
    identity: text('identity'),
    verdict: text('verdict'),
    reason: text('reason'),
    before: moment === undefined || id === undefined ? null : { at: new Date(Number(moment)), id },
  };
}

function queryOf(filter: VerdictFilter, last: VerdictRow | null): string {
  const query = new URLSearchParams();
  for (const name of ['gate', 'identity', 'verdict', 'reason'] as const) {
    const value = filter[name];
    if (value !== null) query.set(name, value);
  }
  if (last !== null) query.set('before', `${last.at.getTime()}-${last.id}`);
  return query.size === 0 ? '' : `?${query}`;
}

function select(
  name: string,
  title: string,
  values: readonly string[],
  chosen: string | null,
): Markup {
  const known = chosen === null || values.includes(chosen) ? values : [...values, chosen];
  return html`<div><label class="form-label" for="f-${name}">${title}</label><select class="form-select" id="f-${name}" name="${name}"><option value="">all</option>${known.map(
    (value) => html`<option${value === chosen && html` selected`}>${value}</option>`,
  )}</select></div>`;
}

function filterForm(
  filter: VerdictFilter,
  gates: readonly string[],
  identities: readonly string[],
): Markup {
  return html`<form class="filter" method="get" action="/verdicts" role="search" aria-label="Verdicts">
${select('verdict', 'Verdict', KINDS, filter.verdict)}
${select('gate', 'Gate', gates, filter.gate)}
${select('identity', 'Identity', identities, filter.identity)}
${select('reason', 'Reason', REASON_IDS, filter.reason)}
<button class="btn btn-primary">Show</button>
</form>`;
}

function list(rows: readonly VerdictRow[], filter: VerdictFilter, now: Date): Markup {
  if (rows.length === 0)
    return empty('No verdicts', 'Nothing that came to the gates is like this.');
  const last = rows.at(-1);
  const older =
    rows.length < FULL || last === undefined
      ? NOTHING
      : html`<p class="older"><a class="btn quiet" href="/verdicts${queryOf(filter, last)}">Older</a></p>`;
  return html`<ol class="verdicts">${rows.map((row) => verdictItem(row, now))}</ol>${older}`;
}

async function load({ facts, app }: Desk, { query, now }: Request): Promise<LoadedPage> {
  const filter = filterOf(query);
  const [rows, report] = await Promise.all([facts.verdicts(filter), facts.report()]);
  const seen = <K extends 'gate' | 'identity'>(name: K): string[] =>
    (report?.rows ?? []).map((row) => row[name]);
  const gates = [...new Set([...seen('gate'), ...rows.map(({ gate }) => gate)])].sort();
  const callers = app.config.gates.callers.map(({ name }) => name);
  const identities = [...new Set([...callers, ...seen('identity')])].sort();
  return {
    title: 'Verdicts',
    isLive: filter.before === null,
    parts: { html: { list: list(rows, filter, now) }, plots: {} },
    body: (part) => html`<h1>Verdicts</h1>
<div class="card"><div class="card-body">${filterForm(filter, gates, identities)}</div></div>
<div class="card"><div class="card-body">${part('list')}</div></div>`,
  };
}

export const verdictsPage: Page = { path: '/verdicts', tab: 'verdicts', load };
