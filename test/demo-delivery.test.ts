/** The demo's far side: the sink keeps exactly what it was given, and the independent reader counts it right. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
// biome-ignore lint/correctness/useImportExtensions: the rule takes the file of types for the module
import * as reader from '../demo/read-delivered.mjs';

const { Addresses, countWouldBe, provePlantedIsFound, readDelivered, shownIn } = reader;

const folder = mkdtempSync(join(tmpdir(), 'undisclosed-delivery-'));
const started: ChildProcess[] = [];
after(() => {
  for (const sink of started) sink.kill('SIGKILL');
  rmSync(folder, { recursive: true });
});

interface Sink {
  readonly process: ChildProcess;
  readonly port: number;
}

async function startSink(directory: string): Promise<Sink> {
  const script = fileURLToPath(new URL('../demo/sink.mjs', import.meta.url));
  const sink = spawn(process.execPath, [script, directory], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  started.push(sink);
  const [line] = (await once(sink.stdout, 'data')) as [Buffer];
  return { process: sink, port: Number(/^ready (\d+)\n$/.exec(line.toString())?.[1]) };
}

/** Sends all the bytes at once and returns everything that was answered until the sink closed. */
async function converse(port: number, bytes: string | Buffer): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let answers = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    answers += chunk;
  });
  socket.write(bytes);
  await once(socket, 'close');
  return answers;
}

const HELLO = 'EHLO here.example\r\n';
const ONE = 'MAIL FROM:<n@northwind.example>\r\nRCPT TO:<a@mail.example>\r\nDATA\r\n';

test('the sink keeps pipelined messages with their envelopes, dots unstuffed, and counts on when started again', async () => {
  const directory = join(folder, 'kept');
  const sink = await startSink(directory);
  const answers = await converse(
    sink.port,
    `${HELLO}${ONE}Subject: 1\r\n\r\n..one\r\n.two\r\n..\r\nend\r\n.\r\n` +
      'MAIL FROM:<> SMTPUTF8 SIZE=99\r\nRCPT TO:<имя@почта.example>\r\nRCPT TO:<"a,b"@mail.example>\r\nDATA\r\n' +
      '..\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<a@mail.example>\r\nDATA\r\n.\r\nQUIT\r\n',
  );
  for (const extension of ['PIPELINING', '8BITMIME', 'SMTPUTF8', 'SIZE', 'ENHANCEDSTATUSCODES'])
    assert.match(answers, new RegExp(`250[- ]${extension}`));
  assert.equal(answers.match(/^250 2\.0\.0 kept/gm)?.length, 3);
  const kept = (number: string): string => readFileSync(join(directory, `${number}.eml`), 'utf8');
  assert.equal(kept('000001'), 'Subject: 1\r\n\r\n.one\r\ntwo\r\n.\r\nend\r\n');
  assert.equal(kept('000002'), '.\r\n');
  assert.equal(kept('000003'), '');
  sink.process.kill('SIGTERM');
  const [code] = (await once(sink.process, 'exit')) as [number];
  assert.equal(code, 0);
  const again = await startSink(directory);
  await converse(again.port, `${HELLO}${ONE}x\r\n.\r\nQUIT\r\n`);
  again.process.stdin?.end();
  await once(again.process, 'exit');
  const lines = readFileSync(join(directory, 'envelopes.tsv'), 'utf8').trimEnd().split('\n');
  assert.deepEqual(
    lines.map((line) => line.split('\t').slice(0, 4).join(' ')),
    [
      '000001 n@northwind.example a@mail.example 0',
      '000002  имя@почта.example,"a,b"@mail.example 1',
      '000003  a@mail.example 0',
      '000004 n@northwind.example a@mail.example 0',
    ],
  );
});

test('the sink refuses bare line ends, addresses that need SMTPUTF8 without it, and commands out of order', async () => {
  const directory = join(folder, 'refused');
  const sink = await startSink(directory);
  const answers = await converse(
    sink.port,
    `${HELLO}${ONE}Subject: x\r\n\r\none\ntwo\r\n.\r\n${ONE}one\rtwo\r\n.\r\n${ONE}one\n.\nQUIT\r\n.\r\n` +
      'DATA\r\nRCPT TO:<a@mail.example>\r\nMAIL FROM:<n@northwind.example>\r\nRCPT TO:<имя@mail.example>\r\nNOOP\nQUIT\r\n',
  );
  const codes = answers
    .split('\r\n')
    .slice(1)
    .flatMap((line) => /^(\d{3}) /.exec(line)?.[1] ?? []);
  const refused = ['250', '250', '354', '554'];
  assert.deepEqual(codes, [
    '250',
    ...[...refused, ...refused, ...refused],
    ...['503', '503', '250', '553', '500', '221'],
  ]);
  assert.deepEqual(readdirSync(directory), ['envelopes.tsv']);
  sink.process.kill('SIGTERM');
  await once(sink.process, 'exit');
});

const PEOPLE = ['ann.lee@mail.example', 'bo@post.example', 'bo@inbox.test', 'имя@почта.example'];
const CSV = join(folder, 'customers.csv');
writeFileSync(
  CSV,
  `id,email,name\n${PEOPLE.map((email, at) => `C-${at},${email},"Name, ""N"" ${at}"`).join('\n')}\n`,
);

