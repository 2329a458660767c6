import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CompactRange,
  consistencyProof,
  inclusionProof,
  leafHash,
  merkleRoot,
  verifyConsistency,
  verifyInclusion,
} from './tree.ts';

/** Test vectors of the Certificate Transparency reference implementation. */
const INPUTS = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
];
const ROOTS = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];

function leaves(count: number): Buffer[] {
  return Array.from({ length: count }, (_, i) => leafHash(Buffer.from(`leaf ${i}`)));
}

function flipped(hash: Uint8Array): Buffer {
  const copy = Buffer.from(hash);
  copy.writeUInt8(copy.readUInt8(7) ^ 1, 7);
  return copy;
}

test('roots are those of RFC 6962', () => {
  const hashes = INPUTS.map((hex) => leafHash(Buffer.from(hex, 'hex')));
  for (const [size, root] of ROOTS.entries())
    assert.equal(merkleRoot(hashes.slice(0, size)).toString('hex'), root);
});

test('a range taken up from its frontier goes on as if it had never stopped', () => {
  const hashes = leaves(70);
  for (let stop = 0; stop <= hashes.length; stop++) {
    const before = new CompactRange();
    for (const leaf of hashes.slice(0, stop)) before.append(leaf);
    const after = CompactRange.resume(before.size, before.frontier());
    assert.ok(after);
    for (const leaf of hashes.slice(stop)) after.append(leaf);
    assert.deepEqual(after.root(), merkleRoot(hashes));
  }
});

test('a frontier that does not fit its size is refused', () => {
  assert.equal(CompactRange.resume(3, Buffer.alloc(32)), null);
  assert.equal(CompactRange.resume(-1, Buffer.alloc(0)), null);
  assert.ok(CompactRange.resume(3, Buffer.alloc(64)));
});

test('every leaf has a proof that it is included, good for that leaf and place only', () => {
  for (let size = 1; size <= 33; size++) {
    const hashes = leaves(size);
    const root = merkleRoot(hashes);
    for (const [index, leaf] of hashes.entries()) {
      const proof = inclusionProof(hashes, index);
      assert.ok(verifyInclusion(leaf, index, size, proof, root));
      assert.ok(!verifyInclusion(flipped(leaf), index, size, proof, root));
      assert.ok(!verifyInclusion(leaf, (index + 1) % size, size, proof, root) || size === 1);
      assert.ok(!verifyInclusion(leaf, index, size, [...proof, leaf], root));
      for (let i = 0; i < proof.length; i++) {
        const damaged = proof.with(i, flipped(proof[i] as Buffer));
        assert.ok(!verifyInclusion(leaf, index, size, damaged, root));
      }
    }
  }
});

test('every earlier tree has a proof that it is the beginning of the later one', () => {
  for (let size = 1; size <= 33; size++) {
    const hashes = leaves(size);
    const root = merkleRoot(hashes);
    for (let old = 0; old <= size; old++) {
      const proof = consistencyProof(hashes, old);
      const oldRoot = merkleRoot(hashes.slice(0, old));
      assert.ok(verifyConsistency(old, oldRoot, size, root, proof), `${old} of ${size}`);
      if (old > 0) assert.ok(!verifyConsistency(old, flipped(oldRoot), size, root, proof));
      if (old > 0) assert.ok(!verifyConsistency(old, oldRoot, size, flipped(root), proof));
      for (let i = 0; i < proof.length; i++) {
        const damaged = proof.with(i, flipped(proof[i] as Buffer));
        assert.ok(!verifyConsistency(old, oldRoot, size, root, damaged));
      }
    }
  }
});
