/**
 * The customers' address hashes: read whole for the index in memory, and told of in the transaction that changes them.
 *
 * Invariant: whoever writes to `customer` announces it in the same transaction, so that no index misses a commit. Payloads:
 * `+` hashes that are there now, `-` hashes that may be gone, `*` anything; hashes are packed, eight bytes each, in base64.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';
import { Fault } from '../base/errors.ts';
import type { Database, Queryable, Transaction } from './database.ts';

export const CUSTOMER_CHANNEL = 'customer_index';
export const HASH_BYTES = 8;

/** NOTIFY takes 8,000 bytes: 700 hashes are 7,565 characters of base64 as PostgreSQL breaks its lines. */
const HASHES_PER_MESSAGE = 700;
/** From here on reading the whole table is no dearer than taking up every message. */
const ANNOUNCED_MAX = 1_000_000;
/** Seed and staff addresses are the company's own: naming a colleague shows no customer. */
const CUSTOMER_KINDS = 'kind >= 2';

export async function countCustomers(db: Queryable): Promise<number> {
  const rows = await db.query<{ n: number }>(
    `SELECT count(*) AS n FROM customer WHERE ${CUSTOMER_KINDS}`,
  );
  return Number(rows[0]?.n ?? 0);
}

const SIGNATURE_BYTES = 11;
const HEADER_BYTES = SIGNATURE_BYTES + 8;
/** Number of columns, length, eight bytes. */
const ROW_BYTES = 2 + 4 + HASH_BYTES;
const TRAILER = 0xffff;
/** Chunks that are there already come one after another: so often mail has its turn, some 2 ms apart. */
const ROWS_PER_TURN = 20_000;

/**
 * Every customer's hash, as two halves of 32 bits, in no order; one address may come twice.
 * Rows of one fixed width are read in place: an eighth of the time of reading them as rows.
 * @throws Fault `copy.format` when the stream is not what was asked for or ends early.
 */
export async function readCustomerHashes(
  db: Database,
  each: (high: number, low: number) => void,
): Promise<number> {
  const stream = db.copyOut(
    `COPY (SELECT substr(address_index, 1, ${HASH_BYTES}) FROM customer WHERE ${CUSTOMER_KINDS})
       TO STDOUT (FORMAT BINARY)`,
  );
  let rest: Buffer = Buffer.alloc(0);
  let skip = HEADER_BYTES;
  let count = 0;
  let turnAt = ROWS_PER_TURN;
  let ended = false;
  for await (const chunk of stream) {
    if (ended) continue;
    if (count >= turnAt) {
      turnAt = count + ROWS_PER_TURN;
      await nextTurn();
    }
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    if (bytes.length < skip) {
      rest = bytes;
      continue;
    }
    let at = skip;
    skip = 0;
    for (; at + ROW_BYTES <= bytes.length; at += ROW_BYTES) {
      if (bytes.readUInt32BE(at + 2) !== HASH_BYTES || bytes[at + 1] !== 1) break;
      each(bytes.readUInt32BE(at + 6), bytes.readUInt32BE(at + 10));
      count++;
    }
    rest = bytes.subarray(at);
    ended = rest.length >= 2 && rest.readUInt16BE(0) === TRAILER;
    if (!ended && rest.length >= ROW_BYTES)
      throw new Fault('copy.format', 'a customer has no whole address index');
  }
  if (!ended) throw new Fault('copy.format', 'the COPY ended before its trailer');
  return count;
}

/**
 * Announces what an import is about to merge: call it when its rows are staged and not yet merged.
 * Old addresses of records that change are announced as possibly gone.
 */
export async function announceImport(tx: Transaction): Promise<void> {
  const [staged] = await tx.query<{ n: number }>('SELECT count(*)::int AS n FROM import_row');
  if ((staged?.n ?? 0) > ANNOUNCED_MAX) {
    await announceAll(tx);
    return;
  }
  await announce(tx, '+', `SELECT address_index FROM import_row WHERE ${CUSTOMER_KINDS}`);
  await announce(
    tx,
    '-',
    `SELECT c.address_index FROM customer c JOIN import_row r USING (record_index)
      WHERE c.address_index <> r.address_index OR c.kind <> r.kind`,
  );
}

/** Announces customers who are erased, by their address indexes. */
export function announceErased(tx: Transaction, indexes: readonly Buffer[]): Promise<void> {
  return announce(tx, '-', 'SELECT unnest($1::bytea[]) AS address_index', [indexes]);
}

/** Announces that anything may have changed: every index is read anew. */
export async function announceAll(tx: Transaction): Promise<void> {
  await tx.query('SELECT pg_notify($1, $2)', [CUSTOMER_CHANNEL, '*']);
}

async function announce(
  tx: Transaction,
  sign: '+' | '-',
  rows: string,
  params: readonly unknown[] = [],
): Promise<void> {
  // In a subquery that counts, so that the messages are not sent to us as rows too.
  await tx.query(
    `SELECT count(*) FROM (
       SELECT pg_notify('${CUSTOMER_CHANNEL}', '${sign}' || encode(string_agg(hash, ''::bytea), 'base64')) AS sent
         FROM (SELECT substr(address_index, 1, ${HASH_BYTES}) AS hash,
                      (row_number() OVER () - 1) / ${HASHES_PER_MESSAGE} AS message
                 FROM (${rows}) AS named) AS numbered
        GROUP BY message OFFSET 0) AS messages WHERE sent IS NOT NULL`,
    params,
  );
}

/** Which of these hashes are some customer's still. */
export async function hashesStillThere(
  db: Queryable,
  hashes: readonly Buffer[],
): Promise<readonly Buffer[]> {
  const rows = await db.query<{ hash: Buffer }>(
    `SELECT hash FROM unnest($1::bytea[]) AS hash
      WHERE EXISTS (SELECT 1 FROM customer c WHERE c.address_index >= hash
                       AND c.address_index < hash || '\\xffffffffffffffffff'::bytea
                       AND c.${CUSTOMER_KINDS})`,
    [hashes],
  );
  return rows.map((row) => row.hash);
}
