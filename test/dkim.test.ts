/** Our DKIM signatures, verified by mailauth with the key from a local resolver. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import fc from 'fast-check';
import { composeAlternative, joinSegments, splitSegments } from '../src/mail/compose.ts';
import { createDkimSigner, type DkimSigner } from '../src/mail/dkim.ts';
import { encodeHeaderText, encodeMailbox, headerField } from '../src/mail/encode-header.ts';

interface DkimOutcome {
  readonly results: readonly { readonly status: { readonly result: string } }[];
}
type DkimVerify = (
  input: Buffer,
  options: { resolver: (name: string, type: string) => Promise<string[][]> },
) => Promise<DkimOutcome>;

const { dkimVerify } = createRequire(import.meta.url)('mailauth/lib/dkim/verify') as {
  dkimVerify: DkimVerify;
};
const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const SIGNED_AT = 1763690000;
const SIGNED = [
  'From',
  'To',
  'Subject',
  'Date',
  'Message-ID',
  'Reply-To',
  'List-Unsubscribe',
  'List-Unsubscribe-Post',
  'MIME-Version',
  'Content-Type',
];

async function resolver(name: string, type: string): Promise<string[][]> {
  assert.deepEqual([name, type], ['s1._domainkey.shop.example', 'TXT']);
  const key = publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
  return [[`v=DKIM1; k=rsa; p=${key}`]];
}

/** The one signature's result, such as `pass`, `fail` or `neutral`. */
async function verified(message: Buffer): Promise<string> {
  const { results } = await dkimVerify(message, { resolver });
  assert.equal(results.length, 1);
  return results[0]?.status.result ?? '';
}

function signer(oversigned: readonly string[] = ['From']): DkimSigner {
  const options = { domain: 'shop.example', selector: 's1', privateKey, oversigned };
  return createDkimSigner({ ...options, signedHeaders: SIGNED });
}

function signedMessage(message: Buffer, sign: DkimSigner = signer()): Buffer {
  return Buffer.concat([Buffer.from(sign(message, SIGNED_AT), 'latin1'), message]);
}

function notice(utf8: boolean): Buffer {
  const to = utf8 ? 'zoë@bücher.example' : 'zoe@home.example';
  const fields = [
    ['From', encodeMailbox('Der Laden', 'news@shop.example', 6)],
    ['To', encodeMailbox('Zoë Ärger', to, 4, { utf8 })],
    [
      'Subject',
      encodeHeaderText('Wichtig: Änderungen an Ihrem Konto, '.repeat(4).trim(), 9, { utf8 }),
    ],
    ['Date', 'Sat, 21 Nov 2026 02:21:09 +0000'],
    ['Message-ID', '<7.abc@shop.example>'],
    ['List-Unsubscribe', '<https://shop.example/u/abc>,\r\n <mailto:u@shop.example?subject=abc>'],
    ['List-Unsubscribe-Post', 'List-Unsubscribe=One-Click'],
  ] as const;
  const { literals, slotOrder } = splitSegments(
    composeAlternative({
      headers: fields.map(([name, value]) => headerField(name, value, { utf8 })).join(''),
      boundary: '=_7f3a',
      text: ['Hallo ', { slot: 0 }, ',\n\n  zwei  Worte \nfür Sie.\n\n\n'],
      html: ['<div>\n    <p>Hallo ', { slot: 0 }, '</p>\n\t</div>\n'],
    }),
  );
  return joinSegments(literals, slotOrder, [Buffer.from('Zo=C3=AB')]);
}

for (const utf8 of [false, true]) {
  test(`a composed notice ${utf8 ? 'with raw UTF-8 headers' : 'in 7 bits'} verifies`, async () => {
    assert.equal(await verified(signedMessage(notice(utf8))), 'pass');
  });
}

test('any one byte changed in a signed field or in the body fails', async () => {
  const message = notice(false);
  const field = Buffer.from(signer()(message, SIGNED_AT), 'latin1');
  assert.equal(await verified(Buffer.concat([field, message])), 'pass');
  for (let at = 0; at < message.length; at += 3) {
    const changed = Buffer.from(message);
    changed[at] = (changed[at] ?? 0) ^ 1;
    assert.notEqual(await verified(Buffer.concat([field, changed])), 'pass', `byte ${at}`);
  }
});

