/**
 * Declared audiences: a list of addresses that an operator has named, and that a caller may write to and to nobody else.
 *
 * Invariants: of an address its keyed hash alone is stored; a list is taken whole in one transaction with its entry, and is in
 * force at every process with that commit, since each call asks the database; an audience that nobody has declared holds nobody
 * and passes nobody: the call is deferred.
 */

import { Fault } from '../base/errors.ts';
import { blindIndex } from '../keys/blind-index.ts';
import type { Keyring } from '../keys/keyring.ts';
import { appendEntry } from '../ledger/ledger.ts';
import { canonicalAddress, parseAddress } from '../mail/address.ts';
import { BatchedLookup } from '../store/batched-lookup.ts';
import { BinaryCopy } from '../store/copy-binary.ts';
import type { Database } from '../store/database.ts';
import {
  createDeclarationStaging,
  DECLARATION_STAGING_COPY,
  deleteAudience,
  listAudiences,
  membersAmong,
  recordedAmong,
  replaceAudience,
} from '../store/declared-audiences.ts';

/** The audience that is always there: the standing register. */
export const CUSTOMERS = 'customers';

const NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/i;
/** No address is so long (RFC 5321 section 4.5.3.1.3), nor ten times over in UTF-8. */
const LINE_BYTES_MAX = 4096;
const BATCH_ROWS = 5000;

export interface Declaration {
  readonly name: string;
  /** One address on each line. */
  readonly bytes: AsyncIterable<Uint8Array>;
  readonly operator: string;
}

export interface DeclarationEvents {
  rejected(rejection: { readonly line: number; readonly reason: string }): void;
  progress(lines: number): void;
  /** Called when the list has been read and nothing is stored yet; throws to give it up. */
  beforeCommit(): void;
}

export interface DeclarationReport {
  readonly audience: string;
  readonly readers: number;
  readonly rejected: number;
}

function checkName(name: string): void {
  if (NAME.test(name) && name.toLowerCase() !== CUSTOMERS) return;
  throw new Fault('declared-audience.name', 'an audience cannot be called so', {
    remedy: 'letters, digits, dots, hyphens and underscores; "customers" is the register itself',
  });
}

/** Lines without their ends, each with its number. @throws Fault `declared-audience.line-too-long`. */
async function* linesOf(
  bytes: AsyncIterable<Uint8Array>,
): AsyncGenerator<readonly [line: number, text: string]> {
  let rest: Buffer = Buffer.alloc(0);
  let line = 0;
  for await (const chunk of bytes) {
    let whole = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk]);
    for (let end = whole.indexOf(10); end >= 0; end = whole.indexOf(10)) {
      yield [++line, whole.toString('utf8', 0, end)];
      whole = whole.subarray(end + 1);
    }
    if (whole.length > LINE_BYTES_MAX)
      throw new Fault('declared-audience.line-too-long', 'the line is too long for an address', {
        where: `line ${line + 1}`,
        remedy: 'one address on each line, and nothing else',
      });
    rest = whole;
  }
  if (rest.length > 0) yield [line + 1, rest.toString('utf8')];
}

interface Counts {
  lines: number;
  taken: number;
  rejected: number;
}

async function* indexRows(
  bytes: AsyncIterable<Uint8Array>,
  keyring: Pick<Keyring, 'blindIndex'>,
  events: DeclarationEvents,
  counts: Counts,
): AsyncGenerator<Buffer> {
  const copy = new BinaryCopy(['bytea']);
  for await (const [line, given] of linesOf(bytes)) {
    counts.lines = line;
    const text = (line === 1 ? given.replace(/^\ufeff/, '') : given).trim();
    if (text === '') continue;
    const reading = parseAddress(text);
    const canonical = reading.kind === 'invalid' ? null : canonicalAddress(reading.address.text);
    if (canonical === null) {
      counts.rejected++;
      const reason = reading.kind === 'invalid' ? reading.reason : 'it has no canonical form';
      events.rejected({ line, reason });
      continue;
    }
    copy.row(blindIndex(keyring.blindIndex.key, 'address', canonical));
    if (++counts.taken % BATCH_ROWS !== 0) continue;
    events.progress(line);
    yield copy.take();
  }
  events.progress(counts.lines);
  yield copy.take();
}

/**
 * Declares an audience, in the place of the one that had its name.
 * @throws Fault `declared-audience.name`, `declared-audience.empty`, `declared-audience.line-too-long`.
 */
