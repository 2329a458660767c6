import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_LIMITS, limitsWith } from './limits.ts';
import { allParts, type ParsedMessage, parseMessage } from './message.ts';

function read(lines: readonly string[], limits = DEFAULT_LIMITS): ParsedMessage {
  return parseMessage(Buffer.from(lines.join('\r\n'), 'latin1'), limits);
}

/** Every part as 'path type', depth first. */
function outline(message: ParsedMessage): readonly string[] {
  return allParts(message).map((part) => `${part.path} ${part.contentType}`.trim());
}

function ids(message: ParsedMessage): readonly string[] {
  return message.defects.map(({ id, where }) => `${id} in ${where}`);
}

/** All readings of all parts. */
function texts(message: ParsedMessage): readonly string[] {
  return allParts(message).flatMap((part) => part.texts);
}

const MIXED = 'Content-Type: multipart/mixed; boundary=b';
const NESTED_MESSAGE = ['To: inner@x.test', 'Subject: inner', '', 'inner body'];

test('a message without MIME fields is one plain text', () => {
  const message = read(['To: a@x.test', '', 'hello']);
  assert.deepEqual(outline(message), ['text/plain']);
  assert.deepEqual(texts(message), ['hello']);
  assert.equal(Buffer.from(message.root.content).toString(), 'hello');
  assert.deepEqual(ids(message), []);
});

test('parts, their types, names and texts are read', () => {
  const message = read([
    MIXED,
    '',
    'preamble',
    '--b',
    'Content-Type: multipart/alternative; boundary="c"',
    '',
    '--c',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: quoted-printable',
    '',
    'gr=C3=BC=C3=9Fe',
    '--c',
    'Content-Type: text/html; charset=iso-8859-1',
    'Content-Transfer-Encoding: base64',
    '',
    Buffer.from('<p>gr\xfc\xdfe</p>', 'latin1').toString('base64'),
    '--c--',
    '--b',
    'Content-Type: application/pdf; name=a.pdf',
    'Content-Disposition: Attachment; filename="b.pdf"',
    '',
    '%PDF',
    '--b--',
    'epilogue',
  ]);
  assert.deepEqual(outline(message), [
    'multipart/mixed',
    '1 multipart/alternative',
    '1.1 text/plain',
    '1.2 text/html',
    '2 application/pdf',
  ]);
  assert.deepEqual(texts(message), ['preamble', 'epilogue', 'grüße', '<p>grüße</p>']);
  const file = message.root.children[1];
  assert.equal(file?.disposition, 'attachment');
  assert.equal(file?.fileName, 'b.pdf');
  assert.deepEqual(file?.texts, []);
  assert.equal(message.root.content.length, 0);
  assert.deepEqual(ids(message), []);
});

test('a message inside a message is read with its own fields and path', () => {
  const message = read([
    MIXED,
    '',
    '--b',
    'Content-Type: message/rfc822',
    '',
    ...NESTED_MESSAGE,
    '--b--',
    '',
  ]);
  assert.deepEqual(outline(message), ['multipart/mixed', '1 message/rfc822', '1.m text/plain']);
  const nested = message.root.children[0]?.nested;
  assert.equal(nested?.headers[0]?.value, 'inner@x.test');
  assert.deepEqual(nested?.root.texts, ['inner body']);
  assert.deepEqual(ids(message), []);
});

test('a nested message is read under each of its types, names and encodings', () => {
  const base64 = Buffer.from(NESTED_MESSAGE.join('\r\n')).toString('base64');
  for (const [type, extra, body, defects] of [
    ['message/global', 'base64', base64, []],
    ['message/rfc822', 'base64', base64, ['encoded-composite in body']],
    ['text/rfc822-headers', '7bit', NESTED_MESSAGE.slice(0, 3).join('\r\n'), []],
    ['application/octet-stream; name="mail.EML"', 'base64', base64, []],
    ['message/rfc822', '7bit', NESTED_MESSAGE.join('\r\n'), []],
  ] as const) {
    const message = read([
      `Content-Type: ${type}`,
      `Content-Transfer-Encoding: ${extra}`,
      '',
      body,
    ]);
    assert.equal(message.root.nested?.headers[0]?.value, 'inner@x.test', type);
    assert.equal(message.root.nested?.root.path, '.m');
    assert.deepEqual(ids(message), defects, type);
  }
});

