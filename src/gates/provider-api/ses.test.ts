import assert from 'node:assert/strict';
import { createSecretKey } from 'node:crypto';
import { test } from 'node:test';
import { Fault } from '../../base/errors.ts';
import { judgeCopies } from '../../guard/judge.ts';
import { policyFrom } from '../../policy/policy.ts';
import type { ApiCall } from './adapter.ts';
import { createSesAdapter } from './ses.ts';
import { sigv4Keys } from './sigv4.ts';

const adapter = createSesAdapter({
  approvedTemplates: [],
  keys: sigv4Keys(createSecretKey(Buffer.alloc(32))),
});
const EMAIL = '/v2/email/outbound-emails';
const BULK = '/v2/email/outbound-bulk-emails';
const FROM = { FromEmailAddress: 'news@company.example' };

function callOf(body: object, path = EMAIL): ApiCall {
  const endpoint = adapter.match('POST', path);
  assert.ok(endpoint !== null && endpoint !== 'method-not-allowed');
  return { endpoint, method: 'POST', path, headers: {}, body: Buffer.from(JSON.stringify(body)) };
}

/** `refuse` with the reasons, `invalid` with the place, or `pass`. */
function outcome(body: object, path = EMAIL): string {
  const reading = adapter.read(callOf(body, path));
  if (reading.kind === 'invalid') return `invalid ${reading.errors[0]?.field}`;
  const { verdict } = judgeCopies(reading.copies, { policy: policyFrom('bulk') });
  return verdict.kind === 'pass' ? 'pass' : `${verdict.kind} ${verdict.reasons.join()}`;
}

function raw(lines: readonly string[], more: object = {}, lineEnd = '\r\n'): object {
  const text = [...lines, 'Subject: Hello', '', 'A text.', ''].join(lineEnd);
  return { Content: { Raw: { Data: Buffer.from(text).toString('base64') } }, ...more };
}

const to = (...ToAddresses: string[]) => ({ Destination: { ToAddresses } });

test('of a raw message the header says who sees whom, not Destination', () => {
  const from = 'From: news@company.example';
  const two = to('a@x.test', 'b@x.test');
  assert.equal(outcome(raw([from, 'To: a@x.test'], to('a@x.test'))), 'pass');
  assert.equal(outcome(raw([from, 'To: undisclosed-recipients:;'], two)), 'pass');
  assert.equal(outcome(raw([from, 'To: a@x.test, b@x.test'], two)), 'refuse visible-recipients');
  assert.match(outcome(raw([from, 'To: a@x.test'], two)), /^refuse visible-recipients/);
  assert.match(outcome(raw([from, 'To: a@x.test', 'Bcc: b@x.test'])), /^refuse .*bcc-header/);
});

test('a raw message with LF alone is read as SES takes it; one with both is not', () => {
  const lines = ['From: news@company.example', 'To: a@x.test'];
  assert.equal(outcome(raw(lines, to('a@x.test'), '\n')), 'pass');
  const mixed = Buffer.from(`${lines.join('\r\n')}\r\nSubject: x\r\n\r\nA\nB\r\n`);
  const body = { Content: { Raw: { Data: mixed.toString('base64') } }, ...to('a@x.test') };
  assert.equal(outcome(body), 'refuse bare-line-break');
});

test('FromEmailAddress beside a raw message may show nobody whom its From does not', () => {
  const lines = ['From: Ann <news@company.example>', 'To: a@x.test'];
  const named = (FromEmailAddress: string) => raw(lines, { FromEmailAddress, ...to('a@x.test') });
  assert.equal(outcome(named('Ann <news@company.example>')), 'pass');
  assert.equal(outcome(named('"b@x.test" <news@company.example>')), 'invalid FromEmailAddress');
  const encoded = '=?utf-8?Q?b=40x.test?= <news@company.example>';
  assert.equal(outcome(named(encoded)), 'invalid FromEmailAddress');
});

test('a raw message without any recipient or with too many of them is malformed', () => {
  const from = 'From: news@company.example';
  assert.equal(outcome(raw([from])), 'invalid Destination');
  const many = Array.from({ length: 51 }, (_, n) => `c${n}@x.test`).join(', ');
  assert.equal(outcome(raw([from, `To: ${many}`])), 'invalid Destination');
  assert.equal(outcome(raw([from, 'To: jürgen@x.test'])), 'invalid Destination');
  assert.equal(outcome(raw([from, 'To: a@x.test.'])), 'invalid Destination');
  assert.equal(outcome(raw(['To: a@x.test'])), 'invalid FromEmailAddress');
});

test('bounces, which hold the message, go to nobody but the company', () => {
  const simple = {
    ...FROM,
    Content: { Simple: { Subject: { Data: 'x' }, Body: { Text: { Data: 'A text.' } } } },
    ...to('a@x.test'),
  };
  const feedback = (address: string) => ({ FeedbackForwardingEmailAddress: address });
  assert.equal(outcome({ ...simple, ...feedback('bounce@company.example') }), 'pass');
  assert.match(outcome({ ...simple, ...feedback('b@y.test') }), /^refuse foreign-address-header/);
});

test('SES’s own unsubscribe tag is a link where a list is named, else a placeholder', () => {
  const Body = { Html: { Data: '<a href="{{amazonSESUnsubscribeUrl}}">leave</a>' } };
  const Content = { Simple: { Subject: { Data: 'x' }, Body } };
  const call = { ...FROM, Content, ...to('a@x.test') };
  assert.equal(outcome(call), 'hold placeholder');
  const list = { ListManagementOptions: { ContactListName: 'news' } };
  assert.equal(outcome({ ...call, ...list }), 'pass');
});

