/** Far sides that refuse, defer, stall or hang up: everybody ends in one state, and what cannot be known is named. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Installation, type OutcomeOf } from '../support/serve-process.ts';
import {
  keptCounts,
  type SinkEvent,
  type SinkSettings,
  startSink,
} from '../support/sink-process.ts';

const PEOPLE = 250;
/** One ring, so that a threshold between rings is not what is tested. */
const ONE_RING = ['--rings', '1000', '--retry-seconds', '1'];

describe('far sides that do not answer as one would wish', () => {
  let at: Installation;
  let number = 0;

  before(async () => {
    at = await Installation.make({ people: PEOPLE, seed: 5 });
  });
  after(() => at?.close());

  interface Run {
    readonly id: string;
    readonly events: SinkEvent[];
    readonly outcomes: OutcomeOf[];
    readonly positions: Map<string, number>;
  }

  /** A release into a sink of its own; `work` begins with it running. */
  async function into(
    settings: SinkSettings,
    options: readonly string[],
    query: string,
    work: (id: string, sink: Awaited<ReturnType<typeof startSink>>) => Promise<void>,
  ): Promise<Run> {
    const sink = await startSink(join(at.folder, `sink-${++number}.tsv`), settings);
    try {
      const route = `smtp://127.0.0.1:${sink.port}?tls=none&connections=5${query}`;
      const id = await at.approved(route, options);
      const positions = await at.positions(id);
      const released = at.release(id);
      await work(id, sink);
      await released;
      return { id, events: await sink.events(), outcomes: await at.outcomes(id), positions };
    } finally {
      await sink.stop();
    }
  }

  const ends =
    (state: string, ms = 40_000) =>
    (id: string) =>
      at.until(id, state, (status) => status.state === state && status.release === null, ms);

  const rowsIn = (run: Run, event: string): number[] =>
    run.events
      .filter((each) => each.event === event)
      .map(({ rcpt }) => run.positions.get(rcpt) ?? -1)
      .sort((a, b) => a - b);

  const last = (outcomes: readonly OutcomeOf[]): Map<number, OutcomeOf> =>
    new Map(outcomes.map((outcome) => [outcome.position, outcome]));

  test('hung up on after the final dot, policy hold: named by row, held, let on by another person with a reason', async () => {
    const run = await into(
      { dropPercent: 6 },
      [...ONE_RING, '--uncertain', 'hold'],
      '',
      async (id) => {
        await ends('held')(id);
      },
    );
    const dropped = rowsIn(run, 'kept-drop');
    assert.ok(dropped.length > 3, 'the far side hung up on some');
    const status = await at.status(run.id);
    assert.deepEqual(status.account.uncertain, dropped, 'exactly those are uncertain');
    assert.equal(status.account.addsUp, false);
    for (const row of dropped.slice(0, 5))
      assert.match(status.standsBecause ?? '', new RegExp(`\\b${row}\\b`));
    assert.equal(keptCounts(run.events).size, PEOPLE, 'nobody else was held up');

    const own = await at.release(run.id, ['--resend-uncertain', '--reason', 'asked']);
    assert.match(own.stderr, /own-work/, 'the author may not');
    const silent = await at.release(run.id, ['--as', 'bob', '--resend-uncertain']);
    assert.match(silent.stderr, /no-reason/, 'not without a reason');
    assert.equal((await at.status(run.id)).state, 'held');

    await at.release(run.id, ['--as', 'bob', '--reason', 'they may stay uncertain']);
    await ends('complete')(run.id);
    const after = await at.status(run.id);
    assert.deepEqual(after.account.uncertain, dropped, 'complete, and still named');
    assert.equal(after.account.addsUp, false, 'what is not known is not counted as settled');
  });

  test('let on with resend: exactly the uncertain ones get one more copy, in whichever ring they were', async () => {
    const run = await into(
      { dropPercent: 6 },
      ['--rings', '500', '--retry-seconds', '1', '--uncertain', 'hold'],
      '',
      async (id) => {
        await ends('held')(id);
        const { plan, account } = await at.status(id);
        const rings = account.uncertain.map((row) => ringOf(plan.rings, row));
        assert.ok(new Set(rings).size > 1, `uncertain in several rings: ${rings.join()}`);
        await at.release(id, [
          '--as',
          'bob',
          '--resend-uncertain',
          '--reason',
          'they may have two',
        ]);
        const { account: end } = await ends('complete')(id);
        assert.equal(end.addsUp, true);
      },
    );
    const dropped = rowsIn(run, 'kept-drop');
    const twice = [...keptCounts(run.events)].filter(([, count]) => count > 1);
    assert.deepEqual(
      twice.map(([rcpt]) => run.positions.get(rcpt) ?? -1).sort((a, b) => a - b),
      dropped,
    );
    assert.ok(twice.every(([, count]) => count === 2));
    const { status, output } = await at.verify(run.id);
    assert.equal(status, 0, output);
  });

  function ringOf(rings: readonly { ring: number; first: number; count: number }[], row: number) {
    return rings.find(({ first, count }) => row >= first && row < first + count)?.ring;
  }

  test('policy resend: a second attempt by itself, and both are counted', async () => {
    const run = await into(
      { dropPercent: 6 },
      [...ONE_RING, '--uncertain', 'resend'],
      '',
      async (id) => {
        const { account } = await ends('complete')(id);
        assert.deepEqual(account.states, { accepted: PEOPLE });
      },
    );
    const dropped = rowsIn(run, 'kept-drop');
    assert.ok(dropped.length > 3);
    for (const row of dropped) {
      const tries = run.outcomes.filter(({ position }) => position === row);
      assert.deepEqual(
        tries.map(({ attempt, state }) => `${attempt} ${state}`),
        ['1 uncertain', '2 accepted'],
      );
    }
    assert.equal(run.outcomes.length, PEOPLE + dropped.length);
  });

  test('stalled after the final dot: uncertain when the time is up', async () => {
    const run = await into(
      { stallPercent: 3 },
      [...ONE_RING, '--uncertain', 'hold'],
      '&dotTimeout=0.5',
      async (id) => {
        await ends('held')(id);
      },
    );
    const stalled = rowsIn(run, 'kept-stall');
    assert.ok(stalled.length > 1);
    assert.deepEqual((await at.status(run.id)).account.uncertain, stalled);
    assert.equal(keptCounts(run.events).size, PEOPLE);
  });

  test('refused for good: recorded once, with the far side’s words but nobody’s address', async () => {
    const run = await into({ refusePercent: 10 }, ONE_RING, '', async (id) => {
      const { state } = await at.until(
        id,
        'complete or held',
        (status) => ['complete', 'held'].includes(status.state) && status.release === null,
        40_000,
      );
      // Three of the twelve first ones may be among them: who they are is drawn anew each time.
      if (state === 'held') await at.release(id, ['--as', 'bob', '--reason', 'as expected']);
      await ends('complete')(id);
    });
    const refused = rowsIn(run, '550');
    assert.ok(refused.length > 5);
    const ended = last(run.outcomes);
    assert.deepEqual(
      [...ended.values()]
        .filter(({ state }) => state === 'refused')
        .map(({ position }) => position),
      refused,
    );
    for (const [address, row] of run.positions) {
      const { reply = '' } = ended.get(row) ?? {};
      const local = address.slice(0, address.lastIndexOf('@')).toLowerCase();
      assert.ok(!reply.toLowerCase().includes(local), `row ${row}: ${reply}`);
      assert.ok(!reply.includes(Buffer.from(address).toString('base64')));
    }
    assert.ok(
      run.outcomes.some(({ reply }) => /unknown/.test(reply)),
      'plain words are kept',
    );
  });

  test('put off the first time: tried again, and accepted', async () => {
    const run = await into({ deferFirst: true }, ONE_RING, '', async (id) => {
      const { account } = await ends('complete')(id);
      assert.deepEqual(account.states, { accepted: PEOPLE });
    });
    assert.equal(run.events.filter(({ event }) => event === '451').length, PEOPLE);
    assert.equal(keptCounts(run.events).size, PEOPLE);
    assert.ok([...keptCounts(run.events).values()].every((count) => count === 1));
  });

  test('put off until the deadline: expired', async () => {
    const deadline = ['--deadline-hours', String(2 / 3600)];
    const run = await into({ deferAlways: true }, [...ONE_RING, ...deadline], '', async (id) => {
      const { account } = await ends('complete')(id);
      assert.deepEqual(account.states, { expired: PEOPLE });
      assert.equal(account.addsUp, true);
    });
    assert.equal(keptCounts(run.events).size, 0);
  });

  test('too many refusals in a ring: held before the next ring, by the bound and not by the share', async () => {
    const rings = ['--rings', '500', '--retry-seconds', '1'];
    const run = await into({ refusePercent: 30 }, rings, '', async (id) => {
      await ends('held')(id);
    });
    const { plan, standsBecause, account } = await at.status(run.id);
    assert.match(standsBecause ?? '', /^ring \d: \d+ of \d+ refused, at least \d/);
    assert.ok((account.states.waiting ?? 0) > 0, 'the next ring has not begun');
    assert.ok(plan.rings.length > 1);
    // So few that three of them are hardly ever among the twelve first ones.
    const bySome = await into({ refusePercent: 2 }, rings, '', async (id) => {
      await ends('complete')(id);
    });
    assert.ok(rowsIn(bySome, '550').length > 0, 'a few refusals hold nothing');
  });

  test('connections refused: paused with its reason, and goes on by itself when the far side is back', async () => {
    const log = join(at.folder, 'sink-back.tsv');
    const first = await startSink(log, { delayMs: 20 });
    const { port } = first;
    const id = await at.approved(`smtp://127.0.0.1:${port}?tls=none&connections=5`, ONE_RING);
    void at.release(id);
    assert.ok(await first.reaches(60, 20_000));
    const kept = keptCounts(await first.events());
    await first.stop();
    const paused = await at.until(id, 'paused', ({ release }) => release?.phase === 'paused', 5000);
    assert.match(paused.release?.because ?? '', new RegExp(`127\\.0\\.0\\.1:${port}`));
    await sleep(2000);
    const again = await startSink(`${log}.2`, { port });
    const since = performance.now();
    const { account } = await at.until(id, 'complete', ({ state }) => state === 'complete', 20_000);
    assert.ok(performance.now() - since < 15_000);
    assert.equal(account.addsUp, true);
    for (const rcpt of keptCounts(await again.events()).keys()) kept.set(rcpt, 1);
    assert.ok(
      kept.size >= PEOPLE - 5,
      'what the first one had kept after our last look is at most five',
    );
    assert.equal(
      (await at.outcomes(id)).filter(({ state }) => state === 'accepted').length,
      PEOPLE,
    );
    await again.stop();
  });
});
