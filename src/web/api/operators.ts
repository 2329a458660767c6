/** Operators over the API. */

import type { FastifyInstance } from 'fastify';
import type { App } from '../../app.ts';
import { enrol, operatorFingerprint } from '../../operators/enrolment.ts';
import { listOperators } from '../../store/operators.ts';

interface EnrolBody {
  readonly deed: 'add' | 'remove';
  readonly operator: string;
  readonly publicKey?: string;
}

export function operatorRoutes(server: FastifyInstance, app: App): void {
  server.get('/v1/operators', async () =>
    (await listOperators(app.db)).map((row) => ({
      operator: row.id,
      fingerprint: operatorFingerprint(row.public_key),
      added: row.added_at,
      removed: row.removed_at,
    })),
  );
  server.post('/v1/operators', (request) => {
    const { deed, operator, publicKey } = request.body as EnrolBody;
    return enrol(app.db, {
      deed,
      operator,
      publicKey: Buffer.from(publicKey ?? '', 'base64'),
      by: request.operator === '' ? null : request.operator,
      now: new Date(),
    });
  });
}
