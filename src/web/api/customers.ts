/** The customers register over the API. */

import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { App } from '../../app.ts';
import { changeSuppressions, type SuppressionRequest } from '../../broadcast/leave-out.ts';
import { importCustomers } from '../../customers/import.ts';
import { DEFAULT_COLUMNS } from '../../customers/read-records.ts';
import { countSuppressions } from '../../store/suppressions.ts';
import { streamAnswer } from '../stream.ts';

interface ImportQuery {
  readonly file: string;
  readonly format: 'csv' | 'jsonl';
  readonly key?: string;
  readonly address?: string;
  readonly language?: string;
  readonly kind?: string;
  readonly defaultLanguage?: string;
  readonly size?: string;
}

type SignedStream = (request: FastifyRequest) => {
  readonly bytes: AsyncIterable<Uint8Array>;
  check(): void;
};

export function customerRoutes(
  server: FastifyInstance,
  app: App,
  signedStream: SignedStream,
): void {
  server.post('/v1/customers/import', { config: { takesFile: true } }, (request, reply) => {
    const query = request.query as ImportQuery;
    const { bytes, check } = signedStream(request);
    return streamAnswer(reply, (emit) =>
      importCustomers(
        app.db,
        app.keyring,
        request.operator,
        {
          bytes,
          file: query.file,
          format: query.format,
          columns: {
            key: query.key ?? DEFAULT_COLUMNS.key,
            address: query.address ?? DEFAULT_COLUMNS.address,
            language: query.language ?? DEFAULT_COLUMNS.language,
            kind: query.kind ?? DEFAULT_COLUMNS.kind,
          },
          defaultLanguage: query.defaultLanguage ?? 'en',
        },
        {
          rejected: (item) => emit({ event: 'item', item }),
          progress: (done) => emit({ event: 'progress', step: 'import', done, of: 0 }),
          beforeCommit: check,
        },
      ),
    );
  });
  server.get('/v1/suppressions', () => countSuppressions(app.db));
  server.post('/v1/suppressions', (request) => {
    const body = request.body as Omit<SuppressionRequest, 'operator'>;
    return changeSuppressions(app.db, app.keyring, { ...body, operator: request.operator });
  });
}
