import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { Decision, GuardedCall } from '../guard/check.ts';
import { identityOf } from '../guard/identity.ts';
import type { Submission } from '../guard/judge.ts';
import type { Gate } from './gate.ts';
import type { ProviderAdapter } from './provider-api/adapter.ts';
import { decodeKept } from './provider-api/carrier.ts';
import { createSendgridAdapter } from './provider-api/sendgrid.ts';
import { type ProviderApiOptions, startProviderApi } from './provider-api.ts';

const BODY = JSON.stringify({
  personalizations: [{ to: [{ email: 'ann@x.test' }] }],
  from: { email: 'news@co.test' },
  subject: 'Hello',
  content: [{ type: 'text/plain', value: 'A text.' }],
});

type Verdict = Decision['verdict'];
const PASS: Verdict = { kind: 'pass', allowedBecause: [] };

function decide(verdict: Verdict, change: Partial<Decision> = {}): Decision {
  const nothing = { findings: [], visible: [], outsiders: [], disclosures: 0, defects: [] };
  const action =
    verdict.kind === 'pass' ? 'forward' : verdict.kind === 'defer' ? 'defer' : 'refuse';
  const decided = { verdict, entry: 'entry-1', action, mode: 'enforce', kept: null } as const;
  return { ...nothing, readers: 1, ...decided, ...change };
}

interface Change extends Partial<ProviderApiOptions> {
  readonly check?: (copies: readonly Submission[]) => Promise<Decision>;
}

interface Recorded {
  readonly url: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
}

