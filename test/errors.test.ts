/** docs/reference/errors.md and the code name the same fault codes, in both directions. */

import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const ROOT = join(import.meta.dirname, '..');
const CODE = /'([a-z][a-z0-9]*(?:[.-][a-z0-9]+)*)'/g;

/** First arguments of `new Fault(…)`: up to the first comma that stands in no text and no bracket. */
function firstArguments(text: string): string[] {
  return [...text.matchAll(/\bnew Fault\(/g)].map((match) => {
    const from = (match.index ?? 0) + match[0].length;
    let depth = 0;
    let quote = '';
    for (let at = from; at < text.length; at++) {
      const char = text.charAt(at);
      if (quote !== '') quote = char === quote ? '' : quote;
      else if (`'"\``.includes(char)) quote = char;
      else if ('([{'.includes(char)) depth++;
      else if (char === ',' && depth === 0) return text.slice(from, at).trim();
      else if (')]}'.includes(char) && depth-- === 0) return text.slice(from, at).trim();
    }
    return '';
  });
}

/** The codes of one source file. A code that is only passed on (`cause.code`) is made elsewhere. */
function codesIn(text: string): string[] {
  return firstArguments(text).flatMap((argument) => {
    const made = /^\w+$/.test(argument)
      ? new RegExp(`\\bconst ${argument}\\b[^=;]*=([^;]*);`).exec(text)?.[1]
      : argument;
    const codes = [...(made ?? '').matchAll(CODE)].map(([, code]) => code ?? '');
    assert.ok(codes.length > 0 || /\.code$/.test(argument), `no code in: new Fault(${argument}`);
    return codes;
  });
}

function codesInSources(): string[] {
  const files = globSync(['src/**/*.ts', 'demo/*.ts'], { cwd: ROOT }).filter(
    (name) => !name.endsWith('.test.ts'),
  );
  const codes = files
    .map((name) => readFileSync(join(ROOT, name), 'utf8'))
    // The class itself, and comments, say `new Fault(` too.
    .map((text) => text.replace(/^\s*(?:\/\/|\*|\/\*).*$/gm, ''))
    .flatMap(codesIn);
  return [...new Set(codes)].sort();
}

function rows(): readonly (readonly string[])[] {
  const document = readFileSync(join(ROOT, 'docs/reference/errors.md'), 'utf8');
  return [...document.matchAll(/^\| `([^`]+)` \| (.*?) \|$/gm)].map(([, code, meaning]) => [
    code ?? '',
    meaning ?? '',
  ]);
}

test('the scan sees codes in one line, in many, in choices and in constants', () => {
  const text = `
    throw new Fault('a.one', 'text, with a comma');
    new Fault(
      'b.two',
      \`x\`,
    );
    new Fault(full ? 'c.three' : 'd.four', why);
    const LONG = 'e.five';
    new Fault(LONG, why);
    const code = early ? 'f.six' : 'g.seven';
    this.end(new Fault(code, why));
    new Fault(cause.code, cause.message);`;
  assert.deepEqual(codesIn(text), [
    'a.one',
    'b.two',
    'c.three',
    'd.four',
    'e.five',
    'f.six',
    'g.seven',
  ]);
  assert.throws(() => codesIn('new Fault(mystery, why)'), /no code in/);
});

test('every fault code of the sources is in the document, and it has no others', () => {
  const found = codesInSources();
  assert.ok(found.length > 100, `${found.length} codes found`);
  const written = rows().map(([code = '']) => code);
  assert.deepEqual(
    found.filter((code) => !written.includes(code)),
    [],
    'codes that docs/reference/errors.md lacks',
  );
  assert.deepEqual(
    written.filter((code) => !found.includes(code)),
    [],
    'codes that no source has',
  );
  assert.equal(new Set(written).size, written.length, 'a code stands twice');
});

test('every code has a meaning', () => {
  for (const [code = '', meaning = ''] of rows()) assert.match(meaning, /^[A-Z“`].{15,}\.$/, code);
});
