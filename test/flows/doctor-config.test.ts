/** `undisclosed doctor config`: what a configuration lets pass is said, and a sound one has no finding. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { GuardHouse, type ServeProcess } from '../support/guard-house.ts';

let house: GuardHouse;
let serving: ServeProcess;

before(async () => {
  house = await GuardHouse.make();
  serving = await house.serve('plain', {});
  await house.enrol(serving);
});
after(() => house?.close());

interface Report {
  readonly findings: number;
  readonly remarks: readonly {
    readonly kind: string;
    readonly check: string;
    readonly text: string;
  }[];
}

const caller = (number: number, more: object = {}): object => ({
  ...{ name: `caller-${number}`, policy: 'bulk', keySha256: `${number}`.repeat(64), ...more },
});

/** Status, and each remark as `kind check`. */
async function doctor(
  gates: object,
  ...args: readonly string[]
): Promise<{ readonly status: number; readonly said: readonly string[]; readonly text: string }> {
  const file = await house.file('doctor.json', JSON.stringify({ gates }));
  const env = { ...serving.env, UNDISCLOSED_CONFIG: file };
  const { status, stdout, stderr } = await house.cli(['doctor', 'config', '--json', ...args], env);
  assert.notEqual(status, 2, stderr);
  const { remarks, findings } = JSON.parse(stdout) as Report;
  assert.equal(findings, remarks.filter(({ kind }) => kind === 'finding').length);
  const said = remarks.map(({ kind, check }) => `${kind} ${check}`);
  return { status, said, text: remarks.map(({ text }) => text).join('\n') };
}

test('a sound configuration has no finding', async () => {
  const report = await doctor({ callers: [caller(1), caller(2, { audience: 'customers' })] });
  assert.deepEqual(report, {
    status: 0,
    said: ['fine mode'],
    text: 'all of 2 callers are in enforce',
  });
});

test('modes that let mail go on, shared keys, unseen templates and open doors are said by their place', async () => {
  const report = await doctor({
    smtp: { listen: '127.0.0.1:0', nextHop: '127.0.0.1:25', anonymous: 'person' },
    milter: { listen: '127.0.0.1:0' },
    sendgrid: { listen: '127.0.0.1:0', approvedTemplates: 'any' },
    callers: [
      caller(1, { mode: 'shadow' }),
      caller(2, { mode: 'warn' }),
      caller(3, { mode: 'enforce' }),
      caller(3, { name: 'twin' }),
    ],
  });
  assert.equal(report.status, 1);
  assert.deepEqual(report.said, [
    'finding mode',
    'finding mode',
    'finding keySha256',
    'note anonymous',
    'note anonymous',
    'finding approvedTemplates',
  ]);
  for (const place of ['gates.callers.0.mode is shadow', 'gates.callers.1.mode is warn'])
    assert.ok(report.text.includes(place), report.text);
  assert.match(report.text, /gates\.callers\.3\.keySha256 is that of gates\.callers\.2: twin/);
});

test('an audience that nobody has declared is found where the server is asked', async () => {
  const gates = { callers: [caller(1, { audience: 'spring' })] };
  assert.deepEqual((await doctor(gates)).said, ['note audience', 'fine mode']);
  assert.deepEqual((await doctor(gates, '--as', 'alice')).said, ['finding audience']);
  const list = await house.file('list.txt', 'ann@home.example\n');
  await house.must(['guard', 'audience', 'declare', 'spring', list, '--as', 'alice'], serving.env);
  assert.deepEqual((await doctor(gates, '--as', 'alice')).said, ['fine mode']);
});
