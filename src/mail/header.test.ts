import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type HeaderSection, readHeaderSection } from './header.ts';
import { DEFAULT_LIMITS, limitsWith } from './limits.ts';

function read(text: string | Buffer, limits = DEFAULT_LIMITS): HeaderSection {
  const latin1 = Buffer.from(text).toString('latin1');
  return readHeaderSection(latin1, 0, latin1.length, limits);
}

/** 'name=value' of every field, in order. */
function fields(text: string | Buffer): readonly string[] {
  return read(text).fields.map((field) => `${field.name}=${field.value}`);
}

function problems(text: string | Buffer): readonly string[] {
  const section = read(text);
  return [...section.defects, ...section.fields.flatMap((field) => field.problems())];
}

test('fields are read with their names, folded values and places', () => {
  const text = 'To: a@x.test,\r\n\tb@y.test\r\nSubject:  hi \r\n\r\nbody';
  const section = read(text);
  assert.equal(text.slice(section.bodyStart), 'body');
  const [to, subject] = section.fields;
  assert.equal(to?.raw, ' a@x.test,\r\n\tb@y.test');
  assert.equal(to?.value, 'a@x.test,\tb@y.test');
  assert.equal(text.slice(to?.start, to?.end), 'To: a@x.test,\r\n\tb@y.test\r\n');
  assert.equal(subject?.lower, 'subject');
  assert.equal(subject?.value, 'hi');
  assert.deepEqual(problems(text), []);
});

test('a header without a body, an empty one and one cut off are read to their end', () => {
  assert.equal(read('A: b\r\n').bodyStart, 6);
  assert.equal(read('A: b').bodyStart, 4);
  assert.deepEqual(fields('A: b'), ['A=b']);
  assert.equal(read('\r\nbody').bodyStart, 2);
  assert.deepEqual(fields(''), []);
});

test('encoded words and extended parameters are decoded beside the value', () => {
  const section = read(
    "Subject: =?utf-8?Q?=C3=BC?=\r\nContent-Disposition: attachment; filename*=utf-8''a%40x\r\n\r\n",
  );
  assert.equal(section.fields[0]?.decoded, 'ü');
  assert.ok(section.fields[1]?.decoded.endsWith('; filename="a@x"'));
});

test('bytes beyond ASCII are read as UTF-8, and as latin1 where they are not, which is a defect', () => {
  assert.deepEqual(fields('To: 用户@例え.test\r\n\r\n'), ['To=用户@例え.test']);
  assert.deepEqual(problems('To: 用户@例え.test\r\n\r\n'), []);
  assert.deepEqual(fields(Buffer.from('A: \xfc\r\n\r\n', 'latin1')), ['A=ü']);
  assert.deepEqual(problems(Buffer.from('A: \xfc\r\n\r\n', 'latin1')), ['eight-bit-header']);
});

test('a bare CR is read both as part of the value and as the end of the line', () => {
  const text = 'To: a@x.test\rCc: b@y.test\r\nSubject: s\r\n\r\n';
  const found = fields(text);
  assert.ok(found.includes('To=a@x.test\rCc: b@y.test'));
  assert.ok(found.includes('To=a@x.test'));
  assert.ok(found.includes('Cc=b@y.test'));
  assert.ok(problems(text).includes('bare-cr'));
});

test('a bare LF is read both as the end of the line and as part of the value', () => {
  const text = 'To: a@x.test\nCc: b@y.test\r\nSubject: s\r\n\r\n';
  const found = fields(text);
  assert.ok(found.includes('To=a@x.test'));
  assert.ok(found.includes('Cc=b@y.test'));
  assert.ok(found.includes('To=a@x.test Cc: b@y.test'));
  assert.ok(problems(text).includes('bare-lf'));
});

test('fields after an empty line that only some readers take for the end are read too', () => {
  const text = 'A: 1\r\nB: 2\r\n\nCc: b@y.test\r\n\r\nbody';
  assert.equal(text.slice(read(text).bodyStart), 'Cc: b@y.test\r\n\r\nbody');
  assert.ok(fields(text).includes('Cc=b@y.test'));
});

test('a NUL does not hide a field', () => {
  for (const text of [
    'T\0o: a@x.test\r\n\r\n',
    'To\0: a@x.test\r\n\r\n',
    'To: a@x\0.test\r\n\r\n',
  ]) {
    assert.ok(fields(text).includes('To=a@x.test'), JSON.stringify(text));
    assert.ok(problems(text).includes('nul-byte'));
  }
});

test('a bare CR does not hide a field from those who drop it', () => {
  assert.ok(fields('T\ro: a@x.test\r\n\r\n').includes('To=a@x.test'));
  assert.ok(fields('A: 1\rT\0o: a@x.test\r\n\r\n').includes('To=a@x.test'));
});

test('line breaks and NUL inside encoded words are defects', () => {
  assert.deepEqual(problems('A: =?utf-8?Q?a=0D=0ACc:b?=\r\n\r\n'), ['bare-cr', 'bare-lf']);
  assert.deepEqual(problems('A: =?utf-8?Q?a=00?=\r\n\r\n'), ['nul-byte']);
});

const DEFECTS: readonly (readonly [text: string, defect: string])[] = [
  ['no colon here\r\n\r\n', 'header-without-colon'],
  [' leading: blank\r\n\r\n', 'malformed-header-name'],
  ['To : a@x.test\r\n\r\n', 'malformed-header-name'],
  ['T\u00f6: a@x.test\r\n\r\n', 'malformed-header-name'],
  [': a@x.test\r\n\r\n', 'header-without-colon'],
  ['A: b\r\n \t\r\n c\r\n\r\n', 'blank-header-line'],
  [`A: ${'b'.repeat(1_000)}\r\n\r\n`, 'line-too-long'],
  ['A: =?utf-8?Q?a b?=\r\n\r\n', 'malformed-encoded-word'],
];

test('what is no header field is kept and reported', () => {
  for (const [text, defect] of DEFECTS) {
    assert.ok(problems(text).includes(defect), JSON.stringify(text.slice(0, 40)));
  }
  assert.deepEqual(fields('To : a@x.test\r\n\r\n'), ['To=a@x.test']);
  assert.deepEqual(fields('From anna Mon Jan 1\r\nTo: b@x.test\r\n\r\n')[1], 'To=b@x.test');
});

test('the body some clients begin at a line without a colon is known', () => {
  assert.equal(read('A: b\r\nhello there\r\n\r\nbody').otherBodyStart, 6);
  assert.equal(read('From x\r\nA: b\r\n\r\n').otherBodyStart, -1);
});

test('more fields or bytes than the limits allow are reported, not read', () => {
  const many = read('A: b\r\n'.repeat(20), limitsWith({ headerFields: 10 }));
  assert.equal(many.fields.length, 10);
  assert.deepEqual(many.defects, ['too-many-headers']);
  const long = read(`A: ${'b '.repeat(100)}\r\n\r\nbody`, limitsWith({ headerBytes: 100 }));
  assert.deepEqual(long.defects, ['too-large']);
});

test('a line read before under other limits is read anew, and one at another place has its own', () => {
  const text = 'Subject: =?utf-8?Q?a?= x =?utf-8?Q?b?=\r\n\r\n';
  assert.equal(read(text).fields[0]?.decoded, 'a x b');
  assert.notEqual(read(text, limitsWith({ encodedWords: 1 })).fields[0]?.decoded, 'a x b');
  const again = read(`X: y\r\n${text}`).fields[1];
  assert.equal(again?.decoded, 'a x b');
  assert.equal(again?.start, 6);
});
