import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ledgerKeyFingerprint, signCheckpoint } from '../../src/ledger/checkpoint.ts';
import { merkleRoot } from '../../src/ledger/tree.ts';
// biome-ignore lint/correctness/useImportExtensions: plain JavaScript, its types beside it
import { type Verification, verifyBundle } from '../../verify/verify.mjs';
import { testDatabase } from '../support/database.ts';
import {
  type ApprovalChoice,
  bundleLines,
  entryLeaves,
  newKeyPair,
  ORIGIN,
  PEOPLE,
  sampleBundle,
} from '../support/ledger-sample.ts';

type BundleLine = { type: string; [name: string]: unknown };

const VERIFIER = fileURLToPath(new URL('../../verify/verify.mjs', import.meta.url));
const folder = mkdtempSync(path.join(os.tmpdir(), 'ledger-verify-'));
const key = newKeyPair();
const fingerprint = ledgerKeyFingerprint(key.publicKey);
const anchor = path.join(folder, 'anchor.txt');
let lines: string[] = [];
let files = 0;

before(async () => {
  const { db, drop } = await testDatabase();
  lines = await sampleBundle(db, key, anchor);
  await drop();
});
after(() => rmSync(folder, { recursive: true, force: true }));

function fileOf(content: readonly string[]): string {
  const file = path.join(folder, `bundle-${++files}.jsonl`);
  writeFileSync(file, `${content.join('\n')}\n`);
  return file;
}

function verify(
  content: readonly string[],
  options: { anchor?: string; key?: string } = {},
): Promise<Verification> {
  return verifyBundle({ bundle: fileOf(content), ...options });
}

/** The bundle with every line passed through `change`; null takes the line away, an array puts several there. */
function changed(
  change: (line: BundleLine, index: number) => BundleLine | BundleLine[] | null,
): string[] {
  let hits = 0;
  const result = lines.flatMap((text, index) => {
    const before = JSON.stringify(JSON.parse(text));
    const after = [change(JSON.parse(text), index) ?? []]
      .flat()
      .map((line) => JSON.stringify(line));
    if (after.join('\n') !== before) hits++;
    return after;
  });
  assert.ok(hits > 0, 'the change hit nothing');
  return result;
}

async function assertFound(content: readonly string[], problem: RegExp): Promise<void> {
  const result = await verify(content);
  assert.equal(result.verified, false);
  assert.match(result.problems.join('\n'), problem);
}

test('a whole bundle verifies, says what it counted, and what it cannot know', async () => {
  const result = await verify(lines);
  assert.deepEqual(result.problems, []);
  assert.equal(result.conclusion, 'internally consistent; currency and key unconfirmed');
  assert.equal(result.entries, 7);
  assert.equal(result.rows, PEOPLE + 1);
  const [broadcast] = result.broadcasts;
  assert.deepEqual(broadcast?.final, { accepted: PEOPLE - 1, refused: 1 });
  assert.equal(broadcast?.sum, PEOPLE);
  assert.deepEqual(broadcast?.open, {});
  assert.equal(broadcast?.approvedBy, 'bob');
});

test('an anchor and the fingerprint confirm currency and key', async () => {
  const both = await verify(lines, { anchor, key: fingerprint });
  assert.match(both.conclusion, /the 7 entries the anchor has seen stand unchanged; key confirmed/);
  const short = await verify(lines, { key: fingerprint.slice(0, 16).toUpperCase() });
  assert.match(short.conclusion, /currency unconfirmed; key confirmed/);
  assert.match((await verify(lines, { anchor })).conclusion, /key as in the anchor/);
});

test('an edited, reordered, inserted or deleted entry is found from the bundle alone', async () => {
  const isEntry = (line: BundleLine, index: number): boolean =>
    line.type === 'entry' && line.index === index;
  const edited = changed((line) =>
    isEntry(line, 2) ? { ...line, bytes: String(line.bytes).replace('08:00', '09:00') } : line,
  );
  await assertFound(edited, /not the ones the checkpoint of that size was signed over/);
  const entries = lines.filter((text) => text.includes('"type":"entry"'));
  const swap = changed((line) => {
    const other = isEntry(line, 0) ? entries[1] : isEntry(line, 1) ? entries[0] : null;
    return other ? { ...line, bytes: JSON.parse(other).bytes } : line;
  });
  await assertFound(swap, /not the ones the checkpoint/);
  const moved = changed((line, index) =>
    index === 1 ? JSON.parse(lines[2] ?? '') : index === 2 ? JSON.parse(lines[1] ?? '') : line,
  );
  await assertFound(moved, /entry 1 stands where entry 0 belongs/);
  await assertFound(
    changed((line) => (isEntry(line, 2) ? [line, { ...line, index: 3 }] : line)),
    /not the ones the checkpoint|stands where/,
  );
  await assertFound(
    changed((line) => (isEntry(line, 2) ? null : line)),
    /entry 3 stands where entry 2 belongs/,
  );
});

