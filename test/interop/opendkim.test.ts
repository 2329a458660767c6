/** Our DKIM signatures, verified by OpenDKIM's own test mode with the key from a file. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createDkimSigner } from '../../src/mail/dkim.ts';
import { encodeHeaderText } from '../../src/mail/encode-header.ts';

// Debian puts it in sbin, which the PATH of an ordinary user lacks.
const program = ['/usr/sbin/opendkim', '/usr/bin/opendkim', '/usr/local/sbin/opendkim'].find(
  existsSync,
);
const skip = program === undefined ? 'OpenDKIM is missing: install the package opendkim' : false;

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const sign = createDkimSigner({
  domain: 'shop.example',
  selector: 's1',
  privateKey,
  signedHeaders: ['From', 'To', 'Subject', 'Date', 'List-Unsubscribe', 'List-Unsubscribe-Post'],
  oversigned: ['From', 'Cc'],
});

function message(body: string): string {
  const subject = encodeHeaderText('Important: changes to your account. '.repeat(4).trim(), 9);
  return [
    'From: "The Shop" <news@shop.example>',
    'To:  Ann\tLee \r\n <ann@home.example>',
    `Subject: ${subject}`,
    'Date: Sat, 21 Nov 2026 02:21:09 +0000',
    'List-Unsubscribe: <https://shop.example/u/abc>,\r\n\t<mailto:u@shop.example>',
    'List-Unsubscribe-Post: List-Unsubscribe=One-Click',
    '',
    body,
  ].join('\r\n');
}

/** What OpenDKIM prints about one message. */
function opendkim(signed: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'opendkim-'));
  try {
    const key = publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
    const keys = join(folder, 'keys');
    writeFileSync(keys, `s1._domainkey.shop.example v=DKIM1; k=rsa; p=${key}\n`);
    writeFileSync(join(folder, 'conf'), `TestPublicKeys ${keys}\n`);
    writeFileSync(join(folder, 'message'), signed, 'latin1');
    const options = ['-b', 'v', '-x', join(folder, 'conf'), '-t', join(folder, 'message')];
    const run = spawnSync(program ?? '', options, { encoding: 'utf8', timeout: 10_000 });
    return run.stdout + run.stderr;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const bodies: readonly (readonly [string, string])[] = [
  ['plain lines', 'Hello\r\n\r\nAnn.\r\n'],
  ['spaces and tabs at odd places', '  Hello \t Ann \r\n\tyou\t\r\n a  b\r\n'],
  ['empty lines at the end', 'Hello\r\n\r\n \r\n\r\n'],
  ['nothing', ''],
];
for (const [what, body] of bodies) {
  test(`OpenDKIM verifies a message whose body is ${what}`, { skip }, () => {
    const text = message(body);
    assert.match(opendkim(sign(Buffer.from(text), 1763690000) + text), /verification .*succeeded/);
  });
}

test('OpenDKIM refuses a changed body, a changed subject and an added From', { skip }, () => {
  const text = message('Hello\r\n');
  const signed = sign(Buffer.from(text), 1763690000) + text;
  for (const changed of [
    signed.replace('Hello', 'Hellp'),
    signed.replace('Important', 'Imqortant'),
    `From: other@evil.example\r\n${signed}`,
    `Cc: other@evil.example\r\n${signed}`,
  ]) {
    assert.notEqual(changed, signed);
    assert.match(opendkim(changed), /verification .*failed/);
  }
});
