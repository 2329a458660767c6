/** Links to the operators' page over the API: made for whoever signs the request. */

import type { FastifyInstance } from 'fastify';
import type { App } from '../../app.ts';
import { Fault } from '../../base/errors.ts';
import { LINK_MINUTES, makeConsoleLink } from '../console/session.ts';

export interface ConsoleLinkAnswer {
  readonly operator: string;
  readonly url: string;
  /** ISO 8601. */
  readonly expires: string;
}

export function consoleRoutes(
  server: FastifyInstance,
  app: Pick<App, 'db' | 'sequencer'>,
  origin: string | null,
): void {
  server.post('/v1/console/links', async ({ operator, body }): Promise<ConsoleLinkAnswer> => {
    if (origin === null)
      throw new Fault('console.off', 'this server has no page', {
        remedy: 'take "console": false out of its configuration and start it again',
      });
    const { minutes } = (body ?? {}) as { readonly minutes?: unknown };
    const { token, expires } = await makeConsoleLink(
      app.db,
      operator,
      minutes === undefined ? LINK_MINUTES : Number(minutes),
    );
    await app.sequencer.flush();
    return { operator, url: `${origin}/sign-in/${token}`, expires: expires.toISOString() };
  });
}
