/** What the relay splits: one private copy for each reader, nobody twice, nobody shown; and nobody at all where it may not. */

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { createTransport } from 'nodemailer';
import { identityOf } from '../../src/guard/identity.ts';
import { shownIn, startKeepingRelay } from './smtp-relay-keeping.ts';
import { RawClient, startNextHop } from './smtp-relay-next-hop.ts';

const OFFICE = 'office@northwind.example';
const CC = Array.from({ length: 1000 }, (_, n) => `customer.${n}@home.example`);
const PERSON = identityOf('desk', 'person', { split: true });
const MARK = 'the one text of them all';

/** The commands of each transaction, by their reader. */
function readersIn(commands: readonly string[]): readonly string[] {
  return commands
    .filter((line) => line.startsWith('RCPT TO:'))
    .map((line) => /<(.*)>/.exec(line)?.[1] ?? '');
}

/** The far side has one private copy for each of the 1,000. */
function assertPrivate(next: { contents: readonly string[]; commands: readonly string[] }): void {
  assert.deepEqual([...readersIn(next.commands)].sort(), [...CC].sort());
  assert.equal(next.contents.length, CC.length);
  const toldTo = next.contents.map((content) => {
    assert.match(content, new RegExp(MARK));
    const shown = shownIn(content).filter((address) => address.endsWith('@home.example'));
    assert.equal(shown.length, 1);
    return shown[0] ?? '';
  });
  assert.equal(new Set(toldTo).size, CC.length);
  assert.ok(!next.commands.some((line) => /^RCPT[^\n]*RCPT/.test(line)));
}

async function byNodemailer(port: number): Promise<string> {
  const transport = createTransport({ host: '127.0.0.1', port });
  try {
    const info = await transport.sendMail({
      from: OFFICE,
      to: OFFICE,
      cc: CC,
      envelope: { from: OFFICE, to: CC },
      text: MARK,
    });
    return info.response;
  } catch (error) {
    const { code, responseCode } = error as { code?: string; responseCode?: number };
    return `${code} ${responseCode}`;
  } finally {
    transport.close();
  }
}

test('nodemailer, 1,000 names in Cc: each gets a private copy, nobody twice', async () => {
  const next = await startNextHop();
  const relay = await startKeepingRelay(next, PERSON);
  assert.match(await byNodemailer(relay.port), /^250 2\.0\.0 Taken: each recipient/);
  await relay.settled();
  assertPrivate(next);
  assert.ok(relay.results.every(({ kind }) => kind === 'accepted'));
});

test('without split the same is refused, and the far side gets nothing', async () => {
  const next = await startNextHop();
  const relay = await startKeepingRelay(next, identityOf('desk', 'person'));
  assert.match(await byNodemailer(relay.port), /EMESSAGE 550/);
  assert.equal(next.commands.length, 0);
});

const PYTHON = `
import smtplib, sys
from email.message import EmailMessage
port, split = int(sys.argv[1]), sys.argv[2]
names = ['customer.%d@home.example' % n for n in range(1000)]
m = EmailMessage()
m['From'] = 'office@northwind.example'
m['To'] = 'office@northwind.example'
m['Cc'] = ', '.join(names)
m['Subject'] = 'x'
m.set_content('${MARK}')
with smtplib.SMTP('127.0.0.1', port) as s:
    try:
        print('refused', len(s.send_message(m, m['From'], names)))
    except smtplib.SMTPResponseException as e:
        print(type(e).__name__, e.smtp_code)
`;

const noPython =
  spawnSync('python3', ['-c', 'import smtplib']).status === 0 ? false : 'not installed: python3';

function byPython(port: number, split: string): Promise<string> {
  return new Promise((resolve) => {
    const child = spawn('python3', ['-c', PYTHON, String(port), split]);
    let text = '';
    child.stdout.on('data', (chunk) => {
      text += String(chunk);
    });
    child.on('close', () => resolve(text.trim()));
  });
}

test("Python's smtplib, 1,000 names in Cc: private copies with split, its own error without", {
  skip: noPython,
}, async () => {
  const next = await startNextHop();
  const relay = await startKeepingRelay(next, PERSON);
  assert.equal(await byPython(relay.port, 'split'), 'refused 0');
  await relay.settled();
  assertPrivate(next);
  const other = await startNextHop();
  const strict = await startKeepingRelay(other, identityOf('desk', 'person'));
  assert.equal(await byPython(strict.port, 'strict'), 'SMTPDataError 550');
  assert.equal(other.commands.length, 0);
});