interface Delivered {
  readonly to: string;
  readonly rcpt: string;
  readonly body?: string;
}

function deliver(name: string, messages: readonly Delivered[]): string {
  const directory = join(folder, name);
  mkdirSync(directory);
  const lines = messages.map(({ to, rcpt, body }, at) => {
    const number = String(at + 1).padStart(6, '0');
    writeFileSync(
      join(directory, `${number}.eml`),
      `To: ${to}\r\nContent-Language: en\r\n\r\n${body ?? 'hello'}\r\n`,
    );
    return `${number}\tn@northwind.example\t${rcpt}\t0\t1\n`;
  });
  writeFileSync(join(directory, 'envelopes.tsv'), lines.join(''));
  return directory;
}

const alone = PEOPLE.map((address) => ({ to: `<${address}>`, rcpt: address }));

test('messages that each go to one person count as nobody shown to anybody', () => {
  const counts = readDelivered(deliver('alone', alone), CSV);
  const { plantedAndFound, ...rest } = counts;
  assert.ok(plantedAndFound >= 100);
  assert.deepEqual(rest, {
    customers: 4,
    people: 4,
    missing: 0,
    missingIds: [],
    messages: 4,
    withoutEnvelope: 0,
    withoutFile: 0,
    moreThanOneRecipient: 0,
    moreThanOneVisible: 0,
    toIsNotTheReader: 0,
    strangers: 0,
    duplicates: 0,
    languages: { en: 4 },
    ownAddressShown: 4,
    disclosures: 0,
  });
});

test('one message to all shows everyone to every other, once', () => {
  const all = { to: PEOPLE.map((one) => `<${one}>`).join(',\r\n '), rcpt: PEOPLE.join(',') };
  const counts = readDelivered(deliver('all', [all, all]), CSV);
  assert.equal(counts.disclosures, 4 * 3);
  assert.equal(counts.moreThanOneRecipient, 2);
  assert.equal(counts.moreThanOneVisible, 2);
  assert.equal(counts.duplicates, 4);
});

test('a missing person, a stranger, another in the body and a wrong To are each counted', () => {
  const counts = readDelivered(
    deliver('wrong', [
      {
        to: '<ann.lee@mail.example>',
        rcpt: 'Ann.Lee@MAIL.example',
        body: 'ask bo&#64;post.example',
      },
      { to: '<bo@post.example>', rcpt: 'bo@inbox.test' },
      {
        to: '<stranger@else.example>',
        rcpt: 'stranger@else.example',
        body: 'ann.lee%40mail.example',
      },
    ]),
    CSV,
  );
  assert.equal(counts.disclosures, 3);
  assert.equal(counts.strangers, 1);
  assert.equal(counts.toIsNotTheReader, 1);
  assert.deepEqual(counts.missingIds, ['C-1', 'C-3']);
});

test('a longer address that ends like a customer’s does not count as that customer', () => {
  const customers = new Addresses();
  customers.add('lee@mail.example');
  const shown = (text: string): number => shownIn(Buffer.from(`\r\n${text}`), customers).size;
  assert.equal(shown('lee@mail.example'), 1);
  for (const other of [
    'ann.lee@mail.example',
    'ann-lee@mail.example',
    'lee@mail.example.org',
    "x='ann.lee@mail.example",
  ])
    assert.equal(shown(other), 0, other);
});

test('a planted address is found in every coding, and a reader that shows the person beforehand is refused', () => {
  assert.ok(provePlantedIsFound(Buffer.from('Subject: x\r\n\r\ny\r\n')) >= 60);
  const shows = Buffer.from('\r\nplanted.person+tag@somewhere-else.example');
  assert.throws(() => provePlantedIsFound(shows), /already shows/);
});

test('mistakes kept as files count as the pairs they would have shown', () => {
  const thousand = Array.from({ length: 1000 }, (_, at) => `p${at}@mail.example`);
  const eml = join(folder, 'to-1000.eml');
  writeFileSync(
    eml,
    `To: ${thousand.map((one) => `"P, Q" <${one}>`).join(',\r\n\t')}\r\n\r\nhello\r\n`,
  );
  const call = (personalizations: unknown): string => {
    const path = join(folder, `call-${Math.trunc(performance.now() * 1000)}.json`);
    writeFileSync(path, JSON.stringify({ personalizations, content: [] }));
    return path;
  };
  const to = thousand.map((email) => ({ email }));
  assert.deepEqual(countWouldBe([eml]), { files: 1, people: 1000, disclosures: 999_000 });
  assert.equal(countWouldBe([call([{ to }])]).disclosures, 999_000);
  assert.equal(countWouldBe([call([{ to }]), eml]).disclosures, 999_000);
  assert.equal(countWouldBe([call(to.map((one) => ({ to: [one] })))]).disclosures, 0);
  assert.equal(countWouldBe([call([{ to: to.slice(0, 2), bcc: to.slice(2, 4) }])]).disclosures, 6);
});
