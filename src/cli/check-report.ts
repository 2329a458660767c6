/** What `check` says to people: one block for each message, and a line of totals. */

import { styleText } from 'node:util';
import type { Finding } from '../detect/finding.ts';
import type { Judgement } from '../guard/judge.ts';
import { REASONS } from '../policy/reasons.ts';
import type { VerdictKind } from '../policy/verdict.ts';

export interface JudgementReport {
  /** The file, and which message of it. */
  readonly place: string;
  readonly judgement: Judgement;
  /** What other policies would decide; none off a terminal. */
  readonly others: readonly { readonly name: string; readonly verdict: VerdictKind }[];
  readonly showAddresses: boolean;
  readonly colour: boolean;
}

const MARGIN = ' '.repeat(9);
const PLACES_MAX = 5;
const COLOURS = {
  pass: 'green',
  split: 'yellow',
  hold: 'yellow',
  refuse: 'red',
  defer: 'magenta',
} as const satisfies Readonly<Record<VerdictKind, string>>;

/** The block for one message, with a line feed at its end. */
export function describeJudgement(report: JudgementReport): string {
  const { judgement, place } = report;
  const { verdict } = judgement;
  const word = verdict.kind.padEnd(MARGIN.length - 1);
  const shown = report.colour ? styleText(['bold', COLOURS[verdict.kind]], word) : word;
  const lines = [`${shown} ${place}`];
  if (verdict.kind === 'pass') {
    for (const sentence of verdict.allowedBecause) lines.push(`${MARGIN}Allowed: ${sentence}.`);
  } else {
    lines.push(...stopped(judgement, verdict.reasons));
  }
  if (report.others.length > 0) {
    const others = report.others.map(({ name, verdict: other }) => `${name}: ${other}`);
    lines.push(`${MARGIN}Under other policies: ${others.join(', ')}.`);
  }
  if (report.showAddresses) lines.push(...addresses(judgement.visible));
  return `${lines.join('\n')}\n`;
}

function stopped(judgement: Judgement, reasons: readonly (keyof typeof REASONS)[]): string[] {
  const lines = reasons.map((reason) => `${MARGIN}${REASONS[reason].sentence} [${reason}]`);
  const { disclosures, readers, findings, defects } = judgement;
  if (disclosures > 0) {
    const many = disclosures === 1 ? '1 disclosure' : `${number(disclosures)} disclosures`;
    const to = readers === 1 ? '1 reader' : `${number(readers)} readers`;
    lines.push(`${MARGIN}It would have made ${many} to ${to}.`);
  }
  const places = findings.filter(({ severity }) => severity !== 'note').map(placeOf);
  const malformed = reasons.includes('ambiguous') || reasons.includes('unreadable');
  if (malformed) places.push(...defects.map(({ id, where }) => `${where} (${id})`));
  const distinct = [...new Set(places)];
  for (const place of distinct.slice(0, PLACES_MAX)) lines.push(`${MARGIN}Where: ${place}`);
  const more = distinct.length - PLACES_MAX;
  if (more > 0)
    lines.push(`${MARGIN}Where: and ${number(more)} more ${more === 1 ? 'place' : 'places'}`);
  const [first] = reasons;
  if (first !== undefined) lines.push(`${MARGIN}What to do: ${REASONS[first].remedy}`);
  return lines;
}

function placeOf({ where, count, addresses: people }: Finding): string {
  const part = where.part === '' ? '' : ` of part ${where.part}`;
  if (people.length === 0) return `${where.field}${part}`;
  return `${where.field}${part}, ${count === 1 ? "1 other person's address" : `${number(count)} other people's addresses`}`;
}

function addresses(visible: readonly string[]): string[] {
  if (visible.length === 0) return [`${MARGIN}A reader sees no address.`];
  return [`${MARGIN}A reader sees:`, ...visible.map((address) => `${MARGIN}  ${address}`)];
}

/** 'N messages: n pass, n refuse.'; nothing for a single message. */
export function describeTotals(totals: ReadonlyMap<string, number>): string {
  const all = [...totals.values()].reduce((sum, count) => sum + count, 0);
  if (all < 2) return '';
  const parts = [...totals].map(([verdict, count]) => `${number(count)} ${verdict}`);
  return `${number(all)} messages: ${parts.join(', ')}.\n`;
}

function number(value: number): string {
  return value.toLocaleString('en-US');
}
