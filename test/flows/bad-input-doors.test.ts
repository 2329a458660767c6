/**
 * Anything at all at each of the six doors: bytes that are no protocol, protocols in the wrong order, documents with everything
 * wrong, far too much of it. Each is answered in the protocol's own way or its connection is closed; nothing crashes, hangs or stays
 * in memory, and the far side gets nothing that the road has not let through. The same seed gives the same input.
 */

import assert from 'node:assert/strict';
import http from 'node:http';
import { connect } from 'node:net';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { gzipSync } from 'node:zlib';
import { seeded } from '../../demo/sample-customers.ts';
import { identityOf } from '../../src/guard/identity.ts';
import {
  documentOf,
  milterMessage,
  milterNegotiation,
  milterPacket,
  milterTalk,
  mimeOf,
  openMilterDoor,
  openProviderDoor,
  type PlainMessage,
  PROVIDERS,
  type ProviderDoor,
} from '../support/doors.ts';
import { createMemoryRoad, type MemoryRoad } from '../support/provider-road.ts';
import { startNextHop, startRelay } from './smtp-relay-next-hop.ts';

const SEED = 20261130;
const DEADLINE_MS = 10_000;
const HEAP_GROWTH_MAX = 24 * 1024 * 1024;

const CLEAN: PlainMessage = {
  from: 'news@company.example',
  to: ['ann@x.test'],
  subject: 'News',
  text: 'Hello, we have moved.',
};
const LEAK: PlainMessage = { ...CLEAN, to: ['ann@x.test', 'bob@y.test', 'cem@z.test'] };

class Dice {
  readonly #random: () => number;
  constructor(seed: number) {
    this.#random = seeded(seed);
  }
  below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }
  pick<T>(list: readonly T[]): T {
    const one = list[this.below(list.length)];
    if (one === undefined) throw new Error('nothing to pick from');
    return one;
  }
  bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.below(256)));
  }
  /** The bytes with a few places cut out, doubled, overwritten or filled. */
  mutated(source: Buffer): Buffer {
    let bytes = source;
    for (let times = 1 + this.below(this.below(2) === 0 ? 1 : 4); times > 0; times--) {
      const at = this.below(bytes.length + 1);
      const length = this.below(40);
      const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
      const change = this.below(5);
      if (change === 0) bytes = Buffer.concat([before, after.subarray(length)]);
      else if (change === 1) bytes = Buffer.concat([before, after.subarray(0, length), after]);
      else if (change === 2) bytes = Buffer.concat([before, this.bytes(length), after]);
      else if (change === 3) bytes = before;
      else bytes = Buffer.concat([before, this.pick(SPECIAL), after]);
    }
    return bytes;
  }
}

const SPECIAL: readonly Buffer[] = [
  ...['\0', '\r', '\n', '\r\n.\r\n', '\r\n', '\x7f', '\u00ff', '"', '{', '[', '\\u0000', ','].map(
    (text) => Buffer.from(text, 'latin1'),
  ),
  Buffer.from('x'.repeat(70_000)),
  Buffer.from([0xff, 0xff, 0xff, 0xff]),
  Buffer.from([0xed, 0xa0, 0x80]),
];

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

