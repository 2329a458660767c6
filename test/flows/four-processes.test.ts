/**
 * Two relays and two SendGrid endpoints, four `serve` processes on one database: what is counted and what is frozen holds over all
 * of them as over one. What left is read at the far sides.
 */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { GuardHouse, type ServeProcess } from '../support/guard-house.ts';
import { type ScriptedSink, startScriptedSink } from '../support/scripted-sink.ts';
import { SubmissionClient } from '../support/submission-client.ts';
import { type SendgridUpstream, startSendgridUpstream, UPSTREAM_KEY } from './sendgrid-upstream.ts';

const FROM = 'kim@company.example';
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const keyOf = (caller: string): string => `SG.key-of-${caller}`;

/** What a person may show in one message, and so what a campaign may show in all: 10, or two more than one message. */
const CALLERS = [
  { name: 'fifty', policy: 'person', visibleOutsidersMax: 50 },
  ...['five', 'crowd', 'frozen', 'killed', 'steady', 'stuck'].map((name) => ({
    name,
    policy: 'person',
  })),
  { name: 'form', policy: 'transactional' },
].map((caller) => ({ ...caller, keySha256: sha256(keyOf(caller.name)) }));

type Answer = 'left' | 'budget' | 'frozen' | 'held' | string;

interface Door {
  readonly name: string;
  readonly serving: ServeProcess;
  send(caller: string, to: readonly string[], subject: string, text: string): Promise<Answer>;
  close(): void;
}

let house: GuardHouse;
let sink: ScriptedSink;
let upstream: SendgridUpstream;
const doors: Door[] = [];

before(async () => {
  [sink, upstream] = await Promise.all([startScriptedSink({}), startSendgridUpstream()]);
  house = await GuardHouse.make();
  // As a careful administrator may have set it: what is counted under a lock must not be read as it was before the lock.
  await house.db.query(
    `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = %L',
       current_database(), 'repeatable read'); END $$`,
  );
  doors.push(await openRelay('relay-a'), await openRelay('relay-b'));
  doors.push(await openApi('api-a'), await openApi('api-b'));
  await house.enrol(door(0).serving);
});
after(async () => {
  for (const each of doors) each.close();
  await house?.close();
  await upstream?.close();
  await sink?.close();
});

/** Round and round. */
function door(number: number): Door {
  const found = doors[number % doors.length];
  assert.ok(found !== undefined);
  return found;
}

function meaning(said: string): Answer {
  if (/Together with earlier messages/.test(said)) return 'budget';
  if (/frozen after an exposure/.test(said)) return 'frozen';
  if (/Sending is halted/.test(said)) return 'halted';
  return said;
}

async function openRelay(name: string): Promise<Door> {
  const serving = await house.serve(name, {
    gates: {
      smtp: { listen: '127.0.0.1:0', nextHop: `127.0.0.1:${sink.port}`, tls: 'none' },
      callers: CALLERS,
    },
  });
  const idle = new Map<string, SubmissionClient[]>();
  const all: SubmissionClient[] = [];
  return {
    ...{ name, serving },
    async send(caller, to, subject, text) {
      const waiting = idle.get(caller) ?? [];
      idle.set(caller, waiting);
      let client = waiting.pop();
      if (client === undefined) {
        client = new SubmissionClient(serving.port('smtp'), keyOf(caller));
        all.push(client);
      }
      const content = `From: ${FROM}\r\nTo: ${to.join(',\r\n ')}\r\nSubject: ${subject}\r\n\r\n${text}\r\n`;
      const reply = await client.send(FROM, to, content);
      waiting.push(client);
      if (/^250 .*held/.test(reply)) return `held ${/Queued as (k-[a-z0-9]+)/.exec(reply)?.[1]}`;
      if (/^250 .*taken/.test(reply)) return 'left';
      const answer = meaning(reply);
      if (answer === 'budget') assert.match(reply, /^550/);
      if (answer === 'frozen') assert.match(reply, /^451 4\.7\.1/);
      return answer;
    },
    close() {
      for (const client of all) client.close();
    },
  };
}

async function openApi(name: string): Promise<Door> {
  const sendgrid = { listen: '127.0.0.1:0', baseUrl: upstream.baseUrl };
  const gates = { sendgrid, callers: CALLERS };
  const serving = await house.serve(name, { gates }, { SENDGRID_API_KEY: UPSTREAM_KEY });
  const url = `http://127.0.0.1:${serving.port('provider-api:sendgrid')}/v3/mail/send`;
  return {
    ...{ name, serving },
    async send(caller, to, subject, text) {
      const body = {
        personalizations: [{ to: to.map((email) => ({ email })) }],
        ...{ from: { email: FROM }, subject, content: [{ type: 'text/plain', value: text }] },
      };
      const headers = {
        authorization: `Bearer ${keyOf(caller)}`,
        'content-type': 'application/json',
      };
      const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
      const said = `${answer.status} ${await answer.text()}`;
      if (answer.status === 202) {
        const id = answer.headers.get('x-message-id') ?? '';
        return id.startsWith('k-') ? `held ${id}` : 'left';
      }
      const meant = meaning(said);
      if (meant === 'frozen') assert.equal(answer.status, 503);
      return meant;
    },
    close() {},
  };
}

