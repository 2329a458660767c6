/** docs/reference/reasons.md and the code name the same reasons and findings, in both directions. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { FINDING_IDS } from '../src/detect/finding.ts';
import { REASON_IDS, REASONS } from '../src/policy/reasons.ts';

const root = join(import.meta.dirname, '..');
const document = readFileSync(join(root, 'docs/reference/reasons.md'), 'utf8');

/** The rows of the table below a heading, as cells. */
function rows(heading: string): readonly (readonly string[])[] {
  const section = document.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';
  const lines = section.split('\n').filter((line) => line.startsWith('| `'));
  return lines.map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

function ids(heading: string): readonly string[] {
  return rows(heading).map(([id = '']) => id.replaceAll('`', ''));
}

function sources(): string {
  const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' });
  return files
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
    .filter(
      (file) => file !== join('policy', 'reasons.ts') && file !== join('detect', 'finding.ts'),
    )
    .map((file) => readFileSync(join(root, 'src', file), 'utf8'))
    .join('\n');
}

describe('reasons', () => {
  it('are all in the document, and it has no others', () => {
    assert.deepEqual([...ids('Reasons')].sort(), [...REASON_IDS].sort());
  });

  it('have in the document the verdict, reply and words they have in the code', () => {
    for (const [id = '', verdict, reply, words] of rows('Reasons')) {
      const reason = REASONS[id.replaceAll('`', '') as keyof typeof REASONS];
      assert.equal(verdict, reason.verdict);
      assert.equal(reply, `${reason.smtpCode} ${reason.enhancedStatus}`);
      assert.equal(words, `${reason.sentence} ${reason.remedy}`);
    }
  });

  it('have replies that agree with their verdict: 4xx is try again, 5xx is never', () => {
    for (const id of REASON_IDS) {
      const { verdict, smtpCode, enhancedStatus } = REASONS[id];
      const temporary = verdict === 'defer';
      assert.equal(Math.floor(smtpCode / 100), temporary ? 4 : 5, id);
      assert.equal(enhancedStatus[0], temporary ? '4' : '5', id);
    }
  });

  it('are sentences without an address', () => {
    for (const id of REASON_IDS) {
      const { sentence, remedy } = REASONS[id];
      for (const text of [sentence, remedy]) assert.match(text, /^[A-Z][^@]+\.$/, id);
    }
  });
});

describe('findings', () => {
  it('are all in the document, and it has no others', () => {
    assert.deepEqual([...ids('Findings')].sort(), [...FINDING_IDS].sort());
  });

  it('are each made by some detector', () => {
    const text = sources();
    const unused = FINDING_IDS.filter((id) => !text.includes(`'${id}'`));
    assert.deepEqual(unused, []);
    assert.ok(!text.includes(`'${'no-such-finding'}'`), 'the search can also not find');
  });
});
