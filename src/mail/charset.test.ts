import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readText } from './charset.ts';

const utf8 = (text: string): Buffer => Buffer.from(text, 'utf8');
const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');

test('text is read in the charset it claims', () => {
  assert.deepEqual(readText(utf8('grüße'), 'UTF-8'), { texts: ['grüße'], defects: [] });
  assert.deepEqual(readText(utf8('\ufeffabc'), 'utf8'), { texts: ['abc'], defects: [] });
  assert.deepEqual(readText(latin1('gr\xfc\xdfe'), 'iso-8859-1').texts, ['grüße']);
  assert.deepEqual(readText(latin1('\xc4\xe3\xba\xc3'), 'gb2312').texts, ['你好']);
  assert.deepEqual(readText(latin1('\xc4\xe3\xba\xc3'), 'cp936').texts, ['你好']);
  assert.deepEqual(readText(latin1('\x82\xb1'), '"Shift_JIS"').texts, ['こ']);
  assert.deepEqual(readText(latin1('\x1b$B$3\x1b(B'), 'iso-2022-jp').texts[0], 'こ');
  assert.deepEqual(readText(latin1('a'), 'iso-8859-1'), { texts: ['a'], defects: [] });
});

test('UTF-16 is read in both orders where no mark says which', () => {
  const { texts } = readText(Buffer.from('a@x.test', 'utf16le').swap16(), 'utf-16');
  assert.ok(texts.includes('a@x.test'));
  assert.ok(readText(Buffer.from('a@x.test', 'utf16le'), 'utf-16').texts.includes('a@x.test'));
});

test('a charset that hides ASCII in other characters has its ASCII reading beside it', () => {
  for (const text of ['see a@x.test now', 'see a@x.test \xff']) {
    assert.ok(readText(latin1(text), 'utf-16le').texts.includes(text));
  }
});

test('an unknown charset is a defect with the readings UTF-8 and Western European', () => {
  assert.deepEqual(readText(utf8('ü'), 'x-nobody-knows'), {
    texts: ['ü', 'Ã¼'],
    defects: ['unknown-charset'],
  });
  assert.deepEqual(readText(latin1('\xfc'), 'x-nobody-knows').texts, ['ü']);
});

test('UTF-7 is a defect, and what it hides is read', () => {
  const { texts, defects } = readText(latin1('a+AEA-x.test +- b'), 'utf-7');
  assert.deepEqual(defects, ['unknown-charset']);
  assert.deepEqual(texts, ['a@x.test + b', 'a+AEA-x.test +- b']);
});

test('bytes that do not fit their charset are a defect with another reading', () => {
  assert.deepEqual(readText(latin1('gr\xfcn'), 'utf-8'), {
    texts: ['gr\ufffdn', 'grün'],
    defects: ['malformed-charset'],
  });
  assert.deepEqual(readText(utf8('ü'), 'us-ascii').defects, ['malformed-charset']);
  assert.deepEqual(readText(utf8('ü'), '').texts, ['ü', 'Ã¼']);
});

test('a Western European claim for what is UTF-8 gives both readings', () => {
  assert.deepEqual(readText(utf8('ü'), 'windows-1252').texts, ['Ã¼', 'ü']);
});

test('ten thousand made-up charsets do not fill the memory or fail', () => {
  for (let index = 0; index < 10_000; index++) readText(latin1('\xff'), `x-${index}`);
  assert.deepEqual(readText(latin1('\xc4\xe3'), 'gbk').texts, ['你']);
});
