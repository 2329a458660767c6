/** Freezes over the API: what stands, freeze, lift. */

import type { FastifyInstance } from 'fastify';
import type { App } from '../../app.ts';
import { Fault } from '../../base/errors.ts';
import { freeze, liftFreeze, listFrozen } from '../../guard/freeze.ts';

interface FreezeBody {
  readonly identity?: unknown;
  readonly campaign?: unknown;
  readonly reason?: unknown;
}

interface LiftBody {
  readonly freeze?: unknown;
  readonly reason?: unknown;
}

function campaignNumber(value: unknown): number | null {
  if (value === undefined || value === null) return null;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value > 0) return value;
  throw new Fault('freeze.campaign', 'a campaign is named by its number', {
    remedy: 'undisclosed guard report names campaigns',
  });
}

export function freezeRoutes(server: FastifyInstance, app: Pick<App, 'db'>): void {
  server.get('/v1/guard/freezes', () => listFrozen(app.db));
  server.post('/v1/guard/freeze', (request) => {
    const { identity, campaign, reason } = (request.body ?? {}) as FreezeBody;
    return freeze(app.db, {
      identity: String(identity ?? ''),
      campaign: campaignNumber(campaign),
      reason: String(reason ?? ''),
      by: request.operator,
    });
  });
  server.post('/v1/guard/lift', (request) => {
    const body = (request.body ?? {}) as LiftBody;
    const reason = String(body.reason ?? '');
    return liftFreeze(app.db, { freeze: String(body.freeze ?? ''), reason, by: request.operator });
  });
}
