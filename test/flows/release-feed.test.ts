/** The feed against a real database: what it claims, loads and leaves out, and what becomes of it when the database fails. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { csvOf, sampleCustomers } from '../../demo/sample-customers.ts';
import type { WaitingRow } from '../../src/broadcast/chunk-loader.ts';
import { withdraw } from '../../src/broadcast/leave-out.ts';
import { fromDomainOf } from '../../src/broadcast/notice.ts';
import { OutcomeWriter } from '../../src/broadcast/outcome-writer.ts';
import { ChunksUnderWay } from '../../src/broadcast/release-chunks.ts';
import { Feed } from '../../src/broadcast/release-feed.ts';
import { ReleaseMeter } from '../../src/broadcast/release-progress.ts';
import { SendQueue } from '../../src/broadcast/release-queue.ts';
import { Signatures } from '../../src/broadcast/release-signatures.ts';
import { openRelease, type ReleaseParts } from '../../src/broadcast/release-start.ts';
import { addListChunk, type ChunkRow, claimChunk, listChunks } from '../../src/store/chunks.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { type House, openHouse, sampleNotice } from '../support/house.ts';

const SENDER = 'test-sender';

/** All of a release but its connections: rows are taken from the queue, and accepted. */
class Fed {
  readonly id: string;
  readonly queue: SendQueue = new SendQueue();
  readonly meter: ReleaseMeter = new ReleaseMeter();
  readonly feed: Feed;
  readonly leftOut = new Map<number, string>();
  /** In the order in which they were taken. */
  readonly accepted: number[] = [];
  permitted = true;
  ended = false;
  readonly #house: House;
  readonly #parts: ReleaseParts;
  readonly #chunks: ChunksUnderWay = new ChunksUnderWay();
  readonly #writer: OutcomeWriter;
  readonly #signatures: Signatures;

  private constructor(house: House, id: string, parts: ReleaseParts) {
    this.#house = house;
    this.id = id;
    this.#parts = parts;
    const { db, keyring, environment } = house;
    const { broadcast, notice, approval, key, firstBatch, loader } = parts;
    this.#writer = new OutcomeWriter({
      db,
      broadcast: id,
      key,
      firstBatch,
      now: () => Date.now(),
      stored: (outcomes) => this.queue.stored(outcomes),
      failed: () => {},
    });
    this.#signatures = new Signatures({
      db,
      keyring,
      broadcast,
      stagesModule: environment.stagesModule,
      approval: approval.digest,
      operator: 'alice',
      domain: fromDomainOf(notice),
      cancelled: () => this.ended,
    });
    this.feed = new Feed({
      db,
      broadcast: id,
      sender: SENDER,
      loader,
      queue: this.queue,
      chunks: this.#chunks,
      writer: this.#writer,
      meter: this.meter,
      signatures: this.#signatures,
      suppressions: ['asked'],
      ended: () => this.ended,
      permitted: () => this.permitted,
      filled: () => {},
      leaveOut: (row, reason) => {
        this.leftOut.set(row.position, reason);
        this.#settle(row);
      },
    });
  }

  /** Takes the permit of an approved broadcast. */
  static async open(house: House, id: string): Promise<Fed> {
    return new Fed(house, id, await openRelease(house.environment, id, 'alice', () => null));
  }

  #settle(row: WaitingRow): void {
    const done = this.#chunks.settle(row.chunk, null);
    const { position, attempt } = row;
    this.#writer.add({
      ...{ position, attempt, state: 'accepted', code: 250, enhanced: '', reply: '' },
      ...{ rawReply: null, atMs: Date.now() },
    });
    if (done !== null) this.#writer.finish(done);
  }

  /** Takes and accepts what waits. */
  acceptAll(): void {
    this.queue.cover(this.queue.waiting);
    this.queue.granted();
    for (let row = this.queue.take(); row !== null; row = this.queue.take()) {
      this.accepted.push(row.position);
      this.queue.settle(row.position);
      this.#settle(row);
    }
  }

  /** Feeds up to this ring while everything that comes is accepted. */
  async ring(ring: number, toTheEnd = false): Promise<void> {
    let fed = false;
    const feeding = this.feed.ring(ring, toTheEnd).finally(() => {
      fed = true;
    });
    // Awaited below, once it has ended.
    feeding.catch(() => {});
    while (!fed) {
      this.acceptAll();
      await sleep(5);
    }
    await feeding;
  }

  chunks(state: string): Promise<ChunkRow[]> {
    return listChunks(this.#house.db, this.id, state);
  }

  end(): void {
    this.ended = true;
    this.feed.wake();
  }

  async close(): Promise<void> {
    this.end();
    await this.#writer.close(2000);
    await this.#signatures.close();
    await this.#parts.intents.close();
    await this.#parts.permit.close();
  }
}

