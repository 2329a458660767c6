import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ApiCall } from './adapter.ts';
import { createPostmarkAdapter } from './postmark.ts';
import { readMailboxes } from './postmark-addresses.ts';

const adapter = createPostmarkAdapter({ approvedTemplates: ['welcome', '42'] });
const GOOD = { From: 'news@co.test', To: 'ann@x.test', Subject: 'Hello', TextBody: 'A text.' };

function callOf(path: string, body: unknown): ApiCall {
  const endpoint = adapter.match('POST', path);
  if (endpoint === null || endpoint === 'method-not-allowed') throw new Error('no endpoint');
  const headers = { 'content-type': 'application/json' };
  const bytes = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  return { endpoint, method: 'POST', path, headers, body: bytes };
}

function readCopies(path: string, body: unknown) {
  const reading = adapter.read(callOf(path, body));
  if (reading.kind === 'invalid') assert.fail(JSON.stringify(reading.errors));
  return reading.copies.map(({ envelope, bytes }) => ({
    ...envelope,
    text: Buffer.from(bytes).toString(),
  }));
}

/** Status, code and text of the answer to an invalid call. */
function refusalOf(path: string, body: unknown): readonly [number, number, string] {
  const call = callOf(path, body);
  const reading = adapter.read(call);
  assert.equal(reading.kind, 'invalid', JSON.stringify(body).slice(0, 200));
  const errors = reading.kind === 'invalid' ? reading.errors : [];
  const answer = adapter.invalid(errors, call.endpoint);
  const { ErrorCode, Message } = JSON.parse(answer.body);
  assert.doesNotMatch(answer.body, /@x|x\.test/, 'no address in an error');
  return [answer.status, ErrorCode, Message];
}

test('comma strings: names, quotes and quoted local parts are read; what has two readings is not', () => {
  const emails = (text: string) => readMailboxes(text)?.map(({ email, name }) => [name, email]);
  assert.deepEqual(emails('ann@x.test'), [['', 'ann@x.test']]);
  assert.deepEqual(emails(' Ann A. (Sales) <ann@x.test> , "B, \\"Bo\\"" <bo@x.test>'), [
    ['Ann A. (Sales)', 'ann@x.test'],
    ['B, "Bo"', 'bo@x.test'],
  ]);
  assert.deepEqual(emails('<ann@x.test>'), [['', 'ann@x.test']]);
  assert.deepEqual(emails('"a,b"@x.test,bo@x.test'), [
    ['', '"a,b"@x.test'],
    ['', 'bo@x.test'],
  ]);
  for (const text of [
    'ann@x.test; bo@x.test',
    'ann@x.test bo@x.test',
    'Team: ann@x.test;',
    'ann@x.test (bo@x.test)',
    'bo@x.test <ann@x.test>',
    'Ann <ann@x.test> bo@x.test',
    'Ann <ann@x.test',
    'Ann <<ann@x.test>>',
    '"Ann <ann@x.test>',
    'ann@x.test,',
    'ann@x.test,,bo@x.test',
    'ann@x.test\r\nBcc: bo@x.test',
    'ann@x.test\0',
    '<@relay.test:ann@x.test>',
    '',
  ]) {
    assert.equal(readMailboxes(text), null, text);
  }
});

test('a string of a million spaces, commas or quotes is refused at once', () => {
  const start = performance.now();
  for (const piece of [' ', ',', '"', '\\', 'a <', '"a" ']) {
    assert.equal(readMailboxes(`a${piece.repeat(1_000_000)}`), null);
  }
  assert.ok(performance.now() - start < 2000);
});

test('an item is one message: To and Cc in its header, Bcc on the envelope only', () => {
  const [copy] = readCopies('/email', {
    ...GOOD,
    To: 'Ann <ann@x.test>, bo@x.test',
    Cc: 'cy@x.test',
    Bcc: 'di@x.test',
    ReplyTo: 'help@co.test',
    Headers: [{ Name: 'X-A', Value: 'b' }],
    HtmlBody: '<p>html</p>',
    Tag: 'the-tag',
    Metadata: { key: 'meta-value' },
    TrackOpens: true,
    TrackLinks: 'None',
    MessageStream: 'outbound',
    Attachments: [
      { Name: 'a.txt', Content: 'aGVsbG8=', ContentType: 'text/plain', ContentID: null },
    ],
  });
  assert.deepEqual(copy?.recipients, ['ann@x.test', 'bo@x.test', 'cy@x.test', 'di@x.test']);
  assert.equal(copy?.from, 'news@co.test');
  const text = copy?.text ?? '';
  assert.match(
    text,
    /^To: "Ann" <ann@x\.test>,\r\n bo@x\.test\r\nCc: cy@x\.test\r\nReply-To: help@/m,
  );
  for (const piece of ['X-A: b', '<p>html</p>', 'the-tag', 'meta-value', 'filename="a.txt"'])
    assert.ok(text.includes(piece), piece);
  assert.doesNotMatch(text, /di@x/);
});

