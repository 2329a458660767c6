/** What the demo prints fits narrow terminals, can be typed, and never costs anybody a folder. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Processes } from '../demo/processes.ts';
import { type Stage, say, showCommand, wrapped } from '../demo/stage.ts';

const ROOT = join(import.meta.dirname, '..');

/** What a stage prints on a terminal of so many columns. */
function printed(columns: number, print: (stage: Stage) => void): string {
  let text = '';
  const stage: Stage = {
    io: {
      stdout: (more) => {
        text += more;
      },
      stderr: () => {},
      isTerminal: false,
      errorIsTerminal: false,
      columns,
      env: {},
    },
    settings: { people: 1000, out: '/out', console: false, json: false },
    processes: new Processes(),
    work: '/tmp/work',
    env: {},
    seconds: [],
  };
  print(stage);
  return text;
}

test('a paragraph stays within the terminal, and loses no word', () => {
  const text = Array.from({ length: 60 }, (_, at) => 'x'.repeat((at % 9) + 1)).join(' ');
  for (const columns of [40, 60, 100]) {
    const lines = printed(columns, (stage) => say(stage, text, '    '))
      .trimEnd()
      .split('\n');
    for (const line of lines) assert.ok(line.length <= columns, line);
    assert.equal(lines.map((line) => line.trim()).join(' '), text);
  }
});

test('a word longer than the terminal stands on a line of its own, whole', () => {
  const long = 'p'.repeat(90);
  assert.equal(wrapped(['a', long, 'b'], 60, { first: '  ', next: '  ' }), `  a\n  ${long}\n  b`);
});

test('a command is shown without the folders of this run, an option beside its value, and can be typed', () => {
  const words = ['undisclosed', 'broadcast', 'prove', 'b-1', '--out', '/out/proof.jsonl'];
  const shown = printed(50, (stage) => showCommand(stage, [...words, '--as', 'bob', '--yes']));
  assert.match(shown, / --out …\/proof\.jsonl/);
  assert.match(shown, /--as bob/);
  assert.equal(
    shown.trim().replace(/\\\n\s+/g, ''),
    '$ undisclosed broadcast prove b-1 --out …/proof.jsonl --as bob --yes',
  );
});

test('a folder that no demo has made is left as it is', () => {
  const folder = mkdtempSync(join(tmpdir(), 'undisclosed-theirs-'));
  try {
    writeFileSync(join(folder, 'thesis.txt'), 'years of work');
    const { status, stderr } = spawnSync(
      process.execPath,
      ['src/main.ts', 'demo', '--no-console', '--people', '1000', '--out', folder],
      { cwd: ROOT, encoding: 'utf8' },
    );
    assert.equal(status, 2);
    assert.match(stderr, /not of an earlier demo \(name another one with --out\)/);
    assert.deepEqual(readdirSync(folder), ['thesis.txt']);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
