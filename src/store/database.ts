/**
 * The pool: the one way to PostgreSQL.
 * Invariant: what leaves here as an error is a Fault without parameter values or row contents (PostgreSQL quotes data in
 * DETAIL and in the messages of class 22).
 */

import pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { Fault } from '../base/errors.ts';
import { copyInto } from './copy-into.ts';
import { databaseFault } from './database-fault.ts';

export interface Queryable {
  /**
   * Rows of one statement. int8 is a number when safe, else a bigint; bytea a Buffer; numeric and date text.
   * @param prepared a name of its own: each connection parses the statement once and keeps its plan.
   */
  query<R extends object = Record<string, unknown>>(
    sql: string,
    params?: readonly unknown[],
    prepared?: string,
  ): Promise<R[]>;
  /** COPY … FROM STDIN; the number of rows taken. An error of `chunks` ends the copy and is thrown as it is. */
  copyIn(sql: string, chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<number>;
  /** COPY … TO STDOUT, in chunks as they come; `$1` … stand for literals (COPY itself takes no parameters). */
  copyOut(sql: string, params?: readonly unknown[]): AsyncIterable<Buffer>;
}

export interface Transaction extends Queryable {
  readonly isTransaction: true;
}

export interface Database extends Queryable {
  /** Commits when `work` returns, rolls back when it throws. READ COMMITTED, whatever the server's default. */
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T>;
  /**
   * Follows a channel, across lost connections too: after a reconnection `onMessage('')` says that messages may have
   * been missed. Returns the function that ends it.
   */
  listen(channel: string, onMessage: (payload: string) => void): Promise<() => Promise<void>>;
  close(): Promise<void>;
}

export type Connection =
  | { readonly url: string }
  | {
      readonly socketDir: string;
      readonly port: number;
      readonly user: string;
      readonly database: string;
    };

/** Every advisory lock of one number; 7_311_003 (exposure.ts) and 7_311_004 (kept.ts) are the first of two. */
export const ADVISORY_LOCKS: { readonly migrate: number; readonly sequencer: number } = {
  migrate: 7_311_001,
  sequencer: 7_311_002,
};

const OLDEST_SERVER = 150_000;
const INT8 = 20;
const DATE = 1082;
const LISTEN_RETRY_MS = 500;

const types = {
  getTypeParser(oid: number, format?: 'text' | 'binary'): (value: string) => unknown {
    if (format !== 'binary') {
      if (oid === INT8) return parseInt8;
      if (oid === DATE) return (value) => value;
    }
    return pg.types.getTypeParser(oid, format as 'text');
  },
};

function parseInt8(text: string): number | bigint {
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : BigInt(text);
}

function clientConfig(connection: Connection): pg.ClientConfig {
  const common = {
    types: types as pg.CustomTypesConfig,
    application_name: 'undisclosed',
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
  };
  if ('url' in connection) return { ...common, connectionString: connection.url };
  const { socketDir, port, user, database } = connection;
  return { ...common, host: socketDir, port, user, database };
}

/**
 * Opens a pool and asks the server for its version.
 * @throws Fault `database.unreachable`, `database.too-old` (before PostgreSQL 15), `database.encoding` (not UTF-8).
 */
export async function openDatabase(
  connection: Connection,
  options: { readonly poolMax?: number } = {},
): Promise<Database> {
  const config = clientConfig(connection);
  const pool = new pg.Pool({ ...config, max: options.poolMax ?? 10, idleTimeoutMillis: 30_000 });
  // A lost idle connection is replaced at the next use.
  pool.on('error', () => {});
  const database = new PooledDatabase(pool, config);
  try {
    await checkServer(pool);
  } catch (error) {
    await database.close();
    throw error;
  }
  return database;
}

async function checkServer(pool: pg.Pool): Promise<void> {
  let row: { version: number; release: string; encoding: string } | undefined;
  try {
    const result = await pool.query(
      `SELECT current_setting('server_version_num')::int AS version,
         current_setting('server_version') AS release, current_setting('server_encoding') AS encoding`,
    );
    row = result.rows[0];
  } catch (error) {
    const { code } = error as { code?: string };
    throw new Fault(
      'database.unreachable',
      `PostgreSQL cannot be reached${code ? ` (${code})` : ''}`,
      {
        remedy:
          'check that the server runs and that DATABASE_URL names it, its user and its database',
      },
    );
  }
  if (row === undefined || row.version < OLDEST_SERVER)
    throw new Fault('database.too-old', `the server is PostgreSQL ${row?.release}`, {
      remedy: 'PostgreSQL 15 or later is needed',
    });
  if (row.encoding !== 'UTF8')
    throw new Fault('database.encoding', `the database is encoded in ${row.encoding}`, {
      remedy: "create it with ENCODING 'UTF8'",
    });
}

/** One connection: statements in the order they are asked for, whatever the caller awaits. */
class Session implements Queryable {
  readonly client: pg.ClientBase;
  #last: Promise<unknown> = Promise.resolve();
  #copyingOut = false;

