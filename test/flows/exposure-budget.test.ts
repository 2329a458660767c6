/** Calls that are harmless one by one are caught together, over any number of processes; what is frozen stands everywhere. */

import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createCircumstances, type LiveCircumstances } from '../../src/guard/circumstances.ts';
import { freeze, liftFreeze, listFrozen } from '../../src/guard/freeze.ts';
import { type Identity, identityOf, policyOf } from '../../src/guard/identity.ts';
import { judgeCopies, type Submission } from '../../src/guard/judge.ts';
import { blindIndex } from '../../src/keys/blind-index.ts';
import { keyringOf, newKeyringDocument } from '../../src/keys/keyring.ts';
import type { Database } from '../../src/store/database.ts';
import { lockIdentity } from '../../src/store/exposure.ts';
import { insertSuppressions } from '../../src/store/suppressions.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import type { Answer, Ask } from './exposure-process.ts';

const PROCESS = fileURLToPath(new URL('./exposure-process.ts', import.meta.url));
const document = newKeyringDocument([]);
const keyring = keyringOf(document);
const COMPANY = { companyDomains: ['company.example'], roleAddresses: [] };
const NEWS =
  'We are moving to our new offices at the harbour in spring, and everybody who has bought from us this year is invited to the opening with music, food and a tour of the workshop.';

const people = (from: number, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `person${from + i}@mail${(from + i) % 7}.example`);

function copyTo(recipients: readonly string[], text: string = NEWS): Submission {
  const head = `From: kim@company.example\r\nTo: ${recipients.join(', ')}\r\nSubject: News\r\n\r\n`;
  return {
    envelope: { from: 'kim@company.example', recipients, smtpUtf8: false },
    bytes: Buffer.from(`${head}${text}\r\n`),
  };
}

