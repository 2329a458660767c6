import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '../../base/errors.ts';
import { identityOf } from '../../guard/identity.ts';
import type { ApiCall } from './adapter.ts';
import { createMailgunAdapter } from './mailgun.ts';
import { readForm, textOf, writeForm } from './multipart-form.ts';

const adapter = createMailgunAdapter({ approvedTemplates: [] });

function callOf(pairs: readonly (readonly [string, string])[], kind = 'messages'): ApiCall {
  const path = `/v3/company.example/${kind}`;
  const endpoint = adapter.match('POST', path);
  assert.ok(endpoint !== null && endpoint !== 'method-not-allowed');
  const { contentType, body } = writeForm(
    pairs.map(([name, text]) => ({
      name,
      fileName: name === 'message' ? 'm' : null,
      contentType: null,
      content: Buffer.from(text),
    })),
    '=_form',
  );
  return { endpoint, method: 'POST', path, headers: { 'content-type': contentType }, body };
}

function fieldsOf(call: Pick<ApiCall, 'headers' | 'body'>): readonly (readonly unknown[])[] {
  const form = readForm(call.headers['content-type'] ?? '', call.body);
  return form.kind === 'form' ? form.fields.map((one) => [one.name, textOf(one)]) : [];
}

const BASE = [
  ['from', 'news@company.example'],
  ['text', 'x'],
] as const;

test('only POST to the two endpoints of a domain is known', () => {
  for (const path of ['/v3/a.example/messages', '/v3/a.example/messages.mime']) {
    assert.equal(adapter.match('GET', path), 'method-not-allowed');
    assert.notEqual(adapter.match('POST', path), null);
  }
  for (const path of [
    '/v3/a.example/messages/',
    '/v3/a.example/messages?to=b@x.test',
    '/v3//messages',
    '/v3/a/b/messages',
    '/v4/a.example/messages',
    '/v3/a.example/Messages',
    '/v3/a.example/mailing_lists',
  ]) {
    assert.equal(adapter.match('POST', path), null, path);
  }
});

test('the key is the password of the user api, and of no other', async () => {
  const ask = async (authorization: string) => {
    const request = {
      method: 'POST',
      path: '/',
      headers: { authorization },
      body: Buffer.alloc(0),
    };
    const callers = (key: string) => (key === 'k:1' ? identityOf('shop', 'bulk') : null);
    return (await adapter.authenticate(request, callers))?.name;
  };
  const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;
  assert.equal(await ask(basic('api:k:1')), 'shop');
  for (const wrong of [basic('api:k'), basic('k:1'), basic('x:k:1'), 'Bearer k:1', '']) {
    assert.equal(await ask(wrong), undefined, wrong);
  }
});

test('in the private shape everybody is in to, with the values they had, the same bytes each time', () => {
  const call = callOf([
    ...BASE,
    ['to', 'Ann <a@x.test>, b@x.test'],
    ['to', 'A@X.test'],
    ['cc', '"b@x.test" <c@x.test>'],
    ['recipient-variables', '{"a@x.test":{"n":12345678901234567890}}'],
  ]);
  const [request, ...more] = adapter.rewrite(call, 'private');
  assert.ok(request !== undefined);
  assert.equal(more.length, 0);
  assert.equal(request.readers, 3);
  assert.deepEqual(fieldsOf(request), [
    ['to', '"Ann" <a@x.test>'],
    ['to', 'b@x.test'],
    ['to', 'c@x.test'],
    ['recipient-variables', '{"a@x.test":{"n":12345678901234567890},"b@x.test":{},"c@x.test":{}}'],
    ['from', 'news@company.example'],
    ['text', 'x'],
  ]);
  assert.deepEqual(adapter.rewrite(call, 'private'), [request]);
  assert.equal(adapter.rewrite(call, 'whole')[0]?.body, call.body);
});

test('what shows several people in every message, or is signed over To, cannot be cut', () => {
  const isFault = (error: unknown) => error instanceof Fault && error.code === 'guard.cannot-cut';
  const people = ['to', 'a@x.test, b@x.test'] as const;
  const reply = callOf([...BASE, people, ['h:Reply-To', 'a@x.test, b@x.test']]);
  assert.throws(() => adapter.rewrite(reply, 'private'), isFault);
  const signed =
    'DKIM-Signature: v=1; a=rsa-sha256; d=company.example; s=x; h=from:to; bh=eA==; b=eA==\r\nFrom: news@company.example\r\nTo: a@x.test, b@x.test\r\n\r\nx\r\n';
  const mime = callOf([people, ['message', signed]], 'messages.mime');
  assert.throws(() => adapter.rewrite(mime, 'private'), isFault);
});

test('answers say whether a delivery may be tried again, and the id of what was taken', () => {
  const call = { method: 'POST', path: '/', headers: {}, body: Buffer.alloc(0), readers: 1 };
  const resultOf = (status: number, text = '') =>
    adapter.resultOf({ status, headers: {}, body: Buffer.from(text) }, call);
  const accepted = resultOf(200, '{"id":"<1@x.test>","message":"Queued. Thank you."}');
  assert.ok(accepted.kind === 'accepted' && accepted.upstreamId === '<1@x.test>');
  assert.ok(resultOf(200, 'no json').kind === 'accepted');
  for (const status of [401, 402, 403, 429, 503]) assert.equal(resultOf(status).kind, 'deferred');
  assert.equal(resultOf(400).kind, 'refused');
  assert.equal(resultOf(500).kind, 'uncertain');
});

test('there is one event for each recipient who got nothing, in the provider’s shape', () => {
  const call = callOf([...BASE, ['to', 'a@x.test, b@x.test'], ['v:order', '17'], ['o:tag', 't']]);
  const failed = {
    call: { ...call, readers: 2 },
    answer: 'HTTP 400',
    kind: 'refused' as const,
    items: null,
  };
  const events = adapter
    .failureEvents(call, [failed], '<id@x.test>', new Date())
    .map(({ body }) => JSON.parse(body)['event-data']);
  assert.deepEqual(
    events.map(({ recipient }) => recipient),
    ['a@x.test', 'b@x.test'],
  );
  assert.deepEqual(
    [events[0].event, events[0].severity, events[0]['delivery-status'].code],
    ['failed', 'permanent', 400],
  );
  assert.deepEqual([events[0]['user-variables'], events[0].tags], [{ order: '17' }, ['t']]);
});

test('a subuser of another account is not passed on', () => {
  assert.equal(adapter.headerProblem?.({ 'x-mailgun-on-behalf-of': 'x' }), 'subuser');
  assert.equal(adapter.headerProblem?.({}), null);
});
