import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import {
  checkOperatorId,
  newOperatorKey,
  operatorKeyOf,
  signAs,
  signedBy,
} from './operator-key.ts';

const key = operatorKeyOf(newOperatorKey('anna.lee'));

test('what an operator signs is theirs, word for word', () => {
  const signature = signAs(key, 'release b-1');
  assert.equal(signedBy(key.publicKey, 'release b-1', signature), true);
  assert.equal(signedBy(key.publicKey, 'release b-2', signature), false);
  const other = operatorKeyOf(newOperatorKey('bob'));
  assert.equal(signedBy(other.publicKey, 'release b-1', signature), false);
  assert.equal(signedBy(key.publicKey, 'release b-1', signature.subarray(1)), false);
});

test('a key that is none, or of another kind, has signed nothing', () => {
  assert.equal(signedBy(Buffer.from('nothing'), 'x', Buffer.alloc(64)), false);
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const der = publicKey.export({ type: 'spki', format: 'der' });
  assert.equal(signedBy(der, 'x', Buffer.alloc(256)), false);
});

test('a key file that is damaged is refused without showing what stands in it', () => {
  for (const privateKey of ['', 'SECRET', key.publicKey.toString('base64')])
    assert.throws(
      () => operatorKeyOf({ operator: 'anna', privateKey }),
      (error) => {
        assert.equal((error as { code: string }).code, 'operator.bad-key');
        assert.doesNotMatch((error as Error).message, /SECRET/);
        return true;
      },
    );
});

test('a name is safe in files, URLs and headers', () => {
  for (const name of ['anna', 'anna.lee', 'a_1', 'a-b', '0x', 'a'.repeat(64)])
    assert.equal(checkOperatorId(name), name);
  for (const name of [
    '',
    'a',
    'Anna',
    'a b',
    '../a',
    '.a',
    'a/b',
    'a"b',
    'ä1',
    'a'.repeat(65),
    'a\n',
  ])
    assert.throws(() => checkOperatorId(name), { code: 'operator.bad-name' }, JSON.stringify(name));
});
