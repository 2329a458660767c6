/**
 * The one-way rule of `layers.json`, held by a machine: who may import whom, what the pure folders may not touch,
 * where each npm package lives, and that the linter still holds the rules it is trusted with.
 * Every rule is shown a planted fault first, so that a scanner that sees nothing cannot pass.
 */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { breaches, cyclesIn, type Layers, type Source, scanImports } from './support/imports.ts';

const ROOT = path.dirname(import.meta.dirname);
const layers: Layers = JSON.parse(readFileSync(path.join(ROOT, 'layers.json'), 'utf8'));
const manifest: { dependencies: Record<string, string> } = JSON.parse(
  readFileSync(path.join(ROOT, 'package.json'), 'utf8'),
);
const sources = globSync('src/**/*.ts', { cwd: ROOT })
  .sort()
  .map((file) => source(file, readFileSync(path.join(ROOT, file), 'utf8')));
const runtimePackages = Object.keys(manifest.dependencies);

function source(file: string, text: string): Source {
  return { file, imports: scanImports(text) };
}

/** What the rules say about the real sources plus planted ones. */
function breachesWith(...planted: readonly Source[]): readonly string[] {
  return breaches([...sources, ...planted], layers, runtimePackages);
}

function assertCaught(file: string, text: string, expected: RegExp): void {
  const caught = breachesWith(source(file, text)).filter((line) => line.startsWith(`${file}: `));
  assert.match(caught.join('\n'), expected);
}

