import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NO_EXTENSIONS, offeredLines, readExtensions } from './extensions.ts';

function reply(lines: readonly string[]): Parameters<typeof readExtensions>[0] {
  return { code: 250, enhanced: '', lines, text: lines.join(' ') };
}

test('keywords are read in any case, and the greeting line is none of them', () => {
  const found = readExtensions(reply(['PIPELINING.test', 'size 1000', 'SmtpUtf8', 'auth plain x']));
  assert.equal(found.pipelining, false);
  assert.equal(found.smtpUtf8, true);
  assert.equal(found.sizeBytesMax, 1000);
  assert.deepEqual(found.auth, ['PLAIN', 'X']);
});

test('SIZE without a number is no limit, no SIZE is not the same', () => {
  assert.equal(readExtensions(reply(['x', 'SIZE'])).sizeBytesMax, 0);
  assert.equal(readExtensions(reply(['x'])).sizeBytesMax, -1);
  assert.deepEqual(readExtensions(reply(['x'])), NO_EXTENSIONS);
});

test('AUTH in the old spelling is read too', () => {
  assert.deepEqual(readExtensions(reply(['x', 'AUTH=LOGIN', 'AUTH PLAIN'])).auth, [
    'LOGIN',
    'PLAIN',
  ]);
});

test('CHUNKING is never offered', () => {
  const lines = offeredLines({ name: 'x', sizeBytesMax: 1, startTls: true, auth: true });
  assert.ok(lines.includes('PIPELINING'));
  assert.ok(!lines.includes('CHUNKING'));
});
