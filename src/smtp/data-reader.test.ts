import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FALSE_ENDINGS } from '../../test/support/false-endings.ts';
import { DataReader, forbiddenByte, stuffed } from './data-reader.ts';

function read(wire: string, sizeBytesMax = 1000): ReturnType<DataReader['push']> {
  return new DataReader(sizeBytesMax).push(Buffer.from(wire, 'latin1'));
}

test('only CRLF.CRLF ends the content, and what follows is left over', () => {
  const reading = read('Subject: x\r\n\r\nhello\r\n.\r\nQUIT\r\n');
  assert.equal(reading.kind, 'content');
  if (reading.kind !== 'content') return;
  assert.equal(reading.bytes.toString(), 'Subject: x\r\n\r\nhello\r\n');
  assert.equal(reading.rest.toString(), 'QUIT\r\n');
});

test('content may be empty', () => {
  const reading = read('.\r\n');
  assert.equal(reading.kind === 'content' && reading.bytes.length, 0);
});

test('doubled dots at line starts become one, others stay', () => {
  const reading = read('..a\r\nb.\r\n...c\r\n..\r\n.\r\n');
  assert.equal(reading.kind === 'content' && reading.bytes.toString(), '.a\r\nb.\r\n..c\r\n.\r\n');
});

test('cuts at any byte change nothing', () => {
  const wire = Buffer.from('..A\r\n.\rx\r\n..\r\n\r\n.b\r\n.\r\nMAIL');
  const good = Buffer.from('..A\r\nx\r\n..\r\n\r\n.b\r\n.\r\nMAIL');
  for (const bytes of [wire, good]) {
    const whole = new DataReader(100).push(bytes);
    assert.notEqual(whole.kind, 'more');
    for (let cut = 1; cut < bytes.length - 4; cut++) {
      const reader = new DataReader(100);
      const first = reader.push(bytes.subarray(0, cut));
      if (first.kind !== 'more') {
        assert.equal(first.kind, whole.kind);
        continue;
      }
      assert.deepEqual(reader.push(bytes.subarray(cut)), whole);
    }
    const reader = new DataReader(100);
    const readings = [...bytes].map((byte) => reader.push(Buffer.from([byte])).kind);
    assert.ok(readings.includes(whole.kind));
  }
});

test('no false ending ends the content, and content with one is refused after the real end', () => {
  for (const ending of FALSE_ENDINGS) {
    const name = JSON.stringify(ending);
    assert.equal(read(`Subject: x\r\n\r\na${ending}MAIL FROM:<b@x>\r\n`).kind, 'more', name);
    const reading = read(`Subject: x\r\n\r\na${ending}MAIL FROM:<b@x>\r\n.\r\nQUIT\r\n`);
    assert.equal(reading.kind, 'refused', name);
    assert.equal(reading.kind === 'refused' && reading.rest.toString(), 'QUIT\r\n', name);
  }
});

test('too much content is read to its end, refused, and not kept', () => {
  const reader = new DataReader(100);
  for (let i = 0; i < 1000; i++)
    assert.equal(reader.push(Buffer.from('x'.repeat(50))).kind, 'more');
  const reading = reader.push(Buffer.from('\r\n.\r\nNOOP\r\n'));
  assert.equal(reading.kind === 'refused' && reading.why, 'too-large');
  assert.equal(reading.kind === 'refused' && reading.rest.toString(), 'NOOP\r\n');
  assert.equal(read(`${'x'.repeat(98)}\r\n.\r\n`, 100).kind, 'content');
  assert.equal(read(`${'x'.repeat(99)}\r\n.\r\n`, 100).kind, 'refused');
});

test('bytes that may not stand in a message are found wherever they are', () => {
  assert.equal(forbiddenByte(Buffer.from('a\r\nb\r\n')), '');
  assert.equal(forbiddenByte(Buffer.from('a\tb\r\n')), '');
  assert.equal(forbiddenByte(Buffer.from('a\r\r\n')), 'bare-cr');
  assert.equal(forbiddenByte(Buffer.from('a\r')), 'bare-cr');
  assert.equal(forbiddenByte(Buffer.from('\na')), 'bare-lf');
  assert.equal(forbiddenByte(Buffer.from('a\0')), 'nul-byte');
});

test('what is stuffed is read back as it was', () => {
  for (const text of [
    '',
    '.',
    '..',
    '.\r\n',
    'a\r\n.b\r\n..\r\n',
    '\r\n.\r\n.\r\n',
    'no end',
    '.\r\n.',
  ]) {
    const reading = new DataReader(1000).push(stuffed(Buffer.from(text)));
    const ended = text === '' || text.endsWith('\r\n') ? text : `${text}\r\n`;
    assert.equal(
      reading.kind === 'content' && reading.bytes.toString(),
      ended,
      JSON.stringify(text),
    );
  }
});
