import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startNextHop } from '../../test/flows/smtp-relay-next-hop.ts';
import {
  createSmtpCarrier,
  decodeKept,
  encodeKept,
  type SmtpCarrierOptions,
} from './smtp-carrier.ts';

const FROM = 'office@northwind.example';
const TO = ['ann@x.test', 'bob@y.test'];
const CONTENT = Buffer.from(
  'From: office@northwind.example\r\nTo: ann@x.test, bob@y.test\r\nSubject: x\r\n\r\nhello\r\n',
);
const envelope = { from: FROM, recipients: TO, smtpUtf8: false };
const DSN = {
  ret: 'FULL',
  envid: 'E+2B1',
  recipients: [
    { notify: 'FAILURE', orcpt: 'rfc822;ann+40x.test' },
    { notify: 'NEVER', orcpt: '' },
  ],
} as const;

const carrierTo = (
  port: number,
  options: Partial<SmtpCarrierOptions> = {},
): ReturnType<typeof createSmtpCarrier> =>
  createSmtpCarrier({
    nextHop: {
      host: '127.0.0.1',
      port,
      tls: 'none',
      timeouts: { finalMs: 300, commandMs: 300, connectMs: 300 },
    },
    name: 'gate.test',
    ...options,
  });

test('what is kept is read back as it was, and the same message gives the same bytes', () => {
  const foreign = { from: '', recipients: ['用户@bücher.test', ...TO], smtpUtf8: true };
  for (const [one, dsn] of [
    [envelope, null],
    [envelope, DSN],
    [foreign, null],
  ] as const) {
    const bytes = encodeKept(one, dsn, CONTENT);
    assert.deepEqual(bytes, encodeKept(one, dsn, CONTENT));
    const back = decodeKept(bytes);
    assert.deepEqual(
      { ...back, content: back.content.toString() },
      { envelope: one, dsn, content: CONTENT.toString() },
    );
  }
});

test('bytes of another version, or cut short, are a clear fault', () => {
  const bytes = encodeKept(envelope, DSN, Buffer.alloc(0));
  for (const broken of [
    Buffer.alloc(0),
    Buffer.from([2, 0]),
    ...Array.from(bytes.keys(), (n) => bytes.subarray(0, n)),
  ])
    assert.throws(() => decodeKept(broken), { code: 'gate.bad-kept-mail' });
});

test('a private cut has one delivery for each distinct reader in their order, the same each time', async () => {
  const carrier = carrierTo(1, {
    returnPath: { domain: 'r.example', token: (_, place) => `T${place}` },
  });
  const kept = encodeKept({ ...envelope, recipients: [...TO, 'ANN@x.test'] }, null, CONTENT);
  const [one, two, ...more] = carrier.cut(kept, 'private', 'k-1');
  assert.ok(one !== undefined && two !== undefined && more.length === 0);
  assert.deepEqual(
    carrier.cut(kept, 'private', 'k-1').map(({ bytes }) => bytes),
    [one.bytes, two.bytes],
  );
  assert.deepEqual(decodeKept(one.bytes).envelope, {
    from: 'office+T0@r.example',
    recipients: ['ann@x.test'],
    smtpUtf8: false,
  });
  assert.match(
    decodeKept(two.bytes).content.toString(),
    /^From: [^\r]+\r\nTo: bob@y\.test\r\nSubject: x\r\n\r\nhello\r\n$/,
  );
  const long = encodeKept({ ...envelope, from: `${'a'.repeat(64)}@x.test` }, null, CONTENT);
  const [first] = carrier.cut(long, 'private', 'k-1');
  assert.match(decodeKept(first?.bytes ?? Buffer.alloc(0)).envelope.from, /^a{61}\+T0@r\.example$/);
  const bounce = encodeKept({ ...envelope, from: '' }, null, CONTENT);
  assert.equal(
    decodeKept(carrier.cut(bounce, 'private', 'k-1')[0]?.bytes ?? Buffer.alloc(0)).envelope.from,
    '',
  );
  await carrier.close();
});

test('a whole cut is one delivery, as it came', async () => {
  const next = await startNextHop();
  const carrier = carrierTo(next.port, { trace: false });
  const kept = encodeKept(envelope, DSN, CONTENT);
  const [only, ...more] = carrier.cut(kept, 'whole', 'k-1');
  assert.ok(only !== undefined && more.length === 0);
  assert.equal(only.readers, 2);
  assert.deepEqual(await carrier.deliver(only), {
    kind: 'accepted',
    upstreamId: 'N1',
    answer: '250 2.0.0',
  });
  assert.deepEqual(next.contents, [CONTENT.toString()]);
  await carrier.close();
});

test('bytes that no next hop may be given are not taken', async () => {
  const carrier = carrierTo(1);
  for (const content of ['a\nb', 'a\rb\r\n', 'a\0\r\n'])
    for (const how of ['private', 'whole'] as const)
      assert.throws(
        () => carrier.cut(encodeKept(envelope, null, Buffer.from(content)), how, 'k-1'),
        {
          code: 'guard.cannot-cut',
        },
      );
  const two = encodeKept({ ...envelope, recipients: ['a@x.test>,<b@x.test'] }, null, CONTENT);
  assert.throws(() => carrier.cut(two, 'whole', 'k-1'), { code: 'guard.cannot-cut' });
  await carrier.close();
});

