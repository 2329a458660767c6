/** Verdicts as rows: what came, what was decided, and why, in the words of the reasons. */

import { REASONS, type ReasonId } from '../../policy/reasons.ts';
import type { VerdictRow } from '../../store/verdicts.ts';
import { html, type Markup } from './html.ts';
import { counted, figure, since, verdictBadge } from './words.ts';

const PASSED = 'Nobody is shown to anybody.';
const ALLOWED = 'Whoever it shows, its policy allows to be seen.';

/** The sentence of a reason; its id where this version does not know it. */
export function sentenceOf(reason: string): string {
  return Object.hasOwn(REASONS, reason) ? REASONS[reason as ReasonId].sentence : reason;
}

export function remedyOf(reason: string): string {
  return Object.hasOwn(REASONS, reason) ? REASONS[reason as ReasonId].remedy : '';
}

export function reasonList(reasons: readonly string[]): Markup {
  return html`<ul class="reasons">${reasons.map(
    (reason) =>
      html`<li><span>${sentenceOf(reason)}</span> <code>${reason}</code><small>${remedyOf(reason)}</small></li>`,
  )}</ul>`;
}

/** What the modes shadow and warn only watched. */
function watched({ action, verdict, mode }: VerdictRow): Markup | false {
  return (
    action === 'forward' &&
    verdict !== 'pass' &&
    html` <span class="tag tag-watched" title="The mode is ${mode}: it went on as it came">${mode}</span>`
  );
}

export function verdictItem(row: VerdictRow, now: Date): Markup {
  const { at, gate, identity, verdict, reasons, readers, disclosures } = row;
  const why =
    reasons.length > 0
      ? reasons.map((reason) => html`<span>${sentenceOf(reason)}</span>`)
      : html`<span class="soft">${disclosures > 0 ? ALLOWED : PASSED}</span>`;
  return html`<li class="verdict" id="v-${row.id}">
<div class="verdict-when">${since(at, now)}</div>
<div class="verdict-what">${verdictBadge(verdict)}${watched(row)}</div>
<div class="verdict-who"><b>${identity}</b> <span class="soft">${gate}</span></div>
<div class="verdict-why">${why}</div>
<div class="verdict-many">${counted(readers, 'reader')}${disclosures > 0 && html`<span class="soft">${figure(disclosures)} disclosures</span>`}</div>
</li>`;
}
