import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, verify } from 'node:crypto';
import { test } from 'node:test';
import {
  isOrigin,
  ledgerKeyFingerprint,
  openCheckpoint,
  parseVerifierKey,
  signCheckpoint,
  verifierKey,
} from './checkpoint.ts';

const key = generateKeyPairSync('ed25519');
const other = generateKeyPairSync('ed25519');
const checkpoint = {
  origin: 'ledger.example/one',
  size: 42,
  root: createHash('sha256').update('root').digest(),
};

test('the example of the signed-note format reads with its verifier key', () => {
  const parsed = parseVerifierKey(
    'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW',
  );
  assert.equal(parsed?.name, 'PeterNeumann');
  const text =
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
  const signature = Buffer.from(
    'x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=',
    'base64',
  );
  assert.ok(parsed);
  assert.ok(verify(null, Buffer.from(text), parsed.publicKey, signature.subarray(4)));
  assert.equal(signature.subarray(0, 4).toString('hex'), 'c74f20a3');
});

test('a signed checkpoint opens with its key', () => {
  const note = signCheckpoint(checkpoint, key);
  assert.match(
    note,
    /^ledger\.example\/one\n42\n[A-Za-z0-9+/]{43}=\n\n— ledger\.example\/one \S+\n$/,
  );
  const reading = openCheckpoint(note, verifierKey(checkpoint.origin, key.publicKey));
  assert.deepEqual(reading, { kind: 'checkpoint', checkpoint });
});

test('an altered checkpoint, another key and another name are refused', () => {
  const note = signCheckpoint(checkpoint, key);
  const vkey = verifierKey(checkpoint.origin, key.publicKey);
  const refused = [
    openCheckpoint(note.replace('42', '43'), vkey),
    openCheckpoint(note, verifierKey(checkpoint.origin, other.publicKey)),
    openCheckpoint(note, verifierKey('ledger.example/two', key.publicKey)),
    openCheckpoint(note.slice(0, -20), vkey),
    openCheckpoint('', vkey),
    openCheckpoint(note, vkey.replace(/\+[0-9a-f]{8}\+/, '+00000000+')),
  ];
  for (const reading of refused) assert.equal(reading.kind, 'invalid');
});

test('signatures of witnesses beside ours do no harm', () => {
  const note = `${signCheckpoint(checkpoint, key)}— witness.example AAAAAAAA\n`;
  const vkey = verifierKey(checkpoint.origin, key.publicKey);
  assert.equal(openCheckpoint(note, vkey).kind, 'checkpoint');
});

test('a name with a space or a plus sign is none', () => {
  assert.ok(isOrigin('ledger.example/one'));
  for (const name of ['', 'a b', 'a+b', 'a\nb']) assert.ok(!isOrigin(name));
});

test('a fingerprint is SHA-256 of the 32 bytes of the key', () => {
  const { x = '' } = key.publicKey.export({ format: 'jwk' });
  const expected = createHash('sha256').update(Buffer.from(x, 'base64url')).digest('hex');
  assert.equal(ledgerKeyFingerprint(key.publicKey), expected);
});
