/** How figures, moments and lengths of time are written on the page. Everything in UTC, as in the ledger. */

import { type Content, html, type Markup } from './html.ts';

export function figure(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** '1 call', '12 calls'. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${figure(count)} ${count === 1 ? one : many}`;
}

/** 8.25 a second is '8.3', 812 is '812'. */
export function rate(perSecond: number): string {
  return perSecond < 10 ? perSecond.toFixed(1) : figure(perSecond);
}

/** '14:03:09'. */
export function clock(at: Date): string {
  return at.toISOString().slice(11, 19);
}

/** '30 Nov, 14:03'; with the seconds only for a machine. */
export function moment(at: Date | string): Markup {
  const date = new Date(at);
  const text = date.toLocaleString('en-GB', {
    day: 'numeric',
    month: 'short',
    hour: '2-digit',
    minute: '2-digit',
    timeZone: 'UTC',
  });
  return html`<time datetime="${date.toISOString()}" title="${date.toISOString()}">${text}</time>`;
}

/** The time of day; the day as well where it is another one. */
export function since(at: Date, now: Date): Markup {
  const day = at.toISOString().slice(0, 10);
  if (day !== now.toISOString().slice(0, 10)) return moment(at);
  return html`<time datetime="${at.toISOString()}" title="${at.toISOString()}">${clock(at)}</time>`;
}

const STEPS: readonly (readonly [seconds: number, name: string])[] = [
  [86_400, 'd'],
  [3600, 'h'],
  [60, 'min'],
  [1, 's'],
];

/** A length of time in its two largest units, from ten minutes on without seconds: '2 h 5 min', '12 min', '48 s'. */
export function lengthOf(milliseconds: number): string {
  let left = Math.max(0, Math.round(milliseconds / 1000));
  if (left >= 600) left -= left % 60;
  const parts: string[] = [];
  for (const [seconds, name] of STEPS) {
    const count = Math.floor(left / seconds);
    left -= count * seconds;
    if (count > 0) parts.push(`${count} ${name}`);
    else if (parts.length > 0) break;
  }
  return parts.length === 0 ? '0 s' : parts.slice(0, 2).join(' ');
}

const KINDS: Readonly<Record<string, string>> = {
  pass: 'Pass',
  split: 'Split',
  hold: 'Hold',
  refuse: 'Refuse',
  defer: 'Defer',
};

/** A verdict as a coloured word: the colour says nothing that the word does not. */
export function verdictBadge(kind: string): Markup {
  return html`<span class="tag tag-${kind}">${KINDS[kind] ?? kind}</span>`;
}

/** In place of figures that are not there yet. */
export const COUNTING: Markup = html`<p class="soft counting">Counting…</p>`;

/** Nothing to see, said kindly. */
export function empty(title: string, text: Content): Markup {
  return html`<div class="nothing"><p class="nothing-title">${title}</p><p>${text}</p></div>`;
}
