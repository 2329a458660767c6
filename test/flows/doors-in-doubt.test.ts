/**
 * A guard that is itself in doubt passes nothing, whatever door the mail comes in by: the database gone, the policy unreadable, a
 * detector that throws, a guard that does not answer. The caller is told to try later, in the protocol's own way.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createGuard, type Guard, type GuardOptions, type Road } from '../../src/guard/check.ts';
import { policyOf } from '../../src/guard/identity.ts';
import { openDatabase } from '../../src/store/database.ts';
import { testDatabase } from '../support/database.ts';
import { type Door, openDoors, type PlainMessage } from '../support/doors.ts';
import { closeAfter } from './smtp-relay-next-hop.ts';

const CLEAN: PlainMessage = {
  from: 'news@company.example',
  to: ['ann@x.test'],
  subject: 'News',
  text: 'Hello, we have moved. Write to desk@company.example.',
};
const settings: GuardOptions['settings'] = (identity) => ({
  policy: policyOf(identity, { companyDomains: ['company.example'], roleAddresses: [] }),
});
const NOTHING_AROUND = { assess: async () => ({ reasons: [], campaign: null }) };
const NO_KEEPER = {
  seal: () => assert.fail('nothing is kept here'),
  wake: () => {},
} as GuardOptions['keeper'];

/** Why each of these words is the protocol's "later": RFC 5321 section 4.2.1, libmilter's SMFIR_REPLYCODE, RFC 9110 section 15.6.4. */
const LATER: Readonly<Record<Door['name'], string>> = {
  relay: '451',
  milter: 'y',
  sendgrid: '503',
  ses: '503',
  mailgun: '503',
  postmark: '503',
};
const TAKEN: Readonly<Record<Door['name'], string>> = {
  relay: '250',
  milter: 'a',
  sendgrid: '202',
  ses: '200',
  mailgun: '200',
  postmark: '200',
};

async function answers(road: Road): Promise<Record<string, string>> {
  const doors = await openDoors(road);
  const said: Record<string, string> = {};
  for (const door of doors) {
    said[door.name] = await door.send(CLEAN);
    const goneOn = said[door.name] === TAKEN[door.name] ? 1 : 0;
    assert.equal(door.passed(), goneOn, `${door.name}: the far side`);
  }
  return said;
}

async function guardWith(change: Partial<GuardOptions>): Promise<Guard> {
  const database = await testDatabase();
  const guard = createGuard({
    db: database.db,
    settings,
    halted: () => false,
    circumstances: NOTHING_AROUND,
    keeper: NO_KEEPER,
    ...change,
  });
  closeAfter(async () => {
    await guard.close();
    await database.drop();
  });
  return guard;
}

test('a sound guard passes the same message at each of the six doors', async () => {
  const guard = await guardWith({});
  assert.deepEqual(await answers(guard.road('door')), TAKEN);
});

test('the database gone', async () => {
  const database = await testDatabase();
  const db = await openDatabase({ url: database.url });
  await database.drop();
  closeAfter(() => db.close());
  const guard = await guardWith({ db });
  assert.deepEqual(await answers(guard.road('door')), LATER);
});

test('the policy unreadable', async () => {
  const guard = await guardWith({
    settings: () => {
      throw new Error('the policy of nobody@x.test cannot be read');
    },
  });
  assert.deepEqual(await answers(guard.road('door')), LATER);
});

test('a detector that throws', async () => {
  const guard = await guardWith({
    settings: (identity) => ({
      ...settings(identity),
      isCustomer: () => {
        throw new Error('broken');
      },
    }),
  });
  assert.deepEqual(await answers(guard.road('door')), LATER);
});

test('what stands around a call cannot be known', async () => {
  const guard = await guardWith({
    circumstances: { assess: () => Promise.reject(new Error('no answer')) },
  });
  assert.deepEqual(await answers(guard.road('door')), LATER);
});

test('the guard itself throws, at once or later', async () => {
  const thrown: Road = {
    decide: () => {
      throw new Error('broken');
    },
  };
  assert.deepEqual(await answers(thrown), LATER);
  assert.deepEqual(await answers({ decide: () => Promise.reject(new Error('broken')) }), LATER);
});
