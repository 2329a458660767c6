/** A fault as people read it: what is wrong and what to do, never more. */

import { Fault } from '../../base/errors.ts';
import { inTime } from '../../base/in-time.ts';
import { html, type Markup } from './html.ts';

const STATUS: Readonly<Record<string, number>> = {
  'console.no-session': 401,
  'console.bad-link': 403,
  'console.foreign': 403,
  'console.wrong-host': 421,
  'console.too-many': 429,
  'console.no-answer': 503,
  'console.too-many-streams': 503,
};

export function statusOf(error: unknown): number {
  if (!(error instanceof Fault)) {
    const { statusCode } = error as { statusCode?: unknown };
    return typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500
      ? statusCode
      : 500;
  }
  const { code } = error;
  if (code.startsWith('database.')) return 503;
  return STATUS[code] ?? (code.endsWith('.unknown') ? 404 : 422);
}

export function isLostDatabase(error: unknown): boolean {
  return (
    error instanceof Fault &&
    (error.code.startsWith('database.') || error.code === 'console.no-answer')
  );
}

function sentence(text: string): string {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}

/** Commands speak of options; the page has none of them. */
export function faultBody(error: unknown): Markup {
  if (isLostDatabase(error))
    return html`<h1>The database does not answer</h1><p class="soft">The page comes back by itself when it does. Halt works without it.</p>`;
  if (!(error instanceof Fault))
    return html`<h1>That did not work</h1><p class="soft">The server has met something it does not know. Nothing was changed by it.</p>`;
  const { message, where, remedy, code } = error;
  return html`<h1>${sentence(message)}</h1>${remedy !== undefined && html`<p>${sentence(remedy)}</p>`}<p class="soft">${where !== undefined && html`<code>${where}</code> `}<code>${code}</code></p>`;
}

/** @throws Fault `console.no-answer` where the database takes longer. */
export function answered<T>(work: Promise<T>, milliseconds: number): Promise<T> {
  return inTime(
    work,
    milliseconds,
    () => new Fault('console.no-answer', 'the database does not answer in time'),
  );
}