const people = (from: number, count: number, of: string): string[] =>
  Array.from({ length: count }, (_, i) => `${of}${from + i}@mail${(from + i) % 7}.example`);

/** Distinct people who stood beside somebody else in a message that left by any door. */
function exposed(of: string): ReadonlySet<string> {
  const shown = new Set<string>();
  const isOf = new RegExp(`^${of}\\d+@`);
  const take = (addresses: readonly string[]): void => {
    if (addresses.length > 1)
      for (const address of addresses) if (isOf.test(address)) shown.add(address);
  };
  for (const content of sink.contents) {
    const header = /^To: ((?:.*\r\n )*.*)\r\n/m.exec(content)?.[1] ?? '';
    take(header.split(/[,\s]+/).filter((address) => address !== ''));
  }
  for (const { body } of upstream.calls)
    for (const { to } of body.personalizations) take(to.map(({ email }) => email));
  return shown;
}

/** Twenty words and more, so that a text is known again although a word differs. */
const TEXT =
  'We are moving to our new offices at the harbour in spring, and everybody who has bought from us this year is invited to the opening with music, food and a tour of the workshop.';

test('1,000 people in 20 calls of 50, round and round: the second call is the one that goes too far', async () => {
  const answers: Answer[] = [];
  for (let call = 0; call < 20; call++)
    answers.push(
      await door(call).send('fifty', people(call * 50, 50, 'fifty'), 'The harbour', TEXT),
    );
  assert.deepEqual(answers.slice(0, 3), ['left', 'budget', 'frozen']);
  assert.ok(
    answers.slice(2).every((answer) => answer === 'frozen'),
    answers.join(),
  );
  assert.equal(exposed('fifty').size, 50);
});

test('1,000 people in 200 calls of 5, by both kinds of door: the third call is the one that goes too far', async () => {
  const answers: Answer[] = [];
  // By the API first: the two kinds of door count one campaign.
  for (let call = 0; call < 200; call++)
    answers.push(
      await door(call + 2).send('five', people(call * 5, 5, 'five'), 'The harbour', TEXT),
    );
  assert.deepEqual(answers.slice(0, 4), ['left', 'left', 'budget', 'frozen']);
  assert.ok(
    answers.slice(3).every((answer) => answer === 'frozen'),
    answers.join(),
  );
  assert.equal(exposed('five').size, 10);
});

test('all at once, time after time: exactly as many leave as the budget holds, and one call is caught', async () => {
  for (let round = 0; round < 8; round++) {
    const letter = String.fromCharCode(97 + round);
    const of = `crowd${letter}x`;
    // Another campaign in each round: made-up words, letters alone.
    const text = Array.from({ length: 25 }, (_, i) =>
      `${letter}${'aeiou'[i % 5]}${'klmnp'[i % 4]}`.repeat(3),
    ).join(' ');
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, call) =>
        door(call).send('crowd', people(call * 3, 3, of), `Round ${letter.repeat(6)}`, text),
      ),
    );
    const count = (wanted: Answer): number => answers.filter((answer) => answer === wanted).length;
    assert.equal(count('left'), 3, answers.join());
    assert.equal(count('budget'), 1, answers.join());
    assert.equal(count('frozen'), 36, answers.join());
    assert.equal(exposed(of).size, 9);
  }
});

/** From the answer on: when each door first says `wanted` to this campaign, in milliseconds by the monotonic clock. */
async function whenAll(wanted: Answer, caller: string, since: number): Promise<readonly number[]> {
  return Promise.all(
    doors.map(async (each, number) => {
      for (let attempt = 0; ; attempt++) {
        const asked = performance.now();
        const to = people(number * 1000 + attempt, 1, 'alone');
        const answer = await each.send(caller, to, 'The harbour', TEXT);
        if (answer === wanted) return asked - since;
        if (asked - since > 5000) throw new Error(`${each.name} says ${answer} after 5 s`);
        await sleep(5);
      }
    }),
  );
}