test('an entry that is not in canonical form is found', async () => {
  const spaced = changed((line) =>
    line.type === 'entry' && line.index === 2
      ? { ...line, bytes: String(line.bytes).replace('{', '{ ') }
      : line,
  );
  await assertFound(spaced, /Entry 2 is not in canonical form/);
});

test('an edited, reordered, inserted or deleted row is found from the bundle alone', async () => {
  const rowsWith = (change: (rows: string[]) => string[]): string[] => {
    let first = true;
    return changed((line) => {
      if (line.type !== 'rows' || !first) return line;
      first = false;
      return { ...line, rows: change([...(line.rows as string[])]) };
    });
  };
  const different = /are not the ones it was signed for/;
  await assertFound(
    rowsWith((rows) => rows.with(0, String(rows[0]).replace('250', '251'))),
    different,
  );
  await assertFound(
    rowsWith((rows) => rows.toReversed()),
    different,
  );
  await assertFound(
    rowsWith((rows) => [...rows, String(rows[0])]),
    different,
  );
  await assertFound(
    rowsWith((rows) => rows.slice(1)),
    /stands for 12 rows; 11 are here/,
  );
  await assertFound(
    changed((line) => (line.type === 'rows' ? null : line)),
    /rows of entry 4 \(outcomes.recorded\) are missing/,
  );
  await assertFound(
    changed((line) => (line.type === 'rows' ? [line, line] : line)),
    /do not belong here/,
  );
});

test('an edited, reordered, inserted or deleted leaf is found from the bundle alone', async () => {
  const leavesWith = (change: (bytes: Buffer) => Buffer): string[] =>
    changed((line) =>
      line.type === 'leaves' && line.first === 8
        ? {
            ...line,
            leaves: change(Buffer.from(String(line.leaves), 'base64')).toString('base64'),
          }
        : line,
    );
  const flip = (bytes: Buffer): Buffer => {
    bytes.writeUInt8(bytes.readUInt8(40) ^ 1, 40);
    return bytes;
  };
  const swap = (bytes: Buffer): Buffer =>
    Buffer.concat([bytes.subarray(32, 64), bytes.subarray(0, 32), bytes.subarray(64)]);
  await assertFound(leavesWith(flip), /the leaves are not the ones that were approved/);
  await assertFound(leavesWith(swap), /the leaves are not the ones that were approved/);
  await assertFound(
    leavesWith((bytes) => bytes.subarray(32)),
    /21 messages were approved, 20 leaves/,
  );
  await assertFound(
    leavesWith((bytes) => Buffer.concat([bytes, bytes.subarray(0, 32)])),
    /21 messages were approved, 22 leaves/,
  );
  await assertFound(
    changed((line) => (line.type === 'leaves' ? null : line)),
    /21 messages were approved, 0 leaves/,
  );
});

test('an edited checkpoint, and one of another key, are found', async () => {
  const last = entryLeaves(lines);
  const checkpoint = { origin: ORIGIN, size: last.length, root: merkleRoot(last) };
  const foreign = signCheckpoint(checkpoint, newKeyPair());
  const notes = (note: string): string[] => [
    ...changed((line) => (line.type === 'checkpoint' ? null : line)),
    JSON.stringify({ type: 'checkpoint', note }),
  ];
  await assertFound(notes(foreign), /not signed by the key of this ledger/);
  const own = signCheckpoint(checkpoint, key);
  assert.equal((await verify(notes(own))).verified, true);
  await assertFound(notes(own.replace('\n7\n', '\n6\n')), /not signed by the key/);
  await assertFound(
    changed((line) => (line.type === 'checkpoint' ? null : line)),
    /No valid checkpoint/,
  );
  const earlier = signCheckpoint(
    { ...checkpoint, size: 6, root: merkleRoot(last.slice(0, 6)) },
    key,
  );
  await assertFound(notes(earlier), /covers 6 of 7 entries/);
});

/** What somebody with the database and the key can do: leave entries out and sign the rest anew. */
function restamped(keep: (line: BundleLine) => boolean): string[] {
  let index = 0;
  const kept = lines
    .map((text) => JSON.parse(text) as BundleLine)
    .filter((line) => line.type !== 'checkpoint' && keep(line))
    .map((line) => JSON.stringify(line.type === 'entry' ? { ...line, index: index++ } : line));
  const leaves = entryLeaves(kept);
  const checkpoint = { origin: ORIGIN, size: leaves.length, root: merkleRoot(leaves) };
  return [...kept, JSON.stringify({ type: 'checkpoint', note: signCheckpoint(checkpoint, key) })];
}

test('a ledger cut off at its end verifies alone, and is found with an anchor', async () => {
  const cut = restamped((line) => line.index !== 6);
  assert.equal((await verify(cut)).verified, true);
  const found = await verify(cut, { anchor });
  assert.equal(found.verified, false);
  assert.match(found.problems.join('\n'), /cut off: the anchor has seen 7 entries, 6 are here/);
});

