import assert from 'node:assert/strict';
import { test } from 'node:test';
import { progressBar } from './progress.ts';

function drawn(
  isTerminal: boolean,
  columns = 80,
): { text: () => string; bar: ReturnType<typeof progressBar> } {
  const out: string[] = [];
  const bar = progressBar({ isTerminal, columns, write: (text) => void out.push(text) });
  return { bar, text: () => out.join('') };
}

test('a terminal shows a bar that is drawn over itself, and ends its line', () => {
  const { bar, text } = drawn(true);
  bar.update('prepare', 1, 4);
  bar.update('prepare', 4, 4, 'ring 1');
  bar.finish();
  assert.equal(text().split('\n').length, 2);
  assert.ok(
    text().startsWith(`\r\u001b[2K${'█'.repeat(6)}${'░'.repeat(18)} prepare   1 of 4`),
    text(),
  );
  assert.match(text(), /█{24} prepare +4 of 4 {2}ring 1\n$/);
});

test('elsewhere there are plain lines, few, and the last state of every step', () => {
  const { bar, text } = drawn(false);
  for (let done = 0; done <= 2000; done++) bar.update('import', done, 0);
  for (let done = 0; done <= 50; done++) bar.update('freeze', done, 50);
  bar.finish();
  const lines = text().trimEnd().split('\n');
  assert.ok(lines.length <= 4, text());
  assert.ok(!text().includes('\u001b') && !text().includes('\r'));
  assert.ok(lines.includes('import    2,000') && lines.includes('freeze    50 of 50'), text());
});

test('a narrow terminal gets no bar, and no line is longer than it', () => {
  const { bar, text } = drawn(true, 40);
  bar.update('release', 1, 2, 'x'.repeat(100));
  assert.ok(text().replace('\r\x1b[2K', '').length < 40);
  assert.doesNotMatch(text(), /█/);
});

test('what never begins leaves no line', () => {
  const { bar, text } = drawn(true);
  bar.finish();
  assert.equal(text(), '');
});
