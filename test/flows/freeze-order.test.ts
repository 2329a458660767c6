/** Import and freeze against the database: counts, positions in release order, languages and providers. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { audienceKey, openFrozenRow } from '../../src/broadcast/audience.ts';
import { DEFAULT_RING_RULES } from '../../src/broadcast/rings.ts';
import type { ImportReport } from '../../src/customers/import.ts';
import { KINDS } from '../../src/customers/record.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { type House, openHouse, sampleNotice } from '../support/house.ts';

const HEAD = 'id,email,name,language,positions,kind';
let database: TestDatabase;
let house: House;

before(async () => {
  database = await testDatabase();
  house = await openHouse(database.db);
});
after(async () => {
  await house?.close();
  await database?.drop();
});

const importRows = (rows: Iterable<string>): Promise<ImportReport> =>
  house.importCsv(`${[HEAD, ...rows].join('\n')}\n`);

interface Frozen {
  readonly position: number;
  readonly kind: number;
  readonly language: string;
  readonly provider: string;
  readonly ring: number;
  readonly sealed: Buffer;
}

async function freeze(): Promise<{ id: string; rows: Frozen[] }> {
  const rings = DEFAULT_RING_RULES;
  const broadcast = await house.create(await sampleNotice(), 9, { rings });
  const rows = await house.db.query<Frozen>(
    `SELECT position, kind, language, provider, ring, sealed FROM audience_row
      WHERE broadcast_id = $1 ORDER BY position`,
    [broadcast],
  );
  return { id: broadcast, rows };
}

const DOMAINS: readonly (readonly [domain: string, count: number])[] = [
  ['gmail.com', 40],
  ['googlemail.com', 30],
  ['big.example', 50],
  ['small.example', 49],
  ['tiny.example', 3],
];

const SPECIAL_KINDS = new Map([
  [7, 'staff'],
  [9, 'seed'],
  [11, 'canary'],
]);
const SPECIAL_LANGUAGES = new Map([
  [20, 'zh-CN'],
  [21, 'zh-TW'],
]);

function* customers(): Generator<string> {
  let n = 0;
  for (const [domain, count] of DOMAINS)
    for (let i = 0; i < count; i++, n++) {
      const kind = SPECIAL_KINDS.get(n % 40) ?? '';
      const language = SPECIAL_LANGUAGES.get(n) ?? ['de', 'en'][n % 2];
      yield `C-${n},person${n}@${domain},Person ${n},${language},1,${kind}`;
    }
}

test('an import counts what it added, changed and found unchanged', async () => {
  const people = [...customers()];
  const first = await importRows(people);
  const counts = ({ read, added, changed, unchanged, rejected }: ImportReport): number[] => [
    ...[read, added, changed, unchanged, rejected],
  ];
  assert.deepEqual(counts(first), [172, 172, 0, 0, 0]);
  assert.deepEqual(counts(await importRows(people)), [172, 0, 0, 172, 0]);
  const [one = '', two = '', ...rest] = people;
  const again = [one.replace('Person 0', 'Other'), two.replace('person1@g', 'PERSON1@G'), ...rest];
  assert.deepEqual(counts(await importRows(again)), [172, 0, 1, 171, 0]);
  const [row] = await house.db.query<{ n: number; versions: number }>(
    'SELECT count(*)::int AS n, sum(version)::int AS versions FROM customer',
  );
  assert.deepEqual(row, { n: 172, versions: 173 });
  assert.deepEqual(counts(await importRows([one])), [1, 0, 1, 0, 0]);
});

test('positions go by kind, ring, provider and chance', async () => {
  const { id, rows } = await freeze();
  assert.equal(rows.length, 172);
  assert.deepEqual(
    rows.map(({ position }) => position),
    rows.map((_, i) => i),
  );
  const kinds = rows.map(({ kind }) => kind);
  assert.deepEqual(
    kinds,
    kinds.toSorted((a, b) => a - b),
  );
  assert.deepEqual(
    [...new Set(kinds)].map((kind) => KINDS[kind]),
    [...KINDS],
  );
  for (const kind of new Set(kinds)) {
    const rings = rows.filter((row) => row.kind === kind).map(({ ring }) => ring);
    assert.deepEqual(
      rings,
      rings.toSorted((a, b) => a - b),
    );
    for (const ring of new Set(rings)) {
      const providers = rows
        .filter((row) => row.kind === kind && row.ring === ring)
        .map(({ provider }) => provider);
      const runs = providers.filter((provider, i) => provider !== providers[i - 1]);
      assert.equal(runs.length, new Set(providers).size, 'each provider in one run');
    }
  }
  assert.ok(
    rows.every(({ kind, ring }) => kind > 1 || ring === 0),
    'seeds and staff come first',
  );
  assert.ok(
    rows.every(({ kind, ring }) => kind !== 3 || ring === 3),
    'canaries come last',
  );

  const key = await audienceKey(house.db, house.keyring, id);
  const keys = (of: typeof rows): string[] =>
    of.map(({ position, sealed }) => openFrozenRow(key, id, position, sealed).key);
  const inLast = keys(rows.filter(({ ring, kind }) => ring === 3 && kind === 2));
  const byNumber = inLast.toSorted((a, b) => Number(a.slice(2)) - Number(b.slice(2)));
  assert.notDeepEqual(inLast, byNumber, 'chance, not the order of the file');
});

test('ring 0 holds one of every provider and language', async () => {
  const { rows } = await freeze();
  const pairs = (of: readonly Frozen[]): Set<string> =>
    new Set(of.map(({ provider, language }) => `${provider} ${language}`));
  assert.deepEqual(pairs(rows.filter(({ ring }) => ring === 0)), pairs(rows));
});

test('a provider is named from 50 recipients on, and no rarer domain stands in clear', async () => {
  const { rows } = await freeze();
  const counts: Record<string, number> = {};
  for (const { provider } of rows) counts[provider] = (counts[provider] ?? 0) + 1;
  assert.deepEqual(counts, { google: 70, 'big.example': 50, other: 52 });
});

test('zh-CN is written to in zh-Hans, zh-TW in the default language', async () => {
  const { id, rows } = await freeze();
  const key = await audienceKey(house.db, house.keyring, id);
  const languages = new Map(
    rows.map(({ position, sealed, language }) => [
      openFrozenRow(key, id, position, sealed).key,
      language,
    ]),
  );
  assert.deepEqual([languages.get('C-20'), languages.get('C-21')], ['zh-Hans', 'en']);
});
