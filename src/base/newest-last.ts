/** Maps that keep what was used lately and no more than so much. */

/** Puts an entry behind all others; of more than `sizeMax` the one unused for the longest goes. */
export function setNewest<Key, Value>(
  map: Map<Key, Value>,
  key: Key,
  value: Value,
  sizeMax: number,
): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= sizeMax) return;
  for (const oldest of map.keys()) {
    map.delete(oldest);
    return;
  }
}