/** One transaction by hand; the reply to the content. */
async function hand(
  port: number,
  recipients: readonly string[],
  content: string,
  parameters = '',
): Promise<string> {
  const client = new RawClient(port);
  await client.reply();
  await client.say('EHLO client.test\r\n');
  await client.say(`MAIL FROM:<${OFFICE}>${parameters}\r\n`);
  for (const recipient of recipients) await client.say(`RCPT TO:${recipient}\r\n`);
  await client.say('DATA\r\n');
  return client.say(`${content}.\r\n`);
}

const TWO =
  'From: office@northwind.example\r\nTo: Ann <ann@x.test>\r\nCc: bob@y.test\r\nSubject: x\r\n\r\nhello\r\n';

test("each reader's own DSN wishes, the order and the return path go with their copy", async () => {
  const next = await startNextHop();
  const relay = await startKeepingRelay(next, identityOf('news', 'bulk', { split: true }), {
    carrier: {
      returnPath: { domain: 'bounces.northwind.example', token: (_, place) => `t${place}` },
    },
  });
  const wishes = [
    '<ann@x.test> NOTIFY=FAILURE,DELAY ORCPT=rfc822;ann+40x.test',
    '<bob@y.test> NOTIFY=NEVER',
    '<Ann@X.test>',
  ];
  const reply = await hand(relay.port, wishes, TWO, ' RET=HDRS ENVID=E1');
  assert.match(reply, /^250 .*Queued as k-0001/);
  await relay.settled();
  const lines = next.commands.filter((line) => /^(MAIL|RCPT)/.test(line));
  assert.deepEqual([...lines].sort(), [
    'MAIL FROM:<office+t0@bounces.northwind.example> RET=HDRS ENVID=E1',
    'MAIL FROM:<office+t1@bounces.northwind.example> RET=HDRS ENVID=E1',
    'RCPT TO:<ann@x.test> NOTIFY=FAILURE,DELAY ORCPT=rfc822;ann+40x.test',
    'RCPT TO:<bob@y.test> NOTIFY=NEVER',
  ]);
  assert.match(
    next.contents.find((text) => text.includes('ann@')) ?? '',
    /\r\nTo: Ann <ann@x\.test>\r\n/,
  );
});

test('a Bcc that a mail client left in is refused, or split off; it never leaves', async () => {
  const content =
    'From: office@northwind.example\r\nTo: ann@x.test\r\nBcc: bob@y.test\r\n\r\nhello\r\n';
  const recipients = ['<ann@x.test>', '<bob@y.test>'];
  for (const split of [false, true]) {
    const next = await startNextHop();
    const relay = await startKeepingRelay(next, identityOf('desk', 'person', { split }));
    const reply = await hand(relay.port, recipients, content);
    await relay.settled();
    assert.match(reply, split ? /^250 / : /^550-5\.7\.1 A Bcc header/);
    assert.equal(next.contents.length, split ? 2 : 0);
    for (const copy of next.contents) {
      assert.doesNotMatch(copy, /^bcc/im);
      assert.equal(shownIn(copy).length, 2);
    }
  }
});

test('what cannot be cut is refused, and nobody gets it', async () => {
  const next = await startNextHop();
  const relay = await startKeepingRelay(next, PERSON);
  const signed = `DKIM-Signature: v=1; a=rsa-sha256; h=from:to:cc; b=x\r\nFrom: ${OFFICE}\r\nCc: ${CC.slice(0, 20).join(',\r\n ')}\r\n\r\nhello\r\n`;
  const readers = CC.slice(0, 20).map((address) => `<${address}>`);
  assert.match(await hand(relay.port, readers, signed), /^550-5\.7\.1 .*\r\n.*Nobody got/s);
  assert.equal(next.commands.length, 0);
  assert.equal(relay.kept.length, 0);
});

test('of readers the next hop refuses the sender is told, by a report that names nobody else', async () => {
  const next = await startNextHop({
    reply: (line) => (line.includes('<bob@') ? '550 5.1.1 <bob@y.test> unknown' : undefined),
  });
  const relay = await startKeepingRelay(next, identityOf('news', 'bulk', { split: true }));
  assert.match(await hand(relay.port, ['<ann@x.test>', '<bob@y.test>'], TWO), /^250 /);
  await relay.settled();
  assert.equal(next.contents.length, 2);
  assert.deepEqual(relay.results.map(({ kind }) => kind).sort(), ['accepted', 'refused']);
  const report = next.contents.find((text) => text.includes('multipart/report')) ?? '';
  assert.ok(next.commands.includes('MAIL FROM:<>'));
  assert.ok(next.commands.includes(`RCPT TO:<${OFFICE}>`));
  assert.match(
    report,
    /\r\nFinal-Recipient: rfc822; bob@y\.test\r\nAction: failed\r\nStatus: 5\.1\.1\r\n/,
  );
  assert.doesNotMatch(report, /ann@/i);
});
