/**
 * Every file of the public test sets is judged: without a fault, within a second and 256 MB, with every address that another parser
 * shows among the visible, or not passed, and with no identifier taken for a person.
 */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, it } from 'node:test';
import { simpleParser } from 'mailparser';
import PostalMime from 'postal-mime';
import { readTnef } from '../../src/detect/tnef.ts';
import { withAttachments } from '../../src/guard/attachments.ts';
import { type Judgement, judgeCopies } from '../../src/guard/judge.ts';
import { canonicalAddress } from '../../src/mail/address.ts';
import { allParts, type ParsedMessage, parseMessage } from '../../src/mail/message.ts';
import { type PolicyName, policyFrom } from '../../src/policy/policy.ts';

const root = process.env.UNDISCLOSED_CORPORA ?? '';
const missing = root === '' || !existsSync(join(root, 'mime'));
const skip = missing ? 'UNDISCLOSED_CORPORA names no folder with the mime/ test set' : false;
const TIME_MS_MAX = 1_000;
const MEMORY_BYTES_MAX = 256 * 1024 * 1024;
const POLICIES = ['bulk', 'transactional', 'person'] as const;

interface Sample {
  readonly name: string;
  readonly file: string;
  readonly bytes: Buffer;
}

function samplesOf(folder: string): readonly Sample[] {
  const path = join(root, folder);
  if (skip !== false || !existsSync(path)) return [];
  return readdirSync(path, { recursive: true, encoding: 'utf8', withFileTypes: true })
    .filter((entry) => entry.isFile() && !/\.(?:tsv|md)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .map((file) => ({
      name: file.slice(root.length + 1),
      file,
      bytes: asSent(readFileSync(file)),
    }));
}

/** A file kept with LF goes over the wire with CRLF; otherwise all would have that one defect. */
function asSent(bytes: Buffer): Buffer {
  if (bytes.includes('\r\n')) return bytes;
  return Buffer.from(bytes.toString('latin1').replaceAll('\n', '\r\n'), 'latin1');
}

const samples = ['mime', 'eai', 'bounces'].flatMap(samplesOf);

async function judged(bytes: Buffer, policy: PolicyName = 'bulk'): Promise<Judgement> {
  const envelope = { from: 'news@shop.example', recipients: ['reader@there.test'], smtpUtf8: true };
  const copies = await withAttachments([{ envelope, bytes }]);
  return judgeCopies(copies, { policy: policyFrom(policy) });
}

// The first test: what the other parsers need is not to be counted as the judge's memory.
it('each is judged without a fault, in under a second and 256 MB', { skip }, async (context) => {
  const before = process.resourceUsage().maxRSS * 1024;
  let slowest = 0;
  for (const { name, bytes } of samples) {
    const start = process.cpuUsage();
    const { verdict } = await judged(bytes);
    const { user, system } = process.cpuUsage(start);
    assert.notEqual(verdict.kind, 'defer', name);
    slowest = Math.max(slowest, (user + system) / 1_000);
    assert.ok(slowest < TIME_MS_MAX, `${name}: ${slowest} ms`);
    const grown = process.resourceUsage().maxRSS * 1024 - before;
    assert.ok(grown < MEMORY_BYTES_MAX, `${name}: ${grown} bytes`);
  }
  assert.ok(samples.length > 500, `${samples.length} files`);
  context.diagnostic(`${samples.length} files, the slowest ${slowest.toFixed(0)} ms`);
});

/** Every address in any value that the parser gives for the header. */
function addressesIn(value: unknown, into: Set<string> = new Set(), depth = 0): Set<string> {
  if (typeof value !== 'object' || value === null || depth > 8) return into;
  for (const [name, inner] of Object.entries(value)) {
    if (name === 'address' && typeof inner === 'string') into.add(inner);
    else addressesIn(inner, into, depth + 1);
  }
  return into;
}

const python = spawnSync('python3', ['--version']).status === 0;
let reader: ChildProcess | null = null;
const waiting: ((line: string) => void)[] = [];
after(() => void reader?.kill());

/** One process for all files; answers come in the order of the questions. */
function askPython(file: string): Promise<readonly string[]> {
  if (reader === null) {
    const script = join(import.meta.dirname, '../support/python-addresses.py');
    reader = spawn('python3', [script], { stdio: ['pipe', 'pipe', 'inherit'] });
    if (reader.stdout !== null)
      createInterface(reader.stdout).on('line', (line) => waiting.shift()?.(line));
    reader.once('exit', () => {
      for (const answer of waiting.splice(0)) answer('{"addresses":[],"failed":["exit"]}');
    });
  }
  reader.stdin?.write(`${file}\n`);
  return new Promise((resolve, reject) =>
    waiting.push((line) => {
      const { addresses, failed } = JSON.parse(line);
      if (failed.includes('exit')) reject(new Error('python3 has ended'));
      else resolve(addresses);
    }),
  );
}

type Parser = 'postal-mime' | 'mailparser' | 'python';

type Shown = ReadonlyMap<Parser, Set<string>>;
const known = new Map<string, Promise<Shown>>();

/** What three other parsers show of one message, in canonical form; asked once. */
function shownByOthers(sample: Sample): Promise<Shown> {
  const shown = known.get(sample.file) ?? readByOthers(sample);
  known.set(sample.file, shown);
  return shown;
}

async function readByOthers({ file, bytes }: Sample): Promise<Shown> {
  const { from, sender, replyTo, to, cc, bcc } = await PostalMime.parse(bytes);
  const mail = await simpleParser(bytes, { skipHtmlToText: true, skipTextToHtml: true });
  const byMailparser = [
    mail.from,
    mail.replyTo,
    mail.to,
    mail.cc,
    mail.bcc,
    ...mail.headers.values(),
  ];
  const found = new Map<Parser, Iterable<string>>([
    ['postal-mime', addressesIn([from, sender, replyTo, to, cc, bcc])],
    ['mailparser', addressesIn(byMailparser)],
    ['python', python ? await askPython(file) : []],
  ]);
  return new Map([...found].map(([parser, texts]) => [parser, comparable(texts)]));
}

function comparable(texts: Iterable<string>): Set<string> {
  // mailparser and postal-mime leave a route before the address (RFC 5322 section 4.4).
  const routed = [...texts].map((text) => text.replace(/^@[^:]*:/, ''));
  const addresses = routed.filter((text) => /[^@\s]@[^@\s]/.test(text));
  return new Set(
    addresses.map((text) => canonicalAddress(text) ?? text.normalize('NFC').toLowerCase()),
  );
}

/** The addresses of `shown` that this judgement leaves unseen although it lets the message pass. */
function unseen(shown: Iterable<string>, { verdict, visible }: Judgement): readonly string[] {
  if (verdict.kind !== 'pass') return [];
  const seen = new Set(visible);
  return [...shown].filter((address) => !seen.has(address));
}

it('an address that postal-mime, mailparser or Python shows is among the visible, or the message does not pass', {
  skip: skip || (python ? false : 'python3 is not installed'),
}, async (context) => {
  const counts = { passed: 0, compared: 0, missed: new Set<string>() };
  const byParser = new Map<Parser, number>();
  for (const sample of samples) {
    const shown = await shownByOthers(sample);
    const verdicts = await Promise.all(POLICIES.map((policy) => judged(sample.bytes, policy)));
    for (const [parser, addresses] of shown) {
      byParser.set(parser, (byParser.get(parser) ?? 0) + addresses.size);
      for (const judgement of verdicts) {
        const left = unseen(addresses, judgement);
        assert.equal(left.length, 0, `${sample.name}: ${parser} shows what is not seen`);
        if (judgement.verdict.kind === 'pass') counts.passed++;
      }
      const seen = new Set(verdicts[0]?.visible);
      counts.compared += addresses.size;
      for (const address of addresses)
        if (!seen.has(address)) counts.missed.add(`${sample.name} ${parser} ${address}`);
    }
  }
  const sums = [...byParser].map(([parser, count]) => `${parser} ${count}`).join(', ');
  context.diagnostic(`${sums}; ${counts.missed.size} not seen, all in messages that do not pass`);
  assert.ok(counts.passed > 100 && counts.compared > 1_500, JSON.stringify(counts));
  assert.ok(
    [...byParser.values()].every((count) => count > 300),
    sums,
  );
  assert.ok(counts.missed.size * 100 <= counts.compared, [...counts.missed].join('\n'));
});

it('the comparison can fail: a judgement that leaves one address out is told', {
  skip,
}, async () => {
  let told = 0;
  for (const sample of samples) {
    const judgement = await judged(sample.bytes, 'person');
    const [shown] = [...(await shownByOthers(sample)).values()];
    const [first] = shown ?? [];
    if (judgement.verdict.kind !== 'pass' || first === undefined) continue;
    const visible = judgement.visible.filter((address) => address !== first);
    assert.deepEqual(unseen(shown ?? [], { ...judgement, visible }), [first], sample.name);
    told++;
    if (told === 20) break;
  }
  assert.equal(told, 20);
});

/** What looks like an address in a message and is none: its identifiers and boundaries. */
function identifiersOf(message: ParsedMessage): readonly string[] {
  const ids = allParts(message).flatMap((part) => [
    part.parameters.get('boundary') ?? '',
    ...part.headers
      .filter(({ lower }) => lower === 'message-id' || lower === 'content-id')
      .map(({ value }) => value.trim().replace(/^<|>$/g, '')),
  ]);
  return [...comparable(ids)];
}

it('no Message-ID, Content-ID or boundary is among the visible', { skip }, async (context) => {
  let compared = 0;
  const taken: string[] = [];
  // A bounce quotes the identifier of what came back in running text, where nothing tells it from an address.
  for (const sample of samples.filter(({ name }) => !name.startsWith('bounces'))) {
    const { visible } = await judged(sample.bytes);
    const seen = new Set(visible);
    // One sample has its author's address for an identifier.
    const people = new Set([...(await shownByOthers(sample)).values()].flatMap((all) => [...all]));
    const ids = identifiersOf(parseMessage(sample.bytes)).filter((id) => !people.has(id));
    compared += ids.length;
    for (const id of ids) if (seen.has(id)) taken.push(`${sample.name}: ${id}`);
  }
  context.diagnostic(`${compared} identifiers`);
  assert.ok(compared > 120, `${compared} identifiers were looked for`);
  assert.deepEqual(taken, []);
});

it('winmail.dat of real programs is read to its end, two broken ones excepted', { skip }, () => {
  const folder = join(root, 'mime');
  const names = readdirSync(folder).filter((name) => name.endsWith('.tnef'));
  const broken = names.filter((name) => !readTnef(readFileSync(join(folder, name))).whole);
  assert.ok(names.length >= 10);
  assert.deepEqual(broken.map((name) => name.replace(/^.*__/, '')).sort(), [
    'garbage-at-end.tnef',
    'panic.tnef',
  ]);
});
