/** What PostgreSQL says, as a Fault that may be logged: without values, row contents or DETAIL. */

import { Fault } from '../base/errors.ts';

/** What stays of a server's error beside its text; the `cause` of the Fault. */
export interface DatabaseCause {
  readonly sqlState: string;
  readonly constraint: string | undefined;
  readonly table: string | undefined;
}

interface ServerError {
  readonly severity: string;
  readonly code: string;
  readonly message: string;
  readonly constraint?: string;
  readonly table?: string;
}

const DISK_FULL = '53100';
/** Connection exceptions, and a server that is shutting down, crashing or starting. */
const GONE = /^(?:08|57P0[1-4])/;
const DATA_EXCEPTION = /^22/;

/** SQLSTATE of a fault of the database, if it has one: `23505` is a unique violation. */
export function sqlStateOf(error: unknown): string | undefined {
  if (!(error instanceof Fault)) return undefined;
  const cause = error.cause as DatabaseCause | undefined;
  return typeof cause?.sqlState === 'string' ? cause.sqlState : undefined;
}

/**
 * Faults pass as they are, server errors become `database.full`, `database.gone` or `database.failed`, lost sockets
 * `database.gone`; everything else (a caller's own error) passes as it is.
 */
export function databaseFault(error: unknown, unknownNote?: string): unknown {
  if (error instanceof Fault || !(error instanceof Error)) return error;
  if (isServerError(error)) return serverFault(error);
  if (!isConnectionError(error)) return error;
  const code = (error as { code?: unknown }).code;
  const note = unknownNote === undefined ? '' : `; ${unknownNote}`;
  const reason = typeof code === 'string' ? ` (${code})` : '';
  return new Fault('database.gone', `the connection to PostgreSQL was lost${reason}${note}`, {
    remedy: 'it is taken up again when the server answers',
  });
}

function isServerError(error: Error): error is Error & ServerError {
  return 'severity' in error && 'code' in error && typeof error.code === 'string';
}

function isConnectionError(error: Error): boolean {
  const { code, syscall } = error as { code?: string; syscall?: string };
  if (syscall !== undefined && /^(?:connect|read|write|getaddrinfo)/.test(syscall)) return true;
  if (code === 'EPIPE' || code === 'ECONNRESET' || code === 'ERR_STREAM_DESTROYED') return true;
  // pg gives these without a code.
  return /^(?:Connection terminated|Client has encountered|Client was closed|timeout expired|timeout exceeded when trying to connect|Cannot use a pool after|This socket has been ended)/.test(
    error.message,
  );
}

function serverFault(error: ServerError): Fault {
  const { code, constraint, table } = error;
  const cause: DatabaseCause = { sqlState: code, constraint, table };
  if (code === DISK_FULL)
    return new Fault('database.full', 'the disk of the database is full (53100)', {
      cause,
      remedy: 'free space there; nothing is sent until it can be recorded',
    });
  if (GONE.test(code))
    return new Fault('database.gone', `PostgreSQL ended the connection (${code})`, {
      cause,
      remedy: 'it is taken up again when the server answers',
    });
  const text = DATA_EXCEPTION.test(code) ? 'a value does not fit' : withoutValues(error.message);
  const place = constraint ?? table;
  return new Fault(
    'database.failed',
    `the database refused: ${text} (${code})`,
    place === undefined ? { cause } : { cause, where: place },
  );
}

/** Quoted pieces that are not plain identifiers may be data. */
function withoutValues(message: string): string {
  return message
    .replace(/"([^"]*)"/g, (all, inner: string) => (/^\w{1,63}$/.test(inner) ? all : '"…"'))
    .replace(/'[^']*'/g, "'…'")
    .replace(/\S*@\S*/g, '…');
}
