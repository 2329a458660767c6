/**
 * The notice, sent by the commands that a user types, through Debian's Postfix into real mailboxes, and read back over
 * IMAP from Debian's Dovecot by programs that are not ours.
 */

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import PostalMime from 'postal-mime';
// biome-ignore lint/correctness/useImportExtensions: the rule takes the file of types for the module
import * as reader from '../../demo/read-delivered.mjs';
import { type SampleCustomer, sampleCustomers } from '../../demo/sample-customers.ts';
import { readKeyring } from '../../src/keys/keyring.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { type Dovecot, startDovecot } from '../support/interop/dovecot.ts';
import { MAIL_UID, type Postfix, startPostfix } from '../support/interop/postfix.ts';
import { reasonToSkip } from '../support/interop/programs.ts';
import { readMailboxes } from '../support/interop/read-mailbox.ts';
import {
  mailauthResults,
  opendkimResults,
  type PublishedKey,
} from '../support/interop/verify-dkim.ts';
import { Installation } from '../support/serve-process.ts';

const { Addresses, provePlantedIsFound, shownIn } = reader;
const skip = reasonToSkip(['postfix', 'dovecot', 'opendkim']);
const MAILBOXES = 500;
const UTF8_MAILBOXES = 24;
const SEED = 20191101;
const DELIVERY_LIMIT_MS = 40_000;
const RELEASE_LIMIT_MS = 40_000;

interface Owner extends SampleCustomer {
  /** Where the person's broadcast goes: the server as it is, or the one that lacks SMTPUTF8. */
  readonly hop: 'full' | 'ascii';
  readonly folder: string;
}

const needsUtf8 = ({ email }: SampleCustomer): boolean =>
  /[^\0-\x7f]/.test(email.slice(0, email.lastIndexOf('@')));

/** 500 with mailboxes, 24 of them with a local part outside ASCII, and behind the other hop one of either kind. */
function chooseOwners(): Owner[] {
  const utf8: SampleCustomer[] = [];
  const plain: SampleCustomer[] = [];
  for (const customer of sampleCustomers(22_000, SEED)) {
    if (needsUtf8(customer)) utf8.push(customer);
    else plain.push(customer);
    if (utf8.length > UTF8_MAILBOXES && plain.length > MAILBOXES - UTF8_MAILBOXES) break;
  }
  const full = [...utf8.slice(1, 1 + UTF8_MAILBOXES), ...plain.slice(1)];
  const chosen = [
    ...full.slice(0, MAILBOXES).map((customer) => ({ customer, hop: 'full' as const })),
    ...[utf8[0], plain[0]].flatMap((customer) =>
      customer === undefined ? [] : [{ customer, hop: 'ascii' as const }],
    ),
  ];
  return chosen.map(({ customer, hop }, index) => ({ ...customer, hop, folder: `m${index}` }));
}

const owners = chooseOwners();
const withMailbox = owners.filter(({ hop }) => hop === 'full');
let database: TestDatabase;
let postfix: Postfix;
let dovecot: Dovecot;
let installation: Installation;
let key: PublishedKey;
let mailboxes: Buffer[][] = [];
const closers: (() => Promise<void>)[] = [];

async function start(): Promise<void> {
  database = await testDatabase();
  closers.unshift(() => database.drop());
  postfix = await startPostfix({
    mailboxes: owners.map(({ email, folder }) => ({ address: email, folder })),
  });
  closers.unshift(() => postfix.close());
  dovecot = await startDovecot({ maildirs: postfix.maildirs, uid: MAIL_UID });
  closers.unshift(() => dovecot.close());
  installation = await Installation.make({
    people: 1,
    seed: 1,
    env: { DATABASE_URL: database.url },
  });
  closers.unshift(() => installation.close());
  const path = installation.env.UNDISCLOSED_KEYRING ?? '';
  const keyring = await readKeyring({ kind: 'file', path }, installation.dataDir);
  const dkim = keyring.dkim('northwind.example');
  if (dkim === null) throw new Error('no DKIM key');
  key = dkim;
  const csv = join(installation.folder, 'owners.csv');
  const rows = owners.map(({ id, email, name, language, positions, hop }) =>
    [id, email, `"${name}"`, language, positions, hop].join(','),
  );
  await writeFile(csv, `id,email,name,language,positions,hop\n${rows.join('\n')}\n`);
  await installation.must(['customers', 'import', csv, '--as', 'alice']);
}

/** Sends to those behind one hop; how the release ended. */
async function send(hop: Owner['hop'], port: number): Promise<{ id: string; kind: string }> {
  const route = `smtp://127.0.0.1:${port}?tls=none&connections=8&name=sender.northwind.example`;
  const id = await installation.approved(route, ['--where', `hop=${hop}`]);
  const release = installation.release(id);
  const late = sleep(RELEASE_LIMIT_MS, null, { ref: false });
  const ended = await Promise.race([release, late]);
  if (ended === null) {
    const { account, state, standsBecause } = await installation.status(id);
    const said = [...installation.serving.lines.slice(-5), postfix.log().slice(-1000)];
    const where = JSON.stringify({ state, standsBecause, states: account.states });
    assert.fail(`the release has not ended: ${where}\n${said.join('\n')}`);
  }
  const last = ended.stdout.trim().split('\n').at(-1) ?? '';
  assert.ok(last.startsWith('{'), ended.stderr);
  return { id, kind: (JSON.parse(last) as { kind: string }).kind };
}

/** Waits until Postfix's queue is empty. */
async function delivered(count: number): Promise<void> {
  const until = performance.now() + DELIVERY_LIMIT_MS;
  const removed = (): number =>
    (postfix.log().match(/postfix\/qmgr\S+ \w+: removed$/gm) ?? []).length;
  while (removed() < count) {
    assert.ok(performance.now() < until, `Postfix has delivered ${removed()} of ${count}`);
    await sleep(50);
  }
}

