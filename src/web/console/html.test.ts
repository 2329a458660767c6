/** What comes from outside stays text, and whatever cannot be seen is shown. */

import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { escapeHtml, html, visible } from './html.ts';

const unescaped = (text: string): string =>
  text
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&');

test('no text becomes markup, and none is lost', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const written = escapeHtml(text);
      assert.doesNotMatch(written, /[<>"']/);
      assert.doesNotMatch(written, /&(?!(?:amp|lt|gt|quot|#39);)/);
      assert.equal(unescaped(written), visible(text));
    }),
  );
});

test('a template escapes texts in content and attributes, and takes its own markup as it is', () => {
  const hostile = `"><script>alert('x')</script>&`;
  const inner = html`<b title="${hostile}">${hostile}</b>`;
  const safe = '&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;';
  assert.equal(String(inner), `<b title="${safe}">${safe}</b>`);
  assert.equal(String(html`<p>${inner}</p>`), `<p>${inner}</p>`);
  assert.equal(
    String(html`${[html`<i>`, 'a<b', 7, null, undefined, false, ['&']]}`),
    '<i>a&lt;b7&amp;',
  );
});

test('nothing but this program makes markup: an object that looks like it is text', () => {
  const forged = { toString: () => '<script>' } as unknown as string;
  assert.throws(() => String(html`${forged}`));
  assert.equal(String(html`${String(forged)}`), '&lt;script&gt;');
});

test('control characters, invisible ones and those that turn the direction of writing are shown', () => {
  assert.equal(visible('invoice\u202efdp.exe'), 'invoice[U+202E]fdp.exe');
  const unseen = ['\u0000', '\u001b', '\u007f', '\u009b', '\u00ad', '\u061c', '\u200b', '\u200f'];
  unseen.push('\u2028', '\u2066', '\u2069', '\ufeff', '\u{e0041}', '\u3164', '\ud800', '\r');
  for (const char of unseen) assert.match(visible(`a${char}b`), /^a\[U\+[0-9A-F]{4,6}\]b$/);
  for (const plain of ['a\tb\nc', 'Zoë', 'Привет', 'مرحبا', '用户', '⚠️'])
    assert.equal(visible(plain), plain);
});

test('every value in an attribute of a template stands between double quotes', () => {
  const unquoted = /<[a-z][^<>]*\s[\w:-]+=(?:\$\{|'\$\{)/;
  const scripted = /\son\w+="|<script(?! (?:defer )?src=)|\sstyle="|javascript:/;
  assert.match('<a href=${x}>', unquoted);
  assert.match('<a onclick="x">', scripted);
  const files = globSync('*.ts', { cwd: import.meta.dirname }).filter(
    (name) => !name.endsWith('.test.ts'),
  );
  assert.ok(files.length > 15);
  for (const name of files) {
    const text = readFileSync(join(import.meta.dirname, name), 'utf8');
    assert.doesNotMatch(text, unquoted, name);
    assert.doesNotMatch(text, scripted, name);
    for (const [, path = ''] of text.matchAll(/\s(?:href|src|action|hx-post)="([^"]*)"/g))
      assert.match(
        path,
        /^(?:\/|#|data:image|\$\{assets\.path|\$\{(?:path|again)\}$)/,
        `${name}: ${path}`,
      );
  }
});