test('each item of a batch is a message of its own, in both forms of a batch', () => {
  const two = [GOOD, { ...GOOD, To: 'bo@x.test' }];
  const readers = (path: string, body: unknown) =>
    readCopies(path, body).map(({ recipients }) => recipients);
  assert.deepEqual(readers('/email/batch', two), [['ann@x.test'], ['bo@x.test']]);
  const templated = ['ann@x.test', 'bo@x.test'].map((To) => ({
    From: GOOD.From,
    To,
    TemplateAlias: 'welcome',
    TemplateModel: { list: [{ name: 'model-value' }] },
  }));
  const path = '/email/batchWithTemplates';
  assert.deepEqual(readers(path, { Messages: templated }), [['ann@x.test'], ['bo@x.test']]);
  assert.match(readCopies(path, { Messages: templated })[0]?.text ?? '', /model-value/);
});

test('a template is refused until it is approved, by id or alias', () => {
  const body = { From: GOOD.From, To: GOOD.To, TemplateModel: {} };
  readCopies('/email/withTemplate', { ...body, TemplateId: 42 });
  readCopies('/email/withTemplate', { ...body, TemplateAlias: 'welcome' });
  for (const other of [{ TemplateId: 43 }, { TemplateAlias: 'other' }]) {
    assert.match(refusalOf('/email/withTemplate', { ...body, ...other })[2], /not been approved/);
  }
  assert.match(refusalOf('/email/withTemplate', body)[2], /TemplateId or TemplateAlias/);
  const both = { ...body, TemplateId: 42, TemplateAlias: 'welcome' };
  assert.match(refusalOf('/email/withTemplate', both)[2], /not both/);
  const any = createPostmarkAdapter({ approvedTemplates: 'any' });
  const call = callOf('/email/withTemplate', { ...body, TemplateId: 43 });
  assert.equal(any.read(call).kind, 'copies');
});

test('what is not known, or could name a reader unseen, is refused in the provider’s shape', () => {
  const path = '/email';
  const changes: readonly (readonly [number, object])[] = [
    [300, { to: 'bo@x.test' }],
    [300, { Recipients: ['bo@x.test'] }],
    [300, { Messages: [] }],
    [300, { TemplateId: 42 }],
    [403, { To: ['bo@x.test'] }],
    [300, { To: 'bo@x.test; cy@x.test' }],
    [300, { To: null }],
    [300, { To: '' }],
    [300, { From: 'a@x.test, b@x.test' }],
    [300, { From: null }],
    [300, { TextBody: '' }],
    [300, { Subject: 'a\r\nBcc: bo@x.test' }],
    [300, { Headers: [{ Name: 'To', Value: 'bo@x.test' }] }],
    [300, { Headers: [{ Name: 'resent-to', Value: 'bo@x.test' }] }],
    [300, { Headers: [{ Name: 'X-SMTPAPI', Value: '{}' }] }],
    [300, { Headers: [{ Name: 'X-A:', Value: 'b' }] }],
    [300, { Headers: [{ Name: 'X-A', Value: 'b\nBcc: bo@x.test' }] }],
    [403, { Headers: [{ Name: 'X-A', Value: 'b', More: 'c' }] }],
    [403, { Headers: { 'X-A': 'b' } }],
    [300, { Metadata: { a: 1 } }],
    [300, { Attachments: [{ Name: 'a', Content: '?', ContentType: 'text/plain' }] }],
    [300, { Attachments: [{ Name: 'a', Content: 'aaaa', ContentType: 'text/plain; x=y' }] }],
    [300, { Attachments: [{ Name: 'a', Content: 'aaaa', ContentType: 'a/b', Path: '/x' }] }],
    [300, { To: Array.from({ length: 51 }, (_, n) => `a${n}@x.test`).join(', ') }],
  ];
  for (const [code, change] of changes) {
    assert.deepEqual(refusalOf(path, { ...GOOD, ...change }).slice(0, 2), [422, code]);
  }
  const twice = JSON.stringify(GOOD).replace('{', '{"To":"bo@x.test",');
  assert.equal(refusalOf(path, twice)[1], 402);
  assert.equal(refusalOf(path, '{')[1], 402);
  assert.equal(refusalOf(path, [GOOD])[1], 403);
  assert.equal(refusalOf('/email/batch', GOOD)[1], 403);
  assert.equal(refusalOf('/email/batch', [])[1], 300);
  assert.equal(refusalOf('/email/batch', Array(501).fill(GOOD))[1], 410);
  assert.equal(refusalOf('/email/batchWithTemplates', { Messages: [], Bcc: 'a@x.test' })[1], 403);
  assert.equal(
    refusalOf('/email/batch', [GOOD, { ...GOOD, To: 'x' }])[2].slice(0, 24),
    "Error parsing '1.To': Il",
  );
});

