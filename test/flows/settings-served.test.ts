/** What the configuration says of the milter's mask, of holds and of return paths is what `serve` does. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { PacketReader, packet } from '../../src/gates/milter/wire.ts';
import { GuardHouse, type ServeProcess } from '../support/guard-house.ts';
import { type ScriptedSink, startScriptedSink } from '../support/scripted-sink.ts';
import { SubmissionClient } from '../support/submission-client.ts';

const KEY = 'key-of-the-newsletter';
const keySha256 = createHash('sha256').update(KEY).digest('hex');
const FROM = 'news@company.example';
const [ANN = '', BOB = ''] = ['ann@home.example', 'bob@home.example'];
const LEAK = `From: ${FROM}\r\nTo: ${ANN}, ${BOB}\r\nSubject: News\r\n\r\nThe harbour opens.\r\n`;

let house: GuardHouse;
let sink: ScriptedSink;
before(async () => {
  sink = await startScriptedSink({});
  house = await GuardHouse.make();
});
after(async () => {
  await house?.close();
  await sink?.close();
});

function config(smtp: object, milter: object, hold: object): object {
  return {
    gates: {
      smtp: { listen: '127.0.0.1:0', nextHop: `127.0.0.1:${sink.port}`, tls: 'none', ...smtp },
      milter: { listen: '127.0.0.1:0', anonymous: 'bulk', ...milter },
      hold,
      callers: [{ name: 'news', policy: 'bulk', split: true, keySha256 }],
    },
  };
}

async function submit(port: number, content: string, recipients = [ANN, BOB]): Promise<string> {
  const client = new SubmissionClient(port, KEY);
  try {
    return await client.send(FROM, recipients, content);
  } finally {
    client.close();
  }
}

/** MAIL FROM of everything the next hop was told since `from`, once there are so many. */
async function pathsSince(from: number, count: number): Promise<readonly string[]> {
  for (let waited = 0; waited < 10_000; waited += 50) {
    const said = sink.told.flat().filter((line) => line.startsWith('MAIL FROM:'));
    if (said.length >= from + count) return said.slice(from);
    await sleep(50);
  }
  throw new Error('the copies did not come');
}

const mailsSoFar = (): number =>
  sink.told.flat().filter((line) => line.startsWith('MAIL FROM:')).length;

/** What the milter answers to the message that shows two people to each other. */
async function askMilter(serving: ServeProcess): Promise<string> {
  const line = serving.lines.find((said) => said.startsWith('gate milter')) ?? '';
  const socket = connect(Number(/inet:(\d+)@/.exec(line)?.[1] ?? 0), '127.0.0.1');
  const reader = new PacketReader(1_000_000);
  let said = '';
  const done = new Promise<void>((resolve) => {
    socket.on('data', (chunk) => {
      for (const { command, data } of reader.push(chunk)) {
        said += `${command} ${data.toString('latin1')}\n`;
        if (/[aryd]/.test(command)) resolve();
      }
    });
    socket.on('close', () => resolve());
  });
  const hello = Buffer.alloc(12);
  hello.writeUInt32BE(6, 0);
  hello.writeUInt32BE(0x1ff, 4);
  hello.writeUInt32BE(0x1f_ffff, 8);
  const say = (command: string, data: string | Buffer): void =>
    void socket.write(packet(command, Buffer.from(data)));
  say('O', hello);
  say('M', `<${FROM}>\0`);
  for (const to of [ANN, BOB]) say('R', `<${to}>\0`);
  say('T', '');
  for (const [name, value] of [
    ['From', FROM],
    ['To', `${ANN}, ${BOB}`],
    ['Subject', 'News'],
  ])
    say('L', `${name}\0 ${value}\0`);
  say('N', '');
  say('B', 'The harbour opens.\r\n');
  say('E', '');
  await done;
  socket.destroy();
  return said;
}

test('as usual: the milter refuses, a hold waits 72 hours, copies keep the return path of their sender', async () => {
  const serving = await house.serve('usual', config({}, {}, {}));
  assert.match(await askMilter(serving), /^y 550/m);
  const before = mailsSoFar();
  assert.match(await submit(serving.port('smtp'), LEAK), /^250 .*copy of their own/);
  const paths = await pathsSince(before, 2);
  for (const path of paths) assert.match(path, /^MAIL FROM:<news@company\.example>/);
  assert.equal(await hoursHeld(serving), 72);
  await serving.stop();
});

test('as set: the milter masks, a hold waits so many hours, each copy has a return path of its own', async () => {
  const serving = await house.serve(
    'set',
    config({ returnPath: 'bounces.company.example' }, { mask: true }, { hours: 5 }),
  );
  const masked = await askMilter(serving);
  assert.match(masked, /^m [^T]*To\0 ?undisclosed-recipients:;\0$/m);
  assert.match(masked, /^[ac] /m);
  assert.doesNotMatch(masked, /^y /m);
  assert.ok(serving.lines.some((line) => line.startsWith('milter.masked ')));

  const before = mailsSoFar();
  const other = LEAK.replace('harbour', 'market');
  const reply = await submit(serving.port('smtp'), other);
  assert.match(reply, /^250 /);
  const paths = await pathsSince(before, 2);
  const tokens = paths.map(
    (path) => /^MAIL FROM:<news\+([a-z0-9]{20})@bounces\.company\.example>/.exec(path)?.[1] ?? path,
  );
  assert.equal(new Set(tokens).size, 2, paths.join());
  assert.ok(tokens.every((token) => token.length === 20));
  assert.doesNotMatch(paths.join(), /ann|bob/);
  const id = /Queued as (k-[a-z0-9]+)/.exec(reply)?.[1];
  await house.enrol(serving);
  const returned = ['guard', 'returned', '--as', 'alice', '--json'];
  const found = await Promise.all(
    paths.map(async (path) => {
      const address = /<([^>]+)>/.exec(path)?.[1] ?? '';
      return JSON.parse(await house.must([...returned, address], serving.env));
    }),
  );
  assert.deepEqual(found.map(({ kept, number }) => [kept, number]).sort(), [
    [id, 0],
    [id, 1],
  ]);
  // After a rotation what came back is still known, and what was forged is not.
  await house.must(['keys', 'rotate', 'token', '--as', 'bob'], serving.env);
  const late = await house.must([...returned, tokens[0] ?? ''], serving.env);
  assert.equal(JSON.parse(late).kept, id);
  const forged = `news+${'0'.repeat(20)}@bounces.company.example`;
  assert.match((await house.cli([...returned, forged], serving.env)).stderr, /returned\.unknown/);
  const plain = await house.cli([...returned, FROM], serving.env);
  assert.match(plain.stderr, /returned\.no-token/);
  assert.equal(await hoursHeld(serving), 5);
  await serving.stop();
});

/** Has a message held, and reads for how long. */
async function hoursHeld(serving: ServeProcess): Promise<number> {
  const text = `From: ${FROM}\r\nTo: ${ANN}\r\nSubject: Hello\r\n\r\nDear {{first_name}}, ${serving.env.UNDISCLOSED_DATA}.\r\n`;
  const reply = await submit(serving.port('smtp'), text, [ANN]);
  const id = /Queued as (k-[a-z0-9]+)/.exec(reply)?.[1];
  assert.ok(id !== undefined, reply);
  const [row] = await house.db.query<{ at: Date; expires_at: Date; state: string }>(
    'SELECT at, expires_at, state FROM kept WHERE id = $1',
    [id],
  );
  assert.equal(row?.state, 'held');
  return (row.expires_at.getTime() - row.at.getTime()) / 3_600_000;
}