describe('the import scanner', () => {
  test('sees every way to import, on one line or several, and no import in a comment or a text', () => {
    const text = [
      "import a from './a.ts';",
      "import type { B } from './b.ts';",
      "import {\n  c,\n  type C2,\n} from './c.ts';",
      "import './d.ts';",
      "export { e } from './e.ts';",
      "export * from './f.ts';",
      "export type * from './f2.ts';",
      "const g = await import('./g.ts');",
      'const h = import("./h.ts");',
      "const i = require('./i.cjs');",
      "type J = import('./j.ts').J;",
      "const k = import.meta.resolve('./k.ts');",
      "// import './comment.ts';",
      "/* import './comment.ts';\n import x from './comment.ts' */",
      'const text = "import y from \'./text.ts\'";',
      "const line = 'https://example.org'; import './after-url.ts';",
    ].join('\n');
    const seen = scanImports(text).map(({ specifier }) => specifier);
    const letters = ['a', 'b', 'c', 'd', 'e', 'f', 'f2', 'g', 'h', 'j', 'k', 'after-url'];
    assert.deepEqual([...seen].sort(), [...letters.map((x) => `./${x}.ts`), './i.cjs'].sort());
  });

  test('sees every source file there is, and imports in most of them', () => {
    const listed = spawnSync('find', ['src', '-name', '*.ts', '-type', 'f'], {
      cwd: ROOT,
      encoding: 'utf8',
    });
    assert.equal(sources.length, listed.stdout.trim().split('\n').length);
    const importing = sources.filter(({ imports }) => imports.length > 0).length;
    assert.ok(importing > sources.length / 2, `${importing} of ${sources.length} import anything`);
  });

  test('sees as many static imports as a plain count of lines does', () => {
    for (const { file, imports } of sources) {
      const text = readFileSync(path.join(ROOT, file), 'utf8');
      const plain = text.match(/^(?:import\b(?!\(|\.)|\} from '|export \* from )[^;]*;$/gm) ?? [];
      assert.ok(
        imports.length >= plain.length,
        `${file}: ${imports.length} seen, ${plain.length} lines`,
      );
    }
  });
});

describe('the folder rule', () => {
  test('a planted upward import is caught, also as a type, dynamically, and from a test', () => {
    const upward = /mail may not import guard/;
    assertCaught('src/mail/planted.ts', "import { judge } from '../guard/judge.ts';", upward);
    assertCaught('src/mail/planted.ts', "import type { J } from '../guard/judge.ts';", upward);
    assertCaught('src/mail/planted.ts', "await import('../guard/judge.ts');", upward);
    assertCaught('src/mail/planted.test.ts', "import '../guard/judge.ts';", upward);
    assertCaught(
      'src/store/planted.ts',
      "import '../ledger/ledger.ts';",
      /store may not import ledger/,
    );
    assertCaught('src/broadcast/planted.ts', "import '../app.ts';", /broadcast may not import app/);
  });

  test('the finer faults are caught too', () => {
    const plant = assertCaught;
    plant('src/mail/planted.ts', "import '../base/clock.ts';", /mail may import base\/errors only/);
    plant('src/web/planted.ts', "import '../gates/provider-api/sendgrid.ts';", /private to gates/);
    plant('src/guard/planted.ts', "import './planted.test.ts';", /imports a test/);
    plant('src/guard/planted.ts', "import '../../test/support/database.ts';", /imports a test/);
    plant('src/guard/planted.ts', "import '../../demo/page.ts';", /guard may not import demo/);
    plant('src/guard/planted.ts', "import './absent.ts';", /no such file/);
    plant('src/guard/planted.ts', 'await import(name);', /computed import/);
    plant('src/utils/planted.ts', '', /folder utils is not in layers.json/);
    plant('src/planted.ts', '', /not in layers.json/);
  });

  test('pure folders may not reach out, and packages stay where they belong', () => {
    const plant = assertCaught;
    plant('src/mail/planted.ts', "import 'node:fs';", /mail is pure and may not import node:fs/);
    plant('src/detect/planted.ts', "import 'node:net';", /pure/);
    plant('src/policy/planted.ts', "import 'node:timers/promises';", /pure/);
    plant('src/mail/planted.ts', "import 'fastify';", /fastify belongs to web, gates/);
    plant('src/ledger/planted.ts', "import pg from 'pg';", /pg belongs to store/);
    plant('src/ledger/planted.ts', "import 'pg-copy-streams';", /belongs to store/);
    plant('src/ledger/planted.ts', "import fc from 'fast-check';", /not a runtime dependency/);
    plant('src/ledger/planted.ts', "import 'fs';", /node:/);
  });

  test('no source breaks it', () => {
    assert.deepEqual(breachesWith(), []);
  });

  test('imports of files go round in no circle', () => {
    const typed = source('src/guard/planted-c.ts', "import type { A } from './planted-c.ts';");
    assert.deepEqual(cyclesIn([typed]), []);
    const a = source('src/guard/planted-a.ts', "import './planted-b.ts';");
    const b = source('src/guard/planted-b.ts', "import './planted-a.ts';");
    const found = cyclesIn([...sources, a, b]);
    assert.ok(found.some((cycle) => cycle.includes(a.file) && cycle.includes(b.file)));
    assert.deepEqual(cyclesIn(sources), []);
  });

  test('every folder of src is in the table, and every row stands below the rows it imports', () => {
    const rows = layers.folders.map(({ name }) => name);
    const present = new Set(
      sources.map(({ file }) => file.split('/')).flatMap((p) => (p.length > 2 ? [p[1]] : [])),
    );
    assert.deepEqual(
      [...present].filter((name) => !rows.includes(name ?? '')),
      [],
    );
    for (const [index, { name, imports }] of layers.folders.entries()) {
      const above = rows.slice(0, index);
      const folders = imports
        .map((each) => each.split('/')[0] ?? '')
        .filter((each) => rows.includes(each));
      assert.deepEqual(
        folders.filter((each) => !above.includes(each)),
        [],
        name,
      );
    }
  });

  test('every runtime dependency has its place', () => {
    assert.deepEqual(runtimePackages.toSorted(), Object.keys(layers.packages).toSorted());
  });
});

describe('the last look', () => {
  test('imports node: modules only, because what inspects shares nothing with what wrote', (t) => {
    if (!existsSync(path.join(ROOT, layers.lastLook))) {
      assert.ok(
        !existsSync(path.join(ROOT, 'src/broadcast/release.ts')),
        'there is sending without a last look',
      );
      t.skip('not written yet');
      return;
    }
    assertCaught(
      layers.lastLook,
      "import '../mail/address.ts';",
      /the last look imports node: modules only/,
    );
    const own = sources.find(({ file }) => file === layers.lastLook);
    assert.deepEqual(
      own?.imports.filter(({ specifier }) => !specifier?.startsWith('node:')),
      [],
    );
  });
});

describe('ARCHITECTURE.md', () => {
  test('shows the folder table as it is checked', () => {
    const text = readFileSync(path.join(ROOT, 'ARCHITECTURE.md'), 'utf8');
    const rows = [...text.matchAll(/^\| `([a-z]+)` \| (.+?) \| (.*?) ?\|$/gm)].map(
      ([, name, purpose, imports]) => ({
        name,
        purpose,
        imports: [...(imports ?? '').matchAll(/`([^`]+)`/g)].map(([, each]) => each),
      }),
    );
    assert.deepEqual(rows, [...layers.folders, ...layers.outside]);
  });

  test('is at most 250 lines long', () => {
    const lines = readFileSync(path.join(ROOT, 'ARCHITECTURE.md'), 'utf8').split('\n').length;
    assert.ok(lines <= 250, `${lines} lines`);
  });
});

describe('the linter', () => {
  const long = `export function long(): number {\n${'  void 0;\n'.repeat(75)}  return 1;\n}\n`;
  const branches =
    '  if (a) { if (b) { if (c) { if (a && b || c) { n++; } } } else if (c) { n--; } }\n';
  const sound = { file: 'src/mail/planted.ts', text: 'export const answer = 42;\n' };
  const faults: readonly (readonly [string, string, string])[] = [
    ['noExcessiveLinesPerFunction', 'src/guard/planted.ts', long],
    ['noExcessiveLinesPerFile', 'src/guard/planted.ts', 'export const a = 1;\n'.repeat(401)],
    [
      'noExcessiveCognitiveComplexity',
      'src/guard/planted.ts',
      `export function f(a: boolean, b: boolean, c: boolean): number {\n  let n = 0;\n${branches.repeat(3)}  return n;\n}\n`,
    ],
    ['noFloatingPromises', 'src/guard/planted.ts', 'async function f(): Promise<void> {}\nf();\n'],
    [
      'noMisusedPromises',
      'src/guard/planted.ts',
      'async function f(): Promise<boolean> { return true; }\nif (f()) { throw new Error("x"); }\n',
    ],
    [
      'useExhaustiveSwitchCases',
      'src/guard/planted.ts',
      "export function f(k: 'a' | 'b'): number {\n  switch (k) {\n    case 'a':\n      return 1;\n  }\n  return 0;\n}\n",
    ],
    ['noExplicitAny', 'src/guard/planted.ts', 'export const a: any = 1;\n'],
    [
      'noNonNullAssertion',
      'src/guard/planted.ts',
      'export const f = (a?: string): string => a!;\n',
    ],
    ['noDefaultExport', 'src/guard/planted.ts', 'export default 1;\n'],
    ['noBarrelFile', 'src/guard/planted.ts', "export * from './judge.ts';\n"],
    ['noConsole', 'src/guard/planted.ts', "console.log('x');\n"],
    [
      'noProcessEnv',
      'src/guard/planted.ts',
      "import process from 'node:process';\nexport const a = process.env;\n",
    ],
    ['useFilenamingConvention', 'src/guard/plantedFault.ts', 'export const a = 1;\n'],
    ['noRestrictedGlobals', 'src/mail/planted.ts', 'setTimeout(() => {}, 1);\n'],
    ['noRestrictedGlobals', 'src/detect/planted.ts', 'export const a: string = process.version;\n'],
    [
      'noRestrictedGlobals',
      'src/policy/planted.ts',
      "export const a: Promise<Response> = fetch('x');\n",
    ],
  ];
  const found = lint([...faults.map(([, file, text]) => ({ file, text })), sound]);

  for (const [index, [rule, file]] of faults.entries()) {
    test(`catches a planted fault against ${rule} in ${path.dirname(file)}`, () => {
      assert.ok(found[index]?.includes(rule), `found ${found[index]?.join(', ')}`);
    });
  }

  test('says nothing about a sound file', () => {
    assert.deepEqual(found.at(-1), []);
  });
});

/** The rules that each text breaks, by the linter with our settings, in a folder of their own. */
function lint(planted: readonly { file: string; text: string }[]): readonly (readonly string[])[] {
  const folder = mkdtempSync(path.join(tmpdir(), 'undisclosed-lint-'));
  try {
    for (const name of ['biome.json', '.gitignore'])
      cpSync(path.join(ROOT, name), path.join(folder, name));
    const files = planted.map(({ file }, index) => file.replace('planted', `planted-${index}`));
    for (const [index, { text }] of planted.entries()) {
      const place = path.join(folder, files[index] ?? '');
      mkdirSync(path.dirname(place), { recursive: true });
      writeFileSync(place, text);
    }
    const biome = path.join(ROOT, 'node_modules/.bin/biome');
    const args = ['lint', '--reporter=json', '--max-diagnostics=500'];
    const result = spawnSync(biome, args, { cwd: folder, encoding: 'utf8' });
    const report: { diagnostics: { category: string; location: { path: string } }[] } = JSON.parse(
      result.stdout,
    );
    return files.map((file) =>
      report.diagnostics
        .filter(({ location }) => location.path === file)
        .map(({ category }) => path.basename(category)),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}
