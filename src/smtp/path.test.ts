import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasNonAscii, readPath } from './path.ts';

function address(text: string): string | null {
  const reading = readPath(`<${text}>`, 0, false);
  return reading.kind === 'path' && reading.end === text.length + 2 ? reading.address : null;
}

test('ordinary mailboxes are kept exactly as sent', () => {
  for (const good of [
    'a@x.test',
    'First.Last+tag@Sub.Example.test',
    "o'brien!#$%&*/=?^_`{|}~-@x.test",
    'a@xn--mnchen-3ya.test',
    'a@[192.0.2.1]',
    'a@[IPv6:2001:db8::1]',
    'a@localhost',
  ])
    assert.equal(address(good), good);
});

test('quoted local parts are kept with their quotes and escapes', () => {
  for (const good of ['"a b"@x.test', '"a\\"b"@x.test', '"a..b"@x.test', '"a:b"@x.test'])
    assert.equal(address(good), good);
});

test('internationalised mailboxes are kept', () => {
  for (const good of ['jürgen@münchen.test', '用户@例子.测试', 'δοκιμή@παράδειγμα.δοκιμή'])
    assert.equal(address(good), good);
});

test('what another reader could take for two addresses or another one is refused', () => {
  for (const bad of [
    'a@x.test,b@y.test',
    'a@x.test;b@y.test',
    'a@x.test b@y.test',
    'a@x.test>,<b@y.test',
    'a@b@x.test',
    '"evil@ext.test x"@good.test',
    '"a\\@b"@good.test',
    '"a,b"@x.test',
    '"a<b"@x.test',
    '"a>b"@x.test',
    '"a(b"@x.test',
    'a(comment)@x.test',
    'user@good.test(x)evil.test',
    '@relay.test:a@x.test',
    '@r1.test,@r2.test:a@x.test',
    'group:a@x.test',
    'Name <a@x.test',
    'a＠y.test@x.test',
    'a，b@x.test',
    'a@x﹐y.test',
    'a\u00a0b@x.test',
    'a\u200bb@x.test',
    'a\u202eb@x.test',
    'a\u0085b@x.test',
    'a\ue000b@x.test',
  ])
    assert.equal(address(bad), null, JSON.stringify(bad));
});

test('malformed mailboxes are refused', () => {
  for (const bad of [
    '',
    'a',
    'a@',
    '@x.test',
    '.a@x.test',
    'a.@x.test',
    'a..b@x.test',
    'a@x..test',
    'a@.test',
    'a@x.test.',
    'a@-x.test',
    'a@x-.test',
    'a@x_y.test',
    '"a@x.test',
    '""@x.test',
    'a@[300.1.1.1]',
    'a@[IPv6:zz]',
    'a@[192.0.2.1',
    `${'a'.repeat(65)}@x.test`,
    `${'ü'.repeat(33)}@x.test`,
    `a@${'b'.repeat(250)}.test`,
  ])
    assert.equal(address(bad), null, JSON.stringify(bad));
});

test('the null path is taken only where it may stand', () => {
  assert.equal(readPath('<>', 0, true).kind, 'path');
  assert.equal(readPath('<>', 0, false).kind, 'invalid');
  assert.equal(readPath('a@x.test', 0, true).kind, 'invalid');
});

test('a refusal never repeats the address', () => {
  const reading = readPath('<secret@x..test>', 0, false);
  assert.equal(reading.kind, 'invalid');
  assert.ok(reading.kind === 'invalid' && !reading.reason.includes('secret'));
});

test('a hostile line costs no more than its length', () => {
  const started = performance.now();
  for (const filler of ['a.', '-', 'a-', '"\\', '@', '<', 'ü'])
    readPath(`<${filler.repeat(200_000)}`, 0, false);
  assert.ok(performance.now() - started < 500);
});

test('characters outside ASCII are seen', () => {
  assert.equal(hasNonAscii('abc~'), false);
  assert.equal(hasNonAscii('abé'), true);
});
