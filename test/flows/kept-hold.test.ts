/** What is held waits for people: two release it, one refuses it, looking is written down, and it runs out loudly. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import fastify, { type FastifyInstance } from 'fastify';
import { saveOperatorKey } from '../../src/cli/api-client.ts';
import type { Command, CommandIo } from '../../src/cli/command.ts';
import { readSince, run as runGuard } from '../../src/cli/guard.ts';
import { run as runHold } from '../../src/cli/hold.ts';
import { decodeKept } from '../../src/gates/smtp-carrier.ts';
import type { GuardedCall } from '../../src/guard/check.ts';
import {
  askRelease,
  confirmRelease,
  type HoldDeed,
  listHeld,
  refuse,
  release,
  showHeld,
} from '../../src/guard/hold.ts';
import { identityOf, type Mode } from '../../src/guard/identity.ts';
import type { OutboxOptions } from '../../src/guard/outbox.ts';
import { guardReport } from '../../src/guard/report.ts';
import { type Keyring, keyringOf, newKeyringDocument } from '../../src/keys/keyring.ts';
import { enrol } from '../../src/operators/enrolment.ts';
import { newOperatorKey, operatorKeyOf } from '../../src/operators/operator-key.ts';
import { authenticate } from '../../src/operators/signed-request.ts';
import { type GuardDesk, guardRoutes } from '../../src/web/api/guard.ts';
import { faultBody } from '../../src/web/stream.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import {
  callOf,
  holdCall,
  type KeptRoad,
  openKeptRoad,
  SENDER,
  settingsOf,
  splitCall,
  until,
} from '../support/kept-road.ts';
import { type FakeNextHop, startNextHop } from './smtp-relay-next-hop.ts';

const HOUR_MS = 3_600_000;

describe('held calls', () => {
  let database: TestDatabase;
  let keyring: Keyring;
  let clock = Date.now();
  let next: FakeNextHop;
  let road: KeptRoad;

  before(async () => {
    database = await testDatabase();
    keyring = keyringOf(newKeyringDocument([]));
  });
  after(() => database.drop());
  const reopen = async (options: Partial<OutboxOptions> = {}): Promise<void> => {
    road = await openKeptRoad(database.db, keyring, next.port, { now: () => clock, ...options });
  };
  beforeEach(async () => {
    clock = Date.now();
    next = await startNextHop();
    await reopen();
  });
  afterEach(async () => {
    await road.close();
    await database.db.query('DELETE FROM kept');
  });

  async function hold(call: GuardedCall): Promise<string> {
    const decision = await road.guard.road('smtp').decide(call, SENDER);
    assert.equal(decision.verdict.kind, 'hold');
    return decision.kept ?? '';
  }
  const deed = (operator: string): HoldDeed => ({
    operator,
    reason: 'a template was mended',
    now: new Date(clock),
  });
  const desk = (): GuardDesk => ({
    db: database.db,
    openKept: (id) => road.outbox.openKept(id),
    copiesOf: (gate, kept) => {
      if (gate !== 'smtp') return null;
      const { envelope, content } = decodeKept(kept);
      return [{ envelope, bytes: content }];
    },
    settingsOf: () => settingsOf(SENDER),
    flush: async () => {},
  });
  const stateOf = async (id: string): Promise<string | undefined> => {
    const sql = 'SELECT state FROM kept WHERE id = $1';
    return (await database.db.query<{ state: string }>(sql, [id]))[0]?.state;
  };
  const kindsOf = async (id: string): Promise<string[]> => {
    const sql = 'SELECT kind FROM ledger_entry WHERE subject = $1 ORDER BY id';
    return (await database.db.query<{ kind: string }>(sql, [id])).map(({ kind }) => kind);
  };
  const waitFor = (id: string, state: string): Promise<void> =>
    until(`${id} is ${state}`, async () => (await stateOf(id)) === state);
  const settled = (): Promise<void> =>
    until('the sender was told', async () => {
      const sql = "SELECT 1 FROM kept_delivery WHERE state = 'waiting'";
      return (await database.db.query(sql)).length === 0;
    });

  test('one person asks, another confirms, and only then it leaves', async () => {
    const id = await hold(holdCall('two'));
    await assert.rejects(confirmRelease(database.db, { id }, deed('alice')), {
      code: 'hold.not-asked',
    });
    assert.deepEqual(await askRelease(database.db, { id }, deed('alice')), [id]);
    for (const again of [confirmRelease, release])
      await assert.rejects(again(database.db, { id }, deed('alice')), {
        code: 'hold.same-operator',
      });
    await assert.rejects(askRelease(database.db, { id }, deed('bob')), {
      code: 'hold.asked-already',
    });
    await new Promise((resolve) => setTimeout(resolve, 150));
    assert.equal(next.commands.length, 0);
    assert.equal((await listHeld(database.db))[0]?.askedBy, 'alice');
    assert.deepEqual(await confirmRelease(database.db, { id }, deed('bob')), [id]);
    await waitFor(id, 'done');
    assert.equal(next.contents.length, 1);
    assert.deepEqual(await kindsOf(id), [
      'kept.kept',
      'kept.release-asked',
      'kept.released',
      'kept.delivered',
    ]);
    await assert.rejects(release(database.db, { id }, deed('carol')), { code: 'hold.not-held' });
    await assert.rejects(refuse(database.db, { id: 'k-none' }, deed('carol')), {
      code: 'hold.unknown',
    });
  });

  test('of the same two who ask at once one asks and the other confirms', async () => {
    const id = await hold(holdCall('race'));
    const reports = await Promise.all(
      ['alice', 'bob'].map((name) => release(database.db, { id }, deed(name))),
    );
    assert.deepEqual(reports.map(({ asked, released }) => [asked.length, released.length]).sort(), [
      [0, 1],
      [1, 0],
    ]);
  });

  test('one person refuses: nothing of it leaves, and the sender is told', async () => {
    const id = await hold(holdCall('no'));
    await refuse(database.db, { id }, deed('alice'));
    await settled();
    assert.equal(await stateOf(id), 'refused');
    assert.deepEqual(await kindsOf(id), ['kept.kept', 'kept.refused']);
    assert.equal(next.contents.length, 1);
    assert.match(next.contents[0] ?? '', /multipart\/report/);
    assert.ok(next.commands.includes('RCPT TO:<office@northwind.example>'));
    assert.ok(!next.commands.includes('RCPT TO:<ann.no@home.example>'));
  });

  test('what nobody decides in 72 hours runs out with an alarm and an entry, and the sender is told', async () => {
    const id = await hold(holdCall('late'));
    clock += 71 * HOUR_MS;
    await road.close();
    await reopen();
    await new Promise((resolve) => setTimeout(resolve, 150));
    assert.equal(await stateOf(id), 'held');
    clock += 2 * HOUR_MS;
    await road.close();
    await reopen();
    await settled();
    assert.equal(await stateOf(id), 'expired');
    assert.match(road.log.join('\n'), new RegExp(`^alarm hold\\.expired \\{"kept":"${id}"`, 'm'));
    assert.ok((await kindsOf(id)).includes('kept.expired'));
    assert.match(next.contents[0] ?? '', /Status: 5\.4\.7/);
    assert.doesNotMatch(road.log.join('\n'), /@/);
  });

  test('looking takes a reason, is an entry, marks what was found, and shows nobody’s address', async () => {
    const id = await hold(holdCall('look'));
    await assert.rejects(showHeld(desk(), id, { ...deed('alice'), reason: ' ' }), {
      code: 'hold.no-reason',
    });
    assert.deepEqual(await kindsOf(id), ['kept.kept']);
    const shown = await showHeld(desk(), id, deed('alice'));
    assert.deepEqual(await kindsOf(id), ['kept.kept', 'kept.looked']);
    const pieces = shown.content.copies.flatMap(({ sections }) =>
      sections.flatMap((section) => section.pieces),
    );
    const marked = pieces.filter(({ finding }) => finding !== null);
    assert.deepEqual(marked, [{ text: '{{ first_name }},', finding: 'placeholder' }]);
    assert.match(pieces.map(({ text }) => text).join(''), /To: a…k@h…e\.example\n/);
    assert.doesNotMatch(JSON.stringify(shown), /ann\.look|home\.example|office@/);
    assert.ok((await road.outbox.openKept(id)).includes('ann.look@home.example'), 'it is in it');
  });

  test('recipients shown to each other are marked in the header, masked', async () => {
    const readers = ['anne.look@home.example', 'bert.look@home.example'];
    const text = `From: office@northwind.example\nTo: ${readers.join(', ')}\nSubject: x\n\nDear {{ first_name }},\n`;
    const id = await hold(callOf(text, readers));
    const shown = await showHeld(desk(), id, deed('alice'));
    const marks = shown.content.copies[0]?.sections.flatMap(({ pieces }) =>
      pieces.filter(({ finding }) => finding !== null),
    );
    assert.ok(marks?.some(({ text }) => text === 'To: a…k@h…e.example, b…k@h…e.example'));
    assert.doesNotMatch(JSON.stringify(shown), /anne\.look|bert\.look/);
  });

  test('a campaign is released or refused as one; what came after the asking waits for a second person too', async () => {
    const ids = [await hold(holdCall('c1')), await hold(holdCall('c2'))];
    const campaign = { campaign: 7 };
    assert.deepEqual((await release(database.db, campaign, deed('alice'))).asked, ids.toSorted());
    const late = await hold(holdCall('c3'));
    const report = await release(database.db, campaign, deed('bob'));
    assert.deepEqual(report.released, ids.toSorted());
    assert.deepEqual(report.asked, [late]);
    for (const id of ids) await waitFor(id, 'done');
    assert.equal(await stateOf(late), 'held');
    assert.deepEqual(await refuse(database.db, campaign, deed('alice')), [late]);
    await assert.rejects(refuse(database.db, campaign, deed('alice')), { code: 'hold.unknown' });
  });

  test('the report counts near misses, refusals and holds, and in shadow what has leaked to how many', async () => {
    const since = new Date();
    const smtp = road.guard.road('smtp');
    const as = (name: string, mode: Mode, split: boolean): Promise<unknown> =>
      smtp.decide(splitCall(`${name}${mode}`), identityOf(name, 'bulk', { mode, split }));
    await as('crm', 'enforce', true);
    await as('crm', 'enforce', false);
    await as('shop', 'shadow', false);
    await hold(holdCall('report'));
    const plain = callOf('From: office@northwind.example\nSubject: x\n\nhello\n', ['a@b.example']);
    await smtp.decide(plain, SENDER);
    const report = await guardReport(database.db, since);
    assert.deepEqual([report.calls, report.passed], [5, 1]);
    assert.deepEqual(report.nearMisses, { calls: 2, readers: 6, disclosures: 12 });
    assert.deepEqual(report.refused, { calls: 1, readers: 3, disclosures: 6 });
    assert.deepEqual(report.held, { calls: 1, readers: 1, disclosures: 0 });
    assert.deepEqual(report.leaked, { calls: 1, readers: 3, disclosures: 6 });
    const shadow = report.rows.find(({ identity }) => identity === 'shop');
    assert.deepEqual(
      [shadow?.gate, shadow?.mode, shadow?.reason, shadow?.action],
      ['smtp', 'shadow', 'visible-recipients', 'forward'],
    );
  });

  describe('by the command line', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'undisclosed-hold-'));
    const socket = path.join(folder, 'api.sock');
    let server: FastifyInstance;
    let io: CommandIo;
    let out = '';

    before(async () => {
      const env = { UNDISCLOSED_OPERATORS: folder, UNDISCLOSED_SOCKET: socket };
      io = {
        ...{ env, isTerminal: false, errorIsTerminal: false, columns: 80, stderr: () => {} },
        stdout: (text) => {
          out += text;
        },
      };
      for (const name of ['alice', 'bob']) {
        const file = newOperatorKey(name);
        await saveOperatorKey(io, file);
        const { publicKey } = operatorKeyOf(file);
        const request = { deed: 'add', operator: name, publicKey, now: new Date() } as const;
        await enrol(database.db, { ...request, by: null });
      }
      server = fastify();
      server.decorateRequest('operator', '');
      server.addHook('onRequest', async (request) => {
        const { authorization } = request.headers;
        const { method, url } = request;
        const who = await authenticate(database.db, authorization, method, url, Date.now());
        request.operator = who.operator;
      });
      server.setErrorHandler((error, _request, reply) => reply.status(422).send(faultBody(error)));
      guardRoutes(server, {
        ...desk(),
        openKept: (id) => road.outbox.openKept(id),
      });
      await server.listen({ path: socket });
    });
    after(async () => {
      await server.close();
      rmSync(folder, { recursive: true });
    });

    async function say(command: Command, ...args: string[]): Promise<string> {
      out = '';
      assert.equal(await command(args, io), 0);
      return out;
    }

    test('list, show, release by two, and the report', async () => {
      assert.equal(await say(runHold, 'list', '--as', 'alice'), 'Nothing is held.\n');
      const id = await hold(holdCall('cli'));
      assert.match(
        await say(runHold, 'list', '--as', 'alice'),
        new RegExp(`^${id} {2}smtp news: placeholder; 1 reader, campaign 7, until \\S+\n$`),
      );
      // The API takes the time itself, later than the test's own.
      clock = Date.now() + HOUR_MS;
      const why = ['--reason', 'I have read it', '--as'];
      const shown = await say(runHold, 'show', id, ...why, 'alice');
      assert.match(shown, />>>\{\{ first_name \}\},<<<\[placeholder\]/);
      assert.doesNotMatch(shown, /ann\.cli|home\.example/);
      await assert.rejects(runHold(['release', id, '--as', 'alice'], io), { code: 'cli.usage' });
      assert.match(await say(runHold, 'release', id, ...why, 'alice'), /^1 asked for\./);
      await assert.rejects(runHold(['release', id, ...why, 'alice'], io), {
        code: 'hold.same-operator',
      });
      assert.equal(await say(runHold, 'release', id, ...why, 'bob'), '1 released.\n');
      await waitFor(id, 'done');
      const json = await say(runGuard, 'report', '--since', '1h', '--as', 'alice', '--json');
      assert.ok(JSON.parse(json).held.calls >= 1);
      assert.match(await say(runGuard, 'report', '--as', 'alice'), /^Since .*\nnear misses/);
    });

    test('since when: a length of time or a moment, and nothing else', () => {
      const now = Date.parse('2026-05-02T12:00:00Z');
      const read = (text: string): string => readSince(text, now).toISOString();
      assert.equal(read('24h'), '2026-05-01T12:00:00.000Z');
      assert.equal(read('30m'), '2026-05-02T11:30:00.000Z');
      assert.equal(read('2d'), '2026-04-30T12:00:00.000Z');
      assert.equal(read('2026-05-01T00:00:00Z'), '2026-05-01T00:00:00.000Z');
      for (const text of ['', '24', 'h', 'yesterday', '-1h', '2026-99-01'])
        assert.throws(() => read(text), { code: 'cli.usage' }, text);
    });

    test('refuse a campaign; one call or one campaign, not both', async () => {
      const id = await hold(holdCall('cli2'));
      clock = Date.now() + HOUR_MS;
      const why = ['--reason', 'wrong list', '--as', 'alice'];
      await assert.rejects(runHold(['refuse', id, '--campaign', '7', ...why], io), {
        code: 'cli.usage',
      });
      const said = await say(runHold, 'refuse', '--campaign', '7', ...why, '--json');
      assert.deepEqual(JSON.parse(said), { refused: [id] });
      await settled();
    });
  });
});
