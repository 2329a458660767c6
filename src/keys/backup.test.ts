import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backUpKeyring, restoreKeyring } from './backup.ts';
import { newKeyringDocument } from './keyring.ts';

const PASSPHRASE = 'correct horse battery';
const document = newKeyringDocument(['northwind.example']);
const backup = backUpKeyring(document, PASSPHRASE);
const unreadable = { code: 'keys.backup-unreadable' };

test('a backup gives the whole keyring back under its passphrase', () => {
  assert.deepEqual(restoreKeyring(backup, PASSPHRASE), document);
});

test('no secret stands in a backup in clear', () => {
  const secrets = [document.kek, document.blindIndex, document.token, document.ledger]
    .flat()
    .map(({ secret }) => secret);
  for (const secret of [...secrets, 'PRIVATE KEY']) {
    assert.equal(JSON.stringify(document).includes(secret), true);
    assert.equal(backup.includes(secret), false);
  }
});

test('a wrong passphrase, a damaged file and something else do not open', () => {
  assert.throws(() => restoreKeyring(backup, `${PASSPHRASE}.`), unreadable);
  const parsed = JSON.parse(backup) as { sealed: string; salt: string };
  const sealed = Buffer.from(parsed.sealed, 'base64');
  sealed[40] = (sealed[40] ?? 0) ^ 1;
  const damaged = JSON.stringify({ ...parsed, sealed: sealed.toString('base64') });
  assert.throws(() => restoreKeyring(damaged, PASSPHRASE), unreadable);
  for (const text of ['', '{}', 'null', backup.slice(0, 200), '{"keyringBackup":2}'])
    assert.throws(() => restoreKeyring(text, PASSPHRASE), unreadable, text.slice(0, 20));
});

test('a passphrase is at least 12 characters, and its Unicode form does not matter', () => {
  assert.throws(() => backUpKeyring(document, 'elevenchars'), { code: 'keys.weak-passphrase' });
  const composed = 'caf\u00e9 au lait matin';
  assert.deepEqual(
    restoreKeyring(backUpKeyring(document, composed), composed.normalize('NFD')),
    document,
  );
});

test('two backups of one keyring are different', () => {
  assert.notEqual(backUpKeyring(document, PASSPHRASE), backup);
});
