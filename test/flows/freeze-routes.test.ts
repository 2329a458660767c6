/** Freezing by an operator's command: what the API answers, what the command prints. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import fastify, { type FastifyInstance } from 'fastify';
import { runFreeze } from '../../src/cli/freeze.ts';
import type { ListedFreeze } from '../../src/guard/freeze.ts';
import { freezeRoutes } from '../../src/web/api/freeze.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';

describe('guard freeze', () => {
  let database: TestDatabase;
  let server: FastifyInstance;

  before(async () => {
    database = await testDatabase();
    server = fastify({ logger: false });
    server.decorateRequest('operator', '');
    server.addHook('onRequest', async (request) => {
      request.operator = 'ann';
    });
    server.setErrorHandler((error, _request, reply) =>
      reply.status(422).send({ code: (error as { code?: string }).code }),
    );
    freezeRoutes(server, database);
    await server.ready();
  });
  after(async () => {
    await server.close();
    await database.drop();
  });

  const post = (url: string, payload: object) => server.inject({ method: 'POST', url, payload });
  const list = async (): Promise<readonly ListedFreeze[]> =>
    (await server.inject({ method: 'GET', url: '/v1/guard/freezes' })).json();

  test('what is frozen is listed until it is lifted, with who did it and why', async () => {
    assert.deepEqual(await list(), []);
    const answer = await post('/v1/guard/freeze', { identity: 'shop', reason: 'a leak' });
    assert.equal(answer.statusCode, 200);
    const { freeze } = answer.json() as { freeze: string };
    const [row] = await list();
    assert.deepEqual(
      { ...row, at: '' },
      { freeze, identity: 'shop', campaign: null, reason: 'a leak', by: 'ann', at: '' },
    );
    assert.equal((await post('/v1/guard/lift', { freeze, reason: 'looked' })).statusCode, 200);
    assert.deepEqual(await list(), []);
  });

  test('what cannot be meant is refused by name', async () => {
    const code = async (url: string, body: object): Promise<string> =>
      (await post(url, body)).json().code;
    assert.equal(await code('/v1/guard/freeze', { identity: 'shop' }), 'freeze.no-reason');
    assert.equal(await code('/v1/guard/freeze', { reason: 'x' }), 'freeze.no-identity');
    const campaign = { identity: 'shop', reason: 'x', campaign: 9 };
    assert.equal(await code('/v1/guard/freeze', campaign), 'freeze.campaign.unknown');
    assert.equal(await code('/v1/guard/freeze', { ...campaign, campaign: 'x' }), 'freeze.campaign');
    assert.equal(await code('/v1/guard/lift', { freeze: 'f-1', reason: 'x' }), 'freeze.unknown');
  });

  test('the command says how it is used, and what is missing', async () => {
    let out = '';
    const io = {
      stdout: (text: string) => {
        out += text;
      },
      stderr: () => {},
      isTerminal: false,
      errorIsTerminal: false,
      columns: 80,
      env: {},
    };
    assert.equal(await runFreeze(['freeze', '--help'], io), 0);
    assert.match(out, /guard freeze IDENTITY/);
    for (const args of [['thaw'], ['freeze'], ['freeze', 'shop'], ['lift'], ['constructor']])
      await assert.rejects(runFreeze(args, io), { code: 'cli.usage' });
    const bad = ['freeze', 'shop', '--reason', 'x', '--campaign', 'x'];
    await assert.rejects(runFreeze(bad, io), { code: 'cli.usage' });
  });
});