export async function declareAudience(
  db: Database,
  keyring: Pick<Keyring, 'blindIndex'>,
  { name, bytes, operator }: Declaration,
  events: DeclarationEvents,
): Promise<DeclarationReport> {
  checkName(name);
  return db.transaction(async (tx) => {
    await createDeclarationStaging(tx);
    const counts: Counts = { lines: 0, taken: 0, rejected: 0 };
    await tx.copyIn(DECLARATION_STAGING_COPY, indexRows(bytes, keyring, events, counts));
    if (counts.taken === 0)
      throw new Fault('declared-audience.empty', 'the list holds no address', {
        remedy: 'one address on each line; of a table, the column with the addresses alone',
      });
    const readers = await replaceAudience(tx, name, operator);
    events.beforeCommit();
    const report = { audience: name, readers, rejected: counts.rejected };
    await appendEntry(tx, {
      kind: 'guard.audience-declared',
      at: new Date().toISOString(),
      by: operator,
      subject: name,
      data: report,
    });
    return report;
  });
}

/** Takes a declared audience away: its callers' mail is deferred from then on. @throws Fault `declared-audience.unknown`. */
export async function removeAudience(
  db: Database,
  name: string,
  operator: string,
): Promise<{ readonly audience: string; readonly readers: number }> {
  return db.transaction(async (tx) => {
    const readers = await deleteAudience(tx, name);
    if (readers === null) throw unknownAudience(name);
    const report = { audience: name, readers };
    await appendEntry(tx, {
      kind: 'guard.audience-removed',
      at: new Date().toISOString(),
      by: operator,
      subject: name,
      data: report,
    });
    return report;
  });
}

export interface ListedAudience {
  readonly audience: string;
  readonly readers: number;
  readonly by: string;
  readonly at: string;
}

export async function listDeclared(db: Database): Promise<readonly ListedAudience[]> {
  const rows = await listAudiences(db);
  return rows.map(({ name, readers, declared_by, declared_at }) => ({
    ...{ audience: name, readers, by: declared_by, at: declared_at.toISOString() },
  }));
}

/** The callers whose audience nobody has declared. */
export async function unknownAudiences(
  db: Database,
  callers: readonly { readonly name: string; readonly audience: string | null }[],
): Promise<readonly { readonly name: string; readonly audience: string }[]> {
  const named = callers.flatMap(({ name, audience }) =>
    audience === null || audience === CUSTOMERS ? [] : [{ name, audience }],
  );
  if (named.length === 0) return [];
  const declared = new Set((await listAudiences(db)).map(({ name }) => name));
  return named.filter(({ audience }) => !declared.has(audience));
}

function unknownAudience(name: string): Fault {
  return new Fault('declared-audience.unknown', 'nobody has declared this audience', {
    where: name,
    remedy: 'undisclosed guard audience declare NAME FILE --as OPERATOR',
  });
}

/** Asks whether all of these are in an audience; the register's index in memory answers before the database does. */
export class AudienceDesk {
  readonly #db: Database;
  readonly #isCustomer: (canonical: string) => boolean;
  readonly #lookups = new Map<string, BatchedLookup<Buffer>>();

  constructor(db: Database, isCustomer: (canonical: string) => boolean) {
    this.#db = db;
    this.#isCustomer = isCustomer;
  }

  /**
   * @param indexes canonical address to blind index.
   * @throws Fault `declared-audience.unknown`, `database.*`: it cannot be known.
   */
  async holdsAll(audience: string, indexes: ReadonlyMap<string, Buffer>): Promise<boolean> {
    const asked: Buffer[] = [];
    for (const [canonical, index] of indexes)
      if (audience !== CUSTOMERS || !this.#isCustomer(canonical)) asked.push(index);
    // An index that is behind by an import, or leaves out the company's own, is not the last word.
    if (audience === CUSTOMERS && asked.length === 0) return true;
    return (await this.#lookupIn(audience).find(asked)).length === asked.length;
  }

  #lookupIn(audience: string): BatchedLookup<Buffer> {
    let lookup = this.#lookups.get(audience);
    if (lookup === undefined) {
      lookup = new BatchedLookup<Buffer>(
        (indexes) => this.#membersOf(audience, indexes),
        (index) => index,
      );
      this.#lookups.set(audience, lookup);
    }
    return lookup;
  }

  async #membersOf(audience: string, indexes: readonly Buffer[]): Promise<readonly Buffer[]> {
    const distinct = [
      ...new Map(indexes.map((index) => [index.toString('latin1'), index])).values(),
    ];
    if (audience === CUSTOMERS) return recordedAmong(this.#db, distinct);
    const members = await membersAmong(this.#db, audience, distinct);
    if (members === null) throw unknownAudience(audience);
    return members;
  }
}
