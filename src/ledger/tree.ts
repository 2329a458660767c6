/** The Merkle tree of RFC 6962 section 2.1 (RFC 9162 section 2.1): roots, growing, proofs. */

import { hash } from 'node:crypto';

const HASH_BYTES = 32;

/** SHA-256(0x00 || bytes). */
export function leafHash(bytes: Uint8Array): Buffer {
  const input = Buffer.allocUnsafe(bytes.length + 1);
  input[0] = 0;
  input.set(bytes, 1);
  return hash('sha256', input, 'buffer');
}

const pair = Buffer.alloc(1 + 2 * HASH_BYTES, 1);

/** SHA-256(0x01 || left || right). */
export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  pair.set(left, 1);
  pair.set(right, 1 + HASH_BYTES);
  return hash('sha256', pair, 'buffer');
}

/** The root over leaf hashes in order; SHA-256 of nothing for none. */
export function merkleRoot(leafHashes: readonly Uint8Array[]): Buffer {
  const range = new CompactRange();
  for (const leaf of leafHashes) range.append(leaf);
  return range.root();
}

/** A tree that only grows, kept as the roots of its complete subtrees: at most one per bit of its size. */
export class CompactRange {
  #size = 0;
  /** Largest subtree first. */
  readonly #roots: Buffer[] = [];

  get size(): number {
    return this.#size;
  }

  append(leaf: Uint8Array): void {
    let node = Buffer.from(leaf);
    // One merge for each subtree that the new leaf completes: the trailing one bits of the size.
    for (let rest = this.#size; rest % 2 === 1; rest = (rest - 1) / 2) {
      const left = this.#roots.pop();
      if (left !== undefined) node = nodeHash(left, node) as Buffer<ArrayBuffer>;
    }
    this.#roots.push(node);
    this.#size++;
  }

  root(): Buffer {
    let node = this.#roots.at(-1);
    if (node === undefined) return hash('sha256', Buffer.alloc(0), 'buffer');
    for (let i = this.#roots.length - 2; i >= 0; i--) {
      const left = this.#roots[i];
      if (left !== undefined) node = nodeHash(left, node);
    }
    return node;
  }

  /** The subtree roots joined, largest first: with the size, all it takes to go on. */
  frontier(): Buffer {
    return Buffer.concat(this.#roots);
  }

  /** The range that `frontier()` gave; null when the number of roots does not fit the size. */
  static resume(size: number, frontier: Uint8Array): CompactRange | null {
    if (!Number.isSafeInteger(size) || size < 0) return null;
    const expected = [...size.toString(2)].filter((bit) => bit === '1').length;
    if (frontier.length !== expected * HASH_BYTES) return null;
    const range = new CompactRange();
    range.#size = size;
    for (let i = 0; i < expected; i++)
      range.#roots.push(Buffer.from(frontier.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES)));
    return range;
  }
}

/** The largest power of two below `size` (RFC 6962: k). */
function splitPoint(size: number): number {
  let k = 1;
  while (k * 2 < size) k *= 2;
  return k;
}

function rootOf(leaves: readonly Uint8Array[], from: number, to: number): Buffer {
  return merkleRoot(leaves.slice(from, to));
}

/** PATH(index, leaves) of RFC 6962 section 2.1.1, lowest sibling first. */
export function inclusionProof(leafHashes: readonly Uint8Array[], index: number): Buffer[] {
  const path: Buffer[] = [];
  let from = 0;
  let to = leafHashes.length;
  while (to - from > 1) {
    const middle = from + splitPoint(to - from);
    if (index < middle) {
      path.push(rootOf(leafHashes, middle, to));
      to = middle;
    } else {
      path.push(rootOf(leafHashes, from, middle));
      from = middle;
    }
  }
  return path.reverse();
}

/** Where a node stands on its way up, beside the last node of its level (fn and sn of RFC 9162). */
interface Climb {
  fn: number;
  sn: number;
}

/** Goes up by one sibling; true when that sibling stands on the left. */
function climb(at: Climb): boolean {
  const isLeft = at.fn % 2 === 1 || at.fn === at.sn;
  if (isLeft)
    while (at.fn % 2 === 0 && at.fn !== 0) {
      at.fn = half(at.fn);
      at.sn = half(at.sn);
    }
  at.fn = half(at.fn);
  at.sn = half(at.sn);
  return isLeft;
}

/** Whether `leaf` stands at `index` in the tree of `size` with `root` (RFC 9162 section 2.1.3.2). */
export function verifyInclusion(
  leaf: Uint8Array,
  index: number,
  size: number,
  proof: readonly Uint8Array[],
  root: Uint8Array,
): boolean {
  if (index < 0 || index >= size) return false;
  let node: Uint8Array = leaf;
  const at = { fn: index, sn: size - 1 };
  for (const sibling of proof) {
    if (at.sn === 0) return false;
    node = climb(at) ? nodeHash(sibling, node) : nodeHash(node, sibling);
  }
  return at.sn === 0 && Buffer.compare(node, root) === 0;
}

function half(value: number): number {
  return Math.floor(value / 2);
}

/** PROOF(oldSize, leaves) of RFC 6962 section 2.1.2; empty for 0 and for equal sizes. */
export function consistencyProof(leafHashes: readonly Uint8Array[], oldSize: number): Buffer[] {
  const proof: Buffer[] = [];
  let from = 0;
  let to = leafHashes.length;
  let size = oldSize;
  let whole = true;
  if (oldSize === 0 || oldSize === to) return proof;
  while (size !== to - from) {
    const k = splitPoint(to - from);
    if (size <= k) {
      proof.push(rootOf(leafHashes, from + k, to));
      to = from + k;
    } else {
      proof.push(rootOf(leafHashes, from, from + k));
      from += k;
      size -= k;
      whole = false;
    }
  }
  if (!whole) proof.push(rootOf(leafHashes, from, to));
  return proof.reverse();
}

/** Whether the tree (`newSize`, `newRoot`) begins with the tree (`oldSize`, `oldRoot`) (RFC 9162 section 2.1.4.2). */
export function verifyConsistency(
  oldSize: number,
  oldRoot: Uint8Array,
  newSize: number,
  newRoot: Uint8Array,
  proof: readonly Uint8Array[],
): boolean {
  if (oldSize > newSize) return false;
  if (oldSize === newSize) return proof.length === 0 && Buffer.compare(oldRoot, newRoot) === 0;
  if (oldSize === 0) return proof.length === 0;
  const isPowerOfTwo = Number.isInteger(Math.log2(oldSize));
  const [first, ...path] = isPowerOfTwo ? [oldRoot, ...proof] : proof;
  if (first === undefined) return false;
  const at = { fn: oldSize - 1, sn: newSize - 1 };
  while (at.fn % 2 === 1) {
    at.fn = half(at.fn);
    at.sn = half(at.sn);
  }
  let oldNode = first;
  let newNode = first;
  for (const step of path) {
    if (at.sn === 0) return false;
    if (climb(at)) {
      oldNode = nodeHash(step, oldNode);
      newNode = nodeHash(step, newNode);
    } else newNode = nodeHash(newNode, step);
  }
  const fits = Buffer.compare(oldNode, oldRoot) === 0 && Buffer.compare(newNode, newRoot) === 0;
  return at.sn === 0 && fits;
}
