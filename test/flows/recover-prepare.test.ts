/** Killed while it prepares: the next run goes on from there and comes to the same root. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Installation } from '../support/serve-process.ts';

const PEOPLE = 6000;

describe('prepare', () => {
  let at: Installation;

  before(async () => {
    at = await Installation.make({ people: PEOPLE, seed: 2 });
  });
  after(() => at?.close());

  const blocks = async (id: string): Promise<{ block: number; root: string }[]> =>
    (await at.db()).query(
      `SELECT block, encode(root, 'hex') AS root, xmin::text FROM prepared_block
        WHERE broadcast_id = $1 ORDER BY block`,
      [id],
    );

  test('killed with -9 in its middle and run again, it keeps the blocks that were done', async () => {
    const id = await at.created('smtp://127.0.0.1:9?tls=none');
    const prepared = at.cli(['broadcast', 'prepare', id, '--as', 'alice', '--json']);
    while ((await blocks(id)).length < 2) await sleep(5);
    await at.kill();
    const cut = await prepared;
    assert.equal(cut.status, 2, 'the command says that it did not come to its end');
    await sleep(200);
    const done = await blocks(id);
    assert.ok(done.length >= 2 && done.length < Math.ceil(PEOPLE / 1024), `${done.length} blocks`);

    await at.serve();
    assert.equal((await at.status(id)).state, 'frozen');
    const report = JSON.parse(
      await at.must(['broadcast', 'prepare', id, '--as', 'alice', '--json']),
    ) as { kind: string; count: number; manifestRoot: string };
    assert.equal(report.kind, 'prepared');
    assert.equal(report.count, PEOPLE);
    const all = await blocks(id);
    assert.equal(all.length, Math.ceil(PEOPLE / 1024));
    // Blocks are finished in any order.
    const before = new Set(done.map(({ block }) => block));
    const kept = all.filter(({ block }) => before.has(block));
    assert.deepEqual(kept, done, 'not one of them was made again');
    assert.equal((await at.status(id)).state, 'prepared');

    const rows = await (await at.db()).query<{ n: number }>(
      'SELECT count(*)::int AS n, count(DISTINCT position)::int AS d FROM prepared WHERE broadcast_id = $1',
      [id],
    );
    assert.deepEqual(rows[0], { n: PEOPLE, d: PEOPLE });
    await at.must(['broadcast', 'approve', id, '--as', 'bob', '--yes', '--json']);
  });
});
