/**
 * Our relay between two real servers: Debian's Postfix sends through it and gets its refusals, and what passes goes on
 * into Debian's Postfix.
 */

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createTransport } from 'nodemailer';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { type Postfix, startPostfix } from '../support/interop/postfix.ts';
import { reasonToSkip } from '../support/interop/programs.ts';
import { mailauthResults } from '../support/interop/verify-dkim.ts';
import { Installation } from '../support/serve-process.ts';

const skip = reasonToSkip(['postfix']);
const OFFICE = 'office@northwind.example';
const ANN = 'Ann.Lee@home.example';
const UTF8 = '用户@bücher.example';
const CC = Array.from({ length: 1000 }, (_, n) => `customer.${n}@home.example`);
const WAIT_MS = 20_000;

let database: TestDatabase;
/** Where mail ends, and where a person's mail client hands it in. */
let incoming: Postfix;
let outgoing: Postfix;
let installation: Installation;
let gatePort = 0;
const closers: (() => Promise<void>)[] = [];

async function start(): Promise<void> {
  database = await testDatabase();
  closers.unshift(() => database.drop());
  incoming = await startPostfix({
    mailboxes: [
      { address: ANN, folder: 'ann' },
      { address: UTF8, folder: 'utf8' },
      ...CC.map((address) => ({ address, folder: 'customers' })),
    ],
  });
  closers.unshift(() => incoming.close());
  const nextHop = `127.0.0.1:${incoming.port}`;
  installation = await Installation.make({
    people: 1,
    seed: 1,
    env: { DATABASE_URL: database.url },
    config: {
      companyDomains: ['northwind.example'],
      gates: { smtp: { listen: '127.0.0.1:0', nextHop, tls: 'none', anonymous: 'person' } },
    },
  });
  closers.unshift(() => installation.close());
  const line = installation.serving.lines.find((one) => one.startsWith('gate smtp-relay '));
  gatePort = Number(line?.split(':').at(-1));
  outgoing = await startPostfix({
    mailboxes: [{ address: OFFICE, folder: 'office' }],
    relayPort: gatePort,
  });
  closers.unshift(() => outgoing.close());
}

before(async () => {
  if (skip === false) await start();
});
after(async () => {
  for (const close of closers) await close();
});

async function until<T>(what: string, look: () => T | undefined): Promise<T> {
  const end = performance.now() + WAIT_MS;
  for (;;) {
    const found = look();
    if (found !== undefined) return found;
    assert.ok(performance.now() < end, `${what} did not come`);
    await sleep(20);
  }
}

interface Mail {
  readonly to?: string;
  readonly cc?: readonly string[];
  readonly recipients: readonly string[];
  readonly text?: string;
  readonly privateKey?: string;
}

/** Hands a message in as a mail client does; the server's last reply. */
async function hand(port: number, mail: Mail): Promise<string> {
  const transport = createTransport({ host: '127.0.0.1', port, ignoreTLS: true });
  const { privateKey } = mail;
  try {
    const info = await transport.sendMail({
      from: OFFICE,
      ...(mail.to === undefined ? {} : { to: mail.to }),
      ...(mail.cc === undefined ? {} : { cc: [...mail.cc] }),
      envelope: { from: OFFICE, to: [...mail.recipients] },
      subject: 'Your account',
      text: mail.text ?? 'Hello.\n',
      ...(privateKey === undefined
        ? {}
        : { dkim: { domainName: 'northwind.example', keySelector: 's1', privateKey } }),
    });
    return info.response;
  } catch (error) {
    return (error as { response?: string }).response ?? String(error);
  } finally {
    transport.close();
  }
}

const accepted = (postfix: Postfix): number => (postfix.log().match(/: client=/g) ?? []).length;

