/** What the signer promises by itself: the RFC's canonical forms, and one finished field. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, hash, verify } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { createDkimSigner, type DkimSignerOptions, relaxedBody, relaxedField } from './dkim.ts';

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const options: DkimSignerOptions = {
  domain: 'shop.example',
  selector: 's1',
  privateKey,
  signedHeaders: ['From', 'To', 'Subject', 'X-Absent'],
  oversigned: ['From', 'Cc'],
};
const message = Buffer.from(
  'From: a@shop.example\r\nTo: b@home.example\r\nSubject: Hello\r\n\r\nHi.\r\n',
);

const body = (text: string): string =>
  relaxedBody(Buffer.from(text, 'latin1'), 0).toString('latin1');

test('header fields are reduced as in the example of RFC 6376 section 3.4.5', () => {
  assert.equal(relaxedField('a', ' X'), 'a:X');
  assert.equal(relaxedField('b', ' Y\t\r\n\tZ  '), 'b:Y Z');
});

test('bodies are reduced as in the examples of RFC 6376 sections 3.4.4 and 3.4.5', () => {
  assert.equal(body(' C \r\nD \t E\r\n\r\n\r\n'), ' C\r\nD E\r\n');
  assert.equal(body(''), '');
  assert.equal(body('\r\n\r\n'), '');
  assert.equal(
    hash('sha256', relaxedBody(Buffer.from('\r\n'), 0), 'base64'),
    '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=',
  );
});

test('the body hash of the message in RFC 8463 appendix A comes out', () => {
  const text = 'Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n';
  const bodyHash = hash('sha256', relaxedBody(Buffer.from(text), 0), 'base64');
  assert.equal(bodyHash, '2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=');
});

for (const [text, expected] of [
  ['a', 'a\r\n'],
  [' ', ''],
  [' \r\n\t\r\n', ''],
  ['a \r\n \r\n', 'a\r\n'],
  ['  a', ' a\r\n'],
  ['\ta\r\n', ' a\r\n'],
  ['a\t', 'a\r\n'],
  ['a\xa0\r\n', 'a\xa0\r\n'],
  ['\r\n\r\na\r\n', '\r\n\r\na\r\n'],
] as const) {
  test(`the body ${JSON.stringify(text)} is reduced to ${JSON.stringify(expected)}`, () => {
    assert.equal(body(text), expected);
  });
}

/** Section 3.4.4 word for word, slow and plain. */
function plainRelaxedBody(text: string): string {
  const reduced = text
    .split('\r\n')
    .map((line) => line.replace(/[ \t]+$/, '').replace(/[ \t]+/g, ' '))
    .join('\r\n')
    .replace(/(?:\r\n)+$/, '');
  return reduced === '' ? '' : `${reduced}\r\n`;
}

const oddText = fc.string({
  unit: fc.constantFrom('a', 'bc', ' ', ' ', '\t', '\r\n', '\r\n', '\xa0', '.'),
  maxLength: 60,
});

test('whatever the white space, at whatever offset: the quick scan and the plain rule agree', () => {
  fc.assert(
    fc.property(oddText, fc.nat(3), (text, offset) => {
      const bytes = Buffer.from('x'.repeat(offset) + text, 'latin1');
      assert.equal(relaxedBody(bytes, offset).toString('latin1'), plainRelaxedBody(text));
    }),
    { numRuns: 5000 },
  );
});

test('a field value is reduced like the plain rule, and bytes over 0x7f are left alone', () => {
  const value = fc.string({
    unit: fc.constantFrom('a', ' ', '\t', '\r\n ', '\r\n\t', '\xa0', '\xc3\xa9', ':'),
    maxLength: 40,
  });
  fc.assert(
    fc.property(value, (text) => {
      const plain = text
        .replaceAll('\r\n', '')
        .replace(/[ \t]+/g, ' ')
        .replace(/^ | $/g, '');
      assert.equal(relaxedField('x', text), `x:${plain}`);
    }),
    { numRuns: 2000 },
  );
});

test('the field is folded at 76, the same every time, and has t= but neither x= nor l=', () => {
  const sign = createDkimSigner(options);
  const field = sign(message, 1763690000);
  assert.equal(field, sign(message, 1763690000));
  assert.notEqual(field, sign(message, 1763690001));
  assert.ok(field.endsWith('\r\n'));
  for (const line of field.slice(0, -2).split('\r\n')) {
    assert.ok(line.length <= 76);
    assert.match(line, /^(?:DKIM-Signature: | )\S.*\S$/);
  }
  const tags = field.replace(/\r\n/g, '').slice('DKIM-Signature:'.length).split(';');
  const names = tags.map((tag) => tag.trim().split('=')[0]);
  assert.deepEqual(names, ['v', 'a', 'c', 'd', 's', 'h', 't', 'bh', 'b']);
  assert.ok(field.includes(' h=from:from:to:subject:cc;'));
  assert.ok(field.includes(' t=1763690000;'));
});

test('the signed bytes are the canonical fields, bottom up, and the field itself without its b=', () => {
  const twice = Buffer.from('To: one\r\nFrom : a@shop.example\r\nTo:  two\r\n\r\n');
  const field = createDkimSigner(options)(twice, 1).replaceAll('\r\n ', ' ').trimEnd();
  const [, value = '', signature = ''] = /^DKIM-Signature: (.* b=)(.*)$/.exec(field) ?? [];
  const data = `from:a@shop.example\r\nto:two\r\nto:one\r\ndkim-signature:${value}`;
  assert.match(value, / h=from:from:to:to:cc;/);
  const bytes = Buffer.from(signature.replaceAll(' ', ''), 'base64');
  assert.ok(verify('sha256', Buffer.from(data), publicKey, bytes));
  assert.ok(!verify('sha256', Buffer.from(`${data} `), publicKey, bytes));
});

for (const [what, text] of [
  ['no From', 'To: b\r\n\r\n'],
  ['two From', 'From: a\r\nFrom: b\r\n\r\n'],
  ['a From in the body only', 'To: b\r\n\r\nFrom: a\r\n'],
  ['a line without a colon', 'From: a\r\nhello\r\n\r\n'],
  ['nothing at all', ''],
] as const) {
  test(`a message with ${what} is not signed`, () => {
    assert.throws(() => createDkimSigner(options)(Buffer.from(text), 1), {
      code: 'dkim-message-malformed',
    });
  });
}

const small = generateKeyPairSync('rsa', { modulusLength: 512 });
const ed25519 = generateKeyPairSync('ed25519');
for (const [what, wrong] of [
  ['a domain that is not A-labels', { domain: 'bücher.example' }],
  ['a domain that would add a tag', { domain: 'a.example; l=0' }],
  ['an empty selector', { selector: '' }],
  ['a public key', { privateKey: publicKey }],
  ['a key of another kind', { privateKey: ed25519.privateKey }],
  ['a key that is too short', { privateKey: small.privateKey }],
  ['From left out', { signedHeaders: ['To'] }],
  ['a name that is none', { oversigned: ['a:b'] }],
] as const) {
  test(`${what} is refused when the signer is made`, () => {
    assert.throws(() => createDkimSigner({ ...options, ...wrong }), {
      code: 'dkim-options-malformed',
    });
  });
}

test('a signing time with a fraction is refused', () => {
  assert.throws(() => createDkimSigner(options)(message, 1.5), { code: 'dkim-options-malformed' });
});
