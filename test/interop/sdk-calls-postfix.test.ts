/** The calls of the conformance table by a real Postfix: one that sends through the relay, and one that asks the milter. */

import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createTransport } from 'nodemailer';
import { startMilter } from '../../src/gates/milter.ts';
import { createSmtpCarrier } from '../../src/gates/smtp-carrier.ts';
import { type Identity, identityOf } from '../../src/guard/identity.ts';
import { peopleOf, readCopies, SETTINGS, type Setting } from '../conformance/sdk-call.ts';
import { type StrictFarSide, startMailSink } from '../conformance/sdk-house.ts';
import { holdTable, type Ran, type Results } from '../conformance/sdk-table.ts';
import { startKeepingRelay } from '../flows/smtp-relay-keeping.ts';
import { type Postfix, startPostfix } from '../support/interop/postfix.ts';
import { freePort, reasonToSkip, runProgram } from '../support/interop/programs.ts';
import { createMemoryRoad } from '../support/provider-road.ts';

const skip = reasonToSkip(['postfix']);
const FROM = 'notices@company.example';
const WAIT_MS = 120_000;
const companyDomains = ['company.example'];

let sink: StrictFarSide & { readonly port: number };
const closers: (() => Promise<void>)[] = [];
before(async () => {
  if (skip !== false) return;
  sink = await startMailSink();
  closers.push(() => sink.close());
});
after(async () => {
  for (const close of closers.reverse()) await close();
});

const identity = (setting: Setting): Identity =>
  identityOf('news', 'bulk', {
    mode: setting === 'shadow' ? 'shadow' : 'enforce',
    split: setting === 'split',
  });

interface Call {
  readonly call: string;
  readonly people: number;
  readonly leaks: boolean;
  readonly fields: (people: readonly string[]) => object;
}

const CALLS: readonly Call[] = [
  {
    call: '1,000 in Cc',
    people: 1000,
    leaks: true,
    fields: (people) => ({ to: FROM, cc: [...people], envelope: { from: FROM, to: people } }),
  },
  {
    call: 'To the sender, 200 in Bcc',
    people: 200,
    leaks: false,
    fields: (people) => ({ to: FROM, envelope: { from: FROM, to: people } }),
  },
];

/** Hands a message in as a mail client does; what the client throws, or null. */
async function hand(port: number, fields: object, subject: string): Promise<string | null> {
  const transport = createTransport({ host: '127.0.0.1', port, ignoreTLS: true });
  try {
    await transport.sendMail({ from: FROM, subject, text: `Please read. ${subject}\n`, ...fields });
    return null;
  } catch (error) {
    const { code, responseCode } = error as { code: string; responseCode: number };
    return `${(error as Error).constructor.name} ${code} ${responseCode}`;
  } finally {
    transport.close();
  }
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const end = performance.now() + WAIT_MS;
  while (!holds()) {
    assert.ok(performance.now() < end, `not within ${WAIT_MS} ms: ${what}`);
    await sleep(100);
  }
}

const readersSince = (start: number): number =>
  sink.copies.slice(start).reduce((sum, { readers }) => sum + readers.length, 0);

/** Plays each call in each setting; `play` resolves once nothing is on its way, to what the sender was told. */
async function playAll(
  play: (call: Call, setting: Setting, subject: string) => Promise<string | null>,
  refusal: string,
): Promise<Ran['calls']> {
  const rows: Ran['calls'][number][] = [];
  for (const call of CALLS) {
    const results: Partial<Record<Setting, Results[Setting]>> = {};
    for (const setting of SETTINGS) {
      const start = sink.copies.length;
      const error = await play(call, setting, `${call.people} ${setting}`);
      await sleep(200);
      const read = await readCopies(sink.copies.slice(start), peopleOf(call.people));
      const what = `${call.call}: ${setting}`;
      const refused = call.leaks && setting === 'refuse';
      assert.equal(error, refused ? refusal : null, what);
      assert.equal(read.reached, refused ? 0 : call.people, what);
      assert.equal(read.copies, read.reached, `${what}: nobody twice`);
      const leaked = call.leaks && setting === 'shadow';
      assert.equal(read.othersShown, leaked ? call.people - 1 : 0, `${what}: others shown`);
      results[setting] = { ...read, error };
    }
    rows.push({ call: call.call, people: call.people, results: results as Results });
  }
  assert.deepEqual(sink.rejected, []);
  return rows;
}

