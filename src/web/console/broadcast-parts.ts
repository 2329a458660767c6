/** A broadcast as it is sent: how far, how fast, until when. */

import type { ReleaseProgress } from '../../broadcast/release-progress.ts';
import type { BroadcastRow } from '../../store/broadcasts.ts';
import type { Settled } from './facts.ts';
import { type Finish, finishTime } from './finish-time.ts';
import { html, type Markup } from './html.ts';
import { type Desk, type Parts, type PlotData, plot } from './view.ts';
import { clock, figure, lengthOf, rate } from './words.ts';

/**
 * Rate over time: people settled a second, from the outcomes that are entered.
 * @param sending the last piece of time is not over yet, and is left out.
 */
export function ratePlot({ firstAt, widthMs, buckets }: Settled, sending: boolean): PlotData {
  const x: number[] = [];
  const values: number[] = [];
  if (firstAt !== null) {
    let next = 0;
    const whole = sending ? buckets.slice(0, -1) : buckets;
    for (const { bucket, settled } of whole) {
      for (; next < bucket; next++) {
        x.push((firstAt.getTime() + next * widthMs) / 1000);
        values.push(0);
      }
      x.push((firstAt.getTime() + bucket * widthMs) / 1000);
      values.push((settled * 1000) / widthMs);
      next = bucket + 1;
    }
  }
  return { x, series: [{ name: 'settled a second', colour: '--plot-rate', values }], unit: '/s' };
}

const PHASES: Readonly<Record<ReleaseProgress['phase'], string>> = {
  starting: 'starting',
  signing: 'signing',
  sending: 'sending',
  paused: 'paused',
  ended: 'ended',
};

export interface Sending {
  readonly row: BroadcastRow;
  readonly settled: Settled;
  /** Of the release in this process; null where another process sends, or nobody. */
  readonly progress: ReleaseProgress | null;
  readonly halted: boolean;
  readonly finish: Finish;
}

export async function sendingOf(desk: Desk, row: BroadcastRow, now: Date): Promise<Sending> {
  const { app, facts } = desk;
  const settled = await facts.settled(row.id);
  const progress = app.releases.find(row.id)?.progress() ?? null;
  const halted = app.brake.stands(row.id);
  const so = {
    ...settled,
    audience: row.audience_count ?? 0,
    deferred: progress?.deferred ?? 0,
  };
  const stands = halted ? 'it is halted' : (progress?.because ?? null);
  return { row, settled, progress, halted, finish: finishTime(so, stands, now) };
}

function finishText(finish: Finish, now: Date): Markup {
  if (finish.kind === 'finished') return html`<b>done</b>`;
  if (finish.kind === 'unknown') return html`<b>unknown</b><small>${finish.because}</small>`;
  const left = lengthOf(finish.at.getTime() - now.getTime());
  return html`<b>${clock(finish.at)}</b><small>in ${left}</small>`;
}

function phaseText({ progress, halted }: Sending): string {
  if (halted) return 'halted';
  if (progress === null) return 'sent by another process, or by none';
  const { phase, ring } = progress;
  if (phase === 'signing')
    return `ring ${ring}: ${figure(progress.done)} of ${figure(progress.of)}`;
  return phase === 'sending' ? `ring ${ring}` : PHASES[phase];
}

/** @param kind colours it: a state of the account. */
export function progressBar(done: number, of: number, label: string, kind = 'accepted'): Markup {
  return html`<progress class="bar bar-${kind}" max="${Math.max(1, of)}" value="${Math.min(done, of)}" aria-label="${label}"></progress>`;
}

export function sendingPart(sending: Sending, now: Date): Markup {
  const { row, settled, progress, finish } = sending;
  const of = row.audience_count ?? 0;
  const perSecond =
    progress?.phase === 'sending'
      ? progress.perSecond
      : finish.kind === 'at'
        ? finish.perSecond
        : 0;
  const share = of === 0 ? 0 : Math.floor((settled.settled * 100) / of);
  return html`${progressBar(settled.settled, of, `${share} % done`)}
<dl class="sending-figures">
<div><dt>Done</dt><dd><b>${figure(settled.settled)}</b><small>of ${figure(of)}</small></dd></div>
<div><dt>Rate</dt><dd><b>${rate(perSecond)}</b><small>a second</small></dd></div>
<div><dt>${finish.kind === 'finished' ? 'Finished' : 'Finishes'}</dt><dd>${finishText(finish, now)}</dd></div>
<div><dt>Now</dt><dd><b>${progress?.phase ?? (sending.halted ? 'halted' : 'unknown')}</b><small>${phaseText(sending)}</small></dd></div>
</dl>`;
}

/** One card for each broadcast that is being sent. */
export async function sendingCards(
  desk: Desk,
  now: Date,
): Promise<{ readonly html: Markup; readonly plots: Parts['plots'] }> {
  const rows = (await desk.facts.broadcasts()).filter(({ state }) => state === 'releasing');
  const all = await Promise.all(rows.map((row) => sendingOf(desk, row, now)));
  const plots = Object.fromEntries(
    all.map(({ row, settled }) => [`rate-${row.id}`, ratePlot(settled, true)]),
  );
  const cards = all.map(
    (
      sending,
    ) => html`<article class="card sending" id="sending-${sending.row.id}"><div class="card-body">
<h2><span class="pulse" aria-hidden="true"></span><a href="/broadcasts/${sending.row.id}">${sending.row.name}</a> <small>being sent</small></h2>
${sendingPart(sending, now)}
${plot(`rate-${sending.row.id}`, ratePlot(sending.settled, true), 'People settled a second, over time')}</div></article>`,
  );
  return { html: html`${cards}`, plots };
}
