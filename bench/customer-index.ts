/**
 * The customer index of a large register: how long it takes to build from the database, and what it takes in memory.
 * The rows are made by PostgreSQL itself (SHA-256 of their number as the blind index, sealed bytes of the usual length), so
 * that ten million of them are there in a minute; what is measured reads them as it reads any other.
 *
 *     node bench/customer-index.ts [--people N]
 */

import { openCustomerIndex } from '../src/customers/customer-index.ts';
import { keyringOf, newKeyringDocument } from '../src/keys/keyring.ts';
import { testDatabase } from '../test/support/database.ts';
import { log, peopleOf, report } from './run.ts';

const people = peopleOf(10_000_000, 10_000_000);
const LOOKUPS = 200_000;

const database = await testDatabase();
try {
  const started = performance.now();
  await database.db.query(
    `INSERT INTO customer (record_index, address_index, data_index, kind, language, sealed)
     SELECT int8send(i), sha256(int8send(i)), '', 2, 'en', '' FROM generate_series(1, ${people}) AS i`,
  );
  log(`${people} rows in ${((performance.now() - started) / 1000).toFixed(0)} s`);
  const kinds = await database.db.query<{ n: number }>(
    'SELECT count(*)::float8 AS n FROM customer',
  );
  const keyring = keyringOf(newKeyringDocument([]));
  const before = process.memoryUsage();
  const from = performance.now();
  const index = await openCustomerIndex({ db: database.db, keyring });
  const seconds = (performance.now() - from) / 1000;
  if (index.size !== kinds[0]?.n)
    throw new Error(`${index.size} of ${kinds[0]?.n} are in the index`);
  global.gc?.();
  const after = process.memoryUsage();
  const asked = performance.now();
  for (let i = 0; i < LOOKUPS; i++) index.has(`person${i}@mail.example`);
  const lookupMicroseconds = ((performance.now() - asked) * 1000) / LOOKUPS;
  report('customer-index', {
    people,
    seconds,
    tableMb: index.bytes / 2 ** 20,
    grownMb: (after.rss - before.rss) / 2 ** 20,
    lookupMicroseconds,
  });
  await index.close();
} finally {
  await database.drop();
}