  constructor(client: pg.ClientBase) {
    this.client = client;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#copyingOut)
      return Promise.reject(
        new Fault('database.busy', 'this connection is in the middle of a COPY', {
          remedy: 'read the COPY to its end first, or use another connection',
        }),
      );
    const result = this.#last.then(work, work);
    this.#last = result.catch(() => {});
    return result.catch((error: unknown) => {
      throw databaseFault(error);
    });
  }

  query<R extends object>(
    sql: string,
    params?: readonly unknown[],
    prepared?: string,
  ): Promise<R[]> {
    return this.#inTurn(async () => {
      const result = await this.client.query(statement(sql, params, prepared));
      return result.rows as R[];
    });
  }

  copyIn(sql: string, chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<number> {
    return this.#inTurn(() => copyInto(this.client, sql, chunks));
  }

  async *copyOut(sql: string, params: readonly unknown[] = []): AsyncIterable<Buffer> {
    await this.#inTurn(async () => {});
    this.#copyingOut = true;
    let finished = false;
    const stream = this.client.query(copyTo(inlineLiterals(sql, params)));
    try {
      for await (const chunk of stream) yield chunk as Buffer;
      finished = true;
    } catch (error) {
      finished = 'severity' in (error as object);
      throw databaseFault(error);
    } finally {
      this.#copyingOut = false;
      // A copy that nobody reads to its end leaves the connection in the middle of it.
      if (!finished) this.broken = true;
    }
  }

  /** Set when the connection must not be used again. */
  broken = false;
}

function statement(
  text: string,
  params: readonly unknown[] | undefined,
  name: string | undefined,
): pg.QueryConfig {
  return {
    text,
    ...(params === undefined ? {} : { values: [...params] }),
    ...(name === undefined ? {} : { name }),
  };
}

/** COPY takes no parameters: `$n` becomes a quoted literal. */
function inlineLiterals(sql: string, params: readonly unknown[]): string {
  return sql.replace(/\$(\d+)/g, (_, digits: string) => {
    const value = params[Number(digits) - 1];
    if (value === undefined)
      throw new Fault('database.parameter', `no value was given for $${digits}`);
    if (value === null) return 'NULL';
    if (value instanceof Date) return pg.escapeLiteral(value.toISOString());
    if (value instanceof Uint8Array) return `'\\x${Buffer.from(value).toString('hex')}'`;
    return pg.escapeLiteral(String(value));
  });
}

async function checkOut(pool: pg.Pool): Promise<pg.PoolClient> {
  try {
    return await pool.connect();
  } catch (error) {
    throw databaseFault(error);
  }
}

class PooledDatabase implements Database {
  readonly #pool: pg.Pool;
  readonly #config: pg.ClientConfig;
  readonly #listeners = new Set<() => Promise<void>>();
  #closed: Promise<void> | undefined;

  constructor(pool: pg.Pool, config: pg.ClientConfig) {
    this.#pool = pool;
    this.#config = config;
  }

