/** The package as npm makes it, used by another project: `import { check } from 'undisclosed'`, with its types. No network. */

import assert from 'node:assert/strict';
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import {
  cpSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { pdf } from '../support/attached-files.ts';

const ROOT = path.dirname(path.dirname(import.meta.dirname));
const folder = mkdtempSync(path.join(tmpdir(), 'library-package-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const manifest: { exports?: unknown } = JSON.parse(
  readFileSync(path.join(ROOT, 'package.json'), 'utf8'),
);

const PROGRAM = `import { check, type CheckResult, type MailOptions } from 'undisclosed';
const mail: MailOptions = { from: 'n@s.test', to: ['a@x.test', 'b@x.test'], subject: 'x', text: 'Hello' };
const result: CheckResult = check(mail);
const pdf = Buffer.from('${pdf('Dear bob@y.test').toString('base64')}', 'base64');
const file = check({ ...mail, to: 'a@x.test', attachments: [{ content: pdf }] });
console.log(result.verdict, result.disclosures, file.reasons.join());
`;

function run(cwd: string, command: string, ...args: string[]): SpawnSyncReturns<string> {
  return spawnSync(command, args, { cwd, encoding: 'utf8' });
}

test('another project imports the packed library, with types, and needs no database driver', {
  skip: manifest.exports === undefined && 'package.json has no exports',
}, () => {
  // A copy, so that no other test sees dist/ come and go.
  const copy = path.join(folder, 'copy');
  mkdirSync(copy);
  for (const name of ['src', 'demo', 'scripts', 'verify', 'package.json', 'LICENSE', 'README.md']) {
    const filter = (file: string): boolean => path.basename(file) !== 'node_modules';
    cpSync(path.join(ROOT, name), path.join(copy, name), { recursive: true, filter });
  }
  for (const name of ['tsconfig.json', 'tsconfig.build.json']) {
    cpSync(path.join(ROOT, name), path.join(copy, name));
  }
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(copy, 'node_modules'));
  const built = run(copy, process.execPath, 'scripts/build.mjs');
  assert.equal(built.status, 0, built.stdout + built.stderr);
  const packed = run(copy, 'npm', 'pack', '--offline', '--ignore-scripts', '--silent');
  assert.equal(packed.status, 0, packed.stderr);
  const [archive = ''] = globSync('undisclosed-*.tgz', { cwd: copy });

  const user = path.join(folder, 'user');
  const installed = path.join(user, 'node_modules/undisclosed');
  mkdirSync(installed, { recursive: true });
  run(user, 'tar', 'xzf', path.join(copy, archive), '-C', installed, '--strip-components=1');
  // Of all its dependencies these alone are there: pg could not be loaded.
  for (const name of ['unpdf', '@types']) {
    symlinkSync(path.join(ROOT, 'node_modules', name), path.join(user, 'node_modules', name));
  }
  writeFileSync(path.join(user, 'package.json'), '{"type":"module"}');
  writeFileSync(path.join(user, 'use.ts'), PROGRAM);
  const used = run(user, process.execPath, 'use.ts');
  assert.equal(used.stdout, 'refuse 2 foreign-address-attachment\n', used.stderr);
  const tsc = path.join(ROOT, 'node_modules/.bin/tsc');
  const options = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2023'];
  const typed = run(user, tsc, ...options, '--types', 'node', 'use.ts');
  assert.equal(typed.status, 0, typed.stdout);
});
