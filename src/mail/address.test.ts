import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { quickestMs } from '../../test/support/quickest-ms.ts';
import { canonicalAddress, deliveryForm, parseAddress } from './address.ts';

function read(text: string): { localPart: string; domain: string; text: string } {
  const reading = parseAddress(text);
  if (reading.kind === 'invalid') assert.fail(`${JSON.stringify(text)}: ${reading.reason}`);
  return reading.address;
}

const VALID: readonly (readonly [given: string, localPart: string, domain: string])[] = [
  ['anna@example.test', 'anna', 'example.test'],
  ['  anna@example.test\t', 'anna', 'example.test'],
  ["o'brien+tag@example.test", "o'brien+tag", 'example.test'],
  ['bounce+user=example.com@list.test', 'bounce+user=example.com', 'list.test'],
  ['a@localhost', 'a', 'localhost'],
  ['"a b"@x.test', 'a b', 'x.test'],
  ['"a\\"b\\\\"@x.test', 'a"b\\', 'x.test'],
  ['"a@b,c;d<e>"@x.test', 'a@b,c;d<e>', 'x.test'],
  ['a@[192.0.2.1]', 'a', '[192.0.2.1]'],
  ['a@[IPv6:2001:db8::1]', 'a', '[IPv6:2001:db8::1]'],
  ['a@xn--bcher-kva.test', 'a', 'xn--bcher-kva.test'],
  ['a@bücher.test', 'a', 'bücher.test'],
  ['用户@例え.test', '用户', '例え.test'],
  ['jo\u0308rg@x.test', 'jörg', 'x.test'],
  ['a@1.2.3.test', 'a', '1.2.3.test'],
  [`${'l'.repeat(64)}@x.test`, 'l'.repeat(64), 'x.test'],
];

test('one address is read whatever allowed form it has', () => {
  for (const [given, localPart, domain] of VALID) {
    const address = read(given);
    assert.equal(address.localPart, localPart);
    assert.equal(address.domain, domain);
    assert.equal(address.text, given.trim().normalize('NFC'));
  }
});

const INVALID: readonly string[] = [
  '',
  'anna',
  '@x.test',
  'anna@',
  'a@b@x.test',
  'a@x.test, b@y.test',
  'a@x.test;b@y.test',
  'Anna <a@x.test>',
  '<a@x.test>',
  '<@relay.test:a@x.test>',
  '@relay.test:a@x.test',
  'team: a@x.test;',
  'a@x.test (comment)',
  'a(c)@x.test',
  'a b@x.test',
  'a @x.test',
  'a\r\n@x.test',
  'a@x.test\n',
  'a@x.test\r\nRCPT TO:<b@y.test>',
  'a\0@x.test',
  'a\u0085@x.test',
  'a\u2028@x.test',
  'a\u200b@x.test',
  'a\u202e@x.test',
  'a\ud800@x.test',
  'a＠x.test',
  '.a@x.test',
  'a.@x.test',
  'a..b@x.test',
  '"a@x.test',
  '"a"b@x.test',
  '"a\n"@x.test',
  'a@-x.test',
  'a@x-.test',
  'a@x..test',
  'a@x.test.',
  'a@x_y.test',
  'a@x.%41.test',
  'a@192.0.2.1',
  'a@0x7f.1',
  'a@[300.0.0.1]',
  'a@[1.2.3.]',
  'a@[IPv6:zz]',
  'a@[x',
  'a@xn--\u00fc.test',
  `${'l'.repeat(65)}@x.test`,
  `a@${'d'.repeat(64)}.test`,
  `${'l'.repeat(60)}@${'d.'.repeat(100)}test`,
];

test('what is not exactly one address is refused with a reason that does not repeat it', () => {
  for (const given of INVALID) {
    const reading = parseAddress(given);
    assert.equal(reading.kind, 'invalid', JSON.stringify(given));
    if (reading.kind !== 'invalid' || given.length < 4) continue;
    assert.ok(!reading.reason.includes(given), reading.reason);
    assert.match(reading.reason, /^[A-Z].*\.$/);
  }
});

