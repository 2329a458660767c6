/** Freezing an audience: positions in release order, and the frozen rows. */

import type { Queryable, Transaction } from './database.ts';

export async function createFreezeStaging(tx: Transaction): Promise<void> {
  await tx.query("SET LOCAL work_mem = '96MB'");
  await tx.query(
    `CREATE TEMP TABLE freeze_row (customer_id bigint, kind smallint, language text,
       provider bigint, chance bigint) ON COMMIT DROP`,
  );
}

export const FREEZE_STAGING_COPY =
  'COPY freeze_row (customer_id, kind, language, provider, chance) FROM STDIN (FORMAT BINARY)';

export interface DuplicateRow {
  readonly address_index: Buffer;
  readonly record_index: Buffer;
  readonly sealed: Buffer;
}

/** Selected records that share an address: at most `limit` rows, groups together. */
export function duplicateAddresses(tx: Transaction, limit: number): Promise<DuplicateRow[]> {
  return tx.query(
    `SELECT c.address_index, c.record_index, c.sealed
       FROM customer c JOIN freeze_row f ON f.customer_id = c.id
      WHERE c.address_index IN (
        SELECT c2.address_index FROM customer c2 JOIN freeze_row f2 ON f2.customer_id = c2.id
         GROUP BY c2.address_index HAVING count(*) > 1)
      ORDER BY c.address_index, c.id LIMIT $1`,
    [limit],
  );
}

/** Leaves only the named record of its address; false, and nothing is left out, when it is not among the selected. */
export async function keepOnlyRecord(tx: Transaction, recordIndex: Buffer): Promise<boolean> {
  const found = await tx.query(
    `SELECT 1 FROM freeze_row f JOIN customer c ON c.id = f.customer_id WHERE c.record_index = $1`,
    [recordIndex],
  );
  if (found.length === 0) return false;
  await tx.query(
    `DELETE FROM freeze_row f USING customer c, customer chosen
      WHERE f.customer_id = c.id AND chosen.record_index = $1
        AND c.address_index = chosen.address_index AND c.id <> chosen.id`,
    [recordIndex],
  );
  return true;
}

/**
 * Gives each selected record its position: kind, ring, provider, then keyed chance.
 * Ring 0 holds seeds, staff and one recipient of each provider-language pair; then the shares; then the rest.
 */
export async function orderFreeze(
  tx: Transaction,
  providerMin: number,
  perThousand: readonly number[],
): Promise<void> {
  const bounds = perThousand
    .map((_, i) => perThousand.slice(0, i + 1).reduce((sum, share) => sum + share, 0))
    .map((sum, i) => `WHEN place * 1000 <= total * ${Math.trunc(sum)} THEN ${i + 1}`)
    .join(' ');
  await tx.query(
    `CREATE TEMP TABLE freeze_order ON COMMIT DROP AS
     WITH sized AS (
       SELECT *, CASE WHEN count(*) OVER (PARTITION BY provider) >= ${Math.trunc(providerMin)}
                      THEN provider END AS named FROM freeze_row),
     placed AS (
       SELECT *, row_number() OVER (PARTITION BY named, language ORDER BY chance, customer_id) AS in_pair,
              row_number() OVER (ORDER BY chance, customer_id) AS place,
              count(*) OVER () AS total FROM sized),
     ringed AS (
       SELECT customer_id, kind, language, named, chance,
              CASE WHEN kind = 3 THEN ${perThousand.length + 1}
                   WHEN kind < 2 OR in_pair = 1 THEN 0
                   ${bounds}
                   ELSE ${perThousand.length + 1} END AS ring FROM placed)
     SELECT (row_number() OVER (ORDER BY kind, ring, named NULLS LAST, chance, customer_id) - 1)::int
              AS position, customer_id, kind, language, named, ring::smallint AS ring FROM ringed`,
  );
  await tx.query('CREATE INDEX ON freeze_order (position)');
  await tx.query('ANALYZE freeze_order');
}

/** Named provider keys of the order. */
export async function namedProviders(tx: Transaction): Promise<bigint[]> {
  const rows = await tx.query<{ named: string }>(
    'SELECT DISTINCT named::text AS named FROM freeze_order WHERE named IS NOT NULL',
  );
  return rows.map((row) => BigInt(row.named));
}

/** position, customer's record_index, kind, language chosen, named provider, ring, address_index, version, sealed. */
export function frozenCustomersCopy(from: number, to: number): string {
  return `COPY (SELECT o.position, c.record_index, o.kind, o.language, o.named, o.ring, c.address_index,
            c.version, c.sealed
       FROM freeze_order o JOIN customer c ON c.id = o.customer_id
      WHERE o.position >= ${Math.trunc(from)} AND o.position < ${Math.trunc(to)}
      ORDER BY o.position) TO STDOUT (FORMAT BINARY)`;
}

export async function countFrozen(tx: Transaction): Promise<number> {
  const rows = await tx.query<{ n: number }>('SELECT count(*)::int AS n FROM freeze_order');
  return rows[0]?.n ?? 0;
}

export const AUDIENCE_COPY = `COPY audience_row (broadcast_id, position, kind, language, provider, ring,
  address_index, sealed) FROM STDIN (FORMAT BINARY)`;

/** Indexes come after the rows, so that loading does not keep them up to date row by row. */
export async function indexAudience(tx: Transaction, id: string): Promise<void> {
  const name = `audience_row_${id.replaceAll(/[^a-z0-9]/g, '_')}`;
  await tx.query(`CREATE UNIQUE INDEX ON "${name}" (position)`);
  await tx.query(`CREATE INDEX ON "${name}" (address_index)`);
}

export interface AudienceCount {
  readonly kind: number;
  readonly language: string;
  readonly provider: string;
  readonly ring: number;
  readonly first: number;
  readonly count: number;
}

/** Counts per kind, ring, provider and language, in release order. */
export function countAudience(db: Queryable, id: string): Promise<AudienceCount[]> {
  return db.query(
    `SELECT kind, language, provider, ring, min(position)::int AS first, count(*)::int AS count
       FROM audience_row WHERE broadcast_id = $1
      GROUP BY kind, language, provider, ring ORDER BY min(position)`,
    [id],
  );
}

/** position, kind, language, provider, ring, address_index, sealed of a range. */
export function audienceCopy(id: string, from: number, to: number): string {
  return `COPY (SELECT position, kind, language, provider, ring, address_index, sealed
       FROM audience_row WHERE broadcast_id = '${id}'
        AND position >= ${Math.trunc(from)} AND position < ${Math.trunc(to)}
      ORDER BY position) TO STDOUT (FORMAT BINARY)`;
}
