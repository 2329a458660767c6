/** docs/who-catches-what.md against what the guard says now, and its sums against its rows. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { FIXTURES } from './fixtures.ts';
import { ourVerdict } from './ours.ts';

const DOCUMENT = readFileSync(join(import.meta.dirname, '../../docs/who-catches-what.md'), 'utf8');
const JUDGES = 5;

/** The cells of each row that begins with a message's name in code. */
const rows = new Map(
  DOCUMENT.split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split(' | ').map((cell) => cell.replace(/^\| | \|$/g, '')))
    .filter((cells) => cells.length === 2 + JUDGES)
    .map(([name = '', ...cells]) => [name.replaceAll('`', ''), cells] as const),
);

test('every message has a row, and no row is left of a message that is gone', () => {
  assert.ok(FIXTURES.length > 30);
  assert.deepEqual(
    [...rows.keys()],
    FIXTURES.map(({ name }) => name),
  );
});

test('our column is what the guard says of each message now', () => {
  for (const fixture of FIXTURES) {
    const { verdict, reasons } = ourVerdict(fixture);
    const words = fixture.isMistake ? ['**caught**', 'missed'] : ['**false alarm**', 'let go'];
    const said =
      verdict === 'pass' ? words[1] : `${words[0]} \`${verdict}: ${reasons.join(', ')}\``;
    const [what, ours] = rows.get(fixture.name) ?? [];
    assert.equal(what, fixture.what, fixture.name);
    assert.equal(ours, said, `${fixture.name}: run node scripts/who-catches-what.mjs`);
  }
});

test('the sums are those of the rows', () => {
  const sums = [...DOCUMENT.matchAll(/^\| [^|]+ \| (\d+) \| (\d+) \| (\d+) \|$/gm)];
  assert.equal(sums.length, JUDGES);
  const mistakes = FIXTURES.filter(({ isMistake }) => isMistake).length;
  for (const [judge, [, caught, missed, alarms]] of sums.entries()) {
    const cells = [...rows.values()].map((row) => row[1 + judge] ?? '');
    const count = (word: string): number => cells.filter((cell) => cell.startsWith(word)).length;
    assert.equal(Number(caught), count('**caught**'), `judge ${judge}`);
    assert.equal(Number(missed), mistakes - Number(caught), `judge ${judge}`);
    assert.equal(Number(alarms), count('**false alarm**'), `judge ${judge}`);
  }
});
