import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  defaultKeyringPath,
  keyringOf,
  newKeyringDocument,
  readKeyring,
  rotated,
  writeKeyring,
} from './keyring.ts';

const document = newKeyringDocument(['northwind.example']);

describe('where a keyring may lie', () => {
  let folder = '';
  let data = '';
  const at = (path: string): { kind: 'file'; path: string } => ({ kind: 'file', path });
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'undisclosed-keyring-'));
    data = join(folder, 'data');
    await mkdir(data);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  test('beside the data directory, readable by its owner only, it is read', async () => {
    const path = join(folder, 'keyring.json');
    await writeKeyring(path, document);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.deepEqual((await readKeyring(at(path), data)).document, document);
  });

  test('in the data directory it is refused, at any depth and behind a link', async () => {
    const inside = join(data, 'keyring.json');
    await writeKeyring(inside, document);
    await mkdir(join(data, 'a', 'b'), { recursive: true });
    await writeKeyring(join(data, 'a', 'b', 'keyring.json'), document);
    await symlink(inside, join(folder, 'link.json'));
    await symlink(data, join(folder, 'data-link'));
    for (const path of [inside, join(data, 'a', 'b', 'keyring.json'), join(folder, 'link.json')])
      await assert.rejects(readKeyring(at(path), data), { code: 'keys.in-data-directory' }, path);
    await assert.rejects(readKeyring(at(inside), join(folder, 'data-link')), {
      code: 'keys.in-data-directory',
    });
  });

  test('a folder whose name begins like the data directory’s is another folder', async () => {
    const path = join(folder, 'data.keyring.json');
    await writeKeyring(path, document);
    assert.equal((await readKeyring(at(path), data)).document.keyring, 1);
    assert.equal(defaultKeyringPath(data), path);
  });

  test('readable or writable by group or others it is refused, each bit', async () => {
    const path = join(folder, 'open.json');
    await writeKeyring(path, document);
    for (const mode of [0o640, 0o604, 0o620, 0o602, 0o610, 0o601]) {
      await chmod(path, mode);
      await assert.rejects(readKeyring(at(path), data), { code: 'keys.readable-by-others' });
    }
    await chmod(path, 0o400);
    assert.equal((await readKeyring(at(path), data)).document.keyring, 1);
  });

  test('missing, damaged or something else: a clear fault that holds no secret', async () => {
    const path = join(folder, 'broken.json');
    await assert.rejects(readKeyring(at(path), data), { code: 'keys.unreadable', where: path });
    const secret = document.kek[0]?.secret ?? '';
    for (const text of ['', '{', '[]', 'null', `{"kek":[{"secret":"${secret}"}]}`]) {
      await writeFile(path, text, { mode: 0o600 });
      await assert.rejects(readKeyring(at(path), data), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'keys.malformed', text);
        return !`${error.message}${String(error.cause ?? '')}`.includes(secret);
      });
    }
  });

  test('a command gives it as well, and one that fails is a fault', async () => {
    const path = join(folder, 'keyring.json');
    const command = `cat ${path}`;
    assert.equal((await readKeyring({ kind: 'command', command }, data)).document.keyring, 1);
    await assert.rejects(readKeyring({ kind: 'command', command: 'exit 3' }, data), {
      code: 'keys.unreadable',
      where: 'keyring command',
    });
  });

  test('writing over one leaves the old or the new, never half of it', async () => {
    const path = join(folder, 'twice.json');
    await writeKeyring(path, document);
    const next = rotated(document, 'token', null);
    await writeKeyring(path, next);
    assert.deepEqual((await readKeyring(at(path), data)).document, next);
  });
});

test('a rotated key is a further version; the older ones and all other keys stay', () => {
  for (const which of ['kek', 'token'] as const) {
    const next = rotated(document, which, null);
    assert.equal(next[which].length, 2);
    assert.deepEqual(next[which][0], document[which][0]);
    assert.equal(next[which][1]?.version, 2);
    assert.notEqual(next[which][1]?.secret, document[which][0]?.secret);
    assert.deepEqual({ ...next, [which]: document[which] }, document);
  }
});

test('a DKIM key belongs to a domain; the newest of a domain signs', () => {
  assert.throws(() => rotated(document, 'dkim', null), { code: 'keys.no-domain' });
  const before = keyringOf(document).dkim('northwind.example');
  const next = keyringOf(rotated(document, 'dkim', 'Northwind.example'));
  assert.notEqual(next.dkim('NORTHWIND.example')?.publicKey, before?.publicKey);
  assert.equal(next.document.dkim.length, 2);
  assert.equal(next.dkim('elsewhere.example'), null);
});

test('a keyring lacking a key of a kind, or with one of a wrong length, is no keyring', () => {
  for (const kind of ['kek', 'blindIndex', 'token', 'ledger'] as const)
    assert.throws(() => keyringOf({ ...document, [kind]: [] }), { code: 'keys.malformed' }, kind);
  const short = { version: 1, secret: Buffer.alloc(16).toString('base64'), created: '' };
  assert.throws(() => keyringOf({ ...document, kek: [short] }), { code: 'keys.malformed' });
});
