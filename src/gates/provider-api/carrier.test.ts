import assert from 'node:assert/strict';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { Delivery } from '../../guard/carrier.ts';
import { createProviderCarrier, decodeKept, encodeKept, type ProviderCarrier } from './carrier.ts';
import { createPostmarkAdapter } from './postmark.ts';

const adapter = createPostmarkAdapter({ approvedTemplates: [] });
const BATCH = ['ann@x.test', 'bo@x.test'].map((To) => ({
  From: 'news@co.test',
  To,
  TextBody: 'Hello',
}));

function keptBatch(): Buffer {
  const endpoint = adapter.match('POST', '/email/batch');
  if (endpoint === null || endpoint === 'method-not-allowed') throw new Error('no endpoint');
  return encodeKept({
    endpoint,
    method: 'POST',
    path: '/email/batch',
    headers: { 'content-type': 'application/json' },
    body: Buffer.from(JSON.stringify(BATCH)),
  });
}

interface Far {
  readonly carrier: ProviderCarrier;
  readonly delivery: Delivery;
  readonly calls: { readonly url: string; readonly key: unknown; readonly body: string }[];
  readonly warned: string[];
}

/** A provider that answers with `respond`, and takes events at /events. */
async function startFar(
  t: TestContext,
  respond: (response: http.ServerResponse) => void,
): Promise<Far> {
  const calls: Far['calls'] = [];
  const warned: string[] = [];
  const server = http.createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const key = request.headers['x-postmark-server-token'];
    calls.push({ url: request.url ?? '', key, body: Buffer.concat(chunks).toString() });
    if (request.url === '/events') response.end();
    else respond(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const carrier = createProviderCarrier({
    adapter,
    upstream: { baseUrl: `${base}/eu/`, credential: 'theirs' },
    eventsUrl: `${base}/events`,
    log: { warn: (event) => warned.push(event) },
    timeoutMs: 200,
  });
  t.after(async () => {
    await carrier.close();
    server.closeAllConnections();
    server.close();
  });
  const [delivery] = carrier.cut(keptBatch(), 'private', 'k-1');
  assert.ok(delivery);
  return { carrier, delivery, calls, warned };
}

function answerWith(status: number, body: unknown): (response: http.ServerResponse) => void {
  return (response) => response.writeHead(status).end(JSON.stringify(body));
}

test('a kept call is read back as it was; another version or endpoint is a fault', () => {
  const kept = keptBatch();
  const call = decodeKept(adapter, kept);
  assert.equal(call.endpoint.id, 'batch');
  assert.deepEqual(JSON.parse(call.body.toString()), BATCH);
  const later = Buffer.from(kept);
  later.writeUInt8(2, 0);
  assert.throws(() => decodeKept(adapter, later), /version/);
  assert.throws(() => decodeKept(adapter, Buffer.alloc(2)), /version/);
  const elsewhere = encodeKept({ ...call, path: '/server' });
  assert.throws(() => decodeKept(adapter, elsewhere), /endpoint/);
});

test('the same call is cut the same way each time', async (t) => {
  const { carrier, delivery } = await startFar(t, answerWith(200, []));
  assert.deepEqual(carrier.cut(keptBatch(), 'private', 'k-1'), [delivery]);
  assert.equal(delivery.readers, 2);
});

test('a delivery is one request with the provider’s key; the answer says what became of it', async (t) => {
  const ok = { ErrorCode: 0, MessageID: 'm' };
  const inactive = { ErrorCode: 406 };
  const rows: readonly (readonly [string, (response: http.ServerResponse) => void])[] = [
    ['accepted', answerWith(200, [ok, ok])],
    ['refused', answerWith(200, [inactive, inactive])],
    ['deferred', answerWith(200, [{ ErrorCode: 100 }, { ErrorCode: 429 }])],
    ['uncertain', answerWith(200, 'nothing')],
    ['uncertain', (response) => response.writeHead(200).end('<html>')],
    ['refused', answerWith(422, { ErrorCode: 300 })],
    ['deferred', answerWith(422, { ErrorCode: 405 })],
    ['deferred', answerWith(401, { ErrorCode: 10 })],
    ['deferred', answerWith(429, {})],
    ['deferred', answerWith(503, {})],
    ['refused', answerWith(413, {})],
    ['uncertain', answerWith(500, {})],
    ['deferred', (response) => response.writeHead(307, { location: '/x' }).end()],
    ['uncertain', (response) => response.destroy()],
    ['uncertain', () => {}],
  ];
  for (const [kind, respond] of rows) {
    const { carrier, delivery, calls } = await startFar(t, respond);
    const result = await carrier.deliver(delivery);
    assert.equal(result.kind, kind, JSON.stringify(result));
    assert.equal(calls.length, 1);
    assert.equal(calls[0]?.url, '/eu/email/batch');
    assert.equal(calls[0]?.key, 'theirs');
    assert.doesNotMatch(JSON.stringify(result), /@/);
  }
});

test('a provider that is not there has taken nothing', async (t) => {
  const { delivery } = await startFar(t, answerWith(200, []));
  const carrier = createProviderCarrier({
    adapter,
    upstream: { baseUrl: 'http://127.0.0.1:1', credential: 'theirs' },
    eventsUrl: null,
    log: { warn: () => {} },
  });
  assert.equal((await carrier.deliver(delivery)).kind, 'deferred');
  await carrier.close();
});

test('the messages of a batch that the provider took without the others are told of at once', async (t) => {
  const mixed = [{ ErrorCode: 0, MessageID: 'm1' }, { ErrorCode: 406 }];
  const { carrier, delivery, calls, warned } = await startFar(t, answerWith(200, mixed));
  const result = await carrier.deliver(delivery);
  assert.deepEqual(result, {
    kind: 'accepted',
    upstreamId: 'm1',
    answer: 'HTTP 200 with ErrorCode 406',
  });
  const events = calls.filter(({ url }) => url === '/events').map(({ body }) => JSON.parse(body));
  assert.deepEqual(
    events.map(({ RecordType, Email }) => [RecordType, Email]),
    [['Bounce', 'bo@x.test']],
  );
  assert.deepEqual(warned, ['provider-api.items-refused']);
});

test('who could not be reached is told in the provider’s own words; a webhook that is away is a fault', async (t) => {
  const { carrier, delivery, calls } = await startFar(t, answerWith(200, []));
  const failed = [{ delivery, answer: 'HTTP 422 ErrorCode 300', kind: 'refused' }] as const;
  await carrier.tellFailed(keptBatch(), failed, 'k-1');
  const events = calls.map(({ body }) => JSON.parse(body));
  assert.deepEqual(
    events.map(({ Email, MessageID, Type, Details }) => [Email, MessageID, Type, Details]),
    ['ann@x.test', 'bo@x.test'].map((it) => [it, 'k-1', 'Blocked', 'HTTP 422 ErrorCode 300']),
  );
  assert.ok(
    calls.every(({ key }) => key === undefined),
    'the key is for the provider alone',
  );
  const away = createProviderCarrier({
    adapter,
    upstream: { baseUrl: 'http://127.0.0.1:1', credential: 'theirs' },
    eventsUrl: 'http://127.0.0.1:1/',
    log: { warn: () => {} },
  });
  await assert.rejects(away.tellFailed(keptBatch(), failed), { code: 'provider-api.events' });
  await away.close();
});
