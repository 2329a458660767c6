import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isLoopback } from './loopback.ts';

test('this machine is known by its addresses and one name', () => {
  for (const host of ['127.0.0.1', '127.3.2.1', '::1', 'localhost'])
    assert.equal(isLoopback(host), true, host);
  for (const host of ['0.0.0.0', '::', '10.0.0.1', '128.0.0.1', '', 'mail.example'])
    assert.equal(isLoopback(host), false, host);
});

test('a name that only looks like it is not this machine', () => {
  for (const host of ['127.example', '127.0.0.1.mail.example', 'localhost.example', '127.1'])
    assert.equal(isLoopback(host), false, host);
});
