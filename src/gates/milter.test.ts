/** The milter door, with a mail server's end of the wire in the test's own hands. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { lstatSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, test } from 'node:test';
import type { Action, Decision, GuardedCall, Road } from '../guard/check.ts';
import { type Identity, identityOf, policyOf } from '../guard/identity.ts';
import { judgeCopies } from '../guard/judge.ts';
import type { Gate } from './gate.ts';
import { PacketReader, packet } from './milter/wire.ts';
import { type MilterOptions, startMilter } from './milter.ts';
import { decodeKept } from './smtp-carrier.ts';

const COMPANY = { companyDomains: ['northwind.example'], roleAddresses: [] };
const settings = (identity: Identity): { policy: ReturnType<typeof policyOf> } => ({
  policy: policyOf(identity, COMPANY),
});
const BULK = identityOf('news', 'bulk');
const FROM = 'office@northwind.example';
const ANN = 'ann@home.example';
const BOB = 'bob@home.example';
const LEADING_SPACE = 0x10_0000;
const SKIP = 0x400;
const ALL_STEPS = 0x1f_ffff;

const opened: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

interface Seen {
  readonly calls: GuardedCall[];
  readonly kept: Buffer[];
  readonly identities: Identity[];
}

/** Judges as the guard does, and keeps in memory. */
function roadInto(seen: Seen): Road {
  return {
    async decide(call, identity): Promise<Decision> {
      seen.calls.push(call);
      seen.identities.push(identity);
      const judgement = judgeCopies(call.copies, settings(identity));
      const { kind } = judgement.verdict;
      const { mode } = identity;
      const rest = { ...judgement, entry: 'v-1', mode };
      if (kind === 'pass' || (mode !== 'enforce' && kind !== 'defer'))
        return { ...rest, action: 'forward', kept: null };
      if (kind === 'refuse' || kind === 'defer') return { ...rest, action: kind, kept: null };
      return keep(call, rest);
    },
  };
  function keep(call: GuardedCall, rest: Omit<Decision, 'action' | 'kept'>): Decision {
    try {
      seen.kept.push(call.keep());
      return { ...rest, action: 'keep', kept: 'k-1' };
    } catch {
      const reasons = rest.verdict.kind === 'pass' ? [] : rest.verdict.reasons;
      return { ...rest, verdict: { kind: 'refuse', reasons }, action: 'refuse', kept: null };
    }
  }
}

interface Started extends Seen {
  readonly gate: Gate;
  readonly warnings: string[];
  readonly place: { readonly host: string; readonly port: number };
}

async function start(options: Partial<MilterOptions> = {}): Promise<Started> {
  const seen: Seen = { calls: [], kept: [], identities: [] };
  const warnings: string[] = [];
  const gate = await startMilter({
    listen: { host: '127.0.0.1', port: 0 },
    road: roadInto(seen),
    identityFor: () => BULK,
    handOver: false,
    log: { warn: (event, fields) => void warnings.push(`${event} ${JSON.stringify(fields)}`) },
    ...options,
    limits: { closeMs: 300, ...options.limits },
  });
  opened.push(() => gate.close());
  const port = Number(/^inet:(\d+)@/.exec(gate.address)?.[1] ?? 0);
  return { ...seen, gate, warnings, place: { host: '127.0.0.1', port } };
}

interface Answer {
  readonly command: string;
  readonly data: Buffer;
}

/** A mail server's end of the wire, that says exactly what it is told. */
class Mta {
  readonly socket: Socket;
  readonly answers: Answer[] = [];
  #closed = false;
  #wake: () => void = () => {};

