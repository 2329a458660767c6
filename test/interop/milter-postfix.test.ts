/** Debian's Postfix asks our milter: by SMTP, by the sendmail command, and while nobody answers. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createTransport } from 'nodemailer';
import type { Gate } from '../../src/gates/gate.ts';
import { type MilterOptions, startMilter } from '../../src/gates/milter.ts';
import { createSmtpCarrier, decodeKept } from '../../src/gates/smtp-carrier.ts';
import { type Identity, identityOf, policyOf } from '../../src/guard/identity.ts';
import { type Postfix, startPostfix } from '../support/interop/postfix.ts';
import { freePort, reasonToSkip, runProgram } from '../support/interop/programs.ts';
import { createMemoryRoad, type MemoryRoad } from '../support/provider-road.ts';

const skip = reasonToSkip(['postfix']);
const OFFICE = 'office@company.example';
const READERS = Array.from({ length: 30 }, (_, n) => `customer.${n}@home.example`);
const [ANN = '', BOB = ''] = READERS;
const WAIT_MS = 15_000;

let postfix: Postfix;
let config = '';
let port = 0;
let milter: Gate | null = null;
let road: MemoryRoad = createMemoryRoad();

async function guard(options: Partial<MilterOptions> = {}): Promise<void> {
  await milter?.close();
  road = createMemoryRoad();
  milter = await startMilter({
    listen: { host: '127.0.0.1', port },
    road,
    identityFor: () => identityOf('news', 'bulk'),
    handOver: false,
    log: { warn: () => {} },
    limits: { closeMs: 500 },
    ...options,
  });
}

before(async () => {
  if (skip !== false) return;
  port = await freePort();
  postfix = await startPostfix({
    mailboxes: [
      ...READERS.map((address) => ({ address, folder: address.split('@')[0] ?? '' })),
      { address: OFFICE, folder: 'office' },
    ],
  });
  config = join(dirname(postfix.maildirs), 'etc');
  const postconf = (...args: string[]): unknown =>
    runProgram('/usr/sbin/postconf', ['-c', config, ...args]);
  postconf(
    '-e',
    `smtpd_milters = inet:127.0.0.1:${port}`,
    'non_smtpd_milters = $smtpd_milters',
    'milter_default_action = tempfail',
    'milter_connect_timeout = 2s',
  );
  // The door by which the relay brings on what was split.
  postconf('-P', `127.0.0.1:${postfix.asciiPort}/inet/smtpd_milters=`);
  postconf('-M', 'pickup/unix=pickup unix n - n 1 1 pickup');
  runProgram('/usr/sbin/postfix', ['-c', config, 'reload']);
  await sleep(300);
});
after(async () => {
  await milter?.close();
  if (skip === false) await postfix.close();
});

async function hand(
  to: readonly string[],
  subject: string,
  bodyText = 'Hello.\n',
  dsn = false,
): Promise<string> {
  const transport = createTransport({ host: '127.0.0.1', port: postfix.port, ignoreTLS: true });
  try {
    const info = await transport.sendMail({
      from: OFFICE,
      to: [...to],
      envelope: { from: OFFICE, to: [...to] },
      subject,
      text: bodyText,
      ...(dsn
        ? { dsn: { id: 'e1', return: 'headers', notify: 'failure', recipient: OFFICE } }
        : {}),
    });
    return info.response;
  } catch (error) {
    return (error as { response?: string }).response ?? String(error);
  } finally {
    transport.close();
  }
}

async function until<T>(what: string, look: () => T | undefined): Promise<T> {
  const end = performance.now() + WAIT_MS;
  for (;;) {
    const found = look();
    if (found !== undefined) return found;
    assert.ok(performance.now() < end, `${what} did not come`);
    await sleep(20);
  }
}

function arrived(folder: string, subject: string): string | undefined {
  const all = postfix.messages(folder).map((message) => message.toString('latin1'));
  return all.find((message) => message.includes(`\nSubject: ${subject}\n`));
}

const folderOf = (address: string): string => address.split('@')[0] ?? '';

test('what passes arrives, and Postfix gave us its header and body as they are', {
  skip,
}, async () => {
  await guard();
  assert.match(await hand([ANN], 'one alone', '.\n..dots\n'), /^250 /);
  const message = await until('the message', () => arrived('customer.0', 'one alone'));
  assert.match(message, /\n\.\n\.\.dots\n/);
  assert.equal(road.decisions.length, 1);
  assert.equal(road.decisions[0]?.verdict.kind, 'pass');
  assert.deepEqual(road.decisions[0]?.visible.includes(ANN), true);
});

test('a leak is refused with all our sentences, for everybody at once', { skip }, async () => {
  await guard();
  const answer = await hand(READERS, 'refused');
  assert.match(answer, /^550[- ]5\.7\.1 The header would show recipients to each other\./);
  assert.match(answer, /made 870 disclosures/);
  assert.match(answer, /Nobody got this message\. Record v-1\./);
  await sleep(200);
  assert.equal(arrived('customer.0', 'refused'), undefined);
});

test('while the guard is down nobody gets anything, and afterwards it works again', {
  skip,
}, async () => {
  await milter?.close();
  milter = null;
  assert.match(await hand([ANN], 'while down'), /^4\d\d /);
  await guard();
  assert.match(await hand([ANN], 'afterwards'), /^250 /);
  await until('the message', () => arrived('customer.0', 'afterwards'));
  assert.equal(arrived('customer.0', 'while down'), undefined);
});

test('a guard that is broken says 451, and the words come through', { skip }, async () => {
  await guard({ road: { decide: async () => Promise.reject(new Error('broken')) } });
  assert.match(await hand([ANN], 'broken'), /^451 4\.7\.0 The message could not be checked/);
});

test('what is split is taken, discarded, and brought on by the relay: one private copy each', {
  skip,
}, async () => {
  await guard({
    handOver: true,
    identityFor: () => identityOf('news', 'bulk', { split: true }),
  });
  assert.match(await hand(READERS, 'split', 'Hello.\n', true), /^250 /);
  const { envelope, dsn } = decodeKept(road.kept[0]?.bytes ?? Buffer.alloc(0));
  assert.deepEqual(envelope, { from: OFFICE, recipients: READERS, smtpUtf8: false });
  assert.deepEqual([dsn?.ret, dsn?.envid], ['HDRS', 'e1']);
  assert.equal(
    dsn?.recipients.every(({ notify }) => notify === 'FAILURE'),
    true,
  );
  const carrier = createSmtpCarrier({
    nextHop: { host: '127.0.0.1', port: postfix.asciiPort, tls: 'none' },
  });
  const results = await road.deliverLast(carrier);
  await carrier.close();
  assert.equal(results.filter(({ kind }) => kind === 'accepted').length, READERS.length);
  for (const reader of READERS) {
    const message = await until(`the copy of ${reader}`, () => arrived(folderOf(reader), 'split'));
    assert.match(message, new RegExp(`^To: ${reader.replaceAll('.', '\\.')}$`, 'm'));
    const shown = READERS.filter((other) => other !== reader && message.includes(`${other}\n`));
    assert.deepEqual(shown, []);
    const copies = postfix
      .messages(folderOf(reader))
      .filter((copy) => copy.includes('Subject: split'));
    assert.equal(copies.length, 1);
  }
  assert.equal(road.decisions.length, 1);
});

test('mask: Postfix leaves To and Cc empty, and everybody gets the message', { skip }, async () => {
  const settings = (identity: Identity): { policy: ReturnType<typeof policyOf> } => ({
    policy: policyOf(identity, { companyDomains: ['company.example'], roleAddresses: [] }),
  });
  await guard({ mask: { settings } });
  assert.match(await hand([ANN, BOB], 'masked'), /^250 /);
  for (const folder of ['customer.0', 'customer.1']) {
    const message = await until('the masked message', () => arrived(folder, 'masked'));
    assert.match(message, /^To: undisclosed-recipients:;$/m);
    const header = message.slice(message.indexOf('\nFrom: '), message.indexOf('\n\n'));
    assert.ok(!header.includes('@home.example'), header);
  }
});

test('what the sendmail command hands in is judged too: a leak comes back to its sender', {
  skip,
}, async () => {
  await guard();
  const submit = (subject: string, to: readonly string[]): void => {
    const input = `From: ${OFFICE}\nTo: ${to.join(', ')}\nSubject: ${subject}\n\nHello.\n`;
    const { status, stderr } = spawnSync(
      '/usr/sbin/sendmail',
      ['-C', config, '-i', '-f', OFFICE, ...to],
      { input, encoding: 'utf8', timeout: 10_000, env: { ...process.env, MAIL_CONFIG: config } },
    );
    assert.equal(status, 0, stderr);
  };
  submit('by command', [ANN]);
  await until('the message', () => arrived('customer.0', 'by command'));
  submit('leak by command', [ANN, BOB]);
  const returned = await until('the returned message', () =>
    postfix
      .messages('office')
      .map(String)
      .find((text) => text.includes('leak by command')),
  );
  assert.match(returned, /would show recipients to each/);
  assert.deepEqual(
    road.decisions.map(({ verdict }) => verdict.kind),
    ['pass', 'refuse'],
  );
  assert.equal(arrived('customer.1', 'leak by command'), undefined);
});
