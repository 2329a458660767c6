/** Declared audiences over the API: what there is, declare, remove. */

import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { App } from '../../app.ts';
import { declareAudience, listDeclared, removeAudience } from '../../guard/declared-audience.ts';
import { streamAnswer } from '../stream.ts';

type SignedStream = (request: FastifyRequest) => {
  readonly bytes: AsyncIterable<Uint8Array>;
  check(): void;
};

function nameIn(request: FastifyRequest): string {
  return (request.params as { readonly name: string }).name;
}

export function audienceRoutes(
  server: FastifyInstance,
  app: Pick<App, 'db' | 'keyring'>,
  signedStream: SignedStream,
): void {
  const { db, keyring } = app;
  server.get('/v1/guard/audiences', () => listDeclared(db));
  server.post('/v1/guard/audiences/:name', { config: { takesFile: true } }, (request, reply) => {
    const { bytes, check } = signedStream(request);
    const declaration = { name: nameIn(request), bytes, operator: request.operator };
    return streamAnswer(reply, (emit) =>
      declareAudience(db, keyring, declaration, {
        rejected: (item) => emit({ event: 'item', item }),
        progress: (done) => emit({ event: 'progress', step: 'declare', done, of: 0 }),
        beforeCommit: check,
      }),
    );
  });
  server.post('/v1/guard/audiences/:name/remove', (request) =>
    removeAudience(db, nameIn(request), request.operator),
  );
}
