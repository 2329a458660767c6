/** Arrays of numbers and bytes that become larger. */

/** A copy with room for twice as many. */
export function growInts(array: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(2 * array.length);
  larger.set(array);
  return larger;
}

/** A copy with room for at least `needed` bytes, and for half as many again. */
export function growBytes(bytes: Buffer<ArrayBuffer>, needed: number): Buffer<ArrayBuffer> {
  const larger = Buffer.allocUnsafeSlow(Math.max(needed, Math.ceil(1.5 * bytes.length)));
  larger.set(bytes);
  return larger;
}
