/**
 * `kill -9` at every `await` of each door, and of what stands around a call, between taking a call that is split or held and its
 * answer; then the caller's retry by the same door: nothing passes unseen, nobody gets it twice, nothing is lost.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { keyringOf, newKeyringDocument } from '../../src/keys/keyring.ts';
import { awaitPoints, DOORS } from '../support/await-points.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { KEPT_DOORS, type KeptDoor, openKeptDoors, readersOf } from '../support/kept-doors.ts';
import { until } from '../support/kept-road.ts';
import { type Ended, runToEnd } from '../support/run-to-end.ts';
import { type FakeNextHop, startNextHop } from './smtp-relay-next-hop.ts';

const PROCESS = path.join(import.meta.dirname, '../support/kept-door-process.ts');
const AT_ONCE = 2;
/** Not on these doors' road of a split or hold: what passes, what counts for the budget, who signed the body (SES, before it is read). */
const ELSEWHERE = ['smtp-relay.ts relay 2', 'circumstances.ts #look 2', 'provider-api.ts handle 3'];
/** Answered: stored, whatever the caller hears of it. */
const TAKEN: Readonly<Record<KeptDoor, string>> = { relay: '250', milter: 'd', sendgrid: '202' };
/** Before each point; after those at whose end the call is stored; and what stands around a call by one door, for it is the same. */
function isMoment(name: string, door: KeptDoor): boolean {
  if (name.startsWith('circumstances.ts') && door !== 'relay') return false;
  return / before$/.test(name) || /(?:relay|answerFor|inTime) 1 after$/.test(name);
}

const document = newKeyringDocument([]);
const folder = mkdtempSync(path.join(tmpdir(), 'undisclosed-kept-'));
const keyringFile = path.join(folder, 'keyring.json');
writeFileSync(keyringFile, JSON.stringify(document), { mode: 0o600 });
let database: TestDatabase;
let provider: http.Server;
const requests: string[] = [];

before(async () => {
  database = await testDatabase();
  provider = http.createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    requests.push(body);
    response.writeHead(202).end();
  });
  await new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve));
});
after(async () => {
  provider.closeAllConnections();
  provider.close();
  await database.drop();
  rmSync(folder, { recursive: true, force: true });
});

interface Killed {
  readonly door: KeptDoor;
  readonly kind: 'split' | 'hold';
  readonly mark: string;
  readonly point: string;
}

const upstream = (): string => `http://127.0.0.1:${(provider.address() as AddressInfo).port}`;

function run({ door, kind, mark, point }: Killed, next: FakeNextHop): Promise<Ended> {
  const places = [database.url, keyringFile, String(next.port), upstream()];
  return runToEnd(PROCESS, [...places, door, kind, mark, point]);
}

async function inTurns<T>(list: readonly T[], act: (one: T) => Promise<void>): Promise<void> {
  const waiting = [...list];
  const worker = async (): Promise<void> => {
    for (let one = waiting.shift(); one !== undefined; one = waiting.shift()) await act(one);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** How often the far sides have a copy for this reader, in whatever coding. */
function copiesFor(reader: string, next: FakeNextHop): number {
  const isTo = (content: string): boolean => new RegExp(`^To: .*${reader}`, 'm').test(content);
  const inCalls = requests.filter((body) => body.includes(`"${reader}"`)).length;
  return next.contents.filter(isTo).length + inCalls;
}

test('killed at every await of each door and retried: nothing unseen, nobody twice, nothing lost', {
  timeout: 180_000,
}, async (context) => {
  const next = await startNextHop();
  const points = awaitPoints(DOORS).map(({ name }) => name);
  const kills: Killed[] = [];
  const reached = new Set<string>();
  const lists = KEPT_DOORS.flatMap((door) =>
    (['split', 'hold'] as const).map((kind) => ({
      door,
      kind,
      mark: `whole${kind}`,
      point: 'list',
    })),
  );
  await inTurns(lists, async (call) => {
    const { output } = await run(call, next);
    assert.match(output, new RegExp(`^answered ${TAKEN[call.door]}$`, 'm'), call.door);
    for (const [, name = ''] of output.matchAll(/^reached (.*)$/gm)) {
      reached.add(name.replace(/ (?:before|after)$/, ''));
      if (!isMoment(name, call.door)) continue;
      kills.push({ ...call, mark: `${call.kind}${kills.length}`, point: name });
    }
  });
  assert.deepEqual([...reached].sort(), points.filter((name) => !ELSEWHERE.includes(name)).sort());
  for (const name of reached) context.diagnostic(name);

  await inTurns(kills, async (call) => {
    const { signal, output } = await run(call, next);
    assert.equal(signal, 'SIGKILL', `${call.door} ${call.kind}: ${call.point} was reached`);
    assert.doesNotMatch(output, /answered/, `nobody was answered at ${call.point}`);
  });

  const doors = await openKeptDoors(database.db, keyringOf(document), next.port, upstream());
  try {
    for (const { door, kind, mark, point } of kills)
      assert.equal(await doors.send(door, kind, mark), TAKEN[door], `${door}: ${point}`);
    const open = "SELECT 1 FROM kept WHERE state = 'sending'";
    await until('all is settled', async () => (await database.db.query(open)).length === 0, 20_000);
    const stored = await database.db.query('SELECT 1 FROM kept');
    assert.equal(stored.length, kills.length + lists.length, 'each call is there once');
    let uncertain = 0;
    for (const { door, kind, mark, point } of kills) {
      for (const reader of readersOf(door, mark)) {
        const copies = copiesFor(reader, next);
        const where = `${door} ${kind} ${point}: ${copies} copies`;
        if (kind === 'hold') assert.equal(copies, 0, `${where}: held stays`);
        else assert.ok(copies <= 1, `${where}: nobody twice`);
        if (kind === 'split' && copies === 0) uncertain++;
      }
    }
    // One call to an API reaches several readers: it is one delivery.
    const [row] = await database.db.query<{ n: number }>(
      "SELECT coalesce(sum(readers), 0)::int AS n FROM kept_delivery WHERE state = 'uncertain'",
    );
    assert.ok(uncertain <= (row?.n ?? 0), `${uncertain} lack it, ${row?.n} are named as uncertain`);
    const given = await database.db.query(
      `SELECT d.state FROM kept_delivery d JOIN kept k ON k.id = d.kept
        WHERE k.kind = 'split' AND d.state NOT IN ('accepted', 'uncertain')`,
    );
    assert.deepEqual(given, [], 'nothing was given up');
    context.diagnostic(`${kills.length} kills, ${uncertain} without a copy and named`);
    const unseen = await database.db.query(
      'SELECT 1 FROM kept k WHERE NOT EXISTS (SELECT FROM verdict v WHERE v.id = k.verdict)',
    );
    assert.equal(unseen.length, 0, 'each has its verdict');
  } finally {
    await doors.close();
  }
});
