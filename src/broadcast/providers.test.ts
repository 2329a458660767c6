import assert from 'node:assert/strict';
import { test } from 'node:test';
import { providerOf } from './providers.ts';

test('domains of one provider are one provider, others stand for themselves', () => {
  assert.equal(providerOf('gmail.com'), providerOf('googlemail.com'));
  assert.equal(providerOf('hotmail.com'), providerOf('outlook.com'));
  assert.notEqual(providerOf('gmx.de'), providerOf('gmail.com'));
  assert.equal(providerOf('northwind.example'), 'northwind.example');
});

test('a domain named like a property of every object is a domain', () => {
  for (const domain of ['constructor', 'tostring', '__proto__'])
    assert.equal(providerOf(domain), domain);
});
