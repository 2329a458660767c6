/** A far side that hangs up at the envelope of one recipient, and never says why: everybody else gets theirs, the release ends. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { domainToASCII } from 'node:url';
import { csvOf, sampleCustomers } from '../../demo/sample-customers.ts';
import { type Account, accountOf } from '../../src/broadcast/account.ts';
import type { UncertainPolicy } from '../../src/broadcast/broadcast.ts';
import { STATES } from '../../src/broadcast/outcome.ts';
import type { Release, ReleaseEnd } from '../../src/broadcast/release.ts';
import { DEFAULT_RING_RULES } from '../../src/broadcast/rings.ts';
import { parseRoute } from '../../src/broadcast/route.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { type House, openHouse, sampleNotice } from '../support/house.ts';
import {
  type Answer,
  type Script,
  startScriptedSink,
  type Told,
} from '../support/scripted-sink.ts';

const PEOPLE = 240;
const SECONDS = 1 / 3600;
const PATIENCE_MS = 40_000;
/** In pieces, each a packet 5 ms after the other: there is a middle of the release to be hit. */
const SLOW_250 = [...'250 ok', '\r\n'];

/** An ASCII local part goes out with its domain as A-labels. */
function onTheWire(email: string): string {
  const at = email.lastIndexOf('@');
  const local = email.slice(0, at);
  return /^[\x21-\x7e]+$/.test(local) ? `${local}@${domainToASCII(email.slice(at + 1))}` : email;
}

