/** The customer index against the real register: built from it, and as new as its last commit in every process. */

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type CustomerIndex, openCustomerIndex } from '../../src/customers/customer-index.ts';
import { importCustomers } from '../../src/customers/import.ts';
import { DEFAULT_COLUMNS } from '../../src/customers/read-records.ts';
import { addressIndex } from '../../src/customers/record.ts';
import { keyringOf, newKeyringDocument } from '../../src/keys/keyring.ts';
import { announceAll, announceErased, announceImport } from '../../src/store/customer-hashes.ts';
import type { Database, Transaction } from '../../src/store/database.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';

const keyring = keyringOf(newKeyringDocument([]));

/** Importing with the announcement between staging and merging, as the import itself does it. */
function announcing(db: Database): Database {
  return {
    query: (sql, params) => db.query(sql, params),
    copyIn: (sql, chunks) => db.copyIn(sql, chunks),
    copyOut: (sql, params) => db.copyOut(sql, params),
    listen: (channel, onMessage) => db.listen(channel, onMessage),
    close: () => db.close(),
    transaction: (work) =>
      db.transaction((tx) => {
        const watching: Transaction = {
          ...tx,
          query: async (sql, params) => {
            if (sql.includes('WITH merged AS')) await announceImport(tx);
            return tx.query(sql, params);
          },
        };
        return work(watching);
      }),
  };
}

async function* csv(from: number, count: number, kind = 'customer'): AsyncGenerator<Buffer> {
  yield Buffer.from('id,email,kind\n');
  for (let i = from; i < from + count; i += 1000) {
    let text = '';
    for (let k = i; k < Math.min(i + 1000, from + count); k++)
      text += `c${k},p${k}@mail.example,${kind}\n`;
    yield Buffer.from(text);
  }
}