before(async () => {
  if (skip === false) await start();
});
after(async () => {
  for (const close of closers) await close();
});

test('Postfix takes the notice for 500 people, 24 of them by SMTPUTF8', { skip }, async () => {
  assert.equal(withMailbox.length, MAILBOXES);
  assert.equal(withMailbox.filter(needsUtf8).length, UTF8_MAILBOXES);
  const { id, kind } = await send('full', postfix.port);
  assert.equal(kind, 'complete');
  const { account } = await installation.status(id);
  assert.deepEqual(account.states, { accepted: MAILBOXES });
  assert.ok(account.addsUp);
  await delivered(MAILBOXES);
  const said = postfix.log();
  assert.equal((said.match(/ status=sent \(delivered to maildir\)$/gm) ?? []).length, MAILBOXES);
  assert.doesNotMatch(said, /(?:warning|error|fatal|panic): |status=(?:bounced|deferred)|reject: /);
});

test('each mailbox holds exactly one message, to its owner', { skip }, async () => {
  mailboxes = await readMailboxes(
    dovecot.port,
    withMailbox.map(({ folder }) => folder),
  );
  assert.equal(mailboxes.length, MAILBOXES);
  let utf8 = 0;
  for (const [index, messages] of mailboxes.entries()) {
    assert.equal(messages.length, 1, `mailbox ${index}`);
    const [message] = messages;
    assert.ok(message !== undefined);
    const { to = [], cc, bcc, headers } = await PostalMime.parse(message);
    const shown = to.map(({ address }) => Addresses.canonical(address ?? ''));
    assert.deepEqual(shown, [Addresses.canonical(withMailbox[index]?.email ?? '')]);
    assert.deepEqual([cc, bcc], [undefined, undefined]);
    assert.equal(headers.filter(({ key }) => /^(?:resent-)?(?:to|cc|bcc)$/.test(key)).length, 1);
    if (/^Received:[^\n]*\n[^\n]* with UTF8SMTP /m.test(message.toString('utf8'))) utf8++;
  }
  assert.equal(utf8, UTF8_MAILBOXES);
});

test('the raw bytes of each message name nobody but its owner', { skip }, async () => {
  const everybody = new Addresses();
  for (const { email } of owners) everybody.add(email);
  assert.equal(everybody.size, MAILBOXES + 2);
  const [first] = mailboxes[0] ?? [];
  assert.ok(first !== undefined);
  assert.ok(provePlantedIsFound(first) >= 20);
  for (const { email } of [withMailbox[1], withMailbox.at(-1)].filter((one) => one !== undefined)) {
    const planted = Buffer.concat([first, Buffer.from(`\r\n${encodeURIComponent(email)}\r\n`)]);
    assert.deepEqual(
      [...shownIn(planted, everybody)].map((number) => everybody.at(number)).sort(),
      [withMailbox[0]?.email ?? '', email].map(Addresses.canonical).sort(),
    );
  }
  for (const [index, [message]] of mailboxes.entries()) {
    const owner = withMailbox[index];
    assert.ok(message !== undefined && owner !== undefined);
    const shown = [...shownIn(message, everybody)];
    assert.deepEqual(shown, [everybody.find(owner.email)], `mailbox ${index}`);
    const { text = '', html = '' } = await PostalMime.parse(message);
    const numbers = `${text}${html}`.match(/NX-\d{6,}-\d/g);
    assert.deepEqual([...new Set(numbers)], [owner.id], `mailbox ${index}`);
  }
});

test('every signature verifies with mailauth and with OpenDKIM after Postfix', {
  skip,
}, async () => {
  const messages = mailboxes.flat();
  assert.equal(messages.length, MAILBOXES);
  for (const [index, message] of messages.entries())
    assert.deepEqual(await mailauthResults(message, key), ['pass'], `mailbox ${index}`);
  const opendkim = opendkimResults(messages, key);
  assert.deepEqual([...new Set(opendkim)], ['succeeded']);
  const [message] = messages;
  assert.ok(message !== undefined);
  const changed = Buffer.from(message);
  const at = changed.lastIndexOf('northwind');
  assert.ok(at > changed.indexOf('\r\n\r\n'));
  changed.write('N', at);
  assert.deepEqual(await mailauthResults(changed, key), ['neutral']);
  assert.deepEqual(opendkimResults([changed], key), ['failed']);
});

test('behind a server without SMTPUTF8 such a person is undeliverable, 5.6.7', {
  skip,
}, async () => {
  const taken = postfix.log().length;
  const { id } = await send('ascii', postfix.asciiPort);
  const { account } = await installation.status(id);
  assert.deepEqual(account.states, { accepted: 1, undeliverable: 1 });
  assert.ok(account.addsUp);
  const ends: { state: string; enhanced: string }[][] = [];
  for (const position of [0, 1])
    ends.push(
      await installation.api('alice', 'GET', `/v1/broadcasts/${id}/recipients/${position}`),
    );
  assert.deepEqual(
    ends.map((rows) => rows.map(({ state, enhanced }) => `${state} ${enhanced}`.trim())).sort(),
    [['accepted 2.0.0'], ['undeliverable 5.6.7']],
  );
  await delivered(MAILBOXES + 1);
  // Postfix was not even asked.
  assert.doesNotMatch(postfix.log().slice(taken), /reject: |SMTPUTF8/);
  const folders = owners.filter(({ hop }) => hop === 'ascii').map(({ folder }) => folder);
  const read = await readMailboxes(dovecot.port, folders);
  assert.deepEqual(
    read.map((messages) => messages.length),
    [0, 1],
  );
});