test('what one process has confirmed is frozen at all four within a second; a named person lifts it, and all four go on', async () => {
  // Everybody is well, and a single reader's copy of the text is nothing.
  for (const each of doors)
    assert.equal(await each.send('frozen', people(0, 1, 'alone'), 'The harbour', TEXT), 'left');
  for (const [call, each] of [door(0), door(2)].entries())
    assert.equal(
      await each.send('frozen', people(call * 5, 5, 'frozen'), 'The harbour', TEXT),
      'left',
    );
  assert.equal(
    await door(3).send('frozen', people(10, 5, 'frozen'), 'The harbour', TEXT),
    'budget',
  );
  const confirmed = performance.now();
  const frozenAfter = await whenAll('frozen', 'frozen', confirmed);
  console.log(`# frozen at all four after ${Math.max(...frozenAfter).toFixed(0)} ms`);
  assert.ok(Math.max(...frozenAfter) < 1000, frozenAfter.join());
  for (const each of doors) {
    // It stays so, for whoever is written to; another text goes on.
    assert.equal(await each.send('frozen', people(0, 1, 'later'), 'The harbour', TEXT), 'frozen');
    assert.equal(
      await each.send('frozen', people(0, 1, 'later'), 'Roof', 'The roof leaks.'),
      'left',
    );
  }
  assert.equal(exposed('frozen').size, 10);

  const through = door(1).serving.env;
  const listed = JSON.parse(
    await house.must(['guard', 'frozen', '--as', 'bob', '--json'], through),
  ) as readonly { readonly freeze: string; readonly identity: string; readonly by: string }[];
  const standing = listed.filter(({ identity }) => identity === 'frozen');
  assert.equal(standing.length, 1);
  assert.equal(standing[0]?.by, 'system');
  const lift = ['guard', 'lift', standing[0]?.freeze ?? '', '--reason', 'looked at it'];
  assert.equal((await house.cli([...lift, '--as', 'nobody'], through)).status, 2);
  await house.must([...lift, '--as', 'bob'], through);
  const lifted = performance.now();
  const goesOnAfter = await whenAll('left', 'frozen', lifted);
  assert.ok(Math.max(...goesOnAfter) < 1000, goesOnAfter.join());
  // Counted anew.
  assert.equal(await door(2).send('frozen', people(20, 5, 'frozen'), 'The harbour', TEXT), 'left');
  const entries = await house.db.query<{ row: string }>(
    `SELECT to_jsonb(e)::text AS row FROM ledger_entry e WHERE subject = $1`,
    [standing[0]?.freeze],
  );
  assert.equal(entries.length, 2, 'frozen and lifted');
});

test('who stands still in the middle of counting has the others told to try later, and keeps nobody up for long', async () => {
  const stuck = Promise.withResolvers<void>();
  const taken = Promise.withResolvers<void>();
  const holding = house.db.transaction(async (tx) => {
    await tx.query('SELECT pg_advisory_xact_lock(7311003, hashtext($1))', ['stuck']);
    taken.resolve();
    await stuck.promise;
  });
  await taken.promise;
  try {
    const started = performance.now();
    const answers = await Promise.all(
      doors.map((each, n) => each.send('stuck', people(n * 3, 3, 'stuck'), 'The harbour', TEXT)),
    );
    const waitedMs = performance.now() - started;
    assert.ok(waitedMs > 4500 && waitedMs < 9000, `${waitedMs} ms`);
    for (const answer of answers) assert.match(answer, /^(?:451 4\.3\.0|503)/);
    assert.equal(exposed('stuck').size, 0);
    // Whoever is not counted with them goes on.
    assert.equal(await door(1).send('steady', people(0, 3, 'free'), 'The market', TEXT), 'left');
  } finally {
    stuck.resolve();
    await holding;
  }
  assert.equal(await door(2).send('stuck', people(0, 3, 'stuck'), 'The harbour', TEXT), 'left');
});