describe('a far side that hangs up before the content', { concurrency: 3 }, () => {
  let database: TestDatabase;
  let house: House;
  const people = [...sampleCustomers(PEOPLE, 11)];

  before(async () => {
    database = await testDatabase();
    house = await openHouse(database.db);
    await house.importCsv([...csvOf(people)].join(''));
  });
  after(async () => {
    await house?.close();
    await database?.drop();
  });

  interface Ends {
    readonly account: Account;
    /** By address, in the order in which they were named first: how often its content came whole. */
    readonly taken: ReadonlyMap<string, number>;
    readonly attempts: readonly { position: number; attempt: number; state: string }[];
  }

  interface Options {
    readonly extensions?: readonly string[];
    readonly query?: string;
    readonly deadlineSeconds?: number;
    readonly uncertain?: UncertainPolicy;
    /** How it ends; complete unless given. */
    readonly end?: ReleaseEnd['kind'];
    during?(release: Release, id: string): Promise<Release>;
  }

  /** A release to a far side that answers by `answer`: told which recipient this is, counted in the order of their first RCPT. */
  async function released(
    answer: (told: Told, nth: number) => Answer | undefined,
    { extensions = ['PIPELINING', 'SMTPUTF8'], query = '', deadlineSeconds, ...options }: Options,
  ): Promise<Ends> {
    const current = new Map<number, string>();
    const taken = new Map<string, number>();
    const nth: string[] = [];
    const script: Script = {
      extensions,
      answer: (told, connection) => {
        const named = /^RCPT TO:<(.*)>/.exec(told.line)?.[1];
        if (named !== undefined) current.set(connection, named);
        const rcpt = current.get(connection) ?? '';
        if (named !== undefined && !nth.includes(named)) nth.push(named);
        const given = answer(told, nth.indexOf(rcpt));
        if (told.content === null || given !== undefined) return given;
        taken.set(rcpt, (taken.get(rcpt) ?? 0) + 1);
        return SLOW_250;
      },
    };
    const sink = await startScriptedSink(script);
    let release: Release | null = null;
    try {
      const id = await house.create(await sampleNotice(), sink.port, {
        route: parseRoute(`smtp://127.0.0.1:${sink.port}?tls=none&connections=5${query}`),
        rings: DEFAULT_RING_RULES,
        uncertain: options.uncertain ?? 'hold',
        retrySeconds: [0.5],
        ...(deadlineSeconds === undefined ? {} : { deadlineHours: deadlineSeconds * SECONDS }),
      });
      await house.prepare(id);
      await house.approve(id);
      release = await house.start(id);
      release = (await options.during?.(release, id)) ?? release;
      const end = await Promise.race([release.done, sleep(PATIENCE_MS, null, { ref: false })]);
      assert.equal(end?.kind, options.end ?? 'complete', release.progress().because ?? '');
      const rows = await house.db.query<{ position: number; attempt: number; state: number }>(
        'SELECT position, attempt, state FROM outcome WHERE broadcast_id = $1 ORDER BY 1, 2',
        [id],
      );
      const attempts = rows.map((row) => ({ ...row, state: STATES[row.state] ?? '' }));
      return { account: await accountOf(house.db, id), taken, attempts };
    } finally {
      await release?.stop('the test ends');
      await sink.close();
    }
  }

  async function until(holds: () => Promise<boolean>, ms: number): Promise<void> {
    const end = performance.now() + ms;
    while (!(await holds())) {
      if (performance.now() > end) throw new Error('it did not come to that in time');
      await sleep(50);
    }
  }

  /** Everybody but so many has had their message once, and those not at all. */
  function assertOthersOnce({ taken }: Ends, without: number): void {
    const times = people.map(({ email }) => taken.get(onTheWire(email)) ?? 0);
    assert.equal(times.filter((count) => count === 0).length, without);
    assert.ok(times.every((count) => count <= 1));
  }

  const cases: readonly [string, readonly string[], (told: Told) => boolean][] = [
    ['at RCPT', ['PIPELINING', 'SMTPUTF8'], ({ line }) => line.startsWith('RCPT')],
    ['at RCPT, without PIPELINING', ['SMTPUTF8'], ({ line }) => line.startsWith('RCPT')],
    ['at DATA', ['PIPELINING', 'SMTPUTF8'], ({ line }) => line === 'DATA'],
  ];
  for (const [where, extensions, isIt] of cases)
    test(`hung up on ${where} at one recipient: the others get theirs, it is named with its reason, tried again, and given up at the deadline`, async () => {
      const ends = await released((told, nth) => (nth === 120 && isIt(told) ? 'drop' : undefined), {
        extensions,
        deadlineSeconds: 8,
      });
      assertOthersOnce(ends, 1);
      const { account, attempts } = ends;
      assert.deepEqual(account.states, { accepted: PEOPLE - 1, expired: 1 });
      assert.equal(account.addsUp, true);
      const [named] = account.hungUpOn;
      assert.equal(account.hungUpOn.length, 1);
      assert.equal(named?.state, 'expired');
      assert.match(named?.because ?? '', /^the far side closed the connection.*at this message$/);
      const tries = attempts.filter(({ position }) => position === named?.position);
      assert.ok(tries.length > 2, 'it was tried again');
      assert.ok(tries.slice(0, -1).every(({ state }) => state === 'deferred'));
      assert.equal(attempts.length, PEOPLE - 1 + tries.length);
    });

  test('ten such recipients hold nobody up, and a new start knows them', async () => {
    let known = 0;
    const ends = await released(
      ({ line }, nth) => (line.startsWith('RCPT') && nth >= 60 && nth < 70 ? 'drop' : undefined),
      {
        deadlineSeconds: 12,
        during: async (release, id) => {
          const listed = async () => (await accountOf(house.db, id)).hungUpOn.length;
          await until(async () => (await listed()) === 10, 20_000);
          await release.stop('the test says so');
          known = await listed();
          return house.start(id);
        },
      },
    );
    assert.equal(known, 10);
    assertOthersOnce(ends, 10);
    assert.deepEqual(ends.account.states, { accepted: PEOPLE - 10, expired: 10 });
    assert.equal(ends.account.addsUp, true);
  });

  test('a far side that never answers one envelope is treated likewise', async () => {
    const ends = await released(
      ({ line }, nth) => (line.startsWith('RCPT') && nth === 20 ? 'silence' : undefined),
      { query: '&commandTimeout=0.2', deadlineSeconds: 8 },
    );
    assertOthersOnce(ends, 1);
    assert.match(ends.account.hungUpOn[0]?.because ?? '', /^the far side took too long/);
  });

  test('one that takes the content of one and hangs up each time: one more copy, then it is held and named', async () => {
    let copies = 0;
    const ends = await released(
      ({ content }, nth) => {
        if (content === null || nth !== 120) return undefined;
        copies++;
        return 'drop';
      },
      { uncertain: 'resend', end: 'held' },
    );
    assert.equal(copies, 2);
    const { account, attempts } = ends;
    assert.deepEqual(account.states, { accepted: PEOPLE - 1, uncertain: 1 });
    const tries = attempts.filter(({ position }) => position === account.uncertain[0]);
    assert.deepEqual(
      tries.map(({ attempt, state }) => `${attempt} ${state}`),
      ['1 uncertain', '2 uncertain'],
    );
  });

  test('one that hangs up on everybody pauses the release; nobody is put off, and it goes on by itself', async () => {
    let broken = true;
    let paused = '';
    const ends = await released(
      ({ line }, nth) => (line.startsWith('RCPT') && nth >= 60 && broken ? 'drop' : undefined),
      {
        during: async (release) => {
          await until(async () => release.progress().phase === 'paused', 10_000);
          await sleep(3000);
          paused = release.progress().because ?? '';
          broken = false;
          return release;
        },
      },
    );
    assert.match(paused, /^127\.0\.0\.1:\d+: the far side closed the connection/);
    assertOthersOnce(ends, 0);
    assert.deepEqual(ends.account.states, { accepted: PEOPLE });
    assert.ok(ends.attempts.every(({ attempt }) => attempt === 1));
    assert.equal(ends.attempts.length, PEOPLE);
  });
});
