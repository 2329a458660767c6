import assert from 'node:assert/strict';
import { test } from 'node:test';
import { quickestMs } from '../../test/support/quickest-ms.ts';
import { splitMultipart } from './multipart.ts';

function split(
  body: string,
  boundary = 'b',
): { parts: string[]; between: string[]; defects: readonly string[] } {
  const text = `ab${body}yz`;
  const read = splitMultipart(text, 2, text.length - 2, boundary, 100);
  return {
    parts: read.parts.map(({ start, end }) => text.slice(start, end)),
    between: read.between.map(({ start, end }) => text.slice(start, end)),
    defects: read.defects,
  };
}

test('parts stand between delimiters, each without the line break before its delimiter', () => {
  assert.deepEqual(split('--b\r\none\r\n--b\r\ntwo\r\n\r\n--b--\r\n'), {
    parts: ['one', 'two\r\n'],
    between: [],
    defects: [],
  });
});

test('text before, after and between the parts is kept', () => {
  const body = 'before\r\n--b\r\none\r\n--b--\r\nbetween\r\n--b\r\ntwo\r\n--b--\r\nafter';
  const read = split(body);
  assert.deepEqual(read.parts, ['one', 'two']);
  assert.deepEqual(read.between, ['before', 'between', 'after']);
  assert.deepEqual(read.defects, ['boundary-clash']);
});

test('a multipart that is not closed ends with its body', () => {
  assert.deepEqual(split('--b\r\none\r\n--b\r\ntwo'), {
    parts: ['one', 'two'],
    between: [],
    defects: ['unclosed-multipart'],
  });
  assert.deepEqual(split('nothing'), {
    parts: [],
    between: ['nothing'],
    defects: ['unclosed-multipart'],
  });
});

test('white space after a boundary is padding; other text makes a second reading', () => {
  assert.deepEqual(split('--b \t\r\none\r\n--b-- \r\n').defects, []);
  const read = split('--b\r\none\r\n--bc\r\ntwo\r\n--b--\r\n');
  assert.deepEqual(read.parts, ['one\r\n--bc\r\ntwo', 'one', 'two']);
  assert.deepEqual(read.defects, ['boundary-clash']);
});

test('a delimiter stands at the beginning of a line, whatever ends the line before it', () => {
  assert.deepEqual(split('--b\none\n--b\rtwo\r--b--').parts, ['one', 'two']);
  assert.deepEqual(split('--b\r\nnot --b here\r\n--b--').parts, ['not --b here']);
});

test('a boundary longer than any standard allows is compared to its end', () => {
  const long = 'x'.repeat(300);
  assert.deepEqual(split(`--${long}\r\none\r\n--${long}--`, long).parts, ['one']);
  assert.deepEqual(split(`--${'x'.repeat(299)}y\r\none`, long).parts, []);
});

test('ten hostile megabytes take well under two seconds', () => {
  const size = 10_000_000;
  for (const [piece, boundary] of [
    ['-', '-'.repeat(70)],
    ['--b\n', 'b'],
    ['--b', 'b'],
    ['\n--', 'b'],
    ['\r--b', 'b'],
    ['--b \t', 'b'],
    [`\n${'-'.repeat(71)}`, '-'.repeat(70)],
  ] as const) {
    const text = piece.repeat(size / piece.length);
    const elapsed = quickestMs(2_000, () => splitMultipart(text, 0, size, boundary, 1_000));
    assert.ok(elapsed < 2_000, `${JSON.stringify(piece)}: ${elapsed} ms`);
  }
});

test('a part that both readings have is there once', () => {
  const body = '--b\r\nA\r\n--b x\r\nB\r\n--b\r\nC\r\n--b--\r\n';
  const { parts } = splitMultipart(body, 0, body.length, 'b', 100);
  assert.deepEqual(
    parts.map(({ start, end }) => body.slice(start, end)),
    ['A\r\n--b x\r\nB', 'C', 'A', 'B'],
  );
});