for (const name of ['From', 'List-Unsubscribe', 'List-Unsubscribe-Post', 'Subject', 'To']) {
  test(`${name} taken out of a signed message fails`, async () => {
    const signed = signedMessage(notice(false)).toString('latin1');
    const without = signed.replace(new RegExp(`\\r\\n${name}: .*(?:\\r\\n[ \\t].*)*`), '');
    assert.notEqual(without, signed);
    assert.notEqual(await verified(Buffer.from(without, 'latin1')), 'pass');
  });
}

/** Adds a field where a forger would: above the signed one of the same name, which is read bottom up. */
function withAdded(signed: Buffer, field: string): Buffer {
  return Buffer.concat([Buffer.from(`${field}\r\n`), signed]);
}

test('a From added to a signed message fails because From is signed once more than it is there', async () => {
  const forged = 'From: Someone Else <other@evil.example>';
  const signed = signedMessage(notice(false));
  assert.equal(await verified(withAdded(signed, 'X-Other: x')), 'pass');
  assert.notEqual(await verified(withAdded(signed, forged)), 'pass');
  // Without over-signing the same forgery passes: the test can tell the two apart.
  const open = signedMessage(notice(false), signer([]));
  assert.equal(await verified(withAdded(open, forged)), 'pass');
});

test('a Cc or Reply-To added fails where the name is over-signed and was not there', async () => {
  const signed = signedMessage(notice(false), signer(['From', 'Cc', 'Reply-To']));
  assert.equal(await verified(signed), 'pass');
  assert.notEqual(await verified(withAdded(signed, 'Cc: other@evil.example')), 'pass');
  assert.notEqual(await verified(withAdded(signed, 'Reply-To: other@evil.example')), 'pass');
});

test('a message without a body or without a line break at its end verifies', async () => {
  const header = 'From: a@shop.example\r\nTo: b@home.example\r\n';
  for (const text of [
    `${header}\r\n`,
    `${header}\r\nHi`,
    `${header}\r\n\r\n\r\n`,
    `${header}\r\n \t`,
  ]) {
    assert.equal(await verified(signedMessage(Buffer.from(text))), 'pass', JSON.stringify(text));
  }
});

const white = fc.constantFrom(' ', '  ', '\t', ' \t ', '\r\n ', '\r\n\t', ' \r\n  ', '');
const word = fc.constantFrom(
  'a',
  'word',
  ':',
  ';',
  '=',
  'é',
  '😀',
  '\xa0',
  '"x"',
  '<u@shop.example>',
);
const value = fc
  .array(fc.tuple(white, word), { minLength: 1, maxLength: 8 })
  .chain((pairs) => white.map((last) => pairs.flat().join('') + last))
  // A line of white space alone ends the header for some readers (obsolete in RFC 5322).
  .filter((text) => !/\r\n[ \t]*(?:\r\n|$)/.test(text));
const body = fc.string({
  unit: fc.constantFrom('a', 'word', ' ', '  ', '\t', '\r\n', '\r\n', 'é', '=\r\n', '.'),
  maxLength: 80,
});

test('whatever the white space, folding and bytes of headers and body: the signature verifies', async () => {
  const sign = signer();
  const names = fc.constantFrom(
    ...SIGNED.filter((name) => name !== 'From'),
    'X-Other',
    'tO',
    'SUBJECT',
  );
  const fields = fc.array(fc.tuple(names, fc.constantFrom(':', ' :'), value), { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(fields, value, body, async (others, from, text) => {
      const header = others
        .map(([name, colon, content]) => `${name}${colon}${content}\r\n`)
        .join('');
      const message = Buffer.from(`From:${from}\r\n${header}\r\n${text}`, 'utf8');
      assert.equal(await verified(signedMessage(message, sign)), 'pass');
    }),
    { numRuns: 300 },
  );
});
