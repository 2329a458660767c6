import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { kept } from './kept.ts';

test('a short text is made once, a long one each time', () => {
  const made: string[] = [];
  const read = kept((text) => {
    made.push(text);
    return { text };
  });
  assert.equal(read('a'), read('a'));
  assert.notEqual(read('a'), read('b'));
  assert.deepEqual(made, ['a', 'b']);
  const long = 'x'.repeat(10_000);
  assert.deepEqual(read(long), { text: long });
  read(long);
  assert.equal(made.length, 4);
});

test('no more than a few hundred texts are kept', () => {
  let made = 0;
  const read = kept((text) => ({ text, number: ++made }));
  const first = read('0').number;
  for (let index = 1; index < 1_000; index++) read(String(index));
  assert.notEqual(read('0').number, first);
});

test('what is kept of a message does not keep the message', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const read = kept((text) => ({ name: text.slice(0, 20) }));
  collect();
  const before = process.memoryUsage().heapUsed;
  for (let index = 0; index < 40; index++) {
    const message = Buffer.alloc(900_000, `a line of message ${index} `).toString('latin1');
    read(message.slice(1_000, 1_100 + index));
  }
  collect();
  const grown = process.memoryUsage().heapUsed - before;
  assert.ok(grown < 10_000_000, `${grown} bytes`);
});