  constructor(place: { host: string; port: number } | { path: string }) {
    this.socket = connect(place);
    this.socket.setNoDelay(true);
    opened.push(() => void this.socket.destroy());
    const reader = new PacketReader(1_000_000);
    this.socket.on('data', (chunk) => {
      for (const { command, data } of reader.push(chunk))
        this.answers.push({ command, data: Buffer.from(data) });
      this.#wake();
    });
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.#closed = true;
      this.#wake();
    });
  }

  say(command: string, data: string | Buffer = ''): void {
    this.socket.write(packet(command, typeof data === 'string' ? Buffer.from(data) : data));
  }

  /** The next packet; 'closed' or 'silent' where none comes. */
  async answer(waitMs = 3000): Promise<Answer> {
    const end = performance.now() + waitMs;
    while (this.answers.length === 0) {
      if (this.#closed) return { command: 'closed', data: Buffer.alloc(0) };
      const left = end - performance.now();
      if (left <= 0) return { command: 'silent', data: Buffer.alloc(0) };
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return this.answers.shift() ?? { command: 'closed', data: Buffer.alloc(0) };
  }

  async negotiate(steps = ALL_STEPS, actions = 0x1ff, version = 6): Promise<Answer> {
    const data = Buffer.alloc(12);
    data.writeUInt32BE(version, 0);
    data.writeUInt32BE(actions, 4);
    data.writeUInt32BE(steps, 8);
    this.say('O', data);
    return this.answer();
  }

  /** Everything up to the end of a message, and every packet of the answer. */
  async send(message: {
    readonly to: readonly string[];
    readonly headers: readonly (readonly [string, string])[];
    readonly body?: string;
    readonly mailParameters?: readonly string[];
    readonly rcptParameters?: readonly string[];
    readonly from?: string;
  }): Promise<readonly Answer[]> {
    const parameters = (list: readonly string[] = []): string =>
      list.map((one) => `${one}\0`).join('');
    this.say('M', `<${message.from ?? FROM}>\0${parameters(message.mailParameters)}`);
    assert.equal((await this.answer()).command, 'c');
    for (const to of message.to) this.say('R', `<${to}>\0${parameters(message.rcptParameters)}`);
    this.say('T');
    for (const [name, value] of message.headers) this.say('L', `${name}\0${value}\0`);
    this.say('N');
    this.say('B', message.body ?? 'Hello.\r\n');
    assert.equal((await this.answer()).command, 'c');
    this.say('E');
    return this.untilFinal();
  }

  async untilFinal(): Promise<readonly Answer[]> {
    const all: Answer[] = [];
    for (;;) {
      const answer = await this.answer();
      all.push(answer);
      if (!['p', 'h', 'm'].includes(answer.command)) return all;
    }
  }
}

const one = (answers: readonly Answer[]): string => answers.map(({ command }) => command).join('');
const text = (answer: Answer | undefined): string => answer?.data.toString('latin1') ?? '';

function leak(): Parameters<Mta['send']>[0] {
  return {
    to: [ANN, BOB],
    headers: [
      ['From', ` ${FROM}`],
      ['To', ` ${ANN},\n\t${BOB}`],
      ['Subject', ' News'],
    ],
  };
}

function alone(): Parameters<Mta['send']>[0] {
  return {
    to: [ANN],
    headers: [
      ['From', ` ${FROM}`],
      ['To', ` ${ANN}`],
      ['Subject', ' News'],
    ],
  };
}

test('what passes is accepted, and was judged byte for byte as readers get it', async () => {
  const { place, calls } = await start();
  const mta = new Mta(place);
  const offer = await mta.negotiate();
  assert.equal(offer.command, 'O');
  assert.equal(offer.data.readUInt32BE(0), 6);
  assert.equal(offer.data.readUInt32BE(8) & LEADING_SPACE, LEADING_SPACE);
  const answers = await mta.send({
    to: [ANN],
    headers: [
      ['From', `  ${FROM}`],
      ['To', `${ANN}`],
      ['Subject', ' a\n\tb\n  c'],
      ['Content-Type', ' text/plain; charset=utf-8'],
    ],
    body: 'grüße\r\n.\r\n',
  });
  assert.equal(one(answers), 'a');
  const bytes = Buffer.from(calls[0]?.copies[0]?.bytes ?? '').toString('utf8');
  const wanted = `From:  ${FROM}\r\nTo:${ANN}\r\nSubject: a\r\n\tb\r\n  c\r\nContent-Type: text/plain; charset=utf-8\r\n\r\ngrüße\r\n.\r\n`;
  assert.equal(bytes, wanted);
});

test('a mail server that keeps the leading space to itself gets it put back', async () => {
  const { place, calls } = await start();
  const mta = new Mta(place);
  await mta.negotiate(SKIP);
  mta.say('M', `<${FROM}>\0`);
  mta.say('R', `<${ANN}>\0`);
  mta.say('L', `To\0${ANN}\0`);
  mta.say('N');
  mta.say('E', 'last words\r\n');
  // Nothing may be left unanswered that was not agreed on.
  assert.equal(one([await mta.answer(), await mta.answer(), await mta.answer()]), 'ccc');
  assert.equal(one([await mta.answer(), await mta.answer()]), 'ca');
  const bytes = Buffer.from(calls[0]?.copies[0]?.bytes ?? '').toString();
  assert.equal(bytes, `To: ${ANN}\r\n\r\nlast words\r\n`);
});

test('the envelope comes from MAIL and RCPT, SMTPUTF8 and DSN too, and belongs to one message only', async () => {
  const { place, calls, kept } = await start({
    handOver: true,
    identityFor: () => ({ ...BULK, split: true }),
  });
  const mta = new Mta(place);
  await mta.negotiate();
  const utf8 = '用户@bücher.example';
  const answers = await mta.send({
    ...leak(),
    to: [ANN, utf8],
    headers: [
      ['From', ` ${FROM}`],
      ['To', ` ${ANN}, ${utf8}`],
    ],
    mailParameters: ['SMTPUTF8', 'RET=HDRS', 'ENVID=e1'],
    rcptParameters: ['NOTIFY=failure', `ORCPT=rfc822;${ANN}`],
  });
  assert.equal(one(answers), 'd');
  const mail = decodeKept(kept[0] ?? Buffer.alloc(0));
  assert.deepEqual(mail.envelope, { from: FROM, recipients: [ANN, utf8], smtpUtf8: true });
  assert.equal(mail.dsn?.ret, 'HDRS');
  assert.equal(mail.dsn?.envid, 'e1');
  assert.deepEqual(mail.dsn?.recipients[0], { notify: 'FAILURE', orcpt: `rfc822;${ANN}` });
  assert.equal(one(await mta.send({ ...alone(), from: '' })), 'a');
  assert.deepEqual(calls[1]?.copies[0]?.envelope, {
    from: '',
    recipients: [ANN],
    smtpUtf8: false,
  });
});

test('a leak is refused for the whole message, with sentences', async () => {
  const { place } = await start();
  const mta = new Mta(place);
  await mta.negotiate();
  const answers = await mta.send(leak());
  assert.equal(one(answers), 'y');
  assert.match(
    text(answers[0]),
    /^550-5\.7\.1 The header would show recipients to each other\.\r\n/,
  );
  assert.match(text(answers[0]), /\r\n550 5\.7\.1 Nobody got this message\. Record v-1\.\0$/);
});

test('split without a relay behind it is refused, and with one is discarded once it is stored', async () => {
  const split = { ...BULK, split: true };
  const without = await start({ identityFor: () => split });
  const first = new Mta(without.place);
  await first.negotiate();
  assert.equal(one(await first.send(leak())), 'y');
  assert.equal(without.identities[0]?.split, false);
  assert.equal(without.kept.length, 0);
  const behind = await start({ identityFor: () => split, handOver: true });
  const second = new Mta(behind.place);
  await second.negotiate();
  assert.equal(one(await second.send(leak())), 'd');
  assert.deepEqual(decodeKept(behind.kept[0] ?? Buffer.alloc(0)).envelope.recipients, [ANN, BOB]);
});

const HOLD: Decision = {
  verdict: { kind: 'hold', reasons: ['placeholder'] },
  findings: [],
  visible: [],
  outsiders: [],
  disclosures: 0,
  defects: [],
  readers: 1,
  entry: 'v-2',
  action: 'keep',
  mode: 'enforce',
  kept: null,
};

test('a hold without a relay is refused, and says that a milter alone cannot hold', async () => {
  const road: Road = {
    async decide(call) {
      assert.throws(() => call.keep(), { code: 'guard.cannot-cut' });
      const action: Action = 'refuse';
      return { ...HOLD, verdict: { kind: 'refuse', reasons: ['placeholder'] }, action };
    },
  };
  const { place } = await start({ road });
  const mta = new Mta(place);
  await mta.negotiate();
  assert.match(
    text((await mta.send(alone()))[0]),
    /^550-5\.7\.1 [\s\S]*A milter alone can neither split nor hold a message/,
  );
});

test('kept without a place, a road that throws, and identities that throw: try later, never accept', async () => {
  const broken: Partial<MilterOptions>[] = [
    { road: { decide: async () => HOLD }, handOver: true },
    { road: { decide: async () => Promise.reject(new Error('broken')) } },
    {
      identityFor: () => {
        throw new Error('broken');
      },
    },
    { road: { decide: async () => ({ ...HOLD, action: 'forward' }) } },
    {
      road: {
        decide: async () => ({
          ...HOLD,
          verdict: { kind: 'defer', reasons: ['halted'] },
          action: 'defer',
        }),
      },
    },
  ];
  for (const [place, options] of broken.entries()) {
    const started = await start(options);
    const mta = new Mta(started.place);
    await mta.negotiate();
    const answers = await mta.send(alone());
    assert.equal(one(answers), 'y', `case ${place}`);
    assert.match(text(answers[0]), /^451 4\.\d\.\d \S/, `case ${place}`);
  }
});

test('who has no policy is refused; the macros of MAIL say who authenticated, for that message alone', async () => {
  const asked: (string | undefined)[] = [];
  const { place } = await start({
    identityFor: (macros) => {
      asked.push(macros.get('{auth_authen}'));
      assert.equal(macros.get('j'), 'mx.test');
      return macros.has('{auth_authen}') ? BULK : null;
    },
  });
  const mta = new Mta(place);
  await mta.negotiate();
  mta.say('D', 'Cj\0mx.test\0');
  mta.say('C', 'client.test\x004\0\x19127.0.0.1\0');
  mta.say('D', 'M{auth_authen}\0news\0i\0A1\0');
  assert.equal(one(await mta.send(alone())), 'a');
  assert.match(text((await mta.send(alone()))[0]), /^550 5\.7\.1 No policy/);
  assert.deepEqual(asked, ['news', undefined]);
});

test('mask empties To and Cc in place of a refusal, and what is masked was judged again', async () => {
  const { place, calls, warnings } = await start({ mask: { settings } });
  const mta = new Mta(place);
  await mta.negotiate();
  const answers = await mta.send({
    to: [ANN, BOB],
    headers: [
      ['From', ` ${FROM}`],
      ['Cc', ` ${BOB}`],
      ['To', ` ${ANN}`],
      ['cc', ` ${ANN}`],
      ['Subject', ' News'],
    ],
  });
  assert.equal(one(answers), 'mmma');
  const changes = answers
    .slice(0, 3)
    .map(({ data }) => [
      data.readUInt32BE(0),
      ...data.toString('latin1', 4).split('\0').slice(0, 2),
    ]);
  assert.deepEqual(changes, [
    [2, 'cc', ''],
    [1, 'To', ' undisclosed-recipients:;'],
    [1, 'Cc', ''],
  ]);
  const wanted = `From: ${FROM}\r\nTo: undisclosed-recipients:;\r\nSubject: News\r\n\r\nHello.\r\n`;
  assert.equal(calls.length, 1);
  assert.equal(Buffer.from(calls[0]?.copies[0]?.bytes ?? '').toString(), wanted);
  assert.match(
    warnings.join(),
    /^milter\.masked \{"identity":"news","readers":2,"disclosures":2\}$/,
  );
  // Nothing is changed in what passes as it is, and what shows people elsewhere is refused all the same.
  assert.equal(one(await mta.send(alone())), 'a');
  const elsewhere = leak();
  const body = `Dear ${ANN}, dear ${BOB}\r\n`;
  assert.equal(one(await mta.send({ ...elsewhere, body })), 'y');
});

test('nothing is masked under a signature, by a mail server that cannot, or in mode shadow', async () => {
  const { place } = await start({ mask: { settings } });
  const mta = new Mta(place);
  await mta.negotiate();
  const signed = leak();
  const headers = [['DKIM-Signature', ' v=1; h=from:to'] as const, ...signed.headers];
  assert.equal(one(await mta.send({ ...signed, headers })), 'y');
  const unable = new Mta(place);
  await unable.negotiate(ALL_STEPS, 0x01);
  assert.equal(one(await unable.send(leak())), 'y');
  const shadow = await start({
    mask: { settings },
    identityFor: () => ({ ...BULK, mode: 'shadow' }),
  });
  const third = new Mta(shadow.place);
  await third.negotiate();
  assert.equal(one(await third.send(leak())), 'a');
});

test('warn accepts and says so in the log; the field that readers would get is asked for', async () => {
  const identityFor = (): Identity => ({ ...BULK, mode: 'warn' });
  const silent = await start({ identityFor });
  const first = new Mta(silent.place);
  await first.negotiate();
  assert.equal(one(await first.send(leak())), 'a');
  assert.match(silent.warnings.join(), /^milter\.warning .*visible-recipients/);
  const loud = await start({ identityFor, warnHeader: true });
  const second = new Mta(loud.place);
  await second.negotiate();
  const answers = await second.send(leak());
  assert.equal(one(answers), 'ha');
  assert.match(text(answers[0]), /^X-Undisclosed-Warning\0 visible-recipients/);
});

test('too large, announced or in fact, and too many recipients: refused unseen, and the rest skipped', async () => {
  const { place, calls } = await start({ limits: { sizeBytesMax: 10_000, recipientsMax: 2 } });
  const mta = new Mta(place);
  await mta.negotiate();
  const begin = async (parameters: string, to: readonly string[]): Promise<void> => {
    mta.say('M', `<${FROM}>\0${parameters}`);
    assert.equal((await mta.answer()).command, 'c');
    for (const address of to) mta.say('R', `<${address}>\0`);
    mta.say('L', `To\0 ${ANN}\0`);
    mta.say('N');
  };
  const end = async (): Promise<string> => {
    mta.say('E');
    return text((await mta.untilFinal())[0]);
  };
  await begin('SIZE=10001\0', [ANN]);
  assert.match(await end(), /^552 5\.3\.4 /);
  await begin('', [ANN]);
  mta.say('B', 'x'.repeat(6000));
  assert.equal((await mta.answer()).command, 'c');
  mta.say('B', 'x'.repeat(6000));
  assert.equal((await mta.answer()).command, 's');
  assert.match(await end(), /^552 5\.3\.4 /);
  await begin('', [ANN, BOB, FROM]);
  assert.match(await end(), /^550 5\.5\.3 /);
  assert.equal(calls.length, 0);
  assert.equal(one(await mta.send(alone())), 'a');
});

test('malformed packets, false lengths and commands out of order end that connection, and no other', async () => {
  const { place, warnings, calls } = await start({ limits: { packetBytesMax: 5000 } });
  const other = new Mta(place);
  await other.negotiate();
  const wrongs: (readonly [string, (mta: Mta) => void])[] = [
    ['milter.bad-length', (mta) => void mta.socket.write(Buffer.from([0, 0, 0, 0]))],
    ['milter.bad-length', (mta) => void mta.socket.write(Buffer.from([0xff, 0xff, 0xff, 0xff]))],
    ['milter.malformed', (mta) => mta.say('O', 'short')],
    ['milter.out-of-order', (mta) => mta.say('M', `<${FROM}>\0`)],
    ['milter.old-protocol', (mta) => void mta.negotiate(0, 0, 2)],
  ];
  const later: (readonly [string, (mta: Mta) => void])[] = [
    ['milter.out-of-order', (mta) => void mta.negotiate()],
    ['milter.out-of-order', (mta) => mta.say('E')],
    ['milter.out-of-order', (mta) => mta.say('L', 'To\0x\0')],
    ['milter.malformed', (mta) => mta.say('M', 'no end')],
    ['milter.malformed', (mta) => mta.say('M', '')],
    ['milter.malformed', (mta) => mta.say('D', '')],
    ['milter.malformed', (mta) => mta.say('D', '?x\0y\0')],
    [
      'milter.malformed',
      (mta) => {
        mta.say('M', '<a@b>\0');
        mta.say('L', 'To\0');
      },
    ],
    [
      'milter.malformed',
      (mta) => {
        mta.say('M', '<a@b>\0');
        mta.say('z');
      },
    ],
  ];
  const cases = [
    ...wrongs.map((one) => [...one, false] as const),
    ...later.map((one) => [...one, true] as const),
  ];
  for (const [code, wrong, negotiated] of cases) {
    const mta = new Mta(place);
    if (negotiated) await mta.negotiate();
    warnings.length = 0;
    wrong(mta);
    let answer = await mta.answer();
    while (answer.command === 'c' || answer.command === 'O') answer = await mta.answer();
    assert.equal(answer.command, 'closed', `${code}: ${warnings.join()}`);
    assert.ok(
      warnings.some((line) => line.includes(`"${code}"`)),
      `${code}: ${warnings.join()}`,
    );
    assert.ok(!warnings.join().includes('@'));
  }
  assert.equal(calls.length, 0);
  assert.equal(one(await other.send(alone())), 'a');
});

test('what was answered or given up is over: its end cannot be said again', async () => {
  const { place, calls, warnings } = await start();
  for (const begin of [
    async (mta: Mta) => void (await mta.send(alone())),
    async (mta: Mta) => {
      mta.say('M', `<${FROM}>\0`);
      mta.say('A');
      assert.equal((await mta.answer()).command, 'c');
    },
  ]) {
    const mta = new Mta(place);
    await mta.negotiate();
    await begin(mta);
    mta.say('E');
    assert.equal((await mta.answer()).command, 'closed');
  }
  assert.equal(calls.length, 1);
  assert.equal(warnings.filter((line) => line.includes('milter.out-of-order')).length, 2);
});

test('bytes that come one by one are the same message', async () => {
  const { place, calls } = await start();
  const mta = new Mta(place);
  mta.socket.setNoDelay(true);
  await mta.negotiate();
  const bytes = Buffer.concat([
    packet('M', Buffer.from(`<${FROM}>\0`)),
    packet('R', Buffer.from(`<${ANN}>\0`)),
    packet('L', Buffer.from(`To\0 ${ANN}\0`)),
    packet('N'),
    packet('B', Buffer.from('Hello.\r\n')),
    packet('E'),
  ]);
  for (const byte of bytes) {
    mta.socket.write(Buffer.from([byte]));
    await new Promise((resolve) => setImmediate(resolve));
  }
  const answers = [await mta.answer(), await mta.answer(), await mta.answer()];
  assert.equal(one(answers), 'cca');
  const got = Buffer.from(calls[0]?.copies[0]?.bytes ?? '').toString();
  assert.equal(got, `To: ${ANN}\r\n\r\nHello.\r\n`);
});

test('ABORT ends a message and QUIT_NC a connection without an answer; QUIT closes', async () => {
  const { place, calls } = await start();
  const mta = new Mta(place);
  await mta.negotiate();
  mta.say('M', `<${FROM}>\0`);
  mta.say('R', `<${BOB}>\0`);
  mta.say('A');
  assert.equal((await mta.answer()).command, 'c');
  assert.equal(one(await mta.send(alone())), 'a');
  mta.say('K');
  mta.say('C', 'client.test\x004\0\x19127.0.0.1\0');
  assert.equal(one(await mta.send(alone())), 'a');
  assert.deepEqual(
    calls.map(({ copies }) => copies[0]?.envelope.recipients),
    [[ANN], [ANN]],
  );
  mta.say('Q');
  assert.equal((await mta.answer()).command, 'closed');
});

test('while the guard thinks the mail server is told so, and closing waits for its answer', async () => {
  let go: () => void = () => {};
  const wait = new Promise<void>((resolve) => {
    go = resolve;
  });
  const seen: Seen = { calls: [], kept: [], identities: [] };
  const road = roadInto(seen);
  const { place, gate } = await start({
    road: { decide: async (call, identity) => wait.then(() => road.decide(call, identity)) },
    limits: { progressMs: 20, closeMs: 3000 },
  });
  const mta = new Mta(place);
  await mta.negotiate();
  const answers = mta.send(alone());
  while (mta.socket.bytesRead < 40) await new Promise((resolve) => setTimeout(resolve, 5));
  const closed = gate.close();
  go();
  assert.match(one(await answers), /^p+a$/);
  await closed;
  assert.equal((await mta.answer()).command, 'closed');
});

test('who says nothing, or stops within a packet, is not waited for longer than allowed', async () => {
  const { place } = await start({ limits: { idleMs: 400, packetMs: 50 } });
  const silent = new Mta(place);
  assert.equal((await silent.answer(3000)).command, 'closed');
  const half = new Mta(place);
  await half.negotiate();
  const began = performance.now();
  half.socket.write(Buffer.from([0, 0, 0, 9, 77]));
  assert.equal((await half.answer(3000)).command, 'closed');
  assert.ok(performance.now() - began < 350);
});

test('it listens on a Unix socket, also where a killed process left its own; no other file is removed', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'undisclosed-milter-'));
  opened.unshift(() => rmSync(folder, { recursive: true, force: true }));
  const place = { path: path.join(folder, 'milter') };
  // A listener that is never closed leaves its file where a process is killed.
  const killed = spawnSync(process.execPath, [
    '-e',
    `require('node:net').createServer().listen(${JSON.stringify(place.path)}, () => process.kill(process.pid, 'SIGKILL'))`,
  ]);
  assert.equal(killed.signal, 'SIGKILL');
  assert.ok(lstatSync(place.path).isSocket());
  const { gate } = await start({ listen: place });
  assert.equal(gate.address, `unix:${place.path}`);
  const mta = new Mta(place);
  await mta.negotiate();
  assert.equal(one(await mta.send(alone())), 'a');
  const file = { path: path.join(folder, 'file') };
  writeFileSync(file.path, 'mine');
  await assert.rejects(start({ listen: file }), { code: 'milter.listen-failed' });
  assert.equal(readFileSync(file.path, 'utf8'), 'mine');
});

test('a milter that hands over listens to this machine alone', async () => {
  const listen = { host: '0.0.0.0', port: 0 };
  await assert.rejects(start({ listen, handOver: true }), { code: 'milter.not-loopback' });
  const { gate } = await start({ listen, handOver: false });
  assert.match(gate.address, /^inet:\d+@0\.0\.0\.0$/);
});
