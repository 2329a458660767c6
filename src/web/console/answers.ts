/** How an answer is made: who asks, in which frame, and what is said of a fault. */

import type { FastifyReply, FastifyRequest } from 'fastify';
import { Fault } from '../../base/errors.ts';
import { cookieOf, type WrongTokens } from './access.ts';
import type { Assets } from './assets.ts';
import { answered, faultBody, isLostDatabase, statusOf } from './fault-page.ts';
import { type Content, html, type Markup } from './html.ts';
import { barePage, framedPage, type Standing } from './layout.ts';
import type { LiveStreams } from './live.ts';
import type { Session, Sessions } from './session.ts';
import { signInPage } from './sign-in.ts';
import type { Desk, Page } from './view.ts';

export const PAGE_MS_MAX = 5000;
/** A halt does not wait for a database that may be gone: then a session known to this process is enough. */
const HALT_SESSION_MS_MAX = 250;

/** What every answer is made with. */
export interface ConsoleParts {
  readonly desk: Desk;
  readonly sessions: Sessions;
  readonly assets: Assets;
  readonly streams: LiveStreams;
  readonly wrong: WrongTokens;
  readonly secure: boolean;
  /** By which it may be opened; filled when the port is known. */
  readonly origins: Set<string>;
}

export type Fields = Readonly<Record<string, string>>;

const noSession = (): Fault =>
  new Fault('console.no-session', 'you are not signed in', {
    remedy: 'get a link: undisclosed console --as NAME',
  });

const cookieName = (secure: boolean): string =>
  secure ? '__Host-undisclosed' : 'undisclosed-console';

export function setCookie(
  reply: FastifyReply,
  secure: boolean,
  value: string,
  seconds: number,
): void {
  const rest = `Path=/; HttpOnly; SameSite=Strict; Max-Age=${seconds}${secure ? '; Secure' : ''}`;
  reply.header('set-cookie', `${cookieName(secure)}=${value}; ${rest}`);
}

export function send(reply: FastifyReply, status: number, page: Markup): FastifyReply {
  return reply
    .status(status)
    .header('cache-control', 'no-store')
    .type('text/html; charset=utf-8')
    .send(String(page));
}

/** @throws Fault `console.no-session`, `database.*`. */
export async function sessionOf(
  { sessions, secure }: ConsoleParts,
  request: FastifyRequest,
  touch = true,
): Promise<Session> {
  const secret = cookieOf(request.headers, cookieName(secure));
  const session = secret === '' ? null : await answered(sessions.find(secret, touch), PAGE_MS_MAX);
  if (session === null) throw noSession();
  return session;
}

export async function haltingSession(
  parts: ConsoleParts,
  request: FastifyRequest,
): Promise<Session> {
  const { sessions, secure } = parts;
  const secret = cookieOf(request.headers, cookieName(secure));
  const remembered = sessions.remembered(secret);
  if (remembered === null) return sessionOf(parts, request);
  try {
    const found = await answered(sessions.find(secret, true), HALT_SESSION_MS_MAX);
    if (found === null) throw noSession();
    return found;
  } catch (error) {
    if (isLostDatabase(error)) return remembered;
    throw error;
  }
}

export async function standingOf({ desk: { facts } }: ConsoleParts): Promise<Standing> {
  const [held, halts, freezes] = await Promise.all([facts.held(), facts.halts(), facts.freezes()]);
  return { held, halts, freezes: freezes.length };
}

interface Framing {
  readonly tab: Page['tab'] | null;
  readonly title: string;
  readonly live?: string;
  readonly broadcast?: string | undefined;
  readonly standing?: Standing | null;
  readonly dialog?: boolean;
}

/** A body in the frame. The frame itself needs no database. */
export async function framed(
  parts: ConsoleParts,
  session: Session,
  framing: Framing,
  body: Content,
): Promise<Markup> {
  const { tab, title, live = null, broadcast, dialog = true } = framing;
  const standing =
    framing.standing === undefined
      ? await answered(standingOf(parts), HALT_SESSION_MS_MAX).catch(() => null)
      : framing.standing;
  return framedPage(
    {
      ...{ assets: parts.assets, session, tab, title, live, standing, broadcast, dialog },
      halted: parts.desk.app.brake.stands(null),
    },
    body,
  );
}

/** A fault within the frame where somebody is signed in, else alone. */
export async function answerFault(
  parts: ConsoleParts,
  request: FastifyRequest,
  reply: FastifyReply,
  error: unknown,
): Promise<FastifyReply> {
  const status = statusOf(error);
  const body = faultBody(error);
  if (request.headers['hx-request'] === 'true')
    // htmx puts the answer where the content would have stood.
    return send(reply, status, html`<div class="notice" role="alert">${body}</div>`);
  const secret = cookieOf(request.headers, cookieName(parts.secure));
  const session =
    status === 421 || status === 403
      ? null
      : (parts.sessions.remembered(secret) ??
        (await answered(parts.sessions.find(secret, false), HALT_SESSION_MS_MAX).catch(
          () => null,
        )));
  if (session === null)
    return send(
      reply,
      status,
      barePage(parts.assets, 'Sign in', status === 401 ? signInPage() : body),
    );
  // `//elsewhere` would be another site.
  const again = request.method === 'GET' && /^\/[^/]/.test(request.url) ? request.url : '/';
  const back = html`<div class="narrow card"><div class="card-body" role="alert">${body}<div class="actions"><a class="btn btn-primary" href="${again}">${again === '/' ? 'Overview' : 'Try again'}</a></div></div></div>`;
  return send(reply, status, await framed(parts, session, { tab: null, title: 'A fault' }, back));
}
