/** The partition of a broadcast: each has tables of its own, dropped with it. */

/** The quoted name of what belongs to one broadcast: a table, or an index on it. */
export function partition(table: string, id: string): string {
  return `"${table}_${id.replaceAll(/[^a-z0-9]/g, '_')}"`;
}
