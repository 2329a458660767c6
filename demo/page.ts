/**
 * The account of a broadcast as one HTML page that needs nothing from elsewhere.
 * Invariant: every text that comes in is escaped; the page has no script and loads nothing.
 */

import { pageStyle } from './page-style.ts';
import {
  barPlot,
  count,
  escapeHtml,
  peakPerSecond,
  type RatePoint,
  ratePlot,
  seenMatrix,
} from './plots.ts';

export interface AccountLanguage {
  /** BCP 47. */
  readonly code: string;
  /** In English. */
  readonly name: string;
  readonly count: number;
}

export interface AccountMistake {
  readonly title: string;
  /** How it was submitted, e.g. `SMTP, Cc with 1,000 addresses`. */
  readonly form: string;
  /** pass, split, hold, refuse or defer. */
  readonly verdict: string;
  readonly reason: string;
  /** Distinct ordered pairs that it would have shown. */
  readonly disclosures: number;
  readonly rightForm: { readonly title: string; readonly verdict: string };
}

export interface AccountMessage {
  readonly language: string;
  readonly subject: string;
  /** Already masked. */
  readonly textExcerpt: string;
}

export interface AccountData {
  /** Who sent, what, and when, in the words of the page. */
  readonly company: string;
  readonly notice: string;
  readonly madeAt: string;
  /** Distinct people reached, and messages delivered. */
  readonly people: number;
  readonly messages: number;
  readonly languages: readonly AccountLanguage[];
  /** From the first command to the proof. */
  readonly seconds: number;
  readonly secondsByStep: readonly { readonly step: string; readonly seconds: number }[];
  readonly rate: readonly RatePoint[];
  /** Ordered pairs (person shown, other reader) found in what was delivered. */
  readonly disclosures: number;
  /** The same, had the addresses gone out in calls of `addressesPerCall`. */
  readonly wouldHaveDisclosed: number;
  readonly addressesPerCall: number;
  readonly mistakes: readonly AccountMistake[];
  readonly approvals: { readonly author: string; readonly approver: string };
  /** Hexadecimal or base64, as the verifier prints it. */
  readonly manifestRoot: string;
  readonly checkpointNote: string;
  readonly verifierOutput: readonly string[];
  /** Commands with which a reader repeats the check. */
  readonly verifierCommands: readonly string[];
  readonly sampleMessages: readonly AccountMessage[];
}

const MARK = `<svg viewBox="0 0 26 26" aria-hidden="true"><rect x="1.5" y="4.5" width="23" height="17" rx="3.5" fill="none" stroke="currentColor" stroke-width="2"/><circle cx="13" cy="13" r="3.4" fill="currentColor"/></svg>`;

