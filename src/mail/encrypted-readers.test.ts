import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encryptedReaders } from './encrypted-readers.ts';
import { allParts, parseMessage } from './message.ts';

const found = (text: string): string => {
  const message = parseMessage(Buffer.from(text.replaceAll('\n', '\r\n')));
  const kinds = allParts(message).map(encryptedReaders);
  return kinds.filter((kind) => kind !== 'none').join(' ') || 'none';
};

/** One DER element, its content in hexadecimal. */
function der(tag: number, ...inner: readonly string[]): string {
  const content = inner.join('');
  const length = content.length / 2;
  const head = length < 128 ? [tag, length] : [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.from(head).toString('hex') + content;
}

const ENVELOPED = der(0x06, '2a864886f70d010703');
const SIGNED = der(0x06, '2a864886f70d010702');
const keyTrans = der(0x30, der(0x02, '00'), der(0x04, 'aa'.repeat(100)));
const agreed = (keys: number): string =>
  der(0xa1, der(0x02, '03'), der(0x30, keyTrans.repeat(keys)));

function cms(type: string, infos: readonly string[]): string {
  const data = der(0x30, der(0x02, '00'), der(0x31, ...infos), der(0x30, der(0x06, '2a03')));
  return der(0x30, type, der(0xa0, data));
}

function mime(hex: string): string {
  const lines = Buffer.from(hex, 'hex').toString('base64');
  return `Content-Type: application/pkcs7-mime; smime-type=enveloped-data\nContent-Transfer-Encoding: base64\n\n${lines}\n`;
}

test('S/MIME for one reader is told from S/MIME for several', () => {
  assert.equal(found(mime(cms(ENVELOPED, [keyTrans]))), 'one');
  assert.equal(found(mime(cms(ENVELOPED, [keyTrans, keyTrans]))), 'several');
  assert.equal(found(mime(cms(ENVELOPED, [agreed(1)]))), 'one');
  assert.equal(found(mime(cms(ENVELOPED, [agreed(2)]))), 'several');
  assert.equal(found(mime(cms(SIGNED, [keyTrans, keyTrans]))), 'none');
});

test('indefinite lengths, as streams are written, are read too', () => {
  const data = `3080${der(0x02, '00')}3180${keyTrans}${keyTrans}0000${der(0x30, der(0x06, '2a03'))}0000`;
  assert.equal(found(mime(`3080${ENVELOPED}a080${data}00000000`)), 'several');
  const one = `3080${der(0x02, '00')}3180${keyTrans}0000${der(0x30, der(0x06, '2a03'))}0000`;
  assert.equal(found(mime(`3080${ENVELOPED}a080${one}00000000`)), 'one');
});

test('encrypted content that is cut short or is none is unknown, never none', () => {
  const whole = cms(ENVELOPED, [keyTrans, keyTrans]);
  for (const length of [0, 2, 20, 60, 200])
    assert.equal(found(mime(whole.slice(0, length))), 'unknown');
});

/** A PKESK packet of version 3 for a key id. */
const pkesk = (id: string): string => `c10c03${id}01aabb`;
const data = 'd20501aabbccdd';
const armor = (hex: string): string =>
  `Content-Type: text/plain\n\nHello\n-----BEGIN PGP MESSAGE-----\nComment: x\n\n${Buffer.from(hex, 'hex').toString('base64')}\n=abcd\n-----END PGP MESSAGE-----\n`;

test('PGP for several named keys is several; hidden keys and one key are one', () => {
  assert.equal(found(armor(`${pkesk('1122334455667788')}${data}`)), 'one');
  assert.equal(
    found(armor(`${pkesk('1122334455667788')}${pkesk('99aabbccddeeff00')}${data}`)),
    'several',
  );
  const hidden = pkesk('0000000000000000');
  assert.equal(found(armor(`${hidden}${hidden}${data}`)), 'one');
  assert.equal(found(armor('a30301aabb')), 'none');
});

test('PGP that cannot be read to its data is unknown', () => {
  assert.equal(found(armor('c1ff0000ffff03')), 'unknown');
  assert.equal(found(armor('41414141')), 'unknown');
  assert.equal(
    found('Content-Type: text/plain\n\n-----BEGIN PGP MESSAGE-----\n\nabcd\n'),
    'unknown',
  );
});

test('text and other files are not encrypted', () => {
  assert.equal(found('Content-Type: text/plain\n\nHello\n'), 'none');
  assert.equal(found('Content-Type: application/pdf; name=x.pdf\n\n%PDF\n'), 'none');
});
