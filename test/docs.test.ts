/**
 * The documents against the code: links lead somewhere, commands exist, words are explained, and nothing tells of
 * the machine it was written on.
 */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';

const ROOT = path.dirname(import.meta.dirname);
const FIRST_SENTENCE =
  'Undisclosed is error detection for outgoing mail: it sends one important notice to every customer, each alone on the ' +
  'envelope, and stops any other mail that would show customers to each other: Cc for Bcc, reply all, one provider call ' +
  'for a thousand people';
const WORDS =
  'notice customer audience recipient broadcast ring lane route message envelope slot leaf finding verdict pass split hold ' +
  'refuse defer reason gate disclosure exposed paused held halted case duty ledger checkpoint anchor proof';
const NEVER_SEARCHED = /(?:^|\/)(?:node_modules|dist|coverage|\.git|\.undisclosed[^/]*)(?:\/|$)/;
/** Folders of the workplace, and other absolute places of one machine. */
const PLACES = /(?<![\w.])\/(?:work\/(?:main|shared|\.)|tmp\/brief|home\/[a-z]+\/|root\/(?!\.))/;

const read = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8');
const filesLike = (pattern: string): readonly string[] =>
  globSync(pattern, { cwd: ROOT, exclude: (name) => NEVER_SEARCHED.test(name) }).sort();
const documents = filesLike('**/*.md');

/** The targets of links in a document that do not exist. */
function deadLinks(file: string, text: string): readonly string[] {
  const prose = text.replace(/^```[\s\S]*?^```/gm, '').replace(/`[^`\n]*`/g, '');
  const targets = [...prose.matchAll(/\]\(\s*<?([^)\s>]+)>?[^)]*\)|^\[[^\]]+\]:\s+(\S+)/gm)];
  return targets
    .map(([, inline, reference]) => inline ?? reference ?? '')
    .filter((target) => !/^[a-z][a-z+.-]*:/i.test(target) && !leadsSomewhere(file, target));
}

function leadsSomewhere(file: string, target: string): boolean {
  const [place = '', anchor] = decodeURIComponent(target).split('#');
  const found = place === '' ? file : path.join(path.dirname(file), place);
  if (found.startsWith('..') || !existsSync(path.join(ROOT, found))) return false;
  return anchor === undefined || !found.endsWith('.md') || anchorsOf(read(found)).includes(anchor);
}

/** Anchors as GitHub makes them from headings. */
function anchorsOf(text: string): readonly string[] {
  return [...text.matchAll(/^#+\s+(.+?)\s*$/gm)].map(([, heading]) =>
    (heading ?? '')
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-'),
  );
}

/** What stands as code in a document, one piece a line. */
function codeOf(text: string): string {
  const blocks = text.match(/^```[\s\S]*?^```|^ {4}.+$|`[^`\n]+`/gm) ?? [];
  return blocks.join('\n').replaceAll('`', '\n');
}

describe('documents', () => {
  test('links lead to files and headings that exist', () => {
    assert.deepEqual(
      deadLinks('README.md', 'see [a](./absent.md), [b](LICENSE#x) and\n\n[c]: docs/absent.md'),
      ['./absent.md', 'docs/absent.md'],
    );
    assert.deepEqual(
      deadLinks('docs/x.md', '[a](../CHANGELOG.md#unreleased) [b](../CHANGELOG.md#released)'),
      ['../CHANGELOG.md#released'],
    );
    assert.ok(documents.length >= 6, `${documents.length} documents found`);
    const dead = documents.flatMap((file) =>
      deadLinks(file, read(file)).map((link) => `${file}: ${link}`),
    );
    assert.deepEqual(dead, []);
  });

  test('README begins with the agreed sentence', () => {
    const paragraphs = read('README.md').split(/\n\s*\n/);
    const first = paragraphs.find((paragraph) => /^[\w*]/.test(paragraph.trim())) ?? '';
    const plain = first.replace(/[*_`]|\[([^\]]*)\]\([^)]*\)/g, '$1').replace(/\s+/g, ' ');
    assert.ok(plain.startsWith(FIRST_SENTENCE), plain.slice(0, 300));
  });

  test('npm scripts named in documents exist', () => {
    const { scripts }: { scripts: Record<string, string> } = JSON.parse(read('package.json'));
    const named = documents.flatMap((file) =>
      [...codeOf(read(file)).matchAll(/npm (?:run (?:-s )?([\w:-]+)|(test|start)\b)/g)].map(
        ([, run, short]) => `${file}: ${run ?? short}`,
      ),
    );
    assert.ok(named.includes('CONTRIBUTING.md: check'), 'the search finds nothing');
    assert.deepEqual(
      named.filter((each) => scripts[each.split(': ')[1] ?? ''] === undefined),
      [],
    );
  });

  test('commands named in documents are in --help', (t) => {
    if (!existsSync(path.join(ROOT, 'src/main.ts'))) {
      t.skip('there is no command line yet');
      return;
    }
    const help = spawnSync(process.execPath, ['src/main.ts', '--help'], {
      cwd: ROOT,
      encoding: 'utf8',
    });
    assert.equal(help.status, 0, help.stderr);
    const known = new Set(help.stdout.match(/[a-z][a-z-]+/g));
    const named = documents.flatMap((file) =>
      [
        ...codeOf(read(file)).matchAll(/^\s*(?:\$ )?(?:\.\/|npx )?undisclosed ([a-z][a-z-]+)/gm),
      ].map(([, name]) => `${file}: ${name}`),
    );
    assert.ok(named.length > 0, 'the search finds nothing');
    assert.deepEqual(
      named.filter((each) => !known.has(each.split(': ')[1] ?? '')),
      [],
    );
  });

  test('the glossary explains every word of the project, once', () => {
    const explained = [...read('docs/glossary.md').matchAll(/^\| ([^|]+?) \|/gm)].map(
      ([, word]) => word ?? '',
    );
    assert.deepEqual(
      WORDS.split(' ').filter((word) => !explained.includes(word)),
      [],
    );
    const headings = ['word', 'term', '---'];
    const twice = explained.filter(
      (word, index) => explained.indexOf(word) !== index && !headings.includes(word),
    );
    assert.deepEqual(twice, []);
  });

  test('the changelog has a place for what comes next', () => {
    assert.match(read('CHANGELOG.md'), /^## Unreleased$/m);
  });
});

describe('every text file', () => {
  test('names no place of the machine it was written on', () => {
    const planted = `see /${'work'}/main/README.md`;
    assert.match(planted, PLACES);
    assert.doesNotMatch(`see docs/${'work'}/main and https://example.org/${'work'}/`, PLACES);
    const files = filesLike('**/*.*').concat(filesLike('.ci/*'), [
      'undisclosed',
      '.gitignore',
      '.npmrc',
      'LICENSE',
    ]);
    const own = path.relative(ROOT, import.meta.filename);
    const texts = files.filter((file) => file !== own && statSync(path.join(ROOT, file)).isFile());
    assert.ok(texts.length > 100, `${texts.length} files found`);
    assert.ok(texts.includes('.ci/run'));
    assert.deepEqual(
      texts.filter((file) => PLACES.test(read(file))),
      [],
    );
  });
});