test('in a digest a part without a type is a message', () => {
  const type = 'Content-Type: multipart/digest; boundary=b';
  const message = read([type, '', '--b', '', ...NESTED_MESSAGE, '--b--', '']);
  assert.equal(message.root.children[0]?.nested?.headers[0]?.value, 'inner@x.test');
});

test('a delivery report is text that can be searched', () => {
  const message = read([
    'Content-Type: message/delivery-status',
    '',
    'Final-Recipient: rfc822; a@x.test',
  ]);
  assert.deepEqual(texts(message), ['Final-Recipient: rfc822; a@x.test']);
});

test('two boundaries give the parts of both', () => {
  const both = ['', '--b', '', 'one', '--c', '', 'two', '--c--', '--b--', ''];
  for (const fields of [
    ['Content-Type: multipart/mixed; boundary=b; boundary=c'],
    [MIXED, 'Content-Type: multipart/mixed; boundary=c'],
  ]) {
    const message = read([...fields, ...both]);
    const found = texts(message);
    assert.ok(found.includes('two'), fields.join());
    assert.ok(found.includes('one\r\n--c\r\n\r\ntwo\r\n--c--'), fields.join());
    assert.ok(
      message.defects.some(({ id }) => id.startsWith('duplicate-')),
      fields.join(),
    );
  }
});

test('two types give the multipart and the text reading', () => {
  const message = read([MIXED, 'Content-Type: text/plain', '', '--b', '', 'one', '--b--', '']);
  assert.equal(message.root.children.length, 1);
  assert.ok(texts(message).includes('--b\r\n\r\none\r\n--b--\r\n'));
  assert.deepEqual(ids(message), ['duplicate-header in header Content-Type']);
});

test('two transfer encodings give both texts', () => {
  const encodings = ['7bit', 'base64'].map((name) => `Content-Transfer-Encoding: ${name}`);
  const message = read([...encodings, '', 'YUB4LnRlc3Q=']);
  assert.deepEqual(texts(message), ['YUB4LnRlc3Q=', 'a@x.test']);
  assert.deepEqual(ids(message), ['duplicate-header in header Content-Transfer-Encoding']);
});

test('a multipart that is itself encoded has the parts of both readings', () => {
  const inside = ['--b', '', 'hidden', '--b--', ''].join('\r\n');
  const encoded = Buffer.from(inside).toString('base64');
  const message = read([MIXED, 'Content-Transfer-Encoding: base64', '', encoded]);
  assert.ok(texts(message).includes('hidden'));
  assert.ok(texts(message).includes(encoded));
  assert.ok(ids(message).includes('encoded-composite in body'));
});

test('a multipart without a boundary is guessed, and its text kept', () => {
  const message = read(['Content-Type: multipart/mixed', '', '--x1', '', 'one', '--x1--', '']);
  assert.deepEqual(texts(message), ['one']);
  assert.deepEqual(ids(message), ['missing-boundary in body']);
  const none = read(['Content-Type: multipart/mixed', '', 'only text']);
  assert.deepEqual(texts(none), ['only text']);
  assert.deepEqual(ids(none), ['missing-boundary in body']);
});

test('a boundary used again inside is a clash', () => {
  const message = read([MIXED, '', '--b', MIXED, '', '--b', '', 'one', '--b--', '']);
  assert.ok(ids(message).includes('boundary-clash in part 1'));
  assert.ok(texts(message).includes('one'));
});

test('a part whose header ends without an empty line keeps its text', () => {
  const message = read([MIXED, '', '--b', 'hello a@x.test', '--b--', '']);
  assert.deepEqual(texts(message), ['', 'hello a@x.test']);
  assert.ok(ids(message).includes('header-without-colon in part 1 header'));
});

