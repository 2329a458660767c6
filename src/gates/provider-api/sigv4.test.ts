import assert from 'node:assert/strict';
import { createSecretKey } from 'node:crypto';
import { test } from 'node:test';
import { signSigV4, sigv4Keys, verifySigV4 } from './sigv4.ts';

const KEYS = sigv4Keys(createSecretKey(Buffer.alloc(32, 7)));
const KEY = KEYS.issue('shop');
const NOW = new Date('2026-03-01T12:00:00Z');
const URL_OF_EMAIL = new URL('https://email.eu-west-1.amazonaws.com/v2/email/outbound-emails');
const BODY = Buffer.from('{"Content":{}}');

function request(
  change: {
    readonly headers?: Readonly<Record<string, string>>;
    readonly method?: string;
    readonly path?: string;
    readonly body?: Buffer;
    readonly at?: Date;
    readonly service?: string;
  } = {},
): Parameters<typeof verifySigV4>[0] {
  const headers = { 'content-type': 'application/json' };
  const signed = signSigV4({ method: 'POST', url: URL_OF_EMAIL, headers, body: BODY }, KEY, {
    service: change.service ?? 'ses',
    region: 'eu-west-1',
    now: change.at ?? NOW,
  });
  return {
    method: change.method ?? 'POST',
    path: change.path ?? '/v2/email/outbound-emails',
    headers: { ...headers, host: URL_OF_EMAIL.host, ...signed, ...change.headers },
    body: change.body ?? BODY,
  };
}

function outcome(given: Parameters<typeof verifySigV4>[0]): string {
  const check = verifySigV4(given, 'ses', KEYS.secretOf, NOW);
  return check.kind === 'valid' ? `${check.accessKeyId} ${check.region}` : check.code;
}

test('the request "get-vanilla" of the published test suite of AWS has its published signature', () => {
  const headers = {
    host: 'example.amazonaws.com',
    'x-amz-date': '20150830T123600Z',
    authorization:
      'AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31',
  };
  const check = verifySigV4(
    { method: 'GET', path: '/', headers, body: Buffer.alloc(0) },
    'service',
    () => 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
    new Date('2015-08-30T12:36:00Z'),
  );
  assert.equal(check.kind, 'valid');
});

test('what was signed with a key of ours is valid in any region, within five minutes', () => {
  assert.equal(outcome(request()), `${KEY.accessKeyId} eu-west-1`);
  const minutes = (count: number) => new Date(NOW.getTime() + count * 60_000);
  assert.notEqual(outcome(request({ at: minutes(-5) })), 'RequestExpired');
  assert.notEqual(outcome(request({ at: minutes(5) })), 'RequestExpired');
  assert.equal(outcome(request({ at: minutes(-5.1) })), 'RequestExpired');
  assert.equal(outcome(request({ at: minutes(5.1) })), 'RequestExpired');
});

test('another method, path, host, date or body than the signed one is refused', () => {
  for (const changed of [
    { method: 'PUT' },
    { path: '/v2/email/outbound-bulk-emails' },
    { path: '/v2/email/outbound-emails?x=1' },
    { headers: { host: 'elsewhere.example' } },
    { headers: { 'content-type': 'application/x' } },
    { headers: { 'x-amz-date': '20260301T120001Z' } },
    { body: Buffer.from('{"Content":{ }}') },
  ]) {
    assert.equal(outcome(request(changed)), 'InvalidSignature', JSON.stringify(changed));
  }
  const { 'x-amz-content-sha256': _, ...headers } = request().headers;
  assert.equal(outcome({ ...request(), headers }), 'IncompleteSignature', 'a signed field is gone');
});

test('an unsigned payload, an unsigned X-Amz field, another service and a session are refused', () => {
  const unsigned = { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' };
  assert.equal(outcome(request({ headers: unsigned })), 'InvalidSignature');
  assert.equal(outcome(request({ headers: { 'x-amz-target': 'x' } })), 'IncompleteSignature');
  assert.equal(outcome(request({ service: 's3' })), 'UnrecognizedClient');
  assert.equal(outcome({ ...request(), headers: {} }), 'MissingAuthenticationToken');
  for (const authorization of ['Bearer x', 'AWS4-HMAC-SHA256 Credential=a', '']) {
    assert.equal(outcome(request({ headers: { authorization } })), 'IncompleteSignature');
  }
});

test('keys have the form AWS gives its own, differ, and keep no secret anywhere', () => {
  const other = KEYS.issue('shop');
  assert.match(KEY.accessKeyId, /^UD[A-Z2-7]{18}$/);
  assert.notEqual(other.accessKeyId, KEY.accessKeyId);
  assert.notEqual(other.secret, KEY.secret);
  assert.equal(KEYS.secretOf(KEY.accessKeyId), KEY.secret);
  assert.equal(KEYS.secretOf('AKIAIOSFODNN7EXAMPLE'), null);
  const changed = sigv4Keys(createSecretKey(Buffer.alloc(32, 8)));
  assert.notEqual(changed.secretOf(KEY.accessKeyId), KEY.secret);
});
