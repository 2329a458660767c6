import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { type Anchor, anchorName } from '../../src/ledger/anchors.ts';
import { appendEntry } from '../../src/ledger/ledger.ts';
import { type Sequencer, startSequencer } from '../../src/ledger/sequencer.ts';
import { listAnchors } from '../../src/store/ledger-entries.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { entry, newKeyPair, ORIGIN } from '../support/ledger-sample.ts';

const key = newKeyPair();
const folder = mkdtempSync(path.join(os.tmpdir(), 'ledger-anchors-'));
let keeper: TestDatabase;

before(async () => {
  keeper = await testDatabase();
});
after(async () => {
  await keeper.drop();
  rmSync(folder, { recursive: true, force: true });
});

async function withSequencer(
  anchors: readonly Anchor[],
  work: (sequencer: Sequencer, database: TestDatabase) => Promise<void>,
): Promise<void> {
  const database = await testDatabase();
  const { db } = database;
  const options = { db, key, origin: ORIGIN, anchors, intervalMs: 60_000, log: () => {} };
  const sequencer = await startSequencer(options);
  try {
    await work(sequencer, database);
  } finally {
    await sequencer.close();
    await database.drop();
  }
}

const deed = ({ db }: TestDatabase): Promise<void> =>
  db.transaction((tx) => appendEntry(tx, entry('deed.done', 's', {})));

const sizesIn = (notes: string): number[] =>
  [...notes.matchAll(/^ledger\.example\/test\n(\d+)$/gm)].map(([, size]) => Number(size));

test('a file takes every checkpoint once, in order, and its last success is known', async () => {
  const file = path.join(folder, 'anchor.txt');
  await withSequencer([{ kind: 'file', path: file }], async (sequencer, database) => {
    for (let i = 0; i < 3; i++) {
      await deed(database);
      await sequencer.flush();
    }
    assert.equal(await sequencer.anchored(), true);
    await deed(database);
    const last = await sequencer.flush();
    assert.equal(await sequencer.anchored(), true);
    const content = readFileSync(file, 'utf8');
    assert.deepEqual(sizesIn(content), [1, 2, 3, 4]);
    assert.ok(content.endsWith(`${last}\n`));
    const [status] = await listAnchors(database.db);
    assert.equal(status?.size, 4);
    assert.ok(status?.taken_at instanceof Date);
    assert.equal(status?.failure, null);
  });
});

test('an HTTPS place that was away gets what it missed, and the failure is shown meanwhile', async () => {
  let received = '';
  let isAway = true;
  const server = createServer((request, response) => {
    if (isAway) {
      request.resume();
      response.writeHead(503).end('secret detail');
      return;
    }
    assert.equal(request.method, 'POST');
    request.on('data', (chunk) => {
      received += chunk;
    });
    request.on('end', () => response.writeHead(204).end());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}/anchor?token=private`;
  await withSequencer([{ kind: 'https', url }], async (sequencer, database) => {
    await deed(database);
    await sequencer.flush();
    assert.equal(await sequencer.anchored(), false);
    const [failing] = await listAnchors(database.db);
    assert.equal(failing?.failure, 'it answered 503');
    assert.equal(failing?.taken_at, null);
    assert.doesNotMatch(failing?.name ?? '', /private/);
    isAway = false;
    await deed(database);
    await sequencer.flush();
    assert.equal(await sequencer.anchored(), true);
    assert.deepEqual(sizesIn(received), [1, 2]);
    const [status] = await listAnchors(database.db);
    assert.equal(status?.failure, null);
  });
  await new Promise((resolve) => server.close(resolve));
});

test('a Git remote has the checkpoints, also those of a push that failed', async () => {
  const remote = path.join(folder, 'remote.git');
  const clone = path.join(folder, 'clone');
  const git = (...args: string[]): string =>
    execFileSync('git', args, { encoding: 'utf8', stdio: 'pipe' });
  git('init', '--quiet', '--bare', '--initial-branch=main', remote);
  git('clone', '--quiet', remote, clone);
  git('-C', clone, 'config', 'push.autoSetupRemote', 'true');
  await withSequencer([{ kind: 'git', directory: clone }], async (sequencer, database) => {
    await deed(database);
    await sequencer.flush();
    assert.equal(await sequencer.anchored(), true);
    git('-C', clone, 'remote', 'set-url', 'origin', path.join(folder, 'nowhere.git'));
    await deed(database);
    await sequencer.flush();
    assert.equal(await sequencer.anchored(), false);
    git('-C', clone, 'remote', 'set-url', 'origin', remote);
    assert.equal(await sequencer.anchored(), true);
    const file = readdirSync(clone).find((name) => name.startsWith('checkpoints-')) ?? '';
    assert.deepEqual(sizesIn(git('-C', remote, 'show', `main:${file}`)), [1, 2]);
  });
});

test('an anchor that fails does not keep the others or the ledger waiting', async () => {
  const file = path.join(folder, 'other.txt');
  const broken: Anchor = { kind: 'file', path: path.join(folder, 'no', 'such', 'folder.txt') };
  await withSequencer([broken, { kind: 'file', path: file }], async (sequencer, database) => {
    await deed(database);
    const note = await sequencer.flush();
    assert.equal(await sequencer.anchored(), false);
    assert.ok(readFileSync(file, 'utf8').includes(note));
    const failed = (await listAnchors(database.db)).find(({ name }) => name === anchorName(broken));
    assert.equal(failed?.failure, 'ENOENT');
  });
});
