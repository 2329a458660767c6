/** docs/configure.md names every setting that the code reads, and no other; the example is a configuration that starts. */

import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { toConfig } from '../src/config.ts';

const ROOT = join(import.meta.dirname, '..');
const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8');
const document = read('docs/configure.md');
const EXAMPLE = join(ROOT, 'docs/examples/undisclosed.json');

/** The first cells of a table below a heading. */
function named(heading: string): string[] {
  const section = document.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';
  return [...section.matchAll(/^\| `([^`]+)` \|/gm)].map(([, name]) => name ?? '').sort();
}

/** `env.NAME` and `io.env.NAME` in the sources. */
function variablesRead(text: string): string[] {
  return [...text.matchAll(/\benv\.([A-Z][A-Z0-9_]+)\b/g)].map(([, name]) => name ?? '');
}

/** Names of all properties, `a.b` and `a[].b`, of a JSON value. */
function pathsOf(value: unknown, before = ''): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => pathsOf(item, `${before}[]`));
  if (value === null || typeof value !== 'object') return [];
  return Object.entries(value).flatMap(([name, inner]) => {
    const path = before === '' ? name : `${before}.${name}`;
    return [path, ...pathsOf(inner, path)];
  });
}

/** An object that notes which of its properties are read. */
function watched<T extends object>(value: T, seen: Set<string>, before = ''): T {
  return new Proxy(value, {
    get(target, name) {
      const inner: unknown = Reflect.get(target, name);
      if (typeof name !== 'string' || typeof inner === 'function') return inner;
      const item = Array.isArray(target);
      if (item && name === 'length') return inner;
      const path = item ? `${before}[]` : before === '' ? name : `${before}.${name}`;
      if (!item) seen.add(path);
      return inner !== null && typeof inner === 'object' ? watched(inner, seen, path) : inner;
    },
  });
}

test('every environment variable that the sources read is in the table, and no other', () => {
  assert.deepEqual(variablesRead('x = io.env.SOME_NAME ?? env.OTHER1'), ['SOME_NAME', 'OTHER1']);
  const files = globSync('src/**/*.ts', { cwd: ROOT }).filter((name) => !name.endsWith('.test.ts'));
  const found = new Set(files.flatMap((name) => variablesRead(read(name))));
  assert.ok(found.size > 5, `${found.size} variables found`);
  assert.deepEqual(named('Environment variables'), [...found].sort());
});

test('every setting that the configuration reads from its file is in the table, and no other', () => {
  const seen = new Set<string>();
  const { parse } = JSON;
  const example: unknown = parse(read('docs/examples/undisclosed.json'));
  JSON.parse = () => watched(example as object, seen);
  try {
    toConfig({ UNDISCLOSED_CONFIG: EXAMPLE });
  } finally {
    JSON.parse = parse;
  }
  seen.delete('gates');
  // The other providers have the same settings, which are explained once.
  const asSendgrid = (path: string): string =>
    path.replace(/^gates\.(?:ses|mailgun|postmark)\./, 'gates.sendgrid.');
  const settings = new Set([...seen].map(asSendgrid));
  assert.ok(seen.has('gates.callers[].keySha256'), 'the watch sees nothing');
  assert.deepEqual(named('The file'), [...settings].sort());
  const written = pathsOf(example)
    .filter((path) => path !== 'gates')
    .map(asSendgrid);
  assert.deepEqual([...new Set(written)].sort(), named('The file'));
});

test('the example is read as it says', () => {
  const config = toConfig({ UNDISCLOSED_CONFIG: EXAMPLE });
  assert.equal(config.gates.smtp?.nextHop.tls, 'required');
  assert.equal(config.gates.smtp?.anonymous, 'person');
  assert.equal(config.anchors.length, 2);
  assert.equal(config.origin, 'mail.northwind.example/ledger');
});
