/** Which requests come from a page of ours. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allowedOrigins, checkHost, checkOrigin, cookieOf, WrongTokens } from './access.ts';

const local = allowedOrigins('http://127.0.0.1:8443', true, null);
const behind = allowedOrigins('http://127.0.0.1:8443', true, 'https://mail.northwind.example');
const open = allowedOrigins('https://192.0.2.1:8443', false, 'https://mail.northwind.example:8443');

const hostIs = (host: string | undefined, origins: ReadonlySet<string>): boolean => {
  try {
    checkHost(host, origins);
    return true;
  } catch {
    return false;
  }
};

test('a host is one of its own, to the letter', () => {
  for (const host of ['127.0.0.1:8443', 'localhost:8443', '[::1]:8443'])
    assert.ok(hostIs(host, local), host);
  for (const host of [
    '127.0.0.1',
    '127.0.0.2:8443',
    'localhost:84',
    'localhost.evil.example:8443',
    '',
    undefined,
  ])
    assert.ok(!hostIs(host, local), String(host));
  assert.ok(hostIs('mail.northwind.example', behind));
  assert.ok(hostIs('mail.northwind.example:8443', open));
  assert.ok(!hostIs('192.0.2.1:8443', open), 'by its name only');
});

test('a form comes from one of its origins; what a browser does not say has to be said by Sec-Fetch-Site', () => {
  const passes = (headers: Record<string, string>): boolean => {
    try {
      checkOrigin(headers, local);
      return true;
    } catch {
      return false;
    }
  };
  const own = 'http://localhost:8443';
  assert.ok(passes({ origin: own }));
  assert.ok(passes({ origin: own, 'sec-fetch-site': 'same-origin' }));
  assert.ok(passes({ origin: 'null', 'sec-fetch-site': 'same-origin' }));
  assert.ok(passes({ 'sec-fetch-site': 'same-origin' }));
  assert.ok(!passes({}));
  assert.ok(!passes({ origin: 'null' }));
  assert.ok(!passes({ origin: 'https://localhost:8443' }));
  assert.ok(
    !passes({ origin: own, 'sec-fetch-site': 'same-site' }),
    'another port of this machine',
  );
  assert.ok(!passes({ 'sec-fetch-site': 'none' }));
});

test('a cookie is found among others, by its whole name', () => {
  const headers = { cookie: 'a=1; xundisclosed-console=bad; undisclosed-console=good; b=2' };
  assert.equal(cookieOf(headers, 'undisclosed-console'), 'good');
  assert.equal(cookieOf(headers, 'c'), '');
  assert.equal(cookieOf({}, 'a'), '');
});

test('ten wrong links a minute from one address, and not one for another’s', () => {
  const wrong = new WrongTokens();
  for (let i = 0; i < 10; i++) {
    wrong.check('192.0.2.1', 1000);
    wrong.count('192.0.2.1', 1000);
  }
  assert.throws(() => wrong.check('192.0.2.1', 2000), { code: 'console.too-many' });
  wrong.check('192.0.2.2', 2000);
  wrong.check('192.0.2.1', 62_000);
});