test('when halt has returned in one process nothing more leaves at any of the four; two people let all four go on', async () => {
  const left = (): number => sink.contents.length + upstream.calls.length;
  let number = 0;
  for (const by of [0, 3]) {
    let going = true;
    const busy = doors.flatMap((each) =>
      [0, 1, 2].map(async () => {
        while (going) {
          const n = ++number;
          const said = await each.send('steady', people(n, 1, 'steady'), `Note ${n}`, `No. ${n}.`);
          assert.ok(said === 'left' || said === 'halted', said);
        }
      }),
    );
    const before = left();
    for (let waited = 0; left() < before + 100; waited += 5) {
      assert.ok(waited < 15_000, 'nothing leaves');
      await sleep(5);
    }
    const through = door(by).serving.env;
    const halt = ['halt', '--scope', 'everything', '--reason', 'stop', '--as', 'alice'];
    await house.must(halt, through);
    const first = await Promise.all(
      doors.map((each) => each.send('steady', people(1, 1, 'steady'), 'After', 'After the halt.')),
    );
    assert.deepEqual(first, ['halted', 'halted', 'halted', 'halted'], 'at the first attempt');
    const stood = left();
    await sleep(500);
    assert.equal(left(), stood, 'nothing of what was under way has left since');
    going = false;
    await Promise.all(busy);
    const [id] = (
      await house.db.query<{ id: string }>('SELECT id FROM halt WHERE lifted_at IS NULL')
    ).map((row) => row.id);
    // Through another process than the one that halted.
    const other = door(by + 2).serving.env;
    for (const name of ['alice', 'bob'])
      await house.must(['resume', id ?? '', '--as', name], other);
    const since = performance.now();
    const goesOnAfter = await whenAll('left', 'steady', since);
    assert.ok(Math.max(...goesOnAfter) < 1000, goesOnAfter.join());
  }
});

test('a process that stands still while the others are halted lets nothing leave when it goes on: halt waits for it', async () => {
  const [stands, through] = [door(1), door(0)];
  const send = (n: number): Promise<Answer> =>
    stands.send('steady', people(n, 1, 'steady'), `Note ${n}`, `Before the halt, ${n}.`);
  assert.equal(await send(1), 'left');
  stands.serving.standStill();
  try {
    const waiting = send(2);
    const stood = sink.contents.length;
    const halted = performance.now();
    await house.must(['halt', '--scope', 'everything', '--as', 'alice'], through.serving.env);
    const waited = performance.now() - halted;
    // Until what it knew is too old to let anything leave by.
    assert.ok(waited > 250 && waited < 1200, `${waited} ms`);
    stands.serving.goOn();
    const answer = await waiting;
    assert.match(answer, /halted|^451 /);
    assert.equal(sink.contents.length, stood);
  } finally {
    stands.serving.goOn();
    const halts = await house.db.query<{ id: string }>(
      'SELECT id FROM halt WHERE lifted_at IS NULL',
    );
    for (const { id } of halts)
      for (const name of ['alice', 'bob'])
        await house.must(['resume', id, '--as', name], through.serving.env);
  }
  await whenAll('left', 'steady', performance.now());
});

test('kill -9 of one process loses neither what was counted, nor what was recorded, nor what was held', async () => {
  const killed = door(0);
  assert.equal(await killed.send('killed', people(0, 5, 'killed'), 'The harbour', TEXT), 'left');
  const placeholder = 'Dear {{first_name}}, your parcel has left.';
  const held = await killed.send('form', people(0, 1, 'form'), 'Parcel', placeholder);
  assert.match(held, /^held k-/);
  const before = await verdicts();
  // Killed with calls under way: each is answered, or its connection ends.
  const underWay = Array.from({ length: 20 }, (_, call) =>
    killed.send(
      'steady',
      people(call, 1, 'steady'),
      `Note ${call}`,
      `The note of the day is ${call}.`,
    ),
  );
  const answered = Promise.allSettled(underWay);
  await sleep(15);
  await killed.serving.kill();
  const left = (await answered).filter(
    (each) => each.status === 'fulfilled' && each.value === 'left',
  ).length;
  assert.ok((await verdicts()) >= before + left, 'every answer has its verdict');

  // The others count on from where it stopped.
  assert.equal(await door(1).send('killed', people(5, 5, 'killed'), 'The harbour', TEXT), 'left');
  assert.equal(
    await door(2).send('killed', people(10, 5, 'killed'), 'The harbour', TEXT),
    'budget',
  );
  assert.equal(exposed('killed').size, 10);

  // What it held is released by two people and brought on by the relay that is left.
  const id = held.slice('held '.length);
  const release = ['hold', 'release', id, '--reason', 'as it is meant'];
  const relay = door(1).serving;
  await house.must([...release, '--as', 'alice'], relay.env);
  await house.must([...release, '--as', 'bob'], relay.env);
  for (
    let waited = 0;
    !sink.contents.some((content) => content.includes('{{first_name}}'));
    waited += 50
  ) {
    assert.ok(waited < 15_000, 'what was held did not come');
    await sleep(50);
  }
  // Started again, it knows what stands.
  doors[0] = await openRelay('relay-a');
  killed.close();
  assert.equal(await door(0).send('killed', people(20, 1, 'alone'), 'The harbour', TEXT), 'frozen');
  assert.equal(sink.contents.filter((content) => content.includes('{{first_name}}')).length, 1);
});

async function verdicts(): Promise<number> {
  const [row] = await house.db.query<{ n: number }>('SELECT count(*)::int AS n FROM verdict');
  return row?.n ?? 0;
}