test('only the four endpoints are known', () => {
  for (const path of ['/email/bulk', '/email/', '/Email', '/email?x=1', '/server', '/__proto__']) {
    assert.equal(adapter.match('POST', path), null, path);
  }
  assert.equal(adapter.match('GET', '/email'), 'method-not-allowed');
});

test('private: a message for each reader, once, in batches of at most 500, all else as it was', () => {
  const item = {
    ...GOOD,
    To: '"Ann, A" <ann@x.test>, bo@x.test',
    Cc: 'ANN@x.test, cy@x.test',
    Bcc: 'di@x.test',
    Metadata: { a: 'b' },
  };
  const [call, ...none] = adapter.rewrite(callOf('/email', item), 'private');
  assert.equal(none.length, 0);
  assert.equal(call?.path, '/email/batch');
  assert.equal(call?.readers, 4);
  const { To: _to, Cc: _cc, Bcc: _bcc, ...rest } = item;
  assert.deepEqual(
    JSON.parse(call?.body.toString() ?? ''),
    ['"Ann, A" <ann@x.test>', 'bo@x.test', 'cy@x.test', 'di@x.test'].map((To) => ({ ...rest, To })),
  );
  const many = Array.from({ length: 30 }, (_, n) => ({
    ...GOOD,
    To: Array.from({ length: 50 }, (_, m) => `r${n}-${m}@x.test`).join(','),
  }));
  const calls = adapter.rewrite(callOf('/email/batch', many), 'private');
  assert.deepEqual(
    calls.map(({ readers }) => readers),
    [500, 500, 500],
  );
  const template = { From: 'a@co.test', TemplateAlias: 'welcome', TemplateModel: { n: 1 } };
  const [templated] = adapter.rewrite(
    callOf('/email/withTemplate', { ...template, To: 'ann@x.test,bo@x.test' }),
    'private',
  );
  assert.equal(templated?.path, '/email/batchWithTemplates');
  assert.equal(JSON.parse(templated?.body.toString() ?? '').Messages.length, 2);
});

test('private: attachments that would come to more than 256 MB cannot be cut', () => {
  const Attachments = [
    { Name: 'a', Content: 'A'.repeat(8_000_000), ContentType: 'application/pdf' },
  ];
  const To = Array.from({ length: 50 }, (_, n) => `r${n}@x.test`).join(',');
  const call = callOf('/email', { ...GOOD, To, Attachments });
  assert.throws(() => adapter.rewrite(call, 'private'), { code: 'guard.cannot-cut' });
});

test('private: a Reply-To that names others cannot be cut; a name that holds an address goes', () => {
  const item = { ...GOOD, To: '"bo@x.test" <ann@x.test>, Bo <bo@x.test>' };
  const [call] = adapter.rewrite(callOf('/email', item), 'private');
  assert.deepEqual(
    JSON.parse(call?.body.toString() ?? '').map(({ To }: { To: string }) => To),
    ['ann@x.test', 'Bo <bo@x.test>'],
  );
  const others = { ...item, ReplyTo: 'help@co.test, bo@x.test' };
  assert.throws(() => adapter.rewrite(callOf('/email', others), 'private'), {
    code: 'guard.cannot-cut',
  });
});

test('success has one id: for one message the id, for a batch the id with positions', () => {
  const one = JSON.parse(adapter.accepted('k-1', callOf('/email', GOOD)).body);
  assert.equal(one.MessageID, 'k-1');
  assert.equal(one.To, GOOD.To);
  assert.equal(one.ErrorCode, 0);
  assert.equal(one.Message, 'OK');
  const batch = JSON.parse(adapter.accepted('k-1', callOf('/email/batch', [GOOD, GOOD])).body);
  assert.deepEqual(
    batch.map((it: { MessageID: string }) => it.MessageID),
    ['k-1', 'k-1.1'],
  );
});
