/** README and the generated documents say what the programs say and what was measured. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';

const ROOT = join(import.meta.dirname, '..');
const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
const LINES_MAX = 132;
const PICTURE_BYTES_MAX = 300_000;

function run(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, args, {
    cwd: ROOT,
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
}

/** What stands in the code block between two marks. */
function block(name: string): string {
  const part = readme.split(`<!-- ${name}:begin -->`)[1]?.split(`<!-- ${name}:end -->`)[0] ?? '';
  return /```text\n([\s\S]*?)```/.exec(part)?.[1] ?? '';
}

/** README's table as the script makes it from a file of measurements; `null`: there is none. */
function withMeasured(measured: object | null): string {
  const folder = mkdtempSync(join(tmpdir(), 'undisclosed-readme-'));
  try {
    const copy = join(folder, 'README.md');
    const file = join(folder, 'measured.json');
    cpSync(join(ROOT, 'README.md'), copy);
    if (measured !== null) writeFileSync(file, JSON.stringify(measured));
    const env = { README_FILE: copy, MEASURED_FILE: file };
    const check = ['scripts/readme-figures.mjs', '--check'];
    const made = run(['scripts/readme-figures.mjs'], env);
    assert.equal(made.status, 0, made.stderr);
    assert.equal(run(check, env).status, 0);
    const text = readFileSync(copy, 'utf8');
    writeFileSync(copy, text.replace('<!-- measured:end -->', '99\n<!-- measured:end -->'));
    assert.equal(run(check, env).status, 1, 'a figure typed by hand is seen');
    return text;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('README', () => {
  test('says what docs/measured.json says, or that nothing was measured', () => {
    const { status, stderr } = run(['scripts/readme-figures.mjs', '--check']);
    assert.equal(status, 0, stderr);
  });

  test('without measurements says so, with them has each of their figures', () => {
    assert.match(withMeasured(null), /Not measured yet/);
    const measured = {
      commit: '0123456789abcdef',
      date: '2026-11-21T00:00:00Z',
      machine: '2 CPUs',
      node: 'v24.0.0',
      results: { wholeJob: { ratioToNodemailer: 7.25, people: 100_000 } },
    };
    const text = withMeasured(measured);
    assert.match(text, /whole job .*ratio to nodemailer \*\*7\.25\*\*; people \*\*100,000\*\*/);
    assert.match(text, /2 CPUs, Node 24\.0\.0; 2026-11-21, commit 0123456789;/);
  });

  test('shows what `check` really prints', () => {
    const [first = '', ...shown] = block('check').trimEnd().split('\n');
    const words = first.replace('$ ./undisclosed ', '').split(' ');
    assert.equal(words[0], 'check');
    const { status, stdout } = run(['src/main.ts', ...words]);
    assert.equal(stdout.trimEnd(), shown.join('\n'));
    assert.equal(status, 1);
  });

  test('shows of the demo only what its sources say', () => {
    const sources = ['road', 'main', 'mistakes']
      .map((name) => readFileSync(join(ROOT, `demo/${name}.ts`), 'utf8'))
      .join('\n');
    const shown = block('demo');
    for (const sentence of [
      'None has left.',
      'each alone on the envelope',
      'One provider call for a thousand people',
      'counted by a program that shares no code with the sender',
      'disclosures: nobody can read of anybody else',
      'disclosures in each mistaken message, had it left',
    ]) {
      assert.ok(shown.replace(/\s+/g, ' ').includes(sentence), sentence);
      assert.ok(sources.includes(sentence), `the demo does not say "${sentence}"`);
    }
  });

  test('fits on a screen and a half, and its pictures are small', () => {
    assert.ok(readme.split('\n').length <= LINES_MAX);
    const pictures = [...readme.matchAll(/!\[[^\]]+\]\(([^)]+)\)/g)].map(([, file]) => file ?? '');
    assert.ok(pictures.length >= 2);
    for (const file of pictures)
      assert.ok(statSync(join(ROOT, file)).size < PICTURE_BYTES_MAX, file);
  });
});

test('ARCHITECTURE.md names only files that exist, and enough of them', () => {
  const text = readFileSync(join(ROOT, 'ARCHITECTURE.md'), 'utf8');
  const named = [...text.matchAll(/`((?:src|test|verify|demo|scripts)\/[^`*\s]+?)\/?`/g)].map(
    ([, file]) => file ?? '',
  );
  assert.ok(named.length > 40, `${named.length} files named`);
  assert.equal(existsSync(join(ROOT, 'src/absent.ts')), false);
  assert.deepEqual(
    named.filter((file) => !existsSync(join(ROOT, file))),
    [],
  );
});

test('docs/reference/cli.md is what --help says', () => {
  const { status, stderr } = run(['scripts/cli-reference.mjs', '--check']);
  assert.equal(status, 0, stderr);
});