/** The whole document. */
export function accountPage(data: AccountData): string {
  const clean = data.disclosures === 0;
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${escapeHtml(data.notice)}: ${count(data.messages)} messages, ${count(data.disclosures)} disclosures</title>
<style>${pageStyle}</style>
</head>
<body>
<header>
<div class="mark">${MARK}Undisclosed<span>${escapeHtml(data.madeAt)}</span></div>
<h1>${count(data.people)} people were told. ${headline(data.disclosures)}</h1>
<p class="lede">${escapeHtml(data.company)} had one thing to say to every customer: “${escapeHtml(data.notice)}”. Each customer got a message of their own, with no other customer’s address anywhere in it${clean ? '' : ', but for those listed below'}. Mail that would have shown customers to each other was stopped before it left.</p>
</header>
<main>
${bigNumbers(data)}
${whoSawWhom(data)}
${course(data)}
${languages(data)}
${mistakes(data)}
${proof(data)}
</main>
<footer><p>Counted by a separate reader that opened every delivered message, undid its codings and looked for each customer’s address. Before counting, it had to find addresses planted in copies. This page loads nothing and holds no customer’s address.</p></footer>
</body>
</html>
`;
}

function headline(disclosures: number): string {
  if (disclosures === 0) return '<em>Nobody saw anybody else.</em>';
  const times = disclosures === 1 ? 'Once' : `${count(disclosures)} times`;
  return `<em class="bad">${times}, somebody saw somebody else.</em>`;
}

function bigNumbers(data: AccountData): string {
  const { seconds } = data;
  const took =
    seconds < 99.5 ? `${Math.round(seconds)} s` : `${count(Math.round(seconds / 60))} min`;
  const tile = (value: string, label: string, kind = ''): string =>
    `<div class="${kind}"><dt>${label}</dt><dd>${value}</dd></div>`;
  return `<dl class="numbers card">
${tile(count(data.messages), 'messages, each with one reader')}
${tile(count(data.disclosures), 'times a customer was shown to another', data.disclosures === 0 ? 'good' : 'bad')}
${tile(count(data.wouldHaveDisclosed), `times, in each mistaken message to ${count(data.addressesPerCall)} of them that was stopped`, 'bad')}
${tile(took, 'from the first command to the proof')}
</dl>`;
}

function matrixFigure(options: {
  readonly kind: 'everyone' | 'oneself';
  readonly tag: string;
  readonly title: string;
  readonly text: string;
  readonly size: number;
  readonly pairs: number;
  readonly caption: string;
}): string {
  const { kind, size } = options;
  return `<figure class="card">
<span class="tag ${kind === 'everyone' ? 'bad' : 'good'}">${options.tag}</span>
<h3>${options.title}</h3>
<p>${options.text}</p>
<div class="axes"><span class="down">person shown</span>${seenMatrix(kind, `${options.title}: ${options.caption}`)}<span class="along"><span>1</span><span>person reading</span><span>${count(size)}</span></span></div>
<figcaption><b>${count(options.pairs)}</b> ${options.caption}</figcaption>
</figure>`;
}

function whoSawWhom(data: AccountData): string {
  const size = data.addressesPerCall;
  const wrong = matrixFigure({
    kind: 'everyone',
    tag: 'The quick way',
    title: `${count(size)} addresses in one call`,
    text: 'It looks like one message for each person. It is one message with a long To line, and everyone on it can read everyone else.',
    size,
    pairs: size * (size - 1),
    caption: 'times one customer is shown to another, in each call',
  });
  const right = matrixFigure({
    kind: 'oneself',
    tag: 'This broadcast',
    title: `${count(size)} messages, one reader each`,
    text: 'Each person is alone on the envelope and alone in the To line. The line across is what is left: everyone sees their own address.',
    size,
    pairs: 0,
    caption: 'times anybody is shown to anybody else',
  });
  return `<section>
<h2>Who would have seen whom</h2>
<p>Each column is a person who reads the mail, each row a person whose address can be read in it. A red cell is one customer shown to another.</p>
<div class="two">
${wrong}
${right}
</div>
</section>`;
}

function course(data: AccountData): string {
  return `<section>
<h2>How it went out</h2>
<p>Somebody of each mail provider and language goes first. The next ring is signed and opened when the answers to the last were good, and every message is looked at once more as it leaves.</p>
<div class="two">
<div class="card"><h3>Messages per second</h3><p class="quiet">At most ${count(Math.round(peakPerSecond(data.rate)))}; in the gaps the next ring is signed</p>${ratePlot(data.rate)}</div>
<div class="card"><h3>Where the time went</h3><p class="quiet">The server’s start, the sending, and the proof</p>${barPlot(
    data.secondsByStep.map(({ step, seconds }) => ({
      label: step,
      note: '',
      value: seconds,
      shown: `${seconds < 99.5 ? seconds.toFixed(1) : count(Math.round(seconds))} s`,
    })),
  )}</div>
</div>
</section>`;
}

function ownName(code: string): string {
  try {
    const name = new Intl.DisplayNames([code], { type: 'language' }).of(code) ?? code;
    return name.replace(/^\p{L}/u, (first) => first.toLocaleUpperCase(code));
  } catch {
    return code;
  }
}

function directionOf(code: string): string {
  return /^(?:ar|he|fa|ur|yi|ps|ckb|dv|syr)\b/i.test(code) ? 'rtl' : 'ltr';
}

function languages(data: AccountData): string {
  const total = Math.max(
    1,
    data.languages.reduce((sum, language) => sum + language.count, 0),
  );
  const bars = [...data.languages]
    .sort((one, other) => other.count - one.count)
    .map(({ code, name, count: people }) => ({
      label: ownName(code),
      note: code.startsWith('en') ? '' : name,
      value: people,
      shown: count(people),
    }));
  const letters = data.sampleMessages.map(({ language, subject, textExcerpt }) => {
    const code = escapeHtml(language);
    const direction = directionOf(language);
    return `<article class="card" lang="${code}" dir="${direction}"><span class="tag" dir="ltr">${escapeHtml(ownName(language))}</span><h3>${escapeHtml(subject)}</h3><p>${escapeHtml(textExcerpt)}</p></article>`;
  });
  return `<section>
<h2>In the language each one reads</h2>
<p>${count(data.languages.length)} languages, ${count(total)} messages. A name or a number that was missing for anyone would have stopped the broadcast before the first message.</p>
<div class="card">${barPlot(bars)}</div>
<div class="letters">${letters.join('\n')}</div>
</section>`;
}

/** Only the known words choose a colour; anything else is shown without one. */
function verdictTag(verdict: string): string {
  const kind = /^(?:pass|split|hold|refuse|defer)/.exec(verdict)?.[0] ?? '';
  return `<span class="tag ${kind}">${escapeHtml(verdict)}</span>`;
}

function mistakes(data: AccountData): string {
  const rows = data.mistakes.map(
    (mistake) => `<tr>
<td><b>${escapeHtml(mistake.title)}</b><small>${escapeHtml(mistake.form)}</small></td>
<td class="number" data-label="Would have shown">${count(mistake.disclosures)}</td>
<td data-label="What happened">${verdictTag(mistake.verdict)}<small>${escapeHtml(mistake.reason)}</small></td>
<td data-label="The same, done right">${verdictTag(mistake.rightForm.verdict)}<small>${escapeHtml(mistake.rightForm.title)}</small></td>
</tr>`,
  );
  return `<section>
<h2>The mistakes, made on purpose</h2>
<p>${mistakesInWords(data)}</p>
<div class="card wide"><table>
<thead><tr><th>Mistake</th><th class="number">Would have shown</th><th>What happened</th><th>The same, done right</th></tr></thead>
<tbody>
${rows.join('\n')}
</tbody>
</table></div>
</section>`;
}

const inWords = (value: number): string =>
  ['no', 'one', 'two', 'three', 'four', 'five', 'six'][value] ?? count(value);

/** Says only what the rows say. */
function mistakesInWords({ mistakes: made }: AccountData): string {
  const many = made.length === 1 ? 'a mistake' : `${inWords(made.length)} mistakes`;
  const passed = made.filter(({ verdict }) => verdict.startsWith('pass')).length;
  const wrongly = made.filter(({ rightForm }) => !rightForm.verdict.startsWith('pass')).length;
  const met =
    passed === 0
      ? 'None got through as it was, and each was given its reason.'
      : `${count(passed)} of them got through.`;
  const right =
    wrongly === 0
      ? 'The same wish, put right, passed every time.'
      : `Put right, ${count(wrongly)} of them still did not pass.`;
  return `The same company then tried ${many} that people and programs make. ${met} ${right}`;
}

function proof(data: AccountData): string {
  const commands = data.verifierCommands.map((command) => `$ ${command}`);
  const output = [...commands, ...data.verifierOutput].join('\n');
  return `<section>
<h2>Why you can believe it</h2>
<p>Somebody who had made none of it signed for exactly these messages before the first one left. What they signed, and everything that happened after, is in a record that can be added to but not rewritten.</p>
<div class="hands">
<div class="card"><small>Made and prepared by</small><b>${escapeHtml(data.approvals.author)}</b></div>
<div class="card"><small>Approved and signed by</small><b>${escapeHtml(data.approvals.approver)}</b></div>
</div>
<div class="card proof">
<div><h3>What was approved</h3><small>One fingerprint over all ${count(data.messages)} messages. Change a letter in one, and it is another.</small><code class="root">${escapeHtml(data.manifestRoot)}</code></div>
<div><h3>The record’s checkpoint</h3><small>Keep a copy: with it, nobody can later shorten or rewrite the record unnoticed.</small><pre>${escapeHtml(data.checkpointNote)}</pre></div>
<div><h3>Check it yourself</h3><small>One file for Node.js: nothing to install, and no connection to anything.</small><pre>${escapeHtml(output)}</pre></div>
</div>
</section>`;
}
