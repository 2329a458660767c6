/** The pages, by path. None of these routes changes anything. */

import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Fault } from '../../base/errors.ts';
import { SECURITY_HEADERS } from './access.ts';
import {
  type ConsoleParts,
  framed,
  haltingSession,
  PAGE_MS_MAX,
  send,
  sessionOf,
  standingOf,
} from './answers.ts';
import { broadcastPage, broadcastsPage } from './broadcasts.ts';
import { HALT_PATH } from './deeds.ts';
import { answered, isLostDatabase } from './fault-page.ts';
import { haltsPage } from './halts.ts';
import { heldCallPage, heldPage } from './held.ts';
import type { Markup } from './html.ts';
import { bannerPart, haltPage, heldBadgePart } from './layout.ts';
import type { LiveSource } from './live.ts';
import { overviewPage } from './overview.ts';
import type { Session } from './session.ts';
import { verdictsPage } from './verdicts.ts';
import { type Page, partsOf, type Request } from './view.ts';

const PAGES: readonly Page[] = [
  overviewPage,
  verdictsPage,
  heldPage,
  heldCallPage,
  broadcastsPage,
  broadcastPage,
  haltsPage,
];
const STREAMS_MAX = 200;

function requestOf(request: FastifyRequest, session: Session): Request {
  const query = Object.entries(request.query as Record<string, unknown>).filter(
    (pair): pair is [string, string] => typeof pair[1] === 'string',
  );
  return {
    session,
    params: request.params as Record<string, string>,
    query: Object.fromEntries(query),
    now: new Date(),
  };
}

function liveSource(
  parts: ConsoleParts,
  page: Page,
  request: FastifyRequest,
  session: Session,
): LiveSource {
  const { desk, sessions } = parts;
  const next: LiveSource['next'] = async () => {
    // Watching is no use: who only watches is signed out in the end.
    if ((await sessions.find(session.secret, false)) === null) return null;
    const [loaded, standing] = await Promise.all([
      page.load(desk, requestOf(request, session)),
      standingOf(parts),
    ]);
    const frame = {
      banner: bannerPart(standing, desk.app.brake.stands(null)),
      'held-count': heldBadgePart(standing),
    };
    return { parts: loaded.parts, frame };
  };
  return {
    next: () => answered(next(), PAGE_MS_MAX),
    lost: (error): Readonly<Record<string, Markup>> =>
      isLostDatabase(error) ? { banner: bannerPart(null, desk.app.brake.stands(null)) } : {},
  };
}

/** Every page, and the stream of what changes on it. */
export function pageRoutes(server: FastifyInstance, parts: ConsoleParts): void {
  for (const page of PAGES) {
    server.get(page.path, async (request, reply) => {
      const session = await sessionOf(parts, request);
      const [loaded, standing] = await answered(
        Promise.all([page.load(parts.desk, requestOf(request, session)), standingOf(parts)]),
        PAGE_MS_MAX,
      );
      const { title, isLive, broadcast } = loaded;
      const live = isLive ? { live: `/live${request.url}` } : {};
      const framing = { tab: page.tab, title, broadcast, standing, ...live };
      return send(
        reply,
        200,
        await framed(parts, session, framing, loaded.body(partsOf(loaded.parts))),
      );
    });
    server.get(`/live${page.path}`, async (request, reply) => {
      const session = await sessionOf(parts, request, false);
      if (parts.streams.size >= STREAMS_MAX)
        throw new Fault('console.too-many-streams', 'too many pages are open', {
          remedy: 'close some',
        });
      reply.hijack();
      const source = liveSource(parts, page, request, session);
      await parts.streams.follow(reply.raw, SECURITY_HEADERS, source);
    });
  }
  server.get(HALT_PATH, async (request, reply) => {
    const session = await haltingSession(parts, request);
    const { broadcast } = requestOf(request, session).query;
    return send(
      reply,
      200,
      await framed(
        parts,
        session,
        { tab: 'halts', title: 'Halt', dialog: false },
        haltPage(session, broadcast),
      ),
    );
  });
}