describe('over many calls', () => {
  let database: TestDatabase;
  let db: Database;
  const open: LiveCircumstances[] = [];
  const children: ChildProcess[] = [];
  let made = 0;

  before(async () => {
    database = await testDatabase();
    db = database.db;
  });
  afterEach(async () => {
    for (const around of open.splice(0)) await around.close();
    for (const child of children.splice(0)) {
      const gone = once(child, 'exit');
      child.send({ kind: 'stop' });
      await gone;
    }
  });
  after(() => database.drop());

  const newName = (): string => `caller-${++made}`;

  async function around(): Promise<LiveCircumstances> {
    const circumstances = await createCircumstances({ db, keyring });
    open.push(circumstances);
    return circumstances;
  }

  function assess(on: LiveCircumstances, identity: Identity, copies: readonly Submission[]) {
    const judgement = judgeCopies(copies, { policy: policyOf(identity, COMPANY) });
    return on.assess({ copies, keep: () => Buffer.alloc(0) }, identity, judgement);
  }

  async function child(): Promise<(ask: Omit<Ask, 'id'>) => Promise<Answer>> {
    const process = fork(PROCESS, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    children.push(process);
    const ready = once(process, 'message');
    process.send({ kind: 'start', url: database.url, keyring: document });
    await ready;
    let id = 0;
    const waiting = new Map<number, (answer: Answer) => void>();
    process.on('message', (message: Answer) => waiting.get(message.id)?.(message));
    return (ask) =>
      new Promise((resolve) => {
        waiting.set(++id, resolve);
        process.send({ kind: 'ask', ask: { id, ...ask } });
      });
  }

  test('200 calls of 5 people are caught at the third, and the campaign stands still', async () => {
    const on = await around();
    const identity = identityOf(newName(), 'person');
    const reasons: string[] = [];
    for (let call = 0; call < 200; call++)
      reasons.push((await assess(on, identity, [copyTo(people(call * 5, 5))])).reasons.join());
    assert.deepEqual(reasons.slice(0, 4), ['', '', 'exposure-budget', 'frozen']);
    assert.equal(reasons.filter((reason) => reason === 'frozen').length, 197);
    const [standing] = (await listFrozen(db)).filter((row) => row.identity === identity.name);
    assert.equal(standing?.reason, 'exposure-budget');
    assert.equal(on.frozen(identity.name, standing?.campaign ?? 0), true);
    assert.equal(on.frozen(identity.name, (standing?.campaign ?? 0) + 1), false);
    const entries = await db.query('SELECT 1 FROM ledger_entry WHERE subject = $1', [
      standing?.freeze,
    ]);
    assert.equal(entries.length, 1);
    // A single reader's copy of the same text waits too; another text goes on.
    assert.deepEqual((await assess(on, identity, [copyTo(people(0, 1))])).reasons, ['frozen']);
    assert.deepEqual(
      (await assess(on, identity, [copyTo(people(0, 1), 'The roof leaks.')])).reasons,
      [],
    );
  });

  test('20 calls of 50 people are caught at the second where one call may show 50', async () => {
    const on = await around();
    const identity = identityOf(newName(), 'person', { visibleOutsidersMax: 50 });
    const reasons: string[] = [];
    for (let call = 0; call < 20; call++)
      reasons.push((await assess(on, identity, [copyTo(people(call * 50, 50))])).reasons.join());
    assert.deepEqual(reasons.slice(0, 3), ['', 'exposure-budget', 'frozen']);
  });

  test('one API call with many copies is counted as the many calls it is', async () => {
    const on = await around();
    const identity = identityOf(newName(), 'person');
    const copies = Array.from({ length: 4 }, (_, i) => copyTo(people(i * 5, 5)));
    assert.deepEqual((await assess(on, identity, copies)).reasons, ['exposure-budget']);
    const others = Array.from({ length: 4 }, (_, i) =>
      copyTo(people(i * 5, 5), `Letter ${'abcd'[i]}`),
    );
    assert.deepEqual((await assess(on, identity, others)).reasons, []);
  });

  test('people who write to the same few all day, and to many one by one, are not caught', async () => {
    const on = await around();
    const identity = identityOf(newName(), 'person');
    let thread = NEWS;
    for (let call = 0; call < 60; call++) {
      thread = `I agree with point ${call}.\r\n> ${thread.replaceAll('\r\n', '\r\n> ').slice(0, 900)}`;
      assert.deepEqual((await assess(on, identity, [copyTo(people(0, 6), thread)])).reasons, []);
    }
    for (let call = 0; call < 60; call++)
      assert.deepEqual((await assess(on, identity, [copyTo(people(call, 1))])).reasons, []);
    for (let call = 0; call < 20; call++) {
      const text = `Thanks for the ${'abcdefghijklmnopqrst'[call]} list!`;
      assert.deepEqual(
        (await assess(on, identity, [copyTo(people(call * 3, 3), text)])).reasons,
        [],
      );
    }
  });

  test('shadow and warn count and report, and freeze nothing', async () => {
    const on = await around();
    for (const mode of ['shadow', 'warn'] as const) {
      const identity = identityOf(newName(), 'person', { mode });
      const reasons: string[] = [];
      for (let call = 0; call < 4; call++)
        reasons.push((await assess(on, identity, [copyTo(people(call * 20, 20))])).reasons.join());
      assert.deepEqual(reasons, Array(4).fill('exposure-budget'));
      assert.equal(
        (await listFrozen(db)).filter((row) => row.identity === identity.name).length,
        0,
      );
    }
  });

  test('two processes hold one budget and one freeze', async () => {
    const [one, two] = await Promise.all([child(), child()]);
    const identity = newName();
    // Both at once, so that only the lock stands between them.
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, call) =>
        (call % 2 === 0 ? one : two)({ identity, recipients: people(call * 5, 5), text: NEWS }),
      ),
    );
    const count = (reason: string): number =>
      answers.filter(({ reasons }) => reasons.join() === reason).length;
    assert.deepEqual([count(''), count('exposure-budget'), count('frozen')], [2, 1, 37]);
    const standing = (await listFrozen(db)).filter((row) => row.identity === identity);
    assert.equal(standing.length, 1);
    const single = { identity, recipients: people(0, 1), text: NEWS };
    for (const ask of [one, two]) assert.deepEqual((await ask(single)).reasons, ['frozen']);
  });

  test('an operator’s freeze is in force in every process within a second, and so is its end', async () => {
    const [one, two] = await Promise.all([child(), child()]);
    const identity = newName();
    const ask = { identity, recipients: people(0, 1), text: 'The roof leaks.' };
    for (const process of [one, two]) assert.deepEqual((await process(ask)).reasons, []);
    const within = async (expected: string): Promise<number> => {
      const started = performance.now();
      for (const process of [one, two])
        while ((await process(ask)).reasons.join() !== expected) {
          assert.ok(performance.now() - started < 1000);
          await sleep(5);
        }
      return performance.now() - started;
    };
    const request = { identity, campaign: null, reason: 'a leak was reported', by: 'ann' };
    await assert.rejects(freeze(db, { ...request, reason: ' ' }), { code: 'freeze.no-reason' });
    const { freeze: id } = await freeze(db, request);
    const frozenMs = await within('frozen');
    assert.equal((await freeze(db, request)).isNew, false);
    await liftFreeze(db, { freeze: id, reason: 'looked at', by: 'bob' });
    const liftedMs = await within('');
    console.log(
      `# in force after ${frozenMs.toFixed(1)} ms, lifted after ${liftedMs.toFixed(1)} ms`,
    );
    await assert.rejects(liftFreeze(db, { freeze: id, reason: 'again', by: 'bob' }), {
      code: 'freeze.unknown',
    });
    const rows = await db.query<{ kind: string }>(
      'SELECT kind FROM ledger_entry WHERE subject = $1 ORDER BY kind',
      [id],
    );
    assert.deepEqual(
      rows.map((row) => row.kind),
      ['guard.frozen', 'guard.lifted'],
    );
  });

  test('a lifted campaign is counted anew', async () => {
    const on = await around();
    const identity = identityOf(newName(), 'person');
    const call = (from: number) => assess(on, identity, [copyTo(people(from, 8))]);
    assert.deepEqual((await call(0)).reasons, []);
    assert.deepEqual((await call(8)).reasons, ['exposure-budget']);
    const [standing] = (await listFrozen(db)).filter((row) => row.identity === identity.name);
    await liftFreeze(db, { freeze: standing?.freeze ?? '', reason: 'invited', by: 'bob' });
    await sleep(200);
    assert.deepEqual((await call(16)).reasons, []);
    assert.deepEqual((await call(24)).reasons, ['exposure-budget']);
  });

  test('a sender locked to domains writes nowhere else', async () => {
    const on = await around();
    const identity = identityOf(newName(), 'transactional', { recipientDomains: ['test.example'] });
    assert.deepEqual((await assess(on, identity, [copyTo(['a@TEST.example'])])).reasons, []);
    const away = await assess(on, identity, [copyTo(['a@test.example', 'b@real.example'])]);
    assert.ok(away.reasons.includes('wrong-environment'));
    const not = await assess(on, identity, [copyTo(['a@sub.test.example'])]);
    assert.deepEqual(not.reasons, ['wrong-environment']);
    assert.equal(typeof not.campaign, 'number');
  });

  test('a call much larger than was usual, or than its setting allows, is held', async () => {
    const identity = identityOf(newName(), 'transactional');
    const blind = (count: number): Submission => ({
      envelope: { from: 'kim@company.example', recipients: people(0, count), smtpUtf8: false },
      bytes: Buffer.from(
        `From: kim@company.example\r\nTo: undisclosed-recipients:;\r\nSubject: S\r\n\r\n${NEWS}\r\n`,
      ),
    });
    const first = await around();
    assert.deepEqual((await assess(first, identity, [blind(500)])).reasons, []);
    const other = identityOf(newName(), 'transactional');
    for (let call = 0; call < 20; call++) await assess(first, other, [blind(12)]);
    assert.deepEqual((await assess(first, other, [blind(99)])).reasons, []);
    assert.deepEqual((await assess(first, other, [blind(991)])).reasons, ['unusual-size']);
    await first.close();
    // Learnt by one process, known to the next.
    const second = await around();
    assert.deepEqual((await assess(second, other, [blind(991)])).reasons, ['unusual-size']);
    assert.deepEqual((await assess(second, other, [blind(990)])).reasons, []);
    const limited = identityOf(newName(), 'transactional', { readersMax: 3 });
    assert.deepEqual((await assess(second, limited, [blind(3)])).reasons, []);
    assert.deepEqual((await assess(second, limited, [blind(4)])).reasons, ['unusual-size']);
  });

  test('bulk mail to a suppressed reader is held, other mail is not', async () => {
    const on = await around();
    const index = blindIndex(keyring.blindIndex.key, 'address', 'person3@mail3.example');
    await insertSuppressions(db, [index], 'asked', 'bob');
    const bulk = identityOf(newName(), 'bulk');
    const answers = await Promise.all(
      people(0, 6).map((reader) => assess(on, bulk, [copyTo([reader])])),
    );
    assert.deepEqual(
      answers.map(({ reasons }) => reasons.join()),
      ['', '', '', 'suppressed-reader', '', ''],
    );
    const receipts = identityOf(newName(), 'transactional');
    assert.deepEqual((await assess(on, receipts, [copyTo(people(3, 1))])).reasons, []);
  });

  test('an ordinary message costs less than 10 us and no round trip', async () => {
    let queries = 0;
    const counted: Database = {
      ...bound(db),
      query: (sql, params) => {
        if (!sql.includes('FROM mail_freeze')) queries++;
        return db.query(sql, params);
      },
    };
    const on = await createCircumstances({ db: counted, keyring });
    open.push(on);
    queries = 0;
    const identity = identityOf(newName(), 'transactional');
    const copies = [copyTo(people(0, 1))];
    const judgement = judgeCopies(copies, { policy: policyOf(identity, COMPANY) });
    const call = { copies, keep: () => Buffer.alloc(0) };
    let best = Number.POSITIVE_INFINITY;
    for (let round = 0; round < 5; round++) {
      const started = performance.now();
      for (let i = 0; i < 5000; i++) await on.assess(call, identity, judgement);
      best = Math.min(best, ((performance.now() - started) * 1000) / 5000);
    }
    console.log(`# ordinary message: ${best.toFixed(2)} us`);
    assert.equal(queries, 0);
    assert.ok(best < 10);
  });

  test('a process that stands still while it counts is put out by the server after ten seconds, and only then', async () => {
    const shown = 'SHOW idle_in_transaction_session_timeout';
    type Row = { readonly idle_in_transaction_session_timeout: string };
    const [inside] = await db.transaction(async (tx) => {
      await lockIdentity(tx, newName());
      return tx.query<Row>(shown);
    });
    assert.equal(inside?.idle_in_transaction_session_timeout, '10s');
    const [outside] = await db.query<Row>(shown);
    assert.equal(outside?.idle_in_transaction_session_timeout, '0');
  });

  test('what is frozen is unknown when the database is gone: nothing is assessed, everything waits', async () => {
    let gone = false;
    const failing: Database = {
      ...bound(db),
      query: (sql, params) => (gone ? Promise.reject(new Error('gone')) : db.query(sql, params)),
    };
    const on = await createCircumstances({ db: failing, keyring });
    open.push(on);
    const identity = identityOf(newName(), 'transactional');
    assert.deepEqual((await assess(on, identity, [copyTo(people(0, 1))])).reasons, []);
    assert.equal(on.frozen(identity.name, 1), false);
    gone = true;
    await sleep(3200);
    await assert.rejects(assess(on, identity, [copyTo(people(0, 1))]), {
      code: 'freeze.not-known',
    });
    assert.equal(on.frozen(identity.name, 1), true);
    gone = false;
    await sleep(700);
    assert.deepEqual((await assess(on, identity, [copyTo(people(0, 1))])).reasons, []);
  });
});

function bound(db: Database): Database {
  return {
    query: (sql, params) => db.query(sql, params),
    copyIn: (sql, chunks) => db.copyIn(sql, chunks),
    copyOut: (sql, params) => db.copyOut(sql, params),
    transaction: (work) => db.transaction(work),
    listen: (channel, onMessage) => db.listen(channel, onMessage),
    close: () => db.close(),
  };
}
