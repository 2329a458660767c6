/** What was approved by a second person is what is sent, and nothing else: every byte that is changed or moved is found and named. */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { approvalDocument, approveBroadcast } from '../../src/broadcast/approval.ts';
import type { ReleaseEnd } from '../../src/broadcast/release.ts';
import { enrol } from '../../src/operators/enrolment.ts';
import {
  newOperatorKey,
  type OperatorKey,
  operatorKeyOf,
} from '../../src/operators/operator-key.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { customersCsv, NOTICE } from '../support/faults/places.ts';
import { openTap, type Tap } from '../support/faults/tap.ts';
import { type House, openHouse, sealApproval } from '../support/house.ts';

const selection = { where: [{ field: 'group', equals: 'a' }] };

describe('approval', () => {
  let house: House;
  let tap: Tap;
  let database: TestDatabase;
  let folder = '';
  const key = (name: string): OperatorKey => operatorKeyOf(newOperatorKey(name));
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'undisclosed-approval-'));
    database = await testDatabase();
    tap = await openTap(folder);
    house = await openHouse(database.db);
    await house.importCsv(customersCsv(6));
  });
  after(async () => {
    await house.close();
    await tap.stop();
    await database.drop();
    await rm(folder, { recursive: true, force: true });
  });
  const created = (): Promise<string> => house.create(NOTICE, tap.port, { selection });
  const prepared = async (): Promise<string> => {
    const id = await created();
    assert.equal((await house.prepare(id)).kind, 'prepared');
    return id;
  };
  const approved = async (): Promise<string> => {
    const id = await prepared();
    await house.approve(id);
    return id;
  };
  const refused = async (id: string, code: string): Promise<void> => {
    tap.take();
    await assert.rejects(
      house.start(id).then((release) => release.stop('it should not have started')),
      { code },
    );
    assert.deepEqual(tap.take(), []);
  };

  test('who made or imported it may not approve it', async () => {
    const id = await prepared();
    await assert.rejects(house.approve(id, house.alice), { code: 'approval.own-work' });
    await refused(id, 'broadcast.wrong-state');
  });

  test('who prepared it may not approve it', async () => {
    const id = await created();
    await house.prepare(id, 'bob');
    await assert.rejects(house.approve(id, house.bob), { code: 'approval.own-work' });
  });

  test('nothing is released before it is approved', async () => {
    await refused(await created(), 'broadcast.wrong-state');
    const id = await prepared();
    await refused(id, 'broadcast.wrong-state');
    // Even where the database says that it is.
    await house.db.query("UPDATE broadcast SET state = 'approved' WHERE id = $1", [id]);
    await refused(id, 'broadcast.not-approved');
  });

  test('an approval is for one broadcast, one document, by one enrolled key', async () => {
    const first = await prepared();
    const second = await prepared();
    const document = await approvalDocument(house.db, house.keyring, first);
    const envelope = sealApproval(house.bob, document);
    const give = (id: string, changed: object): Promise<unknown> =>
      approveBroadcast(house.db, house.keyring, id, { ...envelope, ...changed }, new Date());
    const bad = { code: 'approval.bad-signature' };
    await assert.rejects(give(second, {}), bad);
    await assert.rejects(give(first, { signature: Buffer.alloc(64).toString('base64') }), bad);
    const mallory = key('mallory');
    await assert.rejects(give(first, { ...sealApproval(mallory, document), operator: 'bob' }), bad);
    await assert.rejects(give(first, sealApproval(mallory, document)), {
      code: 'operator.not-authenticated',
    });
    await give(first, {});
    await assert.rejects(give(first, {}), { code: 'broadcast.wrong-state' });
  });

  test('a signature copied to another broadcast in the database releases nothing', async () => {
    const first = await approved();
    const second = await prepared();
    await house.db.query(
      `INSERT INTO approval (broadcast_id, document, envelope)
       SELECT $2, document, envelope FROM approval WHERE broadcast_id = $1`,
      [first, second],
    );
    await house.db.query("UPDATE broadcast SET state = 'approved' WHERE id = $1", [second]);
    await refused(second, 'broadcast.altered');
  });

  test('a changed plan, count or root in the approval breaks its signature', async () => {
    for (const path of ['{count}', '{manifestRoot}', '{plan,deadlineHours}']) {
      const id = await approved();
      await house.db.query(
        `UPDATE approval SET document = jsonb_set(document, $2::text[], '999') WHERE broadcast_id = $1`,
        [id, path],
      );
      await refused(id, 'approval.bad-signature');
    }
  });

  test('a route changed after the approval releases nothing', async () => {
    const id = await approved();
    await house.db.query(
      `UPDATE broadcast SET settings = jsonb_set(settings, '{route,port}', '9') WHERE id = $1`,
      [id],
    );
    await refused(id, 'broadcast.altered');
  });

  test('one byte changed in the stored notice: nothing is prepared or released from it', async () => {
    const files = { ...NOTICE, 'notice.txt': `${NOTICE['notice.txt']}Bye.\n` };
    const id = await house.create(files, tap.port, { selection });
    await house.prepare(id);
    await house.approve(id);
    const [row] = await house.db.query<{ notice_digest: Buffer }>(
      'SELECT notice_digest FROM broadcast WHERE id = $1',
      [id],
    );
    await house.db.query(
      `UPDATE notice SET files = jsonb_set(files, '{notice.txt}', to_jsonb(replace(files->>'notice.txt', 'Bye', 'Bya')))
        WHERE digest = $1`,
      [row?.notice_digest],
    );
    await refused(id, 'broadcast.altered');
    await assert.rejects(house.prepare(id), { code: /./ });
  });

  test('the approval of an operator who was removed since releases nothing', async () => {
    const carol = key('carol');
    const add = { deed: 'add', operator: 'carol', publicKey: carol.publicKey } as const;
    const now = new Date();
    await enrol(house.db, { ...add, by: 'alice', now });
    await enrol(house.db, { ...add, by: 'bob', now });
    const id = await prepared();
    await house.approve(id, carol);
    const remove = { deed: 'remove', operator: 'carol', publicKey: Buffer.alloc(0) } as const;
    await enrol(house.db, { ...remove, by: 'alice', now });
    await enrol(house.db, { ...remove, by: 'bob', now });
    await refused(id, 'operator.not-authenticated');
  });

  /** Rows in the database changed after the approval, and what the release says then. */
  const rows: Readonly<Record<string, { readonly sql: string; readonly says: RegExp }>> = {
    'a prepared message’s byte': {
      sql: 'UPDATE prepared SET sealed = set_byte(sealed, 60, get_byte(sealed, 60) # 1) WHERE broadcast_id = $1 AND position = 1',
      says: /row 1|row b-[^ ]*\/1\b/,
    },
    'two messages that changed places': {
      sql: `UPDATE prepared p SET leaf = q.leaf, sealed = q.sealed FROM prepared q
             WHERE p.broadcast_id = $1 AND q.broadcast_id = $1 AND p.position IN (4, 5) AND q.position = 9 - p.position`,
      says: /row|block/,
    },
    'a leaf': {
      sql: 'UPDATE prepared SET leaf = set_byte(leaf, 0, get_byte(leaf, 0) # 1) WHERE broadcast_id = $1 AND position = 4',
      says: /row 4|block 0/,
    },
    'a row that is gone': {
      sql: 'DELETE FROM prepared WHERE broadcast_id = $1 AND position = 4',
      says: /row|missing|block/,
    },
    'a block’s root': {
      sql: 'UPDATE prepared_block SET root = set_byte(root, 0, get_byte(root, 0) # 1) WHERE broadcast_id = $1',
      says: /manifest/,
    },
  };
  const outcome = async (id: string): Promise<string> => {
    try {
      const end: ReleaseEnd = await house.release(id);
      return `${end.kind} ${'because' in end ? end.because : ''}`;
    } catch (error) {
      const { code, message, where } = error as { code: string; message: string; where?: string };
      return `held ${code} ${message} ${where ?? ''}`;
    }
  };
  for (const [what, { sql, says }] of Object.entries(rows))
    test(`${what}: no message leaves, and the place is named`, async () => {
      const id = await approved();
      tap.take();
      await house.db.query(sql, [id]);
      const said = await outcome(id);
      assert.match(said, /^held/);
      assert.match(said, says);
      assert.deepEqual(tap.take(), []);
    });

  test('a message changed in a later ring: nobody of that ring gets anything', async () => {
    const id = await approved();
    const rows = await house.db.query<{ ring: number; n: number; first: number }>(
      `SELECT ring, count(*)::int AS n, min(position) AS first FROM audience_row
        WHERE broadcast_id = $1 GROUP BY ring ORDER BY ring`,
      [id],
    );
    const [early, late] = rows;
    assert.ok(early !== undefined && late !== undefined && late.n > 1);
    await house.db.query(
      `UPDATE prepared SET sealed = set_byte(sealed, 60, get_byte(sealed, 60) # 1)
        WHERE broadcast_id = $1 AND position = $2`,
      [id, late.first + 1],
    );
    tap.take();
    const said = await outcome(id);
    assert.match(said, /^held/);
    assert.match(said, new RegExp(`/${late.first + 1}\\b`));
    const came = tap.take().filter(({ content }) => content.length > 0);
    const positions = came.map(({ from }) => Number(/^r-(\d+)-/.exec(from)?.[1]));
    assert.equal(positions.length, early.n);
    assert.ok(positions.every((position) => position < late.first));
  });

  for (const [what, sql] of Object.entries({
    'a signed row’s byte':
      'UPDATE signed SET sealed = set_byte(sealed, 60, get_byte(sealed, 60) # 1) WHERE broadcast_id = $1',
    'a signed leaf':
      'UPDATE signed SET leaf = set_byte(leaf, 0, get_byte(leaf, 0) # 1) WHERE broadcast_id = $1',
    'a signing block’s root':
      'UPDATE signing_block SET root = set_byte(root, 0, get_byte(root, 0) # 1) WHERE broadcast_id = $1',
  }))
    test(`${what}: no message leaves`, async () => {
      const id = await approved();
      const first = await house.start(id, {
        look: () => ({ kind: 'stop', why: 'digest', where: '' }),
      });
      assert.equal((await first.done).kind, 'held');
      tap.take();
      await house.db.query(sql, [id]);
      await house.db.query("UPDATE broadcast SET state = 'approved' WHERE id = $1", [id]);
      const said = await outcome(id);
      assert.match(said, /^held/);
      assert.match(said, /row|run|block/);
      assert.deepEqual(
        tap.take().filter(({ content }) => content.length > 0),
        [],
      );
    });

  test('an audience row changed after the freeze: nothing is prepared', async () => {
    for (const sql of [
      'UPDATE audience_row SET sealed = set_byte(sealed, 60, get_byte(sealed, 60) # 1) WHERE broadcast_id = $1 AND position = 4',
      "UPDATE audience_row SET language = 'ar' WHERE broadcast_id = $1 AND language = 'en'",
      'DELETE FROM audience_row WHERE broadcast_id = $1 AND position = 4',
      'UPDATE audience_row SET address_index = set_byte(address_index, 0, get_byte(address_index, 0) # 1) WHERE broadcast_id = $1 AND position = 4',
    ]) {
      const id = await created();
      await house.db.query(sql, [id]);
      const said = await house.prepare(id).then(
        (report) => report.kind,
        (error: { code: string; where?: string }) => `${error.code} ${error.where ?? ''}`,
      );
      assert.match(said, /^(?:broadcast\.altered|keys\.seal-broken) |^blocked/, sql);
      await refused(id, 'broadcast.wrong-state');
    }
  });

  test('an address index swapped after the approval: nobody is left out or let in by it', async () => {
    const id = await approved();
    await house.db.query(
      `UPDATE audience_row SET address_index = set_byte(address_index, 0, get_byte(address_index, 0) # 1)
        WHERE broadcast_id = $1 AND position = 4`,
      [id],
    );
    tap.take();
    assert.match(await outcome(id), /^complete/);
    assert.equal(tap.take().length, 15);
  });
});