test('a body with a name twice, a name in another case, or two contents is malformed', () => {
  const path = EMAIL;
  const twice = { ...callOf({}), body: Buffer.from('{"Content":{},"Content":{}}') };
  assert.equal(adapter.read(twice).kind, 'invalid');
  assert.equal(outcome({ ...FROM, content: {} }, path), 'invalid content');
  const both = { Raw: { Data: '' }, Simple: { Subject: { Data: 'x' }, Body: {} } };
  assert.equal(outcome({ ...FROM, Content: both }), 'invalid Content');
  for (const body of ['', 'null', '[]', '{', '"x"']) {
    assert.equal(adapter.read({ ...callOf({}), body: Buffer.from(body) }).kind, 'invalid');
  }
});

test('what shows several people in every copy, or is signed over To, cannot be cut', () => {
  const Content = { Simple: { Subject: { Data: 'x' }, Body: { Text: { Data: 'x' } } } };
  const ReplyToAddresses = ['a@x.test', 'b@x.test'];
  const call = callOf({ ...FROM, Content, ReplyToAddresses, ...to('a@x.test', 'b@x.test') });
  const isFault = (error: unknown) => error instanceof Fault && error.code === 'guard.cannot-cut';
  assert.throws(() => adapter.rewrite(call, 'private'), isFault);
  assert.equal(adapter.rewrite(call, 'whole').length, 1);
  const signed = raw([
    'DKIM-Signature: v=1; a=rsa-sha256; d=company.example; s=x; h=from:to; bh=eA==; b=eA==',
    'From: news@company.example',
    'To: a@x.test, b@x.test',
  ]);
  assert.throws(() => adapter.rewrite(callOf(signed), 'private'), isFault);
});

test('who is only in Cc or Bcc of a bulk call gets one message in all', () => {
  const entry = (one: string) => ({
    Destination: { ToAddresses: [one], CcAddresses: ['cc@x.test'], BccAddresses: ['a@x.test'] },
  });
  const DefaultContent = { Template: { TemplateContent: { Subject: 'x', Text: 'x' } } };
  const BulkEmailEntries = [entry('a@x.test'), entry('b@x.test')];
  const call = callOf({ ...FROM, DefaultContent, BulkEmailEntries }, BULK);
  const readers = adapter.rewrite(call, 'private').map(({ body }) => {
    const { BulkEmailEntries: entries } = JSON.parse(body.toString());
    return JSON.stringify(entries.map((one: { Destination: object }) => one.Destination));
  });
  const alone = (one: string) => `[{"ToAddresses":["${one}"]}]`;
  assert.deepEqual(readers, ['a@x.test', 'b@x.test', 'cc@x.test'].map(alone));
  assert.deepEqual(adapter.rewrite(call, 'private'), adapter.rewrite(call, 'private'));
});

test('the region of the signature is the one of the host it goes to', () => {
  const sign = (host: string, credential = 'AKID:secret') => {
    const call = { method: 'POST', path: EMAIL, headers: {}, body: Buffer.from('{}'), readers: 1 };
    const target = { url: new URL(`https://${host}${EMAIL}`), credential, now: new Date() };
    return /AKID\/\d{8}\/([^/]+)\/ses/.exec(adapter.sign(call, target).authorization ?? '')?.[1];
  };
  assert.equal(sign('email.ap-southeast-2.amazonaws.com'), 'ap-southeast-2');
  assert.equal(sign('email-fips.us-gov-west-1.amazonaws.com'), 'us-gov-west-1');
  assert.equal(sign('localhost:1'), 'us-east-1');
  assert.throws(() => sign('localhost:1', 'secret'), Fault);
});

test('one entry of a bulk answer says what became of it; an answer without one is uncertain', () => {
  const call = { method: 'POST', path: BULK, headers: {}, body: Buffer.alloc(0), readers: 1 };
  const kindOf = (Status: string | null) => {
    const results = Status === null ? [] : [{ Status, MessageId: 'm' }];
    const body = Buffer.from(JSON.stringify({ BulkEmailEntryResults: results }));
    return adapter.resultOf({ status: 200, headers: {}, body }, call).kind;
  };
  assert.equal(kindOf('SUCCESS'), 'accepted');
  assert.equal(kindOf('ACCOUNT_THROTTLED'), 'deferred');
  assert.equal(kindOf('MESSAGE_REJECTED'), 'refused');
  assert.equal(kindOf(null), 'uncertain');
});

test('an event says in the provider’s shape who got nothing', () => {
  const call = callOf({ ...FROM, Content: {}, ...to('a@x.test') });
  const failed = { call: { ...call, readers: 1 }, answer: 'HTTP 400', items: null };
  const at = new Date('2026-03-01T12:00:00Z');
  const event = (kind: 'refused' | 'uncertain') =>
    JSON.parse(adapter.failureEvents(call, [{ ...failed, kind }], 'id', at)[0]?.body ?? '');
  assert.equal(event('refused').bounce.bouncedRecipients[0].emailAddress, 'a@x.test');
  assert.deepEqual(event('refused').mail.destination, ['a@x.test']);
  assert.equal(event('refused').mail.messageId, 'id');
  assert.equal(event('uncertain').bounce.bounceType, 'Undetermined');
});