test('each answer of the next hop is the result it is, without its words', async () => {
  const cases = [
    ['250 2.0.0 <ann@x.test> ok', 'accepted', '250 2.0.0'],
    ['250 ok', 'accepted', '250'],
    ['450 4.2.1 <ann@x.test> later', 'deferred', '450 4.2.1'],
    ['421 4.3.2 down', 'deferred', '421 4.3.2'],
    ['550 5.7.1 spam', 'refused', '550 5.7.1'],
    ['', 'uncertain', 'no-answer'],
    [null, 'uncertain', 'no-answer'],
  ] as const;
  for (const [said, kind, answer] of cases) {
    const next = await startNextHop({ final: () => said });
    const carrier = carrierTo(next.port);
    const [one] = carrier.cut(encodeKept(envelope, null, CONTENT), 'private', 'k-1');
    assert.ok(one !== undefined);
    const result = await carrier.deliver(one);
    assert.deepEqual([result.kind, result.answer], [kind, answer], String(said));
    assert.equal(next.contents.length, 1);
    await carrier.close();
    await next.close();
  }
  const gone = carrierTo(1);
  const [one] = gone.cut(encodeKept(envelope, null, CONTENT), 'private', 'k-1');
  assert.equal(
    (await gone.deliver(one ?? { bytes: Buffer.alloc(0), readers: 1 })).kind,
    'deferred',
  );
  await gone.close();
});

/** The reports that failures of both readers lead to, and the commands they came with. */
async function reportsOn(
  kept: Buffer,
  kind: 'refused' | 'expired' | 'uncertain' = 'refused',
): Promise<{ reports: readonly string[]; commands: readonly string[] }> {
  const next = await startNextHop();
  const carrier = carrierTo(next.port);
  const failed = carrier
    .cut(kept, 'private', 'k-1')
    .map((delivery) => ({ delivery, answer: '550 5.1.1', kind }));
  await carrier.tellFailed(kept, failed, 'k-1');
  await carrier.close();
  await next.close();
  return { reports: next.contents, commands: next.commands };
}

test('a report goes to the sender with a null reverse path and says what was asked of it', async () => {
  const { reports, commands } = await reportsOn(encodeKept(envelope, DSN, CONTENT));
  const [report = '', ...more] = reports;
  assert.equal(more.length, 0);
  assert.ok(commands.includes('MAIL FROM:<>') && commands.includes(`RCPT TO:<${FROM}>`));
  assert.match(report, /We had taken it as k-1\./);
  assert.match(report, /\r\nOriginal-Envelope-Id: E\+1\r\n/);
  assert.match(
    report,
    /\r\nOriginal-Recipient: rfc822; ann@x\.test\r\nFinal-Recipient: rfc822; ann@x\.test\r\nAction: failed\r\nStatus: 5\.1\.1\r\nDiagnostic-Code: smtp; 550 5\.1\.1\r\n/,
  );
  // NOTIFY=NEVER: not a word of him, in the returned message neither.
  assert.doesNotMatch(report, /bob@/);
  assert.match(
    report,
    /\r\nContent-Type: message\/rfc822\r\n\r\nFrom: [^\r]+\r\nSubject: x\r\n\r\nhello\r\n/,
  );
});

test('without RET=FULL the header alone is returned', async () => {
  const { reports } = await reportsOn(encodeKept(envelope, null, CONTENT), 'expired');
  assert.match(
    reports[0] ?? '',
    /\r\nContent-Type: text\/rfc822-headers\r\n\r\nFrom: [^\r]+\r\nSubject: x\r\n/,
  );
  assert.doesNotMatch(reports[0] ?? '', /hello/);
});

test('nothing is reported to a null sender, nor of readers nobody is to be told of', async () => {
  const quiet = {
    ...DSN,
    recipients: [
      { notify: 'NEVER', orcpt: '' },
      { notify: 'SUCCESS,DELAY', orcpt: '' },
    ],
  };
  const cases = [
    encodeKept({ ...envelope, from: '' }, null, CONTENT),
    encodeKept(envelope, quiet, CONTENT),
  ];
  for (const kept of cases) assert.deepEqual((await reportsOn(kept)).commands, []);
});

test('what may have arrived is reported as such', async () => {
  const { reports } = await reportsOn(encodeKept(envelope, null, CONTENT), 'uncertain');
  assert.match(reports[0] ?? '', /they may or may not have it/);
});

test('a report that the next hop does not take now is a fault, to be tried again', async () => {
  const next = await startNextHop({ final: () => '450 4.3.2 later' });
  const carrier = carrierTo(next.port);
  const kept = encodeKept(envelope, null, CONTENT);
  const [delivery] = carrier.cut(kept, 'private', 'k-1');
  assert.ok(delivery !== undefined);
  const failed = [{ delivery, answer: '550', kind: 'refused' as const }];
  await assert.rejects(carrier.tellFailed(kept, failed, 'k-1'), { code: 'smtp.report-deferred' });
  await carrier.close();
});
