/** Which private copy came back, over the API. By POST: a return path is an address, and stands in no URL. */

import type { FastifyInstance } from 'fastify';
import type { App } from '../../app.ts';
import { findReturned } from '../../guard/returned.ts';

export function returnedRoutes(
  server: FastifyInstance,
  { db, keyring }: Pick<App, 'db' | 'keyring'>,
): void {
  server.post('/v1/guard/returned', (request) => {
    const { returnPath } = (request.body ?? {}) as { readonly returnPath?: unknown };
    return findReturned(db, keyring, String(returnPath ?? ''));
  });
}
