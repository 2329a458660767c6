import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { readForm, textOf, writeForm } from './multipart-form.ts';

const TYPE = 'multipart/form-data; boundary=b1';

function fieldsOf(body: string | Buffer, type = TYPE): readonly (readonly unknown[])[] {
  const reading = readForm(type, Buffer.from(body));
  assert.equal(reading.kind, 'form', reading.kind === 'invalid' ? reading.reason : '');
  return reading.kind !== 'form'
    ? []
    : reading.fields.map((one) => [one.name, one.fileName, textOf(one)]);
}

function isInvalid(body: string | Buffer, type = TYPE): void {
  const reading = readForm(type, Buffer.from(body));
  assert.equal(reading.kind, 'invalid', String(body));
}

function part(name: string, content: string, more = ''): string {
  return `--b1\r\nContent-Disposition: form-data; name="${name}"${more}\r\n\r\n${content}\r\n`;
}

test('fields are read in order, repeated ones too, with empty values and files', () => {
  const body = `${part('to', 'a')}${part('to', '')}${part('f', 'x\r\ny', '; filename="a b.txt"')}--b1--\r\n`;
  assert.deepEqual(fieldsOf(body), [
    ['to', null, 'a'],
    ['to', null, ''],
    ['f', 'a b.txt', 'x\r\ny'],
  ]);
  assert.deepEqual(fieldsOf(body, 'multipart/form-data; boundary="b1"'), fieldsOf(body));
});

test('content comes out byte for byte, from the form of the platform as well', async () => {
  const content = Buffer.concat([randomBytes(5000), Buffer.from('\r\n--b\r\n\0'), randomBytes(10)]);
  const form = new FormData();
  form.append('file', new Blob([content]), 'a"b.bin');
  form.append('text', 'é\r\n');
  const response = new Response(form);
  const type = response.headers.get('content-type') ?? '';
  const reading = readForm(type, Buffer.from(await response.arrayBuffer()));
  assert.equal(reading.kind, 'form');
  const [file, text] = reading.kind === 'form' ? reading.fields : [];
  assert.ok(file?.content.equals(content));
  assert.equal(file?.fileName, 'a"b.bin');
  assert.equal(text === undefined ? '' : textOf(text), 'é\r\n');
});

test('what is written is read again, by the platform too, and the same input gives the same bytes', async () => {
  const content = randomBytes(3000);
  const fields = [
    { name: 'to', fileName: null, contentType: null, content: Buffer.from('a@x.test') },
    { name: 'f"1', fileName: 'a"\r\n.bin', contentType: 'image/png', content },
  ];
  const { contentType, body } = writeForm(fields, '=_boundary');
  assert.deepEqual(body, writeForm(fields, '=_boundary').body);
  const reading = readForm(contentType, body);
  assert.ok(reading.kind === 'form' && reading.fields[1]?.content.equals(content));
  const form = await new Response(body, { headers: { 'content-type': contentType } }).formData();
  assert.equal(form.get('to'), 'a@x.test');
  assert.throws(() => writeForm(fields, 'x.test'), RangeError);
});

test('a form that two parsers could divide differently is invalid', () => {
  const good = part('a', '1');
  fieldsOf(`${good}--b1--`);
  for (const body of [
    '',
    good,
    `preamble\r\n${good}--b1--\r\n`,
    `${good}--b1--\r\nepilogue`,
    `${good}--b1-- \r\n`,
    `${good}--b1 \r\n`,
    `${part('a', '1\n--b1')}--b1--\r\n`,
    `${part('a', '1\r\n--b1x')}--b1--\r\n`,
    '--b1\r\nContent-Disposition: form-data; name="a"\r\n\r\n--b1--\r\n',
    '--b1\nContent-Disposition: form-data; name="a"\n\n1\n--b1--\n',
    '--b1\r\n\r\n1\r\n--b1--\r\n',
    '--b1\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--b1--\r\n',
    '--b1\r\nContent-Disposition: form-data; name="a"; name="to"\r\n\r\n1\r\n--b1--\r\n',
    '--b1\r\nContent-Disposition: form-data; name="a\\"; x="\r\n\r\n1\r\n--b1--\r\n',
    '--b1\r\nContent-Disposition: form-data; name="a%0D%0Ab"\r\n\r\n1\r\n--b1--\r\n',
    '--b1\r\nContent-Disposition: form-data; name="a"\r\n folded\r\n\r\n1\r\n--b1--\r\n',
    '--b1\r\nContent-Disposition: form-data; name="a"\r\nContent-Disposition: form-data; name="b"\r\n\r\n1\r\n--b1--\r\n',
    '--b1\r\nContent-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: base64\r\n\r\nYQ==\r\n--b1--\r\n',
  ]) {
    isInvalid(body);
  }
  for (const type of [
    'multipart/form-data',
    'multipart/form-data; boundary=b1; boundary=b2',
    'multipart/mixed; boundary=b1',
    'text/plain',
  ]) {
    isInvalid(`${good}--b1--`, type);
  }
});

test('limits hold', () => {
  isInvalid(`${part('a', '1').repeat(5001)}--b1--\r\n`);
  isInvalid(`${part('a'.repeat(501), '1')}--b1--\r\n`);
  isInvalid(`${part('a', '1', `; filename="${'x'.repeat(9000)}"`)}--b1--\r\n`);
});

test('a percent-encoded form is read as HTML has it; what is not encoded as it should be is invalid', () => {
  const type = 'application/x-www-form-urlencoded';
  assert.deepEqual(fieldsOf('to=a%40x.test&to=b+c&e=', type), [
    ['to', null, 'a@x.test'],
    ['to', null, 'b c'],
    ['e', null, ''],
  ]);
  for (const body of ['a', '=b', 'a=%4', 'a=b;c=d', 'a=é', '%ff=1', 'a=1&&b=2'])
    isInvalid(body, type);
});
