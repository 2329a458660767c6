/**
 * Builds `dist/` for the npm package: JavaScript and types by the compiler, and the files that programs read.
 * A checkout needs no build: its sources run as they are.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, globSync, rmSync } from 'node:fs';
import path from 'node:path';

const ROOT = path.dirname(import.meta.dirname);
/** Read at run time, or run as they are: SQL, the notice of the demo, programs in plain JavaScript. */
const DATA = [
  'src/**/*.sql',
  'src/web/console/*.css',
  'src/web/console/*.js',
  'demo/notice/**/*',
  'demo/**/*.mjs',
  'demo/package*.json',
  'verify/**/*.mjs',
];

rmSync(path.join(ROOT, 'dist'), { recursive: true, force: true });
const tsc = path.join(ROOT, 'node_modules/.bin/tsc');
const compiled = spawnSync(tsc, ['-p', 'tsconfig.build.json'], { cwd: ROOT, stdio: 'inherit' });
process.exitCode = compiled.status ?? 2;
if (compiled.status === 0) {
  const options = { cwd: ROOT, exclude: (name) => name.includes('node_modules') };
  for (const file of DATA.flatMap((pattern) => globSync(pattern, options))) {
    cpSync(path.join(ROOT, file), path.join(ROOT, 'dist', file), { recursive: true });
  }
}