const SAME: readonly (readonly [string, string, string])[] = [
  ['Anna@Example.TEST', 'anna@example.test', 'anna@example.test'],
  ['"anna"@x.test', 'anna@x.test', 'anna@x.test'],
  ['"a b"@x.test', '"A B"@X.test', 'a b@x.test'],
  ['a@bücher.test', 'a@XN--BCHER-KVA.test', 'a@xn--bcher-kva.test'],
  ['a@例え。test', 'a@例え.test', 'a@xn--r8jz45g.test'],
  ['a@ｘ.test', 'a@x.test', 'a@x.test'],
  ['J\u00d6RG@x.test', 'jo\u0308rg@x.test', 'jörg@x.test'],
  ['STRASSE@x.test', 'straße@x.test', 'strasse@x.test'],
  ['ΟΔΟΣ@x.test', 'οδος@x.test', 'οδοσ@x.test'],
  ['a..b@x.test', '"a..b"@x.test', 'a..b@x.test'],
  ['a@x.test.', 'a@x.test', 'a@x.test'],
  ['A@x_y.test', 'a@X_Y.test', 'a@x_y.test'],
];

test('two spellings of one address are equal in canonical form', () => {
  for (const [one, other, canonical] of SAME) {
    assert.equal(canonicalAddress(one), canonical);
    assert.equal(canonicalAddress(other), canonical);
  }
});

test('different mailboxes stay different in canonical form', () => {
  assert.notEqual(canonicalAddress('a+1@x.test'), canonicalAddress('a@x.test'));
  assert.notEqual(canonicalAddress('a.b@x.test'), canonicalAddress('ab@x.test'));
  assert.notEqual(canonicalAddress('ı@x.test'), canonicalAddress('i@x.test'));
});

test('what is no address has no canonical form', () => {
  for (const given of [
    '',
    'anna',
    'a@',
    '@b',
    'a b@x.test',
    'a@x y',
    'a,b@x.test',
    'a@x\n',
    '<a@x>',
  ]) {
    assert.equal(canonicalAddress(given), null, JSON.stringify(given));
  }
});

test('only a local part beyond ASCII needs SMTPUTF8', () => {
  assert.deepEqual(deliveryForm(read('"a b"@Bücher.test')), {
    text: '"a b"@xn--bcher-kva.test',
    needsSmtpUtf8: false,
  });
  assert.deepEqual(deliveryForm(read('Anna@X.test')), {
    text: 'Anna@X.test',
    needsSmtpUtf8: false,
  });
  assert.deepEqual(deliveryForm(read('用户@例え.test')), {
    text: '用户@例え.test',
    needsSmtpUtf8: true,
  });
});

test('the capital sharp s folds as the small one does', () => {
  assert.equal(canonicalAddress('GRO\u1e9e@x.test'), 'gross@x.test');
  assert.equal(canonicalAddress('gro\u00df@x.test'), 'gross@x.test');
});

test('canonical form is a fixed point and reading never throws', () => {
  const anything = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc
      .tuple(fc.string({ unit: 'grapheme' }), fc.domain())
      .map(([local, host]) => `${local}@${host}`),
    fc.emailAddress(),
  );
  fc.assert(
    fc.property(anything, (text) => {
      const reading = parseAddress(text);
      const canonical = canonicalAddress(text);
      if (reading.kind !== 'address') return;
      assert.notEqual(canonical, null);
      if (/^[^"\\\s@,;:<>()[\]]+@/.test(canonical ?? '')) {
        assert.equal(canonicalAddress(canonical ?? ''), canonical);
      }
      assert.equal(canonicalAddress(deliveryForm(reading.address).text), canonical);
    }),
    { numRuns: 500 },
  );
});

test('a hostile text of a megabyte is answered at once', () => {
  for (const piece of ['a', 'a.', '"', '\\', '@', 'a@', 'ü', '-', 'a-', '[', '(']) {
    const text = piece.repeat(1_000_000 / piece.length);
    const elapsed = quickestMs(100, () => {
      for (const given of [text, `a@${text}`, `${text}@x.test`]) {
        parseAddress(given);
        canonicalAddress(given);
      }
    });
    assert.ok(elapsed < 100, `${piece}: ${elapsed} ms`);
  }
});
