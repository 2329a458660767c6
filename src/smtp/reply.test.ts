import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '../base/errors.ts';
import { makeReply, ReplyReader, replyBytes } from './reply.ts';

function read(text: string | Buffer): ReturnType<ReplyReader['push']> {
  return new ReplyReader().push(typeof text === 'string' ? Buffer.from(text) : text);
}

function refuses(text: string): void {
  assert.throws(
    () => read(text),
    (error) => error instanceof Fault && error.code === 'smtp.bad-reply',
  );
}

test('a one-line reply gives code, enhanced status and text', () => {
  assert.deepEqual(read('250 2.1.5 Ok\r\n'), [
    { code: 250, enhanced: '2.1.5', lines: ['2.1.5 Ok'], text: 'Ok' },
  ]);
});

test('a code may stand alone, with or without the space', () => {
  assert.equal(read('250\r\n')[0]?.code, 250);
  assert.equal(read('250 \r\n')[0]?.text, '');
});

test('several replies in one chunk come out in order', () => {
  const codes = read('250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 go\r\n').map((reply) => reply.code);
  assert.deepEqual(codes, [250, 250, 354]);
});

test('a reply of several lines is one reply, with the enhanced status of its first line', () => {
  const [reply] = read('550-5.7.1 first\r\n550-5.7.1 second\r\n550 5.7.1 third\r\n');
  assert.equal(reply?.enhanced, '5.7.1');
  assert.equal(reply?.text, 'first second third');
  assert.equal(reply?.lines.length, 3);
});

test('cuts at any byte change nothing', () => {
  const wire = Buffer.from(
    '250-mx.test\r\n250-SIZE 1000\r\n250 PIPELINING\r\n354 go é\r\n450 4.2.0 x\n',
  );
  const whole = new ReplyReader().push(wire);
  for (let cut = 1; cut < wire.length; cut++) {
    const reader = new ReplyReader();
    const first = reader.push(wire.subarray(0, cut));
    const rest = reader.push(wire.subarray(cut));
    assert.deepEqual([...first, ...rest], whole);
    assert.equal(reader.partial, false);
  }
  const reader = new ReplyReader();
  const single = [...wire].flatMap((byte) => reader.push(Buffer.from([byte])));
  assert.deepEqual(single, whole);
});

test('an enhanced status of another class, or half of one, is text', () => {
  assert.equal(read('250 5.1.1 odd\r\n')[0]?.enhanced, '');
  assert.equal(read('550 5.1 odd\r\n')[0]?.enhanced, '');
  assert.equal(read('550 5.1.1234 odd\r\n')[0]?.enhanced, '');
  assert.equal(read('550 5.7.509\r\n')[0]?.enhanced, '5.7.509');
});

test('a reader that kept its bytes does not share memory with the chunk', () => {
  const reader = new ReplyReader();
  const chunk = Buffer.from('250 2.0.0 O');
  reader.push(chunk);
  chunk.fill(0);
  assert.equal(reader.push(Buffer.from('k\r\n'))[0]?.text, 'Ok');
});

test('what is no reply is a fault', () => {
  for (const text of [
    'hello\r\n',
    '\r\n',
    '25\r\n',
    '150 x\r\n',
    '650 x\r\n',
    '2x0 x\r\n',
    '250_x\r\n',
  ])
    refuses(text);
  refuses('250-a\r\n251 b\r\n');
});

test('an endless line and an endless reply are faults before they cost memory', () => {
  refuses(`250 ${'x'.repeat(5000)}`);
  refuses(`250 ${'x'.repeat(5000)}\r\n`);
  refuses('250-x\r\n'.repeat(300));
});

test('control characters never come through, in either direction', () => {
  assert.equal(read('250 a\rb\0c\x1bd\r\n')[0]?.text, 'a?b?c?d');
  assert.equal(
    replyBytes(makeReply(550, '5.7.1', 'a\r\n250 ok')).toString(),
    '550 5.7.1 a??250 ok\r\n',
  );
});

test('what is written is read back', () => {
  const one = makeReply(451, '4.7.0', 'try later');
  const many = { code: 550, enhanced: '5.1.1', lines: ['5.1.1 a', '5.1.1 b'], text: 'a b' };
  assert.deepEqual(read(replyBytes(one)), [one]);
  assert.deepEqual(read(replyBytes(many)), [many]);
});
