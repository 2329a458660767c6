/** A ring opens only if the key in DNS is the one that signed. */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { letOn } from '../../src/broadcast/let-on.ts';
import { Release } from '../../src/broadcast/release.ts';
import { keyringOf, newKeyringDocument } from '../../src/keys/keyring.ts';
import { testDatabase } from '../support/database.ts';
import { walkToApproval } from '../support/road.ts';
import { startSink } from '../support/sink-process.ts';

const PEOPLE = 60;

test('a release is held while DNS shows another key, and goes on once ours is published', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'undisclosed-dkim-'));
  const sink = await startSink(join(folder, 'log'));
  const { db, drop } = await testDatabase();
  const road = await walkToApproval({
    db,
    people: PEOPLE,
    route: `smtp://127.0.0.1:${sink.port}?tls=none`,
    keyring: keyringOf(newKeyringDocument(['northwind-exchange.com'])),
    notice: (files) => {
      for (const [name, text] of Object.entries(files))
        files[name] = text.replaceAll('@northwind.example', '@northwind-exchange.com');
    },
  });
  const published = road.keyring.dkim('northwind-exchange.com')?.publicKey ?? '';
  let record = 'v=DKIM1; k=rsa; p=bm90IG91cnM=';
  const asked: string[] = [];
  const environment = {
    ...road.environment,
    resolveTxt: async (name: string) => {
      asked.push(name);
      return [[record]];
    },
  };
  try {
    const held = await (await Release.start(environment, road.broadcast, 'alice')).done;
    assert.equal(held.kind, 'held');
    assert.equal(sink.taken(), 0);
    assert.match(asked[0] ?? '', /\._domainkey\.northwind-exchange\.com$/);
    record = `v=DKIM1; k=rsa; p=${published}`;
    await letOn(db, road.broadcast, 'bob', 'the record is published', false);
    const end = await (await Release.start(environment, road.broadcast, 'bob')).done;
    assert.deepEqual(end, { kind: 'complete' });
    assert.equal(await sink.reaches(PEOPLE, 5000), true);
  } finally {
    await road.clean();
    await drop();
    await sink.stop();
    await rm(folder, { recursive: true, force: true });
  }
});
