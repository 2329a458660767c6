import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '../base/errors.ts';
import { BinaryCopy, decodeBinaryCopy, readBinaryCopy } from './copy-binary.ts';

const TRAILER = Buffer.from([0xff, 0xff]);

async function rowsOf(chunks: readonly Buffer[]): Promise<(Buffer | null)[][]> {
  async function* stream(): AsyncGenerator<Buffer> {
    yield* chunks;
  }
  const all: (Buffer | null)[][] = [];
  for await (const rows of readBinaryCopy(stream())) all.push(...rows);
  return all;
}

function sample(): Buffer {
  const copy = new BinaryCopy(['int2', 'int4', 'int8', 'text', 'bytea', 'timestamptz']);
  copy.row(-2, 70_000, 9_007_199_254_740_991, 'Grüße 用户', Buffer.from([0, 255]), 946_684_800_001);
  copy.row(null, null, -5n, '', Buffer.alloc(0), null);
  copy.row(32_767, -2_147_483_648, -9_007_199_254_740_991, Buffer.from('x'), null, 0);
  return Buffer.concat([copy.take(), TRAILER]);
}

test('rows come back as they were given, however the stream is cut', async () => {
  const bytes = sample();
  const whole = await rowsOf([bytes]);
  assert.equal(whole.length, 3);
  const [first, second, third] = whole;
  assert.equal(first?.[0]?.readInt16BE(), -2);
  assert.equal(first?.[1]?.readInt32BE(), 70_000);
  assert.equal(first?.[2]?.readBigInt64BE(), 9_007_199_254_740_991n);
  assert.equal(first?.[3]?.toString(), 'Grüße 用户');
  assert.deepEqual(first?.[4], Buffer.from([0, 255]));
  assert.equal(first?.[5]?.readBigInt64BE(), 1000n);
  assert.deepEqual(
    second?.map((value) => value?.length ?? null),
    [null, null, 8, 0, 0, null],
  );
  assert.equal(second?.[2]?.readBigInt64BE(), -5n);
  assert.equal(third?.[2]?.readBigInt64BE(), -9_007_199_254_740_991n);
  for (let size = 1; size < bytes.length; size++) {
    const chunks: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
    assert.deepEqual(await rowsOf(chunks), whole);
  }
});

test('a copy held in memory reads at once, with and without its trailer', () => {
  const bytes = sample();
  assert.equal(decodeBinaryCopy(bytes).length, 3);
  assert.equal(decodeBinaryCopy(bytes.subarray(0, -2)).length, 3);
  assert.throws(() => decodeBinaryCopy(bytes.subarray(0, -5)), { code: 'copy.format' });
});

test('a stream that ends early or is something else is a fault', async () => {
  const bytes = sample();
  await assert.rejects(rowsOf([bytes.subarray(0, -2)]), { code: 'copy.format' });
  await assert.rejects(rowsOf([bytes.subarray(0, 30)]), { code: 'copy.format' });
  await assert.rejects(rowsOf([Buffer.from('1\tx\n'.repeat(20))]), { code: 'copy.format' });
});

test('a value that does not fit its column is refused and leaves no half row', () => {
  const copy = new BinaryCopy(['int4', 'text']);
  copy.row(1, 'a');
  const { length } = copy;
  const misfits: (() => void)[] = [
    () => copy.row(1),
    () => copy.row(2 ** 31, 'a'),
    () => copy.row(1.5, 'a'),
    () => copy.row('1', 'a'),
    () => copy.row(1, 2),
    () => copy.row(1n, 'a'),
  ];
  for (const misfit of misfits)
    assert.throws(misfit, (error) => error instanceof Fault && error.code === 'copy.row');
  assert.equal(copy.length, length);
});

test('later pieces carry no second header', () => {
  const copy = new BinaryCopy(['int4']);
  const empty = copy.take();
  assert.equal(empty.length, 19);
  copy.row(7);
  assert.equal(copy.take().length, 10);
  assert.equal(copy.take().length, 0);
});