describe('the customer index', () => {
  let database: TestDatabase;
  let db: Database;
  const open: CustomerIndex[] = [];

  before(async () => {
    database = await testDatabase();
    db = database.db;
  });
  afterEach(async () => {
    for (const index of open.splice(0)) await index.close();
    await db.query('TRUNCATE customer');
  });
  after(() => database.drop());

  async function opened(on: Database = db): Promise<CustomerIndex> {
    const index = await openCustomerIndex({ db: on, keyring });
    open.push(index);
    return index;
  }

  const importRows = (bytes: AsyncIterable<Uint8Array>) =>
    importCustomers(
      announcing(db),
      keyring,
      'ann',
      {
        bytes,
        file: 'c.csv',
        format: 'csv',
        columns: { ...DEFAULT_COLUMNS, key: 'id', address: 'email', kind: 'kind' },
        defaultLanguage: 'en',
      },
      { rejected: () => {}, progress: () => {}, beforeCommit: () => {} },
    );

  async function until(holds: () => boolean): Promise<number> {
    const started = performance.now();
    while (!holds()) {
      assert.ok(performance.now() - started < 5000, 'waited too long');
      await sleep(2);
    }
    return performance.now() - started;
  }

  test('every customer imported is known and nobody else, at the start and as imports come', async () => {
    await importRows(csv(0, 3000));
    const one = await opened();
    const two = await opened();
    assert.equal(one.size, 3000);
    for (let i = 0; i < 6000; i += 7) assert.equal(one.has(`p${i}@mail.example`), i < 3000);
    await importRows(csv(3000, 3000));
    for (const index of [one, two]) {
      const ms = await until(() => index.size === 6000);
      assert.ok(ms < 1000);
      for (let i = 0; i < 9000; i += 7) assert.equal(index.has(`p${i}@mail.example`), i < 6000);
    }
  });

  test('a customer whose address changes is known by the new one alone', async () => {
    await importRows(csv(0, 10));
    const index = await opened();
    assert.equal(index.has('p3@mail.example'), true);
    async function* changed(): AsyncGenerator<Buffer> {
      yield Buffer.from('id,email,kind\nc3,new3@mail.example,customer\n');
    }
    await importRows(changed());
    await until(() => index.has('new3@mail.example') && !index.has('p3@mail.example'));
    assert.equal(index.size, 10);
  });

  test('an erased customer is forgotten, unless another record has the same address', async () => {
    async function* rows(): AsyncGenerator<Buffer> {
      yield Buffer.from('id,email\na,one@mail.example\nb,both@mail.example\nc,both@mail.example\n');
    }
    await importRows(rows());
    const index = await opened();
    assert.equal(index.has('one@mail.example'), true);
    const indexes = ['one@mail.example', 'both@mail.example'].map((address) =>
      addressIndex(keyring.blindIndex, address),
    );
    await db.transaction(async (tx) => {
      await tx.query(
        `DELETE FROM customer WHERE id IN (SELECT min(id) FROM customer GROUP BY address_index)`,
      );
      await announceErased(
        tx,
        indexes.filter((bytes) => bytes !== null),
      );
    });
    await until(() => !index.has('one@mail.example'));
    assert.equal(index.has('both@mail.example'), true);
    assert.equal(index.size, 1);
  });

  test('what is rolled back is not taken up', async () => {
    const index = await opened();
    await assert.rejects(
      importCustomers(
        announcing(db),
        keyring,
        'ann',
        {
          bytes: csv(0, 10),
          file: 'c.csv',
          format: 'csv',
          columns: { ...DEFAULT_COLUMNS, key: 'id', address: 'email', kind: 'kind' },
          defaultLanguage: 'en',
        },
        {
          rejected: () => {},
          progress: () => {},
          beforeCommit: () => {
            throw new Error('given up');
          },
        },
      ),
    );
    await sleep(50);
    assert.equal(index.size, 0);
  });

  test('staff and seed addresses are nobody’s customer', async () => {
    await importRows(csv(0, 5, 'staff'));
    const index = await opened();
    await importRows(csv(5, 5, 'seed'));
    await importRows(csv(10, 5, 'canary'));
    await until(() => index.has('p12@mail.example'));
    assert.equal(index.size, 5);
  });

  test('it grows under mail: every answer in between is right', async () => {
    const index = await opened();
    await importRows(csv(0, 500));
    await until(() => index.size === 500);
    let done = false;
    const work = importRows(csv(500, 60_000)).then(() => {
      done = true;
    });
    let asked = 0;
    while (!done || index.size < 60_500) {
      const i = asked++ % 500;
      assert.equal(index.has(`p${i}@mail.example`), true);
      assert.equal(index.has(`q${i}@mail.example`), false);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await work;
    assert.ok(asked > 20);
    for (let i = 0; i < 60_500; i += 11) assert.equal(index.has(`p${i}@mail.example`), true);
  });

  test('what happens while the connection is lost is caught up with', async () => {
    await importRows(csv(0, 10));
    const index = await opened();
    assert.equal(index.has('p5@mail.example'), true);
    await db.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND query LIKE 'LISTEN%customer%'`,
    );
    await importRows(csv(10, 10));
    await db.query(
      'DELETE FROM customer WHERE record_index = (SELECT min(record_index) FROM customer)',
    );
    await until(() => index.size === 19);
  });

  test('a reading that fails is tried again, and the table before answers meanwhile', async () => {
    await importRows(csv(0, 10));
    let gone = false;
    const failing: Database = {
      ...announcing(db),
      query: (sql, params) => (gone ? Promise.reject(new Error('gone')) : db.query(sql, params)),
    };
    const index = await opened(failing);
    gone = true;
    await importRows(csv(10, 10));
    await db.transaction((tx) => announceAll(tx));
    await sleep(100);
    assert.equal(index.has('p5@mail.example'), true);
    gone = false;
    await until(() => index.has('p15@mail.example') && index.size === 20);
  });
});