/** What is left on the heap once everything that could be given back was. */
async function heapLeft(): Promise<number> {
  for (let times = 0; times < 3; times++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    collectGarbage();
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Runs it once to warm up, then measures that it leaves nothing behind. */
async function leavesNothing(run: () => Promise<void>): Promise<void> {
  const before = await heapLeft();
  await run();
  const grown = (await heapLeft()) - before;
  assert.ok(grown < HEAP_GROWTH_MAX, `${grown} bytes stayed in memory`);
}

const forwards = (road: MemoryRoad): number =>
  road.decisions.filter(({ action }) => action === 'forward').length;

/**
 * Writes bytes in pieces and half-closes; everything that came back until the other side closed.
 * @param awaited what has to come back before the last piece is written; not waited for longer than 100 ms.
 */
function throwAt(
  port: number,
  pieces: readonly Buffer[],
  halfClose = true,
  awaited: string | null = null,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    const received: Buffer[] = [];
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`no end within ${DEADLINE_MS} ms: ${Buffer.concat(received)}`));
    }, DEADLINE_MS);
    const done = (): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(Buffer.concat(received).toString('latin1'));
    };
    let rest: Buffer | null = null;
    const writeRest = (): void => {
      if (rest === null) return;
      socket.write(rest);
      rest = null;
      if (halfClose) socket.end();
    };
    socket.on('data', (chunk) => {
      received.push(chunk);
      if (awaited !== null && Buffer.concat(received).includes(awaited)) writeRest();
    });
    // A server that resets has closed.
    socket.on('error', done);
    socket.on('end', done);
    socket.on('close', done);
    const [last] = pieces.slice(-1);
    if (awaited !== null && last !== undefined) {
      for (const piece of pieces.slice(0, -1)) socket.write(piece);
      rest = last;
      setTimeout(writeRest, 100).unref();
      return;
    }
    for (const piece of pieces) socket.write(piece);
    if (halfClose) socket.end();
  });
}

const latin = (text: string): Buffer => Buffer.from(text, 'latin1');

const DIALOGUE = (message: PlainMessage): Buffer =>
  latin(
    `EHLO client.test\r\nMAIL FROM:<${message.from}>\r\n${message.to.map((to) => `RCPT TO:<${to}>\r\n`).join('')}DATA\r\n${mimeOf(message)}\r\n.\r\nQUIT\r\n`,
  );

