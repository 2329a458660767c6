import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRoute, ROUTE_DEFAULTS } from './route.ts';

test('a route has a host and RFC 5321’s patience unless told otherwise', () => {
  const route = parseRoute('smtp://mail.example');
  assert.deepEqual([route.host, route.port, route.tls], ['mail.example', 25, 'opportunistic']);
  assert.deepEqual(route.timeoutsMs, ROUTE_DEFAULTS.timeoutsMs);
  assert.equal(parseRoute('smtps://mail.example:465').tls, 'implicit');
  assert.equal(parseRoute('smtp://[::1]:2525').host, '::1');
});

test('everything that may be said is taken', () => {
  const route = parseRoute(
    'smtp://h:26?connections=3&tls=required&name=mta.example&connectTimeout=0.5&commandTimeout=2&dotTimeout=9',
  );
  assert.deepEqual(
    [route.port, route.connections, route.tls, route.name, route.timeoutsMs],
    [26, 3, 'required', 'mta.example', { connect: 500, command: 2000, afterDot: 9000 }],
  );
});

test('what is no route is refused with how to write it', () => {
  for (const text of [
    '',
    'mail.example',
    'http://mail.example',
    'smtp://user:secret@mail.example',
    'smtp://h?connections=0',
    'smtp://h?connections=1001',
    'smtp://h?connections=many',
    'smtp://h?tls=perhaps',
    'smtp://h?dotTimeout=never',
    'smtp://h?connection=5',
    'smtp://h:0',
    'smtp://',
    'smtp://h/path',
    'smtp://h?name=a%0d%0aRCPT',
  ])
    assert.throws(
      () => parseRoute(text),
      (error) => {
        const fault = error as { code: string; remedy: string; message: string };
        assert.equal(fault.code, 'route.malformed', text);
        assert.match(fault.remedy, /smtp:\/\/host:port/);
        assert.doesNotMatch(fault.message, /secret/);
        return true;
      },
      text,
    );
});
