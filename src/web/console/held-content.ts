/** The content of a held call as guard/hold.ts shows it: masked, with what was found marked. */

import type { ShownCall } from '../../guard/hold.ts';
import { html, type Markup } from './html.ts';
import { sentenceOf } from './verdict-rows.ts';
import { counted, figure } from './words.ts';

type ShownCopy = ShownCall['content']['copies'][number];

const lines = (text: string): string => text.replace(/\r\n?/g, '\n');

function section({ part, what, pieces, isCut }: ShownCopy['sections'][number]): Markup {
  const shown = pieces.map(({ text, finding }) =>
    finding === null
      ? lines(text)
      : html`<mark title="${sentenceOf(finding)}">${lines(text)}<span class="mark-name">${finding}</span></mark>`,
  );
  return html`<section class="shown"><h4>${part !== '' && html`part ${part} · `}${what}</h4><pre tabindex="0">${shown}</pre>${isCut && html`<p class="soft">Cut here: there is more.</p>`}</section>`;
}

function finding({ id, field, part, count, addresses }: ShownCopy['findings'][number]): Markup {
  return html`<li><b>${sentenceOf(id)}</b> <span class="soft">${counted(count, 'time')} in ${part === '' ? field : `${field} of part ${part}`}</span>${addresses.length > 0 && html` <code>${addresses.join(', ')}</code>`}</li>`;
}

export function heldContent({ content }: ShownCall): Markup {
  const { copies, copiesInAll } = content;
  if (copies.length === 0) return html`<p class="notice">This gate cannot show what it kept.</p>`;
  return html`${copies.map((copy, i) => {
    const more = copy.readersInAll - copy.readers.length;
    return html`<article class="copy"><h3>Message ${i + 1} of ${figure(copiesInAll)}</h3>
<p class="soft">To ${copy.readers.join(', ')}${more > 0 && ` and ${figure(more)} more`}</p>
${copy.findings.length > 0 && html`<ul class="findings">${copy.findings.map(finding)}</ul>`}${copy.sections.map(section)}</article>`;
  })}`;
}
