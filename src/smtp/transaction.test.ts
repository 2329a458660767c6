import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '../base/errors.ts';
import { checkEnvelope, contentNeeds } from './transaction.ts';

test('content with a lone CR, a lone LF or a NUL is never written', () => {
  assert.deepEqual(contentNeeds(Buffer.from('a\r\n\r\nb\r\n')), { eightBit: false });
  for (const text of ['a\n', '\na', 'a\r', 'a\rb', 'a\r\r\n', 'a\0', 'x\r\n.\n', '\r\n\n'])
    assert.throws(
      () => contentNeeds(Buffer.from(text)),
      (error) => error instanceof Fault && error.code === 'smtp.unsafe-content',
      JSON.stringify(text),
    );
});

test('bytes above 127 are seen', () => {
  assert.deepEqual(contentNeeds(Buffer.from('é\r\n')), { eightBit: true });
});

test('an envelope that could say more than its addresses is never written', () => {
  const envelope = (
    from: string,
    ...recipients: string[]
  ): Parameters<typeof checkEnvelope>[0] => ({
    from,
    recipients,
    smtpUtf8: false,
  });
  checkEnvelope(envelope('', 'a@x.test', '"a b"@x.test'));
  for (const bad of ['', 'a@x.test>\r\nRCPT TO:<b@y.test', 'a@x.test> NOTIFY=NEVER', 'a@x.test\n'])
    assert.throws(
      () => checkEnvelope(envelope('s@x.test', bad)),
      (error) => error instanceof Fault && error.code === 'smtp.unsafe-envelope',
      JSON.stringify(bad),
    );
});
