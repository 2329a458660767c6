/** docs/configure.md names every setting that the code reads, and no other; the example is a configuration that starts. */

import assert from 'node:assert/strict';
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
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

const folder = mkdtempSync(join(tmpdir(), 'undisclosed-settings-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** What reading this configuration says; empty where nothing is wrong with it. */
function complaint(file: object): string {
  const path = join(folder, 'config.json');
  writeFileSync(path, JSON.stringify(file));
  try {
    toConfig({ UNDISCLOSED_CONFIG: path });
    return '';
  } catch (error) {
    const { message, remedy } = error as { message: string; remedy?: string };
    return `${message} (${remedy ?? ''})`;
  }
}

type Json = Record<string, unknown>;
const example = (): Json => JSON.parse(read('docs/examples/undisclosed.json')) as Json;

/** Every object of the example, with its place. */
function objectsIn(
  value: unknown,
  at: string,
): readonly { readonly at: string; readonly object: Json }[] {
  if (Array.isArray(value)) return value.flatMap((item, i) => objectsIn(item, `${at}.${i}`));
  if (value === null || typeof value !== 'object') return [];
  const inner = Object.entries(value).flatMap(([name, item]) =>
    objectsIn(item, at === '' ? name : `${at}.${name}`),
  );
  return [{ at, object: value as Json }, ...inner];
}

test('every documented name is taken, and each of them misspelt is an error that names it and the right one', () => {
  assert.equal(complaint(example()), '');
  let tried = 0;
  const whole = example();
  for (const { at, object } of objectsIn(whole, ''))
    for (const [name, value] of Object.entries(object)) {
      const wrong = `${name.slice(0, -1)}${name.endsWith('x') ? 'y' : 'x'}`;
      delete object[name];
      object[wrong] = value;
      const said = complaint(whole);
      delete object[wrong];
      object[name] = value;
      const place = at === '' ? wrong : `${at}.${wrong}`;
      assert.equal(said, `${place}: there is no such setting (${name} is meant?)`);
      tried++;
    }
  assert.ok(tried >= named('The file').length, `${tried} names tried`);
  assert.equal(complaint(whole), '');
});

test('a name that is like none says which there are', () => {
  const said = complaint({ gates: { smtp: { listen: '127.0.0.1:1', nextHop: 'a:1', zebra: 1 } } });
  assert.match(
    said,
    /^gates\.smtp\.zebra: there is no such setting \(there are listen, certificate/,
  );
});

test('a wrong value is an error that names its place and what is wanted', () => {
  const smtp = { listen: '127.0.0.1:1', nextHop: 'relay.example:25' };
  const milter = { listen: '127.0.0.1:2' };
  const wrong: readonly (readonly [object, RegExp])[] = [
    [{ gates: 3 }, /^gates: an object is wanted/],
    [{ gates: { smtp: 'on' } }, /^gates\.smtp: an object is wanted \(write it in braces/],
    [{ gates: { milter: null } }, /^gates\.milter: an object is wanted/],
    [{ gates: { callers: ['news'] } }, /^gates\.callers\.0: an object is wanted/],
    [{ gates: { milter: { ...milter, mask: 'yes' } } }, /^gates\.milter\.mask: true or false/],
    [{ gates: { hold: { hours: 0 } } }, /^gates\.hold\.hours: a whole number is wanted, 1 to 8760/],
    [{ gates: { hold: { hours: 1.5 } } }, /^gates\.hold\.hours: /],
    [{ gates: { hold: { hours: '72' } } }, /^gates\.hold\.hours: /],
    [{ gates: { hold: { hours: 8761 } } }, /^gates\.hold\.hours: /],
    [
      { gates: { smtp: { ...smtp, returnPath: 'b@c.example' } } },
      /^gates\.smtp\.returnPath: a domain/,
    ],
    [{ gates: { smtp: { ...smtp, returnPath: 'münchen.example' } } }, /A-labels/],
    [
      { gates: { smtp: { ...smtp, returnPath: 'a.example>\r\nRCPT' } } },
      /^gates\.smtp\.returnPath: /,
    ],
    [{ gates: { smtp: { ...smtp, returnPath: true } } }, /^gates\.smtp\.returnPath: /],
  ];
  for (const [file, wanted] of wrong) assert.match(complaint(file), wanted);
  const right = {
    gates: {
      smtp: { ...smtp, returnPath: 'Bounces.xn--mnchen-3ya.example' },
      milter: { ...milter, mask: true },
      hold: { hours: 24 },
    },
  };
  assert.equal(complaint(right), '');
});
