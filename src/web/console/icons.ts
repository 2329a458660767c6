/** The few line drawings of the page, 24 by 24, in the colour of the text beside them. */

import { html, type Markup } from './html.ts';

const icon = (drawing: Markup): Markup =>
  html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">${drawing}</svg>`;

type IconName =
  | 'mark'
  | 'overview'
  | 'verdicts'
  | 'held'
  | 'broadcasts'
  | 'halts'
  | 'stop'
  | 'theme'
  | 'out'
  | 'eye';

export const ICONS: Readonly<Record<IconName, Markup>> = {
  /** A closed envelope over which an eye would see one name only. */
  mark: icon(
    html`<rect x="3" y="5.5" width="18" height="13" rx="3"/><path d="m3.8 7.4 8.2 6.1 8.2-6.1"/><circle class="dot" cx="12" cy="12.6" r="2.1"/>`,
  ),
  overview: icon(html`<path d="M4 13h6V4H4zM14 20h6v-9h-6zM4 20h6v-3H4zM14 7h6V4h-6z"/>`),
  verdicts: icon(
    html`<path d="M9 6h11M9 12h11M9 18h11"/><path d="m3.5 6 1 1 2-2M3.5 12l1 1 2-2M3.5 18l1 1 2-2"/>`,
  ),
  held: icon(
    html`<path d="M12 3a9 9 0 1 0 9 9"/><path d="M12 7v5l3 2"/><path d="M17 3v4M21 3v4"/>`,
  ),
  broadcasts: icon(html`<path d="M21 3 10 14M21 3l-7 18-4-7-7-4z"/>`),
  halts: icon(html`<path d="M8.5 3h7L21 8.5v7L15.5 21h-7L3 15.5v-7z"/><path d="M9 12h6"/>`),
  stop: icon(html`<rect class="solid" x="6" y="6" width="12" height="12" rx="2"/>`),
  theme: icon(
    html`<circle cx="12" cy="12" r="8.5"/><path class="solid" d="M12 3.5a8.5 8.5 0 0 1 0 17z"/>`,
  ),
  out: icon(
    html`<path d="M14 4H6a2 2 0 0 0-2 2v12a2 2 0 0 0 2 2h8"/><path d="M10 12h11m-3.5-3.5L21 12l-3.5 3.5"/>`,
  ),
  eye: icon(
    html`<path d="M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12z"/><circle cx="12" cy="12" r="2.8"/>`,
  ),
};
