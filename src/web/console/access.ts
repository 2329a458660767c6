/**
 * What every request of the page has to pass before anything is done: its Host, its origin, its size.
 *
 * Invariant: a page of another site can neither read (Host against DNS rebinding, COOP, CSP) nor act (Origin and Sec-Fetch-Site,
 * a token of the session in each form, a SameSite cookie).
 */

import type { IncomingHttpHeaders } from 'node:http';
import { Fault } from '../../base/errors.ts';

/** Sent with every answer, whatever it is. */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
};

const LOCAL_NAMES = ['127.0.0.1', 'localhost', '[::1]'];

/** Every origin by which this page may be opened. @param own where it listens, as a URL. */
export function allowedOrigins(
  own: string,
  isLoopback: boolean,
  configured: string | null,
): Set<string> {
  const { origin, protocol, port } = new URL(own);
  const allowed = new Set<string>();
  if (configured !== null) allowed.add(configured);
  if (isLoopback) {
    allowed.add(origin);
    for (const name of LOCAL_NAMES) allowed.add(new URL(`${protocol}//${name}:${port}`).origin);
  }
  return allowed;
}

/** @throws Fault `console.wrong-host`: somebody's name points here (DNS rebinding), or `console.origin` is missing. */
export function checkHost(host: string | undefined, origins: ReadonlySet<string>): void {
  for (const origin of origins) if (new URL(origin).host === host) return;
  throw new Fault('console.wrong-host', 'the page is not served under this name', {
    remedy: 'behind a proxy name it with console.origin',
  });
}

/** @throws Fault `console.foreign`: the request does not come from a page of ours. */
export function checkOrigin(headers: IncomingHttpHeaders, origins: ReadonlySet<string>): void {
  const { origin, 'sec-fetch-site': site } = headers;
  // By our own Referrer-Policy the browser says `null` of a form; then Sec-Fetch-Site, which no page can set, has to speak.
  const known =
    origin === undefined || origin === 'null' ? site === 'same-origin' : origins.has(origin);
  if (known && (site === undefined || site === 'same-origin')) return;
  throw new Fault('console.foreign', 'this does not come from a page of ours', {
    remedy: 'open the page itself and do it there',
  });
}

/** The value of one cookie; '' where it is not there. */
export function cookieOf(headers: IncomingHttpHeaders, name: string): string {
  for (const pair of (headers.cookie ?? '').split(';')) {
    const at = pair.indexOf('=');
    if (pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim();
  }
  return '';
}

const WRONG_MAX = 10;
const WINDOW_MS = 60_000;
const ADDRESSES_MAX = 1000;

/** Wrong sign-in tokens from one address: ten a minute. */
export class WrongTokens {
  readonly #seen = new Map<string, { count: number; until: number }>();

  /** @throws Fault `console.too-many`. */
  check(address: string, nowMs: number): void {
    const seen = this.#seen.get(address);
    if (seen === undefined || seen.until < nowMs || seen.count < WRONG_MAX) return;
    throw new Fault('console.too-many', 'too many wrong sign-in links from here', {
      remedy: 'wait a minute',
    });
  }

  count(address: string, nowMs: number): void {
    const seen = this.#seen.get(address);
    if (seen !== undefined && seen.until >= nowMs) {
      seen.count++;
      return;
    }
    // However many addresses try: what is kept of them is bounded.
    if (this.#seen.size >= ADDRESSES_MAX) this.#seen.clear();
    this.#seen.set(address, { count: 1, until: nowMs + WINDOW_MS });
  }
}