test('what Postfix sends through the relay arrives unchanged', { skip }, async () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = {
    domain: 'northwind.example',
    selector: 's1',
    publicKey: publicKey.export({ type: 'spki', format: 'der' }).toString('base64'),
  };
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  for (const [address, folder] of [
    [ANN, 'ann'],
    [UTF8, 'utf8'],
  ] as const) {
    const text = 'Hello.\n.\n..two dots, and grüße\n';
    const mail = { to: address, recipients: [address], text, privateKey: pem };
    assert.match(await hand(outgoing.port, mail), /^250 /);
    const message = await until(`the message to ${folder}`, () => incoming.messages(folder)[0]);
    const whole = Buffer.from(message.toString('latin1').replaceAll('\n', '\r\n'), 'latin1');
    assert.deepEqual(await mailauthResults(whole, key), ['pass']);
    assert.match(whole.toString('latin1'), /^Received: by undisclosed\.invalid /m);
  }
  // The words of the second Postfix, handed on to the first.
  await until('the end of both deliveries', () => {
    const sent = outgoing.log().match(/ status=sent \(250 2\.0\.0 Ok: queued as /g) ?? [];
    return sent.length === 2 ? sent : undefined;
  });
});

test('1,000 names in Cc: Postfix gets our 550 and returns the message with its text', {
  skip,
}, async () => {
  const before = accepted(incoming);
  const mail = { to: OFFICE, cc: CC, recipients: CC };
  assert.match(await hand(outgoing.port, mail), /^250 /);
  const returned = await until('the returned message', () => outgoing.messages('office')[0]);
  const report = returned.toString('utf8');
  const count = (pattern: RegExp): number => (report.match(pattern) ?? []).length;
  assert.equal(count(/^From: .*<MAILER-DAEMON@mx\.interop\.test>$/gm), 1);
  assert.equal(count(/^Final-Recipient: rfc822; customer\.\d+@home\.example$/gm), CC.length);
  assert.equal(count(/^Action: failed$/gm), CC.length);
  assert.equal(count(/^Status: 5\.7\.1$/gm), CC.length);
  // RFC 3464 folds the field; what a person reads in it are our sentences.
  const said = [...report.matchAll(/^Diagnostic-Code: smtp; (550.*(?:\n[ \t].*)*)/gm)];
  const answers = new Set(said.map(([, text]) => (text ?? '').replace(/\s+/g, ' ')));
  assert.equal(said.length, CC.length);
  // Postfix offers 50 recipients at a time, so each of 20 answers counts what those 50 would have seen.
  assert.equal(answers.size, 20);
  let disclosures = 0;
  for (const answer of answers) {
    assert.match(
      answer,
      /^550-5\.7\.1 To and Cc show more people to each other than this policy allows\./,
    );
    assert.match(answer, /Nobody got this message\. Record v-\w+\.$/);
    disclosures += Number(/made ([\d,]+) disclosures/.exec(answer)?.[1]?.replaceAll(',', ''));
  }
  assert.equal(disclosures, CC.length * (CC.length - 1));
  assert.equal(accepted(incoming), before);
  assert.deepEqual(incoming.messages('customers'), []);
});

test('in front of Postfix the client gets the words of Postfix, and it never sees what is refused', {
  skip,
}, async () => {
  const one = { to: ANN, recipients: [ANN] };
  assert.match(await hand(gatePort, one), /^250 2\.0\.0 Ok: queued as \w+$/);
  const utf8 = { to: UTF8, recipients: [UTF8] };
  assert.match(await hand(gatePort, utf8), /^250 2\.0\.0 Ok: queued as \w+$/);
  await until('the second message to utf8', () => incoming.messages('utf8')[1]);
  await until('the second message to ann', () => incoming.messages('ann')[1]);
  const before = accepted(incoming);
  const nobody = 'nobody@home.example';
  const unknown = await hand(gatePort, { to: nobody, recipients: [nobody] });
  assert.match(unknown, /^550 5\.1\.1 .*User unknown in virtual mailbox table/);
  const partly = await hand(gatePort, { to: ANN, recipients: [ANN, nobody] });
  assert.match(partly, /^550 5\.1\.1 The next hop does not take 1 of 2 recipients/);
  const many = await hand(gatePort, { to: OFFICE, cc: CC, recipients: CC });
  assert.match(many, /^550-5\.7\.1 To and Cc show more people[\s\S]*made 999,000 disclosures/);
  // Postfix names a message when its first recipient is taken: the transaction given up before its content is one.
  assert.equal(accepted(incoming) - before, 1);
  await sleep(200);
  assert.equal(incoming.messages('ann').length, 2);
  assert.deepEqual(incoming.messages('customers'), []);
});
