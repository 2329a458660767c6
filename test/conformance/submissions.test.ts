/**
 * Ten thousand generated submissions through every gate of a running system: no copy that left shows a recipient or a customer
 * to somebody else, as three other parsers read it; and without each detector some would. `npm run conformance` sends 100,000.
 */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { DETECTORS } from '../../src/detect/all.ts';
import { TRAPS } from './generator.ts';
import { DOORS } from './generator-plan.ts';
import { canonical, knownIn, openReaders, READERS } from './readers.ts';
import { describeViolations, openRig, type Rig, type Tally } from './submissions-run.ts';

const COUNT = 10_000;
/** The same in every run; `npm run conformance` takes another each time, and finds what nobody thought of. */
const SEED = Number(process.env.UNDISCLOSED_SEED ?? 1_123_058_449);
const CLEAN_PASSED_MIN = 0.95;

/** Its findings are notes, whatever the policy: nothing is stopped for them. */
const NOTES_ONLY = ['reader-not-shown'];
/** What is no file of `src/detect/` with a line in the list, and can be switched off all the same. */
const BESIDE = ['copies-compared'];

const AIMED = 30;

const skip =
  spawnSync('python3', ['-c', 'import email']).status === 0 ? false : 'not installed: python3';

let rig: Rig;
before(async () => {
  if (skip === false) rig = await openRig();
});
after(async () => {
  if (skip === false) await rig.close();
});

const held = (tally: Tally): number => tally.outcomes.get('held') ?? 0;

describe('the readers', { skip }, () => {
  it('each see a planted address wherever it can be seen, in every coding', async (t) => {
    const readers = openReaders();
    t.after(() => readers.close());
    const address = 'ann.7@home.test';
    const base64 = Buffer.from(`ask ${address}`).toString('base64');
    const headers = ['To: other@home.test', 'MIME-Version: 1.0'];
    const bodies = [
      ['Content-Type: text/plain', '', `ask ${address}`],
      ['Content-Type: text/plain', 'Content-Transfer-Encoding: base64', '', base64],
      [
        'Content-Type: text/plain',
        'Content-Transfer-Encoding: quoted-printable',
        '',
        'ann.7=40home.test',
      ],
      ['Content-Type: text/html', '', '<p>ann.7<b>&#64;</b>home.test</p>'],
      ['Content-Type: text/html', '', '<a href="https://x.test/?e=ann.7%40home.test">x</a>'],
      [`X-Note: =?utf-8?Q?for_ann.7=40home.test?=`, '', 'hello'],
      [`Cc: "Ann" <Ann.7@HOME.test>`, '', 'hello'],
      ['Content-Type: message/rfc822', '', `To: ${address}`, '', 'inside'],
      [
        'Content-Type: text/csv',
        'Content-Disposition: attachment; filename=a.csv',
        '',
        `Ann;${address}`,
      ],
    ];
    const known = new Map([[address, 1]]);
    for (const body of bodies) {
      const bytes = Buffer.from([...headers, ...body, ''].join('\r\n'));
      const readings = await readers.read(bytes);
      for (const name of READERS) {
        // mailparser decodes words in the fields it knows only.
        if (name === 'mailparser' && body[0]?.startsWith('X-')) continue;
        const seen = readings[name].some((text) => knownIn(text, known).has(address));
        assert.ok(seen, `${name} does not see it in ${body.join(' | ')}`);
      }
    }
    assert.equal(canonical('"Ann.7"@HOME.test'), address);
    assert.equal(canonical('x@b\u00fccher.example'), canonical('X@xn--bcher-kva.example'));
    assert.deepEqual(readers.faults, []);
  });
});

describe('generated submissions', { skip }, () => {
  it('are made, sent, taken and read by code that imports nothing of what is tested', () => {
    const own = globSync('{generator,far-sides,readers}*', { cwd: import.meta.dirname });
    assert.ok(own.length > 8);
    for (const file of own) {
      const text = readFileSync(join(import.meta.dirname, file), 'utf8');
      assert.doesNotMatch(text, /from '[^']*src\//, file);
    }
  });

  it(`${COUNT.toLocaleString('en-US')} at all doors show nobody to anybody, and nobody gets theirs twice or never`, async (t) => {
    t.diagnostic(`seed ${SEED}`);
    const tally = await rig.run(0, COUNT, { seed: SEED });
    assert.equal(describeViolations(tally), '', `seed ${SEED}`);
    assert.equal(tally.submissions, COUNT);
    assert.deepEqual([...rig.farSides.refused], [], 'what a gate lets out its provider takes');
    const share = tally.cleanPassed / tally.clean;
    t.diagnostic(`${tally.copies} copies; ${(share * 100).toFixed(2)} % of the clean pass`);
    assert.ok(tally.clean > COUNT / 4);
    assert.ok(share > CLEAN_PASSED_MIN, `${share} of the clean submissions pass`);
    // Whatever a gate can answer was answered at some time, and every door let some out and stopped some.
    for (const outcome of ['passed', 'split', 'held', 'refused'] as const)
      assert.ok((tally.outcomes.get(outcome) ?? 0) > COUNT / 100, outcome);
    for (const door of DOORS) {
      const counts = tally.doors.get(door);
      assert.ok((counts?.get('passed') ?? 0) > 0, `${door} lets nothing out`);
      assert.ok((counts?.get('refused') ?? 0) > 0, `${door} refuses nothing`);
    }
    assert.ok((tally.outcomes.get('later') ?? 0) < COUNT / 100, 'the guard is in doubt');
  });
});

describe('a detector', { skip }, () => {
  let next = 1_000_000;

  async function aimed(detector: string, off: readonly string[]): Promise<Tally> {
    rig.off.clear();
    for (const name of off) rig.off.add(name);
    const from = next;
    next += AIMED;
    return rig.run(from, AIMED, { seed: SEED, detector, cleanShare: 0, readersMax: 10 });
  }

  it('has submissions made for it, all but those whose findings are notes', () => {
    const aims = new Set(TRAPS.map(({ detector }) => detector));
    const names = DETECTORS.map(({ name }) => name);
    assert.deepEqual(
      names.filter((name) => !aims.has(name)),
      NOTES_ONLY,
    );
  });

  for (const name of [...DETECTORS.map((one) => one.name), ...BESIDE]) {
    if (NOTES_ONLY.includes(name)) continue;
    it(`keeps from leaving what would leave without it: ${name}`, async (t) => {
      const without = await aimed(name, [name]);
      assert.ok(without.violations.length > 0, `seed ${SEED}: nothing is found without ${name}`);
      const kinds = new Set(without.violations.map(({ kind }) => kind));
      t.diagnostic(`${without.violations.length} violations without it, of ${kinds.size} kinds`);
      const withAll = await aimed(name, []);
      assert.equal(describeViolations(withAll), '', `seed ${SEED}`);
      assert.ok(
        held(withAll) +
          (withAll.outcomes.get('refused') ?? 0) +
          (withAll.outcomes.get('split') ?? 0) >
          0,
      );
    });
  }
});