const SMTP_ODDITIES: readonly Buffer[] = [
  latin('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
  Buffer.from('16030100a5010000a10303', 'hex'),
  latin('EHLO x\r\nAUTH PLAIN\r\n!!!\r\nAUTH LOGIN\r\n=\r\n=\r\nAUTH XYZ\r\nQUIT\r\n'),
  latin('EHLO x\r\nMAIL FROM:<a@b.test> SIZE=99999999999999999999 BODY=X SMTPUTF8=1\r\nQUIT\r\n'),
  latin(`EHLO ${'x'.repeat(100_000)}\r\nQUIT\r\n`),
  latin(`EHLO x\r\nMAIL FROM:<${'a'.repeat(70_000)}@b.test>\r\nQUIT\r\n`),
  latin('DATA\r\n.\r\nRCPT TO:<a@b.test>\r\nMAIL FROM:<>\r\nMAIL FROM:<>\r\nQUIT\r\n'),
  latin('EHLO x\r\nBDAT 10 LAST\r\n0123456789BURL imap://x LAST\r\nVRFY a\r\nETRN b\r\nQUIT\r\n'),
  latin(
    'EHLO x\r\nMAIL FROM:<@a,@b:c@d.test>\r\nRCPT TO:<a@[1.2.3.4]>\r\nRCPT TO:<"\\"@x.test>\r\nQUIT\r\n',
  ),
  latin(`EHLO x\r\nMAIL FROM:<a@b.test>\r\n${'RCPT TO:<a@b.test>\r\n'.repeat(3_000)}QUIT\r\n`),
  latin('\r\n'.repeat(5_000)),
  latin('STARTTLS\r\nEHLO x\r\nSTARTTLS\r\nQUIT\r\n'),
  latin('EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<a@b.test>\r\nDATA\r\nno end'),
  latin('EHLO \xff\xfe\r\nMAIL FROM:<\xc3\x28@b.test> SMTPUTF8\r\nQUIT\r\n'),
];

test('the SMTP relay', { timeout: 60_000 }, async (context) => {
  context.diagnostic(`seed ${SEED}`);
  const dice = new Dice(SEED);
  const road = createMemoryRoad();
  const judgedBytes: string[] = [];
  const next = await startNextHop();
  const relay = await startRelay(next, {
    road: {
      decide: (call, identity) => {
        for (const { bytes } of call.copies)
          judgedBytes.push(Buffer.from(bytes).toString('latin1'));
        return road.decide(call, identity);
      },
    },
    trace: false,
    limits: { sizeBytesMax: 1024 * 1024 },
  });
  // Content may not come before it is asked for (RFC 5321 section 4.1.1.4): what else there is of DATA waits for 354.
  const talk = (input: Buffer): Promise<string> => {
    const data = input.indexOf('\nDATA\r\n');
    const cut = data === -1 ? dice.below(input.length + 1) : data + 7;
    const pieces = [input.subarray(0, cut), input.subarray(cut)];
    return throwAt(relay.port, pieces, true, data === -1 ? null : '354');
  };
  const round = async (inputs: readonly Buffer[]): Promise<void> => {
    await sideBySide(inputs, async (input) => {
      const said = await talk(input);
      for (const line of said.split('\r\n').filter((one) => one !== ''))
        assert.match(line, /^[2345]\d\d[ -]/, `an answer that is none: ${line}`);
      assert.match(said, /^220 /);
    });
  };
  const inputs = [
    ...SMTP_ODDITIES,
    ...Array.from({ length: 160 }, () => dice.mutated(DIALOGUE(dice.pick([CLEAN, LEAK])))),
    ...Array.from({ length: 20 }, () => dice.bytes(dice.below(3_000))),
  ];
  await round(inputs.slice(0, 30));
  await leavesNothing(() => round(inputs));
  assert.ok(next.contents.length <= forwards(road), 'a client that has gone is not relayed for');
  const judged = new Set(judgedBytes.map((bytes) => bytes.replace(/(?:\r\n)+$/, '')));
  for (const content of next.contents) {
    const sent = content.replace(/^\./gm, '').replace(/(?:\r\n)+$/, '');
    assert.ok(judged.has(sent), 'what left was judged');
  }
  assert.doesNotMatch(next.contents.join(''), /bob@y\.test.*cem@z\.test/, 'no leak');
  const before = next.contents.length;
  assert.match(await talk(DIALOGUE(CLEAN)), /\r\n354 .*\r\n250 .*\r\n221 /s);
  assert.equal(next.contents.length, before + 1, 'the door still opens');
  context.diagnostic(`${inputs.length} dialogues, ${judgedBytes.length} judged, ${before} passed`);
  assert.ok(judgedBytes.length > 20, 'some came as far as the road');
});

/** Sendmail's and Postfix's macros before a command, as `name\0value\0`. */
function macros(command: string, values: Readonly<Record<string, string>>): Buffer {
  const pairs = Object.entries(values).map(([name, value]) => `${name}\0${value}\0`);
  return milterPacket('D', `${command}${pairs.join('')}`);
}

const CONNECT = milterPacket('C', `client.test\x004\x1f\x90127.0.0.1\0`);
const SENDMAIL = Buffer.concat([
  // Sendmail 8.17: SMFI_V2_ACTS and newer, all protocol steps.
  milterNegotiation(6, 0x1ff, 0x1fffff),
  macros('C', {
    j: 'mail.company.example',
    _: 'client.test [127.0.0.1]',
    '{daemon_name}': 'MTA',
    '{if_name}': 'localhost',
    '{if_addr}': '127.0.0.1',
  }),
  CONNECT,
  macros('H', { '{tls_version}': '', '{cipher}': '', '{cipher_bits}': '', '{cert_subject}': '' }),
  milterPacket('H', 'client.test\0'),
  macros('M', {
    i: '3AU0x1yz004711',
    '{auth_type}': 'PLAIN',
    '{auth_authen}': 'shop',
    '{mail_mailer}': 'esmtp',
    '{mail_host}': 'x.test',
    '{mail_addr}': CLEAN.from,
  }),
  macros('R', { '{rcpt_mailer}': 'esmtp', '{rcpt_host}': 'x.test', '{rcpt_addr}': 'ann@x.test' }),
]);
const POSTFIX = Buffer.concat([
  milterNegotiation(6, 0x1ff, 0x1fffff),
  macros('C', { j: 'mail.company.example', '{daemon_name}': 'mail', v: 'Postfix 3.7.11' }),
  CONNECT,
  milterPacket('H', 'client.test\0'),
  macros('M', {
    '{auth_authen}': 'shop',
    '{mail_addr}': CLEAN.from,
    '{mail_host}': '',
    '{mail_mailer}': 'smtp',
  }),
  macros('N', { i: '4XyZ' }),
]);

/** The same stream with one packet left out, doubled, moved or changed inside, its length right again. */
function repacked(stream: Buffer, dice: Dice): Buffer {
  const packets: Buffer[] = [];
  for (let at = 0; at < stream.length; ) {
    const end = at + 4 + stream.readUInt32BE(at);
    packets.push(stream.subarray(at, end));
    at = end;
  }
  const place = dice.below(packets.length);
  const one = packets[place] ?? Buffer.alloc(0);
  const change = dice.below(4);
  if (change === 0) packets.splice(place, 1);
  else if (change === 1) packets.splice(place, 0, one);
  else if (change === 2) packets.splice(dice.below(packets.length), 0, ...packets.splice(place, 1));
  else {
    const letter = one.toString('latin1', 4, 5);
    packets[place] = milterPacket(letter, dice.mutated(one.subarray(5)));
  }
  return Buffer.concat(packets);
}

const MILTER_ODDITIES: readonly Buffer[] = [
  Buffer.alloc(4),
  Buffer.from([0, 0, 0, 0, 0]),
  Buffer.from([0xff, 0xff, 0xff, 0xff, 0x4f]),
  Buffer.from([0x7f, 0xff, 0xff, 0xff, 0x42]),
  milterPacket('O', 'short'),
  milterPacket('E'),
  milterMessage(CLEAN),
  Buffer.concat([milterNegotiation(), milterNegotiation()]),
  Buffer.concat([milterNegotiation(), milterPacket('E')]),
  Buffer.concat([milterNegotiation(), milterPacket('B', 'text')]),
  Buffer.concat([milterNegotiation(), milterPacket('R', '<a@b.test>\0')]),
  Buffer.concat([milterNegotiation(), milterPacket('Z', 'unknown')]),
  Buffer.concat([milterNegotiation(), milterPacket('\xff', 'unknown')]),
  Buffer.concat([milterNegotiation(), milterPacket('M', 'no end')]),
  Buffer.concat([milterNegotiation(), milterPacket('M', '')]),
  Buffer.concat([milterNegotiation(), milterPacket('D', '')]),
  Buffer.concat([milterNegotiation(), milterPacket('D', 'Mi\0no end')]),
  Buffer.concat([milterNegotiation(), milterPacket('M', '<a@b.test>\0'), milterPacket('L', 'To')]),
  Buffer.concat([
    milterNegotiation(),
    milterPacket('M', '<a@b.test>\0'),
    milterPacket('R', '\xff\xfe\0'),
  ]),
  Buffer.concat([milterNegotiation(), milterPacket('D', `M${'x'.repeat(200_000)}\0`)]),
  latin('GET / HTTP/1.1\r\n\r\n'),
  latin('EHLO x\r\n'),
];

test('the milter', { timeout: 60_000 }, async (context) => {
  context.diagnostic(`seed ${SEED}`);
  const dice = new Dice(SEED + 1);
  const road = createMemoryRoad();
  const door = await openMilterDoor(road);
  const final = (letters: string): boolean => /[arytd]/.test(letters);
  let accepted = 0;
  let answered = 0;
  const round = async (inputs: readonly Buffer[]): Promise<void> => {
    await sideBySide(inputs, async (input) => {
      // Whatever waits for more is given up by the mail server, not by us: no answer is no acceptance.
      const { letters, closed } = await milterTalk(door.port, input, final, 150);
      assert.match(letters, /^[Ocpasyt hm]*$/, `an unknown answer: ${JSON.stringify(letters)}`);
      if (letters.includes('a')) accepted++;
      if (closed || letters !== '') answered++;
    });
  };
  for (const [name, talk] of [
    ['Sendmail', SENDMAIL],
    ['Postfix', POSTFIX],
  ] as const) {
    const bytes = Buffer.concat([talk, milterMessage(CLEAN)]);
    const { letters } = await milterTalk(door.port, bytes, final);
    assert.equal(letters.at(-1), 'a', `${name}: ${letters}`);
    const leak = await milterTalk(door.port, Buffer.concat([talk, milterMessage(LEAK)]), final);
    assert.equal(leak.letters.at(-1), 'y', `${name}: ${leak.letters}`);
  }
  for (let version = 2; version < 6; version++) {
    const bytes = Buffer.concat([milterNegotiation(version, 0x7f, 0x7f), milterMessage(CLEAN)]);
    const { letters, closed } = await milterTalk(door.port, bytes, final);
    assert.deepEqual(
      [letters, closed],
      ['', true],
      `version ${version}: closed, a temporary failure`,
    );
  }
  const newer = Buffer.concat([milterNegotiation(7, 0xffffffff, 0xffffffff), milterMessage(CLEAN)]);
  assert.equal((await milterTalk(door.port, newer, final)).letters.at(-1), 'a');
  const judgedBefore = forwards(road);
  const stream = (message: PlainMessage): Buffer =>
    Buffer.concat([dice.pick([SENDMAIL, POSTFIX, milterNegotiation()]), milterMessage(message)]);
  const inputs = [
    ...MILTER_ODDITIES,
    ...Array.from({ length: 60 }, () => dice.mutated(stream(dice.pick([CLEAN, LEAK])))),
    ...Array.from({ length: 120 }, () => repacked(stream(dice.pick([CLEAN, LEAK])), dice)),
    ...Array.from({ length: 10 }, () => dice.bytes(dice.below(500))),
  ];
  await round(inputs.slice(0, 10));
  await leavesNothing(() => round(inputs));
  // A mail server that has given up waiting has not been told.
  const goneOn = forwards(road) - judgedBefore;
  assert.ok(accepted <= goneOn && goneOn > 0, `${accepted} accepted, ${goneOn} let through`);
  assert.ok(
    !road.decisions.some(({ action, disclosures }) => action === 'forward' && disclosures > 0),
  );
  assert.equal(await door.send(CLEAN), 'a', 'the door still opens');
  context.diagnostic(
    `${inputs.length} streams, ${answered} answered or closed, ${accepted} accepted`,
  );
});

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

const WRONG: readonly Json[] = [
  null,
  true,
  0,
  -1,
  1e308,
  Number.MAX_SAFE_INTEGER,
  '',
  'x'.repeat(3_000),
  '\u0000',
  '\ud800',
  'a\r\nBcc: bob@y.test',
  [],
  [[]],
  {},
  { a: { b: [null] } },
  ['ann@x.test', 7],
];

/** The document with each value, at each depth, in turn another; each of its names doubled, and one more beside it. */
function* broken(document: Json): Generator<Json> {
  for (const value of WRONG) yield value;
  if (typeof document !== 'object' || document === null) return;
  const entries: [string, Json][] = Object.entries(document);
  for (const [name, inner] of entries) {
    for (const other of broken(inner)) {
      if (Array.isArray(document)) {
        const copy = [...document];
        copy[Number(name)] = other;
        yield copy;
      } else yield { ...document, [name]: other };
    }
    if (Array.isArray(document)) continue;
    const { [name]: _, ...rest } = document;
    yield rest;
    yield { ...document, [`${name}x`]: inner, [name.toUpperCase()]: inner };
  }
}

/** A call with about every property that the provider documents, each of them as it should be. */
function wholeDocument(name: Exclude<ProviderDoor['name'], 'mailgun'>): Json {
  const content = Buffer.from('x').toString('base64');
  const plain = documentOf(name, CLEAN);
  const whole: Readonly<Record<typeof name, object>> = {
    sendgrid: {
      personalizations: [
        {
          to: [{ email: 'ann@x.test', name: 'Ann' }],
          subject: 'News',
          headers: { 'X-One': 'a' },
          substitutions: { '-name-': 'Ann' },
          custom_args: { id: '7' },
          send_at: 1_900_000_000,
        },
      ],
      reply_to: { email: CLEAN.from },
      attachments: [{ content, filename: 'a.txt', type: 'text/plain', disposition: 'attachment' }],
      headers: { 'X-Two': 'b' },
      categories: ['news'],
      custom_args: { run: '1' },
      asm: { group_id: 1, groups_to_display: [1] },
      mail_settings: { sandbox_mode: { enable: true }, footer: { enable: false } },
      tracking_settings: { click_tracking: { enable: false } },
    },
    ses: {
      ReplyToAddresses: [CLEAN.from],
      EmailTags: [{ Name: 'a', Value: 'b' }],
      ConfigurationSetName: 'main',
      ListManagementOptions: { ContactListName: 'news', TopicName: 'a' },
      Content: {
        Simple: {
          Subject: { Data: 'News', Charset: 'UTF-8' },
          Body: { Text: { Data: 'Hello' }, Html: { Data: '<p>Hello</p>' } },
          Headers: [{ Name: 'X-One', Value: 'a' }],
          Attachments: [{ FileName: 'a.txt', RawContent: content, ContentType: 'text/plain' }],
        },
      },
    },
    postmark: {
      ReplyTo: CLEAN.from,
      HtmlBody: '<p>Hello</p>',
      Tag: 'news',
      TrackOpens: false,
      TrackLinks: 'None',
      MessageStream: 'outbound',
      Metadata: { id: '7' },
      Headers: [{ Name: 'X-One', Value: 'a' }],
      Attachments: [{ Name: 'a.txt', Content: content, ContentType: 'text/plain' }],
    },
  };
  return JSON.parse(JSON.stringify({ ...plain, ...whole[name] }));
}

/** Mailgun's fields, each with a value of the wrong kind. */
function brokenForms(): readonly Buffer[] {
  const names =
    'from to cc bcc subject text html amp-html template t:variables t:version recipient-variables o:tag o:deliverytime o:tracking o:archive-to h:X-One h:To v:one attachment message nobody-knows'.split(
      ' ',
    );
  return names.flatMap((name) =>
    WRONG.map((value) => {
      const form = new URLSearchParams({ from: CLEAN.from, to: 'ann@x.test', text: 'Hello' });
      form.append(name, typeof value === 'string' ? value : JSON.stringify(value));
      return Buffer.from(form.toString());
    }),
  );
}

/** Runs so many of them side by side. */
async function sideBySide<T>(list: readonly T[], run: (one: T) => Promise<void>): Promise<void> {
  const waiting = [...list];
  const worker = async (): Promise<void> => {
    for (let one = waiting.shift(); one !== undefined; one = waiting.shift()) await run(one);
  };
  await Promise.all(Array.from({ length: 6 }, worker));
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });

