/** The customers register. */

import type { Queryable, Transaction } from './database.ts';

/** Rows of an import wait here until the whole file has been read. */
export async function createImportStaging(tx: Transaction): Promise<void> {
  await tx.query("SET LOCAL work_mem = '96MB'");
  await tx.query(
    `CREATE TEMP TABLE import_row (line int, record_index bytea, address_index bytea,
       data_index bytea, kind smallint, language text, sealed bytea) ON COMMIT DROP`,
  );
}

export const IMPORT_STAGING_COPY =
  'COPY import_row (line, record_index, address_index, data_index, kind, language, sealed) FROM STDIN (FORMAT BINARY)';

/** Lines whose record key stands on an earlier line with other data. */
export function conflictingImportLines(
  tx: Transaction,
): Promise<{ line: number; first_line: number }[]> {
  return tx.query(
    `SELECT r.line, f.line AS first_line FROM import_row r
       JOIN (SELECT record_index, min(line) AS line FROM import_row
             GROUP BY record_index HAVING count(*) > 1) d USING (record_index)
       JOIN import_row f ON f.record_index = d.record_index AND f.line = d.line
     WHERE r.data_index <> f.data_index ORDER BY r.line`,
  );
}

/**
 * Merges the staged rows: new records are added, changed ones get the next version.
 * Sorted by the index's own order, so that its pages are filled one after another.
 */
export async function mergeImport(
  tx: Transaction,
): Promise<{ added: number; changed: number; distinct: number }> {
  const [counts] = await tx.query<{ added: number; changed: number }>(
    `WITH merged AS (
       INSERT INTO customer (record_index, address_index, data_index, kind, language, sealed)
       SELECT DISTINCT ON (record_index)
              record_index, address_index, data_index, kind, language, sealed
         FROM import_row ORDER BY record_index, line
       ON CONFLICT (record_index) DO UPDATE SET address_index = excluded.address_index,
         data_index = excluded.data_index, kind = excluded.kind, language = excluded.language,
         sealed = excluded.sealed, version = customer.version + 1
       WHERE customer.data_index <> excluded.data_index
       RETURNING (xmax = 0) AS added)
     SELECT count(*) FILTER (WHERE added)::int AS added,
            count(*) FILTER (WHERE NOT added)::int AS changed FROM merged`,
  );
  const [all] = await tx.query<{ n: number }>(
    'SELECT count(DISTINCT record_index)::int AS n FROM import_row',
  );
  return { added: counts?.added ?? 0, changed: counts?.changed ?? 0, distinct: all?.n ?? 0 };
}

export async function insertImport(
  tx: Transaction,
  row: {
    id: string;
    operator: string;
    added: number;
    changed: number;
    unchanged: number;
    rejected: number;
  },
): Promise<void> {
  await tx.query(
    `INSERT INTO customer_import (id, operator, added, changed, unchanged, rejected)
     VALUES ($1, $2, $3, $4, $5, $6)`,
    [row.id, row.operator, row.added, row.changed, row.unchanged, row.rejected],
  );
}

export async function importOperators(db: Queryable): Promise<string[]> {
  const rows = await db.query<{ operator: string }>(
    'SELECT DISTINCT operator FROM customer_import ORDER BY operator',
  );
  return rows.map((row) => row.operator);
}

export interface SealedCustomer {
  readonly address_index: Buffer;
  readonly record_index: Buffer;
  readonly sealed: Buffer;
}

/** More people than this do not share an address. */
const RECORDS_PER_ADDRESS_MAX = 20;

/** The records at these addresses, of each the first few. */
export function customersByAddress(
  db: Queryable,
  indexes: readonly Buffer[],
): Promise<SealedCustomer[]> {
  return db.query(
    `SELECT c.address_index, c.record_index, c.sealed
       FROM (SELECT DISTINCT unnest($1::bytea[]) AS address_index) AS asked
      CROSS JOIN LATERAL (
        SELECT address_index, record_index, sealed FROM customer
         WHERE customer.address_index = asked.address_index
         ORDER BY id LIMIT ${RECORDS_PER_ADDRESS_MAX}) AS c`,
    [indexes],
  );
}

/** id, record_index, address_index, data_index, version, kind, language, sealed; in id order. */
export const CUSTOMERS_COPY =
  'COPY (SELECT id, record_index, kind, language, sealed FROM customer ORDER BY id) TO STDOUT (FORMAT BINARY)';
