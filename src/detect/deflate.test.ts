import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { constants, deflateRawSync, gzipSync } from 'node:zlib';
import { inflateRaw } from './deflate.ts';
import { fullBudget, gunzipped, inflated } from './inflate.ts';

/** Park and Miller's generator: the same cases in every run. */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
}

/** Bytes of `length` with more or less repetition. */
function contentOf(random: (below: number) => number, length: number): Buffer {
  const kinds = 1 + random(256);
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; ) {
    if (at > 0 && random(4) === 0) {
      const back = 1 + random(Math.min(at, 40_000));
      const end = Math.min(length, at + 3 + random(400));
      for (; at < end; at++) bytes[at] = bytes[at - back] ?? 0;
    } else bytes[at++] = random(kinds);
  }
  return bytes;
}

const STRATEGIES = [
  constants.Z_DEFAULT_STRATEGY,
  constants.Z_FILTERED,
  constants.Z_HUFFMAN_ONLY,
  constants.Z_RLE,
  constants.Z_FIXED,
];

describe('the decoder of deflate', () => {
  it('gives what zlib packed, at every level, strategy and size of its memory', () => {
    const random = randomOf(4711);
    for (let each = 0; each < 1_000; each++) {
      const content = contentOf(random, each < 900 ? random(3_000) : random(200_000));
      const packed = deflateRawSync(content, {
        level: random(10),
        strategy: STRATEGIES[random(5)] ?? 0,
        memLevel: 1 + random(9),
        windowBits: 9 + random(7),
      });
      const behind = Buffer.concat([packed, Buffer.from('behind')]);
      const inflation = inflateRaw(behind, 0, content.length, random(2) * content.length);
      assert.ok(inflation?.content.equals(content), `case ${each}`);
      assert.equal(inflation?.end, packed.length, `case ${each}`);
    }
  });

  it('stops at the byte that is too many, whatever size it was told', () => {
    const packed = deflateRawSync(Buffer.alloc(100_000, 'ab'));
    for (const expected of [0, 10, 100_000, 4_000_000_000]) {
      assert.equal(inflateRaw(packed, 0, 100_000, expected)?.content.length, 100_000);
      assert.ok(inflateRaw(packed, 0, 99_999, expected) === null, `told ${expected}`);
    }
    const bomb = deflateRawSync(Buffer.alloc(200_000_000));
    const before = process.cpuUsage().user;
    assert.equal(inflated(bomb, 1, fullBudget()), null);
    assert.ok(process.cpuUsage().user - before < 1_000_000, 'the work stops with the output');
  });

  it('takes no end of empty blocks', () => {
    // Stored blocks of nothing, none of them the last: five bytes each.
    const blocks = Buffer.alloc(5_000_000, Buffer.from([0, 0, 0, 0xff, 0xff]));
    assert.equal(inflateRaw(blocks, 0, 1_000, 0), null);
  });

  it('finds broken and cut streams, and never throws', () => {
    const random = randomOf(99);
    const content = contentOf(random, 5_000);
    const packed = deflateRawSync(content);
    for (let end = 0; end < packed.length; end += 7) {
      assert.equal(inflateRaw(packed.subarray(0, end), 0, 10_000, 0), null, `cut at ${end}`);
    }
    let broken = 0;
    for (let each = 0; each < 5_000; each++) {
      const bytes = Buffer.from(packed);
      for (let flips = 0; flips <= random(3); flips++) {
        const at = random(bytes.length);
        bytes[at] = (bytes[at] ?? 0) ^ (1 << random(8));
      }
      const inflation = inflateRaw(bytes, 0, 10_000, 0);
      if (inflation === null) broken++;
      else assert.ok(inflation.content.length <= 10_000);
    }
    assert.ok(broken > 100, `${broken} found`);
  });

  it('reads gzip with its names and members, and nothing that hides behind them', () => {
    const one = gzipSync('one ');
    // A name and a comment, as RFC 1952 section 2.3.1 writes them.
    const named = Buffer.concat([
      one.subarray(0, 3),
      Buffer.from([8 | 16 | 4 | 2]),
      one.subarray(4, 10),
      Buffer.from('\x03\0abcname\0comment\0xx', 'latin1'),
      one.subarray(10),
    ]);
    const read = (...parts: Uint8Array[]) =>
      gunzipped(Buffer.concat(parts), fullBudget())?.toString() ?? null;
    assert.equal(read(one), 'one ');
    assert.equal(read(named), 'one ');
    assert.equal(read(one, named, gzipSync('two')), 'one one two');
    assert.equal(read(one, Buffer.alloc(512)), 'one ');
    assert.equal(read(one, Buffer.from('hidden')), null);
    assert.equal(read(one.subarray(0, -1)), null);
    assert.equal(read(Buffer.from('\x1f\x8b\x08\x08', 'latin1')), null);
    const budget = { ...fullBudget(), bytes: 10 };
    assert.equal(gunzipped(Buffer.concat([one, one, one]), budget), null, 'more than the budget');
  });
});