function post(
  door: ProviderDoor,
  body: Buffer,
  headers: Readonly<Record<string, string>> = {},
  contentType = 'application/json',
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = http.request(
      {
        ...{ agent, port: door.port, host: '127.0.0.1', path: door.path, method: 'POST' },
        headers: {
          ...door.headersFor(body, contentType),
          'content-type': contentType,
          'content-length': body.length,
          ...headers,
        },
        timeout: DEADLINE_MS,
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk) => {
          text += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
        response.on('error', reject);
      },
    );
    request.on('timeout', () => request.destroy(new Error(`no answer in ${DEADLINE_MS} ms`)));
    request.on('error', reject);
    request.end(body);
  });
}

/** The provider's own shape of a refusal. */
const SHAPES: Readonly<Record<ProviderDoor['name'], RegExp>> = {
  sendgrid: /^\{"errors":\[\{/,
  ses: /^\{"(?:message|Message)":/,
  mailgun: /^\{"message":/,
  postmark: /^(?:\{"ErrorCode":\d+,"Message":|\[)/,
};

function isClear(door: ProviderDoor, { status, text }: Answer, what: string): void {
  assert.ok(
    (status >= 200 && status < 300) || (status >= 400 && status < 600),
    `${what}: ${status}`,
  );
  if (status >= 400)
    assert.match(text, SHAPES[door.name], `${what}: ${status} ${text.slice(0, 80)}`);
  assert.doesNotMatch(text, /@y\.test|node:internal|\bat \S+ \(/, `${what}: ${text}`);
}

/** Raw requests that are none, and requests whose body is not as long as they say. */
function rawRequests(door: ProviderDoor): readonly Buffer[] {
  const { contentType, body } = door.callOf(CLEAN);
  const sign = door.headersFor(body, contentType);
  const fields = Object.entries({ ...sign, 'content-type': contentType }).map(
    ([name, value]) => `${name}: ${value}`,
  );
  const head = `POST ${door.path} HTTP/1.1\r\nHost: 127.0.0.1:${door.port}\r\n${fields.join('\r\n')}\r\n`;
  const chunk = (size: string, data: string): string => `${size}\r\n${data}\r\n`;
  const text = body.toString('latin1');
  const chunked = `${head}Transfer-Encoding: chunked\r\n`;
  return [
    `${head}Content-Length: ${body.length + 10}\r\n\r\n${text}`,
    `${head}Content-Length: 10\r\n\r\n${text}`,
    `${head}Content-Length: -1\r\n\r\n${text}`,
    `${head}Content-Length: 99999999999999999999\r\n\r\n${text}`,
    `${head}Content-Length: 5\r\nContent-Length: 6\r\n\r\n${text}`,
    `${head}Content-Length: ${body.length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    `${chunked}\r\n${chunk('zz', text)}`,
    `${chunked}\r\n${chunk('ffffffffffffffffff', text)}`,
    `${chunked}\r\n${chunk('5;x=y', 'abcde')}0\r\nX-Smuggled: 1\r\n\r\n`,
    `${chunked}\r\n${chunk((body.length + 5).toString(16), text)}`,
    `${head}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
    `${head}Transfer-Encoding: xchunked\r\n\r\n${text}`,
    `${head}Expect: 200-maybe\r\nContent-Length: 0\r\n\r\n`,
    `${head}Upgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n`,
    `${head}X: ${'y'.repeat(40_000)}\r\n\r\n`,
    `${head}B\0d: 1\r\n\r\n`,
    'POST\r\n\r\n',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'EHLO x\r\n',
    '\x16\x03\x01\x00\xa5',
  ].map(latin);
}

async function anythingAt(door: ProviderDoor, dice: Dice): Promise<number> {
  const plain = door.callOf(dice.pick([CLEAN, LEAK]));
  const bodies: (readonly [
    what: string,
    body: Buffer,
    headers?: Record<string, string>,
    type?: string,
  ])[] = [
    ['empty', Buffer.alloc(0)],
    ['not UTF-8', Buffer.from('7b22613a22ff22', 'hex')],
    ['a byte order mark', Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), plain.body])],
    ['deep', Buffer.from('['.repeat(200_000))],
    ['deep objects', Buffer.from(`${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`)],
    [
      'doubled names',
      Buffer.from(plain.body.toString().replace('{', '{"subject":"a","subject":"b",')),
    ],
    ['doubled by an escape', Buffer.from(plain.body.toString().replace('{', '{"\\u0066rom":1,'))],
    ['two documents', Buffer.concat([plain.body, plain.body])],
    ['a long number', Buffer.from(`{"send_at":${'9'.repeat(100_000)}}`)],
    ['gzip that is none', plain.body, { 'content-encoding': 'gzip' }],
    ['gzip', gzipSync(plain.body), { 'content-encoding': 'gzip' }],
    ['gzip cut off', gzipSync(plain.body).subarray(0, 30), { 'content-encoding': 'gzip' }],
    ['a bomb', gzipSync(Buffer.alloc(80 * 1024 * 1024)), { 'content-encoding': 'gzip' }],
    ['an unknown coding', plain.body, { 'content-encoding': 'br' }],
    ['another type', plain.body, {}, 'text/html'],
    [
      'UTF-16',
      Buffer.from(plain.body.toString(), 'utf16le'),
      {},
      `${plain.contentType}; charset=utf-16`,
    ],
    ['no boundary', plain.body, {}, 'multipart/form-data'],
    ['an empty boundary', plain.body, {}, 'multipart/form-data; boundary='],
    [
      'two boundaries',
      latin('--a\r\n\r\n--a--'),
      {},
      'multipart/form-data; boundary=a; boundary=b',
    ],
    ['a boundary that never comes', plain.body, {}, 'multipart/form-data; boundary=zzz'],
    [
      'parts without an end',
      latin('--a\r\nContent-Disposition: form-data; name="to"\r\n\r\nx'),
      {},
      'multipart/form-data; boundary=a',
    ],
    [
      'a part named twice',
      latin(
        '--a\r\nContent-Disposition: form-data; name="to"; name="cc"\r\n\r\nann@x.test\r\n--a--\r\n',
      ),
      {},
      'multipart/form-data; boundary=a',
    ],
  ];
  let count = 0;
  const send = async (
    what: string,
    body: Buffer,
    headers = {},
    type = plain.contentType,
  ): Promise<void> => {
    isClear(door, await post(door, body, headers, type), `${door.name}, ${what}`);
    count++;
  };
  for (const [what, body, headers, type] of bodies) await send(what, body, headers, type);
  if (door.name !== 'mailgun') {
    const document = wholeDocument(door.name);
    const whole = await post(door, Buffer.from(JSON.stringify(document)));
    assert.ok(whole.status < 300, `${door.name}: ${whole.text}`);
    await sideBySide([...broken(document)], (other) =>
      send('a wrong value', Buffer.from(JSON.stringify(other))),
    );
  } else await sideBySide(brokenForms(), (form) => send('a wrong value', form));
  for (let times = 0; times < 60; times++) {
    const { contentType, body } = door.callOf(dice.pick([CLEAN, LEAK]));
    await send('mutated', dice.mutated(body), {}, contentType);
  }
  for (const request of rawRequests(door)) {
    const said = await throwAt(door.port, [request]);
    assert.match(said, /^(?:HTTP\/1\.1 [2345]\d\d |$)/, request.toString('latin1', 0, 80));
    count++;
  }
  return count;
}

for (const name of PROVIDERS)
  test(`the API of ${name}`, { timeout: 60_000 }, async (context) => {
    context.diagnostic(`seed ${SEED}`);
    const road = createMemoryRoad();
    const door = await openProviderDoor(name, road, { identity: identityOf('shop', 'bulk') });
    const dice = new Dice(SEED + 2);
    isClear(door, await post(door, Buffer.from('{}')), 'warm');
    let count = 0;
    await leavesNothing(async () => {
      count = await anythingAt(door, dice);
    });
    assert.equal(door.passed(), forwards(road), 'the provider has what the road has let through');
    for (const body of door.bodies)
      assert.doesNotMatch(body.toString(), /bob@y\.test.*cem@z\.test/s);
    assert.doesNotMatch(door.events.join('\n'), /@[xyz]\.test/, 'no address in the log');
    const before = door.passed();
    assert.match(await door.send(CLEAN), /^20[02]$/, 'the door still opens');
    assert.equal(door.passed(), before + 1);
    context.diagnostic(`${count} requests, ${before} passed on`);
  });

test('a body of 100 MB is refused while it comes, at every API, and none of it stays', async () => {
  for (const name of PROVIDERS) {
    const door = await openProviderDoor(name, createMemoryRoad());
    const { contentType, body } = door.callOf(CLEAN);
    const fields = Object.entries({
      ...door.headersFor(body, contentType),
      'content-type': contentType,
    });
    const head = `POST ${door.path} HTTP/1.1\r\nHost: 127.0.0.1:${door.port}\r\n${fields.map((field) => field.join(': ')).join('\r\n')}\r\n`;
    const declared = `${head}Content-Length: 104857600\r\n\r\n`;
    assert.match(await throwAt(door.port, [latin(declared)], false), /^HTTP\/1\.1 413 /, name);
    const piece = Buffer.concat([latin('100000\r\n'), Buffer.alloc(0x100000, 0x20), latin('\r\n')]);
    const chunked = [latin(`${head}Transfer-Encoding: chunked\r\n\r\n`), ...Array(100).fill(piece)];
    await leavesNothing(async () => {
      // What answers before it has read all of it may reset the connection.
      assert.match(await throwAt(door.port, chunked, false), /^(?:HTTP\/1\.1 413 |$)/, name);
    });
    assert.equal(door.passed(), 0);
    assert.match(await door.send(CLEAN), /^20[02]$/);
  }
});
