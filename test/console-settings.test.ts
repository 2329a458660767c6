/** The page’s settings: what is refused, and with which words. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { SettingError } from '../src/base/setting.ts';
import { type Config, toConfig } from '../src/config.ts';

const folder = mkdtempSync(join(tmpdir(), 'undisclosed-config-'));
after(() => rmSync(folder, { recursive: true, force: true }));

function consoleOf(setting: unknown): Config['console'] {
  const file = join(folder, 'config.json');
  writeFileSync(file, JSON.stringify(setting === undefined ? {} : { console: setting }));
  return toConfig({ UNDISCLOSED_CONFIG: file }).console;
}

const TLS = { certificate: '/etc/page.pem', key: '/etc/page.key' };

test('without a setting the page is on a free port of this machine; false is none', () => {
  assert.deepEqual(consoleOf(undefined), {
    listen: { host: '127.0.0.1', port: 0, tls: null },
    origin: null,
  });
  assert.equal(consoleOf(false), null);
});

test('on any but a loopback address it wants a certificate, and its name', () => {
  const origin = 'https://mail.northwind.example:8443';
  const listen = '0.0.0.0:8443';
  const refused = (setting: object, name: string): void => {
    assert.throws(
      () => consoleOf(setting),
      (error) => error instanceof SettingError && error.setting === name,
    );
  };
  refused({ listen, origin }, 'console.listen');
  refused({ listen: 'mail.northwind.example:8443', origin }, 'console.listen');
  refused({ listen, ...TLS }, 'console.origin');
  refused({ listen, certificate: '/etc/page.pem' }, 'console.key');
  assert.equal(consoleOf({ listen, origin, ...TLS })?.origin, origin);
  for (const local of ['127.0.0.1:1', '127.9.9.9:1', 'localhost:1', '[::1]:1'])
    assert.equal(consoleOf({ listen: local })?.listen.port, 1);
});

test('an origin is a scheme, a host and a port, and nothing behind it', () => {
  for (const origin of [
    'mail.example',
    'https://mail.example/',
    'ftp://mail.example',
    'https://mail.example/page',
  ])
    assert.throws(() => consoleOf({ origin }), SettingError, origin);
  assert.throws(() => consoleOf('on'), SettingError);
});
