/**
 * `kill -9` at every `await` between a call that is split or held and the answer to its caller: nothing passes unseen, nobody
 * gets it twice, nothing is lost.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { keyringOf, newKeyringDocument } from '../../src/keys/keyring.ts';
import { deliveriesOf } from '../../src/store/kept.ts';
import { awaitPoints, awaitsIn, instrumented } from '../support/await-points.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { holdCall, openKeptRoad, SENDER, splitCall, until } from '../support/kept-road.ts';
import { type Ended, runToEnd } from '../support/run-to-end.ts';
import { type FakeNextHop, startNextHop } from './smtp-relay-next-hop.ts';

const PROCESS = path.join(import.meta.dirname, '../support/kept-process.ts');
const AT_ONCE = 2;
const points = awaitPoints();
const document = newKeyringDocument([]);
const folder = mkdtempSync(path.join(tmpdir(), 'undisclosed-kept-'));
const keyringFile = path.join(folder, 'keyring.json');
writeFileSync(keyringFile, JSON.stringify(document), { mode: 0o600 });
let database: TestDatabase;

before(async () => {
  database = await testDatabase();
});
after(async () => {
  await database.drop();
  rmSync(folder, { recursive: true, force: true });
});

function run(kind: string, mark: string, point: string, port: number): Promise<Ended> {
  return runToEnd(PROCESS, [database.url, keyringFile, String(port), kind, mark, point]);
}

interface Killed {
  readonly kind: 'split' | 'hold';
  readonly point: string;
  readonly mark: string;
}

/** Before each point; and after those whose end is not the beginning of the next: the commit, and the last. */
function moments(): Killed[] {
  const names = points.flatMap(({ name }) => [
    `${name} before`,
    ...(/ #write 1$| #enter 1$/.test(name) ? [`${name} after`] : []),
  ]);
  return (['split', 'hold'] as const).flatMap((kind) =>
    names.map((point, i) => ({ kind, point, mark: `${kind}${i}` })),
  );
}

async function killEach(all: readonly Killed[], port: number): Promise<void> {
  const waiting = [...all];
  const one = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { signal, output } = await run(next.kind, next.mark, next.point, port);
      assert.equal(signal, 'SIGKILL', `${next.kind}: ${next.point} was reached`);
      assert.equal(output, '', `${next.kind}: nobody was answered at ${next.point}`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
}

/** How often the far side has a copy for each reader. */
function copiesAt(next: FakeNextHop): Map<string, number> {
  const copies = new Map<string, number>();
  for (const content of next.contents) {
    const reader = /^To: .*?([\w.]+@home\.example)/m.exec(content)?.[1] ?? content;
    copies.set(reader, (copies.get(reader) ?? 0) + 1);
  }
  return copies;
}

test('the scan sees an await wherever it stands, and none in a comment', () => {
  const source = [
    '/** await nothing */',
    'export async function first(): Promise<void> {',
    '  // await nothing',
    "  if ((await one('a)b')) === null) await two<Row>([await three(), 4]);",
    '}',
    'class X {',
    '  async #second(): Promise<void> {',
    '    await this.#a.b(async (tx) => { await c(tx); });',
    '  }',
    '}',
  ].join('\n');
  const found = awaitsIn('x.ts', source);
  assert.deepEqual(
    found.map(({ name, start, end }) => `${name}: ${source.slice(start, end)}`),
    [
      "x.ts first 1: await one('a)b')",
      'x.ts first 2: await two<Row>([await three(), 4])',
      'x.ts first 3: await three()',
      'x.ts #second 1: await this.#a.b(async (tx) => { await c(tx); })',
      'x.ts #second 2: await c(tx)',
    ],
  );
  assert.equal(instrumented('src/not/on/the-road.ts', source), source);
});

test('killed at every await of a split and of a hold, and retried: nothing unseen, nobody twice, nothing lost', async (t) => {
  const all = moments();
  assert.equal(all.length, 2 * (points.length + 2));
  for (const { name } of points) t.diagnostic(name);
  const next = await startNextHop();
  const { signal, output } = await run('split', 'whole', 'none', next.port);
  assert.deepEqual([signal, /^answered keep k/.test(output)], [null, true], 'it lives otherwise');
  await killEach(all, next.port);

  const road = await openKeptRoad(database.db, keyringOf(document), next.port, { claimMs: 1500 });
  try {
    const ids = new Map<string, string>();
    for (const { kind, mark } of all) {
      const call = kind === 'split' ? splitCall(mark) : holdCall(mark);
      const decision = await road.guard.road('smtp').decide(call, SENDER);
      assert.equal(decision.action, 'keep');
      ids.set(mark, decision.kept ?? '');
    }
    const open = "SELECT 1 FROM kept WHERE state = 'sending'";
    await until('all is settled', async () => (await database.db.query(open)).length === 0);
    const uncertain = await assertSettled(ids, all, next);
    t.diagnostic(`${all.length} kills, ${next.contents.length} copies, ${uncertain} uncertain`);
    const stored = await database.db.query('SELECT 1 FROM kept');
    assert.equal(stored.length, all.length + 1, 'each call is there once');
    const unseen = await database.db.query(
      'SELECT 1 FROM kept k WHERE NOT EXISTS (SELECT FROM verdict v WHERE v.id = k.verdict)',
    );
    assert.equal(unseen.length, 0, 'each has its verdict');
  } finally {
    await road.close();
  }
});

async function assertSettled(
  ids: ReadonlyMap<string, string>,
  all: readonly Killed[],
  next: FakeNextHop,
): Promise<number> {
  const copies = copiesAt(next);
  let uncertain = 0;
  for (const { kind, mark, point } of all) {
    const where = `${kind}: ${point}`;
    const rows = await deliveriesOf(database.db, ids.get(mark) ?? '');
    if (kind === 'hold') {
      assert.deepEqual(
        rows.map(({ state }) => state),
        ['waiting'],
        where,
      );
      assert.equal(copies.get(`ann.${mark}@home.example`), undefined, `${where}: held stays`);
      continue;
    }
    for (const [place, name] of ['ann', 'bob', 'cyd'].entries()) {
      const state = rows[place]?.state;
      const count = copies.get(`${name}.${mark}@home.example`) ?? 0;
      assert.ok(count <= 1, `${where}: ${name} has ${count} copies`);
      if (state === 'accepted') assert.equal(count, 1, where);
      else {
        assert.equal(state, 'uncertain', `${where}: who may lack it is named`);
        assert.match(point, / after$/, 'before the commit nothing can have left');
        uncertain++;
      }
    }
  }
  const strangers = [...copies.keys()].filter(
    (name) => !/^(?:ann|bob|cyd)\.split|whole/.test(name),
  );
  // Reports to the sender name nobody of this kind.
  assert.ok(strangers.every((name) => /multipart\/report/.test(name)));
  return uncertain;
}
