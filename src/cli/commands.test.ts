/** What holds for every command: it explains itself, takes --json, and says in one line what is wrong with a call. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';

const MAIN = path.join(import.meta.dirname, '../main.ts');
const folder = mkdtempSync(path.join(tmpdir(), 'undisclosed-commands-'));
after(() => rmSync(folder, { recursive: true }));

function run(
  args: readonly string[],
  more: readonly string[] = [],
): { status: number | null; stdout: string; stderr: string } {
  const env = { PATH: process.env.PATH, HOME: folder, UNDISCLOSED_DATA: path.join(folder, 'data') };
  return spawnSync(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', ...more, MAIN, ...args],
    {
      cwd: folder,
      env,
      encoding: 'utf8',
    },
  );
}

const help = run(['--help']).stdout;
const commands = [...help.matchAll(/^ {2}([a-z]+) +\S/gm)].map(([, name]) => name ?? '');

describe('every command', () => {
  test('stands in the help, and the help names no other', () => {
    const table = /const COMMANDS[\s\S]*?\n\};/.exec(readFileSync(MAIN, 'utf8'))?.[0] ?? '';
    const known = [...table.matchAll(/^ {2}([a-z]+): async/gm)].map(([, name]) => name ?? '');
    assert.ok(known.length >= 13);
    assert.deepEqual(commands.toSorted(), known.toSorted());
  });

  for (const name of commands) {
    test(`${name} explains itself with --help and ends with 0`, () => {
      const { status, stdout, stderr } = run([name, '--help']);
      assert.equal(status, 0, stderr);
      assert.match(stdout, new RegExp(`^Usage: undisclosed ${name}\\b`));
      assert.match(stdout, /--help/);
      assert.match(stdout, name === 'serve' || name === 'stop' || name === 'demo' ? /^/ : /--json/);
      assert.equal(stderr, '');
    });

    test(`${name} ends with 2 and one line on an option it does not know, with --json too`, () => {
      const { status, stdout, stderr } = run([
        name,
        ...(name === 'ledger' ? ['export'] : []),
        '--json',
        '--no-such-option',
      ]);
      assert.equal(status, 2);
      assert.equal(stdout, '');
      assert.match(stderr, /^[^\n]*no-such-option[^\n]*\n$/);
    });
  }
});

/** Prints what was loaded when the process ends. */
const WATCH = `data:text/javascript,import { registerHooks } from 'node:module';
const seen = [];
registerHooks({ load: (url, context, next) => { seen.push(url); return next(url, context); } });
process.on('exit', () => process.stderr.write('LOADED ' + seen.join(' ')));`;

test('check loads no database driver, no server and no store', () => {
  const loaded = (args: readonly string[]): string =>
    run(args, ['--import', WATCH]).stderr.split('LOADED ')[1] ?? '';
  const driver = /node_modules\/(?:pg|fastify)\/|src\/(?:store|web|app)\b/;
  assert.match(loaded(['serve', '--help']), driver, 'it is seen where it is loaded');
  const file = path.join(import.meta.dirname, '../../package.json');
  const byCheck = loaded(['check', '--json', file]);
  assert.match(byCheck, /src\/guard\/judge\.ts/);
  assert.doesNotMatch(byCheck, driver);
});