test('what a part holds that its fields do not fit is a defect there', () => {
  const rows: readonly (readonly [readonly string[], string, string])[] = [
    [['Content-Type: nonsense'], 'a', 'malformed-content-type in header Content-Type'],
    [['Content-Transfer-Encoding: x-rot13'], 'a', 'unknown-transfer-encoding in body'],
    [['Content-Transfer-Encoding: base64'], '!', 'malformed-base64 in body'],
    [['Content-Transfer-Encoding: quoted-printable'], '=zz', 'malformed-quoted-printable in body'],
    [['Content-Transfer-Encoding: quoted-printable'], '=00', 'nul-byte in body'],
    [['Content-Type: text/plain; charset=x-y'], '\xff', 'unknown-charset in body'],
    [['Content-Type: text/plain; charset=utf-8'], '\xff', 'malformed-charset in body'],
    [['A: b'], 'a\rb', 'bare-cr in body'],
    [['A: b'], 'a\nb', 'bare-lf in body'],
    [['A: b'], 'a\0b', 'nul-byte in body'],
    [['A: b'], 'a'.repeat(999), 'line-too-long in body'],
    [['To: Anna'], '', 'malformed-address in header To'],
    [['To: a@x.test', 'To: b@y.test'], '', 'duplicate-header in header To'],
  ];
  for (const [fields, body, defect] of rows) {
    const found = ids(read([...fields, '', body]));
    assert.ok(found.includes(defect), `${defect}: ${found}`);
  }
});

test('where a defect is never repeats what the sender wrote there', () => {
  const found = ids(read(['anna@x.test: a', 'anna@x.test', 'T\0o@x.test: b', '', '']));
  assert.ok(found.length > 0);
  for (const line of found) assert.ok(!line.includes('@'), line);
});

test('an empty message is one, with a defect', () => {
  for (const bytes of ['', '\r\n', ' \r\n']) {
    const message = parseMessage(Buffer.from(bytes));
    assert.equal(message.root.contentType, 'text/plain');
    assert.ok(ids(message).includes('empty-message in body'), JSON.stringify(bytes));
  }
});

test('nesting, parts and bytes beyond the limits are reported, and their text kept', () => {
  const deep = Array.from({ length: 30 }, (_, index) => [
    `Content-Type: multipart/mixed; boundary=b${index}x`,
    '',
    `--b${index}x`,
  ]).flat();
  const tooDeep = read([...deep, '', 'deep a@x.test']);
  assert.ok(tooDeep.defects.some(({ id }) => id === 'too-deep'));
  assert.ok(texts(tooDeep).some((text) => text.includes('deep a@x.test')));
  const many = read(
    [MIXED, '', ...Array.from({ length: 50 }, () => ['--b', '', 'x']).flat(), '--b--', ''],
    limitsWith({ parts: 10 }),
  );
  assert.equal(allParts(many).length, 10);
  assert.ok(many.defects.some(({ id }) => id === 'too-many-parts'));
  const large = read(['A: b', '', 'x'.repeat(100)], limitsWith({ messageBytes: 50 }));
  assert.ok(large.defects.some(({ id }) => id === 'too-large'));
});

test('every reading of a text is kept: padding inside base64, and a charset named twice', () => {
  const padded = read([
    'Content-Transfer-Encoding: base64',
    '',
    'YW5u',
    'Ym9iQHkudGVzdA==',
    'YWJj',
  ]);
  assert.deepEqual(texts(padded), ['annbob@y.testabc', 'annbob@y.test']);
  const twice = read(['Content-Type: text/plain; charset=iso-8859-1; charset=koi8-r', '', '\xe1']);
  assert.deepEqual(texts(twice).slice(0, 2), ['á', 'А']);
});

test('a field read before is read anew under other limits', () => {
  const lines = ['Content-Type: text/plain; a=1; b=2', '', ''];
  assert.equal(read(lines).root.parameters.size, 2);
  assert.equal(read(lines, limitsWith({ parameters: 1 })).root.parameters.size, 1);
});
