/** What a page is made of: parts that renew themselves while it is open, and the frame around them. */

import type { App } from '../../app.ts';
import type { Facts } from './facts.ts';
import { html, type Markup, NOTHING } from './html.ts';
import type { Session } from './session.ts';

export interface Desk {
  readonly app: App;
  readonly facts: Facts;
}

export interface Request {
  readonly session: Session;
  readonly params: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
  readonly now: Date;
}

/** A plot as the browser draws it: seconds since 1970, and one list of values for each series. */
export interface PlotData {
  readonly x: readonly number[];
  readonly series: readonly {
    readonly name: string;
    /** One of the colours of console.css: `--plot-…`. */
    readonly colour: string;
    readonly values: readonly number[];
  }[];
  readonly unit: string;
}

export interface Parts {
  /** By id of the element that holds it. */
  readonly html: Readonly<Record<string, Markup>>;
  readonly plots: Readonly<Record<string, PlotData>>;
}

export interface Page {
  /** Below `/`; also where its parts are streamed from, below `/live/`. */
  readonly path: string;
  readonly tab: 'overview' | 'verdicts' | 'held' | 'broadcasts' | 'halts';
  /** @throws Fault where there is no such thing. */
  load(desk: Desk, request: Request): Promise<LoadedPage>;
}

export interface LoadedPage {
  readonly title: string;
  readonly parts: Parts;
  body(part: (id: string) => Markup): Markup;
  /** False for a page that stays as it is. */
  readonly isLive: boolean;
  /** The broadcast it is about, for Halt. */
  readonly broadcast?: string;
}

/** The element of a part, filled. */
export function partsOf({ html: contents }: Parts): (id: string) => Markup {
  return (id) => html`<div id="${id}" class="part">${contents[id] ?? NOTHING}</div>`;
}

/** Drawn by the browser: what is in it is not renewed from here, only its data. */
export function plot(id: string, data: PlotData, label: string): Markup {
  return html`<div class="plot" id="${id}" hx-morph-skip role="img" aria-label="${label}" data-plot="${JSON.stringify(data)}"></div>`;
}

/** Whatever a form that changes something has to carry. */
export function csrfField({ csrf }: Session): Markup {
  return html`<input type="hidden" name="csrf" value="${csrf}">`;
}