test('a ledger written anew with the same key verifies alone, and is found with an anchor', async () => {
  const isPrepared = (line: BundleLine): boolean =>
    String(line.bytes).includes('broadcast.prepared');
  const without = restamped((line) => !isPrepared(line) && line.type !== 'rows');
  const rows = lines.filter((text) => JSON.parse(text).type === 'rows');
  const renumbered = rows.map((text) => {
    const row = JSON.parse(text);
    return JSON.stringify({ ...row, entry: row.entry - 1 });
  });
  const anew = [...without, ...renumbered];
  const alone = await verify(anew);
  assert.deepEqual(alone.problems, []);
  assert.equal(alone.verified, true);
  const old = path.join(folder, 'old-anchor.txt');
  writeFileSync(
    old,
    readFileSync(anchor, 'utf8')
      .split('\n')
      .slice(0, 5 * 6)
      .join('\n'),
  );
  const found = await verify(anew, { anchor: old });
  assert.equal(found.verified, false);
  assert.match(found.problems.join('\n'), /written anew: its first \d entries/);
});

test('a ledger signed by another key is found with the fingerprint or an anchor', async () => {
  const { db, drop } = await testDatabase();
  const otherKey = newKeyPair();
  const other = await sampleBundle(db, otherKey);
  await drop();
  assert.equal((await verify(other)).verified, true);
  assert.match((await verify(other, { key: fingerprint })).problems.join(), /not the one you know/);
  assert.match(
    (await verify(other, { anchor })).problems.join(),
    /its checkpoint is not signed by the key of this ledger/,
  );
});

test('approvals that should not count are found', async () => {
  const cases: [ApprovalChoice, RegExp][] = [
    [{ authors: ['alice', 'bob'] }, /bob approved their own work/],
    [{ approver: 'carol' }, /carol was not an operator at that time/],
    [{ signer: newKeyPair() }, /the key is not bob's/],
    [{ count: PEOPLE + 1 }, /22 messages were approved, 21 leaves are here/],
    [{ count: PEOPLE - 1 }, /position 20 is outside b-1/],
  ];
  for (const [choice, problem] of cases) {
    const { db, drop } = await testDatabase();
    await assertFound(await sampleBundle(db, key, undefined, choice), problem);
    await drop();
  }
});

test('people without an outcome are named as open and the sum says so', async () => {
  const { db, drop } = await testDatabase();
  await sampleBundle(db, key);
  const all = await bundleLines(db, key);
  await drop();
  const open = restampedWithoutLastBatch(all);
  const result = await verify(open);
  assert.deepEqual(result.problems, []);
  const [broadcast] = result.broadcasts;
  assert.deepEqual(broadcast?.open, { 'no outcome': PEOPLE - 12, deferred: 1 });
  assert.equal(broadcast?.sum, 11);
});

function restampedWithoutLastBatch(all: readonly string[]): string[] {
  const kept = all.filter((text) => {
    const line = JSON.parse(text);
    if (line.type === 'checkpoint') return false;
    return line.type === 'entry' ? line.index < 5 : line.entry !== 5;
  });
  const leaves = entryLeaves(kept);
  const checkpoint = { origin: ORIGIN, size: leaves.length, root: merkleRoot(leaves) };
  return [...kept, JSON.stringify({ type: 'checkpoint', note: signCheckpoint(checkpoint, key) })];
}

test('a line of an unknown type is named as not checked', async () => {
  const result = await verify([...lines, JSON.stringify({ type: 'remark', text: 'x' })]);
  assert.deepEqual(result.linesNotChecked, { remark: 1 });
  assert.equal(result.verified, true);
});

test('the last N checkpoints are enough', async () => {
  const { db, drop } = await testDatabase();
  await sampleBundle(db, key);
  const short = await bundleLines(db, key, { checkpoints: 2 });
  await drop();
  const result = await verify(short);
  assert.equal(result.verified, true);
  assert.equal(result.checkpoints, 2);
});

test('the one file runs alone: 0 verified, 1 not, 2 cannot run', () => {
  const alone = path.join(folder, 'somewhere-else.mjs');
  copyFileSync(VERIFIER, alone);
  const run = (...args: string[]) =>
    spawnSync(process.execPath, [alone, ...args], { cwd: '/', encoding: 'utf8' });
  const good = fileOf(lines);
  const verified = run(good, '--anchor', anchor, `--key=${fingerprint}`);
  assert.equal(verified.stderr, '');
  assert.match(verified.stdout, /accepted 20, refused 1; sum 21 of 21\.\nVERIFIED: internally/);
  assert.equal(verified.status, 0);
  assert.equal(JSON.parse(run(good, '--json').stdout).verified, true);
  const bad = run(fileOf(lines.slice(0, -1)));
  assert.equal(bad.status, 1);
  assert.match(bad.stdout, /PROBLEM: .*\nNOT VERIFIED\n$/);
  for (const args of [
    [],
    [path.join(folder, 'missing')],
    [VERIFIER],
    [good, '--key', 'xyz'],
    [good, '--anchor', good],
    [good, '--unknown'],
  ]) {
    const result = run(...args);
    assert.equal(result.status, 2, args.join(' '));
    assert.match(result.stderr, /^ledger verify: .+\n$/);
  }
});