/** The provider: records what it gets and answers with `respond`. */
async function startUpstream(
  t: TestContext,
  respond: (response: http.ServerResponse) => void = (response) => {
    response.writeHead(202, {
      'x-message-id': 'm1',
      'keep-alive': 'timeout=5',
      connection: 'x-hop',
      'x-hop': '1',
    });
    response.end();
  },
): Promise<{ readonly baseUrl: string; readonly calls: Recorded[] }> {
  const calls: Recorded[] = [];
  const server = http.createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    calls.push({ url: request.url ?? '', headers: request.headers, body: Buffer.concat(chunks) });
    respond(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { baseUrl: `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`, calls };
}

type Events = (readonly [event: string, fields: Readonly<Record<string, string | number>>])[];

async function startGate(
  t: TestContext,
  baseUrl: string,
  { check = async () => decide(PASS), ...change }: Change = {},
): Promise<Gate & { readonly events: Events }> {
  const events: Events = [];
  const gate = await startProviderApi({
    listen: { host: '127.0.0.1', port: 0 },
    callers: (key) => (key === 'SG.ours' ? identityOf('shop', 'bulk') : null),
    road: { decide: async ({ copies }) => check(copies) },
    adapter: createSendgridAdapter({ approvedTemplates: [] }),
    upstream: { baseUrl, credential: 'SG.theirs' },
    log: {
      info: (event, fields) => events.push([event, fields]),
      warn: (event, fields) => events.push([event, fields]),
    },
    ...change,
  });
  t.after(() => gate.close());
  return { ...gate, events };
}

function send(gate: Gate, change: RequestInit = {}, path = '/v3/mail/send'): Promise<Response> {
  return fetch(`${gate.address}${path}`, {
    method: 'POST',
    body: BODY,
    ...change,
    headers: {
      authorization: 'Bearer SG.ours',
      'content-type': 'application/json',
      ...(change.headers as Record<string, string>),
    },
  });
}

/** The one error of an answer in the provider's shape. */
async function readError(response: Response): Promise<{ message: string; field: string | null }> {
  const { errors } = (await response.json()) as {
    errors: readonly { message: string; field: string | null; help: string | null }[];
  };
  assert.ok(errors[0] !== undefined && 'field' in errors[0] && 'help' in errors[0]);
  return errors[0];
}

test('what passes goes on byte for byte, with the upstream key and no hop-by-hop or mail headers', async (t) => {
  const upstream = await startUpstream(t);
  const gate = await startGate(t, `${upstream.baseUrl}/eu/`);
  const spaced = `  ${BODY}\n`;
  const response = await send(gate, {
    body: spaced,
    headers: { 'x-smtpapi': '{}', cookie: 'a=b', 'user-agent': 'sendgrid/8.1.6;nodejs' },
  });
  assert.equal(response.status, 202);
  assert.equal(response.headers.get('x-message-id'), 'm1');
  assert.equal(response.headers.get('x-hop'), null);
  assert.equal(await response.text(), '');
  const [call] = upstream.calls;
  assert.equal(call?.url, '/eu/v3/mail/send');
  assert.equal(call?.body.toString(), spaced);
  assert.deepEqual(Object.keys(call?.headers ?? {}).sort(), [
    'accept',
    'authorization',
    'connection',
    'content-length',
    'content-type',
    'host',
    'user-agent',
  ]);
  assert.equal(call?.headers.authorization, 'Bearer SG.theirs');
  assert.equal(call?.headers['user-agent'], 'sendgrid/8.1.6;nodejs');
});

test('the answer of the provider is given back as it is, its refusals too', async (t) => {
  const answer = '{"errors":[{"message":"The from address does not match","field":"from"}]}';
  const upstream = await startUpstream(t, (response) => {
    response.writeHead(403, { 'content-type': 'application/json' }).end(answer);
  });
  const gate = await startGate(t, upstream.baseUrl);
  const response = await send(gate);
  assert.equal(response.status, 403);
  assert.equal(await response.text(), answer);
});

test('the provider gets nothing for any action but forward, nor when the check fails or hangs', async (t) => {
  const upstream = await startUpstream(t);
  const checks: readonly (readonly [status: number, check: () => Promise<Decision>])[] = [
    [400, async () => decide({ kind: 'refuse', reasons: ['visible-recipients'] })],
    [400, async () => decide({ kind: 'hold', reasons: ['placeholder'] })],
    [400, async () => decide({ kind: 'split', reasons: ['visible-recipients'] })],
    [503, async () => decide({ kind: 'hold', reasons: ['placeholder'] }, { action: 'keep' })],
    [503, async () => decide({ kind: 'defer', reasons: ['guard-fault'] })],
    [503, async () => decide({ kind: 'refuse', reasons: [] })],
    [503, () => Promise.reject(new Error('secret-person@x.test'))],
    [
      503,
      () => {
        throw new Error('secret-person@x.test');
      },
    ],
    [503, () => new Promise<never>(() => {})],
    [503, async () => ({ verdict: undefined }) as unknown as Decision],
    [503, async () => ({ verdict: { kind: 'maybe' } }) as unknown as Decision],
  ];
  for (const [status, check] of checks) {
    const gate = await startGate(t, upstream.baseUrl, { check, limits: { checkTimeoutMs: 50 } });
    const response = await send(gate);
    assert.equal(response.status, status, String(check));
    await readError(response);
    assert.doesNotMatch(JSON.stringify(gate.events), /secret-person/);
  }
  assert.equal(upstream.calls.length, 0);
  const gate = await startGate(t, upstream.baseUrl);
  assert.equal((await send(gate)).status, 202);
  assert.equal(upstream.calls.length, 1, 'the record can show a call');
});

test('a call that is kept is answered with its id as the provider would, and goes nowhere yet', async (t) => {
  const upstream = await startUpstream(t);
  const seen: GuardedCall[] = [];
  const road = {
    decide: async (call: GuardedCall) => {
      seen.push(call);
      const verdict: Verdict = { kind: 'split', reasons: ['visible-recipients'] };
      return decide(verdict, { action: 'keep', kept: 'k-1' });
    },
  };
  const gate = await startGate(t, upstream.baseUrl, { road });
  const headers = { 'content-encoding': 'gzip', 'x-other': 'a', 'user-agent': 'sendgrid/8' };
  const response = await send(gate, { body: gzipSync(BODY), headers });
  assert.equal(response.status, 202);
  assert.equal(response.headers.get('x-message-id'), 'k-1');
  assert.equal(await response.text(), '');
  assert.equal(upstream.calls.length, 0);
  const bytes = seen[0]?.keep() ?? Buffer.alloc(0);
  const kept = decodeKept(createSendgridAdapter({ approvedTemplates: [] }), bytes);
  assert.equal(kept.body.toString(), BODY, 'decompressed');
  assert.equal(kept.path, '/v3/mail/send');
  assert.deepEqual(Object.keys(kept.headers).sort(), ['accept', 'content-type', 'user-agent']);
  assert.doesNotMatch(bytes.toString('latin1'), /SG\.ours/);
});

test('in warn mode the call goes on and the caller is told what would have stopped it', async (t) => {
  const upstream = await startUpstream(t);
  const verdict: Verdict = { kind: 'refuse', reasons: ['visible-recipients', 'placeholder'] };
  for (const [mode, warning] of [
    ['warn', 'visible-recipients,placeholder'],
    ['shadow', null],
  ] as const) {
    const check = async () => decide(verdict, { action: 'forward', mode });
    const response = await send(await startGate(t, upstream.baseUrl, { check }));
    assert.equal(response.status, 202);
    assert.equal(response.headers.get('x-undisclosed-warning'), warning);
  }
  assert.equal(upstream.calls.length, 2);
});

test('a call that cannot be read stops in enforce mode alone; on trial it goes on and is recorded', async (t) => {
  const upstream = await startUpstream(t);
  const unknown = BODY.replace('{', '{"Unknown":1,');
  const judged: number[] = [];
  for (const [mode, status, warning] of [
    ['enforce', 400, null],
    ['shadow', 202, null],
    ['warn', 202, 'unreadable'],
  ] as const) {
    const gate = await startGate(t, upstream.baseUrl, {
      callers: () => identityOf('shop', 'bulk', { mode }),
      check: async (copies) => {
        judged.push(copies.length);
        return decide(PASS, { mode });
      },
    });
    const response = await send(gate, { body: unknown });
    assert.equal(response.status, status, mode);
    assert.equal(response.headers.get('x-undisclosed-warning'), warning);
  }
  assert.deepEqual(judged, [1, 1]);
  assert.deepEqual(
    upstream.calls.map(({ body }) => body.toString()),
    [unknown, unknown],
  );
});

test('an adapter that signs bodies is given the body as it came before anything is judged', async (t) => {
  const upstream = await startUpstream(t);
  const seen: Buffer[] = [];
  const adapter: ProviderAdapter = {
    ...createSendgridAdapter({ approvedTemplates: [] }),
    signsBody: true,
    authenticate: async ({ body, headers }, callers) => {
      seen.push(body);
      return headers['x-signed'] === undefined ? null : callers('SG.ours');
    },
    sign: ({ body }) => ({ 'x-length': String(body.length) }),
  };
  const gate = await startGate(t, upstream.baseUrl, { adapter });
  const zipped = gzipSync(BODY);
  const headers = { 'content-encoding': 'gzip' };
  assert.equal((await send(gate, { body: zipped, headers })).status, 401);
  const signed = { ...headers, 'x-signed': '1' };
  assert.equal((await send(gate, { body: zipped, headers: signed })).status, 202);
  assert.deepEqual(seen, [zipped, zipped]);
  assert.equal(upstream.calls.length, 1);
  assert.equal(upstream.calls[0]?.headers['x-length'], String(zipped.length));
});

test('only calls with a key of ours are read, and only POST /v3/mail/send', async (t) => {
  const upstream = await startUpstream(t);
  const gate = await startGate(t, upstream.baseUrl);
  const statuses: Record<string, number> = {};
  const note = async (name: string, answer: Promise<Response>) => {
    const response = await answer;
    statuses[name] = response.status;
    await readError(response);
  };
  await note('wrong key', send(gate, { headers: { authorization: 'Bearer SG.theirs' } }));
  await note('no key', send(gate, { headers: { authorization: '' } }));
  await note('basic', send(gate, { headers: { authorization: 'Basic U0cub3Vycw==' } }));
  await note('other path', send(gate, {}, '/v3/mail/batch'));
  await note('query', send(gate, {}, '/v3/mail/send?a=1'));
  await note('longer path', send(gate, {}, '/v3/mail/send/'));
  await note('double slash', send(gate, {}, '//v3/mail/send'));
  await note('method', send(gate, { method: 'PUT' }));
  await note('subuser', send(gate, { headers: { 'on-behalf-of': 'other' } }));
  await note(
    'form',
    send(gate, { headers: { 'content-type': 'application/x-www-form-urlencoded' } }),
  );
  await note(
    'charset',
    send(gate, { headers: { 'content-type': 'application/json; charset=utf-16' } }),
  );
  await note('coding', send(gate, { headers: { 'content-encoding': 'br' } }));
  await note('no gzip', send(gate, { headers: { 'content-encoding': 'gzip' } }));
  await note('no JSON', send(gate, { body: '{' }));
  await note(
    'two readings',
    send(gate, { body: BODY.replace('{', '{"from":{"email":"a@x.test"},') }),
  );
  assert.deepEqual(statuses, {
    'wrong key': 401,
    'no key': 401,
    basic: 401,
    'other path': 404,
    query: 404,
    'longer path': 404,
    'double slash': 404,
    method: 405,
    subuser: 403,
    form: 415,
    charset: 415,
    coding: 415,
    'no gzip': 415,
    'no JSON': 400,
    'two readings': 400,
  });
  assert.equal(upstream.calls.length, 0);
});

test('a compressed body is inspected as the provider will read it, and goes on compressed', async (t) => {
  const upstream = await startUpstream(t);
  const seen: string[] = [];
  const gate = await startGate(t, upstream.baseUrl, {
    check: async (copies) => {
      seen.push(...copies.flatMap(({ envelope }) => envelope.recipients));
      return decide(PASS);
    },
    limits: { bodyBytesMax: 100_000 },
  });
  const headers = { 'content-encoding': 'gzip' };
  assert.equal((await send(gate, { body: gzipSync(BODY), headers })).status, 202);
  assert.deepEqual(seen, ['ann@x.test']);
  assert.deepEqual(upstream.calls[0]?.body, gzipSync(BODY));
  assert.equal(upstream.calls[0]?.headers['content-encoding'], 'gzip');
  const bomb = gzipSync(Buffer.alloc(200_000, ' '));
  assert.equal((await send(gate, { body: bomb, headers })).status, 415);
  assert.equal(upstream.calls.length, 1);
});

test('a body over the limit is answered 413, announced or not, and memory is bounded for all together', async (t) => {
  const upstream = await startUpstream(t);
  const gate = await startGate(t, upstream.baseUrl, { limits: { bodyBytesMax: 1000 } });
  const big = Buffer.alloc(5000, ' ');
  assert.equal((await send(gate, { body: big })).status, 413);
  const stream = new ReadableStream({
    start(controller) {
      controller.enqueue(big);
      controller.close();
    },
  });
  assert.equal((await send(gate, { body: stream, duplex: 'half' } as RequestInit)).status, 413);
  const full = await startGate(t, upstream.baseUrl, { limits: { heldBytesMax: 100 } });
  assert.equal((await send(full)).status, 503);
  const roomy = await startGate(t, upstream.baseUrl, { limits: { heldBytesMax: 1000 } });
  for (let n = 0; n < 20; n++) assert.equal((await send(roomy)).status, 202, 'room is given back');
});

test('a provider that cannot be reached is 503; one that took the call and gave no answer is 502', async (t) => {
  const closed = await startGate(t, 'http://127.0.0.1:1');
  const unreachable = await send(closed);
  assert.equal(unreachable.status, 503);
  assert.match((await readError(unreachable)).message, /nothing was sent/);

  const cut = await startUpstream(t, (response) => response.destroy());
  const lost = await send(await startGate(t, cut.baseUrl));
  assert.equal(lost.status, 502);
  assert.match((await readError(lost)).message, /may have been sent/);
  assert.equal(cut.calls.length, 1, 'a call whose outcome is unknown is not made again');

  const silent = await startUpstream(t, () => {});
  const late = await startGate(t, silent.baseUrl, { limits: { upstreamTimeoutMs: 100 } });
  assert.equal((await send(late)).status, 502);

  const half = await startUpstream(t, (response) => {
    response.writeHead(202, { 'content-length': 10 });
    response.write('12345');
    setTimeout(() => response.destroy(), 20);
  });
  assert.equal((await send(await startGate(t, half.baseUrl))).status, 502);
});

test('a redirect is not given to the caller, whose package would follow it past the guard', async (t) => {
  const upstream = await startUpstream(t, (response) => {
    response.writeHead(307, { location: 'https://elsewhere.invalid/' }).end();
  });
  const response = await send(await startGate(t, upstream.baseUrl), { redirect: 'manual' });
  assert.equal(response.status, 503);
  assert.equal(response.headers.get('location'), null);
});

test('connections to the provider are used again until they are idle for a second', async (t) => {
  const ports: (number | undefined)[] = [];
  const upstream = await startUpstream(t, (response) => {
    ports.push(response.socket?.remotePort);
    // The second call takes longer than the idle time.
    setTimeout(() => response.writeHead(202).end(), ports.length === 2 ? 1300 : 0);
  });
  const gate = await startGate(t, upstream.baseUrl);
  for (let n = 0; n < 3; n++) assert.equal((await send(gate)).status, 202);
  assert.equal(new Set(ports).size, 1);
  await new Promise((resolve) => setTimeout(resolve, 1300));
  assert.equal((await send(gate)).status, 202);
  assert.equal(new Set(ports).size, 2);
});

test('a provider with which TLS cannot be agreed is 503: nothing was sent', async (t) => {
  const upstream = await startUpstream(t);
  const gate = await startGate(t, upstream.baseUrl.replace('http:', 'https:'));
  assert.equal((await send(gate)).status, 503);
  assert.equal(upstream.calls.length, 0);
});

test('a caller that goes away before the verdict has nothing sent for it', async (t) => {
  const upstream = await startUpstream(t);
  let judged: () => void = () => {};
  let asked: () => void = () => {};
  const wait = new Promise<void>((resolve) => {
    judged = resolve;
  });
  const reached = new Promise<void>((resolve) => {
    asked = resolve;
  });
  const gate = await startGate(t, upstream.baseUrl, {
    check: async () => {
      asked();
      await wait;
      return decide(PASS);
    },
  });
  const aborted = new AbortController();
  const answer = send(gate, { signal: aborted.signal });
  await reached;
  aborted.abort();
  await assert.rejects(answer);
  await new Promise((resolve) => setTimeout(resolve, 50));
  judged();
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(upstream.calls.length, 0);
});

test('two requests in one packet are two calls; bytes that are no HTTP are none', async (t) => {
  const upstream = await startUpstream(t);
  const gate = await startGate(t, upstream.baseUrl);
  const { hostname, port } = new URL(gate.address);
  const head = `POST /v3/mail/send HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer SG.ours\r\nContent-Type: application/json\r\n`;
  const talk = (bytes: string) =>
    new Promise<string>((resolve) => {
      const socket = net.connect(Number(port), hostname, () => socket.write(bytes));
      let text = '';
      socket.on('data', (chunk) => {
        text += chunk;
      });
      socket.on('close', () => resolve(text));
    });
  const one = (more: string) => `${head}${more}Content-Length: ${BODY.length}\r\n\r\n${BODY}`;
  assert.equal(
    (await talk(one('') + one('Connection: close\r\n'))).split('HTTP/1.1 202').length,
    3,
  );
  assert.equal(upstream.calls.length, 2);
  const both = `${head}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`;
  assert.match(await talk(both), /^HTTP\/1\.1 400 /);
  assert.equal(upstream.calls.length, 2);
});

test('a base URL that is not HTTP is a clear fault', async (t) => {
  await assert.rejects(startGate(t, 'api.sendgrid.com'), /base URL/);
});

test('close lets a call under way come to its end', async (t) => {
  const upstream = await startUpstream(t, (response) => {
    setTimeout(() => response.writeHead(202).end(), 200);
  });
  const gate = await startGate(t, upstream.baseUrl);
  const answer = send(gate);
  while (upstream.calls.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  await gate.close();
  assert.equal((await answer).status, 202);
});