/** How many recipients Postfix's reports to the sender name as failed by our refusal. */
function returned(postfix: Postfix, subject: string): number {
  return postfix
    .messages('office')
    .map((message) => message.toString('latin1'))
    .filter((text) => text.includes(`\nSubject: ${subject}\n`))
    .reduce((sum, text) => sum + (text.match(/^Status: 5\.7\.1$/gm)?.length ?? 0), 0);
}

const ran: Ran[] = [];
const PROGRAM = { pinned: null, farSide: 'smtp', describe: String } as const;

test('Postfix sends through the relay: private copies, or nothing and our 550 in its report', {
  skip,
}, async () => {
  const port = await freePort();
  const postfix = await startPostfix({
    mailboxes: [{ address: FROM, folder: 'office' }],
    relayPort: port,
  });
  closers.push(() => postfix.close());
  const refusal = 'report 5.7.1';
  const calls = await playAll(async ({ people, leaks, fields }, setting, subject) => {
    const relay = await startKeepingRelay(sink, identity(setting), {
      companyDomains,
      relay: { listen: { host: '127.0.0.1', port, tls: null } },
    });
    const start = sink.copies.length;
    assert.equal(await hand(postfix.port, fields(peopleOf(people)), subject), null);
    const refused = leaks && setting === 'refuse';
    await until(subject, () =>
      refused ? returned(postfix, subject) >= people : readersSince(start) >= people,
    );
    await relay.settled();
    // Postfix hands over 50 recipients at a time: twenty calls, each split on its own.
    assert.equal(relay.kept.length, leaks && setting === 'split' ? people / 50 : 0);
    await relay.close();
    return refused ? refusal : null;
  }, refusal);
  ran.push({
    sdk: {
      ...PROGRAM,
      title: 'Postfix in front of the relay',
      baseUrl: '`relayhost`',
      refusal,
    },
    calls,
  });
});

test('Postfix asks the milter: private copies by the relay, or nothing and its client gets our 550', {
  skip,
}, async () => {
  const port = await freePort();
  const postfix = await startPostfix({
    mailboxes: [{ address: FROM, folder: 'office' }],
    relayPort: sink.port,
  });
  closers.push(() => postfix.close());
  const config = join(dirname(postfix.maildirs), 'etc');
  runProgram('/usr/sbin/postconf', [
    ...['-c', config, '-e', `smtpd_milters = inet:127.0.0.1:${port}`],
    'milter_default_action = tempfail',
  ]);
  runProgram('/usr/sbin/postfix', ['-c', config, 'reload']);
  await sleep(300);
  const road = createMemoryRoad();
  let setting: Setting = 'shadow';
  const milter = await startMilter({
    listen: { host: '127.0.0.1', port },
    road,
    identityFor: () => identity(setting),
    handOver: true,
    log: { warn: () => {} },
    limits: { closeMs: 500 },
  });
  closers.push(() => milter.close());
  const carrier = createSmtpCarrier({
    nextHop: { host: '127.0.0.1', port: sink.port, tls: 'none' },
  });
  closers.push(() => carrier.close());
  const refusal = 'Error EMESSAGE 550';
  const calls = await playAll(async ({ people, fields }, now, subject) => {
    setting = now;
    const start = sink.copies.length;
    const kept = road.kept.length;
    const error = await hand(postfix.port, fields(peopleOf(people)), subject);
    if (road.kept.length > kept) await road.deliverLast(carrier);
    if (error === null) await until(subject, () => readersSince(start) >= people);
    return error;
  }, refusal);
  ran.push({
    sdk: { ...PROGRAM, title: 'Postfix with the milter', baseUrl: '`smtpd_milters`', refusal },
    calls,
  });
});

test('the table in docs/conformance.md is what this run found', { skip }, () => {
  assert.equal(ran.length, 2);
  holdTable(ran);
});