const PEOPLE = 240;
/** One of every provider and language is ring 0, all others are ring 1. */
const LAST_RING = 1;

async function approved(house: House): Promise<string> {
  const id = await house.create(await sampleNotice(), 9);
  await house.prepare(id);
  await house.approve(id);
  return id;
}

/** As if nothing had been sent and nobody left out; what is signed stays signed. */
async function unsent(house: House, id: string): Promise<void> {
  await house.db.query('DELETE FROM outcome WHERE broadcast_id = $1', [id]);
  await house.db.query('DELETE FROM left_out WHERE broadcast_id = $1', [id]);
  await house.db.query('DELETE FROM chunk WHERE broadcast_id = $1 AND positions IS NOT NULL', [id]);
  await house.db.query("UPDATE chunk SET state = 'waiting' WHERE broadcast_id = $1", [id]);
}

async function until(what: string, holds: () => boolean, limitMs = 10_000): Promise<void> {
  const end = performance.now() + limitMs;
  while (!holds()) {
    assert.ok(performance.now() < end, `not in time: ${what}`);
    await sleep(5);
  }
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

describe('the feed', () => {
  let database: TestDatabase;
  let house: House;
  let broadcast = '';
  let fed: Fed;

  before(async () => {
    database = await testDatabase();
    house = await openHouse(database.db);
    await house.importCsv([...csvOf(sampleCustomers(PEOPLE, 5))].join(''));
    broadcast = await approved(house);
  });
  after(async () => {
    await house.close();
    await database.drop();
  });

  function feedTest(name: string, work: () => Promise<void>): void {
    test(name, { timeout: 20_000 }, async (t) => {
      await unsent(house, broadcast);
      fed = await Fed.open(house, broadcast);
      t.signal.addEventListener('abort', () => fed.end());
      try {
        await work();
      } finally {
        await fed.close();
      }
    });
  }

  feedTest(
    'gives each row of the open rings once, in order, and none of a later ring',
    async () => {
      await fed.ring(0);
      const first = fed.accepted.length;
      assert.ok(first > 0 && first < PEOPLE, `${first} in ring 0`);
      assert.deepEqual(fed.accepted, upTo(first));
      assert.ok((await fed.chunks('waiting')).every(({ ring }) => ring === LAST_RING));
      await fed.ring(LAST_RING);
      assert.deepEqual(fed.accepted, upTo(PEOPLE));
      assert.equal(
        (await fed.chunks('done')).reduce((sum, { count }) => sum + count, 0),
        PEOPLE,
      );
    },
  );

  feedTest('claims nothing without a permit, and begins when there is one', async () => {
    fed.permitted = false;
    const feeding = fed.feed.ring(LAST_RING, false);
    await sleep(150);
    assert.equal(fed.queue.waiting, 0);
    assert.deepEqual(await fed.chunks('claimed'), []);
    fed.permitted = true;
    await until('rows', () => fed.queue.waiting > 0);
    fed.acceptAll();
    fed.end();
    await feeding;
  });

  feedTest('ends with the release, and what it has claimed stays claimed', async () => {
    const feeding = fed.feed.ring(LAST_RING, true);
    await until('rows', () => fed.queue.waiting === PEOPLE);
    fed.end();
    await feeding;
    assert.ok((await fed.chunks('claimed')).length > 0, 'recovery settles them, by the intent log');
  });

  feedTest('leaves out who was suppressed or withdrawn since, with the reason', async () => {
    const addresses = [...sampleCustomers(PEOPLE, 5)].map(({ email }) => email);
    const request = { addresses: addresses.slice(0, 3), reason: 'left', operator: 'bob' };
    await withdraw(house.db, house.keyring, fed.id, request);
    const [index] = await house.db.query<{ address_index: Buffer; position: number }>(
      `SELECT a.address_index, a.position FROM audience_row a LEFT JOIN left_out l USING (broadcast_id, address_index)
        WHERE a.broadcast_id = $1 AND l.by IS NULL LIMIT 1`,
      [fed.id],
    );
    const suppress =
      'INSERT INTO suppression (address_index, reason, added_by) VALUES ($1, $2, $3)';
    await house.db.query(suppress, [index?.address_index, 'asked', 'bob']);
    try {
      await fed.ring(LAST_RING);
    } finally {
      await house.db.query('DELETE FROM suppression');
    }
    assert.equal(fed.leftOut.size, 4);
    assert.match(fed.leftOut.get(index?.position ?? -1) ?? '', /^suppressed: asked/);
    assert.equal(fed.accepted.length, PEOPLE - 4);
    assert.equal(
      fed.accepted.some((position) => fed.leftOut.has(position)),
      false,
    );
  });

  feedTest(
    'waits where the database fails, says so, and goes on with the chunk it has claimed',
    async () => {
      await house.db.query('ALTER TABLE left_out RENAME TO left_out_away');
      const feeding = fed.feed.ring(LAST_RING, false);
      try {
        await until('a pause', () => fed.meter.because !== null);
        assert.equal(fed.queue.waiting, 0);
        assert.equal((await fed.chunks('claimed')).length, 1, 'no other is claimed meanwhile');
        await sleep(250);
        assert.equal((await fed.chunks('claimed')).length, 1);
      } finally {
        await house.db.query('ALTER TABLE left_out_away RENAME TO left_out');
      }
      await until('rows', () => fed.queue.waiting === PEOPLE);
      assert.equal(fed.meter.because, null);
      fed.acceptAll();
      await feeding;
      assert.deepEqual(fed.accepted, upTo(PEOPLE));
    },
  );

  feedTest('takes a chunk up again whose claim was stored and not heard of', async () => {
    // As if the answer to the claim had been lost with its connection.
    assert.ok((await claimChunk(house.db, fed.id, LAST_RING, SENDER)) !== null);
    await fed.ring(LAST_RING);
    assert.deepEqual(
      fed.accepted.toSorted((a, b) => a - b),
      upTo(PEOPLE),
    );
  });

  feedTest(
    'ends, and is not tried again, where a row is not the one that was approved',
    async () => {
      const flip =
        'UPDATE prepared SET leaf = set_byte(leaf, 0, get_byte(leaf, 0) # 1) WHERE broadcast_id = $1 AND position = 7';
      await house.db.query(flip, [fed.id]);
      try {
        await assert.rejects(fed.ring(LAST_RING), { code: 'broadcast.altered' });
      } finally {
        await house.db.query(flip, [fed.id]);
      }
      assert.deepEqual(fed.accepted, [], 'nothing of that chunk is sent');
    },
  );

  feedTest('goes on without what is due later, and at the end waits for it', async () => {
    await fed.ring(LAST_RING);
    const again = {
      ring: 0,
      provider: 'retry',
      positions: [3, 5],
      attempt: 2,
      delayMs: 400,
    };
    await house.db.transaction((tx) => addListChunk(tx, fed.id, again));
    await fed.ring(LAST_RING);
    assert.equal(fed.accepted.length, PEOPLE, 'not due yet');
    const at = performance.now();
    await fed.ring(LAST_RING, true);
    assert.deepEqual(fed.accepted.slice(PEOPLE), [3, 5]);
    assert.ok(performance.now() - at < 3000);
  });
});

describe('the feed of a large ring', () => {
  const MANY = 5200;

  test('keeps some thousands of rows ready, not all, and fills up what was taken', {
    timeout: 60_000,
  }, async (t) => {
    const { db, drop } = await testDatabase();
    const house = await openHouse(db);
    await house.importCsv([...csvOf(sampleCustomers(MANY, 6))].join(''));
    const fed = await Fed.open(house, await approved(house));
    t.signal.addEventListener('abort', () => fed.end());
    try {
      const feeding = fed.feed.ring(LAST_RING, false);
      await until('enough', () => fed.queue.waiting >= 3072, 30_000);
      await sleep(300);
      const waiting = fed.queue.waiting;
      assert.ok(waiting < 3072 + 1024, `${waiting} rows wait`);
      fed.acceptAll();
      await until('filled up', () => fed.queue.waiting > 0);
      while (fed.accepted.length < MANY && !fed.ended) {
        fed.acceptAll();
        await sleep(5);
      }
      await feeding;
      assert.deepEqual(fed.accepted, upTo(MANY));
    } finally {
      await fed.close();
      await house.close();
      await drop();
    }
  });
});
