import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  afterAuth,
  newSession,
  recipientsOf,
  type SessionSettings,
  type SessionState,
  type Step,
  step,
} from './session.ts';

const SETTINGS: SessionSettings = {
  name: 'gate.test',
  sizeBytesMax: 1000,
  recipientsMax: 3,
  errorsMax: 5,
  tlsOffered: true,
  authOffered: true,
  authInClear: false,
  authRequired: false,
};

/** Runs lines from a state; the codes of all replies and the last step. */
function run(
  lines: readonly string[],
  settings: SessionSettings = SETTINGS,
  from: SessionState = newSession(false),
): { codes: string; last: Step } {
  let last: Step = { state: from, reply: null, action: { kind: 'none' } };
  const codes: string[] = [];
  for (const line of lines) {
    last = step(last.state, Buffer.from(line), settings);
    codes.push(String(last.reply?.code ?? '-'));
  }
  return { codes: codes.join(' '), last };
}

const EHLO = 'EHLO c.test';
const MAIL = 'MAIL FROM:<a@x.test>';
const RCPT = 'RCPT TO:<b@y.test>';

test('a whole transaction asks for the content once', () => {
  const { codes, last } = run([EHLO, MAIL, RCPT, 'RCPT TO:<c@y.test>', 'DATA']);
  assert.equal(codes, '250 250 250 250 354');
  assert.equal(last.action.kind, 'read-data');
  assert.deepEqual(
    recipientsOf(last.state).map((recipient) => recipient.address),
    ['b@y.test', 'c@y.test'],
  );
});

test('commands out of order are 503 and change nothing', () => {
  assert.equal(run([MAIL]).codes, '503');
  assert.equal(run([EHLO, RCPT]).codes, '250 503');
  assert.equal(run([EHLO, 'DATA']).codes, '250 503');
  assert.equal(run([EHLO, MAIL, 'DATA']).codes, '250 250 554');
  assert.equal(run([EHLO, MAIL, MAIL, RCPT, 'DATA']).codes, '250 250 503 250 354');
});

test('RSET and EHLO forget the transaction', () => {
  for (const reset of ['RSET', EHLO]) {
    const { last } = run([EHLO, MAIL, RCPT, reset]);
    assert.equal(last.state.mail, null);
    assert.equal(last.state.recipients, null);
  }
});

test('a state once given is never changed by later steps', () => {
  const before = run([EHLO, MAIL, RCPT]).last.state;
  const copy = structuredClone(before);
  step(before, Buffer.from('RCPT TO:<c@y.test>'), SETTINGS);
  step(before, Buffer.from('RSET'), SETTINGS);
  assert.deepEqual(structuredClone(before), copy);
});

test('one recipient too many refuses the whole transaction, so that no client sends the rest later', () => {
  const recipients = [1, 2, 3, 4].map((n) => `RCPT TO:<r${n}@y.test>`);
  assert.equal(run([EHLO, MAIL, ...recipients, 'DATA']).codes, '250 250 250 250 250 550 550');
  assert.equal(
    run([EHLO, MAIL, ...recipients, 'RSET', MAIL, RCPT, 'DATA']).codes.slice(-15),
    '250 250 250 354',
  );
});

test('10,000 recipients cost the same each', () => {
  const started = performance.now();
  const lines = Array.from({ length: 10_000 }, (_, n) => `RCPT TO:<r${n}@y.test>`);
  const { last } = run([EHLO, MAIL, ...lines], { ...SETTINGS, recipientsMax: 10_000 });
  assert.equal(recipientsOf(last.state).length, 10_000);
  assert.ok(performance.now() - started < 1000);
});

test('STARTTLS forgets everything said before it, and comes once', () => {
  const { last } = run([EHLO, 'STARTTLS']);
  assert.equal(last.reply?.code, 220);
  assert.equal(last.action.kind, 'start-tls');
  assert.equal(last.state.greeted, '');
  assert.equal(last.state.secure, true);
  assert.equal(run([EHLO, 'STARTTLS'], SETTINGS, newSession(true)).codes, '250 503');
  assert.equal(run([EHLO, MAIL, 'STARTTLS']).codes, '250 250 503');
});

test('AUTH is neither offered nor taken in clear', () => {
  const plain = run([EHLO, 'AUTH PLAIN AGEAYg==']);
  assert.equal(plain.codes, '250 538');
  assert.ok(!run([EHLO]).last.reply?.lines.some((line) => line.startsWith('AUTH')));
  const secure = run([EHLO], SETTINGS, newSession(true));
  assert.ok(secure.last.reply?.lines.includes('AUTH PLAIN LOGIN'));
});

test('AUTH PLAIN and AUTH LOGIN give user and password', () => {
  const credentials = { kind: 'authenticate', user: 'a', password: 'b' };
  for (const lines of [
    ['AUTH PLAIN AGEAYg=='],
    ['AUTH PLAIN', 'AGEAYg=='],
    ['AUTH LOGIN', 'YQ==', 'Yg=='],
    ['auth login YQ==', 'Yg=='],
  ]) {
    const { last } = run([EHLO, ...lines], SETTINGS, newSession(true));
    assert.deepEqual(last.action, credentials);
    assert.equal(last.reply, null);
    assert.equal(last.state.expects, 'command');
    assert.equal(afterAuth(last.state, true, SETTINGS).reply?.code, 235);
    assert.equal(afterAuth(last.state, false, SETTINGS).state.authenticated, false);
  }
});

test('AUTH that is malformed, given up or for somebody else is refused', () => {
  const secure = newSession(true);
  assert.equal(run([EHLO, 'AUTH PLAIN', '*'], SETTINGS, secure).codes, '250 334 501');
  assert.equal(run([EHLO, 'AUTH PLAIN !!'], SETTINGS, secure).codes, '250 501');
  assert.equal(run([EHLO, 'AUTH PLAIN YQBiAGM='], SETTINGS, secure).codes, '250 501');
  assert.equal(run([EHLO, 'AUTH CRAM-MD5'], SETTINGS, secure).codes, '250 504');
});

test('MAIL waits for AUTH where it is required', () => {
  const settings = { ...SETTINGS, authRequired: true };
  assert.equal(run([EHLO, MAIL], settings).codes, '250 530');
  const authenticated = { ...newSession(true), authenticated: true };
  assert.equal(run([EHLO, MAIL], settings, authenticated).codes, '250 250');
});

test('an announced size above the limit is refused at MAIL', () => {
  assert.equal(run([EHLO, `${MAIL} SIZE=1001`]).codes, '250 552');
  assert.equal(run([EHLO, `${MAIL} SIZE=1000`]).codes, '250 250');
});

test('a recipient outside ASCII needs SMTPUTF8 at MAIL', () => {
  assert.equal(run([EHLO, MAIL, 'RCPT TO:<ü@y.test>']).codes, '250 250 553');
  assert.equal(run([EHLO, `${MAIL} SMTPUTF8`, 'RCPT TO:<ü@y.test>']).codes, '250 250 250');
});

test('too many errors end the connection', () => {
  const { codes, last } = run(['X', 'X', 'X', 'X', 'X']);
  assert.equal(codes, '500 500 500 500 421');
  assert.equal(last.action.kind, 'close');
});

test('VRFY tells nobody who exists', () => {
  assert.equal(run(['VRFY somebody']).codes, '252');
  assert.equal(run(['EXPN list']).codes, '500');
});
