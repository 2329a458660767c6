/**
 * Writes docs/reference/cli.md from the real `--help` texts.
 *
 *     node scripts/cli-reference.mjs [--check]
 *
 * With --check nothing is written, and the status is 1 when the document is not what it would be.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const ROOT = path.dirname(import.meta.dirname);
const FILE = 'docs/reference/cli.md';
const HEAD = `# Command line

The \`--help\` texts, written here by \`node scripts/cli-reference.mjs\` and tested to be the same. \`./undisclosed ARGS\` in a checkout is the
same command. Faults are one line on standard error; their codes are in [errors.md](errors.md).

`;

function help(...args) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [path.join(ROOT, 'src/main.ts'), ...args, '--help'],
    { encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(`undisclosed ${args.join(' ')} --help failed: ${stderr}`);
  return stdout.trimEnd();
}

const block = (text) => `\`\`\`text\n${text}\n\`\`\`\n`;

function reference() {
  const all = help();
  const commands = [...all.matchAll(/^ {2}([a-z][a-z-]*) +\S/gm)].map(([, name]) => name);
  if (commands.length < 10) throw new Error(`only ${commands.length} commands found in --help`);
  const sections = commands.map((name) => `\n## ${name}\n\n${block(help(name))}`);
  return `${HEAD}${block(all)}${sections.join('')}`;
}

const wanted = reference();
const file = path.join(ROOT, FILE);
if (!process.argv.includes('--check')) writeFileSync(file, wanted);
else if (readFileSync(file, 'utf8') !== wanted) {
  console.error(`${FILE} is not what --help says: run node scripts/cli-reference.mjs`);
  process.exitCode = 1;
}
