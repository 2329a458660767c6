/** What the guard holds and what it has done, over the API. */

import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Fault } from '../../base/errors.ts';
import {
  type HoldDeed,
  type HoldTarget,
  type LookDesk,
  listHeld,
  refuse,
  release,
  showHeld,
} from '../../guard/hold.ts';
import { guardReport } from '../../guard/report.ts';
import { deliveriesOf, findKept } from '../../store/kept.ts';

export interface GuardDesk extends LookDesk {
  /** Gives what was entered its place in the ledger before the answer. */
  readonly flush: () => Promise<unknown>;
}

function deedOf(request: FastifyRequest): HoldDeed {
  const { reason } = (request.body ?? {}) as { readonly reason?: unknown };
  if (request.operator === '')
    throw new Fault('operator.not-authenticated', 'this takes an operator’s signature');
  return {
    operator: request.operator,
    reason: typeof reason === 'string' ? reason : '',
    now: new Date(),
  };
}

function targetOf(request: FastifyRequest): HoldTarget {
  const { id, campaign } = request.params as { readonly id?: string; readonly campaign?: string };
  if (id !== undefined) return { id };
  const number = Number(campaign);
  if (Number.isSafeInteger(number)) return { campaign: number };
  throw new Fault('hold.unknown', 'a campaign is named by its number');
}

function holdRoutes(server: FastifyInstance, desk: GuardDesk): void {
  const { db } = desk;
  server.get('/v1/guard/held', () => listHeld(db));
  server.post('/v1/guard/held/:id/look', async (request) => {
    const { id } = request.params as { readonly id: string };
    const shown = await showHeld(desk, id, deedOf(request));
    await desk.flush();
    return shown;
  });
  for (const place of ['/v1/guard/held/:id', '/v1/guard/campaigns/:campaign']) {
    server.post(`${place}/release`, async (request) => {
      const report = await release(db, targetOf(request), deedOf(request));
      await desk.flush();
      return report;
    });
    server.post(`${place}/refuse`, async (request) => {
      const refused = await refuse(db, targetOf(request), deedOf(request));
      await desk.flush();
      return { refused };
    });
  }
}

function reportRoutes(server: FastifyInstance, { db }: GuardDesk): void {
  server.get('/v1/guard/report', (request) => {
    const { since } = request.query as { readonly since?: string };
    const at = new Date(since ?? Date.now() - 24 * 3_600_000);
    if (Number.isNaN(at.getTime()))
      throw new Fault('guard.bad-since', 'since when? a moment is wanted', {
        where: 'since',
        remedy: 'such as 2026-01-31T12:00:00Z',
      });
    return guardReport(db, at);
  });
  server.get('/v1/guard/kept/:id', async (request) => {
    const { id } = request.params as { readonly id: string };
    const row = await findKept(db, id);
    if (row === null) throw new Fault('hold.unknown', 'there is no such call', { where: id });
    const { state, at, gate, identity, kind, reasons } = row;
    const deliveries = await deliveriesOf(db, id);
    return { kept: id, state, at, gate, identity, kind, reasons, deliveries };
  });
}

/** Every route takes an operator's signature; none changes anything by GET. */
export function guardRoutes(server: FastifyInstance, desk: GuardDesk): void {
  holdRoutes(server, desk);
  reportRoutes(server, desk);
}