  async query<R extends object>(
    sql: string,
    params?: readonly unknown[],
    prepared?: string,
  ): Promise<R[]> {
    try {
      const result = await this.#pool.query(statement(sql, params, prepared));
      return result.rows as R[];
    } catch (error) {
      throw databaseFault(error);
    }
  }

  copyIn(sql: string, chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<number> {
    return this.#withSession((session) => session.copyIn(sql, chunks));
  }

  async *copyOut(sql: string, params?: readonly unknown[]): AsyncIterable<Buffer> {
    const client = await checkOut(this.#pool);
    const guard = (): void => {};
    client.on('error', guard);
    const session = new Session(client);
    try {
      yield* session.copyOut(sql, params);
    } finally {
      client.off('error', guard);
      client.release(session.broken);
    }
  }

  async #withSession<T>(work: (session: Session) => Promise<T>): Promise<T> {
    const client = await checkOut(this.#pool);
    let lost = false;
    const onError = (): void => {
      lost = true;
    };
    client.on('error', onError);
    const session = new Session(client);
    try {
      return await work(session);
    } catch (error) {
      if (error instanceof Fault && error.code === 'database.gone') lost = true;
      throw error;
    } finally {
      client.off('error', onError);
      client.release(lost || session.broken);
    }
  }

  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    return this.#withSession(async (session) => {
      // What is read under a lock is read anew: a server whose default is another level would show what stood before it.
      await session.query('BEGIN ISOLATION LEVEL READ COMMITTED');
      let result: T;
      try {
        result = await work(transactionOf(session));
      } catch (error) {
        // An unfinished COPY or a lost connection cannot roll back; releasing it broken does.
        await session.query('ROLLBACK').catch(() => {
          session.broken = true;
        });
        throw error;
      }
      await commit(session);
      return result;
    });
  }

  async listen(
    channel: string,
    onMessage: (payload: string) => void,
  ): Promise<() => Promise<void>> {
    const stop = await follow(this.#config, channel, onMessage);
    this.#listeners.add(stop);
    return async () => {
      this.#listeners.delete(stop);
      await stop();
    };
  }

  close(): Promise<void> {
    this.#closed ??= (async () => {
      await Promise.all([...this.#listeners].map((stop) => stop()));
      await this.#pool.end();
    })();
    return this.#closed;
  }
}

function transactionOf(session: Session): Transaction {
  return {
    isTransaction: true,
    query: (sql, params, prepared) => session.query(sql, params, prepared),
    copyIn: (sql, chunks) => session.copyIn(sql, chunks),
    copyOut: (sql, params) => session.copyOut(sql, params),
  };
}

async function commit(session: Session): Promise<void> {
  try {
    const result = await session.client.query('COMMIT');
    // A transaction whose error was swallowed answers COMMIT with ROLLBACK.
    if (result.command !== 'COMMIT')
      throw new Fault('database.rolled-back', 'the transaction had failed and was rolled back');
  } catch (error) {
    throw databaseFault(error, 'it is not known whether the last transaction was stored');
  }
}

async function follow(
  config: pg.ClientConfig,
  channel: string,
  onMessage: (payload: string) => void,
): Promise<() => Promise<void>> {
  let stopped = false;
  let client: pg.Client | undefined;
  let timer: NodeJS.Timeout | undefined;

  async function connect(): Promise<void> {
    const next = new pg.Client(config);
    next.on('error', () => {});
    next.on('notification', (message) => onMessage(message.payload ?? ''));
    await next.connect();
    if (stopped) return next.end();
    next.on('end', retryLater);
    client = next;
    await next.query(`LISTEN ${pg.escapeIdentifier(channel)}`);
  }

  function retryLater(): void {
    client = undefined;
    if (stopped || timer !== undefined) return;
    timer = setTimeout(async () => {
      timer = undefined;
      try {
        await connect();
        if (!stopped) onMessage('');
      } catch {
        retryLater();
      }
    }, LISTEN_RETRY_MS);
  }

  try {
    await connect();
  } catch (error) {
    throw databaseFault(error);
  }
  return async () => {
    stopped = true;
    clearTimeout(timer);
    await client?.end().catch(() => {});
  };
}
